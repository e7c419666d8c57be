//! Who goes when: targets with each queue policy, lanes, and the places that runs commit to.

use tidegate_engine::engine::{Phase, RunState, StepState, TargetKey, TargetLife};

use super::support::{World, abort, failed, retry, rules, unlock};

/// Every push to `infrastructure` deploys to one target.
fn shop(policy: &str, approval: &str) -> World {
    World::new(&format!(
        "
version: 1
system: shop
stages: {{ dev: {{ environment: Development }} }}
repositories: {{ infrastructure: {{ url: infrastructure.git }} }}
targets: {{ shop: {{ queue: {policy} }} }}
rules:
  deliver:
    on: {{ push: infrastructure }}
    target: shop
    steps:
      - synth: {{ template: template.yaml }}
      {approval}
      - deploy: {{}}
      - verify: {{ command: [smoke] }}
"
    ))
}

const ASKS: &str = "- approve: { stages: { dev: { count: 1 } } }";

fn target(world: &World) -> &tidegate_engine::engine::TargetState {
    &world.system.targets[&"shop@dev".parse::<TargetKey>().unwrap()]
}

/// Scenario 12.
#[test]
fn two_requests_during_a_run_follow_in_order_and_one_that_is_ended_leaves_the_first_alone() {
    let mut world = shop("fifo", "");
    for _ in 0..3 {
        world.push("infrastructure", "dev");
    }
    for run in ["deliver-1", "deliver-2", "deliver-3"] {
        world.done(run, "synth");
    }
    assert_eq!(target(&world).holder, Some(1));
    assert_eq!(target(&world).queue, [2, 3]);
    assert_eq!(world.waits_for("deliver-2").for_what, "shop@dev, which deliver-1 holds");

    world.asked("ada", abort("deliver-2"));
    assert_eq!(world.state("deliver-2"), RunState::Aborted);
    assert_eq!((target(&world).holder, world.state("deliver-1")), (Some(1), RunState::Running));
    assert_eq!(world.step_state("deliver-3", "deploy"), StepState::Ready);

    world.done("deliver-1", "deploy");
    world.done("deliver-1", "verify");
    assert_eq!(world.step_state("deliver-3", "deploy"), StepState::Active);
    world.settle();
    assert_eq!(target(&world).life, TargetLife::Available);
    assert_eq!(target(&world).deployed.as_ref().unwrap().run.as_str(), "deliver-3");
}

/// Scenario 13.
#[test]
fn a_failed_deployment_breaks_the_target_keeps_the_queue_and_unlocking_goes_on() {
    let mut world = shop("fifo", "");
    world.push("infrastructure", "dev");
    world.push("infrastructure", "dev");
    world.done("deliver-1", "synth");
    world.done("deliver-2", "synth");
    world.answers("deliver-1", "deploy", failed("it was rolled back"));
    assert_eq!(world.state("deliver-1"), RunState::Failed);
    assert_eq!((target(&world).life, target(&world).queue.len()), (TargetLife::Broken, 1));
    let waiting = world.waits_for("deliver-2");
    assert_eq!(waiting.for_what, "shop@dev, which is broken: deliver-1 failed on it");
    assert_eq!(waiting.ended_by, "an operator: `tidegate unlock shop --stage dev`");

    world.asked("ada", unlock("shop", "dev"));
    assert_eq!(target(&world).holder, Some(2));
    world.settle();
    assert_eq!(world.state("deliver-2"), RunState::Done);
    assert!(world.ask("ada", unlock("shop", "dev")).unwrap_err().to_string().contains("is not broken"));
}

#[test]
fn a_newer_run_that_asks_takes_the_place_of_an_older_one_that_waits() {
    let mut world = shop("supersede", ASKS);
    world.push("infrastructure", "dev");
    world.done("deliver-1", "synth");
    world.push("infrastructure", "dev");
    assert_eq!(world.state("deliver-1"), RunState::Running, "the newer one has not come as far");
    world.done("deliver-2", "synth");
    assert_eq!(world.state("deliver-1"), RunState::Superseded);
    assert_eq!(world.run("deliver-1").reason.unwrap(), "deliver-2 is newer and came as far");
    assert_eq!(world.live(), ["deliver-2"]);
}

#[test]
fn a_run_that_holds_the_target_is_not_superseded() {
    let mut world = shop("supersede", "");
    for _ in 0..3 {
        world.push("infrastructure", "dev");
    }
    for run in ["deliver-1", "deliver-2", "deliver-3"] {
        world.done(run, "synth");
    }
    assert_eq!(world.live(), ["deliver-1", "deliver-3"]);
    world.settle();
    assert_eq!(world.state("deliver-1"), RunState::Done);
    assert_eq!(target(&world).deployed.as_ref().unwrap().run.as_str(), "deliver-3");
}

