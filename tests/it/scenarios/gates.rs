//! Gates on real repositories through the real program: freezes, pauses, checks, hotfixes, roles, withdrawal.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tidegate::{
    driver::{Breakpoints, Driver},
    engine::{RunState, StepState, System},
    house::House,
    providers::{
        Fault,
        commit_status::{CommitStatus, CommitStatuses},
    },
};
use tokio_util::sync::CancellationToken;

use super::{NEW_VERSION, ci_before_qa, delivery::Delivery, json};

/// Waits until a step of the newest run of a subject is in a state; returns the run's identity.
fn step_is(delivery: &Delivery, subject: &str, stage: &str, step: &str, wanted: StepState) -> String {
    delivery.wait(&format!("{step} of {subject} in {stage} to be {wanted:?}"), |state: &System| {
        let mut runs = state.all_runs().rev();
        let run = runs.find(|run| run.subject.name() == subject && run.stage.as_str() == stage)?;
        let step = run.steps.iter().find(|found| found.id.as_str() == step)?;
        (step.state == wanted).then(|| run.id.to_string())
    })
}

#[test]
fn a_freeze_outlives_a_kill_lets_pass_what_is_let_and_ends() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    delivery.granted(&["freeze", "--stage", "dev", "--for", "1h", "--reason", "stocktaking", "--as", "grace"]);
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let package = step_is(&delivery, "package", "dev", "pin", StepState::Ready);
    delivery.kill();
    delivery.serve();
    let status = delivery.status();
    assert!(status.contains("freeze-1     grace, asked by tester: stocktaking"), "{status}");
    assert!(
        status.contains("the end of freeze-1, the freeze of dev by grace, asked by tester: stocktaking"),
        "{status}"
    );
    assert_eq!(delivery.image.log("dev").len(), 1, "nothing moved");
    let pass = ["override", "freeze-1", &package, "--reason", "it is only a pin", "--as", "grace"];
    delivery.granted(&pass);
    delivery.done("deliver", "dev");
    assert_eq!(delivery.health("dev").as_deref(), Some("webshop 2.0"), "what comes of it passes with it");
    let report = json(&delivery.granted(&["-o", "json", "status"]));
    let passed = &report[0]["holds"][0]["passed_by"];
    assert!(passed.to_string().contains(&format!("{package} (grace, asked by tester: it is only a pin)")), "{passed}");
    let before = delivery.image.log("dev").len();
    delivery.software.commit("dev", "Sell less", &[("VERSION", "webshop 3.0\n")]);
    step_is(&delivery, "package", "dev", "pin", StepState::Ready);
    assert_eq!(delivery.image.log("dev").len(), before, "the next change is frozen all the same");
    delivery.granted(&["thaw", "freeze-1", "--as", "grace"]);
    delivery.done("package", "dev");
}

#[test]
fn a_freeze_ends_by_itself() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    delivery.granted(&["freeze", "--for", "2s", "--reason", "a breath", "--as", "grace"]);
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("deliver", "dev");
    let why = delivery.refused(&["freeze", "--until", "2020-01-01", "--reason", "late", "--as", "grace"], 3);
    assert!(why.contains("is over already"), "{why}");
}

#[test]
fn a_pause_outlives_a_kill_and_what_waited_goes_on() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    delivery.granted(&["pause", "--all", "--reason", "the cloud is down", "--as", "grace"]);
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    step_is(&delivery, "package", "dev", "package", StepState::Ready);
    delivery.kill();
    delivery.serve();
    let status = delivery.status();
    assert!(status.contains("the end of the pause by grace, asked by tester: the cloud is down"), "{status}");
    delivery.granted(&["resume", "--as", "ada"]);
    delivery.done("deliver", "dev");
}

/// Answers every request with 503 until it is told that all is well. Ends with the test's process.
fn load_test() -> (String, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, well) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
    let told = well.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            let (status, body) =
                if told.load(Ordering::SeqCst) { ("200 OK", "p99 ok") } else { ("503 Busy", "p99 slow") };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    (format!("http://{address}/load"), well)
}

