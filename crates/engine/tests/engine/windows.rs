//! Gates that have to hold when something moves, not only when they were passed: windows, and passing without asking.

use tidegate_engine::engine::{Command, RunState, StepState, TargetKey, explain::Verdict};

use super::support::{HOUR_MS, MINUTE_MS, NOON_MS, World, approve, failed, freeze, pause, retry, stage, synthesised};

/// It is noon: the window is open for an hour.
const SHOP: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, main: { environment: Production } }
repositories: { software: { url: s.git }, infrastructure: { url: n.git } }
targets: { shop: {} }
calendars: { closed: ['2026-11-21'] }
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
      - deploy: {}
promotions:
  - { from: dev, to: main, on_failure: keep, requires: { window: 'daily 12:00-13:00 UTC', holidays: [closed] } }
hotfix: { skips: [window] }
";

/// Noon of Sunday: Saturday is closed.
const SUNDAY_MS: i64 = NOON_MS + 48 * HOUR_MS;
const CHECKS: [&str; 2] = ["check-infrastructure", "check-software"];

/// A change is verified in dev, and the window for its promotion is open.
fn promoting() -> World {
    let mut world = World::new(SHOP);
    world.push("software", "dev");
    world.settle_until(|world| world.live_subjects() == ["promote"]);
    assert_eq!(world.step_state("promote-3", "window"), StepState::Done);
    world
}

fn checked(world: &mut World) {
    for check in CHECKS {
        world.done("promote-3", check);
    }
}

/// The promotion waits for Sunday, and for nothing else; then it is checked again and made.
fn waits_for_sunday(world: &mut World) {
    assert_eq!(world.step_state("promote-3", "merge-software"), StepState::Ready);
    let waiting = world.waits_for("promote-3");
    assert_eq!(waiting.for_what, "the window daily 12:00-13:00 UTC, which is shut on holidays");
    assert_eq!(waiting.until_ms, Some(SUNDAY_MS));
    assert_eq!(waiting.since_ms, world.step("promote-3", CHECKS[1]).ended_ms.unwrap().max(NOON_MS + HOUR_MS));
    let merge = world.chain("promote-3").into_iter().find(|condition| condition.name == "merge-software").unwrap();
    assert_eq!((merge.verdict, merge.earliest_ms), (Verdict::Waiting, Some(SUNDAY_MS)));
    let lane = &world.system.targets[&TargetKey::Promotions(stage("main"))];
    assert_eq!((lane.holder, lane.queue.len()), (None, 0), "it keeps nobody from the lane");
    world.fires("promote-3", "window");
    checked(world);
    assert_eq!(world.step_state("promote-3", "merge-software"), StepState::Active);
    world.settle();
    assert_eq!(world.run("promote-3").state, RunState::Done);
}

#[test]
fn a_window_that_shuts_during_a_freeze_or_a_pause_holds_the_merge() {
    for hold in [freeze(None, NOON_MS + 2 * HOUR_MS), pause()] {
        let mut world = promoting();
        let frozen = matches!(hold, Command::Freeze { .. });
        world.asked("grace", hold);
        checked(&mut world);
        let merge = world.chain("promote-3").into_iter().find(|condition| condition.name == "merge-software").unwrap();
        if frozen {
            assert_eq!(merge.earliest_ms, Some(SUNDAY_MS), "the freeze ends when the window is shut");
            world.fires_timer("freeze-1#");
        } else {
            world.later(2 * HOUR_MS);
            world.asked("grace", Command::Resume);
        }
        waits_for_sunday(&mut world);
    }
}

#[test]
fn a_window_that_is_open_again_after_a_freeze_holds_nothing() {
    let mut world = promoting();
    world.asked("grace", freeze(None, SUNDAY_MS + MINUTE_MS));
    checked(&mut world);
    world.fires_timer("freeze-1#");
    assert_eq!(world.step_state("promote-3", "merge-software"), StepState::Active);
}

#[test]
fn a_window_that_shuts_while_the_merges_are_checked_or_wait_for_a_writer_holds_them() {
    let mut world = promoting();
    world.done("promote-3", CHECKS[0]);
    world.later(2 * HOUR_MS);
    world.done("promote-3", CHECKS[1]);
    waits_for_sunday(&mut world);
}

#[test]
fn a_promotion_that_waits_for_a_writer_when_its_window_shuts_gives_the_lane_back() {
    let mut world = World::new(SHOP);
    world.push("infrastructure", "dev");
    world.settle_until(|world| world.live_subjects() == ["promote"]);
    world.push("software", "main");
    world.done("package-3", "package");
    world.done("promote-2", "check-infrastructure");
    let lane = TargetKey::Promotions(stage("main"));
    assert_eq!(world.system.targets[&lane].holder, Some(2));
    world.push("infrastructure", "main");
    assert_eq!(world.live(), ["promote-2", "package-3"], "a push is held while the promotion has the lane");
    world.later(2 * HOUR_MS);
    world.done("package-3", "commit");
    assert_eq!(world.step_state("promote-2", "merge-infrastructure"), StepState::Ready);
    assert!(world.waits_for("promote-2").for_what.starts_with("the window"));
    assert_eq!(world.system.targets[&lane].holder, None);
    assert_eq!(world.live_subjects(), ["promote", "deliver"], "and is made up for");
}

