//! The acceptance scenarios 1 to 9, and what bad input is answered, on real repositories through the real program.

mod asking;
mod authors;
mod backups;
mod bad_input;
mod build_once;
mod contents;
mod delivery;
mod doctor;
mod gates;
mod hostile;
mod hostile_trees;
mod http;
mod looking;
mod notices;
mod nudges;
mod on_github;
mod providers;
mod remotes;
mod rules_files;
mod rules_repository;
mod sandbox;
mod signatures;
mod socket;
mod targets;
mod triggers;
mod troubles;
mod versions;
mod who;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tidegate::engine::RunState;

use self::delivery::Delivery;

const NEW_VERSION: (&str, &str) = ("VERSION", "webshop 2.0\n");

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn sha256(path: &str) -> String {
    Sha256::digest(std::fs::read(path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn scenario_1_a_push_to_software_is_packed_and_pinned_in_image_once() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let before = delivery.image.log("dev").len();
    let pushed = delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let package = delivery.done("package", "dev");
    assert_eq!(delivery.image.log("dev").len(), before + 1, "exactly one commit");
    let pins = json(&delivery.image.read("dev", "config.json"));
    let path = pins["software"]["uri"].as_str().unwrap().trim_start_matches("file://");
    assert_eq!(pins["software"]["sha256"], sha256(path), "the pin is of the tarball that is stored");
    assert_eq!(pins["software"]["tag"], package.steps[0].outputs["tag"]);
    let message = delivery.image.git(&["log", "-1", "--format=%B", "dev"]);
    assert!(message.contains(&format!("Tidegate-Source: software@{pushed}")), "{message}");
    assert!(message.contains("Tidegate-Key: webshop/package-1.") && message.contains("/pin\n"), "{message}");
    let deliver = delivery.done("deliver", "dev");
    assert_eq!(deliver.set.values().filter(|commit| commit.as_str() == pushed).count(), 1, "the end of its chain");
    delivery.quiet();
    assert_eq!(delivery.image.log("dev").len(), before + 1, "still exactly one commit");
    for stage in ["qa", "main"] {
        assert_eq!(delivery.image.log(stage).len(), 1, "{stage} is untouched");
        assert_eq!(delivery.infrastructure.log(stage).len(), 1, "{stage} is untouched");
    }
}

#[test]
fn scenario_2_an_image_commit_is_baked_and_pinned_in_infrastructure_dev_only() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let bake = delivery.done("bake", "dev");
    let ami = bake.steps[0].outputs["ami"].as_str().unwrap();
    assert!(ami.len() == 21 && ami.starts_with("ami-"), "{ami}");
    assert_eq!(json(&delivery.infrastructure.read("dev", "config.json"))["ami"]["eu-central-1"], ami);
    assert!(delivery.objects().join(format!("images/{ami}.json")).exists(), "the image is AVAILABLE");
    for stage in ["qa", "main"] {
        assert_eq!(json(&delivery.infrastructure.read(stage, "config.json"))["ami"], json("{}"));
    }
    delivery.quiet();
}

#[test]
fn scenario_3_a_failed_or_cancelled_image_build_commits_nothing() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let broken = delivery.image.read("dev", "components/webshop.yaml").replace("test -s srv/webshop/VERSION", "false");
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("deliver", "dev");
    delivery.quiet();
    let commits = delivery.infrastructure.log("dev").len();
    let pushed = delivery.image.commit("dev", "Break the image", &[("components/webshop.yaml", &broken)]);
    let failed = delivery.ended_on("bake", &pushed);
    assert_eq!(failed.state, RunState::Failed);
    assert!(failed.reason.as_ref().unwrap().contains("the image build FAILED"), "{:?}", failed.reason);
    assert_eq!(delivery.infrastructure.log("dev").len(), commits, "nothing is committed downstream");

    for (subject, cancelled_outside) in [("Take long", false), ("Take longer", true)] {
        let slow = broken.replace("- false", &format!("- sleep 60 # {subject}"));
        let pushed = delivery.image.commit("dev", subject, &[("components/webshop.yaml", &slow)]);
        let (building, handle) = delivery.wait("a build that goes on", |state| {
            let on_it =
                |run: &&tidegate::engine::Run| run.source.as_ref().is_some_and(|it| it.commit.as_str() == pushed);
            let run = state.live_runs().filter(on_it).find(|run| run.subject.name() == "bake")?;
            Some((run.id.to_string(), run.steps.first()?.handle.clone()?))
        });
        if cancelled_outside {
            delivery.cancel_build(&handle);
            let failed = delivery.ended_on("bake", &pushed);
            assert_eq!(failed.state, RunState::Failed);
            assert!(failed.reason.as_ref().unwrap().contains("CANCELLED outside of Tidegate"), "{:?}", failed.reason);
        } else {
            delivery.granted(&["abort", &building, "--as", "grace", "--reason", "too slow"]);
            assert_eq!(delivery.ended_on("bake", &pushed).state, RunState::Aborted);
        }
        assert_eq!(delivery.infrastructure.log("dev").len(), commits, "nothing is committed downstream");
    }
}

