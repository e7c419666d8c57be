//! Choosing versions, on real repositories through the real program: back and forth without losing anything, and never half
//! of a set.

use tidegate::engine::{Run, RunState};

use super::delivery::Delivery;
use crate::support::repo::TestRepo;

impl Delivery {
    /// A new version of the software comes to be verified in dev.
    fn deliver_in_dev(&self, version: &str) {
        self.software.commit("dev", &format!("Make {version}"), &[("VERSION", &format!("webshop {version}\n"))]);
        self.wait(&format!("{version} to be verified in dev"), |state| {
            let verified = state.verified.values().find(|verified| verified.run.as_str().starts_with("deliver"))?;
            let software = verified.set.iter().find(|(name, _)| name.as_str() == "software")?.1;
            (self.software.head("dev").as_deref() == Some(software.as_str())).then_some(())
        });
        self.quiet();
    }

    /// What waits to be deployed in qa is approved, and is deployed and verified.
    fn deliver_in_qa(&self) -> Run {
        let asked = self.asking("deliver", "qa").id.to_string();
        self.granted(&["approve", &asked, "--as", "grace"]);
        let run = self.done("deliver", "qa");
        self.quiet();
        run
    }

    fn promote_to_qa(&self, more: &[&str]) -> Run {
        self.granted(&[&["promote", "dev", "qa", "--as", "grace"], more].concat());
        self.deliver_in_qa()
    }
}

fn message(repository: &TestRepo, branch: &str) -> String {
    repository.git(&["log", "-1", "--format=%B", branch])
}

#[test]
fn a_stage_goes_back_and_forth_between_versions_by_ordinary_commits() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    delivery.deliver_in_dev("2.0");
    let second = delivery.promote_to_qa(&[]).id.to_string();
    delivery.deliver_in_dev("3.0");
    delivery.promote_to_qa(&[]);
    assert_eq!(delivery.health("qa").as_deref(), Some("webshop 3.0"));
    let pins = delivery.image.read("qa", "config.json");

    let before = delivery.software.log("qa").len();
    delivery.granted(&["rollback", "qa", "--reason", "3.0 leaks memory", "--as", "grace"]);
    delivery.deliver_in_qa();
    assert_eq!(delivery.health("qa").as_deref(), Some("webshop 2.0"));
    assert_eq!(delivery.software.read("qa", "VERSION"), "webshop 2.0\n");
    assert_eq!(delivery.software.log("qa").len(), before + 1, "one commit on top");
    let said = message(&delivery.software, "qa");
    for trailer in [
        format!("Tidegate-Restores: {second}"),
        "Tidegate-Decided-By: grace, asked by tester".to_owned(),
        "Tidegate-Reason: 3.0 leaks memory".to_owned(),
        "Tidegate-Source: software@".to_owned(),
    ] {
        assert!(said.contains(&trailer), "{said}");
    }
    let status = delivery.status();
    assert!(status.contains(&format!("rolled back to {second} by grace, asked by tester")), "{status}");

    // The same version once more: git alone would find that it is there already.
    delivery.promote_to_qa(&[]);
    assert_eq!(delivery.health("qa").as_deref(), Some("webshop 3.0"));
    assert_eq!(delivery.image.read("qa", "config.json"), pins);

    // An older one, on purpose, and on from there.
    let older = delivery.wait("the versions of dev", |state| {
        state.versions.known.iter().find(|(stage, _)| stage.as_str() == "dev").map(|(_, known)| known[0].clone())
    });
    delivery.promote_to_qa(&["--version", older.verified.run.as_str()]);
    assert_eq!(delivery.health("qa").as_deref(), Some("webshop 2.0"));
    delivery.deliver_in_dev("4.0");
    delivery.promote_to_qa(&[]);
    assert_eq!(delivery.health("qa").as_deref(), Some("webshop 4.0"));
}

