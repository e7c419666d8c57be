//! The main job at a GitHub: every commit shows what is done with it, people answer there, and environments show what runs. Whatever
//! GitHub does not answer, and whenever the server is killed, there is one check of each run at a commit and one deployment.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tidegate::engine::Run;

use super::delivery::Delivery;
use crate::support::{
    github::{FakeGitHub, Trouble, pem},
    repo::TestRepo,
};

/// How long anything may take. Most takes seconds, of which GitHub is told at most one thing in each.
const DEADLINE: Duration = Duration::from_secs(90);
const SECRET: &str = "the secret of the webhook";
const NAMES: [&str; 3] = ["software", "image", "infrastructure"];

/// The company, whose repositories are at a GitHub, which shows what is done with them.
struct Company {
    delivery: Delivery,
    github: FakeGitHub,
    software: TestRepo,
}

impl Company {
    fn new() -> Self {
        let (delivery, github) = (Delivery::careful(), FakeGitHub::begin());
        let (mut rules, mut repositories) = (delivery.rules(), BTreeMap::new());
        for name in NAMES {
            let there = github.repository(&format!("acme/{name}"));
            let here = delivery.root().join(format!("repositories/{name}.git"));
            there.git(&["fetch", "--quiet", here.to_str().unwrap(), "+refs/heads/*:refs/heads/*"]);
            repositories.insert(name, there);
            rules = rules.replace(&format!("../repositories/{name}.git"), &github.git_url(&format!("acme/{name}")));
        }
        delivery.write_rules(&rules);
        github.install("acme");
        for login in ["ada", "grace-h"] {
            github.user(login);
        }
        for (name, text) in [("hooks", SECRET), ("app.pem", &pem())] {
            std::fs::write(delivery.root().join(name), text).unwrap();
        }
        // One that is free; the server has it from now on.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        github.webhook(&format!("http://{address}/webhooks/github"), SECRET);
        delivery.add_settings(&format!(
            "[server]\nlisten = '{address}'\nurl = 'http://{address}'\n[forges.github]\nurl = '{}'\napp_id = {}\n\
             private_key_file = 'app.pem'\nwebhook_secret_file = 'hooks'\n",
            github.url(),
            github.app_id()
        ));
        let settings = std::fs::read_to_string(delivery.config()).unwrap();
        let settings = settings
            .replace("[people.ada]", "[people.ada]\ngithub = 'Ada'")
            .replace("[people.grace]", "[people.grace]\ngithub = 'grace-h'");
        std::fs::write(delivery.config(), settings).unwrap();
        let software = repositories.remove("software").unwrap();
        Self { delivery, github, software }
    }

    /// Ada pushes; the run that asks in dev because of it.
    fn asks_for(&self, version: &str) -> Run {
        let before = self.software.head("dev").unwrap();
        let pushed = self.software.commit("dev", "Sell more", &[("VERSION", version)]);
        self.github.pushed("acme/software", "dev", "ada", &before, &pushed);
        self.github
            .deliver("push", &json!({ "ref": "refs/heads/dev", "repository": { "full_name": "acme/software" } }));
        self.delivery.ended_on("package", &pushed);
        self.delivery.asking("deliver", "dev")
    }

