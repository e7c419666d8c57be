//! Events per second through `engine::step`, on one core: whole changes in `dev`, from the push to the verified
//! deployment. `scripts/bench engine` runs it; docs/performance.md holds the figures.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use serde_json::{Map, json};
use tidegate::{
    engine::{
        Artifact, Attribution, Brings, CommitId, Delivery, Digest, Effect, EffectKind, Event, HeadSeen, Made, Moved,
        Outcome, Phase, Recorded, StepOutcome, System, Written, step,
    },
    rules::{StageName, load},
};

const RULES: &str = include_str!("../src/cli/demo/seed/webshop.yaml");
const MEASURED: Duration = Duration::from_secs(3);

fn main() {
    // Only the change in `dev`: nothing is promoted.
    let rules = load("webshop.yaml", &RULES.replace("to: qa,", "to: qa, start: manual,")).unwrap();
    let mut system = System::default();
    let mut due: VecDeque<Effect> = VecDeque::new();
    let loaded =
        Event::RulesLoaded { source: "bench".to_owned(), digest: Digest::of(b"rules"), rules: Box::new(rules) };
    let (mut seq, mut pushes, mut busy) = (0, 0_u64, Duration::ZERO);
    let mut record = |system: &mut System, due: &mut VecDeque<Effect>, event: Event| {
        seq += 1;
        let recorded = Recorded { seq, at_ms: i64::try_from(seq).unwrap(), event };
        let started = Instant::now();
        let decision = step(system, &recorded).unwrap();
        busy += started.elapsed();
        due.extend(decision.due);
        (seq, busy)
    };
    record(&mut system, &mut due, loaded);
    let (mut events, mut spent) = (0, Duration::ZERO);
    while spent < MEASURED {
        let steps = due.iter().position(|effect| matches!(effect.kind, EffectKind::Step { .. }));
        let effect = match steps {
            Some(position) => due.remove(position).unwrap(),
            None => {
                let software = due.iter().position(|effect| effect.id.as_str().starts_with("watch/software"));
                let unseen = due
                    .iter()
                    .position(|effect| effect.id.as_str().ends_with("#1") && effect.id.as_str().starts_with("watch"));
                pushes += 1;
                due.remove(unseen.or(software).unwrap()).unwrap()
            }
        };
        let outcome = outcome(&system, &effect, pushes);
        (events, spent) = record(&mut system, &mut due, Event::Outcome { effect: effect.id, outcome });
    }
    let rate = events as f64 / spent.as_secs_f64();
    println!("engine::step: {rate:.0} events/s on one core (target 500000); {} runs", system.runs_made);
}

fn outcome(system: &System, effect: &Effect, pushes: u64) -> Outcome {
    match &effect.kind {
        EffectKind::Watch { .. } => {
            let seen = HeadSeen {
                commit: CommitId::new(format!("{pushes:040x}")),
                author: "Ada <ada@example.com>".to_owned(),
                authors: ["Ada <ada@example.com>".to_owned()].into(),
                others_wrote: false,
                subject: "Sell more".to_owned(),
                changed: Some(vec!["VERSION".to_owned()]),
                forced: false,
                keys: Vec::new(),
                pins: Vec::new(),
            };
            Outcome::Heads { heads: [(StageName::new("dev").unwrap(), Some(seen))].into() }
        }
        EffectKind::Timer(_) => Outcome::Fired,
        EffectKind::Authors { .. } => {
            let authors = ["Ada <ada@example.com>".to_owned()].into();
            Outcome::Authors(Attribution::Told(Written { authors, unknown: Vec::new() }))
        }
        EffectKind::Notify { .. } => Outcome::Notice(Delivery::Delivered),
        EffectKind::Step { run, step, phase } => {
            let state = system.run(run).unwrap();
            let this = state.step(step).unwrap();
            let long = this.task.kind().is_long();
            if long && (*phase == Phase::Start || this.ticks < 4) {
                return Outcome::Step(StepOutcome::Pending {
                    handle: "job".to_owned(),
                    after_ms: 300,
                    progress: Some("BUILDING".to_owned()),
                });
            }
            Outcome::Step(done(system, state, this, pushes))
        }
    }
}

fn done(system: &System, run: &tidegate::engine::Run, step: &tidegate::engine::StepRun, pushes: u64) -> StepOutcome {
    let (mut outputs, mut made) = (Map::new(), Made::Nothing);
    let mut artifacts = Vec::new();
    if let Some(repository) = step.task.writes_to() {
        let parent = system.head(repository, &run.stage).unwrap().commit.to_string();
        let commit = format!("{:040x}", pushes * 7_919 + run.number);
        artifacts.push(Artifact {
            kind: "commit".to_owned(),
            name: format!("{repository}@{commit}"),
            uri: String::new(),
        });
        made = Made::Moved(Box::new(Moved {
            commit: CommitId::new(commit.as_str()),
            parent: Some(CommitId::new(parent.as_str())),
            subject: "Pin".to_owned(),
            paths: None,
            back: false,
            pins: None,
            brought: Brings {
                pinned: [("/tag".to_owned(), json!(format!("software-{pushes}")))].into(),
                ..Brings::default()
            },
        }));
        outputs.extend(
            [
                ("commit", json!(commit)),
                ("changed", json!(true)),
                ("parent", json!(parent)),
                ("subject", json!("Pin")),
                ("pinned", json!({ "/tag": format!("software-{pushes}") })),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
    } else {
        artifacts.push(Artifact {
            kind: step.task.kind().name.to_owned(),
            name: format!("sha256:{pushes:064x}"),
            uri: "file:///somewhere".to_owned(),
        });
        outputs.insert("uri".to_owned(), json!("file:///somewhere"));
    }
    StepOutcome::Done { outputs, artifacts, made }
}
