//! Promotions that end half-way: what was merged is taken back, or said to be half-way until it is finished or taken back.

use tidegate_engine::engine::{Cause, RunState, StepState};

use super::support::{
    World, abort, failed, pending, promote, repository, retry, stage, take_back,
    verified::{SHOP, verified_in},
};

/// A promotion into qa whose second merge is refused.
fn broke_half_way(rules: &str) -> (World, String) {
    let (mut world, promotion) = verified_in(rules);
    for step in ["check-software", "check-infrastructure", "merge-infrastructure"] {
        world.done(&promotion, step);
    }
    world.answers(&promotion, "merge-software", failed("protected branch"));
    (world, promotion)
}

#[test]
fn what_was_merged_is_taken_back_before_anything_else_moves_and_then_can_be_tried_again() {
    let (mut world, promotion) = broke_half_way(SHOP);
    assert_eq!(world.state(&promotion), RunState::Failed);
    let back = world.newest("take-back");
    assert_eq!(world.live(), std::slice::from_ref(&back), "what the merge would have started waits");
    let run = world.run(&back);
    assert_eq!(run.cause, Cause::HalfWay { run: world.run(&promotion).id });
    let restored: Vec<&str> = run.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(restored, ["check-infrastructure", "restore-infrastructure"], "and only what was merged");
    let half_way = world.system.versions.half_way[&stage("qa")].clone();
    assert_eq!((half_way.moved, half_way.open), (vec![repository("infrastructure")], vec![repository("software")]));

    world.done(&back, "check-infrastructure");
    world.done(&back, "restore-infrastructure");
    assert_eq!(world.state(&back), RunState::Done);
    assert!(world.system.versions.half_way.is_empty());
    assert_eq!(world.live().len(), 1, "the taking back is a push like any other: {:?}", world.live());
    world.settle();

    world.asked("ada", retry(&promotion));
    assert_eq!(world.step_state(&promotion, "merge-infrastructure"), StepState::Active, "it is merged anew");
    let merge = world.step(&promotion, "merge-infrastructure");
    assert_eq!(merge.round, 2, "under a key of its own");
    world.settle();
    assert_eq!(world.state(&promotion), RunState::Done);
    world.replays(30);
}

#[test]
fn a_waiting_promotion_does_not_overtake_the_taking_back() {
    let (mut world, promotion) = verified_in(SHOP);
    for step in ["check-software", "check-infrastructure", "merge-infrastructure"] {
        world.done(&promotion, step);
    }
    world.push("software", "dev");
    let next = loop {
        let newest = world.newest("promote");
        if newest != promotion {
            break newest;
        }
        let dev = world.step_effects().into_iter().find(|effect| !effect.id.as_str().starts_with("promote")).unwrap();
        let outcome = world.success(&dev);
        world.answer(&dev.id, outcome);
    };
    world.done(&next, "check-software");
    world.done(&next, "check-infrastructure");
    assert!(world.waits_for(&next).for_what.contains(&promotion), "{:?}", world.waits_for(&next));
    world.answers(&promotion, "merge-software", failed("protected branch"));
    let back = world.newest("take-back");
    assert_eq!(world.phase(&back, "check-infrastructure"), tidegate_engine::engine::Phase::Start);
    assert!(world.waits_for(&next).for_what.contains(&back), "{:?}", world.waits_for(&next));
    world.settle();
    assert_eq!((world.state(&back), world.state(&next)), (RunState::Done, RunState::Done));
}

#[test]
fn a_merge_whose_end_is_unknown_is_looked_for_and_undone() {
    let (mut world, promotion) = verified_in(SHOP);
    world.done(&promotion, "check-software");
    world.done(&promotion, "check-infrastructure");
    world.asked("ada", abort(&promotion));
    for step in ["merge-software", "merge-infrastructure"] {
        world.answers(&promotion, step, tidegate_engine::engine::StepOutcome::Cancelled);
    }
    let back = world.newest("take-back");
    world.settle();
    let run = world.run(&back);
    let changed = run.steps.iter().filter_map(|step| step.outputs.get("changed")?.as_bool());
    assert_eq!((run.state, changed.collect::<Vec<_>>()), (RunState::Done, vec![false, false]), "none was on a branch");
    assert!(world.live().is_empty());
}