#[test]
fn scenario_4_an_infrastructure_commit_waits_for_approval_with_its_reports() {
    let mut delivery = Delivery::careful();
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let deliver = delivery.asking("deliver", "dev");
    let template = deliver.steps[0].outputs["template"].as_str().unwrap().trim_start_matches("file://");
    assert!(std::path::Path::new(template).exists());
    let page = deliver.steps[1].outputs["report"].as_str().unwrap().trim_start_matches("file://").to_owned();
    for form in ["report.html", "report.json", "report.sarif", "report.junit.xml"] {
        assert!(std::path::Path::new(&page).with_file_name(form).exists(), "{form}");
    }
    assert_eq!(delivery.health("dev"), None, "nothing is deployed");
    let status = delivery.status();
    assert!(status.contains("approval by qa (0 of 1)"), "{status}");
    assert!(status.contains(&format!("tidegate approve {}", deliver.id)), "{status}");
}

#[test]
fn scenario_5_killed_while_waiting_what_is_deployed_is_what_was_approved() {
    let mut delivery = Delivery::careful();
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let asked = delivery.asking("deliver", "dev");
    delivery.kill();
    delivery.serve();
    let id = asked.id.to_string();
    let why = delivery.refused(&["approve", &id, "--digest", "sha256:0000", "--as", "grace"], 3);
    assert!(why.contains("it changed since it was shown"), "{why}");
    let digest = asked.digest(asked.asking().unwrap()).to_string();
    delivery.granted(&["approve", &id, "--digest", &digest, "--as", "grace"]);
    let deliver = delivery.done("deliver", "dev");
    let outputs = |id: &str| deliver.steps.iter().find(|step| step.id.as_str() == id).unwrap().outputs.clone();
    assert_eq!(outputs("deploy")["digest"], deliver.steps[0].outputs["template_digest"]);
    assert_eq!(outputs("approve")["digest"], digest.as_str());
    let stored = deliver.steps[0].outputs["template"].as_str().unwrap().trim_start_matches("file://");
    assert_eq!(outputs("deploy")["digest"], format!("sha256:{}", sha256(stored)), "the bytes that are stored");
    assert_eq!(delivery.health("dev").as_deref(), Some("webshop 2.0"));
    for run in [delivery.done("package", "dev"), delivery.done("bake", "dev"), deliver] {
        for step in &run.steps {
            for output in step.task.kind().outputs {
                let value = &step.outputs[output.name];
                assert!(output.fits(value), "{} of {} {}: {value} is no {:?}", output.name, run.id, step.id, output.of);
            }
        }
    }
}

#[test]
fn scenario_6_a_rejected_change_leaves_what_is_deployed() {
    let mut delivery = Delivery::careful();
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let first = delivery.asking("deliver", "dev").id.to_string();
    delivery.granted(&["approve", &first, "--as", "grace"]);
    delivery.done("deliver", "dev");
    let deployed = delivery.current("dev");
    assert!(deployed.is_some());
    delivery.software.commit("dev", "Sell less", &[("VERSION", "webshop 3.0\n")]);
    let second = delivery.wait("the second question", |state| {
        let run = state.live_runs().find(|run| run.answerable().is_some() && run.id.as_str() != first)?;
        Some(run.id.to_string())
    });
    let why = delivery.refused(&["reject", &second, "--reason", "no", "--as", "ada"], 3);
    assert!(why.contains("it asks qa"), "{why}");
    delivery.granted(&["reject", &second, "--reason", "we want more", "--as", "grace"]);
    let rejected = delivery.ended("deliver", "dev");
    assert_eq!(rejected.state, RunState::Failed);
    assert!(rejected.reason.unwrap().contains("grace, asked by tester rejected it: we want more"));
    delivery.quiet();
    assert_eq!(delivery.current("dev"), deployed, "what is deployed, to the last byte");
    assert_eq!(delivery.health("dev").as_deref(), Some("webshop 2.0"));
}

