//! Stories that see every fact, each as short as it can be.

use std::collections::BTreeSet;

use tidegate_engine::{
    engine::{
        Access, Command, CommandKey, CommitFact, CommitId, Delivery, Digest, Effect, EffectKind, Event, Fact, Nudge,
        Observation, Outcome, Pins, Recorded, RepositoryFact, RunId, StageFact, Standing, StepFact, StepKey,
        StepOutcome, Unread, fold, version::release::Release,
    },
    rules::{Operation, StepId, SystemName},
};

use crate::support::{
    HOUR_MS, World, abort, again, approve, failed, freeze, lift_veto, observe, operate, pause, pending, person, pin,
    repository, retry, roll_back, rules, run_rule, stage, unlock, unpin,
    verified::{SHOP, two_versions, verified_in},
    veto,
};

const PEOPLE: &str = include_str!("people.yaml");
const TARGETS: &str = include_str!("targets.yaml");

pub(super) fn all() -> Vec<(&'static str, World)> {
    vec![
        ("people", people()),
        ("places", places()),
        ("versions", versions()),
        ("half-way", half_way()),
        ("release", release()),
        ("rules", rules_offered()),
        ("targets", targets()),
        ("triggers", triggers()),
        ("fan-in", super::super::fan_in::combined()),
    ]
}

/// The newest delivery asks for approval.
fn asks(world: &mut World) -> String {
    let run = world.newest("deliver");
    world.done(&run, "synth");
    run
}

/// People approve, hold, mend and hurry; a receiver of notices is gone.
fn people() -> World {
    let mut world = World::new(PEOPLE);
    world.record(Event::AccessLoaded { access: Access::default() });
    let (source, digest) = ("rules.yaml".to_owned(), Digest::of(b"?"));
    world.record(Event::RulesRefused { source, digest, mistakes: "there is no rule".to_owned(), origin: None });

    world.push("infrastructure", "dev");
    let first = asks(&mut world);
    world.asked("grace@managers", approve(&first));
    world.asked("grace@managers", Command::Withdraw { run: RunId::new(first.as_str()) });
    world.asked("grace@managers", approve(&first));
    world.asked("linus@managers", approve(&first));
    world.answers(&first, "deploy", again("no route"));
    world.answers(&first, "deploy", pending(1_000));
    let nudge = |what, delivery: &str| Event::Nudged { what, delivery: delivery.parse().unwrap(), by: None };
    world.record(nudge(Nudge::Handle { handle: "job-1".to_owned() }, "job-1-ended"));
    world.record(nudge(Nudge::Repository { repository: repository("infrastructure") }, "push-1"));
    // Another waits for the target meanwhile, and is ended.
    world.push("infrastructure", "dev");
    let second = asks(&mut world);
    world.asked("grace@managers", approve(&second));
    world.asked("ada", abort(&second));
    world.push("infrastructure", "dev");
    let third = asks(&mut world);
    world.asked("grace@managers", approve(&third));
    world.asked("linus@managers", approve(&third));
    world.asked("ada", abort(&third));
    world.later(3 * HOUR_MS);
    world.answers(&first, "deploy", pending(1_000));
    world.answers(&first, "deploy", StepOutcome::Cancelled);
    world.asked("ada", unlock("shop", "dev"));

    world.asked("ada", retry(&third));
    world.asked("ada", abort(&third));
    world.answers(&third, "deploy", StepOutcome::Cancelled);
    world.asked("ada", unlock("shop", "dev"));

    world.asked("ada", pause());
    let key = CommandKey::new("7f1c", Digest::of(b"resume")).unwrap();
    let (by, command) = (person("ada"), Command::Resume);
    world.record(Event::Command { by, command, key: Some(key) });
    let lost = StepKey::new("shop/deliver-40.19ac9d1e2f0/pin");
    world.commit(&repository("infrastructure"), &stage("dev"), "Tidegate", Some(lost));
    world.watch(&repository("infrastructure"));
    world.asked("ada", Command::Resume);
    asks(&mut world);
    world.asked("ada", freeze(Some("dev"), world.now_ms + HOUR_MS));
    world.push("infrastructure", "dev");
    let last = asks(&mut world);
    world.asked("grace@managers", approve(&last));
    world.asked("linus@managers", approve(&last));
    let (run, reason) = (RunId::new(last.as_str()), "it is small".to_owned());
    world.asked("ada", Command::Override { freeze: "freeze-1".to_owned(), run, reason });
    world.asked("ada", Command::Thaw { freeze: "freeze-1".to_owned() });
    world.settle();
    let hurried = world.newest("promote");
    world.asked("ada", Command::Hotfix { what: hurried, reason: "it leaks".to_owned() });
    let head = world.system.head(&repository("infrastructure"), &stage("dev")).unwrap().commit.clone();
    world.asked("ada", Command::Hotfix { what: head.to_string(), reason: "it leaks".to_owned() });
    tell(&mut world);
    bounds(&mut world, &last);
    world
}

