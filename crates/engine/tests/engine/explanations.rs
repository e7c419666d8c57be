//! Why something is where it is: the conditions of runs, and the journeys of commits.

use tidegate_engine::engine::{
    Command,
    explain::{Condition, Journey, Verdict},
};

use super::support::{HOUR_MS, NOON_MS, World, approve, failed, promote, stage};

const SHOP: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, qa: { environment: QA }, main: { environment: Production } }
repositories: { software: { url: s.git }, infrastructure: { url: n.git } }
targets: { shop: { queue: fifo, on_failure: continue } }
rules:
  package:
    on: { push: software }
    steps:
      - package: {}
      - commit: { repository: infrastructure, file: config.json, set: { /tag: '{{package.tag}}' } }
  deliver:
    on: { push: infrastructure }
    target: shop
    steps:
      - synth: { template: template.yaml }
      - approve: { stages: { qa: { count: 1, from: [qa] } } }
      - deploy: {}
      - verify: { command: [smoke] }
promotions:
  - { from: dev, to: qa }
  - { from: qa, to: main, start: manual,
      requires: { soak: 2h, approvals: { count: 2, from: [managers] }, window: 'Mon-Thu 09:00-16:00 UTC' } }
";

fn verdicts(conditions: &[Condition]) -> Vec<(&str, Verdict)> {
    conditions.iter().map(|condition| (condition.name.as_str(), condition.verdict)).collect()
}

fn named<'a>(conditions: &'a [Condition], name: &str) -> &'a Condition {
    let found = conditions.iter().find(|condition| condition.name == name);
    found.unwrap_or_else(|| panic!("no {name}: {:#?}", verdicts(conditions)))
}

fn whole(journey: &Journey) -> Vec<(&str, Verdict)> {
    verdicts(&journey.conditions)
}

#[test]
fn a_run_has_passed_some_waits_at_one_and_has_others_before_it() {
    let mut world = World::new(SHOP);
    world.push("infrastructure", "qa");
    world.done("deliver-1", "synth");
    world.later(HOUR_MS);
    let chain = world.chain("deliver-1");
    assert_eq!(
        verdicts(&chain),
        [
            ("synth", Verdict::Passed),
            ("deploy/plan", Verdict::Passed),
            ("approve", Verdict::Waiting),
            ("deploy", Verdict::NotYet),
            ("verify", Verdict::NotYet)
        ]
    );
    let chain = &chain[1..];
    assert_eq!((chain[1].what.as_str(), chain[1].since_ms), ("approval by qa (0 of 1)", NOON_MS));
    assert!(chain[1].ended_by.contains("`tidegate approve deliver-1`"), "{}", chain[1].ended_by);
    assert_eq!((chain[2].what.as_str(), chain[2].ended_by.as_str()), ("deploy, after approve", "the steps before it"));
    // The words are those of status.
    let status = world.waits_for("deliver-1");
    assert_eq!((&chain[1].what, &chain[1].ended_by), (&status.for_what, &status.ended_by));
}

#[test]
fn the_earliest_moment_adds_the_clocks_up() {
    let mut world = World::new(SHOP);
    world.push("infrastructure", "dev");
    world.settle();
    world.asked("kim@qa", approve(&world.live().pop().unwrap()));
    world.settle();
    world.asked("ada", promote("qa", "main"));
    let chain = world.chain(&world.live().pop().unwrap());
    let soaked_ms = NOON_MS + 2 * HOUR_MS;
    // It is Friday: the window opens on Monday.
    let monday_ms = NOON_MS + (2 * 24 + 21) * HOUR_MS;
    let earliest: Vec<(&str, Option<i64>)> =
        chain.iter().map(|condition| (condition.name.as_str(), condition.earliest_ms)).collect();
    assert_eq!(earliest[..3], [("soak", Some(soaked_ms)), ("approve", Some(soaked_ms)), ("window", Some(monday_ms))]);
    assert!(earliest[3..].iter().all(|(_, earliest_ms)| *earliest_ms == Some(monday_ms)), "{earliest:?}");
}

#[test]
fn a_freeze_and_a_pause_are_said_in_their_own_words() {
    let mut world = World::new(SHOP);
    world.push("infrastructure", "dev");
    world.done("deliver-1", "synth");
    world.done("deliver-1", "deploy");
    let until_ms = NOON_MS + 48 * HOUR_MS;
    let freeze = Command::Freeze { stage: Some(stage("qa")), until_ms, reason: "audit".to_owned() };
    world.asked("ops", freeze);
    world.done("deliver-1", "verify");
    world.settle();
    let chain = world.chain(&world.live().pop().unwrap());
    let merge = named(&chain, "merge-infrastructure");
    assert_eq!((merge.verdict, merge.earliest_ms), (Verdict::Waiting, Some(until_ms)));
    assert!(merge.what.contains("the freeze of qa by ops: audit"), "{}", merge.what);
    assert!(merge.ended_by.contains("`tidegate thaw freeze-1`"), "{}", merge.ended_by);
    world.asked("ops", Command::Pause { reason: "fire".to_owned() });
    let chain = world.chain(&world.live().pop().unwrap());
    assert!(named(&chain, "merge-infrastructure").what.contains("the pause by ops: fire"));
}

#[test]
fn a_run_that_did_not_succeed_says_why_and_what_to_do() {
    let mut world = World::new(SHOP);
    world.push("infrastructure", "dev");
    world.answers("deliver-1", "synth", failed("no such template"));
    let chain = world.chain("deliver-1");
    assert_eq!(
        (chain[0].verdict, chain[0].what.as_str(), chain[0].ended_by.as_str()),
        (Verdict::Refused, "no such template", "mend it")
    );
    let end = chain.last().unwrap();
    assert_eq!((end.name.as_str(), end.verdict), ("end", Verdict::Refused));
    assert!(end.what.contains("synth failed") && end.ended_by.contains("tidegate retry deliver-1"), "{end:?}");
    assert!(chain.iter().all(|condition| condition.verdict == Verdict::Refused && condition.earliest_ms.is_none()));
}

