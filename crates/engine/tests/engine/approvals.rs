//! Approvals: who may give one and in whose place, taking one back, and what becomes of one when what was shown is no more.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, sample::Index, strategy::ValueTree};
use tidegate_engine::engine::{Access, Command, Event, Grant, Person, Role, RunId, RunState, StepState};

use super::support::{HOUR_MS, MINUTE_MS, NOON_MS, World, abort, approve, failed, freeze, retry};

const SHOP: &str = "
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
      - approve: { stages: { main: { count: 2, from: [managers, zoe], expires: 3d } } }
      - deploy: {}
delegates:
  - { of: grace, to: [linus, ada], until: 2026-11-30 }
  - { of: zoe, to: [on-call] }
";

fn withdraw(run: &str) -> Command {
    Command::Withdraw { run: RunId::new(run) }
}

/// grace, mary and ada are managers; linus and otto are not, and otto is on call.
fn people() -> Access {
    let person = |groups: &[&str], name: &str| Person {
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        emails: BTreeSet::from([format!("{name}@example.com")]),
        ..Person::default()
    };
    let people = [
        ("ada", &["managers"][..]),
        ("grace", &["managers"]),
        ("linus", &[]),
        ("mary", &["managers"]),
        ("otto", &["on-call"]),
        ("zoe", &[]),
    ];
    let people = people.map(|(name, groups)| (name.to_owned(), person(groups, name)));
    Access { people: BTreeMap::from(people), ..Access::default() }
}

/// A change of Ada's waits for two managers.
fn asking() -> World {
    let mut world = World::new(SHOP);
    world.record(Event::AccessLoaded { access: people() });
    world.push("infrastructure", "main");
    world.done("deliver-1", "synth");
    world
}

fn ask_as(world: &mut World, name: &str, command: Command) -> Result<(), String> {
    let by = people().principal(name).unwrap_or_else(|| panic!("nobody is called {name}"));
    world.offer(Event::Command { by, command, key: None }).map(drop).map_err(|refused| refused.to_string())
}

fn seats(world: &World) -> Vec<String> {
    world.step("deliver-1", "approve").answers.iter().map(|answer| answer.seat().to_owned()).collect()
}

#[test]
fn an_approval_may_be_taken_back_while_others_are_asked() {
    let mut world = asking();
    ask_as(&mut world, "mary", approve("deliver-1")).unwrap();
    let refused = ask_as(&mut world, "grace", withdraw("deliver-1")).unwrap_err();
    assert!(refused.contains("grace has not approved what waits"), "{refused}");
    ask_as(&mut world, "mary", withdraw("deliver-1")).unwrap();
    assert!(seats(&world).is_empty());
    ask_as(&mut world, "grace", approve("deliver-1")).unwrap();
    assert_eq!(world.step_state("deliver-1", "approve"), StepState::Active, "one of two");
    ask_as(&mut world, "mary", approve("deliver-1")).unwrap();
    let refused = ask_as(&mut world, "mary", withdraw("deliver-1")).unwrap_err();
    assert!(refused.contains("deliver-1: deploy has begun"), "{refused}");
}

#[test]
fn an_approval_may_be_taken_back_until_something_moves_because_of_it() {
    let mut world = asking();
    world.asked("grace", freeze(None, NOON_MS + HOUR_MS));
    ask_as(&mut world, "grace", approve("deliver-1")).unwrap();
    ask_as(&mut world, "mary", approve("deliver-1")).unwrap();
    assert_eq!(world.step_state("deliver-1", "deploy"), StepState::Ready, "it is frozen");
    world.later(MINUTE_MS);
    ask_as(&mut world, "mary", withdraw("deliver-1")).unwrap();
    assert_eq!(world.step_state("deliver-1", "approve"), StepState::Active);
    assert_eq!(world.step_state("deliver-1", "deploy"), StepState::Blocked);
    assert_eq!(seats(&world), ["grace"], "what others said still counts");
    let due_ms = world.effect("deliver-1", "approve").due_ms;
    assert_eq!(due_ms, world.now_ms + 3 * 24 * HOUR_MS, "people have as long as ever");
    world.fires_timer("freeze-1#");
    assert_eq!(world.step_state("deliver-1", "deploy"), StepState::Blocked);
    ask_as(&mut world, "mary", approve("deliver-1")).unwrap();
    assert_eq!(world.step_state("deliver-1", "deploy"), StepState::Active);
}

