//! Releases: a system's promotion waits for the others after its own checks, and says how far it is.

use std::collections::BTreeMap;

use tidegate_engine::{
    engine::{
        Command, RunId, RunState, StepState,
        plan::Task,
        version::release::{Counted, HalfReleased, Member, Release, Standing, half_released, standing},
    },
    rules::SystemName,
};

use super::support::{
    HOUR_MS, World, approve, failed, freeze, pending, pin, retry, stage, unpin,
    verified::{SHOP, two_versions, two_versions_of, verified_in},
};

const ASKED: &str = "requires: { approvals: { count: 1, author_may_approve: true } }";

fn release_of(systems: &[&str]) -> Command {
    release_between(("qa", "main"), systems)
}

fn release_between((from, to): (&str, &str), systems: &[&str]) -> Command {
    let systems = systems.iter().map(|name| system(name)).collect();
    let release = Some(Release { name: "spring fair".to_owned(), systems });
    Command::Promote { from: stage(from), to: stage(to), version: None, release }
}

fn system(name: &str) -> SystemName {
    SystemName::new(name).unwrap()
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
    assert_eq!(standing_of(&world), Standing::Done { run, at_ms: world.now_ms });
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
    assert_eq!(world.step_state(&promotion, "release"), StepState::Ready, "it does not merge now");
    assert!(world.waits_for(&promotion).for_what.starts_with("the window"));
    world.fires(&promotion, "window");
    world.done(&promotion, "check-software");
    world.done(&promotion, "check-infrastructure");
    assert!(matches!(standing_of(&world), Standing::Ready { .. }));
    world.done(&promotion, "release");
    assert!(matches!(standing_of(&world), Standing::Merging { .. }));
}

fn since_of(world: &World, promotion: &str) -> i64 {
    match Task::clone(&world.step(promotion, "release").task) {
        Task::Release(member) => member.since_ms,
        task => panic!("{task:?}"),
    }
}

#[test]
fn a_release_without_a_name_or_without_the_system_is_refused() {
    let (mut world, _) = two_versions();
    let refused = world.ask("grace", release_of(&["billing"])).unwrap_err().to_string();
    assert!(refused.contains("shop is no part of the release spring fair"), "{refused}");
}

#[test]
fn a_member_that_is_held_lets_the_others_wait() {
    let (mut world, _) = two_versions();
    world.asked("grace", release_of(&["shop", "billing"]));
    let promotion = world.newest("promote");
    world.done(&promotion, "check-software");
    world.done(&promotion, "check-infrastructure");
    assert!(matches!(standing_of(&world), Standing::Ready { .. }));
    let end_ms = world.now_ms + HOUR_MS;
    world.asked("grace", freeze(Some("main"), end_ms));
    let held = |world: &World, what: &str| match standing_of(world) {
        Standing::OnItsWay { waits_for, .. } => assert!(waits_for.contains(what), "{waits_for}"),
        standing => panic!("{standing:?}"),
    };
    held(&world, "the end of freeze-1");
    world.done(&promotion, "release");
    assert_eq!(world.step_state(&promotion, "release"), StepState::Ready, "it does not merge now");
    held(&world, "the end of freeze-1");
    world.asked("grace", Command::Thaw { freeze: "freeze-1".to_owned() });
    assert!(matches!(standing_of(&world), Standing::Ready { .. }));
    world.done(&promotion, "release");
    assert!(matches!(standing_of(&world), Standing::Merging { .. }));
    let end_ms = world.now_ms + HOUR_MS;
    world.asked("grace", freeze(Some("main"), end_ms));
    world.settle();
    assert!(matches!(standing_of(&world), Standing::Done { .. }), "the others merge: it is finished");
    world.replays(world.log.len() / 2);
}

#[test]
fn a_member_of_a_pinned_stage_is_not_counted_on() {
    let (mut world, _) = two_versions();
    world.asked("grace", release_of(&["shop", "billing"]));
    world.settle();
    world.deliver_in_dev();
    world.settle();
    world.asked("grace", pin("main", None));
    world.asked("grace", release_of(&["shop", "billing"]));
    world.settle();
    let promotion = world.newest("promote");
    assert_eq!(world.step_state(&promotion, "release"), StepState::Ready);
    assert!(
        matches!(standing_of(&world), Standing::OnItsWay { waits_for, .. } if waits_for.contains("the pin of main"))
    );
    world.asked("grace", unpin("main"));
    world.settle();
    assert_eq!(world.state(&promotion), RunState::Done);
}