#[test]
fn a_promotion_waits_for_what_is_asked_outside() {
    let (address, well) = load_test();
    let mut delivery = Delivery::with_rules(|rules| {
        let checks = format!(
            "{{ load: {{ http: '{address}', contains: ok, every: 1s }}, \
             sources: {{ command: [grep, -q, '2.0', VERSION], repository: software, every: 1s }} }}"
        );
        rules
            .replace("to: qa, requires: { verified: true }", &format!("to: qa, requires: {{ checks: {checks} }}"))
            .replace("to: main,", "to: main, start: manual,")
    });
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let run = step_is(&delivery, "promote", "qa", "sources", StepState::Done);
    let progress = delivery.wait("the check's answer", |state: &System| {
        let run = state.live_runs().find(|live| live.id.as_str() == run)?;
        run.step(&tidegate::rules::StepId::new("load").unwrap())?.progress.clone()
    });
    assert!(progress.contains("answered 503") && progress.contains("p99 slow"), "{progress}");
    let status = delivery.status();
    assert!(status.contains("Waiting") && status.contains("load: http://127.0.0.1"), "{status}");
    assert_eq!(delivery.software.log("qa").len(), 1, "nothing moved");
    delivery.kill();
    well.store(true, Ordering::SeqCst);
    delivery.serve();
    delivery.done("promote", "qa");
    assert!(delivery.software.log("qa").len() > 1);
    delivery.asking("deliver", "qa");
}

#[test]
fn a_command_that_hangs_is_asked_again_and_what_it_said_is_the_reason() {
    let mut delivery = Delivery::with_rules(|rules| {
        let check = "{ room: { command: [sleep, '600'], repository: software, every: 1s, timeout: 1s, within: 4s } }";
        rules.replace("to: qa, requires: { verified: true }", &format!("to: qa, requires: {{ checks: {check} }}"))
    });
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let reason = delivery.wait("the end of the promotion", |state: &System| {
        let run = state.all_runs().find(|run| run.id.as_str().starts_with("promote"))?;
        run.reason.clone().filter(|_| run.state.is_ended())
    });
    let said = "room did not pass within 4s; it last said: `sleep 600` did not end within 1s";
    assert!(reason.contains(said), "{reason}");
}

#[test]
fn a_hotfix_skips_the_soak_keeps_its_approval_and_is_marked_in_its_commits() {
    let mut delivery = Delivery::with_rules(|rules| {
        let rules = rules.replace("to: qa, requires: { verified: true }", "to: qa, requires: { soak: 12h }");
        format!("{}\nhotfix: {{ from: [release-managers], skips: [soak] }}\n", rules)
            .replace("to: main,", "to: main, start: manual,")
    });
    delivery.serve();
    delivery.software.commit("dev", "Sell at last", &[NEW_VERSION]);
    let promotion = step_is(&delivery, "promote", "qa", "soak", StepState::Active);
    let hotfix = ["hotfix", &promotion, "--reason", "customers cannot pay", "--as"];
    let why = delivery.refused(&[&hotfix[..], &["ada"]].concat(), 3);
    assert!(why.contains("the rules leave that to release-managers"), "{why}");
    delivery.granted(&[&hotfix[..], &["grace"]].concat());
    let asked = delivery.asking("deliver", "qa");
    assert_eq!(asked.hotfix.as_ref().map(|mark| mark.by.as_str()), Some("grace, asked by tester"));
    let message = delivery.software.git(&["log", "-1", "--format=%B", "qa"]);
    assert!(message.contains("Tidegate-Hotfix: grace, asked by tester: customers cannot pay"), "{message}");
    let shown = delivery.granted(&["run", "show", &promotion]);
    assert!(shown.contains("skipped: a hotfix by grace, asked by tester: customers cannot pay"), "{shown}");
    delivery.granted(&["approve", asked.id.as_str(), "--as", "grace"]);
    delivery.done("deliver", "qa");
    assert_eq!(delivery.health("qa").as_deref(), Some("webshop 2.0"));
}

