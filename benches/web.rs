//! The server over HTTP, asked by a client of its own process: how long the overview and a lattice take with a thousand systems and
//! a hundred thousand runs, how soon changes are told, and what all of that takes. `scripts/bench web` runs it.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

#[path = "../crates/engine/benches/living/mod.rs"]
mod living;

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use living::World;
use reqwest::{Client, header};
use tidegate::{
    engine::{Event, Role},
    house::{House, settings::Settings},
    rules::{Rules, SystemName},
    store::{Ledger, SqliteStore, Token, TokenNote},
    web::{Listening, new_token},
};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

const RULES: &str = include_str!("../src/cli/demo/seed/webshop.yaml");
/// Unless a number is given: `scripts/bench web 50`.
const SYSTEMS: usize = 1_000;
/// So many runs each has had.
const RUNS_EACH: u64 = 100;
const WRITERS: usize = 64;
const QUESTIONS: usize = 2_000;
const ASKED_AT_ONCE: usize = 8;
const STREAMS: usize = 200;
/// How many of them one asker may have.
const STREAMS_OF_ONE: usize = 16;
const CHANGES: usize = 200;
const COMMANDS: usize = 4_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let arguments: Vec<String> = std::env::args().collect();
    // In a process of its own, so that its memory is the server's and nothing else.
    if let Some(at) = arguments.iter().position(|argument| argument == "--serve") {
        runtime.block_on(serve(Path::new(&arguments[at + 1])));
        return;
    }
    let systems = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(SYSTEMS);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tidegate.toml");
    std::fs::write(&config, "rules = []\n[server]\ncalls_per_second = 1000000\n").unwrap();
    let tokens = runtime.block_on(fill(&config, systems));
    let program = std::env::current_exe().unwrap();
    let mut server = Command::new(program).arg("--serve").arg(&config).stdout(Stdio::piped()).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut url).unwrap();
    runtime.block_on(ask(&Server { url: url.trim().to_owned(), tokens, systems, id: server.id() }));
    server.kill().unwrap();
    server.wait().unwrap();
}

async fn serve(config: &Path) {
    let house = Arc::new(House::open(config).await.unwrap());
    house.ledger.load_all().await.unwrap();
    let listening = Listening::at(&house.settings).await.unwrap().unwrap();
    let mut out = std::io::stdout();
    writeln!(out, "{}", listening.url()).unwrap();
    out.flush().unwrap();
    let server = listening.server(house, None, CancellationToken::new());
    listening.answer(server).await;
}

/// The stores of all systems, each of which has lived until it has its share of the runs; and tokens that may do all.
async fn fill(config: &Path, systems: usize) -> Vec<String> {
    let data = Settings::read(config).unwrap().data;
    std::fs::create_dir_all(&data).unwrap();
    let store = Arc::new(SqliteStore::open(&data.join("tidegate.db")).await.unwrap());
    let ledger = Arc::new(Ledger::open(store));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let ledger = Arc::clone(&ledger);
        writers.spawn(async move {
            let mut runs = 0;
            for number in (writer..systems).step_by(WRITERS) {
                let (life, count) = life(&system(number));
                runs += count;
                for (at, event) in life.into_iter().enumerate() {
                    ledger.record(&system(number), i64::try_from(at).unwrap() + 1, event).await.unwrap();
                }
            }
            runs
        });
    }
    let mut runs = 0;
    while let Some(written) = writers.join_next().await {
        runs += written.unwrap();
    }
    println!("filled: {systems} systems that lived, {runs} runs");
    let mut tokens = Vec::new();
    for number in 0..STREAMS.div_ceil(STREAMS_OF_ONE) {
        let (token, hash) = new_token().unwrap();
        let (name, of, created_by) = (format!("bench-{number}"), BTreeSet::new(), "bench".to_owned());
        let (role, created_ms, expires_ms, used_ms, revoked_ms) = (Role::Admin, 0, i64::MAX, None, None);
        let made = Token { name, hash, role, systems: of, created_by, created_ms, expires_ms, used_ms, revoked_ms };
        assert!(ledger.store().note(TokenNote::Made(made).into()).await.unwrap());
        tokens.push(token);
    }
    tokens
}

fn system(number: usize) -> SystemName {
    SystemName::new(&format!("system-{number:04}")).unwrap()
}

/// The events of a system until it has had its runs, and how many these are.
fn life(name: &SystemName) -> (Vec<Event>, u64) {
    let mut rules: Rules = tidegate::rules::load("webshop.yaml", RULES).unwrap();
    rules.system = name.clone();
    let mut world = World::new(rules, Some(Vec::new()), None);
    let newest = |world: &World| world.system.runs.values().map(|run| run.number).max().unwrap_or(0);
    while newest(&world) < RUNS_EACH {
        world.goes_on();
    }
    let runs = newest(&world);
    (world.log.unwrap_or_default(), runs)
}

struct Server {
    url: String,
    tokens: Vec<String>,
    systems: usize,
    id: u32,
}

impl Server {
    fn client(&self) -> Client {
        self.client_of(0)
    }

    fn client_of(&self, token: usize) -> Client {
        let mut headers = header::HeaderMap::new();
        let bearer = format!("Bearer {}", self.tokens[token]);
        headers.insert(header::AUTHORIZATION, bearer.parse().unwrap());
        headers.insert(header::ACCEPT_ENCODING, header::HeaderValue::from_static("gzip"));
        Client::builder().default_headers(headers).build().unwrap()
    }

    fn resident_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id)).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