#[test]
fn tried_again_before_it_waited_for_the_others_it_counts_from_then_too() {
    let rules = SHOP.replace("to: main, start: manual", &format!("to: main, start: manual, {ASKED}"));
    let (mut world, _) = two_versions_of(&rules);
    world.asked("grace", release_of(&["shop", "billing"]));
    let promotion = world.newest("promote");
    let asked_ms = since_of(&world, &promotion);
    world.later(60_000);
    world.asked("grace", Command::Reject { run: RunId::new(&promotion), reason: "no".to_owned() });
    world.later(60_000);
    world.asked("grace", retry(&promotion));
    assert_eq!(since_of(&world, &promotion), asked_ms + 120_000);
}

#[test]
fn an_automatic_promotion_of_the_set_gives_way_to_a_release_and_a_newer_one_does_not_end_it() {
    let (mut world, waiting) = verified_in(&SHOP.replace("to: qa }", &format!("to: qa, {ASKED} }}")));
    assert_eq!(world.step_state(&waiting, "approve"), StepState::Active);
    world.asked("grace", release_between(("dev", "qa"), &["shop", "billing"]));
    assert_eq!(world.state(&waiting), RunState::Superseded);
    let member = world.newest("promote");
    assert_ne!(member, waiting);
    let refused = world.ask("grace", release_between(("dev", "qa"), &["shop", "billing"])).unwrap_err().to_string();
    assert!(refused.contains("it promotes this very set"), "{refused}");
    world.push("software", "dev");
    world.settle();
    let newer = world.newest("promote");
    assert_ne!(newer, member);
    assert_eq!(world.step_state(&newer, "approve"), StepState::Active);
    assert_eq!(world.state(&member), RunState::Running, "other systems count on it");
    world.asked("grace", approve(&newer));
    world.asked("grace", approve(&member));
    world.settle();
    assert_eq!((world.state(&newer), world.state(&member)), (RunState::Done, RunState::Done));
    world.replays(world.log.len() / 2);
}

#[test]
fn what_an_earlier_release_of_the_name_did_does_not_count() {
    let (name, run) = (system("billing"), RunId::new("promote-7"));
    let release = Release { name: "spring fair".to_owned(), systems: [system("shop"), name.clone()].into() };
    let member = Member { release, since_ms: 300, asked_ms: 200 };
    let done = |at_ms| Standing::Done { run: run.clone(), at_ms };
    assert_eq!(member.counts(&name, done(100)), Counted::Awaited("billing, which was not asked yet".to_owned()));
    assert_eq!(member.counts(&name, done(250)), Counted::Ready, "it merged, and this one is tried again");
    let ended = |at_ms| Standing::Ended { run: run.clone(), reason: "no".to_owned(), at_ms, asked_ms: 200 };
    assert_eq!(member.counts(&name, ended(250)), Counted::Awaited("billing promote-7 to be tried again".to_owned()));
    assert_eq!(member.counts(&name, ended(300)), Counted::Ends("billing promote-7 ended: no".to_owned()));
    let old: Member = serde_json::from_value(serde_json::json!({
        "release": { "name": "spring fair", "systems": ["shop"] }, "since_ms": 300
    }))
    .unwrap();
    assert_eq!(old.asked_ms, 0, "what was asked before this was known");
}

#[test]
fn a_release_that_only_some_systems_have_is_half_released() {
    let (shop, billing, run) = (system("shop"), system("billing"), RunId::new("promote-7"));
    let ended = Standing::Ended { run: run.clone(), reason: "merge-a failed".to_owned(), at_ms: 300, asked_ms: 200 };
    let done = |at_ms| Standing::Done { run: run.clone(), at_ms };
    let of =
        |of_shop: Standing| half_released(&BTreeMap::from([(shop.clone(), of_shop), (billing.clone(), ended.clone())]));
    let half = HalfReleased { with: vec![shop.clone()], without: vec![(billing.clone(), run.clone())] };
    assert_eq!(of(done(250)), Some(half.clone()));
    assert_eq!(of(Standing::Merging { run: run.clone() }), Some(half));
    assert_eq!(of(done(100)), None, "that was an earlier release of the name");
    assert_eq!(of(Standing::Ready { run: run.clone() }), None, "nothing moved");
}