#[test]
fn a_set_moves_as_a_whole_or_not_at_all() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    delivery.deliver_in_dev("2.0");
    let before = delivery.software.read("qa", "VERSION");
    delivery
        .infrastructure
        .hook("update", "#!/bin/sh\n[ \"$1\" != refs/heads/qa ] || { echo qa is protected; exit 1; }\n");
    delivery.granted(&["promote", "dev", "qa", "--as", "grace"]);
    let promotion = delivery.ended("promote", "qa");
    assert_eq!(promotion.state, RunState::Failed);
    delivery.done("take-back", "qa");
    delivery.quiet();
    assert_eq!(delivery.software.read("qa", "VERSION"), before, "taken back");
    assert!(message(&delivery.software, "qa").contains(&format!("Tidegate-Restores: {}", promotion.id)));
    assert!(!delivery.status().contains("half-way"), "{}", delivery.status());

    std::fs::remove_file(delivery.infrastructure.directory.join("hooks/update")).unwrap();
    delivery.granted(&["retry", promotion.id.as_str(), "--as", "grace"]);
    delivery.deliver_in_qa();
    assert_eq!(delivery.software.read("qa", "VERSION"), "webshop 2.0\n");
    assert_eq!(delivery.health("qa").as_deref(), Some("webshop 2.0"));
}

#[test]
fn a_set_that_is_kept_half_way_is_said_and_taken_back_on_command() {
    let mut delivery =
        Delivery::with_rules(|rules| rules.replace("to: qa,", "to: qa, start: manual, on_failure: keep,"));
    delivery.serve();
    delivery.deliver_in_dev("2.0");
    delivery
        .infrastructure
        .hook("update", "#!/bin/sh\n[ \"$1\" != refs/heads/qa ] || { echo qa is protected; exit 1; }\n");
    delivery.granted(&["promote", "dev", "qa", "--as", "grace"]);
    let promotion = delivery.ended("promote", "qa").id.to_string();
    delivery.quiet();
    let status = delivery.status();
    assert!(status.contains(&format!("`tidegate take-back {promotion}` undoes it")), "{status}");
    delivery.granted(&["take-back", &promotion, "--reason", "it has waited long enough", "--as", "grace"]);
    delivery.done("take-back", "qa");
    assert_eq!(delivery.software.read("qa", "VERSION"), "webshop 1.0\n");
}

