//! Ways back among all else that goes on: promotions, runs in flight, pins, freezes, and other ways back.

use tidegate_engine::engine::{Brings, Command, Pin, PinAt, RunState, StepOutcome, StepState};

use super::support::{
    HOUR_MS, World, failed, freeze, pin, promote, promote_version, repository, retry, roll_back, run_rule, stage,
    unmoved, verified::*,
};

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

/// Steps of dev succeed until a new promotion has begun.
fn deliver_beside(world: &mut World) -> String {
    let before = world.newest("promote");
    world.push("software", "dev");
    while world.newest("promote") == before {
        let dev = world.step_effects().into_iter().find(|effect| effect.id.as_str().contains("@dev"));
        let dev = dev.or_else(|| {
            let of_dev = |run: &&tidegate_engine::engine::Run| run.stage == stage("dev");
            let runs: Vec<String> = world.system.live_runs().filter(of_dev).map(|run| run.id.to_string()).collect();
            let mut effects = world.step_effects().into_iter();
            effects.find(|effect| runs.iter().any(|run| effect.id.as_str().starts_with(&format!("{run}/"))))
        });
        let dev = dev.unwrap_or_else(|| panic!("{:?}", world.live()));
        let outcome = world.success(&dev);
        world.answer(&dev.id, outcome);
    }
    world.newest("promote")
}

