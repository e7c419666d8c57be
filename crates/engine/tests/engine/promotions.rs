//! Promotions: what was verified together goes on together, when its conditions hold.

use tidegate_engine::engine::{
    Command, CommitSet, Digest, EffectKind, Made, Outcome, RunId, RunState, StepOutcome, StepState,
};

use super::support::{
    HOUR_MS, NOON_MS, World, abort, approve, failed, promote, repository, retry, roll_back, rules, stage,
};

const SHOP: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, qa: { environment: QA }, main: { environment: Production } }
repositories: { software: { url: s.git }, infrastructure: { url: n.git } }
targets: { shop: {} }
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
      - verify: { command: [smoke] }
promotions:
  - { from: dev, to: qa }
  - { from: qa, to: main, start: manual,
      requires: { soak: 2h, approvals: { count: 2, from: [managers] }, window: 'Mon-Thu 09:00-16:00 UTC' } }
";

/// A change of Ada's is verified in dev; its promotion to qa has just begun.
fn verified_in_dev() -> World {
    let mut world = World::new(SHOP);
    world.push("software", "dev");
    for step in ["package", "commit"] {
        world.done("package-1", step);
    }
    for step in ["synth", "deploy", "verify"] {
        world.done("deliver-2", step);
    }
    world
}

/// The change has come to qa, is verified there, and somebody promotes it to main: the run that soaks.
fn asked_for_main() -> (World, String) {
    let mut world = verified_in_dev();
    world.settle();
    world.asked("ada", promote("qa", "main"));
    let run = world.live().pop().unwrap();
    (world, run)
}

#[test]
fn every_merge_is_checked_before_any_is_made() {
    let mut world = verified_in_dev();
    assert_eq!(world.live(), ["promote-3"]);
    world.done("promote-3", "check-software");
    assert_eq!(world.step_state("promote-3", "merge-software"), StepState::Blocked);
    world.answers("promote-3", "check-infrastructure", failed("a conflict in app.py"));
    assert_eq!(world.state("promote-3"), RunState::Failed);
    assert!(
        world
            .ended
            .last()
            .unwrap()
            .steps
            .iter()
            .all(|step| !step.id.as_str().starts_with("merge") || step.started_ms.is_none())
    );
}

#[test]
fn what_the_merges_trigger_starts_when_all_of_them_are_made_and_sees_the_whole_set() {
    let mut world = verified_in_dev();
    world.done("promote-3", "check-software");
    world.done("promote-3", "check-infrastructure");
    world.done("promote-3", "merge-infrastructure");
    assert_eq!(world.live(), ["promote-3"], "half of a set starts nothing");
    world.push("software", "qa");
    assert_eq!(world.live(), ["promote-3"], "nor does a push meanwhile");
    world.done("promote-3", "merge-software");
    assert_eq!(world.state("promote-3"), RunState::Done);
    let qa = |name: &str| {
        let merged = world.remotes[&(repository(name), stage("qa"))].last().unwrap().clone().unwrap();
        (repository(name), merged.commit)
    };
    let merged: CommitSet = ["software", "infrastructure"].map(qa).into();
    let [waits, package] = world.live().try_into().unwrap();
    assert!(world.waits_for(&waits).for_what.starts_with("package to bring an artifact of software"));
    world.done(&package, "package");
    world.done(&package, "commit");
    let deliver = world.system.live_runs().find(|run| run.id.as_str().starts_with("deliver")).unwrap();
    assert_eq!(deliver.set[&repository("software")], merged[&repository("software")], "of qa, not of dev");
    assert_eq!(world.live().len(), 1);
}

#[test]
fn a_set_is_promoted_once_and_a_newer_one_takes_its_place() {
    let mut world = verified_in_dev();
    assert!(world.ask("ada", promote("dev", "qa")).unwrap_err().to_string().contains("it promotes this very set"));
    assert!(
        world.ask("ada", promote("dev", "main")).unwrap_err().to_string().contains("they have: dev to qa, qa to main")
    );
    assert!(
        world.ask("ada", promote("qa", "main")).unwrap_err().to_string().contains("nothing has been verified in qa")
    );
    world.settle();
    assert_eq!(world.state("promote-3"), RunState::Done);
    let refused = world.ask("ada", promote("dev", "qa")).unwrap_err().to_string();
    assert!(refused.contains("is in qa already"), "{refused}");
    assert!(world.live().is_empty(), "qa to main is asked for by hand");
}

