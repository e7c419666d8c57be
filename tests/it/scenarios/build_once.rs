//! Built once, whatever the branch; built anew when the rules or the clock say so; and combined only with its like.

use std::path::PathBuf;

use tidegate::engine::{Cause, RunState};

use super::{NEW_VERSION, delivery::Delivery, json};

const NIGHTLY: &str = "schedule: { cron: \"0 0 3 * * *\", timezone: Europe/Berlin, stages: [dev] }";
const INSTALL: &str = "- cp opt/webshop/VERSION srv/webshop/VERSION";

/// How many builds there have been.
fn builds(delivery: &Delivery) -> usize {
    std::fs::read_dir(delivery.root().join("data/image-builder")).map_or(0, |jobs| jobs.count())
}

/// An image that takes in what a package mirror is to a real one: it changes, and no repository does.
fn takes_packages(delivery: &Delivery) -> PathBuf {
    let outside = delivery.root().join("packages");
    std::fs::write(&outside, "openssl 1\n").unwrap();
    let component = super::delivery::COMPONENT
        .replace(INSTALL, &format!("{INSTALL}\n            - cp {} srv/webshop/packages", outside.display()));
    delivery.image.commit("dev", "Take packages", &[("components/webshop.yaml", &component)]);
    outside
}

/// The image that is pinned in a stage.
fn pinned(delivery: &Delivery, stage: &str) -> String {
    json(&delivery.infrastructure.read(stage, "config.json"))["ami"]["eu-central-1"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_promoted_is_built_once_for_all_stages() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("deliver", "dev");
    for (from, to) in [("dev", "qa"), ("qa", "main")] {
        delivery.granted(&["promote", from, to, "--as", "grace"]);
        let asked = delivery.asking("deliver", to).id.to_string();
        delivery.granted(&["approve", &asked, "--as", "grace"]);
        delivery.done("deliver", to);
        delivery.quiet();
        for rule in ["package", "bake"] {
            let why = delivery.done(rule, to).steps[0].skipped.clone();
            assert!(why.is_some_and(|why| why.contains("brought what was verified before")), "{rule} in {to}");
        }
    }
    assert_eq!(builds(&delivery), 1);
    assert_eq!(delivery.health("main").as_deref(), Some("webshop 2.0"));
}

#[test]
fn two_stages_that_come_to_the_same_inputs_at_once_share_one_build() {
    let mut delivery = Delivery::by_hand();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.serve();
    delivery.granted(&["run", "start", "package", "--stage", "dev", "--as", "grace"]);
    delivery.done("bake", "dev");
    delivery.quiet();
    let before = builds(&delivery);
    let slow = delivery
        .image
        .read("dev", "components/webshop.yaml")
        .replace(INSTALL, &format!("{INSTALL}\n            - sleep 4"));
    let pushed = delivery.image.commit("dev", "Take your time", &[("components/webshop.yaml", &slow)]);
    delivery.image.set_branch("qa", &pushed);
    delivery.image.set_branch("main", &pushed);
    let handles = delivery.wait("three bakes at work", |state| {
        let bakes = state.live_runs().filter(|run| run.subject.name() == "bake");
        let handles: Vec<_> =
            bakes.filter_map(|run| Some((run.id.to_string(), run.steps[0].handle.clone()?))).collect();
        (handles.len() == 3).then_some(handles)
    });
    assert!(handles.iter().all(|(_, handle)| *handle == handles[0].1), "{handles:?}");
    let main = delivery.wait("the bake in main", |state| {
        let run = state.live_runs().find(|run| run.subject.name() == "bake" && run.stage.as_str() == "main")?;
        Some(run.id.to_string())
    });
    delivery.granted(&["abort", &main, "--as", "grace", "--reason", "not yet"]);
    assert_eq!(delivery.ended("bake", "main").state, RunState::Aborted);
    let (dev, qa) = (delivery.done("bake", "dev"), delivery.done("bake", "qa"));
    assert_eq!(dev.steps[0].outputs["ami"], qa.steps[0].outputs["ami"], "ending one of them ended no other");
    assert_eq!(builds(&delivery), before + 1);
}

#[test]
fn a_nightly_rebuild_moves_something_on_only_when_it_came_out_different() {
    let nightly = "schedule: { cron: \"*/2 * * * * *\", stages: [dev] }";
    let mut delivery = Delivery::with_rules(|rules| {
        assert!(rules.contains(NIGHTLY));
        rules.replace("to: qa,", "to: qa, start: manual,").replace(NIGHTLY, "manual: true")
    });
    let outside = takes_packages(&delivery);
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("deliver", "dev");
    delivery.quiet();
    let (built, commits) = (builds(&delivery), delivery.infrastructure.log("dev").len());
    let by_day = delivery.rules();
    delivery.write_rules(&by_day.replace("manual: true", nightly));
    let nights = |delivery: &Delivery, least: u64| {
        delivery.wait("a night's build", |state| {
            let run = state.all_runs().rev().find(|run| matches!(run.cause, Cause::Schedule { .. }));
            run.filter(|run| run.state == RunState::Done && run.number > least).cloned()
        })
    };
    let night = nights(&delivery, 0);
    assert_eq!(night.steps[0].outputs["reused"], false, "it was built anew");
    assert_eq!(night.steps[1].outputs["changed"], false, "and came out the same");
    assert!(builds(&delivery) > built);
    assert_eq!(delivery.infrastructure.log("dev").len(), commits, "nothing moved");

    std::fs::write(&outside, "openssl 2\n").unwrap();
    delivery
        .wait("what is different to be pinned", |_| (delivery.infrastructure.log("dev").len() > commits).then_some(()));
    delivery.write_rules(&by_day);
    delivery.quiet();
    delivery.done("deliver", "dev");
    assert_eq!(delivery.infrastructure.log("dev").len(), commits + 1, "one change, one commit");
}

#[test]
fn an_image_that_was_promoted_or_gone_back_to_stays_whatever_was_built_of_its_inputs_since() {
    let mut delivery = Delivery::by_hand();
    delivery.write_rules(&delivery.rules().replace(NIGHTLY, "manual: true"));
    let outside = takes_packages(&delivery);
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let first = delivery.done("deliver", "dev").id.to_string();
    delivery.quiet();
    let by_day = pinned(&delivery, "dev");
    std::fs::write(&outside, "openssl 2\n").unwrap();
    let rules = delivery.rules();
    delivery.write_rules(&rules.replace("manual: true", "schedule: { cron: \"*/2 * * * * *\", stages: [dev] }"));
    delivery.wait("the night's image", |_| (pinned(&delivery, "dev") != by_day).then_some(()));
    delivery.write_rules(&rules);
    delivery.quiet();
    let by_night = pinned(&delivery, "dev");

    let approved_in_qa = |command: &[&str]| {
        delivery.granted(command);
        let asked = delivery.asking("deliver", "qa").id.to_string();
        delivery.granted(&["approve", &asked, "--as", "grace"]);
        delivery.quiet();
        assert!(delivery.done("bake", "qa").steps.iter().all(|step| step.skipped.is_some()), "{command:?}");
    };
    approved_in_qa(&["promote", "dev", "qa", "--version", &first, "--as", "grace"]);
    assert_eq!(pinned(&delivery, "qa"), by_day, "what was verified is what is promoted");
    approved_in_qa(&["promote", "dev", "qa", "--as", "grace"]);
    assert_eq!(pinned(&delivery, "qa"), by_night);
    approved_in_qa(&["rollback", "qa", "--reason", "the night's packages are bad", "--as", "grace"]);
    assert_eq!(pinned(&delivery, "qa"), by_day, "and what is gone back to is what was there");
}

#[test]
fn without_reuse_every_run_builds() {
    let mut delivery = Delivery::with_rules(|rules| {
        rules.replace("to: qa,", "to: qa, start: manual,").replace("reuse: true", "reuse: false")
    });
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("bake", "dev");
    delivery.quiet();
    let before = builds(&delivery);
    delivery.granted(&["run", "start", "bake", "--stage", "dev", "--as", "grace"]);
    delivery.quiet();
    let bake = delivery.done("bake", "dev");
    assert_eq!((builds(&delivery), &bake.steps[1].outputs["changed"]), (before + 1, &false.into()));
}

/// Software → image → infrastructure, and software → infrastructure directly.
#[test]
fn a_configuration_waits_for_the_image_of_its_commit() {
    let configure = "  configure:\n    on: { push: software }\n    steps:\n      - package: {}\n      - commit: { repository: infrastructure, file: config.json, set: { /config: \"{{package.tag}}\" } }\n\n  deliver:";
    let mut delivery = Delivery::with_rules(|rules| {
        rules.replace("to: qa,", "to: qa, start: manual,").replacen("  deliver:", configure, 1)
    });
    let slow = super::delivery::COMPONENT.replace(INSTALL, &format!("{INSTALL}\n            - sleep 3"));
    delivery.image.commit("dev", "Take your time", &[("components/webshop.yaml", &slow)]);
    delivery.serve();
    let pushed = delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let waiting = delivery.wait("deliver to wait for the image", |state| {
        let run = state.live_runs().find(|run| run.subject.name() == "deliver" && run.waits_at_fan_in())?;
        let bake = state.live_runs().find(|run| run.subject.name() == "bake" && run.steps[0].handle.is_some())?;
        let waiting = tidegate::engine::explain::run(state, run)?;
        Some((run.id.to_string(), bake.id.to_string(), waiting))
    });
    let (id, bake, waiting) = waiting;
    let said = format!("bake to bring an artifact of image from software {}", &pushed[..10]);
    assert!(waiting.for_what.starts_with(&said), "{}", waiting.for_what);
    assert_eq!(waiting.ended_by, format!("{bake}, which is under way"));
    let deliver = delivery.done("deliver", "dev");
    assert_ne!(deliver.id.as_str(), id, "the one that waited gave way");
    let config = json(&delivery.infrastructure.read("dev", "config.json"));
    let image = json(&delivery.image.read("dev", "config.json"));
    assert!(config["config"].is_string() && image["software"]["tag"].is_string());
    assert_eq!(deliver.set.values().filter(|commit| commit.as_str() == pushed).count(), 1);
    assert_eq!(delivery.health("dev").as_deref(), Some("webshop 2.0"));
}

/// A fix is pushed to qa first. A night in dev builds another image of what dev has, which lacks the fix; it is promoted.
#[test]
fn a_fix_that_was_pushed_to_qa_is_still_served_after_a_night_of_dev_is_promoted() {
    let mut delivery = Delivery::by_hand();
    delivery.write_rules(&delivery.rules().replace(NIGHTLY, "manual: true"));
    let outside = takes_packages(&delivery);
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("deliver", "dev");
    let to_qa = |delivery: &Delivery| {
        let asked = delivery.asking("deliver", "qa").id.to_string();
        let question = delivery.granted(&["run", "show", &asked]);
        let status = delivery.status();
        delivery.granted(&["approve", &asked, "--as", "grace"]);
        delivery.quiet();
        assert!(!delivery.status().contains("not in what runs there yet"), "{}", delivery.status());
        (question, status)
    };
    delivery.granted(&["promote", "dev", "qa", "--as", "grace"]);
    let (question, _) = to_qa(&delivery);
    assert!(!question.contains("made in qa"), "all of it was verified in dev: {question}");
    delivery.software.commit("qa", "Sell at the right price", &[("VERSION", "webshop 2.0.1\n")]);
    let (question, status) = to_qa(&delivery);
    let fix = delivery.software.git(&["rev-parse", "qa"]);
    let made = format!("made in qa from software {}, which dev has not verified", &fix[..10]);
    assert!(question.contains(&made) && status.contains(&made), "{question}");
    assert!(status.contains(&format!("○ {}", &fix[..10])), "{status}");
    assert!(delivery.status().contains(&format!("what runs in qa on webshop was {made}")), "{}", delivery.status());
    let served = delivery.done("deliver", "qa").id.to_string();
    assert!(delivery.granted(&["run", "show", &served]).contains(&made), "{served} is done");
    assert_eq!(delivery.health("qa").as_deref(), Some("webshop 2.0.1"));
    let fixed = pinned(&delivery, "qa");

    let by_day = pinned(&delivery, "dev");
    std::fs::write(&outside, "openssl 2\n").unwrap();
    let rules = delivery.rules();
    delivery.write_rules(&rules.replace("manual: true", "schedule: { cron: \"*/2 * * * * *\", stages: [dev] }"));
    delivery.wait("the night's image", |_| (pinned(&delivery, "dev") != by_day).then_some(()));
    delivery.write_rules(&rules);
    delivery.quiet();
    delivery.granted(&["promote", "dev", "qa", "--as", "grace"]);
    to_qa(&delivery);
    assert_eq!(pinned(&delivery, "qa"), fixed, "the night's image lacks the fix");
    assert_eq!(delivery.health("qa").as_deref(), Some("webshop 2.0.1"));
}
