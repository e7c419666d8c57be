//! What GitHub delivers, as the real program takes it in: how many deliveries a second are kept and how soon they are answered while
//! the engine is busy, whether a burst is lost, how soon a push is acted on, and what memory that takes. `scripts/bench webhooks` runs
//! it.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Client;
use sha2::Sha256;
use sqlx::{Connection as _, Row as _, SqliteConnection};
use tidegate::{driver::now_ms, house::House, rules::SystemName};
use tokio::{sync::Semaphore, task::JoinSet, time::sleep_until};

const SECRET: &str = "the secret of the bench";
/// How many systems are busy meanwhile: each looks at its repository every second, and runs what a push starts.
const BUSY: usize = 20;
/// How often each of them has a push.
const PUSH_EVERY: Duration = Duration::from_secs(2);
/// So many a second, for so long: the goal.
const RATE: u64 = 1_000;
const FOR_SECONDS: u64 = 20;
/// How many are sent at once, one after the other, to find out how many a second there can be.
const AT_ONCE: usize = 64;
const MOST_OF_ONE: usize = 300;
const BURST: usize = 2_000;
/// Over how many connections at most: who sends more waits for one, and that counts as time until the answer.
const MOST_CONNECTIONS: usize = 256;
const PUSHES: usize = 30;
const LISTEN: &str = "127.0.0.1:18099";
/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(300);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut bench = Bench::begin();
        bench.wait_until_seen().await;
        println!("memory: {} MB resident before anything is delivered", bench.resident_kb() / 1_000);
        let busy = tokio::spawn(push_again_and_again(bench.repositories.clone()));
        bench.at_a_rate().await;
        bench.as_many_as_can().await;
        bench.burst().await;
        bench.pushes("while the others are busy").await;
        busy.abort();
        drop(busy.await);
        bench.pushes("while nothing else goes on").await;
        println!("memory: {} MB resident afterwards", bench.resident_kb() / 1_000);
    });
}

struct Bench {
    folder: tempfile::TempDir,
    /// That which is looked at once an hour first, then those of the busy systems.
    repositories: Vec<PathBuf>,
    server: Child,
    client: Client,
    connections: Arc<Semaphore>,
    delivered: usize,
}

