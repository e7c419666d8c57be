//! Freezes and pauses against a model that is told as simply as can be: after every move, what goes on is exactly what the
//! model says is held.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, sample::Index};
use tidegate_engine::engine::{Command, EffectKind, Outcome, RunId, Timer};

use super::support::{HOUR_MS, World, freeze, pause};

const SHOP: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, main: { environment: Production } }
repositories: { software: { url: s.git }, image: { url: i.git } }
rules:
  package:
    on: { push: software }
    queue: parallel
    steps:
      - package: {}
      - commit: { repository: image, file: config.json, set: { /tag: '{{package.tag}}' } }
";

#[derive(Debug, Clone)]
enum Move {
    Push { stage: bool },
    Pause,
    Resume,
    Freeze { stage: Option<bool>, hours: i64 },
    Thaw { which: Index },
    Override { freeze: Index, run: Index },
    Hours { hours: i64 },
}

fn moves() -> impl Strategy<Value = Move> {
    let index = any::<Index>;
    prop_oneof![
        4 => any::<bool>().prop_map(|stage| Move::Push { stage }),
        1 => Just(Move::Pause),
        2 => Just(Move::Resume),
        3 => (any::<Option<bool>>(), 1_i64..30).prop_map(|(stage, hours)| Move::Freeze { stage, hours }),
        2 => index().prop_map(|which| Move::Thaw { which }),
        2 => (index(), index()).prop_map(|(freeze, run)| Move::Override { freeze, run }),
        3 => (1_i64..20).prop_map(|hours| Move::Hours { hours }),
    ]
}

const fn name(stage: bool) -> &'static str {
    if stage { "dev" } else { "main" }
}

#[derive(Debug, Default)]
struct Model {
    paused: bool,
    /// Name → stage, end, runs that may pass.
    freezes: BTreeMap<String, (Option<bool>, i64, BTreeSet<String>)>,
    /// Runs that have not ended: their stage.
    waiting: BTreeMap<String, bool>,
    runs: u64,
    made: u64,
}

impl Model {
    fn goes_on(&mut self) {
        let (paused, freezes) = (self.paused, &self.freezes);
        self.waiting.retain(|run, at| {
            let frozen = |(stage, _, passes): &(Option<bool>, i64, BTreeSet<String>)| {
                stage.is_none_or(|stage| stage == *at) && !passes.contains(run)
            };
            paused || freezes.values().any(frozen)
        });
    }
}

struct Played {
    world: World,
    model: Model,
}

impl Played {
    fn play(&mut self, step: &Move) {
        let Self { world, model } = self;
        let freezes: Vec<String> = model.freezes.keys().cloned().collect();
        match step {
            Move::Push { stage } => {
                world.push("software", name(*stage));
                model.runs += 1;
                model.waiting.insert(format!("package-{}", model.runs), *stage);
            }
            Move::Pause => {
                assert_eq!(world.ask("grace", pause()).is_ok(), !model.paused);
                model.paused = true;
            }
            Move::Resume => {
                assert_eq!(world.ask("grace", Command::Resume).is_ok(), model.paused);
                model.paused = false;
            }
            Move::Freeze { stage, hours } => {
                let until_ms = world.now_ms + hours * HOUR_MS;
                world.asked("grace", freeze(stage.map(name), until_ms));
                model.made += 1;
                model.freezes.insert(format!("freeze-{}", model.made), (*stage, until_ms, BTreeSet::new()));
            }
            Move::Thaw { which } if !freezes.is_empty() => {
                let freeze = which.get(&freezes).clone();
                world.asked("grace", Command::Thaw { freeze: freeze.clone() });
                model.freezes.remove(&freeze);
            }
            Move::Override { freeze, run } if !freezes.is_empty() && !model.waiting.is_empty() => {
                let freeze = freeze.get(&freezes).clone();
                let waiting: Vec<(String, bool)> = model.waiting.clone().into_iter().collect();
                let (run, stage) = run.get(&waiting).clone();
                let command = Command::Override {
                    freeze: freeze.clone(),
                    run: RunId::new(run.clone()),
                    reason: "now".to_owned(),
                };
                let granted = world.ask("grace", command).is_ok();
                let (of, _, passes) = model.freezes.get_mut(&freeze).unwrap();
                assert_eq!(granted, of.is_none_or(|of| of == stage));
                if granted {
                    passes.insert(run);
                }
            }
            Move::Thaw { .. } | Move::Override { .. } => {}
            Move::Hours { hours } => {
                world.later(hours * HOUR_MS);
                let over = |effect: &&tidegate_engine::engine::Effect| {
                    matches!(effect.kind, EffectKind::Timer(Timer::Freeze { .. })) && effect.due_ms <= world.now_ms
                };
                let due: Vec<_> = world.system.due.values().filter(over).map(|effect| effect.id.clone()).collect();
                for effect in due {
                    world.answer(&effect, Outcome::Fired);
                }
                model.freezes.retain(|_, (_, until_ms, _)| *until_ms > world.now_ms);
            }
        }
        world.settle();
        model.goes_on();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_goes_on_is_what_the_model_says_is_held(moves in prop::collection::vec(moves(), 1..60)) {
        let mut played = Played { world: World::new(SHOP), model: Model::default() };
        for step in &moves {
            played.play(step);
            let live: BTreeSet<String> = played.world.live().into_iter().collect();
            let held: BTreeSet<String> = played.model.waiting.keys().cloned().collect();
            prop_assert_eq!(live, held, "after {:?}", step);
        }
        played.world.replays(moves.len() / 2);
    }
}
