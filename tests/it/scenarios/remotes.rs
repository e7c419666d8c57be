//! Remotes over HTTP that are silent, late and refusing, seen from the whole program.

use super::{NEW_VERSION, delivery::Delivery};
use crate::support::http_git::{HttpGit, Trouble};
use tidegate::engine::RunState;

/// The company, whose repositories are behind a server.
fn over_http(settings: &str) -> (Delivery, HttpGit) {
    let delivery = Delivery::by_hand();
    let server = HttpGit::start(&delivery.root().join("repositories"), None);
    delivery.write_rules(&delivery.rules().replace("../repositories/", &server.url("", "")));
    delivery.add_settings(settings);
    (delivery, server)
}

/// Waits until the status says all of this.
fn status_with(delivery: &Delivery, parts: &[&str]) -> String {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let status = delivery.status();
        if parts.iter().all(|part| status.contains(part)) {
            return status;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "waited in vain for {parts:?}\n{status}\n{}",
            delivery.server_log()
        );
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

#[test]
fn a_push_that_is_never_answered_parks_nobody_else_and_is_shown() {
    let (mut delivery, server) = over_http("[git]\nsilence = '8s'\n");
    delivery.serve();
    let before = delivery.image.log("dev").len();
    server.set_trouble(Trouble::HangPush { branch: "dev", applied: true });
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    server_heard_push(&server);
    // Meanwhile a person's push is seen, and another branch of that repository is written to.
    let pushed = delivery.image.commit("qa", "A person's push", &[("notes.md", "1\n")]);
    delivery.ended_on("bake", &pushed);
    delivery.software.commit("qa", "Sell more", &[NEW_VERSION]);
    delivery.done("package", "qa");
    let status = status_with(&delivery, &["At remotes", "image pushing to dev", "nothing heard for", "tried again at"]);
    let explained = delivery.granted(&["explain", "package-1"]);
    assert!(explained.contains("image pushing to dev"), "{status}\n{explained}");
    server.set_trouble(Trouble::None);
    delivery.done("package", "dev");
    assert_eq!(delivery.image.log("dev").len(), before + 1, "one commit, found by its key");
}

fn server_heard_push(server: &HttpGit) {
    server.wait_for("POST /image.git/git-receive-pack", 1);
}

#[test]
fn a_server_that_is_killed_while_its_push_waits_for_an_answer_finds_it_by_its_key() {
    for applied in [true, false] {
        let (mut delivery, server) = over_http("");
        delivery.serve();
        let before = delivery.image.log("dev").len();
        server.set_trouble(Trouble::HangPush { branch: "dev", applied });
        delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
        server_heard_push(&server);
        delivery.kill();
        server.set_trouble(Trouble::None);
        delivery.serve();
        delivery.done("package", "dev");
        delivery.quiet();
        assert_eq!(delivery.image.log("dev").len(), before + 1, "one commit, applied: {applied}");
    }
}

#[test]
fn one_push_that_is_read_late_is_delivered_once() {
    let (mut delivery, server) = over_http("");
    delivery.serve();
    server.lag("image.git");
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("deliver", "dev");
    let ours = delivery.image.head("dev").unwrap();
    let looks = |more: usize| {
        let until = server.count("POST /image.git/git-upload-pack") + more;
        server.wait_for("POST /image.git/git-upload-pack", until);
    };
    looks(4);
    server.catch_up("image.git");
    looks(4);
    delivery.quiet();
    let head = delivery.wait("the head", |state| {
        let (_, watched) = state.repositories.iter().find(|(name, _)| name.as_str() == "image")?;
        watched.heads.iter().find(|(stage, _)| stage.as_str() == "dev").map(|(_, head)| head.clone())
    });
    assert_eq!((head.commit.as_str(), head.forced), (ours.as_str(), false));
    let bakes: Vec<serde_json::Value> =
        serde_json::from_str(&delivery.granted(&["-o", "json", "runs", "--rule", "bake"])).unwrap();
    assert_eq!(bakes.len(), 1, "{bakes:#?}");
}

#[test]
fn a_repository_that_cannot_be_reached_at_its_first_sight_is_news_at_once() {
    let (mut delivery, server) = over_http("");
    server.set_trouble(Trouble::Say("503 Service Unavailable", "Later.\n"));
    // A second look is an hour away.
    delivery.write_rules(&delivery.rules().replace("poll: 1s", "poll: 1h"));
    delivery.serve();
    let status = delivery.status();
    assert!(status.contains("software cannot be reached: asking for the heads"), "{status}");
    let log = delivery.server_log();
    assert!(log.contains("a repository cannot be reached"), "{log}");
}

#[test]
fn what_of_the_servers_own_environment_git_does_not_get_is_said_once() {
    let mut delivery = Delivery::by_hand();
    delivery.environment.push(("https_proxy".to_owned(), "http://proxy.invalid:3128".to_owned()));
    delivery.environment.push(("GIT_SSL_CAINFO".to_owned(), "/absent.pem".to_owned()));
    delivery.add_settings("[git_environment]\nGIT_SSL_CAINFO = '/also-absent.pem'\n");
    delivery.serve();
    let log = delivery.server_log();
    let said: Vec<&str> = log.lines().filter(|line| line.contains("git does not get these variables")).collect();
    assert_eq!(said.len(), 1, "{log}");
    assert!(said[0].contains("https_proxy") && !said[0].contains("GIT_SSL_CAINFO"), "{}", said[0]);
}

#[test]
fn what_a_hook_says_in_several_lines_has_one_line_in_a_table_and_all_of_them_in_its_run() {
    let mut delivery = Delivery::by_hand();
    let hook = "#!/bin/sh\necho '======' >&2\necho 'policy 7' >&2\necho 'Commits must be signed.' >&2\necho 'Ask room 7.' >&2\nexit 1\n";
    delivery.image.hook("pre-receive", hook);
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let failed = delivery.ended("package", "dev");
    assert_eq!(failed.state, RunState::Failed);
    for table in [delivery.status(), delivery.granted(&["runs"])] {
        assert!(table.contains("pre-receive hook declined); Commits must be signed."), "{table}");
        assert!(!table.contains("Ask room 7."), "{table}");
    }
    assert!(delivery.status().contains("`signing` of [identity]"), "{}", delivery.status());
    assert!(delivery.granted(&["run", "show", failed.id.as_str()]).contains("remote: Ask room 7."));
}

#[test]
fn a_silent_host_takes_no_look_from_repositories_that_are_elsewhere() {
    let mut delivery = Delivery::by_hand();
    let server = HttpGit::start(&delivery.root().join("repositories"), None);
    server.set_trouble(Trouble::Hang);
    let silent: String = (0..12)
        .map(|number| {
            format!("  silent-{number}: {{ url: '{}', poll: 1s }}\n", server.url("", &format!("{number}.git")))
        })
        .collect();
    let rules = format!(
        "version: 1\nsystem: billing\nstages: {{ dev: {{ environment: Development }}, qa: {{ environment: QA }} }}\nrepositories:\n{silent}  \
         ledger: {{ url: ../repositories/ledger.git, poll: 1s }}\nrules:\n  look:\n    on: {{ push: ledger }}\n    \
         steps: [{{ package: {{}} }}]\n"
    );
    std::fs::write(delivery.root().join("promotion-rules/billing.yaml"), rules).unwrap();
    let ledger = delivery.add_billing("[git]\nsilence = '10m'\n");
    delivery.serve();
    let host = server.address;
    let told = format!("7 looks wait for a place: 5 of 5 looks of billing at {host} are running");
    status_with(&delivery, &[&told]);
    // The same system, and the same server: what is elsewhere is looked at, and goes on.
    delivery.wait_in("billing", "the first sight of the ledger", |state| {
        let (_, watched) = state.repositories.iter().find(|(name, _)| name.as_str() == "ledger")?;
        (!watched.seen.is_empty()).then_some(())
    });
    let pushed = ledger.commit("dev", "Change the rate", &[("rate", "2")]);
    delivery.wait_in("billing", "its run", |state| {
        let of_it =
            |run: &&tidegate::engine::Run| run.source.as_ref().is_some_and(|source| source.commit.as_str() == pushed);
        state.all_runs().find(of_it).filter(|run| run.state == RunState::Done).map(drop)
    });
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("package", "dev");
}