const ROLES: &str = r#"
[people.mallory]

[[grants]]
role = "admin"
to = ["grace"]

[[grants]]
role = "operator"
to = ["developers"]
stages = ["dev"]

[[grants]]
role = "viewer"
to = ["developers"]
"#;

#[test]
fn every_command_checks_the_roles_and_a_refusal_says_who_may() {
    let mut delivery = Delivery::careful();
    delivery.add_settings(ROLES);
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let run = delivery.asking("deliver", "dev").id.to_string();
    for (arguments, permission) in [
        (vec!["approve", &run], "approve"),
        (vec!["withdraw", &run], "approve"),
        (vec!["reject", &run, "--reason", "no"], "approve"),
        (vec!["abort", &run, "--reason", "no"], "operate"),
        (vec!["retry", &run], "operate"),
        (vec!["run", "start", "package", "--stage", "dev"], "operate"),
        (vec!["promote", "dev", "qa"], "operate"),
        (vec!["unlock", "webshop", "--stage", "dev"], "operate"),
        (vec!["rollback", "dev", "--reason", "no"], "operate"),
        (vec!["take-back", &run, "--reason", "no"], "operate"),
        (vec!["pin", "dev", "--reason", "no"], "operate"),
        (vec!["unpin", "dev"], "operate"),
        (vec!["veto", "abcdef0", "--reason", "no"], "operate"),
        (vec!["veto", "abcdef0", "--lift", "--reason", "no"], "override"),
        (vec!["pause", "--reason", "no"], "hold"),
        (vec!["resume"], "hold"),
        (vec!["freeze", "--for", "1h", "--reason", "no"], "hold"),
        (vec!["thaw", "freeze-1"], "hold"),
        (vec!["override", "freeze-1", &run, "--reason", "no"], "override"),
        (vec!["hotfix", &run, "--reason", "no"], "override"),
    ] {
        let why = delivery.refused(&[&arguments[..], &["--as", "mallory"]].concat(), 3);
        assert!(why.contains(&format!("needs the permission `{permission}`")), "{arguments:?}: {why}");
        assert!(why.contains("which these have:") && why.contains("grace"), "{arguments:?}: {why}");
    }
    let history = json(&delivery.granted_as("grace", &["-o", "json", "history"]));
    let commands = history.as_array().unwrap().iter().filter(|event| event["event"]["type"] == "command");
    assert_eq!(commands.count(), 0, "nothing of it is in the log: {history}");
    let seen = |name: &str| delivery.command_as(name, &["status"]);
    let refused = seen("mallory");
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{why}");
    assert!(why.contains("mallory may not look at webshop"), "{why}");
    assert!(seen("ada").status.success());
    delivery.granted(&["run", "start", "package", "--stage", "dev", "--as", "ada"]);
    let why = delivery.refused(&["run", "start", "package", "--stage", "qa", "--as", "ada"], 3);
    assert!(why.contains("`operate` for webshop qa"), "{why}");
}

#[test]
fn an_approval_is_withdrawn_and_given_again() {
    let mut delivery = Delivery::careful();
    let rules = delivery.rules().replace("dev: { count: 1, from: [qa] }", "dev: { count: 2, from: [qa, developers] }");
    delivery.write_rules(&rules);
    let settings = std::fs::read_to_string(delivery.config()).unwrap();
    std::fs::write(delivery.config(), format!("{settings}\n[people.otto]\ngroups = [\"qa\"]\n")).unwrap();
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let run = delivery.asking("deliver", "dev").id.to_string();
    delivery.granted(&["approve", &run, "--as", "grace"]);
    let status = delivery.status();
    assert!(status.contains("(1 of 2)") && status.contains("otto"), "{status}");
    delivery.granted(&["withdraw", &run, "--as", "grace"]);
    assert!(delivery.status().contains("(0 of 2)"));
    delivery.granted(&["approve", &run, "--as", "otto"]);
    assert_eq!(delivery.health("dev"), None, "one of two is not enough");
    delivery.granted(&["approve", &run, "--as", "grace"]);
    delivery.done("deliver", "dev");
}

