//! What may move when: freezes, pauses, checks, holidays, the hotfix lane, and passing without asking.

use tidegate_engine::engine::{Command, RunId, RunState, StepState};

use super::support::{
    HOUR_MS, MINUTE_MS, NOON_MS, World, abort, approve, failed, freeze, pause, pending, promote, retry, stage,
    synthesised,
};

const SHOP: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, main: { environment: Production } }
repositories: { software: { url: s.git }, infrastructure: { url: n.git } }
targets: { shop: { queue: supersede } }
calendars: { closed: ['2026-11-23', '11-24'] }
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
      - approve: { stages: { main: { count: 1 } }, pass_if_unchanged: true }
      - deploy: { parameters: { Stage: '{{stage}}' } }
promotions:
  - from: dev
    to: main
    requires:
      soak: 2h
      checks:
        load-test: { http: 'https://{{stage}}.example/load', every: 5m, within: 1h }
        nightly: { command: [bin/nightly], repository: software }
      window: Mon-Thu 09:00-16:00 UTC
      holidays: [closed]
hotfix: { from: [managers], skips: [soak, window, nightly, freeze] }
";

fn delivering() -> World {
    let mut world = World::new(SHOP);
    world.push("infrastructure", "dev");
    world.done("deliver-1", "synth");
    world
}

/// A change is verified in dev, and its promotion soaks.
fn promoting() -> World {
    let mut world = World::new(SHOP);
    world.push("software", "dev");
    world.settle();
    assert_eq!(world.live(), ["promote-3"]);
    world
}

fn hotfix(what: &str) -> Command {
    Command::Hotfix { what: what.to_owned(), reason: "customers cannot pay".to_owned() }
}

fn pass(name: &str, run: &str) -> Command {
    Command::Override { freeze: name.to_owned(), run: RunId::new(run), reason: "it is the fix".to_owned() }
}

#[test]
fn a_frozen_stage_holds_what_would_move_and_nothing_else() {
    let mut world = World::new(SHOP);
    world.asked("grace", freeze(Some("dev"), NOON_MS + HOUR_MS));
    world.push("infrastructure", "dev");
    assert_eq!(world.step_state("deliver-1", "synth"), StepState::Active, "work that moves nothing goes on");
    world.done("deliver-1", "synth");
    assert_eq!(world.step_state("deliver-1", "approve"), StepState::Done);
    assert_eq!(world.step_state("deliver-1", "deploy"), StepState::Ready);
    let waiting = world.waits_for("deliver-1");
    assert_eq!(waiting.for_what, "the end of freeze-1, the freeze of dev by grace: Christmas");
    assert_eq!(waiting.until_ms, Some(NOON_MS + HOUR_MS));
    assert!(waiting.ended_by.contains("tidegate override freeze-1 deliver-1"), "{}", waiting.ended_by);
    let target = &world.system.targets[&"shop@dev".parse::<tidegate_engine::engine::TargetKey>().unwrap()];
    assert_eq!(target.holder, None, "what is frozen holds no target");
    world.push("infrastructure", "main");
    world.done("deliver-2", "synth");
    world.asked("grace", approve("deliver-2"));
    assert_eq!(world.step_state("deliver-2", "deploy"), StepState::Active, "other stages are not frozen");
}

#[test]
fn a_freeze_ends_by_the_clock_or_by_hand() {
    for by_hand in [true, false] {
        let mut world = delivering();
        world.push("infrastructure", "main");
        world.asked("grace", freeze(None, NOON_MS + HOUR_MS));
        world.done("deliver-2", "synth");
        world.asked("grace", approve("deliver-2"));
        assert_eq!(world.step_state("deliver-2", "deploy"), StepState::Ready);
        if by_hand {
            world.asked("grace", Command::Thaw { freeze: "freeze-1".to_owned() });
        } else {
            world.fires_timer("freeze-1#");
            assert_eq!(world.system.at_ms, NOON_MS + HOUR_MS);
        }
        assert_eq!(world.step_state("deliver-2", "deploy"), StepState::Active);
        assert!(world.system.freezes.is_empty());
    }
}

