//! How steps and runs end: retries, deadlines, cancellation, failures that drain, and doing a run again.

use tidegate_engine::engine::{Made, Outcome, Phase, RunState, StepOutcome, StepState, explain};

use super::support::{
    HOUR_MS, MINUTE_MS, NOON_MS, World, abort, again, approve, done, failed, pending, repository, retry, stage,
};

/// A bake that is tried three times and may take ten minutes, beside a package; then a commit.
const SHOP: &str = "
version: 1
system: shop
stages: { dev: { environment: Development } }
repositories: { image: { url: i.git }, infrastructure: { url: n.git } }
targets: { shop: { queue: fifo } }
rules:
  bake:
    on: { push: image }
    steps:
      - bake: {}
        needs: []
        timeout: 10m
        retry: { attempts: 3, backoff: 30s }
      - package: {}
        needs: []
      - commit: { repository: infrastructure, file: config.json, set: { /ami: '{{bake.amis}}' } }
        needs: [bake, package]
  deliver:
    on: { push: infrastructure }
    target: shop
    steps:
      - synth: { template: template.yaml }
      - approve: { stages: { dev: { count: 1, expires: 1d } } }
      - deploy: {}
";

fn baking() -> World {
    let mut world = World::new(SHOP);
    world.push("image", "dev");
    world
}

/// Scenario 3, and 18 in kind: what is active drains, nothing new starts.
#[test]
fn a_failed_build_fails_the_run_and_nothing_is_committed() {
    let mut world = baking();
    world.answers("bake-1", "bake", failed("the image is FAILED"));
    assert_eq!(world.state("bake-1"), RunState::Ending);
    assert_eq!(world.phase("bake-1", "package"), Phase::Start, "it drains");
    world.done("bake-1", "package");
    assert_eq!(world.state("bake-1"), RunState::Failed);
    assert_eq!(world.run("bake-1").reason.unwrap(), "bake failed: the image is FAILED");
    assert_eq!(world.step_state("bake-1", "commit"), StepState::Blocked);
    assert!(world.system.pins.is_empty() && world.live().is_empty());
}

#[test]
fn a_run_names_every_step_that_failed() {
    let mut world = baking();
    world.answers("bake-1", "bake", failed("no base image"));
    world.answers("bake-1", "package", failed("no space"));
    assert_eq!(world.run("bake-1").reason.unwrap(), "bake failed: no base image; package failed: no space");
}

#[test]
fn a_passing_failure_is_tried_again_further_and_further_apart_and_not_for_ever() {
    let mut world = baking();
    world.answers("bake-1", "bake", again("throttled"));
    assert_eq!(world.effect("bake-1", "bake").due_ms, NOON_MS + 30_000);
    let waiting = explain::step(&world.system, &world.run("bake-1"), &world.step("bake-1", "bake")).unwrap();
    assert_eq!(waiting.for_what, "bake to be tried again (1 tries so far): throttled");
    let asked = StepOutcome::Retry { error: "throttled".to_owned(), after_ms: Some(2 * MINUTE_MS) };
    world.answers("bake-1", "bake", asked);
    assert_eq!(world.effect("bake-1", "bake").due_ms, NOON_MS + 2 * MINUTE_MS, "the outside may ask for longer");
    world.answers("bake-1", "bake", again("throttled"));
    assert_eq!(world.step_state("bake-1", "bake"), StepState::Failed);
    assert_eq!(world.step("bake-1", "bake").error.unwrap(), "gave up after 3 tries: throttled");
}

#[test]
fn a_step_that_outlives_its_deadline_is_cancelled_and_fails() {
    let mut world = baking();
    world.done("bake-1", "package");
    world.answers("bake-1", "bake", pending(9 * MINUTE_MS));
    world.later(9 * MINUTE_MS);
    world.answers("bake-1", "bake", pending(9 * MINUTE_MS));
    assert_eq!(world.effect("bake-1", "bake").due_ms, NOON_MS + 10 * MINUTE_MS, "a last look at the deadline");
    world.later(MINUTE_MS);
    world.answers("bake-1", "bake", pending(MINUTE_MS));
    assert_eq!(world.phase("bake-1", "bake"), Phase::Cancel);
    world.answers("bake-1", "bake", StepOutcome::Cancelled);
    assert_eq!((world.state("bake-1"), world.step_state("bake-1", "bake")), (RunState::Failed, StepState::Failed));
    assert_eq!(world.run("bake-1").reason.unwrap(), "bake took longer than 10m");
}