#[test]
fn what_came_after_an_approval_that_is_taken_back_is_asked_again() {
    let check = "expires: 3d } } }\n      - id: room\n        check: { command: [bin/room] }";
    let mut world = World::new(&SHOP.replace("expires: 3d } } }", check));
    world.record(Event::AccessLoaded { access: people() });
    world.push("infrastructure", "main");
    world.done("deliver-1", "synth");
    for name in ["grace", "mary"] {
        ask_as(&mut world, name, approve("deliver-1")).unwrap();
    }
    let asked = world.effect("deliver-1", "room").id;
    ask_as(&mut world, "grace", withdraw("deliver-1")).unwrap();
    assert_eq!(world.step_state("deliver-1", "room"), StepState::Blocked);
    assert!(!world.system.due.contains_key(&asked), "nobody waits for its answer");
    ask_as(&mut world, "grace", approve("deliver-1")).unwrap();
    world.done("deliver-1", "room");
    assert_eq!(world.step_state("deliver-1", "deploy"), StepState::Active);
}

#[test]
fn whoever_may_not_approve_any_more_does_not_count_when_others_do() {
    let lose = |change: fn(&mut Access)| {
        let mut access = people();
        change(&mut access);
        Event::AccessLoaded { access }
    };
    let losses: [(&str, Event, &str); 3] = [
        (
            "grace",
            lose(|access| access.people.get_mut("grace").unwrap().groups.clear()),
            "grace is none of those any more whom it asks: managers (ada, mary), zoe",
        ),
        (
            "grace",
            lose(|access| drop(access.people.remove("grace"))),
            "grace is none of those any more whom it asks: managers (ada, mary), zoe",
        ),
        (
            "grace",
            lose(|access| {
                let grant =
                    |role, to: &str| Grant { role, to: vec![to.to_owned()], systems: Vec::new(), stages: Vec::new() };
                access.grants =
                    vec![grant(Role::Viewer, "grace"), grant(Role::Admin, "mary"), grant(Role::Admin, "zoe")];
            }),
            "grace lost the permission `approve` since",
        ),
    ];
    for (name, event, because) in losses {
        let mut world = asking();
        ask_as(&mut world, name, approve("deliver-1")).unwrap();
        world.record(event);
        assert!(
            world.waits_for("deliver-1").for_what.contains("(0 of 2)"),
            "{}",
            world.waits_for("deliver-1").for_what
        );
        ask_as(&mut world, "mary", approve("deliver-1")).unwrap();
        let step = world.step("deliver-1", "approve");
        assert_eq!(step.state, StepState::Active, "{because}");
        assert_eq!(step.void.iter().map(|void| void.because.as_str()).collect::<Vec<_>>(), [because]);
        ask_as(&mut world, "zoe", approve("deliver-1")).unwrap();
        assert_eq!(world.step_state("deliver-1", "deploy"), StepState::Active);
    }
    // Linus speaks in Grace's place until the end of November; then her seat is free again.
    let mut world = asking();
    world.later(10 * 24 * HOUR_MS);
    ask_as(&mut world, "linus", approve("deliver-1")).unwrap();
    world.later(24 * HOUR_MS);
    ask_as(&mut world, "grace", approve("deliver-1")).unwrap();
    let step = world.step("deliver-1", "approve");
    assert_eq!(
        (step.answers.len(), step.void[0].because.as_str()),
        (1, "linus does not speak in the place of grace any more")
    );
}