#[test]
fn a_promotion_that_has_begun_to_merge_is_finished_whatever_is_frozen_meanwhile() {
    let mut world = promoting();
    world.asked("grace@managers", hotfix("promote-3"));
    world.done("promote-3", "load-test");
    world.push("software", "main");
    world.done("package-4", "package");
    for check in ["check-software", "check-infrastructure"] {
        world.done("promote-3", check);
    }
    assert_eq!(world.step_state("promote-3", "merge-infrastructure"), StepState::Ready, "package-4 commits there");
    world.load(super::support::rules(&SHOP.replace(", freeze]", "]")));
    world.asked("grace", freeze(None, NOON_MS + 24 * HOUR_MS));
    world.done("promote-3", "merge-software");
    world.done("package-4", "commit");
    assert_eq!(world.step_state("promote-3", "merge-infrastructure"), StepState::Active);
    world.done("promote-3", "merge-infrastructure");
    assert_eq!(world.state("promote-3"), RunState::Done);
}

#[test]
fn a_run_may_be_let_past_a_freeze_with_a_reason_and_only_that_run() {
    let mut world = delivering();
    world.asked("grace", freeze(None, NOON_MS + HOUR_MS));
    world.done("deliver-1", "deploy");
    world.push("infrastructure", "dev");
    world.push("software", "dev");
    world.done("deliver-3", "synth");
    world.done("package-4", "package");
    assert_eq!(world.step_state("package-4", "commit"), StepState::Ready, "forward commits are frozen as well");
    let refused = world.ask(
        "grace",
        Command::Override { freeze: "freeze-1".to_owned(), run: RunId::new("deliver-3"), reason: " ".to_owned() },
    );
    assert_eq!(refused.unwrap_err().to_string(), "an override needs a reason; say it with `--reason`");
    world.asked("grace", pass("freeze-1", "deliver-3"));
    assert_eq!(world.step_state("deliver-3", "deploy"), StepState::Active);
    assert_eq!(world.step_state("package-4", "commit"), StepState::Ready);
    let refused = world.ask("grace", pass("freeze-9", "package-4")).unwrap_err().to_string();
    assert_eq!(refused, "there is no freeze `freeze-9`; in force: freeze-1");
}

#[test]
fn of_those_that_a_freeze_holds_only_the_newest_goes_on() {
    let mut world = World::new(SHOP);
    world.asked("grace", freeze(Some("dev"), NOON_MS + HOUR_MS));
    for run in ["deliver-1", "deliver-2"] {
        world.push("infrastructure", "dev");
        world.done(run, "synth");
    }
    assert_eq!(world.state("deliver-1"), RunState::Superseded);
    world.fires_timer("freeze-1#");
    assert_eq!(world.step_state("deliver-2", "deploy"), StepState::Active);
}

#[test]
fn a_pause_lets_what_runs_end_and_starts_nothing_new() {
    let mut world = World::new(SHOP);
    world.push("software", "dev");
    world.asked("grace", pause());
    world.done("package-1", "package");
    assert_eq!(world.step_state("package-1", "commit"), StepState::Ready);
    world.push("infrastructure", "main");
    assert_eq!(world.step_state("deliver-2", "synth"), StepState::Ready, "pushes are seen, and wait");
    for run in ["package-1", "deliver-2"] {
        let waiting = world.waits_for(run);
        assert_eq!(waiting.for_what, "the end of the pause by grace: the cloud is down");
        assert_eq!(waiting.ended_by, "an operator: `tidegate resume`");
    }
    assert!(world.ask("grace", pause()).unwrap_err().to_string().contains("paused already, by grace"));
    world.asked("linus", Command::Resume);
    assert_eq!(world.step_state("package-1", "commit"), StepState::Active);
    assert_eq!(world.step_state("deliver-2", "synth"), StepState::Active);
    assert!(world.ask("grace", Command::Resume).is_err());
}

#[test]
fn a_step_that_fails_in_a_pause_is_still_tried_again() {
    let mut world = delivering();
    world.asked("grace", pause());
    world.answers("deliver-1", "deploy", super::support::again("throttled"));
    assert_eq!(world.step_state("deliver-1", "deploy"), StepState::Active, "it runs: its effect is its own");
    world.done("deliver-1", "deploy");
    assert_eq!(world.state("deliver-1"), RunState::Done);
    assert_eq!(world.step_state("promote-2", "soak"), StepState::Ready, "what comes of it waits");
    world.asked("grace", abort("promote-2"));
    assert_eq!(world.state("promote-2"), RunState::Aborted, "what waits can be ended");
}