#[test]
fn what_cannot_be_verified_is_rolled_back_where_the_rules_say_so() {
    let rules = |rules: String| {
        rules
            .replace("queue: supersede }", "queue: supersede, on_verify_failure: rollback }")
            .replace("to: qa,", "to: qa, start: manual,")
            .replace("to: main,", "to: main, start: manual,")
            .replace("verify: { http: \"{{deploy.address}}/health\" }", "verify: { command: [@PROBE@] }")
    };
    let mut delivery = Delivery::with_rules(rules);
    let probe = delivery.root().join("probe");
    let probe_says = |code: u8| {
        std::fs::write(&probe, format!("#!/bin/sh\nexit {code}\n")).unwrap();
        std::fs::set_permissions(&probe, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    probe_says(0);
    delivery.write_rules(&delivery.rules().replace("@PROBE@", probe.to_str().unwrap()));
    delivery.serve();
    delivery.deliver_in_dev("2.0");
    let second = delivery.promote_to_qa(&[]).id.to_string();
    delivery.deliver_in_dev("3.0");
    delivery.granted(&["promote", "dev", "qa", "--as", "grace"]);
    let asked = delivery.asking("deliver", "qa").id.to_string();
    probe_says(1);
    delivery.granted(&["approve", &asked, "--as", "grace"]);
    let back = delivery.done("rollback", "qa");
    assert_eq!(delivery.software.read("qa", "VERSION"), "webshop 2.0\n");
    assert!(message(&delivery.software, "qa").contains(&format!("Tidegate-Restores: {second}")), "{back:?}");
    probe_says(0);
    delivery.deliver_in_qa();
    assert_eq!(delivery.health("qa").as_deref(), Some("webshop 2.0"));
}

#[test]
fn a_pinned_stage_and_a_vetoed_version_are_said_to_everybody() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    delivery.deliver_in_dev("2.0");
    let second = delivery.promote_to_qa(&[]).id.to_string();
    delivery.granted(&["pin", "qa", "--reason", "the fair is on", "--as", "grace"]);
    delivery.deliver_in_dev("3.0");
    delivery.granted(&["promote", "dev", "qa", "--as", "grace"]);
    let words = delivery.wait("the promotion to wait", |state| {
        let promotion = state.live_runs().find(|run| run.subject.name() == "promote")?;
        let waiting = tidegate::engine::explain::run(state, promotion)?;
        waiting.for_what.contains("pin").then_some(waiting.for_what)
    });
    assert_eq!(words, format!("the end of the pin of qa at {second} (grace, asked by tester: the fair is on)"));
    let status = delivery.status();
    assert!(status.contains(&format!("pinned at {second} by grace, asked by tester")), "{status}");

    let bad = delivery.software.head("dev").unwrap();
    delivery.granted(&["veto", &format!("software@{}", &bad[..10]), "--reason", "it leaks memory", "--as", "grace"]);
    let refused = delivery.ended("promote", "qa");
    assert_eq!(
        (refused.state, refused.reason),
        (RunState::Failed, Some(format!("{} is vetoed by grace, asked by tester: it leaks memory", &bad[..10])))
    );
    delivery.granted(&["unpin", "qa", "--as", "grace"]);
    let why = delivery.refused(&["promote", "dev", "qa", "--as", "grace"], 3);
    assert!(why.contains("is vetoed by grace, asked by tester: it leaks memory"), "{why}");
    let status = delivery.status();
    assert!(status.contains("vetoed by grace, asked by tester"), "{status}");
    delivery.granted(&["veto", &bad[..10], "--lift", "--reason", "it was the probe", "--as", "grace"]);
    delivery.promote_to_qa(&[]);
    assert_eq!(delivery.health("qa").as_deref(), Some("webshop 3.0"));
}

#[test]
fn what_is_vetoed_is_known_again_when_somebody_pins_it_by_hand() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    delivery.deliver_in_dev("2.0");
    let (bad, pinned) = (delivery.software.head("dev").unwrap(), delivery.image.read("dev", "config.json"));
    let built = delivery.infrastructure.read("dev", "config.json");
    delivery.deliver_in_dev("3.0");
    delivery.granted(&["veto", &format!("software@{bad}"), "--reason", "it leaks memory", "--as", "grace"]);
    let said = format!("{bad} is vetoed by grace, asked by tester: it leaks memory");
    // Its package, and then what was baked of it.
    for (repository, file, rule) in [(&delivery.image, &pinned, "bake"), (&delivery.infrastructure, &built, "deliver")]
    {
        repository.commit("dev", "Go back to what worked", &[("config.json", file)]);
        let head = repository.head("dev").unwrap();
        let refused = delivery.wait("the run to be refused", |state| {
            let of_head = |run: &&Run| run.source.as_ref().is_some_and(|source| source.commit.as_str() == head);
            state.all_runs().filter(of_head).find(|run| run.state.is_ended()).cloned()
        });
        assert_eq!(refused.subject.name(), rule);
        assert_eq!((refused.state, refused.reason), (RunState::Failed, Some(said.clone())));
    }
    assert_eq!(delivery.health("dev").as_deref(), Some("webshop 3.0"));
}

const FAIR: [&str; 10] =
    ["release", "fair", "--systems", "webshop,billing", "--from", "dev", "--to", "qa", "--as", "grace"];