#[test]
fn a_delegate_of_two_speaks_in_the_place_of_the_one_whose_voice_is_free() {
    let rules = SHOP.replace("{ of: zoe, to: [on-call] }", "{ of: zoe, to: [linus] }");
    let asking_of = |author: &str| {
        let mut world = World::new(&rules);
        world.record(Event::AccessLoaded { access: people() });
        world.push_by(author, "infrastructure", "main");
        world.done("deliver-1", "synth");
        world
    };
    let mut world = asking_of("grace");
    ask_as(&mut world, "linus", approve("deliver-1")).unwrap();
    assert_eq!(seats(&world), ["zoe"], "Grace wrote it");
    let mut world = asking_of("ada");
    ask_as(&mut world, "grace", approve("deliver-1")).unwrap();
    ask_as(&mut world, "linus", approve("deliver-1")).unwrap();
    assert_eq!(seats(&world), ["grace", "zoe"], "Grace has spoken herself");
}

#[test]
fn a_rejection_needs_a_reason() {
    let mut world = asking();
    let reject = Command::Reject { run: RunId::new("deliver-1"), reason: " ".to_owned() };
    let refused = ask_as(&mut world, "grace", reject).unwrap_err();
    assert_eq!(refused, "a rejection needs a reason; say it with `--reason`");
}

#[test]
fn a_hotfix_is_marked_by_whoever_may_override_wherever_it_goes() {
    let mut world = super::support::verified::verified_in(
        &super::support::verified::SHOP.replace("promotions:", "hotfix: { skips: [soak] }\npromotions:"),
    )
    .0;
    let mark = |run: &str| Command::Hotfix { what: run.to_owned(), reason: "customers cannot pay".to_owned() };
    let grant = |to: &str, stages: &[&str]| Grant {
        role: Role::Admin,
        to: vec![to.to_owned()],
        systems: Vec::new(),
        stages: stages.iter().map(|name| super::support::stage(name)).collect(),
    };
    let grants = vec![grant("grace", &["dev", "qa"]), grant("mary", &["qa", "main"]), grant("zoe", &[])];
    world.record(Event::AccessLoaded { access: Access { grants, ..people() } });
    let run = world.newest("promote");
    let refused = ask_as(&mut world, "grace", mark(&run)).unwrap_err();
    assert_eq!(
        refused,
        format!(
            "grace may not mark {run} as a hotfix: the mark goes with the change, so it needs the permission `override` \
             also for main (which these have: mary, zoe)"
        )
    );
    world.push_after_ours("infrastructure", "dev");
    let delivery = world.newest("deliver");
    assert!(ask_as(&mut world, "mary", mark(&delivery)).unwrap_err().contains("for shop dev"), "nor from outside");
    ask_as(&mut world, "zoe", mark(&delivery)).unwrap();
    ask_as(&mut world, "mary", mark(&run)).unwrap();
}

#[test]
fn a_question_says_when_it_expires() {
    let world = asking();
    let waiting = world.waits_for("deliver-1");
    assert_eq!((waiting.until_ms, waiting.expires_ms), (None, Some(NOON_MS + 3 * 24 * HOUR_MS)));
    assert!(waiting.ended_by.ends_with("; it expires at 2026-11-23 12:00:00 UTC"), "{}", waiting.ended_by);
    let asked = world.chain("deliver-1").into_iter().find(|condition| condition.name == "approve").unwrap();
    assert_eq!((asked.earliest_ms, asked.expires_ms), (None, waiting.expires_ms));
}

