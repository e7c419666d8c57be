//! What GitHub could not deliver is delivered again: it is asked for at the start, each delivery once.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tidegate::store::{SqliteStore, Store as _};

use super::{DEADLINE, SECRET};
use crate::{
    scenarios::delivery::Delivery,
    support::{
        github::{FakeGitHub, Trouble, pem},
        repo::TestRepo,
    },
};

const LIST: &str = "GET /app/hook/deliveries";
const AGAIN: &str = "POST /app/hook/deliveries/";

/// The company, whose software is at a GitHub that delivers to its server.
struct Company {
    delivery: Delivery,
    fake: FakeGitHub,
    software: TestRepo,
    address: String,
    lists: usize,
}

impl Company {
    fn new() -> Self {
        let (delivery, fake) = (Delivery::by_hand(), FakeGitHub::begin());
        let software = fake.repository("acme/software");
        let begin = software.commit("dev", "Begin", &[("VERSION", "webshop 1.0\n")]);
        for branch in ["qa", "main"] {
            software.set_branch(branch, &begin);
        }
        fake.install("acme");
        let rules = delivery.rules().replace("poll: 1s", "poll: 1h");
        delivery.write_rules(&rules.replace("../repositories/software.git", &fake.git_url("acme/software")));
        for (name, text) in [("hooks", SECRET), ("app.pem", &pem())] {
            std::fs::write(delivery.root().join(name), text).unwrap();
        }
        // One that is free; the server has it from now on.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        delivery.add_settings(&format!(
            "[server]\nlisten = '{address}'\n[forges.github]\nurl = '{}'\napp_id = {}\nprivate_key_file = 'app.pem'\n\
             webhook_secret_file = 'hooks'\n",
            fake.url(),
            fake.app_id()
        ));
        let company = Self { delivery, fake, software, address, lists: 0 };
        company.reached(true);
        company
    }

    /// Whether GitHub's deliveries come to the server.
    fn reached(&self, is_reached: bool) {
        let at = if is_reached { &self.address } else { "127.0.0.1:1" };
        self.fake.webhook(&format!("http://{at}/webhooks/github"), SECRET);
    }

    /// Starts the server anew, and waits until it has asked for what was lost, and nothing was left undone.
    fn starts(&mut self) {
        let listed_ms = self.listed_ms();
        self.serves();
        let deadline = Instant::now() + DEADLINE;
        while self.listed_ms() <= listed_ms {
            assert!(Instant::now() < deadline, "{}\n{:#?}", self.delivery.server_log(), self.fake.requests());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts it anew, and waits until it has asked which were lost.
    fn serves(&mut self) {
        self.delivery.kill();
        self.delivery.serve();
        self.lists += 1;
        self.fake.wait_for(LIST, self.lists);
    }

    fn listed_ms(&self) -> i64 {
        self.ask(async |store| store.deliveries_listed_ms().await.unwrap().unwrap_or(0))
    }

    fn outcome(&self, guid: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let kept = self.ask(async |store| store.delivery(guid).await.unwrap());
            if let Some(outcome) = kept.and_then(|kept| kept.outcome) {
                return outcome;
            }
            assert!(Instant::now() < deadline, "{}\n{:#?}", self.delivery.server_log(), self.fake.requests());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ask<T: Default>(&self, ask: impl AsyncFnOnce(&SqliteStore) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let database = self.delivery.root().join("data/tidegate.db");
            // Before the first start there is none.
            match SqliteStore::open_to_read(&database).await {
                Ok(store) => ask(&store).await,
                Err(_) => T::default(),
            }
        })
    }
}

fn push() -> Value {
    json!({ "ref": "refs/heads/dev", "repository": { "id": 1, "full_name": "acme/software" } })
}

#[test]
fn what_was_lost_is_delivered_again_once() {
    let mut company = Company::new();
    // So long ago that GitHub of an Enterprise tells of it no more.
    company.fake.move_clock(-8 * 86_400);
    company.fake.lost("push", &push(), 0);
    company.fake.move_clock(8 * 86_400);
    let first = company.fake.lost("push", &push(), 502);
    company.fake.lost("push", &push(), 202);
    company.starts();
    assert_eq!(company.outcome(&first), "a look at software of webshop");
    assert_eq!(company.fake.count(AGAIN), 1, "neither what is too old nor what was taken");

    // While nobody listens.
    company.delivery.kill();
    let pushed = company.software.commit("dev", "Sell more", &[("VERSION", "webshop 2.0\n")]);
    let second = company.fake.lost("push", &push(), 0);
    company.starts();
    company.delivery.ended_on("package", &pushed);
    assert_eq!(company.outcome(&second), "a look at software of webshop");
    assert_eq!(company.fake.count(AGAIN), 2);

    // What is never reached is asked for once, and not at every start.
    company.reached(false);
    company.fake.lost("push", &push(), 503);
    company.starts();
    company.starts();
    company.starts();
    assert_eq!(company.fake.count(AGAIN), 3);
    company.delivery.granted(&["verify-log"]);
}

#[test]
fn what_came_though_github_gave_up_on_it_is_not_asked_for() {
    let mut company = Company::new();
    company.starts();
    assert_eq!(company.fake.deliver("push", &push()), Some(202));
    // GitHub waited for an answer for too long.
    let guid = {
        let mut state = company.fake.state();
        let last = state.deliveries.last_mut().unwrap();
        last.item["status_code"] = json!(0);
        last.item["status"] = json!("timed out");
        last.item["guid"].as_str().unwrap().to_owned()
    };
    assert_eq!(company.outcome(&guid), "a look at software of webshop");
    company.starts();
    assert_eq!(company.fake.count(AGAIN), 0);
}

#[test]
fn what_github_could_not_be_asked_for_is_asked_for_at_the_next_time() {
    let mut company = Company::new();
    let lost = company.fake.lost("push", &push(), 502);
    let down = |body: &str| Trouble::Say { status: 502, headers: Vec::new(), body: body.to_owned() };
    company.fake.trouble("GET /app/hook/deliveries", down("<html>Unicorn!</html>"), 1);
    company.serves();
    company.delivery.wait("the first sight", |state| (!state.repositories.is_empty()).then_some(()));
    assert_eq!(company.listed_ms(), 0, "nothing was told");
    company.fake.trouble("POST /app/hook/deliveries/{delivery_id}/attempts", down(""), 1);
    company.serves();
    company.fake.wait_for(AGAIN, 1);
    company.starts();
    assert_eq!(company.outcome(&lost), "a look at software of webshop");
    assert_eq!(company.fake.count(AGAIN), 2);
}
