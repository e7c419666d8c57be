//! The figures of delivery, computed by hand for histories that are told event by event.

use tidegate_engine::{
    engine::{
        RunState, StepOutcome, TargetKey,
        explain::Verdict,
        stats::{self, Period, StageStats, Times, WEEK_MS},
    },
    rules::StageName,
};

use super::support::{
    HOUR_MS, MINUTE_MS, NOON_MS, World, abort, approve, failed, pending, promote, retry, roll_back, stage,
};

/// Software is packed and pinned, infrastructure is deployed, and what is verified in dev goes to qa by itself.
const SHOP: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, qa: { environment: QA } }
repositories: { software: { url: s.git }, infrastructure: { url: n.git } }
targets: { shop: { queue: fifo, on_failure: continue } }
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
  - { from: dev, to: qa, start: START }
";

fn shop(start: &str) -> World {
    World::new(&SHOP.replace("START", start))
}

/// From noon on, for so long.
fn figures(world: &World, since_ms: i64, until_ms: i64) -> Vec<StageStats> {
    let stages: Vec<StageName> = world.system.rules().unwrap().stages.keys().cloned().collect();
    stats::of(&world.whereabouts, &stages, Period { since_ms: NOON_MS + since_ms, until_ms: NOON_MS + until_ms })
}

fn minutes(times: Times) -> (usize, i64, i64) {
    (times.count, times.median_ms / MINUTE_MS, times.p90_ms / MINUTE_MS)
}

#[test]
fn an_empty_history_has_no_figures() {
    let world = World::empty();
    assert_eq!(stats::of(&world.whereabouts, &[], Period { since_ms: 0, until_ms: 0 }), []);
    let world = shop("manual");
    for stage in figures(&world, 0, 0) {
        assert_eq!((stage.deployments, stage.failed), (0, 0));
        assert_eq!((stage.change_failure_rate, stage.per_week), (None, None));
        assert_eq!((stage.lead_time, stage.time_to_restore), (None, None));
        assert_eq!((stage.weeks.len(), stage.not_restored), (1, Vec::new()));
    }
}

#[test]
fn the_median_and_the_ninetieth_percentile_are_of_times_that_were() {
    assert_eq!(Times::of(Vec::new()), None);
    assert_eq!(Times::of(vec![7]), Some(Times { count: 1, median_ms: 7, p90_ms: 7 }));
    assert_eq!(Times::of(vec![20, 10]), Some(Times { count: 2, median_ms: 15, p90_ms: 20 }));
    assert_eq!(Times::of((1..=10).collect()), Some(Times { count: 10, median_ms: 5, p90_ms: 9 }));
    assert_eq!(Times::of(vec![3, 1, 2]), Some(Times { count: 3, median_ms: 2, p90_ms: 3 }));
}

/// Noon: a push, deployed to both stages after 20 minutes. An hour after noon: two pushes ten minutes apart, both deployed
/// 30 minutes after the first.
#[test]
fn lead_time_is_from_the_first_sight_of_a_change_to_the_good_run_that_deploys_it() {
    let mut world = shop("automatic");
    world.push("software", "dev");
    world.later(20 * MINUTE_MS);
    world.settle();
    world.later(40 * MINUTE_MS);
    world.push("software", "dev");
    world.later(10 * MINUTE_MS);
    world.push("software", "dev");
    world.later(20 * MINUTE_MS);
    world.settle();
    let stages = figures(&world, 0, 24 * HOUR_MS);
    let [dev, qa] = stages.as_slice() else { panic!("{stages:?}") };
    assert_eq!(minutes(dev.lead_time.unwrap()), (3, 20, 30), "20, 30, 20");
    assert_eq!(minutes(qa.lead_time.unwrap()), (3, 20, 30));
    assert_eq!(dev.change_failure_rate, Some(0.0));
    let per_week = dev.deployments as f64 * 7.0;
    assert_eq!(dev.per_week, Some(per_week), "in one day");
    // Of the first alone, when the period ends before the others.
    let first = figures(&world, 0, 30 * MINUTE_MS);
    assert_eq!(minutes(first[0].lead_time.unwrap()), (1, 20, 20));
    assert_eq!((first[0].deployments, first[0].per_week), (1, None), "half an hour says nothing of a week");
    // Of the others alone, when it begins after the first.
    assert_eq!(minutes(figures(&world, HOUR_MS, 24 * HOUR_MS)[0].lead_time.unwrap()), (2, 25, 30));
}