#[test]
fn a_window_that_shuts_before_a_failed_promotion_is_tried_again_holds_it() {
    let mut world = promoting();
    world.done("promote-3", CHECKS[0]);
    world.answers("promote-3", CHECKS[1], failed("a conflict"));
    world.later(2 * HOUR_MS);
    world.asked("grace", retry("promote-3"));
    world.done("promote-3", CHECKS[1]);
    waits_for_sunday(&mut world);
}

#[test]
fn a_promotion_whose_first_merge_was_begun_in_the_window_is_finished() {
    let mut world = promoting();
    checked(&mut world);
    world.done("promote-3", "merge-infrastructure");
    world.answers("promote-3", "merge-software", failed("no space"));
    assert_eq!(world.state("promote-3"), RunState::Failed);
    world.later(2 * HOUR_MS);
    world.asked("grace", retry("promote-3"));
    assert_eq!(world.step_state("promote-3", "merge-software"), StepState::Active);
}

#[test]
fn a_newer_promotion_takes_the_place_of_one_that_waits_for_the_window() {
    let mut world = promoting();
    world.later(2 * HOUR_MS);
    checked(&mut world);
    world.push("software", "dev");
    world.settle();
    assert_eq!(world.state("promote-3"), RunState::Superseded);
    let newer = world.newest("promote");
    assert_eq!(world.step_state(&newer, "window"), StepState::Ready);
    let waiting = world.waits_for(&newer);
    assert_eq!((waiting.since_ms, waiting.until_ms), (world.now_ms, Some(SUNDAY_MS)));
    world.now_ms = SUNDAY_MS + 1;
    world.push("software", "main");
    assert_eq!(world.waits_for(&newer).for_what, waiting.for_what, "its alarm has not rung yet");
    let alarms = world.system.due.keys().filter(|effect| effect.as_str().starts_with("gate/"));
    assert_eq!(alarms.count(), 1, "what has ended needs no alarm");
    world.fires(&newer, "window");
    world.settle();
    assert_eq!(world.state(&newer), RunState::Done);
}

#[test]
fn a_hotfix_passes_a_window_that_has_shut() {
    let mark = || Command::Hotfix { what: "promote-3".to_owned(), reason: "customers cannot pay".to_owned() };
    for marked_first in [true, false] {
        let mut world = promoting();
        if marked_first {
            world.asked("grace", mark());
        }
        world.done("promote-3", CHECKS[0]);
        world.later(2 * HOUR_MS);
        world.done("promote-3", CHECKS[1]);
        if !marked_first {
            assert!(world.waits_for("promote-3").for_what.starts_with("the window"));
            world.asked("grace", mark());
        }
        assert_eq!(world.step_state("promote-3", "merge-software"), StepState::Active);
        assert!(!world.system.due.keys().any(|effect| effect.as_str().starts_with("gate/")), "it needs no alarm");
    }
}

const UNASKED: &str = "
version: 1
system: shop
stages: { main: { environment: Production } }
repositories: { infrastructure: { url: n.git } }
targets: { shop: { queue: fifo, on_failure: continue } }
rules:
  deliver:
    on: { push: infrastructure }
    target: shop
    steps:
      - synth: { template: template.yaml }
      - approve: { stages: { main: { count: 1 } }, pass_if_unchanged: true }
      - deploy: {}
";

/// A push whose template comes out so.
fn pushed(world: &mut World, run: &str, template: &str) {
    world.push("infrastructure", "main");
    world.answers(run, "synth", synthesised(template));
}

#[test]
fn what_passed_unasked_is_looked_at_again_when_the_target_is_taken() {
    let mut world = World::new(UNASKED);
    pushed(&mut world, "deliver-1", "sha256:one");
    world.asked("grace", approve("deliver-1"));
    world.done("deliver-1", "deploy");
    pushed(&mut world, "deliver-2", "sha256:two");
    world.asked("grace", approve("deliver-2"));
    pushed(&mut world, "deliver-3", "sha256:one");
    assert_eq!(world.step_state("deliver-3", "approve"), StepState::Done, "so far, nothing differs");
    world.done("deliver-2", "deploy");
    assert_eq!(world.step_state("deliver-3", "approve"), StepState::Active, "now something does");
    assert!(world.waits_for("deliver-3").for_what.starts_with("approval by anybody (0 of 1)"));
    let target = "shop@main".parse::<TargetKey>().unwrap();
    assert_eq!(world.system.targets[&target].holder, None, "a question holds no target");
    world.asked("grace", approve("deliver-3"));
    assert_eq!(world.step_state("deliver-3", "deploy"), StepState::Active, "somebody has seen it");
}

#[test]
fn a_plan_that_makes_its_template_after_the_approval_deploys_nothing() {
    let mut rules = super::support::rules(UNASKED);
    // Rules that say so are refused today; those of an older log may still say it.
    let deliver = rules.rules.values_mut().next().unwrap();
    deliver.steps.swap(0, 1);
    let mut world = World::new(UNASKED);
    world.load(rules);
    world.push("infrastructure", "main");
    world.asked("grace", approve("deliver-1"));
    world.done("deliver-1", "synth");
    assert_eq!(world.state("deliver-1"), RunState::Failed);
    let deploy = world.step("deliver-1", "deploy");
    assert_eq!(deploy.error.as_deref(), Some("what synth made was not shown to those who approved at approve"));
    assert_eq!(deploy.hint.as_deref(), Some("move `synth` before `approve` in the rules, then start anew"));
}