#[test]
fn a_delegate_speaks_in_anothers_place_and_with_one_voice() {
    let mut world = asking();
    ask_as(&mut world, "linus", approve("deliver-1")).unwrap();
    assert_eq!(seats(&world), ["grace"]);
    let refused = ask_as(&mut world, "grace", approve("deliver-1")).unwrap_err();
    assert!(refused.contains("linus has approved it in the place of grace already"), "{refused}");
    assert_eq!(world.waits_for("deliver-1").ended_by.split(':').next(), Some("mary, otto (in the place of zoe), zoe"));
    ask_as(&mut world, "otto", approve("deliver-1")).unwrap();
    assert_eq!(world.step_state("deliver-1", "deploy"), StepState::Active);
    assert_eq!(world.step("deliver-1", "approve").outputs["by"], serde_json::json!(["linus", "otto"]));
}

#[test]
fn whoever_lent_their_voice_may_take_it_back() {
    let mut world = asking();
    ask_as(&mut world, "linus", approve("deliver-1")).unwrap();
    ask_as(&mut world, "grace", withdraw("deliver-1")).unwrap();
    assert!(seats(&world).is_empty());
}

#[test]
fn a_delegate_may_only_for_as_long_as_the_rules_say() {
    let mut world = asking();
    world.later(11 * 24 * HOUR_MS);
    let refused = ask_as(&mut world, "linus", approve("deliver-1")).unwrap_err();
    assert_eq!(refused, "linus may not approve deliver-1: it asks managers (ada, grace, mary), zoe");
}

#[test]
fn an_author_speaks_in_nobodys_place_and_nobody_in_theirs() {
    let mut world = asking();
    let refused = ask_as(&mut world, "ada", approve("deliver-1")).unwrap_err();
    assert!(refused.contains("a change that they wrote themselves"), "{refused}");
    let mut world = World::new(SHOP);
    world.record(Event::AccessLoaded { access: people() });
    world.push_by("grace", "infrastructure", "main");
    world.done("deliver-1", "synth");
    let refused = ask_as(&mut world, "linus", approve("deliver-1")).unwrap_err();
    assert!(refused.contains("a change by grace, in whose place they would answer"), "{refused}");
}

#[test]
fn an_approval_of_what_is_no_more_is_void_and_says_why() {
    let mut world = asking();
    ask_as(&mut world, "grace", approve("deliver-1")).unwrap();
    ask_as(&mut world, "mary", approve("deliver-1")).unwrap();
    world.answers("deliver-1", "deploy", failed("no room"));
    world.asked("grace", retry("deliver-1"));
    assert_eq!(seats(&world).len(), 2, "what was approved is still what is deployed");
    world.asked("grace", abort("deliver-1"));
    let mut world = asking();
    ask_as(&mut world, "grace", approve("deliver-1")).unwrap();
    world.push("infrastructure", "main");
    world.done("deliver-2", "synth");
    assert_eq!(world.state("deliver-1"), RunState::Superseded);
    let void = &world.step("deliver-1", "approve").void[0];
    assert_eq!((void.answer.by.name.as_str(), void.because.as_str()), ("grace", "deliver-2 is newer and came as far"));
    assert!(world.step("deliver-2", "approve").answers.is_empty());
}

#[test]
fn explain_says_when_nobody_is_left_who_may() {
    let mut world = asking();
    let only = |names: &[&str]| {
        let mut access = people();
        access.people.retain(|name, _| names.contains(&name.as_str()));
        Event::AccessLoaded { access }
    };
    world.record(only(&["ada", "grace"]));
    assert!(world.waits_for("deliver-1").ended_by.starts_with("grace, which is not enough: 2 more are needed"));
    world.record(only(&["ada"]));
    assert!(world.waits_for("deliver-1").ended_by.starts_with("nobody who is known and may still"));
}

/// What is known of a question, told as simply as can be: whom it was answered by, in whose seat.
#[derive(Debug, Default)]
struct Model {
    seats: BTreeMap<&'static str, &'static str>,
    over: Option<RunState>,
}

const NAMES: [&str; 6] = ["ada", "grace", "linus", "mary", "otto", "zoe"];