/// Soak, then two approvals, then the window: on Friday noon, that is Monday morning.
#[test]
fn a_promotion_waits_for_its_soak_its_approvals_and_its_window() {
    let (mut world, run) = asked_for_main();
    assert_eq!(world.waits_for(&run).until_ms, Some(NOON_MS + 2 * HOUR_MS));
    assert!(world.ask("grace@managers", approve(&run)).is_err(), "it does not ask yet");
    world.fires(&run, "soak");
    assert_eq!(world.waits_for(&run).for_what, "approval by managers (0 of 2)");

    let refused = |world: &mut World, who: &str| world.ask(who, approve(&run)).unwrap_err().to_string();
    assert!(refused(&mut world, "mallory@guests").contains("it asks managers"));
    assert!(refused(&mut world, "ada@managers").contains("a change that they wrote themselves"));
    world.asked("grace@managers", approve(&run));
    assert!(refused(&mut world, "grace@managers").contains("grace has approved it already"));
    assert_eq!(world.waits_for(&run).for_what, "approval by managers (1 of 2)");
    world.asked("linus@managers", approve(&run));

    let monday_ms = NOON_MS + (2 * 24 + 21) * HOUR_MS;
    assert_eq!(world.waits_for(&run).until_ms, Some(monday_ms));
    assert_eq!(world.waits_for(&run).for_what, "the window Mon-Thu 09:00-16:00 UTC");
    world.fires(&run, "window");
    world.settle();
    assert_eq!(world.state(&run), RunState::Done);
    assert!(world.system.promoted.contains_key(&stage("main")));
    world.replays(20);
}

#[test]
fn an_approval_of_another_digest_is_refused() {
    let (mut world, run) = asked_for_main();
    world.fires(&run, "soak");
    let waits = world.run(&run).digest(&world.step(&run, "approve"));
    let of = |digest: Digest| Command::Approve { run: RunId::new(run.as_str()), digest: Some(digest) };
    let other = Digest::of(b"something else");
    let refused = world.ask("grace@managers", of(other)).unwrap_err().to_string();
    assert!(refused.contains("it changed since it was shown"), "{refused}");
    for short in ["", "sha256:", "a"] {
        assert!(world.ask("grace@managers", of(Digest::new(short))).is_err(), "`{short}` names nothing");
    }
    let digits = waits.as_str().trim_start_matches("sha256:");
    world.asked("grace@managers", of(Digest::new(&digits[..12])));
    world.asked("linus@managers", of(waits));
}

#[test]
fn a_soaking_promotion_gives_way_only_to_one_that_has_come_further() {
    let (mut world, older) = asked_for_main();
    world.later(HOUR_MS);
    world.push("software", "dev");
    world.settle();
    world.asked("ada", promote("qa", "main"));
    let newer = world.live().pop().unwrap();
    assert_eq!(world.live(), [older.clone(), newer.clone()]);
    world.fires(&older, "soak");
    assert_eq!(world.step_state(&older, "approve"), StepState::Active);
    world.fires(&newer, "soak");
    assert_eq!(world.state(&older), RunState::Superseded);
    assert_eq!(world.live(), [newer]);
}

#[test]
fn a_soak_that_is_done_again_has_an_effect_of_its_own() {
    let (mut world, run) = asked_for_main();
    let before = world.effect(&run, "soak");
    world.asked("ada", abort(&run));
    world.asked("ada", retry(&run));
    let after = world.effect(&run, "soak");
    assert_eq!((before.due_ms, before.id == after.id), (after.due_ms, false));
}

#[test]
fn a_rule_that_is_named_promote_has_a_lane_of_its_own() {
    let text = SHOP.replace("  package:\n", "  promote:\n").replace("upstream: package", "upstream: promote");
    let mut world = World::new(&text);
    world.push("software", "qa");
    assert_eq!(world.system.targets.keys().map(ToString::to_string).collect::<Vec<_>>(), ["rule:promote@qa"]);
    world.push("infrastructure", "qa");
    assert_eq!(world.live(), ["promote-1", "deliver-2"], "no promotion holds the push");
}

#[test]
fn rules_that_change_leave_a_promotion_its_plan() {
    let (mut world, run) = asked_for_main();
    world.load(rules(&SHOP.replace("soak: 2h", "soak: 9h")));
    assert_eq!(world.effect(&run, "soak").due_ms, NOON_MS + 2 * HOUR_MS);
    assert!(world.system.due.values().any(|effect| matches!(effect.kind, EffectKind::Watch { .. })));
}

