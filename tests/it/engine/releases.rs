//! Releases: a system's promotion waits for the others after its own checks, and says how far it is.

use tidegate::{
    engine::{
        Command, RunState, StepState,
        version::release::{Release, Standing, standing},
    },
    rules::SystemName,
};

use super::support::{
    HOUR_MS, World, failed, pending, retry, stage,
    verified::{SHOP, two_versions, two_versions_of},
};

fn release_of(systems: &[&str]) -> Command {
    let systems = systems.iter().map(|name| SystemName::new(name).unwrap()).collect();
    let release = Some(Release { name: "spring fair".to_owned(), systems });
    Command::Promote { from: stage("qa"), to: stage("main"), version: None, release }
}

fn standing_of(world: &World) -> Standing {
    standing(&world.system, "spring fair")
}

#[test]
fn a_promotion_of_a_release_merges_when_the_others_can_too() {
    let (mut world, _) = two_versions();
    assert_eq!(standing_of(&world), Standing::Missing);
    world.asked("grace", release_of(&["shop", "billing"]));
    let promotion = world.newest("promote");
    let run = world.run(&promotion).id;
    assert!(matches!(standing_of(&world), Standing::OnItsWay { waits_for, .. } if waits_for == "check-software"));
    world.done(&promotion, "check-software");
    world.done(&promotion, "check-infrastructure");
    assert_eq!(standing_of(&world), Standing::Ready { run: run.clone() });
    assert_eq!(world.step_state(&promotion, "merge-software"), StepState::Blocked);
    world.answers(&promotion, "release", pending(1_000));
    world.done(&promotion, "release");
    assert_eq!(standing_of(&world), Standing::Merging { run: run.clone() });
    world.settle();
    assert_eq!(standing_of(&world), Standing::Done { run });
    assert_eq!(standing(&world.system, "another"), Standing::Missing);
}

#[test]
fn when_the_others_end_it_ends_and_tried_again_it_counts_from_then() {
    let (mut world, _) = two_versions();
    world.asked("grace", release_of(&["shop", "billing"]));
    let promotion = world.newest("promote");
    world.done(&promotion, "check-software");
    world.done(&promotion, "check-infrastructure");
    world.later(60_000);
    world.answers(&promotion, "release", failed("the release spring fair ends, because billing promote-9 ended"));
    assert_eq!(world.state(&promotion), RunState::Failed);
    assert!(matches!(standing_of(&world), Standing::Ended { at_ms, .. } if at_ms == world.now_ms));
    let asked_ms = since_of(&world, &promotion);
    world.later(60_000);
    world.asked("grace", retry(&promotion));
    assert_eq!(since_of(&world, &promotion), asked_ms + 120_000);
}

#[test]
fn a_promotion_is_not_ready_for_the_others_while_its_window_is_shut() {
    let (from, to) = ("start: manual }", "start: manual, requires: { window: 'daily 12:00-13:00 UTC' } }");
    let (mut world, _) = two_versions_of(&SHOP.replace(from, to));
    world.asked("grace", release_of(&["shop", "billing"]));
    let promotion = world.newest("promote");
    world.done(&promotion, "check-software");
    world.done(&promotion, "check-infrastructure");
    assert!(matches!(standing_of(&world), Standing::Ready { .. }));
    world.later(2 * HOUR_MS);
    world.answers(&promotion, "release", pending(1_000));
    let waits = standing_of(&world);
    assert!(matches!(&waits, Standing::OnItsWay { waits_for, .. } if waits_for.starts_with("the window")), "{waits:?}");
    world.done(&promotion, "release");
    assert_eq!(world.step_state(&promotion, "window"), StepState::Active);
    assert_eq!(world.step_state(&promotion, "release"), StepState::Blocked);
}

fn since_of(world: &World, promotion: &str) -> i64 {
    match world.step(promotion, "release").task {
        tidegate::engine::plan::Task::Release(member) => member.since_ms,
        task => panic!("{task:?}"),
    }
}

#[test]
fn a_release_without_a_name_or_without_the_system_is_refused() {
    let (mut world, _) = two_versions();
    let refused = world.ask("grace", release_of(&["billing"])).unwrap_err().to_string();
    assert!(refused.contains("shop is no part of the release spring fair"), "{refused}");
}
