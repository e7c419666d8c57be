//! Events per second through `engine::step`, on one core, and how fast their facts fold. `scripts/bench engine` runs it;
//! docs/performance.md holds the figures. `-- living 200` does so many changes and prints nothing: for callgrind. `-- targets 1000` says what
//! so many living systems with five targets each take.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

mod living;

use std::time::{Duration, Instant};

use living::World;
use tidegate_engine::{
    engine::{System, fold},
    rules::{Rule, RuleName, Rules, TargetName, load},
};

const RULES: &str = include_str!("../../../src/cli/demo/seed/webshop.yaml");
const MEASURED: Duration = Duration::from_secs(3);
const FOLDED: usize = 100_000;
const LIVED: u64 = 4_000;
const SYSTEMS: usize = 200;

fn read(rules: &str) -> Rules {
    load("webshop.yaml", rules).unwrap()
}

fn rate(name: &str, rules: &str) {
    let mut world = World::new(read(rules), None, None);
    while world.busy < MEASURED {
        world.goes_on();
    }
    let rate = world.events as f64 / world.busy.as_secs_f64();
    println!("engine::step, {name}: {rate:.0} events/s on one core; {} runs", world.system.runs_made);
}

fn folds(rules: &str) {
    let mut world = World::new(read(rules), None, Some(Vec::with_capacity(FOLDED)));
    while world.events < FOLDED as u64 {
        world.goes_on();
    }
    let facts = world.facts.take().unwrap();
    let (mut system, number) = (System::default(), facts.iter().map(Vec::len).sum::<usize>());
    let started = Instant::now();
    for (seq, facts) in facts.into_iter().enumerate() {
        drop(fold(&mut system, seq as u64 + 1, 0, facts));
    }
    let took_ms = started.elapsed().as_secs_f64() * 1_000.0;
    println!("engine::fold: {FOLDED} events of {number} facts in {took_ms:.0} ms");
}

/// What living systems take that are read from their snapshots, as after a restart: nothing in them is shared by their history.
fn memory(name: &str, rules: Rules, systems: usize) {
    let mut world = World::new(rules, None, None);
    while world.events < LIVED {
        world.goes_on();
    }
    let snapshot = serde_json::to_vec(&world.system).unwrap();
    let before = resident_bytes();
    let systems: Vec<System> = (0..systems).map(|_| serde_json::from_slice(&snapshot).unwrap()).collect();
    let each = (resident_bytes() - before) as f64 / systems.len() as f64 / 1_000.0;
    let all = each * systems.len() as f64 / 1_000.0;
    println!(
        "memory: {each:.0} KB for each of {} {name}, of {} KB as JSON: {all:.0} MB",
        systems.len(),
        snapshot.len() / 1_000
    );
}

/// The same rules with so many targets, each with a rule that delivers to it.
fn with_targets(mut rules: Rules, count: usize) -> Rules {
    let deliver = rules.rules.values().find(|rule| rule.target.is_some()).unwrap().clone();
    let target = rules.targets.values().next().unwrap().clone();
    for number in 2..=count {
        let name = TargetName::new(&format!("webshop-{number}")).unwrap();
        rules.targets.insert(name.clone(), target.clone());
        let rule = Rule { target: Some(name), ..deliver.clone() };
        rules.rules.insert(RuleName::new(&format!("deliver-{number}")).unwrap(), rule);
    }
    rules
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

fn main() {
    let dev_alone = RULES.replace("to: qa,", "to: qa, start: manual,");
    let words: Vec<String> = std::env::args().collect();
    let at = |word: &str| words.iter().position(|other| other == word);
    for (name, rules) in [("dev", dev_alone.as_str()), ("living", RULES)] {
        if let Some(changes) = at(name).and_then(|at| words.get(at + 1)?.parse::<u64>().ok()) {
            let mut world = World::new(read(rules), None, None);
            while world.events < changes {
                world.goes_on();
            }
            return;
        }
    }
    if let Some(systems) = at("targets").and_then(|at| words.get(at + 1)?.parse::<usize>().ok()) {
        return memory("living systems with five targets", with_targets(read(RULES), 5), systems);
    }
    // First, while nothing else has been taken and freed.
    memory("living systems", read(RULES), SYSTEMS);
    memory("living systems with five targets", with_targets(read(RULES), 5), SYSTEMS);
    rate("changes in dev", &dev_alone);
    rate("a living system", RULES);
    folds(RULES);
}