impl Model {
    /// The seat that somebody has, by the story that [`people`] and the rules tell; Ada wrote the change.
    fn seat(name: &'static str) -> Option<&'static str> {
        match name {
            "grace" | "mary" | "zoe" => Some(name),
            "linus" => Some("grace"),
            "otto" => Some("zoe"),
            _ => None,
        }
    }

    fn approve(&mut self, name: &'static str) -> bool {
        let Some(seat) = Self::seat(name) else { return false };
        if self.over.is_some() || self.seats.contains_key(seat) || self.seats.values().any(|by| *by == name) {
            return false;
        }
        self.seats.insert(seat, name);
        if self.seats.len() == 2 {
            self.over = Some(RunState::Running);
        }
        true
    }

    fn withdraw(&mut self, name: &'static str) -> bool {
        let before = self.seats.len();
        if self.over.is_none() {
            self.seats.retain(|seat, by| *seat != name && *by != name);
        }
        self.seats.len() != before
    }

    fn reject(&mut self, name: &'static str) -> bool {
        // Ada is a manager: she may refuse her own change, though not approve it.
        if self.over.is_some() || (Self::seat(name).is_none() && name != "ada") {
            return false;
        }
        self.over = Some(RunState::Failed);
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_question_goes_as_the_model_says(moves in prop::collection::vec((any::<Index>(), 0_u8..8), 1..25)) {
        let (mut world, mut model) = (asking(), Model::default());
        for (who, what) in &moves {
            let name = *who.get(&NAMES);
            let (granted, expected) = match what {
                0..=3 => (ask_as(&mut world, name, approve("deliver-1")), model.approve(name)),
                4..=6 => (ask_as(&mut world, name, withdraw("deliver-1")), model.withdraw(name)),
                _ => {
                    let reject = Command::Reject { run: RunId::new("deliver-1"), reason: "no".to_owned() };
                    (ask_as(&mut world, name, reject), model.reject(name))
                }
            };
            prop_assert_eq!(granted.is_ok(), expected, "{} {}: {:?}", name, what, granted);
            let state = world.state("deliver-1");
            prop_assert_eq!(state, model.over.unwrap_or(RunState::Running));
            let deploys = world.step_state("deliver-1", "deploy") == StepState::Active;
            prop_assert_eq!(deploys, model.over == Some(RunState::Running));
            if model.over.is_none() {
                let seats: BTreeSet<String> = seats(&world).into_iter().collect();
                prop_assert_eq!(seats, model.seats.keys().map(|seat| (*seat).to_owned()).collect::<BTreeSet<_>>());
            }
        }
    }
}

/// The roles of [`NAMES`] in the property below: Ada may everything, Grace approve in main, Linus look.
fn roles() -> Access {
    let grant = |role, to: &str, stages: &[&str]| Grant {
        role,
        to: vec![to.to_owned()],
        systems: Vec::new(),
        stages: stages.iter().map(|name| super::support::stage(name)).collect(),
    };
    let grants = vec![
        grant(Role::Admin, "zoe", &[]),
        grant(Role::Approver, "managers", &["main"]),
        grant(Role::Operator, "otto", &["dev"]),
        grant(Role::Viewer, "linus", &[]),
    ];
    Access { grants, ..people() }
}

#[test]
fn a_refusal_says_which_permission_is_missing_and_who_has_it() {
    let mut world = asking();
    world.record(Event::AccessLoaded { access: roles() });
    let refused = ask_as(&mut world, "linus", approve("deliver-1")).unwrap_err();
    assert_eq!(
        refused,
        "linus may not approve deliver-1: it needs the permission `approve` for shop main, which these have: \
         managers (ada, grace, mary), zoe"
    );
    let refused = ask_as(&mut world, "otto", Command::Pause { reason: "why".to_owned() }).unwrap_err();
    assert_eq!(
        refused,
        "otto may not pause it: it needs the permission `hold` for the whole of shop, which these have: zoe"
    );
}

/// Every command there is, about whatever there is.
fn any_command() -> impl Strategy<Value = Command> {
    let run = || prop_oneof![Just("deliver-1"), Just("deliver-2"), Just("deliver-9")].prop_map(RunId::new);
    let at = || super::support::stage("main");
    let reason = || "because".to_owned();
    prop_oneof![
        Just(super::support::run_rule("deliver", "main")),
        Just(super::support::promote("main", "main")),
        run().prop_map(|run| Command::Approve { run, digest: None }),
        run().prop_map(move |run| Command::Reject { run, reason: reason() }),
        run().prop_map(|run| Command::Retry { run }),
        run().prop_map(move |run| Command::Abort { run, reason: reason() }),
        run().prop_map(|run| Command::Withdraw { run }),
        Just(super::support::unlock("shop", "main")),
        Just(super::support::operate(tidegate_engine::rules::Operation::Delete, "shop", "main")),
        Just(super::support::observe("shop", "main")),
        Just(Command::Pause { reason: reason() }),
        Just(Command::Resume),
        any::<bool>().prop_map(move |all| Command::Freeze {
            stage: (!all).then(at),
            until_ms: super::support::NOON_MS + HOUR_MS,
            reason: reason()
        }),
        Just(super::support::roll_back("main", None)),
        run().prop_map(move |run| Command::TakeBack { run, reason: reason() }),
        Just(Command::Veto { what: "abcdef0".to_owned(), reason: reason() }),
        Just(Command::LiftVeto { what: "abcdef0".to_owned(), reason: reason() }),
        Just(super::support::pin("main", None)),
        Just(super::support::unpin("main")),
        Just(Command::Thaw { freeze: "freeze-1".to_owned() }),
        run().prop_map(move |run| Command::Override { freeze: "freeze-1".to_owned(), run, reason: reason() }),
        run().prop_map(move |run| Command::Hotfix { what: run.to_string(), reason: reason() }),
    ]
}

#[test]
fn the_property_below_tries_every_command_there_is() {
    let name = |command: &Command| serde_json::to_value(command).unwrap()["type"].as_str().unwrap().to_owned();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let tried = (0..1_000).map(|_| any_command().new_tree(&mut runner).unwrap().current());
    let tried: BTreeSet<String> = tried.map(|command| name(&command)).collect();
    // Whoever reads a command that does not exist says which do.
    let unknown = serde_json::from_value::<Command>(serde_json::json!({ "type": "dance" })).unwrap_err().to_string();
    let known: BTreeSet<String> = unknown.split('`').skip(3).step_by(2).map(str::to_owned).collect();
    assert!(known.len() > 15, "{unknown}");
    assert_eq!(tried, known);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_people_without_the_permission_say_changes_anything(
        commands in prop::collection::vec((any::<Index>(), any_command()), 1..40), broken in any::<bool>(),
    ) {
        let mut world = asking();
        // Something to withdraw from, to override, to thaw and to retry.
        ask_as(&mut world, "grace", approve("deliver-1")).unwrap();
        world.asked("zoe", super::support::freeze(None, super::support::NOON_MS + HOUR_MS));
        world.push("infrastructure", "main");
        if broken {
            world.answers("deliver-2", "synth", failed("no"));
        }
        world.record(Event::AccessLoaded { access: roles() });
        let before = world.system.clone();
        for (who, command) in commands {
            // Linus may look; Otto may operate, but in another stage.
            let name = *who.get(&["linus", "otto"]);
            let refused = ask_as(&mut world, name, command.clone());
            prop_assert!(refused.is_err(), "{} may {:?}", name, command);
        }
        prop_assert_eq!(&world.system, &before);
        // And the log has nothing of it: what is refused is not recorded.
        prop_assert_eq!(world.log.len() as u64, before.seq);
    }
}
