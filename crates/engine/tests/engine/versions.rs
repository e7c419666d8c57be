//! Choosing versions: back to one, an older one on purpose, never a vetoed one, and a stage that stays at one.

use tidegate_engine::engine::{Cause, RunState, StepState, plan::Back, plan::Task};

use super::support::{
    World, failed, lift_veto, pin, promote, promote_version, repository, roll_back, run_rule, stage, unpin,
    verified::*, veto,
};

#[test]
fn a_rollback_restores_every_repository_and_what_follows_are_ordinary_runs() {
    let (mut world, [first, second]) = two_versions();
    let was = world.system.heads_of(&stage("qa"));
    world.asked("grace", roll_back("qa", None));
    let run = world.newest("rollback");
    assert_eq!(world.run(&run).set, world.version("qa", &first).set);
    world.done(&run, "check-software");
    assert_eq!(world.step_state(&run, "restore-software"), StepState::Blocked, "all is computed before any is made");
    world.done(&run, "check-infrastructure");
    for name in ["software", "infrastructure"] {
        let Task::Restore(restore) = Task::clone(&world.step(&run, &format!("restore-{name}")).task) else { panic!() };
        let (to, from) = (world.version("qa", &first).set[&repository(name)].clone(), was[&repository(name)].clone());
        assert_eq!(restore.back, Back::ToVersion { to, from: Some(from) });
        assert_eq!((restore.by.as_str(), restore.reason.as_str()), ("grace", "it leaks memory"));
    }
    world.done(&run, "restore-software");
    assert_eq!(world.live(), std::slice::from_ref(&run), "half of a set starts nothing");
    world.done(&run, "restore-infrastructure");
    assert_eq!(world.state(&run), RunState::Done);
    assert_eq!(world.live_subjects(), ["deliver"], "what is pinned came back with it");
    world.settle();
    let deployed = world.deployed("qa");
    assert_ne!(deployed.run.as_str(), second);
    assert!(world.system.same_content(&world.version("qa", &first).set, &deployed.set));
    assert_eq!(world.system.version_here(&stage("qa")).unwrap().verified.run.as_str(), first);
    assert_eq!(
        world.newest("promote"),
        world.promotion_of_second(),
        "what was brought back is not carried on by itself"
    );
    world.replays(40);
}

#[test]
fn what_was_taken_away_comes_back_only_if_somebody_wants_it() {
    let (mut world, _) = two_versions();
    world.asked("grace", roll_back("qa", None));
    world.settle();
    let before = world.newest("promote");
    world.asked("grace", run_rule("deliver", "dev"));
    world.settle();
    assert_eq!(world.newest("promote"), before, "the same set, verified once more, does not return by itself");
    world.asked("grace", promote("dev", "qa"));
    world.settle();
    world.deliver_in_dev();
    world.settle();
    assert!(world.system.versions.taken_away.is_empty(), "a newer set goes on as ever");
    let qa = &world.system.promoted[&stage("qa")];
    assert_eq!(qa.set, world.system.verified[&stage("dev")].set);
}

#[test]
fn each_rollback_goes_one_version_further_back() {
    let (mut world, [first, second]) = two_versions();
    world.deliver_in_dev();
    world.settle();
    let third = world.deployed("qa").run.to_string();
    for expected in [&second, &first] {
        world.asked("grace", roll_back("qa", None));
        let run = world.newest("rollback");
        assert_eq!(world.run(&run).set, world.version("qa", expected).set);
        world.settle();
    }
    let refused = world.ask("grace", roll_back("qa", None)).unwrap_err().to_string();
    assert!(refused.contains("qa has no earlier version"), "{refused}");
    let refused = world.ask("grace", roll_back("qa", Some(&first))).unwrap_err().to_string();
    assert!(refused.contains(&format!("qa is at {first} already")), "{refused}");
    let refused = world.ask("grace", roll_back("qa", Some("deliver-999"))).unwrap_err().to_string();
    assert!(refused.contains(&third) && refused.contains(&first), "it says which there are: {refused}");
    world.asked("grace", roll_back("qa", Some(&third)));
    world.settle();
    assert_eq!(world.system.version_here(&stage("qa")).unwrap().verified.run.as_str(), third, "forward again");
}

#[test]
fn runs_that_would_write_over_what_came_back_end() {
    let (mut world, _) = two_versions();
    world.push_after_ours("software", "qa");
    let package = world.newest("package");
    world.asked("grace", roll_back("qa", None));
    let back = world.newest("rollback");
    world.done(&back, "check-software");
    assert_eq!(world.state(&package), RunState::Running);
    world.done(&back, "check-infrastructure");
    world.settle();
    assert_eq!(world.state(&package), RunState::Superseded);
    assert!(world.run(&package).reason.unwrap().contains(&format!("{back} takes qa back")));
}