/// Its time begins when it begins, and stands still while it waits to be looked at.
#[test]
fn a_wait_for_a_place_is_none_of_the_time_of_a_step() {
    let mut world = baking();
    world.done("bake-1", "package");
    world.later(30 * MINUTE_MS);
    world.answers_late("bake-1", "bake", 30 * MINUTE_MS, pending(9 * MINUTE_MS));
    assert_eq!(world.phase("bake-1", "bake"), Phase::Poll, "it waited for longer than it may take");
    let waits = world.waits_for("bake-1");
    assert!(waits.ended_by.contains("its deadline at 2026-11-20 12:40"), "{waits:?}");
    world.later(19 * MINUTE_MS);
    world.answers_late("bake-1", "bake", 10 * MINUTE_MS, pending(9 * MINUTE_MS));
    assert_eq!(world.effect("bake-1", "bake").due_ms, NOON_MS + 50 * MINUTE_MS, "a last look at the deadline");
    world.later(MINUTE_MS);
    world.answers("bake-1", "bake", pending(MINUTE_MS));
    assert_eq!(world.run("bake-1").reason.unwrap(), "bake took longer than 10m");
    world.answers("bake-1", "bake", StepOutcome::Cancelled);
    world.asked("ada", retry("bake-1"));
    assert_eq!(world.step("bake-1", "bake").waited_ms, 0, "a new round has all of its time");
}

/// A service that is never healthy, asked about every 200 ms: each answer is in the log for ever.
#[test]
fn what_takes_long_is_looked_at_less_and_less_often() {
    const SECOND_MS: i64 = 1_000;
    let mut world = baking();
    let mut looks = vec![0];
    while *looks.last().unwrap() < 5 * MINUTE_MS {
        world.answers("bake-1", "bake", pending(200));
        let due_ms = world.effect("bake-1", "bake").due_ms - NOON_MS;
        world.later(due_ms - looks.last().unwrap());
        looks.push(due_ms);
    }
    let within = |seconds: i64| looks.iter().filter(|look| **look <= seconds * SECOND_MS).count();
    assert_eq!(within(2), 11, "every 200 ms at first");
    assert!(within(300) < 80, "{looks:?}");
    assert_eq!(looks[looks.len() - 1] - looks[looks.len() - 2], 10 * SECOND_MS);
    world.answers("bake-1", "bake", pending(MINUTE_MS));
    assert_eq!(world.effect("bake-1", "bake").due_ms - NOON_MS - looks.last().unwrap(), MINUTE_MS, "as asked for");
}

#[test]
fn a_cancellation_that_never_ends_is_given_up() {
    let mut world = baking();
    world.done("bake-1", "package");
    world.answers("bake-1", "bake", pending(MINUTE_MS));
    world.asked("ada", abort("bake-1"));
    world.answers("bake-1", "bake", pending(MINUTE_MS));
    world.later(21 * MINUTE_MS);
    world.answers("bake-1", "bake", pending(MINUTE_MS));
    assert_eq!(world.state("bake-1"), RunState::Aborted);
    assert!(world.step("bake-1", "bake").hint.unwrap().contains("may still go on outside"));
}

/// Scenario 16.
#[test]
fn an_aborted_run_cancels_what_is_active_and_late_outcomes_change_nothing() {
    let mut world = baking();
    world.done("bake-1", "package");
    let started = world.effect("bake-1", "bake").id;
    world.asked("ada", abort("bake-1"));
    assert_eq!((world.state("bake-1"), world.phase("bake-1", "bake")), (RunState::Ending, Phase::Cancel));
    assert_eq!(world.waits_for("bake-1").for_what, "bake to be cancelled");

    let late = done(Made::Nothing, Vec::new());
    let decision = world.answer(&started, Outcome::Step(late));
    assert_eq!(decision, tidegate_engine::engine::Decision::default());
    world.answers("bake-1", "bake", StepOutcome::Cancelled);
    assert_eq!((world.state("bake-1"), world.step_state("bake-1", "bake")), (RunState::Aborted, StepState::Cancelled));
    assert_eq!(world.run("bake-1").reason.unwrap(), "ada aborted it: enough");
    assert_eq!(world.step_state("bake-1", "commit"), StepState::Blocked);
    assert!(world.ask("ada", abort("bake-1")).is_err());
}

#[test]
fn what_was_done_before_its_cancellation_came_is_recorded_as_done() {
    let mut world = baking();
    world.done("bake-1", "package");
    world.done("bake-1", "bake");
    world.asked("ada", abort("bake-1"));
    world.done("bake-1", "commit");
    assert_eq!((world.state("bake-1"), world.step_state("bake-1", "commit")), (RunState::Aborted, StepState::Done));
    assert_eq!(world.system.pins.len(), 1);
    assert_eq!(world.live(), ["deliver-2"], "the commit is there, and its push is taken in");
}

