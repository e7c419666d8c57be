//! The store: events per second with full sync, the memory of a thousand systems, and how soon they are ready after a
//! restart. `scripts/bench store` runs it; docs/performance.md holds the figures.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tidegate::{
    engine::{CommitId, Digest, Event, HeadSeen, Outcome, System},
    rules::{RepositoryName, Rules, StageName, SystemName},
    store::{Ledger, SqliteStore},
};

const RULES: &str = include_str!("../src/cli/demo/seed/webshop.yaml");
const SYSTEMS: usize = 1_000;
const EVENTS: usize = 100_000;
const CONCURRENT: usize = 64;
const MEASURED: Duration = Duration::from_secs(5);

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // In a process of its own, so that its memory is that of the thousand systems and nothing else.
    if let Some(path) = std::env::args().skip_while(|argument| argument != "--load").nth(1) {
        runtime.block_on(load(std::path::Path::new(&path)));
        return;
    }
    runtime.block_on(events_per_second(&folder.path().join("busy.db")));
    let path = folder.path().join("thousand.db");
    runtime.block_on(fill(&path));
    let program = std::env::current_exe().unwrap();
    let loaded = std::process::Command::new(program).arg("--load").arg(&path).status().unwrap();
    assert!(loaded.success());
}

async fn ledger(path: &std::path::Path) -> Arc<Ledger> {
    Arc::new(Ledger::open(Arc::new(SqliteStore::open(path).await.unwrap())))
}

fn rules(name: &SystemName) -> Event {
    let mut rules: Rules = tidegate::rules::load("webshop.yaml", RULES).unwrap();
    rules.system = name.clone();
    Event::RulesLoaded { source: "bench".to_owned(), digest: Digest::of(RULES.as_bytes()), rules: Box::new(rules) }
}

/// The next push to software `dev`, as the pending watch sees it: of all events, one of the costliest.
fn push(state: &System, number: usize) -> Event {
    let repository = RepositoryName::new("software").unwrap();
    let watch = state.due.values().find(|effect| effect.id.as_str().starts_with("watch/software")).unwrap();
    let known = |stage: &str| state.head(&repository, &StageName::new(stage).unwrap()).map(|head| head.commit.clone());
    let head = |stage: &str| {
        let moved = CommitId::new(format!("{number:040x}"));
        let commit = if stage == "dev" { moved } else { known(stage).unwrap_or_else(|| CommitId::new("0".repeat(40))) };
        let seen = HeadSeen {
            commit,
            author: "Ada <ada@example.com>".to_owned(),
            authors: ["Ada <ada@example.com>".to_owned()].into(),
            others_wrote: false,
            subject: "Sell more".to_owned(),
            changed: Some(vec!["VERSION".to_owned()]),
            forced: false,
            keys: Vec::new(),
            pins: Vec::new(),
        };
        (StageName::new(stage).unwrap(), Some(seen))
    };
    let heads = ["dev", "qa", "main"].map(head).into();
    Event::Outcome { effect: watch.id.clone(), outcome: Outcome::Heads { heads } }
}

fn system(number: usize) -> SystemName {
    SystemName::new(&format!("system-{number}")).unwrap()
}

async fn append(ledger: &Ledger, system: &SystemName, number: usize) {
    let event = ledger.read(system, |state| push(state, number)).await.unwrap();
    ledger.record(system, i64::try_from(number).unwrap(), event).await.unwrap();
}

async fn events_per_second(path: &std::path::Path) {
    let ledger = ledger(path).await;
    let started = Instant::now();
    let tasks: Vec<_> = (0..CONCURRENT)
        .map(|number| {
            let ledger = ledger.clone();
            tokio::spawn(async move {
                let name = system(number);
                ledger.record(&name, 0, rules(&name)).await.unwrap();
                let mut count = 1;
                while started.elapsed() < MEASURED {
                    append(&ledger, &name, count).await;
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut events = 0;
    for task in tasks {
        events += task.await.unwrap();
    }
    let rate = events as f64 / started.elapsed().as_secs_f64();
    println!("store: {rate:.0} events/s with full sync, {CONCURRENT} systems at once (target 2000)");
}

async fn fill(path: &std::path::Path) {
    let ledger = ledger(path).await;
    let tasks: Vec<_> = (0..CONCURRENT)
        .map(|worker| {
            let ledger = ledger.clone();
            tokio::spawn(async move {
                for number in (worker..SYSTEMS).step_by(CONCURRENT) {
                    let name = system(number);
                    ledger.record(&name, 0, rules(&name)).await.unwrap();
                    for count in 1..EVENTS / SYSTEMS {
                        append(&ledger, &name, count).await;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn load(path: &std::path::Path) {
    let before = resident_bytes();
    let started = Instant::now();
    let ledger = ledger(path).await;
    let systems = ledger.load_all().await.unwrap();
    let took = started.elapsed();
    let after = resident_bytes();
    println!("restart: {systems} systems, {EVENTS} past events: ready after {:.2} s (target 1)", took.as_secs_f64());
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "memory: {:.0} MB resident with {systems} systems, {:.0} MB before (target 100)",
        megabytes(after),
        megabytes(before)
    );
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