#[test]
fn a_rollback_that_fails_in_the_middle_is_said_and_finished_by_a_retry() {
    let (mut world, _) = two_versions();
    world.asked("grace", roll_back("qa", None));
    let back = world.newest("rollback");
    for step in ["check-software", "check-infrastructure", "restore-software"] {
        world.done(&back, step);
    }
    world.answers(&back, "restore-infrastructure", failed("protected branch"));
    let half_way = &world.system.versions.half_way[&stage("qa")];
    assert_eq!((half_way.run.as_str(), half_way.open.clone()), (back.as_str(), vec![repository("infrastructure")]));
    world.settle();
    world.asked("grace", super::support::retry(&back));
    world.settle();
    assert_eq!(world.state(&back), RunState::Done);
    assert!(world.system.versions.half_way.is_empty());
}

#[test]
fn what_cannot_be_verified_goes_back_where_the_rules_say_so_and_only_once() {
    let (mut world, [first, second]) =
        two_versions_of(&SHOP.replace("shop: {}", "shop: { on_verify_failure: rollback }"));
    world.deliver_in_dev();
    world.settle_until(|world| world.at_step("deliver", "verify"));
    let third = world.newest("deliver");
    world.answers(&third, "verify", failed("503"));
    let back = world.newest("rollback");
    assert_eq!(world.run(&back).cause, Cause::NotVerified { run: world.run(&third).id });
    assert_eq!(world.run(&back).set, world.version("qa", &second).set, "to what was last verified");
    let Task::Restore(restore) = Task::clone(&world.step(&back, "restore-software").task) else { panic!() };
    let Back::ToVersion { from, .. } = restore.back else { panic!() };
    assert_eq!(from.as_ref(), world.run(&third).set.get(&repository("software")), "later pushes stay");
    // What came back cannot be verified either: that is no reason to go further back.
    world.settle_until(|world| world.at_step("deliver", "verify"));
    let fourth = world.newest("deliver");
    world.answers(&fourth, "verify", failed("503"));
    world.settle();
    assert_eq!(world.live(), Vec::<String>::new());
    assert_eq!(world.newest("rollback"), back);
    assert_ne!(first, second);
}

#[test]
fn a_failed_check_of_what_was_verified_before_takes_nothing_back() {
    let (mut world, _) = two_versions_of(&SHOP.replace("shop: {}", "shop: { on_verify_failure: rollback }"));
    world.asked("grace", run_rule("deliver", "qa"));
    world.settle_until(|world| world.at_step("deliver", "verify"));
    world.answers(&world.newest("deliver"), "verify", failed("503"));
    assert_eq!(world.live(), Vec::<String>::new());
}

#[test]
fn an_older_version_is_promoted_on_purpose_and_the_newer_stays_away() {
    let (mut world, _) = two_versions();
    let dev: Vec<String> =
        world.system.versions_of(&stage("dev")).iter().map(|version| version.verified.run.to_string()).collect();
    world.asked("grace", promote_version("dev", "qa", &dev[0]));
    let older = world.newest("promote");
    let Task::Merge(merge) = Task::clone(&world.step(&older, "merge-software").task) else { panic!() };
    let newest = world.system.heads_of(&stage("dev"))[&repository("software")].clone();
    assert_eq!(
        (merge.back_from, merge.commit),
        (Some(newest), world.version("dev", &dev[0]).set[&repository("software")].clone())
    );
    world.settle();
    assert_eq!(world.state(&older), RunState::Done);
    let refused = world.ask("grace", promote_version("dev", "qa", &dev[0])).unwrap_err().to_string();
    assert!(refused.contains("is in qa already"), "{refused}");
    world.asked("grace", run_rule("deliver", "dev"));
    world.settle();
    assert_eq!(world.newest("promote"), older, "the newer one, verified once more, does not return by itself");
    let refused = world.ask("grace", promote_version("dev", "qa", "deliver-99")).unwrap_err().to_string();
    assert!(refused.contains("the versions of dev, newest first"), "{refused}");
}

