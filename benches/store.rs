//! The store: events per second with full sync, the memory of a thousand systems, and how soon they are ready after a
//! restart. `scripts/bench store` runs it; docs/performance.md holds the figures.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

#[path = "../crates/engine/benches/living/mod.rs"]
mod living;

use std::{path::Path, sync::Arc, time::Instant};

use living::World;
use tidegate::{
    engine::{
        Event,
        explain::{self, Ancestry},
        stats::Whereabouts,
    },
    rules::{RepositoryName, Rules, StageName, SystemName},
    store::{Ledger, SqliteStore, replay},
};

const RULES: &str = include_str!("../src/cli/demo/seed/webshop.yaml");
const SYSTEMS: usize = 1_000;
const EVENTS: usize = 100_000;
const CONCURRENT: usize = 64;
const EVENTS_EACH: usize = 500;
/// One less than two snapshots: to load a system takes the most then.
const WORST_EVENTS: usize = 199;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // In a process of its own, so that its memory is that of the thousand systems and nothing else.
    if let Some(path) = std::env::args().skip_while(|argument| argument != "--load").nth(1) {
        runtime.block_on(load(Path::new(&path)));
        return;
    }
    runtime.block_on(events_per_second(&folder.path().join("busy.db")));
    let path = folder.path().join("thousand.db");
    runtime.block_on(fill(&path));
    runtime.block_on(asks(&folder.path().join("long.db")));
    let program = std::env::current_exe().unwrap();
    let loaded = std::process::Command::new(program).arg("--load").arg(&path).status().unwrap();
    assert!(loaded.success());
}

async fn ledger(path: &Path) -> Arc<Ledger> {
    Arc::new(Ledger::open(Arc::new(SqliteStore::open(path).await.unwrap())))
}

/// All that happens in a system of this name that lives: its first events, so many of them.
fn life(name: &SystemName, events: usize) -> Vec<Event> {
    let mut rules: Rules = tidegate::rules::load("webshop.yaml", RULES).unwrap();
    rules.system = name.clone();
    let mut world = World::new(rules, Some(Vec::new()), None);
    while world.events < events as u64 {
        world.goes_on();
    }
    world.log.unwrap_or_default()
}

fn system(number: usize) -> SystemName {
    SystemName::new(&format!("system-{number}")).unwrap()
}

async fn append(ledger: &Ledger, name: &SystemName, life: Vec<Event>) -> usize {
    let count = life.len();
    for (at, event) in life.into_iter().enumerate() {
        ledger.record(name, i64::try_from(at).unwrap() + 1, event).await.unwrap();
    }
    count
}

async fn events_per_second(path: &Path) {
    let ledger = ledger(path).await;
    let lives = (0..CONCURRENT).map(|number| (system(number), life(&system(number), EVENTS_EACH)));
    let lives: Vec<_> = lives.collect();
    let started = Instant::now();
    let append = |(name, life)| {
        let ledger = ledger.clone();
        tokio::spawn(async move { append(&ledger, &name, life).await })
    };
    let tasks: Vec<_> = lives.into_iter().map(append).collect();
    let mut events = 0;
    for task in tasks {
        events += task.await.unwrap();
    }
    let rate = events as f64 / started.elapsed().as_secs_f64();
    println!("store: {rate:.0} events/s with full sync, {CONCURRENT} living systems at once (target 2000)");
}

async fn fill(path: &Path) {
    let ledger = ledger(path).await;
    let tasks: Vec<_> = (0..CONCURRENT)
        .map(|worker| {
            let ledger = ledger.clone();
            tokio::spawn(async move {
                for number in (worker..SYSTEMS).step_by(CONCURRENT) {
                    append(&ledger, &system(number), life(&system(number), WORST_EVENTS)).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// How long people wait who ask about a system with a long log.
async fn asks(path: &Path) {
    append(&*ledger(path).await, &system(0), life(&system(0), EVENTS)).await;
    let started = Instant::now();
    let ledger = ledger(path).await;
    let (repository, main) = (RepositoryName::new("software").unwrap(), StageName::new("main").unwrap());
    let name = system(0);
    let explained = ledger.read(&name, |state| {
        let head = state.head(&repository, &StageName::new("dev").unwrap()).unwrap().commit.clone();
        explain::journey(state, &Ancestry::default(), &repository, &head, &main).conditions.len()
    });
    assert!(explained.await.unwrap() > 0);
    let explain_ms = started.elapsed().as_secs_f64() * 1_000.0;
    let started = Instant::now();
    let mut whereabouts = Whereabouts::default();
    let look = |recorded: &_, decision: &_, state: &_| whereabouts.take(recorded, decision, state);
    replay(ledger.store().as_ref(), &name, None, look).await.unwrap();
    let stats_ms = started.elapsed().as_secs_f64() * 1_000.0;
    println!(
        "{EVENTS} events: `explain COMMIT` {explain_ms:.0} ms beside what git takes, `stats` {stats_ms:.0} ms (target 100)"
    );
}

async fn load(path: &Path) {
    let before = resident_bytes();
    let started = Instant::now();
    let ledger = ledger(path).await;
    let (systems, _) = ledger.load_all().await.unwrap();
    let took = started.elapsed();
    let after = resident_bytes();
    let seconds = took.as_secs_f64();
    println!(
        "restart: {systems} living systems, {WORST_EVENTS} past events each: ready after {seconds:.2} s (target 1)"
    );
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "memory: {:.0} MB resident with {systems} living systems, {:.0} MB before (target 60)",
        megabytes(after),
        megabytes(before)
    );
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