/// A target is looked at, acted on, changed by another hand, renamed and deleted; a job fails and is done again.
fn targets() -> World {
    let mut world = World::new(TARGETS);
    world.looks = Observation::of(Standing::Absent);
    world.push("infrastructure", "main");
    world.done("deliver-1", "synth");
    world.asked("grace@managers", approve("deliver-1"));
    world.does("deliver-1", "deploy");
    world.looks = Observation::of(Standing::Stable);
    world.done("deliver-1", "deploy");
    world.looks.saw.insert("image".to_owned(), "ami-2".into());
    world.is_looked_at("shop@main");
    world.asked("ada", run_rule("clean", "dev"));
    world.does("clean-2", "deploy");
    world.answers("clean-2", "deploy", failed("no such file"));
    world.asked("ada", retry("clean-2"));
    world.asked("ada", observe("nightly", "main"));
    let looks = |effect: &&Effect| effect.id.as_str().starts_with("observe/nightly");
    let look = world.system.due.values().find(looks).unwrap().id.clone();
    world.answer(&look, Outcome::Unobserved { error: "no route".to_owned() });
    let renamed = TARGETS.replace("  shop: {", "  store: { was: shop,").replace("target: shop", "target: store");
    world.load(rules(&renamed));
    world.asked("ada", operate(Operation::Delete, "store", "main"));
    world.does("delete-3", "delete");
    world.looks = Observation::of(Standing::Absent);
    world.done("delete-3", "delete");
    world
}

/// Rules are offered twice, refused, and come into force.
fn rules_offered() -> World {
    let mut world = World::new(PEOPLE);
    let text = PEOPLE.replace("count: 2", "count: 1");
    for text in [text.as_str(), &text.replace("system: shop", "system: shop # again")] {
        world.record(super::super::rules_offered::offer(PEOPLE, text, &["Ada <ada@x.example>"]));
    }
    let asked = world.newest("rules");
    world.asked("grace@managers", approve(&asked));
    world
}

/// Every notice is given up but one, which is tried twice.
fn tell(world: &mut World) {
    let mut tries = 0;
    loop {
        let notices = world.system.due.values().filter(|effect| matches!(effect.kind, EffectKind::Notify { .. }));
        let notices: Vec<_> = notices.map(|effect| effect.id.clone()).collect();
        let [next, others @ ..] = notices.as_slice() else { return };
        let delivery = match tries {
            0 => Delivery::Retry { error: "503".to_owned(), after_ms: None },
            _ if others.is_empty() => Delivery::Delivered,
            _ => Delivery::Failed { error: "404".to_owned(), hint: "mend the address".to_owned() },
        };
        tries += 1;
        world.answer(next, Outcome::Notice(delivery));
    }
}

/// What is forgotten only after hundreds of events: these facts are written by hand.
fn bounds(world: &mut World, run: &str) {
    let number = world.run(run).number;
    let (step, what) = (StepId::new("approve").unwrap(), StepFact::VoidForgotten { count: 1 });
    let commit = world.system.hotfixes.keys().next().unwrap().clone();
    let pins = Pins { file: "config.json".to_owned(), values: [("/tag".to_owned(), "v1".into())].into() };
    let facts = vec![
        Fact::Step { run: number, step, what },
        Fact::Stage { stage: stage("dev"), what: StageFact::VersionForgotten },
        Fact::DeliveryForgotten,
        Fact::KeyForgotten,
        Fact::Commit { commit: commit.clone(), what: CommitFact::MarkForgotten },
        Fact::Commit { commit, what: CommitFact::CarriedForgotten },
        Fact::Repository {
            repository: repository("infrastructure"),
            what: RepositoryFact::ProvenanceForgotten(pins.into()),
        },
    ];
    let (effect, outcome) = (tidegate_engine::engine::EffectId::new("late"), Outcome::Fired);
    let event = Event::Outcome { effect, outcome, waited_ms: 0 };
    let recorded = Recorded { seq: world.system.seq + 1, at_ms: world.now_ms, event };
    drop(fold(&mut world.system, recorded.seq, recorded.at_ms, facts.clone()));
    world.log.push(recorded);
    world.facts.push(facts);
}