#[test]
fn done_again_by_hand_what_comes_after_is_reset_and_approvals_are_void() {
    let mut world = World::new(SHOP);
    world.push("infrastructure", "dev");
    world.done("deliver-1", "synth");
    world.asked("grace", approve("deliver-1"));
    world.answers("deliver-1", "deploy", failed("no capacity"));
    world.asked("ada", super::support::unlock("shop", "dev"));
    world.asked("ada", retry("deliver-1"));
    assert_eq!(world.step("deliver-1", "deploy").round, 2, "done anew, under another key");
    assert_eq!(world.step("deliver-1", "approve").answers.len(), 1, "what was approved is what it was");
    world.answers("deliver-1", "deploy", failed("no capacity"));

    world.push("infrastructure", "dev");
    assert!(world.ask("ada", retry("deliver-1")).unwrap_err().to_string().contains("deliver-2 is newer"));
    world.answers("deliver-2", "synth", failed("no npx"));
    world.asked("ada", retry("deliver-2"));
    world.done("deliver-2", "synth");
    world.asked("ada", abort("deliver-2"));
    world.asked("ada", retry("deliver-2"));
    assert_eq!(world.step_state("deliver-2", "approve"), StepState::Active);
    assert!(world.step("deliver-2", "approve").answers.is_empty());
}

/// Scenario 6.
#[test]
fn a_rejected_run_fails_and_the_target_is_untouched() {
    let mut world = World::new(SHOP);
    world.push("infrastructure", "dev");
    world.done("deliver-1", "synth");
    let reject = tidegate_engine::engine::Command::Reject {
        run: tidegate_engine::engine::RunId::new("deliver-1"),
        reason: "too dear".to_owned(),
    };
    world.asked("grace", reject);
    assert_eq!(world.state("deliver-1"), RunState::Failed);
    assert_eq!(world.run("deliver-1").reason.unwrap(), "approve failed: grace rejected it: too dear");
    assert!(world.system.targets.values().all(|target| target.deployed.is_none() && target.holder.is_none()));
    assert!(world.ask("grace", approve("deliver-1")).is_err());
}

#[test]
fn a_question_that_nobody_answers_expires() {
    let mut world = World::new(SHOP);
    world.push("infrastructure", "dev");
    world.done("deliver-1", "synth");
    assert_eq!(world.effect("deliver-1", "approve").due_ms, NOON_MS + 24 * HOUR_MS);
    world.fires("deliver-1", "approve");
    assert_eq!(world.run("deliver-1").reason.unwrap(), "approve failed: nobody decided within 1d");
    world.asked("ada", retry("deliver-1"));
    assert_eq!(world.step_state("deliver-1", "approve"), StepState::Active, "it is asked anew");
}

#[test]
fn steps_that_wait_for_one_another_are_a_deadlock_which_is_an_error() {
    let mut world = World::empty();
    let mut rules = super::support::rules(SHOP);
    let package = tidegate_engine::rules::StepId::new("package").unwrap();
    for step in &mut rules.rules.get_index_mut(0).unwrap().1.steps {
        step.needs = Some(vec![package.clone()]);
    }
    for name in ["image", "infrastructure"] {
        world.commit(&repository(name), &stage("dev"), "ada", None);
    }
    world.load(rules);
    world.watch(&repository("image"));
    world.push("image", "dev");
    assert_eq!(world.state("bake-1"), RunState::Failed);
    assert_eq!(world.run("bake-1").reason.unwrap(), "deadlock: only steps that wait for one another are left");
}

/// More pairs of rule and stage than the state keeps ended runs: the newer of two runs is aborted, then the older one ends.
#[test]
fn the_newest_run_of_a_rule_is_kept_when_an_older_one_ends_after_it() {
    let lane = |number: usize| format!("  lane{number}: {{ on: {{ push: lanes }}, steps: [package: {{}}] }}\n");
    let lanes: String = (0..9).map(lane).collect();
    let shop = SHOP.replace("repositories: {", "repositories: { lanes: { url: l.git },");
    let mut world = World::new(&format!("{shop}{lanes}"));
    for _ in 0..2 {
        world.push("infrastructure", "dev");
    }
    let [older, newer] = ["deliver-1", "deliver-2"];
    for run in [older, newer] {
        world.done(run, "synth");
    }
    world.push("lanes", "dev");
    world.settle();
    for run in [newer, older] {
        world.asked("ada", abort(run));
    }
    assert!(world.system.ended.len() > 8, "{:?}", world.system.ended);
    assert_eq!(world.state(newer), RunState::Aborted, "it is known still");
    world.asked("ada", retry(newer));
    assert_eq!(world.state(newer), RunState::Running);
    // And forgotten when it is not the newest any more.
    world.asked("ada", abort(newer));
    for _ in 0..9 {
        world.push("infrastructure", "dev");
        let run = world.live().pop().unwrap();
        world.done(&run, "synth");
        world.asked("ada", abort(&run));
    }
    assert!(world.system.run(&tidegate_engine::engine::RunId::new(older)).is_none());
    assert!(world.system.run(&tidegate_engine::engine::RunId::new(newer)).is_none());
}
