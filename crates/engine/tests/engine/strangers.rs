//! Who wrote a change, of the people that are listed: whoever is none of them is a stranger, and then it takes `override`.
//! Each row of the table in `docs/gates.md` that the engine decides is a test here.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_engine::engine::{Access, Command, Event, Grant, Naming, Person, Role, StepState};

use super::support::{World, approve};

pub(super) const SHOP: &str = "
version: 1
system: shop
stages: { main: { environment: Production } }
repositories: { infrastructure: { url: n.git } }
targets: { shop: {} }
rules:
  deliver:
    on: { push: infrastructure }
    target: shop
    steps:
      - synth: { template: template.yaml }
      - approve: { stages: { main: { count: 2 } } }
      - deploy: {}
";

/// Ada, Mary and Linus may approve; Grace may override.
fn people(naming: Naming) -> Access {
    let person = |name: &str, github: Option<&str>| Person {
        emails: BTreeSet::from([format!("{name}@example.com")]),
        github: github.map(str::to_owned),
        ..Person::default()
    };
    let people = [("ada", Some("ada")), ("grace", None), ("linus", None), ("mary", None)];
    let people = people.map(|(name, github)| (name.to_owned(), person(name, github)));
    let grant = |role, to: &[&str]| Grant {
        role,
        to: to.iter().map(|name| (*name).to_owned()).collect(),
        systems: Vec::new(),
        stages: Vec::new(),
    };
    let grants = vec![grant(Role::Approver, &["ada", "mary", "linus"]), grant(Role::Admin, &["grace"])];
    Access { people: BTreeMap::from(people), grants, naming }
}

fn github() -> Naming {
    Naming { forges: BTreeSet::from(["github.com".to_owned()]), ignore_tags: false }
}

/// A change that this author wrote waits for two people.
fn asking(access: Access, author: &str) -> World {
    let mut world = World::new(SHOP);
    world.record(Event::AccessLoaded { access });
    world.push_by(author, "infrastructure", "main");
    world.done("deliver-1", "synth");
    world
}

fn ask_as(world: &mut World, name: &str) -> Result<(), String> {
    let known = world.system.access.as_ref().unwrap().access.principal(name);
    let by = known.unwrap_or_else(|| panic!("nobody is called {name}"));
    let command: Command = approve("deliver-1");
    world.offer(Event::Command { by, command, key: None }).map(drop).map_err(|refused| refused.to_string())
}

/// Ada may not approve it, and neither may Mary, for the author is nobody who is listed; Grace may, who may override.
fn is_strangers(access: Access, author: &str) {
    let mut world = asking(access, author);
    let said = format!("not all who wrote it are known (written by {author}, who is none of the people)");
    for name in ["ada", "mary"] {
        let why = ask_as(&mut world, name).unwrap_err();
        assert!(why.contains(&said) && why.contains("`override`"), "{name}: {why}");
    }
    let waiting = world.waits_for("deliver-1");
    assert!(waiting.for_what.contains(&format!("{said}, so that it takes")), "{}", waiting.for_what);
    assert!(waiting.ended_by.starts_with("grace, which is not enough"), "{}", waiting.ended_by);
    ask_as(&mut world, "grace").unwrap();
    world.replays(3);
}

/// Ada may not approve it, for she wrote it; Mary may.
fn is_adas(access: Access, author: &str) {
    let mut world = asking(access, author);
    let why = ask_as(&mut world, "ada").unwrap_err();
    assert!(why.contains("it holds a change that they wrote themselves"), "{author}: {why}");
    ask_as(&mut world, "mary").unwrap();
}

#[test]
fn an_author_who_is_none_of_the_people_takes_override() {
    is_strangers(people(github()), "Bob <bob@elsewhere.example>");
    is_strangers(people(github()), "Bob <>");
}

#[test]
fn our_own_identity_without_a_proof_takes_override() {
    is_strangers(people(github()), "Tidegate <tidegate@localhost>");
}

#[test]
fn a_forge_as_the_author_takes_override() {
    is_strangers(people(github()), "GitHub <noreply@github.com>");
    is_strangers(people(github()), "Forge <noreply@elsewhere.example>");
}

#[test]
fn a_name_in_another_case_or_composed_otherwise_is_the_same_name() {
    for author in ["ADA <ADA@Example.COM>", "ａｄａ <ada@example.com>", "Ada <ada@example.com>"] {
        is_adas(people(github()), author);
    }
    // A listed name with an address that is nobody's: Ada may have written it, and who else may is not known.
    let mut world = asking(people(github()), "ADA <bob@elsewhere.example>");
    assert!(ask_as(&mut world, "ada").unwrap_err().contains("they wrote themselves"));
    assert!(ask_as(&mut world, "mary").unwrap_err().contains("who is none of the people"));
    ask_as(&mut world, "grace").unwrap();
}

#[test]
fn a_tag_in_an_address_is_ignored_only_where_the_settings_say_so() {
    is_strangers(people(github()), "A <ada+x@example.com>");
    is_adas(people(Naming { ignore_tags: true, ..github() }), "A <ada+x@example.com>");
}

#[test]
fn a_hidden_address_belongs_to_the_login_and_only_at_a_forge_that_is_listed() {
    for author in ["A <12345+Ada@users.noreply.github.com>", "A <ada@users.noreply.github.com>"] {
        is_adas(people(github()), author);
        is_strangers(people(Naming::default()), author);
    }
    is_strangers(people(github()), "A <12345+bob@users.noreply.github.com>");
    is_strangers(people(github()), "A <12345+ada@users.noreply.elsewhere.example>");
}

#[test]
fn where_nobody_may_override_a_stranger_s_change_waits_until_somebody_may() {
    let mut world = asking(Access { grants: Vec::new(), ..people(github()) }, "Bob <bob@elsewhere.example>");
    for name in ["ada", "mary", "grace"] {
        let why = ask_as(&mut world, name).unwrap_err();
        assert!(why.contains("who is none of the people"), "{name}: {why}");
    }
    let ended_by = world.waits_for("deliver-1").ended_by;
    assert!(ended_by.contains("it takes the permission `override`, which these have: nobody"), "{ended_by}");
}

#[test]
fn where_nobody_is_listed_everybody_is_taken_at_their_word() {
    let mut world = World::new(SHOP);
    world.push_by("Bob <bob@elsewhere.example>", "infrastructure", "main");
    world.done("deliver-1", "synth");
    assert!(!world.waits_for("deliver-1").for_what.contains("known"));
    assert!(world.ask("bob", approve("deliver-1")).unwrap_err().to_string().contains("they wrote themselves"));
    world.asked("mary", approve("deliver-1"));
}

#[test]
fn an_answer_is_void_when_an_author_is_none_of_the_people_any_more() {
    let with_bob = || {
        let mut access = people(github());
        let emails = BTreeSet::from(["bob@elsewhere.example".to_owned()]);
        access.people.insert("bob".to_owned(), Person { emails, ..Person::default() });
        access
    };
    let mut world = asking(with_bob(), "Bob <bob@elsewhere.example>");
    ask_as(&mut world, "mary").unwrap();
    world.record(Event::AccessLoaded { access: people(github()) });
    let step = world.step("deliver-1", "approve");
    assert!(step.answers.is_empty());
    assert!(step.void[0].because.contains("Bob <bob@elsewhere.example>, who is none of the people"), "{:?}", step.void);
    world.record(Event::AccessLoaded { access: with_bob() });
    ask_as(&mut world, "mary").unwrap();
    ask_as(&mut world, "linus").unwrap();
    assert_eq!(world.step_state("deliver-1", "approve"), StepState::Done);
    world.replays(4);
}
