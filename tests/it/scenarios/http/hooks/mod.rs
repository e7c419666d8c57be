//! What GitHub delivers: the real program on a real socket, with signatures as GitHub makes them, and payloads as GitHub sends them.

mod buttons;
mod examples;
mod lost;
mod seen;
mod signed;

use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tidegate::store::{Delivery as Delivered, SqliteStore, Store as _};

use super::{Answer, Caller, caller};
use crate::{scenarios::delivery::Delivery, support::http_git::HttpGit};

const PATH: &str = "/webhooks/github";
const SECRET: &str = "the secret of the webhook";
/// How long anything may take. Most takes a moment.
const DEADLINE: Duration = Duration::from_secs(60);

/// The company, whose repositories are at a GitHub, which is looked at once an hour.
struct Hub {
    delivery: Delivery,
    /// Where GitHub is, as far as git asks it.
    git: HttpGit,
}

impl Hub {
    fn new() -> Self {
        Self::with(Delivery::by_hand())
    }

    fn with(delivery: Delivery) -> Self {
        let git = HttpGit::start(delivery.root(), None);
        let rules = delivery.rules().replace("poll: 1s", "poll: 1h");
        delivery.write_rules(&rules.replace("../repositories/", &git.url("", "repositories/")));
        let hub = Self { delivery, git };
        hub.write("hooks", SECRET);
        hub.write("forge-token", "ghp_x");
        let github = format!("[forges.github]\nurl = 'http://{}'\n", hub.git.address);
        hub.delivery.add_settings(&format!("{github}token_file = 'forge-token'\nwebhook_secret_file = 'hooks'\n"));
        hub
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.delivery.root().join(name), text).unwrap();
    }

    /// Starts the server; who delivers to it.
    fn serve(&mut self) -> GitHub {
        self.delivery.serve();
        GitHub { caller: caller(&self.delivery) }
    }

    /// What is kept of a delivery.
    fn kept(&self, guid: &str) -> Option<Delivered> {
        self.ask(async |store| store.delivery(guid).await.unwrap())
    }

    /// What became of a delivery, when something did.
    fn outcome(&self, guid: &str) -> String {
        self.ask(async |store| {
            let deadline = Instant::now() + DEADLINE;
            loop {
                let kept = store.delivery(guid).await.unwrap();
                if let Some(outcome) = kept.as_ref().and_then(|kept| kept.outcome.clone()) {
                    return outcome;
                }
                assert!(Instant::now() < deadline, "{kept:?}\n{}", self.delivery.server_log());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    }

    fn ask<T>(&self, ask: impl AsyncFnOnce(&SqliteStore) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let database = self.delivery.root().join("data/tidegate.db");
            ask(&SqliteStore::open_to_read(&database).await.unwrap()).await
        })
    }

    /// How many times a look at the software was asked for.
    fn looks(&self) -> usize {
        let history = self.delivery.granted(&["history", "--since", "1", "--limit", "5000"]);
        history.matches("there may be news: look at software").count()
    }
}

/// Whoever delivers.
struct GitHub {
    caller: Caller,
}

impl GitHub {
    /// Delivers this, signed with the secret.
    fn delivers(&self, guid: &str, event: &str, payload: &Value) -> Answer {
        let body = payload.to_string();
        self.sends(guid, event, &signature(SECRET, body.as_bytes()), &body)
    }

    /// Delivers it, which is taken.
    fn delivered(&self, guid: &str, event: &str, payload: &Value) {
        let answer = self.delivers(guid, event, payload);
        assert_eq!((answer.status, answer.text().as_str()), (202, ""), "{guid} {event}");
    }

    fn sends(&self, guid: &str, event: &str, signature: &str, body: &str) -> Answer {
        self.named(guid, event).with("X-Hub-Signature-256", signature).post(PATH, body)
    }

    fn named(&self, guid: &str, event: &str) -> Caller {
        self.caller.with("X-GitHub-Delivery", guid).with("X-GitHub-Event", event)
    }
}

fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

/// A push to the software's repository.
fn push() -> Value {
    json!({ "ref": "refs/heads/dev", "repository": { "id": 1, "full_name": "repositories/Software" } })
}