/// What the tag was last set from that the infrastructure of qa pins.
fn tag_pinned_in_qa(world: &World) -> &Pin {
    let (repository, stage) = (repository("infrastructure"), stage("qa"));
    let (file, pointer) = ("config.json".into(), "/tag".into());
    &world.system.pins[&PinAt { repository, stage, file, pointer }]
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

#[test]
fn a_run_in_flight_sets_no_older_pin_on_what_a_promotion_merges() {
    let (mut world, _) = two_versions();
    world.push_after_ours("software", "qa");
    let flight = world.newest("package");
    let promotion = deliver_beside(&mut world);
    world.reproducible = false;
    checked(&mut world, &promotion);
    world.done(&promotion, "merge-infrastructure");
    world.done(&flight, "package");
    assert_eq!(world.step_state(&flight, "commit"), StepState::Ready);
    let waiting = world.waits_for(&flight);
    assert_eq!(waiting.for_what, format!("{promotion} to move the repositories of qa as one set"));
    assert!(waiting.ended_by.contains(&promotion), "{waiting:?}");
    world.done(&promotion, "merge-software");
    assert_eq!((world.state(&promotion), world.state(&flight)), (RunState::Done, RunState::Superseded));
    let reason = world.run(&flight).reason.unwrap();
    assert!(reason.contains(&format!("`/tag` in infrastructure qa was already set by {promotion}")), "{reason}");
    world.settle();
    let software = world.system.heads_of(&stage("qa"))[&repository("software")].clone();
    assert_eq!(tag_pinned_in_qa(&world).source, software);
    world.replays(60);
}

#[test]
fn a_merge_that_a_watch_shows_before_its_step_is_done_leaves_its_own_runs_and_later_pushes_their_pins() {
    let (mut world, _) = two_versions();
    let promotion = deliver_beside(&mut world);
    world.reproducible = false;
    checked(&mut world, &promotion);
    world.done(&promotion, "merge-infrastructure");
    let merge = world.effect(&promotion, "merge-software");
    let outcome = world.success(&merge);
    world.watch(&repository("software"));
    let pushed_on_top = world.commit(&repository("software"), &stage("qa"), "ada", None);
    world.watch(&repository("software"));
    world.answer(&merge.id, outcome);
    world.settle();
    let package = world.newest("package");
    assert_eq!((world.state(&promotion), world.state(&package)), (RunState::Done, RunState::Done));
    assert_eq!(tag_pinned_in_qa(&world).source, pushed_on_top);
    world.replays(60);
}

#[test]
fn a_run_on_what_a_promotion_leaves_alone_may_still_pin() {
    let (mut world, _) = two_versions();
    world.push_after_ours("software", "qa");
    let flight = world.newest("package");
    let promotion = deliver_beside(&mut world);
    world.reproducible = false;
    checked(&mut world, &promotion);
    let head = world.system.heads_of(&stage("qa"))[&repository("software")].clone();
    world.answers(&promotion, "merge-software", unmoved(&head, Brings::default()));
    world.done(&promotion, "merge-infrastructure");
    world.settle();
    assert_eq!(world.state(&flight), RunState::Done, "its commit is still the newest");
}

#[test]
fn runs_that_begin_while_a_way_back_waits_neither_overwrite_it_nor_are_verified() {
    let (mut world, _) = two_versions();
    world.asked("grace", freeze(Some("qa"), world.now_ms + HOUR_MS));
    world.asked("grace", roll_back("qa", None));
    let back = world.newest("rollback");
    world.asked("ada", run_rule("package", "qa"));
    let package = world.newest("package");
    world.settle();
    world.asked("grace", Command::Thaw { freeze: "freeze-1".to_owned() });
    assert_eq!((world.state(&back), world.state(&package)), (RunState::Running, RunState::Superseded));

    let (mut world, [first, _]) = two_versions();
    world.asked("grace", roll_back("qa", None));
    world.asked("ada", run_rule("deliver", "qa"));
    let deliver = world.newest("deliver");
    world.done(&deliver, "synth");
    world.done(&deliver, "deploy");
    let (back, known) = (world.newest("rollback"), world.system.versions_of(&stage("qa")).to_vec());
    checked(&mut world, &back);
    world.done(&back, "restore-software");
    world.done(&back, "restore-infrastructure");
    world.done(&deliver, "verify");
    assert_eq!(world.state(&deliver), RunState::Done, "what is just deploying finishes");
    assert_eq!(world.system.versions_of(&stage("qa")), known, "and is no version");
    assert_eq!(world.system.verified[&stage("qa")].run.as_str(), first);
}

#[test]
fn what_is_pinned_anew_on_top_of_a_way_back_is_another_version() {
    let (mut world, [first, _]) = two_versions();
    world.asked("grace", roll_back("qa", None));
    world.reproducible = false;
    world.settle();
    world.asked("grace", run_rule("package", "qa"));
    world.settle();
    assert_eq!(world.run(&world.newest("package")).stage, stage("qa"));
    let here = world.system.version_here(&stage("qa")).map(|version| version.verified.run.to_string());
    assert_ne!(here, Some(first));
}

#[test]
fn a_way_back_that_is_out_of_date_is_not_tried_again() {
    let (mut world, _) = two_versions();
    world.deliver_in_dev();
    let promotion = world.newest("promote");
    checked(&mut world, &promotion);
    world.done(&promotion, "merge-infrastructure");
    world.answers(&promotion, "merge-software", failed("protected branch"));
    let back = world.newest("take-back");
    world.answers(&back, "check-infrastructure", failed("protected branch"));
    world.settle();
    world.deliver_in_dev();
    world.settle();
    assert!(world.system.versions.half_way.is_empty(), "the next set came whole");
    let refused = world.ask("ada", retry(&back)).unwrap_err().to_string();
    assert!(refused.contains("does not stand half-way any more"), "{refused}");
    assert!(refused.contains("`tidegate rollback qa`"), "{refused}");

    let (mut world, _) = two_versions();
    world.asked("grace", roll_back("qa", None));
    let back = world.newest("rollback");
    world.answers(&back, "check-software", failed("somebody mended it"));
    world.settle();
    world.deliver_in_dev();
    world.settle();
    let refused = world.ask("ada", retry(&back)).unwrap_err().to_string();
    assert!(refused.contains(&format!("{} has moved qa since", world.newest("promote"))), "{refused}");
    assert!(refused.contains("`tidegate rollback qa`"), "{refused}");
}

/// A promotion that has merged half of its set, and a way back to the first version of qa, which waits.
fn way_back_in_the_midst() -> (World, String, String, String) {
    let (mut world, [first, _]) = two_versions();
    world.deliver_in_dev();
    let promotion = world.newest("promote");
    checked(&mut world, &promotion);
    world.done(&promotion, "merge-infrastructure");
    world.asked("grace", roll_back("qa", Some(&first)));
    let back = world.newest("rollback");
    (world, first, promotion, back)
}

#[test]
fn a_way_back_that_waits_comes_after_the_taking_back_and_nothing_starts_between() {
    let (mut world, first, promotion, back) = way_back_in_the_midst();
    world.answers(&promotion, "merge-software", failed("protected branch"));
    let taken = world.newest("take-back");
    assert_eq!(world.live(), [back.clone(), taken.clone()]);
    assert_eq!((world.state(&back), world.state(&taken)), (RunState::Queued, RunState::Running));
    world.done(&taken, "check-infrastructure");
    world.done(&taken, "restore-infrastructure");
    assert_eq!((world.state(&taken), world.live()), (RunState::Done, vec![back.clone()]));
    world.settle();
    assert_eq!(world.system.version_here(&stage("qa")).unwrap().verified.run.as_str(), first);
    assert!(world.system.same_content(&world.version("qa", &first).set, &world.deployed("qa").set));
    world.replays(60);
}

#[test]
fn what_a_promotion_merged_starts_nothing_where_a_way_back_waits_behind_it() {
    let (mut world, first, promotion, back) = way_back_in_the_midst();
    world.done(&promotion, "merge-software");
    assert_eq!((world.state(&promotion), world.live()), (RunState::Done, vec![back]));
    world.settle();
    assert!(world.system.same_content(&world.version("qa", &first).set, &world.deployed("qa").set));
}

#[test]
fn a_pin_ends_a_way_back_to_another_version_that_has_not_begun() {
    let (mut world, [first, second]) = two_versions();
    world.asked("grace", freeze(Some("qa"), world.now_ms + HOUR_MS));
    world.asked("grace", roll_back("qa", Some(&first)));
    let back = world.newest("rollback");
    world.settle();
    world.asked("grace", pin("qa", Some(&second)));
    assert_eq!(world.state(&back), RunState::Superseded);
    assert_eq!(world.run(&back).reason.unwrap(), format!("grace pinned qa at {second}"));
    world.asked("grace", Command::Thaw { freeze: "freeze-1".to_owned() });
    world.settle();
    assert_eq!(world.live(), Vec::<String>::new());
    assert_eq!(world.system.version_here(&stage("qa")).unwrap().verified.run.as_str(), second);
}

#[test]
fn neither_a_freeze_nor_a_pin_keeps_a_way_back_half_made() {
    for pinned in [false, true] {
        let (mut world, [first, second]) = two_versions();
        world.push_after_ours("software", "qa");
        let package = world.newest("package");
        world.done(&package, "package");
        world.asked("grace", roll_back("qa", Some(&first)));
        let back = world.newest("rollback");
        checked(&mut world, &back);
        world.done(&back, "restore-software");
        assert_eq!(world.step_state(&back, "restore-infrastructure"), StepState::Ready, "it waits for the commit");
        if pinned {
            world.asked("grace", pin("qa", Some(&second)));
        } else {
            world.asked("grace", freeze(Some("qa"), world.now_ms + HOUR_MS));
        }
        world.answers(&package, "commit", StepOutcome::Cancelled);
        assert_eq!(world.step_state(&back, "restore-infrastructure"), StepState::Active);
        world.settle();
        assert_eq!(world.state(&back), RunState::Done);
        let here = if pinned { &second } else { &first };
        assert_eq!(world.system.version_here(&stage("qa")).unwrap().verified.run.as_str(), here);
    }
}

#[test]
fn what_a_pin_keeps_out_does_not_end_the_deployment_of_what_is_pinned() {
    let (mut world, [first, _]) = two_versions();
    world.asked("grace", pin("qa", Some(&first)));
    world.settle_until(|world| world.at_step("deliver", "synth"));
    let wanted = world.newest("deliver");
    world.push_after_ours("infrastructure", "qa");
    let kept_out = world.newest("deliver");
    world.done(&kept_out, "synth");
    assert_eq!(world.step_state(&kept_out, "deploy"), StepState::Ready);
    world.settle();
    assert_eq!((world.state(&wanted), world.state(&kept_out)), (RunState::Done, RunState::Running));
    assert_eq!(world.deployed("qa").run.as_str(), wanted);
}

#[test]
fn a_repository_that_is_already_there_keeps_its_identity() {
    let (mut world, [first, _]) = two_versions();
    world.asked("grace", roll_back("qa", None));
    world.settle();
    world.push_after_ours("software", "qa");
    world.settle();
    assert!(world.system.version_here(&stage("qa")).is_none_or(|here| here.verified.run.as_str() != first));
    world.asked("grace", roll_back("qa", Some(&first)));
    let back = world.newest("rollback");
    checked(&mut world, &back);
    let head = world.system.heads_of(&stage("qa"))[&repository("infrastructure")].clone();
    let to = world.version("qa", &first).set[&repository("infrastructure")].clone();
    let brought = Brings { to: Some(to), from: Some(head.clone()), ..Brings::default() };
    world.answers(&back, "restore-infrastructure", unmoved(&head, brought));
    world.settle();
    assert_eq!(world.system.version_here(&stage("qa")).unwrap().verified.run.as_str(), first);
}