/// Repositories that cannot be reached, branches that go, rules that have less.
fn places() -> World {
    let mut world = World::new(&SHOP.replace("{ software:", "{ tools: { url: t.git }, software:"));
    let (software, dev) = (repository("software"), stage("dev"));
    let unreachable = Outcome::Unreachable { error: "no route".to_owned() };
    world.answer(&world.watch_of(&software), unreachable);
    let unread = Unread { commit: CommitId::new("f".repeat(40)), error: "a tree of a billion files".to_owned() };
    let unread = Outcome::Heads { heads: Default::default(), unread: [(dev.clone(), unread)].into(), tags: None };
    world.answer(&world.watch_of(&software), unread);
    world.push("software", "dev");
    // Somebody pushes before our own commit is seen.
    world.done(&world.newest("package"), "package");
    world.commit(&repository("infrastructure"), &dev, "linus", None);
    world.done(&world.newest("package"), "commit");
    world.watch(&repository("infrastructure"));
    world.settle();
    for number in 0..9 {
        world.asked("ada", run_rule("package", if number % 2 == 0 { "qa" } else { "main" }));
        world.settle();
    }
    let branch = world.remotes.get_mut(&(software.clone(), stage("main"))).unwrap();
    branch.push(None);
    world.watch(&software);
    let less = SHOP
        .replace(", main: { environment: Production }", "")
        .replace("  - { from: qa, to: main, start: manual }\n", "");
    world.load(rules(&less));
    world
}

/// A stage goes back to what was verified in it before anything was promoted into it, and on again.
fn versions() -> World {
    let mut world = World::new(SHOP);
    world.reproducible = true;
    world.asked("ada", run_rule("deliver", "qa"));
    world.settle();
    world.deliver_in_dev();
    world.settle();
    world.asked("ada", veto("deadbeef"));
    world.asked("ada", lift_veto("deadbeef"));
    world.asked("ada", pin("qa", None));
    world.asked("ada", unpin("qa"));
    world.asked("ada", roll_back("qa", None));
    world.settle();
    // A fix that only qa has: what was made in dev does not come along.
    world.push("software", "qa");
    world.settle();
    world.deliver_in_dev();
    world.settle();
    world
}

/// A promotion merges half of its set and fails; that is taken back, and it is tried again.
fn half_way() -> World {
    let (mut world, promotion) = verified_in(SHOP);
    for step in ["check-software", "check-infrastructure", "merge-infrastructure"] {
        world.done(&promotion, step);
    }
    world.answers_late(&promotion, "merge-software", 4_000, failed("protected branch"));
    world.settle();
    world.asked("ada", retry(&promotion));
    world.settle();
    world
}

/// A promotion waits for the others of its release, and is tried again.
fn release() -> World {
    let (mut world, _) = two_versions();
    let systems: BTreeSet<SystemName> = ["shop", "billing"].map(|name| SystemName::new(name).unwrap()).into();
    let release = Some(Release { name: "spring fair".to_owned(), systems });
    world.asked("ada", Command::Promote { from: stage("qa"), to: stage("main"), version: None, release });
    let promotion = world.newest("promote");
    world.done(&promotion, "check-software");
    world.done(&promotion, "check-infrastructure");
    world.answers(&promotion, "release", failed("billing promote-9 ended"));
    world.asked("ada", retry(&promotion));
    world
}

/// Tags, ends of what runs outside and bundles start rules; a commit that was told of is passed.
fn triggers() -> World {
    let mut world = super::super::triggers::tagged();
    super::super::triggers::starts_all(&mut world);
    world
}