#[test]
fn checks_are_asked_at_once_and_all_of_them_must_pass() {
    let mut world = promoting();
    world.fires("promote-3", "soak");
    let (load, nightly) = ("load-test", "nightly");
    assert_eq!(world.step_state("promote-3", load), StepState::Active);
    assert_eq!(world.step_state("promote-3", nightly), StepState::Active);
    let answer = |text: &str| tidegate_engine::engine::StepOutcome::Pending {
        handle: "asked".to_owned(),
        after_ms: 5 * MINUTE_MS,
        progress: Some(text.to_owned()),
    };
    world.answers("promote-3", load, answer("GET answered 503"));
    let waiting = world.waits_for("promote-3");
    assert_eq!(waiting.for_what, "load-test: https://main.example/load to answer 200 (GET answered 503)");
    assert_eq!(world.effect("promote-3", load).due_ms, world.now_ms + 5 * MINUTE_MS);
    world.done("promote-3", nightly);
    assert_eq!(world.step_state("promote-3", "window"), StepState::Blocked);
    world.done("promote-3", load);
    assert_eq!(world.step_state("promote-3", "window"), StepState::Ready);
    assert_eq!(world.waits_for("promote-3").for_what, "the window Mon-Thu 09:00-16:00 UTC, which is shut on holidays");
}

#[test]
fn a_check_that_never_passes_fails_when_its_time_is_over() {
    let mut world = promoting();
    world.fires("promote-3", "soak");
    world.done("promote-3", "nightly");
    world.answers("promote-3", "load-test", pending(5 * MINUTE_MS));
    world.later(HOUR_MS + 1);
    let said = tidegate_engine::engine::StepOutcome::Pending {
        handle: "asked".to_owned(),
        after_ms: 5 * MINUTE_MS,
        progress: Some("GET answered 503".to_owned()),
    };
    world.answers("promote-3", "load-test", said);
    let cancelled = tidegate_engine::engine::StepOutcome::Cancelled;
    world.answers("promote-3", "load-test", cancelled);
    assert_eq!(world.state("promote-3"), RunState::Failed);
    let reason = world.run("promote-3").reason.unwrap();
    assert!(reason.contains("load-test did not pass within 1h; it last said: GET answered 503"), "{reason}");
    assert!(world.step("promote-3", "load-test").hint.unwrap().contains("raise `within`"));
    world.asked("grace", retry("promote-3"));
    assert_eq!(world.step_state("promote-3", "load-test"), StepState::Active, "it is asked anew by hand");
}

#[test]
fn a_window_stays_shut_on_holidays() {
    let mut world = promoting();
    world.fires("promote-3", "soak");
    world.done("promote-3", "nightly");
    world.done("promote-3", "load-test");
    // Friday. Monday is closed, and so is every 24th of November: Wednesday it is.
    let waiting = world.waits_for("promote-3");
    assert_eq!(waiting.for_what, "the window Mon-Thu 09:00-16:00 UTC, which is shut on holidays");
    assert_eq!(waiting.until_ms, Some(NOON_MS + (4 * 24 + 21) * HOUR_MS));
}

#[test]
fn a_hotfix_skips_what_the_rules_name_and_never_an_approval() {
    let mut world = World::new(SHOP);
    world.asked("grace", freeze(None, NOON_MS + 24 * HOUR_MS));
    let commit = world.push("software", "dev");
    world.done("package-1", "package");
    let refused = world.ask("mallory@nobody", hotfix(commit.as_str())).unwrap_err().to_string();
    assert_eq!(refused, format!("mallory may not mark {commit} as a hotfix: the rules leave that to managers"));
    world.asked("grace@managers", hotfix(&commit.as_str()[..40]));
    assert_eq!(world.step_state("package-1", "commit"), StepState::Active, "it passes the freeze");
    world.settle();
    // Soak, one check and the window are skipped; the check that is not named is asked.
    let run = world.ended.iter().find(|run| run.id.as_str() == "promote-3").expect("it came through").clone();
    for gate in ["soak", "nightly", "window"] {
        let step = run.steps.iter().find(|step| step.id.as_str() == gate).unwrap();
        assert_eq!(step.skipped.as_deref(), Some("a hotfix by grace: customers cannot pay"), "{gate}");
    }
    let asked = run.steps.iter().find(|step| step.id.as_str() == "load-test").unwrap();
    assert!(asked.skipped.is_none() && asked.tries == 0 && asked.state == StepState::Done);
    // In main it carries the mark, and waits for its approval all the same.
    let waits: Vec<_> = world.system.live_runs().filter(|run| run.asking().is_some()).collect();
    assert_eq!(waits.len(), 1, "{:?}", world.live());
    assert_eq!(waits[0].stage, stage("main"));
    assert_eq!(waits[0].hotfix.as_ref().map(|mark| mark.by.as_str()), Some("grace"), "marked for ever");
}