async fn ask(server: &Server) {
    println!("memory: {} MB resident before anybody asks", server.resident_kb() / 1_000);
    let lattice = |number: usize| format!("/api/v1/systems/{}/status", system(number * 7 % server.systems));
    let runs = |number: usize| format!("/api/v1/systems/{}/runs?limit=20", system(number * 7 % server.systems));
    question(server, "overview (systems)", QUESTIONS, |_| "/api/v1/systems".to_owned()).await;
    question(server, "one lattice", QUESTIONS, lattice).await;
    question(server, "twenty runs", QUESTIONS, runs).await;
    question(server, "all lattices", 20, |_| "/api/v1/status".to_owned()).await;
    unchanged(server, &lattice(1)).await;
    commands(server).await;
    streams(server).await;
    println!("memory: {} MB resident afterwards", server.resident_kb() / 1_000);
}

/// Asks a question often, a few at once, and tells how long it took and how long the answer is.
async fn question(server: &Server, what: &str, times: usize, path: impl Fn(usize) -> String) {
    let client = server.client();
    let mut askers = JoinSet::new();
    for asker in 0..ASKED_AT_ONCE {
        let urls: Vec<_> =
            (asker..times).step_by(ASKED_AT_ONCE).map(|number| format!("{}{}", server.url, path(number))).collect();
        let client = client.clone();
        askers.spawn(async move {
            let mut took = Vec::new();
            for url in urls {
                let started = Instant::now();
                let answer = client.get(url).send().await.unwrap().error_for_status().unwrap();
                let bytes = answer.bytes().await.unwrap().len();
                took.push((started.elapsed(), bytes));
            }
            took
        });
    }
    let mut took = Vec::new();
    while let Some(asked) = askers.join_next().await {
        took.extend(asked.unwrap());
    }
    let bytes = took.iter().map(|(_, bytes)| *bytes).max().unwrap();
    let (median, most) = percentiles(took.into_iter().map(|(took, _)| took).collect());
    println!(
        "{what}: median {median:.1} ms, p99 {most:.1} ms, {ASKED_AT_ONCE} at once; at most {bytes} bytes compressed"
    );
}

/// How long it takes to be told that nothing has changed.
async fn unchanged(server: &Server, path: &str) {
    let (client, url) = (server.client(), format!("{}{path}", server.url));
    let first = client.get(&url).send().await.unwrap();
    let tag = first.headers()[header::ETAG].clone();
    let mut took = Vec::new();
    for _ in 0..QUESTIONS {
        let started = Instant::now();
        let answer = client.get(&url).header(header::IF_NONE_MATCH, tag.clone()).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 304);
        took.push(started.elapsed());
    }
    let (median, most) = percentiles(took);
    println!("unchanged lattice: median {median:.1} ms, p99 {most:.1} ms");
}

async fn commands(server: &Server) {
    let (client, started) = (server.client(), Instant::now());
    let at_once = WRITERS.min(server.systems);
    // Each is paused and resumed in turn, and left as it was.
    let times = COMMANDS / at_once / 2 * 2;
    let mut askers = JoinSet::new();
    for asker in 0..at_once {
        let (client, url) = (client.clone(), server.url.clone());
        askers.spawn(async move {
            for time in 0..times {
                command(&client, &url, asker, time).await;
            }
        });
    }
    while let Some(asked) = askers.join_next().await {
        asked.unwrap();
    }
    let rate = (times * at_once) as f64 / started.elapsed().as_secs_f64();
    println!("commands: {rate:.0} a second, {at_once} at once, each of another system");
}

/// Pauses a system or, every second time, resumes it.
async fn command(client: &Client, url: &str, number: usize, time: usize) {
    let body = if time.is_multiple_of(2) { r#"{"type":"pause","reason":"bench"}"# } else { r#"{"type":"resume"}"# };
    let posted = client.post(format!("{url}/api/v1/systems/{}/commands", system(number)));
    let posted = posted.header(header::CONTENT_TYPE, "application/json").body(body);
    posted.send().await.unwrap().error_for_status().unwrap();
}

/// How long after a command was sent each of many readers has its event.
async fn streams(server: &Server) {
    let before_kb = server.resident_kb();
    let (told, mut heard) = mpsc::unbounded_channel();
    let mut readers = JoinSet::new();
    let client = server.client();
    let (opened, mut open) = mpsc::unbounded_channel();
    for number in 0..STREAMS {
        let client = server.client_of(number / STREAMS_OF_ONE);
        let (url, told, opened) = (server.url.clone(), told.clone(), opened.clone());
        readers.spawn(async move {
            let mut stream =
                client.get(format!("{url}/api/v1/events")).send().await.unwrap().error_for_status().unwrap();
            opened.send(()).unwrap();
            while let Ok(Some(chunk)) = stream.chunk().await {
                let text = String::from_utf8_lossy(&chunk).into_owned();
                for _ in text.lines().filter(|line| *line == "event: log") {
                    told.send(Instant::now()).unwrap();
                }
            }
        });
    }
    for _ in 0..STREAMS {
        open.recv().await.unwrap();
    }
    let each_kb = server.resident_kb().saturating_sub(before_kb) / STREAMS as u64;
    let mut took: Vec<Duration> = Vec::new();
    for number in 0..CHANGES {
        let sent = Instant::now();
        command(&client, &server.url, number / 2 % server.systems, number % 2).await;
        for _ in 0..STREAMS {
            took.push(heard.recv().await.unwrap().duration_since(sent));
        }
    }
    let (median, most) = percentiles(took);
    println!(
        "streams: {STREAMS} readers have an event after {median:.1} ms (median), {most:.1} ms (p99); {each_kb} kB each"
    );
}

/// The median and the 99th of a hundred, in milliseconds.
fn percentiles(mut took: Vec<Duration>) -> (f64, f64) {
    took.sort_unstable();
    let at = |share: usize| took[(took.len() * share / 100).min(took.len() - 1)].as_secs_f64() * 1_000.0;
    (at(50), at(99))
}