#[test]
fn the_policy_reject_refuses_a_second_run_and_a_retry_beside_another() {
    let mut world = shop("reject", "");
    world.push("infrastructure", "dev");
    world.push("infrastructure", "dev");
    assert_eq!(world.state("deliver-2"), RunState::Rejected);
    assert!(world.run("deliver-2").reason.unwrap().starts_with("deliver-1 holds the target"));
    world.answers("deliver-1", "synth", failed("no template"));
    assert_eq!(world.state("deliver-1"), RunState::Failed);
    world.asked("ada", retry("deliver-1"));
    world.settle();
    assert_eq!(world.state("deliver-1"), RunState::Done);
}

/// Two repositories commit to one file each of a third.
const TWO_WRITERS: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, qa: { environment: QA } }
repositories: { software: { url: s.git }, tools: { url: t.git }, image: { url: i.git } }
rules:
  package:
    on: { push: software }
    queue: parallel
    steps:
      - package: {}
      - commit: { repository: image, file: config.json, set: { /tag: '{{package.tag}}' } }
  equip:
    on: { push: tools }
    steps:
      - package: {}
      - commit: { repository: image, file: tools.json, set: { /tag: '{{package.tag}}' } }
";

#[test]
fn one_run_at_a_time_commits_to_a_repository_in_a_stage() {
    let mut world = World::new(TWO_WRITERS);
    world.push("software", "dev");
    world.push("tools", "dev");
    world.push("tools", "qa");
    for run in ["package-1", "equip-2", "equip-3"] {
        world.done(run, "package");
    }
    assert_eq!(world.step_state("equip-2", "commit"), StepState::Ready);
    assert_eq!(world.step_state("equip-3", "commit"), StepState::Active, "another stage is another place");
    assert_eq!(world.waits_for("equip-2").for_what, "package-1 to finish its commit to image dev");
    world.answers("package-1", "commit", failed("protected branch"));
    assert_eq!(world.step_state("equip-2", "commit"), StepState::Active);
    world.settle();
    assert_eq!(world.state("equip-2"), RunState::Done);
}

/// I3.
#[test]
fn an_older_build_that_finishes_late_does_not_move_the_pin_back() {
    let mut world = World::new(TWO_WRITERS);
    world.push("software", "dev");
    let newer = world.push("software", "dev");
    world.done("package-2", "package");
    world.done("package-2", "commit");
    world.done("package-1", "package");
    assert_eq!(world.state("package-1"), RunState::Superseded);
    assert!(world.run("package-1").reason.unwrap().contains("was already set by package-2 from the newer commit"));
    let pin = world.system.pins.values().next().unwrap();
    assert_eq!((world.system.pins.len(), &pin.source), (1, &newer));
}

#[test]
fn a_lane_that_narrows_waits_until_it_is_empty() {
    let mut world = World::new(TWO_WRITERS);
    world.push("software", "dev");
    world.push("software", "dev");
    world.load(rules(&TWO_WRITERS.replace("parallel", "fifo")));
    world.push("software", "dev");
    assert_eq!(world.step_state("package-3", "package"), StepState::Active, "it is still wide");
    world.settle();
    world.push("software", "dev");
    world.push("software", "dev");
    assert_eq!(world.state("package-5"), RunState::Queued);
    world.settle();
    assert!(world.live().is_empty());
}

#[test]
fn an_aborted_run_that_drains_does_not_stand_in_the_way_of_the_next() {
    let mut world = shop("fifo", "- package: {}\n        needs: []\n      - lint: {}\n        needs: [synth]");
    for run in ["deliver-1", "deliver-2", "deliver-3"] {
        world.push("infrastructure", "dev");
        world.done(run, "synth");
        world.done(run, "lint");
    }
    assert_eq!(target(&world).queue, [2, 3]);
    world.asked("ada", abort("deliver-2"));
    assert_eq!((world.state("deliver-2"), world.phase("deliver-2", "package")), (RunState::Ending, Phase::Cancel));
    assert_eq!(target(&world).queue, [3]);
    world.done("deliver-1", "package");
    world.done("deliver-1", "deploy");
    world.done("deliver-1", "verify");
    assert_eq!((target(&world).holder, world.state("deliver-2")), (Some(3), RunState::Ending));
}