#[test]
fn a_change_arrives_with_the_first_good_deployment_and_not_with_a_failed_one() {
    let mut world = shop("manual");
    world.push("infrastructure", "dev");
    for step in ["synth", "deploy"] {
        world.done("deliver-1", step);
    }
    world.answers("deliver-1", "verify", failed("502"));
    assert_eq!(figures(&world, 0, HOUR_MS)[0].lead_time, None);
    world.later(45 * MINUTE_MS);
    world.push("infrastructure", "dev");
    world.later(15 * MINUTE_MS);
    world.settle();
    let dev = figures(&world, 0, HOUR_MS).remove(0);
    assert_eq!(minutes(dev.lead_time.unwrap()), (2, 37, 60), "the second brings the first along: 15 and 60");
    assert_eq!((dev.deployments, dev.failed, dev.change_failure_rate), (2, 1, Some(0.5)));
    assert_eq!(minutes(dev.time_to_restore.unwrap()), (1, 60, 60));
    assert_eq!(dev.not_restored, []);
}

#[test]
fn failures_that_follow_one_another_are_one_outage_until_the_target_is_good_again() {
    let mut world = shop("manual");
    for run in ["deliver-1", "deliver-2"] {
        world.push("infrastructure", "dev");
        for step in ["synth", "deploy"] {
            world.done(run, step);
        }
        world.answers(run, "verify", failed("502"));
        world.later(10 * MINUTE_MS);
    }
    let dev = figures(&world, 0, HOUR_MS).remove(0);
    assert_eq!((dev.deployments, dev.failed, dev.time_to_restore), (2, 2, None));
    let open: Vec<&str> = dev.not_restored.iter().map(|outage| outage.run.as_str()).collect();
    assert_eq!(open, ["deliver-1"], "since the first");
    assert_eq!(dev.not_restored[0].since_ms, NOON_MS);
    // Mended without deploying again: the same deployment, which stays a failure, and the target is good.
    world.later(5 * MINUTE_MS);
    world.asked("ada", retry("deliver-2"));
    world.done("deliver-2", "verify");
    assert_eq!(world.state("deliver-2"), RunState::Done);
    let dev = figures(&world, 0, HOUR_MS).remove(0);
    assert_eq!((dev.deployments, dev.failed), (2, 2));
    assert_eq!(minutes(dev.time_to_restore.unwrap()), (1, 25, 25));
    assert_eq!(dev.not_restored, []);
    // It fails before anything is replaced, so that there is no outage; and is deployed by a retry.
    world.later(MINUTE_MS);
    world.push("infrastructure", "dev");
    world.done("deliver-3", "synth");
    world.answers("deliver-3", "deploy", failed("no room"));
    let dev = figures(&world, 0, HOUR_MS).remove(0);
    assert_eq!((dev.deployments, dev.did_not_take_place, dev.failed), (2, 1, 2));
    assert_eq!(dev.not_restored, [], "what ran before still runs");
    world.later(2 * MINUTE_MS);
    world.asked("ada", retry("deliver-3"));
    world.settle();
    let dev = figures(&world, 0, HOUR_MS).remove(0);
    assert_eq!((dev.deployments, dev.did_not_take_place, dev.failed), (3, 1, 2));
    assert_eq!(minutes(dev.time_to_restore.unwrap()), (1, 25, 25));
}

#[test]
fn an_abort_before_the_switch_is_no_outage_and_one_after_it_is() {
    let mut world = shop("manual");
    world.push("infrastructure", "dev");
    world.done("deliver-1", "synth");
    world.answers("deliver-1", "deploy", pending(MINUTE_MS));
    world.asked("ada", abort("deliver-1"));
    world.answers("deliver-1", "deploy", StepOutcome::Cancelled);
    let dev = figures(&world, 0, HOUR_MS).remove(0);
    assert_eq!((dev.deployments, dev.did_not_take_place, dev.failed, dev.change_failure_rate), (0, 1, 0, None));
    assert_eq!((dev.weeks[0].deployments, dev.not_restored), (0, Vec::new()));
    world.push("infrastructure", "dev");
    for step in ["synth", "deploy"] {
        world.done("deliver-2", step);
    }
    world.asked("ada", abort("deliver-2"));
    world.settle();
    let dev = figures(&world, 0, HOUR_MS).remove(0);
    assert_eq!((dev.deployments, dev.did_not_take_place, dev.failed), (1, 1, 1));
    assert_eq!(dev.not_restored.len(), 1, "nobody has verified what serves now");
}

