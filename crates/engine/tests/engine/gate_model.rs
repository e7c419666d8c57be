//! All gates of a promotion together, against a model that says for each moment whether its merges may start. Commands and
//! clocks come in any order; what is due is done at once, so that engine and model can be compared after every move.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, sample::Index};
use tidegate_engine::engine::{Command, EffectKind, Made, Outcome, Phase, RunId, RunState, StepOutcome, StepState};

use super::support::{
    HOUR_MS, MINUTE_MS, NOON_MS, World, abort, approve, cases, done, failed, freeze, pause, pending, retry,
};

const SHOP: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, main: { environment: Production } }
repositories: { software: { url: s.git }, infrastructure: { url: n.git } }
targets: { shop: {} }
calendars: { closed: ['2026-11-21'] }
rules:
  package:
    on: { push: software }
    steps:
      - package: {}
      - commit: { repository: infrastructure, file: config.json, set: { /tag: '{{package.tag}}' } }
  deliver: { on: { push: infrastructure }, target: shop, steps: [synth: { template: t.yaml }, deploy: {}] }
promotions:
  - from: dev
    to: main
    on_failure: keep
    requires:
      soak: 1h
      checks: { load: { http: 'https://load.example', within: 30d } }
      approvals: { count: 2 }
      window: daily 12:00-16:00 UTC
      holidays: [closed]
hotfix: { skips: [soak, window, load, freeze] }
";

const RUN: &str = "promote-3";
const NAMES: [&str; 3] = ["grace", "linus", "mary"];
const DAY_MS: i64 = 24 * HOUR_MS;

#[derive(Debug, Clone)]
enum Move {
    Later(i64),
    Says(Answer),
    Approves(Index),
    /// All who have not approved yet do.
    Others,
    Withdraws(Index),
    Rejects,
    Freezes(i64),
    Thaws(Index),
    Passes(Index),
    Pauses,
    Resumes,
    Marks,
    Aborts,
    Conflicts,
    Retries,
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Yes,
    NotYet,
    Broken,
}

fn moves() -> impl Strategy<Value = Move> {
    let answers = prop_oneof![4 => Just(Answer::Yes), 1 => Just(Answer::NotYet), 1 => Just(Answer::Broken)];
    prop_oneof![
        4 => (1_i64..100).prop_map(|minutes| Move::Later(minutes * MINUTE_MS)),
        2 => (1_i64..40).prop_map(|hours| Move::Later(hours * HOUR_MS)),
        6 => answers.prop_map(Move::Says),
        8 => any::<Index>().prop_map(Move::Approves),
        1 => any::<Index>().prop_map(Move::Withdraws),
        1 => Just(Move::Rejects),
        3 => (1_i64..30).prop_map(Move::Freezes),
        1 => any::<Index>().prop_map(Move::Thaws),
        1 => any::<Index>().prop_map(Move::Passes),
        1 => Just(Move::Pauses),
        2 => Just(Move::Resumes),
        1 => Just(Move::Marks),
        1 => Just(Move::Aborts),
        1 => Just(Move::Conflicts),
        3 => Just(Move::Retries),
    ]
}

/// Any moves, and among them, in many stories, those that bring the promotion to its window while it is open.
fn stories() -> impl Strategy<Value = Vec<Move>> {
    let some = |most: usize| prop::collection::vec(moves(), 0..most);
    let quick = (some(4), some(3), some(3), some(30)).prop_map(|(first, then, before_last, rest)| {
        let asked = [vec![Move::Later(HOUR_MS)], first, vec![Move::Says(Answer::Yes)], then].concat();
        [asked, vec![Move::Others], before_last, rest].concat()
    });
    prop_oneof![quick, some(50)]
}

/// What there is to know of the promotion's gates, told as simply as can be.
#[derive(Debug, Default)]
struct Model {
    ended: bool,
    load: bool,
    answers: BTreeSet<&'static str>,
    /// Freezes by name: when each ends, and whether the promotion may pass it.
    freezes: BTreeMap<String, (i64, bool)>,
    paused: bool,
    marked: bool,
}

impl Model {
    fn may_merge(&self, verified_ms: i64, now_ms: i64) -> bool {
        let day_ms = now_ms.rem_euclid(DAY_MS);
        let saturday_ms = NOON_MS + 12 * HOUR_MS;
        let open =
            (12 * HOUR_MS..16 * HOUR_MS).contains(&day_ms) && !(saturday_ms..saturday_ms + DAY_MS).contains(&now_ms);
        let frozen = self.freezes.values().any(|(until_ms, passes)| *until_ms > now_ms && !passes);
        let clock = self.marked || (now_ms >= verified_ms + HOUR_MS && open && !frozen && self.load);
        clock && !self.ended && !self.paused && self.answers.len() >= 2
    }

    /// It ended, or was ended: a question that was open is asked anew.
    fn ends(&mut self) {
        self.ended = true;
        if self.answers.len() < 2 {
            self.answers.clear();
        }
    }
}

/// The promotion, what is to become of its next check of a merge, and the model.
struct Play {
    world: World,
    model: Model,
    conflict: bool,
    verified_ms: i64,
}

impl Play {
    fn new() -> Self {
        let mut world = World::new(SHOP);
        world.push("software", "dev");
        world.settle_until(|world| world.live_subjects() == ["promote"]);
        let verified_ms = world.now_ms;
        Self { world, model: Model::default(), conflict: false, verified_ms }
    }

    fn begun(&self) -> bool {
        self.world.run(RUN).steps.iter().any(|step| step.is_begun_merge())
    }