#[test]
fn scenario_7_the_same_push_seen_twice_is_one_run() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let pushed = delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("deliver", "dev");
    delivery.quiet();
    let commits = delivery.image.log("dev").len();
    delivery.kill();
    // While nobody looks, the branch goes back and the same commit is pushed again.
    delivery.software.set_branch("dev", &format!("{pushed}^"));
    delivery.software.set_branch("dev", &pushed);
    delivery.serve();
    let marker = delivery.software.commit("qa", "Mark a look", &[("marker", "1\n")]);
    delivery.ended_on("package", &marker);
    assert_eq!(delivery.runs_on("package", &pushed), 1, "the new server looked, and saw nothing new");
    assert_eq!(delivery.image.log("dev").len(), commits);

    // Seen going back and coming again, it is delivered again, and finds all that it made.
    let before = delivery.software.git(&["rev-parse", &format!("{pushed}^")]);
    delivery.software.set_branch("dev", &before);
    delivery.ended_on("package", &before);
    delivery.quiet_in("dev");
    delivery.software.set_branch("dev", &pushed);
    delivery.wait("the same commit as a head again", |state| {
        let mut runs = state.all_runs().filter(|run| run.subject.name() == "package" && run.state == RunState::Done);
        let again = |run: &tidegate::engine::Run| run.source.as_ref().is_some_and(|it| it.commit.as_str() == pushed);
        runs.rfind(|run| run.stage.as_str() == "dev").filter(|run| again(run)).map(drop)
    });
    delivery.quiet_in("dev");
    assert_eq!(delivery.runs_on("package", &pushed), 2, "delivered twice in truth, it runs twice");
    let again = delivery.done("package", "dev");
    assert_eq!(again.steps[0].outputs["reused"], true, "and packs once");
    let pins = delivery.image.log("dev");
    assert_eq!(pins.len(), commits + 2, "back, and forth again: {pins:?}");
}

#[test]
fn scenario_8_a_push_of_a_person_meanwhile_is_preserved() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    // The first push of ours finds that a person was faster: the hook moves the branch and refuses.
    let parent = delivery.image.head("dev").unwrap();
    let tree = delivery.image.git(&["rev-parse", "dev^{tree}"]);
    let change = delivery.image.git(&["commit-tree", &tree, "-p", &parent, "-m", "A person's push"]);
    let hook = format!(
        "#!/bin/sh\nif [ ! -e raced ]; then touch raced; unset GIT_QUARANTINE_PATH; git update-ref refs/heads/dev {change} {parent}; fi\n"
    );
    delivery.image.hook("pre-receive", &hook);
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("package", "dev");
    assert!(delivery.image.directory.join("raced").exists(), "the race took place");
    let log = delivery.image.log("dev");
    assert_eq!(log.len(), 3, "{log:?}");
    assert_eq!(log[1], "A person's push");
    assert!(log[0].starts_with("Pin software-"), "{log:?}");
    delivery.done("deliver", "dev");
    delivery.quiet();
    assert_eq!(delivery.image.log("dev"), log, "nothing was pushed again");
    for stage in ["qa", "main"] {
        assert_eq!(delivery.image.log(stage).len(), 1, "{stage} is untouched");
        assert_eq!(delivery.infrastructure.log(stage).len(), 1, "{stage} is untouched");
    }
}

#[test]
fn scenario_9_a_promotion_carries_the_same_artifacts_and_production_needs_two_zones() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("deliver", "dev");
    delivery.granted(&["promote", "dev", "qa", "--as", "grace"]);
    let asked = delivery.asking("deliver", "qa").id.to_string();
    delivery.granted(&["approve", &asked, "--as", "grace"]);
    delivery.done("deliver", "qa");
    delivery.quiet();
    let pins = |repository: &crate::support::repo::TestRepo, stage: &str| json(&repository.read(stage, "config.json"));
    assert_eq!(pins(&delivery.image, "dev")["software"], pins(&delivery.image, "qa")["software"]);
    assert_eq!(pins(&delivery.infrastructure, "dev")["ami"], pins(&delivery.infrastructure, "qa")["ami"]);
    assert_eq!(delivery.health("qa").as_deref(), Some("webshop 2.0"));
    for repository in [&delivery.software, &delivery.image, &delivery.infrastructure] {
        assert_eq!(repository.log("main").len(), 1, "main is unchanged");
    }

    let one_zone = delivery.infrastructure.read("qa", "config.json").replace("[\"a\", \"b\"]", "[\"a\"]");
    delivery.infrastructure.commit("qa", "Save a zone", &[("config.json", &one_zone)]);
    let asked = delivery.asking("deliver", "qa").id.to_string();
    delivery.granted(&["approve", &asked, "--as", "grace"]);
    delivery.done("deliver", "qa");
    delivery.granted(&["promote", "qa", "main", "--as", "grace"]);
    let refused = delivery.ended("promote", "main");
    assert_eq!(refused.state, RunState::Failed);
    assert!(refused.reason.as_ref().unwrap().contains("Production demands at least 2"), "{:?}", refused.reason);
    for repository in [&delivery.software, &delivery.image, &delivery.infrastructure] {
        assert_eq!(repository.log("main").len(), 1, "nothing was moved, in no repository");
    }
}

/// The rules, in which a commit's status holds the promotion to qa, and nobody promotes to main.
fn ci_before_qa(rules: String) -> String {
    let check = "{ ci: { commit_status: ci/build, repository: software, every: 1s } }";
    rules
        .replace("to: qa, requires: { verified: true }", &format!("to: qa, requires: {{ checks: {check} }}"))
        .replace("to: main,", "to: main, start: manual,")
}