/// Two wait for approval; the newer is approved and deployed, and then the older takes its place.
#[test]
fn a_deployment_whose_place_something_older_takes_was_rolled_back() {
    let asks = "- approve: { stages: { dev: { count: 1 } } }\n      - deploy: {}";
    let mut world = World::new(&SHOP.replace("START", "manual").replace("- deploy: {}", asks));
    for run in ["deliver-1", "deliver-2"] {
        world.push("infrastructure", "dev");
        world.done(run, "synth");
    }
    for run in ["deliver-2", "deliver-1"] {
        world.asked("grace", approve(run));
        world.settle();
        world.later(30 * MINUTE_MS);
    }
    let dev = figures(&world, 0, HOUR_MS).remove(0);
    assert_eq!((dev.deployments, dev.failed), (2, 1), "the newer one");
    assert_eq!(minutes(dev.time_to_restore.unwrap()), (1, 30, 30));
    assert_eq!(minutes(dev.lead_time.unwrap()), (2, 0, 0));
}

#[test]
fn what_a_force_push_took_away_never_arrives() {
    let mut world = shop("manual");
    world.push("infrastructure", "dev");
    world.push_of("infrastructure", "dev", &["template.yaml"], true);
    world.answers("deliver-1", "synth", failed("it was taken away"));
    world.settle();
    let dev = figures(&world, 0, HOUR_MS).remove(0);
    assert_eq!(dev.lead_time.unwrap().count, 1, "the one that was forced");
}

#[test]
fn weeks_are_counted_back_from_the_end() {
    let mut world = shop("manual");
    world.push("infrastructure", "dev");
    world.settle();
    world.later(WEEK_MS + HOUR_MS);
    world.push("infrastructure", "dev");
    world.settle();
    let dev = figures(&world, -WEEK_MS, WEEK_MS + 2 * HOUR_MS).remove(0);
    assert_eq!(dev.stage, stage("dev"));
    let weeks: Vec<(i64, usize)> = dev.weeks.iter().map(|week| (week.from_ms - NOON_MS, week.deployments)).collect();
    assert_eq!(weeks, [(0, 1), (2 * HOUR_MS, 1)], "and none is of before the log");
    assert!((dev.per_week.unwrap() - 2.0 * WEEK_MS as f64 / (WEEK_MS + 2 * HOUR_MS) as f64).abs() < 1e-9);
}

/// A change goes to qa, and an hour later the stage is rolled back; half an hour after that it is promoted again.
#[test]
fn what_was_rolled_back_failed_is_restored_by_the_way_back_and_comes_again() {
    let mut world = shop("automatic");
    let mut deployed = Vec::new();
    for _ in 0..2 {
        world.push("software", "dev");
        world.settle();
        world.later(HOUR_MS);
        let target = &world.system.targets[&"shop@qa".parse::<TargetKey>().unwrap()];
        deployed.push(target.deployed.as_ref().unwrap().run.to_string());
    }
    let pushed = world.system.head(&super::support::repository("software"), &stage("dev")).unwrap().commit.clone();
    assert_eq!(world.journey("software", &pushed, "qa").verdict, Verdict::Passed);
    world.asked("grace", roll_back("qa", Some(&deployed[0])));
    world.settle();
    let [_, qa] = &figures(&world, 0, 24 * HOUR_MS)[..] else { panic!() };
    assert_eq!((qa.deployments, qa.failed), (3, 1), "the last before the way back was rolled back");
    assert_eq!(minutes(qa.time_to_restore.unwrap()), (1, 60, 60));
    let gone = world.journey("software", &pushed, "qa");
    assert_eq!(gone.verdict, Verdict::Refused, "{gone:#?}");
    assert!(gone.summary.contains("took it back"), "{}", gone.summary);
    world.later(HOUR_MS / 2);
    world.asked("grace", promote("dev", "qa"));
    world.settle();
    let again = world.journey("software", &pushed, "qa");
    assert_eq!(again.verdict, Verdict::Passed, "{again:#?}");
    let [_, qa] = &figures(&world, 0, 24 * HOUR_MS)[..] else { panic!() };
    assert_eq!((qa.deployments, qa.failed), (4, 1), "coming again is no failure of the way back");
}
