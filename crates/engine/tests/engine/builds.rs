//! What is built anew and what is not, and who may end a build that two runs wait for.

use tidegate_engine::engine::{Brings, EffectKind, Outcome, Phase, StepWork, Timer, Work, work};

use super::support::{World, abort, pending, repository, retry, stage, unmoved};

const NIGHTLY: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, qa: { environment: QA } }
repositories: { image: { url: i.git }, infrastructure: { url: n.git } }
rules:
  bake:
    on: { push: image, schedule: { cron: 0 0 3 * * *, stages: [dev] } }
    steps:
      - bake: {}
      - commit: { repository: infrastructure, file: config.json, set: { /ami: '{{bake.ami}}' } }
  deliver:
    on: { push: infrastructure }
    steps: [{ synth: { template: template.yaml } }]
";

fn step_work(world: &World, run: &str, step: &str) -> StepWork {
    match work(&world.system, &world.effect(run, step)) {
        Ok(Work::Step(work)) => *work,
        other => panic!("{other:?}"),
    }
}

/// Three in the morning comes.
fn night(world: &mut World) {
    let of_schedule = |kind: &EffectKind| matches!(kind, EffectKind::Timer(Timer::Schedule { .. }));
    let timer = world.system.due.values().find(|effect| of_schedule(&effect.kind)).unwrap().clone();
    world.now_ms = timer.due_ms;
    world.answer(&timer.id, Outcome::Fired);
}

#[test]
fn the_clock_asks_for_a_rebuild_and_a_push_does_not() {
    let mut world = World::new(NIGHTLY);
    world.push("image", "dev");
    assert!(!step_work(&world, "bake-1", "bake").rebuild);
    world.done("bake-1", "bake");
    world.done("bake-1", "commit");
    world.settle();
    night(&mut world);
    assert!(step_work(&world, "bake-3", "bake").rebuild);
    world.answers("bake-3", "bake", super::support::failed("no space"));
    world.asked("grace", retry("bake-3"));
    assert!(step_work(&world, "bake-3", "bake").rebuild, "done again, it is still the clock's");
    world.replays(5);
}

#[test]
fn a_night_that_changes_nothing_moves_nothing() {
    let mut world = World::new(NIGHTLY);
    night(&mut world);
    world.done("bake-1", "bake");
    let head = world.system.head(&repository("infrastructure"), &stage("dev")).unwrap().commit.clone();
    world.answers("bake-1", "commit", unmoved(&head, Brings::default()));
    assert!(world.live().is_empty());
    night(&mut world);
    world.done("bake-2", "bake");
    world.done("bake-2", "commit");
    assert_eq!(world.live(), ["deliver-3"], "a night that changes something moves on");
}

#[test]
fn a_build_that_two_runs_wait_for_is_not_ended_with_one_of_them() {
    let mut world = World::new(NIGHTLY);
    world.push("image", "dev");
    world.push("image", "qa");
    world.answers("bake-1", "bake", pending(1_000));
    world.answers("bake-2", "bake", pending(1_000));
    world.asked("grace", abort("bake-1"));
    assert_eq!(world.phase("bake-1", "bake"), Phase::Cancel);
    assert!(step_work(&world, "bake-1", "bake").shared);
    world.asked("grace", abort("bake-2"));
    assert!(!step_work(&world, "bake-2", "bake").shared, "nobody waits for it any more");
}