const PARTS: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, qa: { environment: QA } }
repositories: { infrastructure: { url: n.git } }
targets: { web: {}, worker: { on_verify_failure: rollback } }
rules:
  web:
    on: { push: infrastructure, paths: [web/] }
    target: web
    steps: [{ synth: { template: web.yaml } }, { deploy: {} }, { verify: { command: [smoke] } }]
  worker:
    on: { push: infrastructure, paths: [worker/] }
    target: worker
    steps: [{ synth: { template: worker.yaml } }, { deploy: {} }, { verify: { command: [smoke] } }]
promotions:
  - { from: dev, to: qa }
";

/// A step is done, and says which paths it changed.
fn done_changing(world: &mut World, run: &str, step: &str, paths: &[&str]) {
    let effect = world.effect(run, step);
    let mut outcome = world.success(&effect);
    if let Outcome::Step(StepOutcome::Done { outputs, made: Made::Moved(moved), .. }) = &mut outcome {
        outputs.insert("paths".to_owned(), serde_json::json!(paths));
        moved.paths = Some(paths.iter().map(|path| (*path).to_owned()).collect());
    }
    world.answer(&effect.id, outcome);
}

#[test]
fn a_merge_starts_what_its_paths_are_for_and_nothing_else() {
    let mut world = World::new(PARTS);
    world.push_of("infrastructure", "dev", &["web/a"], false);
    world.settle_until(|world| world.live_subjects() == ["promote"]);
    let promotion = world.newest("promote");
    world.done(&promotion, "check-infrastructure");
    done_changing(&mut world, &promotion, "merge-infrastructure", &["web/a"]);
    assert_eq!(world.live_subjects(), ["web"]);
    world.settle();

    world.push_of("infrastructure", "dev", &["web/a"], false);
    world.settle_until(|world| world.live_subjects() == ["promote"]);
    let promotion = world.newest("promote");
    world.done(&promotion, "check-infrastructure");
    world.push_of("infrastructure", "qa", &["worker/b"], false);
    done_changing(&mut world, &promotion, "merge-infrastructure", &["web/a"]);
    world.watch(&repository("infrastructure"));
    assert_eq!(world.live_subjects(), ["web", "worker"], "what was pushed meanwhile is made up for");
    world.replays(world.log.len() / 2);
}

#[test]
fn a_rollback_starts_what_its_paths_are_for_and_nothing_else() {
    let mut world = World::new(PARTS);
    for _ in 0..2 {
        world.push_of("infrastructure", "dev", &["web/a"], false);
        world.settle();
    }
    world.asked("grace", roll_back("dev", None));
    let rollback = world.newest("rollback");
    world.done(&rollback, "check-infrastructure");
    done_changing(&mut world, &rollback, "restore-infrastructure", &["web/a"]);
    assert_eq!(world.live_subjects(), ["web"]);
}

#[test]
fn a_commit_with_several_targets_is_verified_when_all_of_them_have_it() {
    let mut world = World::new(PARTS);
    world.push_of("infrastructure", "dev", &["web/a", "worker/b"], false);
    let (web, worker) = (world.newest("web"), world.newest("worker"));
    let commit = world.run(&web).source.unwrap().commit;
    for step in ["synth", "deploy", "verify"] {
        world.done(&web, step);
    }
    assert_eq!(world.live_subjects(), ["worker"], "one of two is not enough");
    let waits = |world: &World| {
        let conditions = world.journey("infrastructure", &commit, "qa").conditions;
        let verified = conditions.into_iter().find(|condition| condition.name == "verified in dev").unwrap();
        format!("{verified:?}")
    };
    assert!(waits(&world).contains(&format!("{web} has verified it, and {worker} has not")), "{}", waits(&world));
    world.done(&worker, "synth");
    world.done(&worker, "deploy");
    world.answers(&worker, "verify", failed("it answers 500"));
    assert!(world.live().is_empty(), "a set that failed is not promoted: {:?}", world.live());
    assert!(waits(&world).contains(&format!("`tidegate retry {worker}`")), "{}", waits(&world));
    world.asked("grace", retry(&worker));
    world.settle_until(|world| world.live_subjects() == ["promote"]);
    world.settle();

    world.push_of("infrastructure", "dev", &["web/a", "worker/b"], false);
    let (web, worker) = (world.newest("web"), world.newest("worker"));
    for step in ["synth", "deploy", "verify"] {
        world.done(&web, step);
    }
    world.done(&worker, "synth");
    world.done(&worker, "deploy");
    world.answers(&worker, "verify", failed("it answers 500"));
    assert_eq!(
        world.live_subjects(),
        ["rollback"],
        "what one target verified is no reason to keep what another did not"
    );
    world.replays(world.log.len() / 2);
}
