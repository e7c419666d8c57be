//! Events per second through `engine::step`, on one core, and how fast their facts fold. `scripts/bench engine` runs it;
//! docs/performance.md holds the figures. `-- living 200` does so many changes and prints nothing: for callgrind.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

mod living;

use std::time::{Duration, Instant};

use living::World;
use tidegate_engine::{
    engine::{System, fold},
    rules::{Rules, load},
};

const RULES: &str = include_str!("../../../src/cli/demo/seed/webshop.yaml");
const MEASURED: Duration = Duration::from_secs(3);
const FOLDED: usize = 100_000;

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
    rate("changes in dev", &dev_alone);
    rate("a living system", RULES);
    folds(RULES);
}
