//! Who signed a change: that counts beside the names in it, as the rules want it. What each setting protects from is the table in
//! `docs/gates.md`, which the program's tests go through row by row.

use std::collections::BTreeSet;

use tidegate_engine::{
    engine::{Access, Event, Person, Signatures, StepState},
    rules,
};

use super::{
    strangers::SHOP,
    support::{World, approve},
};

const KEY: &str = "SHA256:adas";

/// Ada and Mary, of whom Ada has a key, or not.
fn people(adas: &[&str]) -> Access {
    let person = |name: &str, keys: &[&str]| Person {
        emails: BTreeSet::from([format!("{name}@example.com")]),
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        ..Person::default()
    };
    let people = [("ada", person("ada", adas)), ("linus", person("linus", &[])), ("mary", person("mary", &[]))];
    Access { people: people.map(|(name, person)| (name.to_owned(), person)).into(), ..Access::default() }
}

fn signed(key: Option<&str>, demanded: bool, name: &str) -> Signatures {
    let example = "infrastructure: commit 123456789012 by somebody: it has no signature".to_owned();
    Signatures { key: key.map(str::to_owned), demanded, names: BTreeSet::from([name.to_owned()]), example }
}

/// A change in Linus's name waits for two people.
fn asking(access: Access, signatures: Signatures) -> World {
    let mut world = World::new(SHOP);
    world.record(Event::AccessLoaded { access });
    world.contents.signatures = vec![signatures];
    world.push_by("Linus <linus@example.com>", "infrastructure", "main");
    world.done("deliver-1", "synth");
    world
}

fn refusal(world: &mut World, name: &str) -> Option<String> {
    let by = world.system.access.as_ref().unwrap().access.principal(name).unwrap();
    world
        .offer(Event::Command { by, command: approve("deliver-1"), key: None })
        .err()
        .map(|refused| refused.to_string())
}

#[test]
fn whoever_signed_it_is_an_author_whatever_name_is_in_it() {
    let mut world = asking(people(&[KEY]), signed(Some(KEY), false, "Linus <linus@example.com>"));
    for name in ["ada", "linus"] {
        let why = refusal(&mut world, name).unwrap();
        assert!(why.contains("it holds a change that they wrote themselves"), "{name}: {why}");
    }
    assert_eq!(refusal(&mut world, "mary"), None);
    world.replays(3);
}

#[test]
fn what_nobody_has_signed_is_not_known_where_the_rules_demand_it() {
    let mut world = asking(people(&[KEY]), signed(None, true, "Linus <linus@example.com>"));
    let waiting = world.waits_for("deliver-1").for_what;
    let said = "it has no signature, and `identity: signature` demands one of the people's";
    assert!(waiting.contains(said), "{waiting}");
    // With no grants, everybody may do everything but this, which somebody has to be given.
    let why = refusal(&mut world, "mary").unwrap();
    assert!(why.contains(said) && why.contains("`override`"), "{why}");
}

#[test]
fn people_who_list_keys_later_are_not_written_for_by_others_any_more() {
    let mut world = asking(people(&[]), signed(None, false, "Linus <linus@example.com>"));
    assert_eq!(refusal(&mut world, "mary"), None);
    let mut with_key = people(&[]);
    with_key.people.get_mut("linus").unwrap().keys.insert(KEY.to_owned());
    world.record(Event::AccessLoaded { access: with_key });
    let step = world.step("deliver-1", "approve");
    assert!(step.answers.is_empty() && step.void[0].because.contains("and linus has keys to sign with"), "{step:?}");
    world.record(Event::AccessLoaded { access: people(&[]) });
    assert_eq!(refusal(&mut world, "mary"), None);
    assert_eq!(refusal(&mut world, "ada"), None);
    assert_eq!(world.step_state("deliver-1", "approve"), StepState::Done);
}

#[test]
fn git_is_asked_anew_when_the_rules_want_something_else() {
    let mut world = asking(people(&[KEY]), signed(Some(KEY), false, "Linus <linus@example.com>"));
    assert_eq!(refusal(&mut world, "mary"), None);
    assert!(world.asks_git().is_empty());
    let text = SHOP.replace("{ url: n.git }", "{ url: n.git, identity: signature }");
    world.contents.signatures = vec![signed(None, true, "Linus <linus@example.com>")];
    world.load(rules::load("rules.yaml", &text).unwrap());
    if let Some(effect) = world.asks_git().pop() {
        world.git_answers(&effect);
    }
    let step = world.step("deliver-1", "approve");
    assert_eq!(step.authorship.unwrap().identity.len(), 1);
    assert!(step.answers.is_empty() && step.void[0].because.contains("demands one"), "{:?}", step.void);
    // The same rules again ask nothing.
    world.load(rules::load("rules.yaml", &text).unwrap());
    assert!(world.asks_git().is_empty());
}

#[test]
fn a_question_says_by_what_its_authors_are_known() {
    let known = |access: Access, signatures: Option<Signatures>| {
        let mut world = World::new(SHOP);
        world.record(Event::AccessLoaded { access });
        world.contents.signatures = signatures.into_iter().collect();
        world.push_by("Linus <linus@example.com>", "infrastructure", "main");
        world.done("deliver-1", "synth");
        tidegate_engine::engine::explain::known_by(&world.system, &world.run("deliver-1")).unwrap()
    };
    let by_names = "the names in the commits, which anybody can write";
    assert_eq!(known(people(&[KEY]), None), by_names);
    assert_eq!(known(people(&[]), Some(signed(Some(KEY), true, "x"))), by_names, "the key is nobody's");
    assert_eq!(
        known(people(&[KEY]), Some(signed(Some(KEY), true, "x"))),
        "the signatures of ada; of the names in the commits: Linus <linus@example.com>"
    );
    let mut linus = people(&[]);
    linus.people.get_mut("linus").unwrap().keys.insert(KEY.to_owned());
    assert_eq!(known(linus, Some(signed(Some(KEY), true, "x"))), "the signatures of linus");
}