#[test]
fn a_commit_is_followed_from_its_push_to_the_last_stage() {
    let mut world = World::new(SHOP);
    let pushed = world.push("software", "dev");
    let begun = world.journey("software", &pushed, "dev");
    assert_eq!(
        whole(&begun),
        [
            ("in software dev", Verdict::Passed),
            ("package-1 package", Verdict::Waiting),
            ("package-1 commit", Verdict::NotYet),
            ("deliver in dev", Verdict::NotYet)
        ]
    );
    assert_eq!(begun.verdict, Verdict::Waiting);
    let far = world.journey("software", &pushed, "main");
    let to_main = &far.conditions[begun.conditions.len()..];
    assert_eq!(
        verdicts(to_main)[..3],
        [
            ("verified in dev", Verdict::NotYet),
            ("promotion to qa: merge", Verdict::NotYet),
            ("package in qa", Verdict::NotYet)
        ]
    );
    assert!(named(to_main, "promotion to main: approve").what.contains("managers (2 in all)"));
    assert!(named(to_main, "promotion to main: window").earliest_ms.is_some());

    world.settle();
    let there = world.journey("software", &pushed, "dev");
    assert_eq!(there.verdict, Verdict::Passed);
    assert_eq!(there.summary, "deliver-2 deployed it to shop@dev");
    let asks = world.journey("software", &pushed, "qa");
    assert_eq!(asks.verdict, Verdict::Waiting);
    assert!(asks.summary.contains("approval by qa (0 of 1)"), "{}", asks.summary);
    let deliver = world.live().pop().unwrap();
    world.asked("kim@qa", approve(&deliver));
    world.settle();
    let there = world.journey("software", &pushed, "qa");
    assert_eq!((there.verdict, there.summary), (Verdict::Passed, format!("{deliver} deployed it to shop@qa")));
    assert!(there.conditions[1].what.contains("merged by promote-3"), "{:#?}", there.conditions);

    let stays = world.journey("software", &pushed, "main");
    assert_eq!(named(&stays.conditions, "verified in qa").verdict, Verdict::Passed);
    let promotion = named(&stays.conditions, "promotion to main");
    assert_eq!((promotion.verdict, promotion.ended_by.as_str()), (Verdict::Waiting, "`tidegate promote qa main`"));
    world.asked("ada", promote("qa", "main"));
    let soaks = world.journey("software", &pushed, "main");
    assert!(soaks.summary.contains("the soak time"), "{}", soaks.summary);
}

/// The state forgets commits that others replaced; the log does not.
#[test]
fn a_commit_that_others_replaced_is_where_they_brought_it() {
    let mut world = World::new(SHOP);
    let first = world.push("software", "dev");
    world.settle();
    for _ in 0..20 {
        world.push("software", "dev");
    }
    world.settle();
    let journey = world.journey("software", &first, "qa");
    assert!(journey.conditions[0].what.contains("brings it along"), "{:#?}", journey.conditions);
    assert_eq!(journey.verdict, Verdict::Waiting, "for the approval: {}", journey.summary);
    for run in world.live() {
        drop(world.ask("kim@qa", approve(&run)));
    }
    world.settle();
    assert_eq!(world.journey("software", &first, "qa").verdict, Verdict::Passed);
}

#[test]
fn what_failed_on_the_way_says_so_and_a_newer_change_brings_it() {
    let mut world = World::new(SHOP);
    let pushed = world.push("infrastructure", "dev");
    world.answers("deliver-1", "synth", failed("no such template"));
    let journey = world.journey("infrastructure", &pushed, "dev");
    assert_eq!(journey.verdict, Verdict::Refused);
    assert!(journey.summary.contains("deliver-1: synth failed: no such template"), "{}", journey.summary);
    assert!(named(&journey.conditions, "deliver-1").ended_by.contains("`tidegate retry deliver-1`"));
    world.push("infrastructure", "dev");
    world.settle();
    let journey = world.journey("infrastructure", &pushed, "dev");
    assert_eq!((journey.verdict, journey.summary.as_str()), (Verdict::Passed, "deliver-2 deployed it to shop@dev"));
}

#[test]
fn what_is_not_known_or_was_lost_is_said() {
    let mut world = World::new(SHOP);
    let unknown = tidegate_engine::engine::CommitId::new("f".repeat(40));
    assert!(
        world.journey("software", &unknown, "dev").summary.contains("is in no branch of software that a stage has")
    );
    assert!(world.journey("software", &unknown, "nowhere").summary.contains("no stage nowhere"));
    let first_sight = world.system.head(&super::support::repository("software"), &stage("main"));
    let first_sight = first_sight.unwrap().commit.clone();
    let journey = world.journey("software", &first_sight, "main");
    assert_eq!(journey.verdict, Verdict::Waiting);
    assert!(journey.conditions[1].ended_by.contains("`tidegate run start package --stage main`"));
    let backwards = world.journey("software", &first_sight, "dev");
    assert!(backwards.conditions.iter().any(|condition| condition.what.contains("no promotion that leads from main")));

    let lost = world.push("software", "dev");
    world.push_of("software", "dev", &["src/main"], true);
    let journey = world.journey("software", &lost, "dev");
    assert_eq!(journey.verdict, Verdict::Refused);
    assert!(journey.summary.contains("force-pushed"), "{}", journey.summary);
    let empty = World::empty();
    assert!(empty.journey("software", &lost, "dev").summary.contains("no valid rules"));
}