#[test]
fn what_never_moved_is_not_taken_back() {
    let (mut world, promotion) = verified_in(SHOP);
    world.done(&promotion, "check-software");
    world.done(&promotion, "check-infrastructure");
    world.answers(&promotion, "merge-software", failed("protected branch"));
    assert_eq!(world.phase(&promotion, "merge-infrastructure"), tidegate_engine::engine::Phase::Start);
    world.answers(&promotion, "merge-infrastructure", failed("protected branch"));
    assert_eq!(world.live(), Vec::<String>::new());
    assert!(world.system.versions.half_way.is_empty());
}

#[test]
fn where_the_rules_keep_it_a_person_finishes_it_or_takes_it_back() {
    let keep = SHOP.replace("{ from: dev, to: qa }", "{ from: dev, to: qa, on_failure: keep }");
    let (mut world, promotion) = broke_half_way(&keep);
    assert!(world.system.versions.half_way.contains_key(&stage("qa")));
    assert_eq!(world.live().len(), 1, "the merge that was made goes on: {:?}", world.live());
    world.settle();
    world.asked("ada", retry(&promotion));
    assert_eq!(world.step_state(&promotion, "merge-infrastructure"), StepState::Done);
    world.settle();
    assert_eq!(world.state(&promotion), RunState::Done);
    assert!(world.system.versions.half_way.is_empty(), "finished");
    let refused = world.ask("ada", take_back(&promotion)).unwrap_err().to_string();
    assert!(refused.contains("no promotion that stands half-way"), "{refused}");

    let (mut world, promotion) = broke_half_way(&keep);
    world.settle();
    world.asked("ada", take_back(&promotion));
    let back = world.newest("take-back");
    let refused = world.ask("ada", take_back(&promotion)).unwrap_err().to_string();
    assert!(refused.contains(&format!("{back} takes it back")), "{refused}");
    world.settle();
    assert_eq!(world.state(&back), RunState::Done);
    assert!(world.system.versions.half_way.is_empty(), "taken back");
    world.asked("ada", promote("dev", "qa"));
}

#[test]
fn a_taking_back_that_fails_is_still_said() {
    let (mut world, promotion) = broke_half_way(SHOP);
    let back = world.newest("take-back");
    world.answers(&back, "check-infrastructure", pending(1_000));
    world.answers(&back, "check-infrastructure", failed("somebody changed app.py"));
    assert_eq!(world.state(&back), RunState::Failed);
    let half_way = &world.system.versions.half_way[&stage("qa")];
    assert_eq!((half_way.run.as_str(), half_way.taken_back_by.as_ref().unwrap().as_str()), (&*promotion, &*back));
    world.asked("ada", retry(&back));
    world.settle();
    assert!(world.system.versions.half_way.is_empty());
}

/// One merge is made, and nobody knows what became of the other: somebody aborted meanwhile.
fn in_doubt(rules: &str) -> (World, String) {
    let (mut world, promotion) = verified_in(rules);
    for step in ["check-software", "check-infrastructure", "merge-infrastructure"] {
        world.done(&promotion, step);
    }
    world.asked("ada", abort(&promotion));
    world.answers(&promotion, "merge-software", tidegate_engine::engine::StepOutcome::Cancelled);
    (world, promotion)
}

#[test]
fn what_was_merged_and_what_may_have_been_are_said_apart() {
    let (mut world, promotion) =
        in_doubt(&SHOP.replace("{ from: dev, to: qa }", "{ from: dev, to: qa, on_failure: keep }"));
    let half_way = world.system.versions.half_way[&stage("qa")].clone();
    assert_eq!((half_way.moved, half_way.doubtful), (vec![repository("infrastructure")], vec![repository("software")]));
    assert!(half_way.open.is_empty());
    world.asked("ada", take_back(&promotion));
    world.settle();
    assert!(world.system.versions.half_way.is_empty());
}

#[test]
fn a_taking_back_that_fails_is_said_though_every_merge_may_have_been_made() {
    let (mut world, _) = in_doubt(SHOP);
    let back = world.newest("take-back");
    world.answers(&back, "check-software", failed("somebody changed app.py"));
    world.settle();
    assert_eq!(world.state(&back), RunState::Failed);
    let half_way = &world.system.versions.half_way[&stage("qa")];
    assert_eq!(half_way.taken_back_by.as_ref().unwrap().as_str(), back);
    world.asked("ada", retry(&back));
    world.settle();
    assert!(world.system.versions.half_way.is_empty());
}