    fn granted(&mut self, by: &str, command: Command) -> bool {
        self.world.ask(by, command).is_ok()
    }

    fn makes(&mut self, what: &Move) {
        let freezes: Vec<String> = self.world.system.freezes.keys().cloned().collect();
        let named =
            |index: &Index| if freezes.is_empty() { "freeze-0".to_owned() } else { index.get(&freezes).clone() };
        match what {
            Move::Later(by_ms) => self.world.later(*by_ms),
            Move::Says(answer) => self.says(*answer),
            Move::Approves(who) => {
                let name = *who.get(&NAMES);
                if self.granted(name, approve(RUN)) {
                    assert!(self.model.answers.insert(name), "{name} has one voice");
                }
            }
            Move::Others => {
                for name in NAMES {
                    if self.granted(name, approve(RUN)) {
                        assert!(self.model.answers.insert(name), "{name} has one voice");
                    }
                }
            }
            Move::Withdraws(who) => {
                let name = *who.get(&NAMES);
                let granted = self.granted(name, Command::Withdraw { run: RunId::new(RUN) });
                assert_eq!(granted, !self.model.ended && self.model.answers.remove(name), "nothing has moved yet");
            }
            Move::Rejects => {
                let reject = Command::Reject { run: RunId::new(RUN), reason: "no".to_owned() };
                if self.granted("mary", reject) {
                    self.model.ends();
                    assert!(self.model.answers.is_empty(), "a question that is answered is not rejected");
                }
            }
            Move::Freezes(hours) => {
                let until_ms = self.world.now_ms + hours * HOUR_MS;
                assert!(self.granted("grace", freeze(None, until_ms)));
                let name = format!("freeze-{}", self.world.system.freezes_made);
                self.model.freezes.insert(name, (until_ms, false));
            }
            Move::Thaws(index) => {
                let freeze = named(index);
                if self.granted("grace", Command::Thaw { freeze: freeze.clone() }) {
                    self.model.freezes.remove(&freeze);
                }
            }
            Move::Passes(index) => {
                let (freeze, run) = (named(index), RunId::new(RUN));
                let reason = "gifts".to_owned();
                if self.granted("grace", Command::Override { freeze: freeze.clone(), run, reason }) {
                    self.model.freezes.get_mut(&freeze).unwrap().1 = true;
                }
            }
            Move::Pauses => self.model.paused |= self.granted("grace", pause()),
            Move::Resumes => self.model.paused &= !self.granted("grace", Command::Resume),
            Move::Marks => {
                let mark = Command::Hotfix { what: RUN.to_owned(), reason: "customers cannot pay".to_owned() };
                self.model.marked |= self.granted("grace", mark);
            }
            Move::Aborts => {
                if self.granted("grace", abort(RUN)) {
                    self.model.ends();
                }
            }
            Move::Conflicts => self.conflict = true,
            Move::Retries => self.model.ended &= !self.granted("grace", retry(RUN)),
        }
    }

    /// What the check answers, if it is asked.
    fn says(&mut self, answer: Answer) {
        if self.world.step_state(RUN, "load") != StepState::Active {
            return;
        }
        match answer {
            Answer::Yes => drop(self.world.done(RUN, "load")),
            Answer::NotYet => drop(self.world.answers(RUN, "load", pending(MINUTE_MS))),
            Answer::Broken => drop(self.world.answers(RUN, "load", failed("there is no such page"))),
        }
        self.model.load |= matches!(answer, Answer::Yes);
        if matches!(answer, Answer::Broken) {
            self.model.ends();
        }
    }

    /// Does all that is due but merges and the check's answers.
    fn settles(&mut self) {
        for _ in 0..100 {
            let due = self.world.system.due.values().filter(|effect| effect.due_ms <= self.world.now_ms);
            let due: Vec<_> = due.cloned().collect();
            let next = due.iter().find_map(|effect| match &effect.kind {
                EffectKind::Timer(_) => Some((effect.id.clone(), Outcome::Fired)),
                EffectKind::Step { phase: Phase::Cancel, .. } => {
                    Some((effect.id.clone(), Outcome::Step(StepOutcome::Cancelled)))
                }
                EffectKind::Step { step, .. } if step.as_str().starts_with("check-") => {
                    let done = done(Made::Nothing, Vec::new());
                    let conflict = std::mem::take(&mut self.conflict);
                    let outcome = if conflict { failed("a conflict") } else { done };
                    self.model.ended |= conflict;
                    Some((effect.id.clone(), Outcome::Step(outcome)))
                }
                EffectKind::Step { .. } | EffectKind::Watch { .. } => None,
                EffectKind::Authors { .. } | EffectKind::Notify { .. } | EffectKind::Observe { .. } => None,
            });
            let Some((effect, outcome)) = next else { return };
            self.world.answer(&effect, outcome);
        }
        panic!("it never settles");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn a_promotion_merges_at_the_moments_that_the_model_says_and_at_no_other(
        moves in stories(),
    ) {
        let mut play = Play::new();
        for (number, what) in moves.iter().enumerate() {
            play.makes(what);
            super::obstacles::look(&play.world);
            play.settles();
            super::obstacles::look(&play.world);
            let may = play.model.may_merge(play.verified_ms, play.world.now_ms);
            prop_assert_eq!(
                play.begun(), may,
                "after move {} {:?} at {} min: {:?}; {:?}", number, what,
                (play.world.now_ms - NOON_MS) / MINUTE_MS, play.model, play.world.chain(RUN)
            );
            prop_assert_eq!(play.world.state(RUN) == RunState::Running, !play.model.ended);
            if may {
                return Ok(());
            }
        }
    }
}