/// Both systems with something new in dev, of which billing's is verified last.
fn two_systems() -> (Delivery, TestRepo) {
    let mut delivery = Delivery::by_hand();
    let ledger = delivery.serve_with_billing("");
    delivery.deliver_in_dev("2.0");
    let why = delivery.refused(&FAIR, 3);
    assert!(why.contains("billing does not grant it") && why.contains("nothing has been verified in dev"), "{why}");
    delivery.refused(&["release", "fair"], 1);

    delivery.granted(&["run", "start", "check", "--stage", "dev", "--system", "billing", "--as", "grace"]);
    delivery.wait_in("billing", "a verified set", |state| state.verified.values().next().map(drop));
    ledger.commit("dev", "Raise the rate", &[("rate", "2")]);
    let raised = ledger.head("dev").unwrap();
    delivery.wait_in("billing", "the new rate to be verified", |state| {
        state
            .verified
            .values()
            .any(|verified| verified.set.values().any(|commit| commit.as_str() == raised))
            .then_some(())
    });
    (delivery, ledger)
}

#[test]
fn systems_of_a_release_merge_when_all_of_them_can() {
    let (delivery, ledger) = two_systems();
    delivery.granted(&FAIR);
    delivery.wait("webshop to wait for billing", |state| {
        let promotion = state.live_runs().find(|run| run.subject.name() == "promote")?;
        let waits_for = tidegate::engine::explain::run(state, promotion)?.for_what;
        waits_for.contains("it waits for billing promote-").then_some(())
    });
    assert_eq!(delivery.software.read("qa", "VERSION"), "webshop 1.0\n", "nothing has moved");
    let shown = delivery.granted(&["release", "fair"]);
    assert!(shown.contains("approval by qa") && shown.contains("is ready, and waits for the others"), "{shown}");

    approve_billing(&delivery);
    delivery.done("promote", "qa");
    delivery.wait_in("billing", "its merge", |state| state.promoted.values().next().map(drop));
    assert_eq!(delivery.software.read("qa", "VERSION"), "webshop 2.0\n");
    assert_eq!(ledger.read("qa", "rate"), "2");
    let shown = delivery.granted(&["release", "fair"]);
    assert_eq!(shown.matches("is done").count(), 2, "{shown}");
}

/// Grace approves billing's part.
fn approve_billing(delivery: &Delivery) {
    let asked = delivery.wait_in("billing", "its question", |state| {
        state.live_runs().find(|run| run.answerable().is_some()).map(|run| run.id.to_string())
    });
    delivery.granted(&["approve", &asked, "--system", "billing", "--as", "grace"]);
}

#[test]
fn a_release_that_only_some_systems_have_is_said_in_the_status_of_all() {
    let (delivery, ledger) = two_systems();
    // Refused as soon as webshop has begun to move: had it failed before that, webshop would have ended too.
    let (branch, before) = (delivery.software.directory.join("refs/heads/qa"), delivery.software.head("qa").unwrap());
    let moved = format!("[ \"$(cat {} || echo {before})\" != {before} ]", branch.display());
    let refuses = "echo 'the ledger is closed'; exit 1";
    ledger.hook("pre-receive", &format!("#!/bin/sh\nuntil {moved}; do sleep 0.05; done\n{refuses}\n"));
    delivery.granted(&FAIR);
    approve_billing(&delivery);
    delivery.done("promote", "qa");
    let failed = delivery.wait_in("billing", "its promotion to fail", |state| {
        state.all_runs().find(|run| run.stage.as_str() == "qa" && run.state.is_ended()).map(|run| run.id.to_string())
    });
    let said = format!(
        "half-released: webshop merged, billing ended before: `tidegate retry {failed} --system billing` finishes it, \
         `tidegate rollback qa --system webshop` undoes it"
    );
    assert!(delivery.granted(&["release", "fair"]).contains(&said));
    for system in ["webshop", "billing"] {
        let shown = delivery.granted(&["status", "--system", system]);
        assert!(shown.contains(&format!("fair {said}")), "{shown}");
    }
    std::fs::remove_file(ledger.directory.join("hooks/pre-receive")).unwrap();
    delivery.granted(&["retry", &failed, "--system", "billing", "--as", "grace"]);
    delivery.wait_in("billing", "its merge", |state| state.promoted.values().next().map(drop));
    for shown in [delivery.granted(&["release", "fair"]), delivery.granted(&["status"])] {
        assert!(!shown.contains("half-released"), "{shown}");
    }
}
