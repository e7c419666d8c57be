//! Asking in the name of somebody else: who may, and what is said of it.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_engine::engine::{Access, Cause, Command, Event, Grant, Person, Principal, Role, StepState};

use super::{
    strangers::SHOP,
    support::{HOUR_MS, NOON_MS, World, approve, freeze, run_rule},
};

fn grant(role: Role, to: &[&str]) -> Grant {
    Grant { role, to: to.iter().map(|name| (*name).to_owned()).collect(), systems: Vec::new(), stages: Vec::new() }
}

/// Everybody may do everything in their own name.
fn people(more: &[Grant]) -> Access {
    let person = |name: &str| {
        let emails = BTreeSet::from([format!("{name}@example.com")]);
        (name.to_owned(), Person { emails, ..Person::default() })
    };
    let people = ["ada", "grace", "mary", "root"].map(person);
    let grants = [&[grant(Role::Admin, &["ada", "grace", "mary", "root"])], more].concat();
    Access { people: BTreeMap::from(people), grants, ..Access::default() }
}

/// A change of Ada's waits for two people.
fn asking(access: Access) -> World {
    let mut world = World::new(SHOP);
    world.record(Event::AccessLoaded { access });
    world.push("infrastructure", "main");
    world.done("deliver-1", "synth");
    world
}

fn ask(world: &mut World, asker: &str, name: &str, command: Command) -> Result<(), String> {
    let person = world.system.access.as_ref().unwrap().access.principal(name).unwrap();
    let by = Principal { asked_by: Some(asker.to_owned()), ..person };
    world.offer(Event::Command { by, command, key: None }).map(drop).map_err(|refused| refused.to_string())
}

#[test]
fn asking_in_anothers_name_takes_impersonate() {
    let mut world = asking(people(&[grant(Role::Impersonator, &["root"])]));
    let why = ask(&mut world, "mary", "grace", approve("deliver-1")).unwrap_err();
    let expected = "mary may not approve deliver-1 in the name of grace: it needs the permission `impersonate`, which these \
                    have: root";
    assert_eq!(why, expected);
    ask(&mut world, "root", "grace", approve("deliver-1")).unwrap();
    ask(&mut world, "root", "mary", approve("deliver-1")).unwrap();
    assert_eq!(world.step_state("deliver-1", "approve"), StepState::Done);
    world.replays(3);
    // Who else they may be does not say what they may do: the stage is that of the grant, and no grants are none.
    let of_dev = Grant { stages: vec![super::support::stage("dev")], ..grant(Role::Impersonator, &["root"]) };
    for access in [people(&[of_dev]), Access { grants: Vec::new(), ..people(&[]) }] {
        let mut world = asking(access);
        let why = ask(&mut world, "root", "grace", approve("deliver-1")).unwrap_err();
        assert!(why.contains("needs the permission `impersonate`, which these have: nobody"), "{why}");
    }
}

#[test]
fn what_was_asked_in_anothers_name_says_who_asked() {
    let mut world = asking(people(&[grant(Role::Impersonator, &["root"])]));
    ask(&mut world, "root", "grace", approve("deliver-1")).unwrap();
    assert_eq!(world.step("deliver-1", "approve").answers[0].by.said(), "grace, asked by root");
    ask(&mut world, "root", "grace", run_rule("deliver", "main")).unwrap();
    assert_eq!(world.run("deliver-2").cause, Cause::Command { by: "grace, asked by root".to_owned() });
    ask(&mut world, "root", "mary", freeze(None, NOON_MS + HOUR_MS)).unwrap();
    assert_eq!(world.system.freezes["freeze-1"].by, "mary, asked by root");
    world.asked("grace", freeze(None, NOON_MS + HOUR_MS));
    assert_eq!(world.system.freezes["freeze-2"].by, "grace");
    world.replays(4);
}

#[test]
fn an_author_approves_in_nobodys_name() {
    let mut world = asking(people(&[grant(Role::Impersonator, &["ada"])]));
    let why = ask(&mut world, "ada", "grace", approve("deliver-1")).unwrap_err();
    assert!(why.contains("it holds a change by ada, who asks in their name"), "{why}");
}

#[test]
fn an_approval_that_was_asked_for_is_void_when_the_asker_may_not_any_more() {
    let mut world = asking(people(&[grant(Role::Impersonator, &["root"])]));
    ask(&mut world, "root", "grace", approve("deliver-1")).unwrap();
    world.record(Event::AccessLoaded { access: people(&[]) });
    world.asked("mary", approve("deliver-1"));
    let step = world.step("deliver-1", "approve");
    assert_eq!(step.state, StepState::Active, "one of two");
    assert_eq!(step.void[0].because, "grace, asked by root may not be asked for any more");
}