    /// Waits until GitHub shows something.
    fn shows<T>(&self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let ends = Instant::now() + DEADLINE;
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            let log = || format!("{}\n{:#?}", self.delivery.server_log(), self.github.requests());
            assert!(Instant::now() < ends, "waited in vain for {what}\n{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The check runs of a run, the oldest first.
    fn checks(&self, name: &str, run: &Run) -> Vec<Value> {
        let mut state = self.github.state();
        let all = state.repository(&format!("acme/{name}")).check_runs.clone();
        let key = format!("webshop/{}", run.unique_name());
        all.into_iter().filter(|check| check["external_id"] == key.as_str()).collect()
    }

    /// How the newest check of a run stands at each of its commits: `completed/success`.
    fn stands(&self, run: &Run) -> BTreeMap<String, String> {
        let of = |name: &&str| {
            let check = self.checks(name, run).pop()?;
            let (_, commit) = run.set.iter().find(|(repository, _)| repository.as_str() == *name).unwrap();
            assert_eq!(check["head_sha"], commit.as_str(), "{check}");
            let text = |member: &str| check[member].as_str().unwrap_or_default().to_owned();
            Some(((*name).to_owned(), format!("{}/{}", text("status"), text("conclusion"))))
        };
        NAMES.iter().filter_map(of).collect()
    }

    /// The deployments of a run, each with what was said of it, oldest first.
    fn deployments(&self, run: &Run) -> Vec<(Value, Vec<String>)> {
        let mut state = self.github.state();
        let repository = state.repository("acme/infrastructure").clone();
        let key = format!("webshop/{}", run.unique_name());
        let is_of =
            |made: &&Value| made["payload"]["tidegate"] == key.as_str() || made["payload"].to_string().contains(&key);
        let said = |made: &Value| {
            let statuses = repository.deployment_statuses.get(&made["id"].as_u64().unwrap()).cloned();
            let said = statuses.unwrap_or_default().iter().map(|it| it["state"].as_str().unwrap().to_owned()).collect();
            (made.clone(), said)
        };
        repository.deployments.iter().filter(is_of).map(said).collect()
    }

    fn everywhere(&self, run: &Run, stands: &str) -> Option<()> {
        let all = self.stands(run);
        (all.len() == NAMES.len() && all.values().all(|it| it == stands)).then_some(())
    }

    /// Grace presses a button below the newest check of a run.
    fn presses(&self, run: &Run, label: &str) {
        let check = self.checks("infrastructure", run).pop().unwrap();
        let buttons = check["actions"].as_array().unwrap();
        let button = buttons.iter().find(|button| button["label"] == label).unwrap_or_else(|| panic!("{check}"));
        let id = self.github.user("grace-h");
        self.github.deliver(
            "check_run",
            &json!({
                "action": "requested_action", "requested_action": { "identifier": button["identifier"] },
                "check_run": { "id": check["id"], "external_id": check["external_id"], "app": { "id": self.github.app_id() } },
                "repository": { "full_name": "acme/infrastructure" }, "sender": { "login": "grace-h", "id": id },
            }),
        );
    }
}

#[test]
fn every_commit_shows_what_is_done_with_it_and_environments_show_what_runs() {
    let mut company = Company::new();
    company.delivery.serve();
    let first = company.asks_for("webshop 2.0\n");
    company.shows("a question at every commit", |it| it.everywhere(&first, "completed/action_required"));
    let check = company.checks("software", &first).pop().unwrap();
    assert_eq!(check["name"], "tidegate/dev/deliver");
    let summary = check["output"]["summary"].as_str().unwrap();
    let digest = first.digest(first.answerable().unwrap());
    assert!(summary.contains("approval by qa (0 of 1)") && summary.contains(digest.as_str()), "{summary}");
    assert!(company.deployments(&first).is_empty(), "nobody has said yes");
    let package = company.delivery.done("package", "dev");
    company.shows("what is done", |it| {
        (it.stands(&package).get("software").map(String::as_str) == Some("completed/success")).then_some(())
    });

    company.presses(&first, "Approve");
    let done = company.delivery.done("deliver", "dev");
    assert_eq!(done.id, first.id);
    company.shows("its end at every commit", |it| it.everywhere(&done, "completed/success"));
    let said = company.shows("what runs", |it| {
        let mut made = it.deployments(&done);
        (made.first()?.1.last()? == "success").then(|| (made.len(), made.remove(0)))
    });
    let (count, (made, states)) = said;
    assert_eq!((count, &made["environment"], &made["task"]), (1, &json!("Development"), &json!("tidegate")));
    assert_eq!(made["sha"], done.source.as_ref().unwrap().commit.as_str());
    assert!(states.iter().all(|state| ["queued", "in_progress", "success"].contains(&state.as_str())), "{states:?}");

    // What comes after it takes its place; what was rejected takes nobody's.
    let second = company.asks_for("webshop 3.0\n");
    company.shows("the second question", |it| it.everywhere(&second, "completed/action_required"));
    company.presses(&second, "Reject");
    let rejected = company.delivery.ended("deliver", "dev");
    company.shows("that it was rejected", |it| {
        it.stands(&rejected).values().all(|it| it != "completed/action_required").then_some(())
    });
    assert!(company.deployments(&rejected).is_empty());
    let third = company.asks_for("webshop 4.0\n");
    company.shows("the third question", |it| it.everywhere(&third, "completed/action_required"));
    company.presses(&third, "Approve");
    let third = company.delivery.done("deliver", "dev");
    company.shows("that the first gave way", |it| {
        let last = |run: &Run| it.deployments(run).first()?.1.last().cloned();
        (last(&done)? == "inactive" && last(&third)? == "success").then_some(())
    });
    company.delivery.stop();
}

#[test]
fn whatever_is_not_answered_and_whenever_it_is_killed_there_is_one_of_each() {
    let mut company = Company::new();
    let (checks, deployments) = ("POST /repos/{owner}/{repo}/check-runs", "POST /repos/{owner}/{repo}/deployments");
    let statuses = "POST /repos/{owner}/{repo}/deployments/{deployment_id}/statuses";
    company.github.trouble(checks, Trouble::CloseAfter, 2);
    company.github.trouble(deployments, Trouble::CloseAfter, 1);
    company.github.trouble(deployments, Trouble::Half, 1);
    company.github.trouble(statuses, Trouble::CloseAfter, 1);
    company.github.trouble("PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}", Trouble::CloseBefore, 1);
    company.delivery.serve();
    // Killed as soon as GitHub has something that was not answered, and again while it asks.
    let run = company.asks_for("webshop 2.0\n");
    company.github.wait_for("POST /repos/acme/", 2);
    company.delivery.kill();
    company.delivery.serve();
    company.shows("a question at every commit", |it| it.everywhere(&run, "completed/action_required"));
    company.presses(&run, "Approve");
    company.github.wait_for("POST /repos/acme/infrastructure/deployments", 1);
    company.delivery.kill();
    company.delivery.serve();
    let done = company.delivery.done("deliver", "dev");
    company.shows("its end at every commit", |it| it.everywhere(&done, "completed/success"));
    company.shows("what runs", |it| (it.deployments(&done).first()?.1.last()? == "success").then_some(()));
    let made = company.deployments(&done);
    assert_eq!(made.len(), 1, "{made:#?}");
    let mut said = made[0].1.clone();
    said.dedup();
    assert_eq!(said, made[0].1, "never the same twice");
    for name in NAMES {
        // One that was completed stays so at GitHub: what asked and then proceeds is a second one, and no more.
        let all = company.checks(name, &done);
        let asked = all.iter().filter(|check| check["conclusion"] == "action_required").count();
        assert!(all.len() - asked == 1 && asked <= 1, "{name}: {all:#?}");
    }
    company.delivery.stop();
}