#[test]
fn nobody_is_asked_when_the_very_same_is_deployed_again() {
    let mut delivery = Delivery::careful();
    let rules = delivery.rules().replace("      - approve:\n", "      - approve:\n          pass_if_unchanged: true\n");
    delivery.write_rules(&rules);
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let first = delivery.asking("deliver", "dev").id.to_string();
    delivery.granted(&["approve", &first, "--as", "grace"]);
    delivery.done("deliver", "dev");
    delivery.infrastructure.commit("dev", "Explain the template", &[("README.md", "It is a template.\n")]);
    let again = delivery.wait("the second delivery", |state: &System| {
        let mut runs = state.all_runs().filter(|run| run.subject.name() == "deliver");
        runs.find(|run| run.id.as_str() != first && run.state == RunState::Done).cloned()
    });
    let approve = again.steps.iter().find(|step| step.id.as_str() == "approve").unwrap();
    assert_eq!(approve.skipped.as_deref(), Some("nothing differs from what is deployed"));
}

/// A forge whose answer to `ci/build` is pending at first, then a success.
#[derive(Default)]
struct Forge {
    asked: AtomicBool,
}

#[async_trait]
impl CommitStatuses for Forge {
    async fn status(&self, url: &str, commit: &str, name: &str, _: Duration) -> Result<CommitStatus, Fault> {
        assert!(url.ends_with("software.git") && commit.len() == 40 && name == "ci/build", "{url} {commit} {name}");
        if self.asked.swap(true, Ordering::SeqCst) {
            Ok(CommitStatus::Success("all green".to_owned()))
        } else {
            Ok(CommitStatus::Pending("3 of 5".to_owned()))
        }
    }
}

#[test]
fn a_promotion_waits_for_the_status_of_its_commit() {
    let delivery = Delivery::with_rules(ci_before_qa);
    let house = std::thread::scope(|scope| {
        scope.spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(drive_with(&delivery))).join().unwrap()
    });
    drop(house);
    let run = delivery.done("promote", "qa");
    let ci = run.steps.iter().find(|step| step.id.as_str() == "ci").unwrap();
    let answer = ci.outputs["answer"].as_str().unwrap();
    assert!(answer.contains("is a success: all green"), "{answer}");
    assert!(ci.ticks > 1, "it was asked more than once");
}

/// Drives the company in this process with a forge of its own, until its change is promoted.
async fn drive_with(delivery: &Delivery) -> Arc<House> {
    let house = Arc::new(House::open(&delivery.config()).await.unwrap());
    house.load_rules().await.unwrap();
    // The builder's worker is the program itself, not this test.
    let mut tools = house.tools_of(std::path::Path::new(env!("CARGO_BIN_EXE_tidegate"))).unwrap();
    tools.statuses = Arc::new(Forge::default());
    let driver = Driver::new(house.ledger.clone(), Arc::new(tools), Breakpoints::none(), "test".to_owned());
    let stop = CancellationToken::new();
    let driving = tokio::spawn(Arc::new(driver).drive(stop.clone()));
    let system = tidegate::rules::SystemName::new("webshop").unwrap();
    let wait = async |look: fn(&System) -> bool| {
        let mut changes = house.ledger.store().changes();
        loop {
            changes.mark_unchanged();
            if house.ledger.read(&system, look).await.unwrap() {
                return;
            }
            changes.changed().await.unwrap();
        }
    };
    let all = async {
        wait(|state| state.repositories.values().all(|watched| !watched.seen.is_empty())).await;
        delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
        wait(|state| state.promoted.contains_key(&tidegate::rules::StageName::new("qa").unwrap())).await;
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("the change is promoted in time");
    stop.cancel();
    driving.await.unwrap().unwrap();
    house
}
