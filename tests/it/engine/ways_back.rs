//! Ways back among all else that goes on: promotions, runs in flight, pins, freezes, and other ways back.

use tidegate::engine::RunState;

use super::support::{World, promote, promote_version, roll_back, verified::*};

/// The way from qa to main, with a soak time.
fn soaked() -> String {
    SHOP.replace("to: main, start: manual", "to: main, start: manual, requires: { soak: 2h }")
}

/// Two versions in qa, the second of which is asked for in main.
fn asked_for_main() -> (World, [String; 2], String) {
    let (mut world, versions) = two_versions_of(&soaked());
    world.asked("ada", promote("qa", "main"));
    let onward = world.newest("promote");
    (world, versions, onward)
}

/// Both checks of a run are done.
fn checked(world: &mut World, run: &str) {
    world.done(run, "check-software");
    world.done(run, "check-infrastructure");
}

#[test]
fn what_is_rolled_back_does_not_go_on_to_the_next_stage() {
    let (mut world, [first, second], onward) = asked_for_main();
    world.asked("grace", roll_back("qa", None));
    let back = world.newest("rollback");
    world.done(&back, "check-software");
    assert_eq!(world.state(&onward), RunState::Running, "the way back may still be found impossible");
    world.done(&back, "check-infrastructure");
    assert_eq!(world.state(&onward), RunState::Superseded);
    assert_eq!(world.run(&onward).reason.unwrap(), format!("{back} takes qa back to {first}"));

    world.asked("ada", promote("qa", "main"));
    let again = world.newest("promote");
    assert_eq!(world.run(&again).set, world.version("qa", &first).set, "what qa goes back to");
    world.settle();
    assert_eq!((world.state(&back), world.state(&again)), (RunState::Done, RunState::Running));
    world.asked("ada", promote_version("qa", "main", &second));
    world.replays(60);
}

#[test]
fn a_promotion_that_has_begun_to_merge_is_finished_though_its_stage_goes_back() {
    let (mut world, _, onward) = asked_for_main();
    world.fires(&onward, "soak");
    checked(&mut world, &onward);
    world.done(&onward, "merge-software");
    world.asked("grace", roll_back("qa", None));
    world.settle();
    assert_eq!(world.state(&onward), RunState::Done);
}