impl Bench {
    fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("acme")).unwrap();
        let mut rules = Vec::new();
        let mut repositories = Vec::new();
        for number in 0..=BUSY {
            let repository = root.join(format!("acme/shop-{number}.git"));
            git(root, &["init", "--quiet", "--bare", "--initial-branch=dev", repository.to_str().unwrap()]);
            push(&repository, 0);
            let poll = if number == 0 { "1h" } else { "1s" };
            let text = format!(
                "version: 1\nsystem: shop-{number}\nstages: {{ dev: {{ environment: Development }} }}\n\
                 repositories: {{ shop: {{ url: 'http://127.0.0.1:1/acme/shop-{number}.git', poll: {poll} }} }}\n\
                 targets: {{ shop: {{}} }}\n\
                 rules:\n  check:\n    on: {{ push: shop }}\n    target: shop\n    steps: [{{ verify: {{ command: ['true'] }} }}]\n"
            );
            fs::write(root.join(format!("{number}.yaml")), text).unwrap();
            rules.push(format!("'{number}.yaml'"));
            repositories.push(repository);
        }
        fs::write(root.join("hooks"), SECRET).unwrap();
        fs::write(root.join("token"), "ghp_none").unwrap();
        // The repositories are at a GitHub that is not asked: git is told where they are instead.
        let settings = format!(
            "rules = [{}]\nsandbox = 'none'\n[server]\nlisten = '{LISTEN}'\n\
             [forges.github]\nurl = 'http://127.0.0.1:1'\ntoken_file = 'token'\nwebhook_secret_file = 'hooks'\n\
             [git_environment]\nGIT_CONFIG_COUNT = '1'\nGIT_CONFIG_KEY_0 = 'url.{}/.insteadOf'\n\
             GIT_CONFIG_VALUE_0 = 'http://127.0.0.1:1/'\nGIT_CONFIG_GLOBAL = '/dev/null'\nGIT_CONFIG_NOSYSTEM = '1'\n",
            rules.join(", "),
            root.display()
        );
        fs::write(root.join("tidegate.toml"), settings).unwrap();
        let mut serve = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        serve.arg("--config").arg(root.join("tidegate.toml")).arg("serve").env("TIDEGATE_LOG", "error");
        let server = serve.stdout(Stdio::null()).spawn().unwrap();
        let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        Self { folder, repositories, server, client: Client::new(), connections, delivered: 0 }
    }

    async fn wait_until_seen(&self) {
        let deadline = Instant::now() + DEADLINE;
        for number in 0..=BUSY {
            let system = SystemName::new(&format!("shop-{number}")).unwrap();
            loop {
                assert!(Instant::now() < deadline, "the repositories were not seen in time");
                if let Ok(house) = House::open_to_read(&self.folder.path().join("tidegate.toml")).await {
                    let seen = |state: &tidegate::engine::System| {
                        state.repositories.values().any(|watched| !watched.seen.is_empty())
                    };
                    if house.ledger.read(&system, seen).await.unwrap_or(false) {
                        break;
                    }
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// A delivery of a push, that is not sent yet.
    fn delivery(&mut self, repository: usize) -> reqwest::RequestBuilder {
        self.delivered += 1;
        // As long as GitHub's own are.
        let more = "x".repeat(7_000);
        let body = format!(
            r#"{{"ref":"refs/heads/dev","repository":{{"id":1,"full_name":"acme/shop-{repository}"}},"more":"{more}"}}"#
        );
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let request = self.client.post(format!("http://{LISTEN}/webhooks/github"));
        let request = request.header("X-GitHub-Delivery", format!("delivery-{}", self.delivered));
        let request = request.header("X-GitHub-Event", "push").header("Content-Type", "application/json");
        request.header("X-Hub-Signature-256", format!("sha256={digits}")).body(body)
    }

    /// As many a second as is the goal, each at its moment, however long the others take.
    async fn at_a_rate(&mut self) {
        let total = usize::try_from(RATE * FOR_SECONDS).unwrap();
        let requests: Vec<_> = (0..total).map(|number| self.delivery(number % (BUSY + 1))).collect();
        let began = Instant::now();
        let mut answers = JoinSet::new();
        for (number, request) in requests.into_iter().enumerate() {
            let at = began + Duration::from_micros(number as u64 * 1_000_000 / RATE);
            sleep_until(at.into()).await;
            let connections = Arc::clone(&self.connections);
            answers.spawn(async move {
                taken_over(&connections, request).await;
                at.elapsed()
            });
        }
        let mut took = Vec::new();
        while let Some(answer) = answers.join_next().await {
            took.push(answer.unwrap());
        }
        let (median, p99) = percentiles(took);
        println!("at {RATE} a second for {FOR_SECONDS} s: answered after {median:.1} ms (median), {p99:.1} ms (p99)");
        self.all_done().await;
    }

    async fn as_many_as_can(&mut self) {
        let mut all: Vec<Vec<_>> = (0..AT_ONCE).map(|_| Vec::new()).collect();
        for number in 0..AT_ONCE * MOST_OF_ONE {
            let request = self.delivery(number % (BUSY + 1));
            all[number % AT_ONCE].push(request);
        }
        let (total, began) = (AT_ONCE * MOST_OF_ONE, Instant::now());
        let mut senders = JoinSet::new();
        for requests in all {
            senders.spawn(async move {
                let mut took = Vec::new();
                for request in requests {
                    let sent = Instant::now();
                    taken(request).await;
                    took.push(sent.elapsed());
                }
                took
            });
        }
        let mut took = Vec::new();
        while let Some(sender) = senders.join_next().await {
            took.extend(sender.unwrap());
        }
        let rate = total as f64 / began.elapsed().as_secs_f64();
        let (median, p99) = percentiles(took);
        println!(
            "{rate:.0} durable deliveries a second, {AT_ONCE} at once: {median:.1} ms (median), {p99:.1} ms (p99)"
        );
        self.all_done().await;
    }

    async fn burst(&mut self) {
        let requests: Vec<_> = (0..BURST).map(|number| self.delivery(number % (BUSY + 1))).collect();
        let began = Instant::now();
        let mut answers = JoinSet::new();
        for request in requests {
            let connections = Arc::clone(&self.connections);
            answers.spawn(async move { taken_over(&connections, request).await });
        }
        while let Some(answer) = answers.join_next().await {
            answer.unwrap();
        }
        let answered = began.elapsed();
        self.all_done().await;
        println!(
            "a burst of {BURST}: all answered after {:.2} s, all done after {:.2} s, none lost",
            answered.as_secs_f64(),
            began.elapsed().as_secs_f64()
        );
    }

    /// Waits until all that was ever delivered is done.
    async fn all_done(&self) {
        let database = format!("sqlite://{}", self.folder.path().join("data/tidegate.db").display());
        let mut connection = SqliteConnection::connect(&database).await.unwrap();
        let deadline = Instant::now() + DEADLINE;
        loop {
            let row = sqlx::query("SELECT count(*), count(done_ms) FROM deliveries").fetch_one(&mut connection).await;
            let (kept, done): (i64, i64) = row.map(|row| (row.get(0), row.get(1))).unwrap();
            assert_eq!(usize::try_from(kept).unwrap(), self.delivered, "none is lost");
            if kept == done {
                return;
            }
            assert!(Instant::now() < deadline, "{done} of {kept} were done in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How long after a push is there, and GitHub begins to tell of it, its first step starts.
    async fn pushes(&mut self, when: &str) {
        let system = SystemName::new("shop-0").unwrap();
        let house = House::open(&self.folder.path().join("tidegate.toml")).await.unwrap();
        let mut changes = house.ledger.store().changes();
        let mut took = Vec::new();
        for number in 0..PUSHES {
            let commit = push(&self.repositories[0], self.delivered + number);
            let pushed_ms = now_ms();
            taken(self.delivery(0)).await;
            let started = |state: &tidegate::engine::System| {
                let on_it = |run: &&tidegate::engine::Run| {
                    run.source.as_ref().is_some_and(|source| source.commit.as_str() == commit)
                };
                state.all_runs().rev().find(on_it)?.steps.iter().find_map(|step| step.started_ms)
            };
            let deadline = Instant::now() + DEADLINE;
            let started_ms = loop {
                changes.mark_unchanged();
                if let Some(started_ms) = house.ledger.read(&system, started).await.unwrap() {
                    break started_ms;
                }
                tokio::time::timeout_at(deadline.into(), changes.changed()).await.unwrap().unwrap();
            };
            took.push(Duration::from_millis(u64::try_from(started_ms - pushed_ms).unwrap_or(0)));
        }
        let (median, p99) = percentiles(took);
        println!(
            "push to first step by webhook, {PUSHES} pushes {when}: {median:.0} ms (median), {p99:.0} ms (slowest)"
        );
    }

    fn resident_kb(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// The same, when one of the connections is free.
async fn taken_over(connections: &Semaphore, request: reqwest::RequestBuilder) {
    let _connection = connections.acquire().await.unwrap();
    taken(request).await;
}

async fn taken(request: reqwest::RequestBuilder) {
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 202);
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Whatever went wrong, it does not go on for ever.
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

async fn push_again_and_again(repositories: Vec<PathBuf>) {
    let repositories = Arc::new(repositories);
    for round in 1.. {
        for number in 1..repositories.len() {
            let repositories = Arc::clone(&repositories);
            tokio::task::spawn_blocking(move || push(&repositories[number], 1_000_000 + round)).await.unwrap();
            tokio::time::sleep(PUSH_EVERY / u32::try_from(BUSY).unwrap()).await;
        }
    }
}

/// A new commit on `dev`, as a push leaves it.
fn push(repository: &Path, number: usize) -> String {
    let tree = git(repository, &["mktree"]);
    let commit = git(repository, &["commit-tree", &tree, "-m", &format!("Change {number}")]);
    git(repository, &["update-ref", "refs/heads/dev", &commit]);
    commit
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.current_dir(folder).args(["-c", "user.name=bench", "-c", "user.email=bench@example.org"]).args(arguments);
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").stdin(Stdio::null());
    let output = git.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The median and the 99th of a hundred, in milliseconds.
fn percentiles(mut took: Vec<Duration>) -> (f64, f64) {
    took.sort_unstable();
    let at = |share: usize| took[(took.len() * share / 100).min(took.len() - 1)].as_secs_f64() * 1_000.0;
    (at(50), at(99))
}