#[test]
fn a_vetoed_commit_never_moves_again_whatever_it_is_called_in_each_stage() {
    let (mut world, [first, second]) = two_versions();
    let bad = world.system.verified[&stage("dev")].set[&repository("software")].clone();
    world.asked("grace", veto(&format!("software@{}", &bad.as_str()[..40])));
    let words = format!("{bad} is vetoed by grace: it leaks memory");
    let refused = |world: &mut World, command| world.ask("ada", command).unwrap_err().to_string();
    for command in [promote("qa", "main"), pin("qa", None)] {
        let refused = refused(&mut world, command);
        assert!(refused.contains(&words), "{refused}");
    }
    // To deploy it once more fails with the same words.
    world.asked("grace", run_rule("deliver", "qa"));
    world.settle();
    let deliver = world.run(&world.newest("deliver"));
    assert_eq!((deliver.state, deliver.reason.as_deref()), (RunState::Failed, Some(words.as_str())));
    assert!(deliver.steps.iter().all(|step| !step.task.kind().deploys() || step.started_ms.is_none()));

    world.asked("grace", roll_back("qa", None));
    world.settle();
    let refused = refused(&mut world, roll_back("qa", Some(&second)));
    assert!(refused.contains(&words), "{refused}");
    assert_eq!(world.system.version_here(&stage("qa")).unwrap().verified.run.as_str(), first);
    world.asked("linus", lift_veto(bad.as_str()));
    world.asked("grace", roll_back("qa", Some(&second)));
    world.settle();
    assert_eq!(world.system.version_here(&stage("qa")).unwrap().verified.run.as_str(), second);
}

#[test]
fn a_veto_ends_what_waits_with_it_and_needs_a_name_and_a_reason() {
    let (mut world, _) = two_versions();
    world.deliver_in_dev();
    let promotion = world.newest("promote");
    let bad = world.run(&promotion).set[&repository("software")].clone();
    world.asked("grace", veto(&bad.as_str()[..40]));
    assert_eq!(world.state(&promotion), RunState::Ending, "what is active drains");
    world.settle();
    assert_eq!(world.state(&promotion), RunState::Failed);
    for what in ["", "abc", "  "] {
        assert!(world.ask("grace", veto(what)).is_err(), "`{what}`");
    }
    assert!(world.ask("grace", veto(bad.as_str())).unwrap_err().to_string().contains("is vetoed by grace"));
    assert!(world.ask("grace", lift_veto("sha256:other")).unwrap_err().to_string().contains("vetoed are:"));
}

#[test]
fn a_vetoed_artifact_is_neither_pinned_nor_deployed_nor_promoted_where_it_is_pinned() {
    let (mut world, _) = two_versions();
    let artifact = world.artifact_of_newest("package");
    world.asked("grace", veto(&artifact));
    let refused = world.ask("ada", promote("qa", "main")).unwrap_err().to_string();
    assert!(refused.contains(&format!("{artifact} is vetoed by grace")), "{refused}");
    world.asked("grace", roll_back("qa", None));
    world.settle();
    assert!(world.system.vetoed_set(&world.system.heads_of(&stage("qa"))).is_none(), "what came back has another");
}

#[test]
fn a_pinned_stage_keeps_everything_else_out_and_says_who_can_end_that() {
    let (mut world, [first, second]) = two_versions();
    world.asked("grace", pin("qa", Some(&first)));
    assert_eq!(world.live_subjects(), ["rollback"], "it is brought there");
    world.settle();
    assert_eq!(world.system.version_here(&stage("qa")).unwrap().verified.run.as_str(), first);
    assert!(world.system.same_content(&world.version("qa", &first).set, &world.deployed("qa").set), "and deployed");

    world.deliver_in_dev();
    world.settle();
    let promotion = world.newest("promote");
    let waiting = world.waits_for(&promotion);
    assert_eq!(waiting.for_what, format!("the end of the pin of qa at {first} (grace: the fair is on)"));
    assert_eq!(waiting.ended_by, "grace or an operator: `tidegate unpin qa`");
    world.push_after_ours("infrastructure", "qa");
    world.settle();
    let deliver = world.newest("deliver");
    assert_eq!(world.step_state(&deliver, "deploy"), StepState::Ready);
    assert!(world.waits_for(&deliver).for_what.contains("the pin of qa"));
    let refused = world.ask("ada", roll_back("qa", Some(&second))).unwrap_err().to_string();
    assert!(refused.contains("grace pinned it at"), "{refused}");
    assert!(world.ask("ada", pin("qa", Some(&second))).unwrap_err().to_string().contains("grace pinned qa at"));

    world.asked("grace", unpin("qa"));
    world.settle();
    assert_eq!((world.state(&promotion), world.state(&deliver)), (RunState::Done, RunState::Done));
    assert!(world.ask("grace", unpin("qa")).unwrap_err().to_string().contains("qa is not pinned"));
    world.replays(60);
}

#[test]
fn a_pin_lets_a_promotion_finish_that_has_begun_and_then_goes_back() {
    let (mut world, [first, _]) = two_versions();
    world.deliver_in_dev();
    let promotion = world.newest("promote");
    for step in ["check-software", "check-infrastructure", "merge-software"] {
        world.done(&promotion, step);
    }
    world.asked("grace", pin("qa", Some(&first)));
    world.settle();
    assert_eq!(world.state(&promotion), RunState::Done);
    assert_eq!(world.system.version_here(&stage("qa")).unwrap().verified.run.as_str(), first);
}