#[test]
fn what_others_push_on_top_of_a_hotfix_is_none() {
    let mut world = World::new(SHOP);
    let commit = world.push("software", "dev");
    world.asked("grace@managers", hotfix(commit.as_str()));
    world.push_by("linus", "infrastructure", "dev");
    let own: Vec<bool> = world.system.live_runs().map(|run| run.hotfix.is_some()).collect();
    assert_eq!(own, [true, false]);
}

#[test]
fn a_run_that_waits_already_may_be_marked() {
    let mut world = promoting();
    world.asked("grace@managers", hotfix("promote-3"));
    assert_eq!(world.step_state("promote-3", "soak"), StepState::Done);
    assert_eq!(world.step_state("promote-3", "load-test"), StepState::Active);
    assert_eq!(world.step_state("promote-3", "nightly"), StepState::Done);
    let refused = world.ask("grace@managers", hotfix("no-such")).unwrap_err().to_string();
    assert!(refused.contains("there is no run or commit `no-such`"), "{refused}");
}

#[test]
fn nothing_is_asked_when_nothing_differs_from_what_is_deployed() {
    let mut world = World::new(SHOP);
    let synth = |world: &mut World, run: &str, template: &str| {
        let effect = world.effect(run, "synth").id;
        world.answer(&effect, tidegate_engine::engine::Outcome::Step(synthesised(template)));
    };
    world.push("infrastructure", "main");
    synth(&mut world, "deliver-1", "sha256:one");
    assert_eq!(world.step_state("deliver-1", "approve"), StepState::Active, "nothing is deployed yet");
    world.asked("grace", approve("deliver-1"));
    world.done("deliver-1", "deploy");

    world.push("infrastructure", "main");
    synth(&mut world, "deliver-2", "sha256:one");
    let passed = world.step("deliver-2", "approve");
    assert_eq!(passed.skipped.as_deref(), Some("nothing differs from what is deployed"));
    assert_eq!(passed.outputs["by"], serde_json::json!([]));
    world.done("deliver-2", "deploy");

    world.push("infrastructure", "main");
    synth(&mut world, "deliver-3", "sha256:two");
    assert_eq!(world.step_state("deliver-3", "approve"), StepState::Active, "this differs");
    world.asked("grace", abort("deliver-3"));

    world.push("infrastructure", "main");
    synth(&mut world, "deliver-4", "sha256:one");
    world.answers("deliver-4", "deploy", failed("it broke on the way"));
    world.asked("grace", retry("deliver-4"));
    assert_eq!(world.step_state("deliver-4", "approve"), StepState::Done);
}

#[test]
fn a_promotion_by_hand_is_frozen_like_any_other() {
    let mut world = promoting();
    world.asked("grace", abort("promote-3"));
    world.asked("grace", freeze(Some("main"), NOON_MS + 400 * HOUR_MS));
    world.asked("grace", promote("dev", "main"));
    for gate in ["soak", "window"] {
        world.fires("promote-4", gate);
        if gate == "soak" {
            world.done("promote-4", "load-test");
            world.done("promote-4", "nightly");
        }
    }
    world.done("promote-4", "check-software");
    world.done("promote-4", "check-infrastructure");
    assert_eq!(world.step_state("promote-4", "merge-software"), StepState::Ready);
    assert!(world.waits_for("promote-4").for_what.contains("freeze of main"));
}
