//! What the engine wants done: plain values, small, kept in the state until their outcome is in the log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smol_str::format_smolstr;

use super::ids::{EffectId, RunId, TargetKey, digits, joined};
use crate::rules::{RepositoryName, RuleName, StageName, StepId};

/// One thing to be done, once, not before it is due. It names what it is about; [`super::work`] gives the whole of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Effect {
    /// Its identity within the system.
    pub id: EffectId,
    /// Not before this time: milliseconds since 1970, UTC.
    pub due_ms: i64,
    /// What is to be done.
    #[serde(flatten)]
    pub kind: EffectKind,
}

/// The kinds of effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum EffectKind {
    /// Look at the heads of a repository until they differ from those known.
    Watch {
        /// The repository.
        repository: RepositoryName,
    },
    /// Start, poll or cancel a step.
    Step {
        /// Its run.
        run: RunId,
        /// The step.
        step: StepId,
        /// Which of the three.
        phase: Phase,
    },
    /// Ask git who wrote what a question is about.
    Authors {
        /// Its run.
        run: RunId,
        /// The step that asks.
        step: StepId,
    },
    /// Look at a target that nobody holds.
    Observe {
        /// The target, at its stage.
        target: TargetKey,
    },
    /// Say when it is due.
    Timer(Timer),
    /// Deliver a notice, whole in the state until it is.
    Notify {
        /// Its number.
        notice: u64,
    },
}

/// What is to be done with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Begin it; what is already begun or done under its key is found, not done again.
    Start,
    /// Look how far it is.
    Poll,
    /// End it.
    Cancel,
}

/// What a timer is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "timer", rename_all = "snake_case")]
pub enum Timer {
    /// A rule's schedule at one stage.
    Schedule {
        /// The rule.
        rule: RuleName,
        /// The stage.
        stage: StageName,
        /// The instant that it is for.
        instant_ms: i64,
    },
    /// A gate step may pass or expire.
    Gate {
        /// Its run.
        run: RunId,
        /// The step.
        step: StepId,
    },
    /// A freeze ends.
    Freeze {
        /// Its name.
        freeze: String,
    },
}

impl Effect {
    /// The watch of a repository; `seq`, the place in the log of the event that asks for it, makes it unique.
    #[must_use]
    pub fn watch(repository: RepositoryName, seq: u64, due_ms: i64) -> Self {
        let id = EffectId::new(joined(&["watch/", repository.as_str(), "#", digits(seq, &mut [0; 20])]));
        Self { id, due_ms, kind: EffectKind::Watch { repository } }
    }

    /// A look at a target; `seq`, the place in the log of the event that asks for it, makes it unique.
    #[must_use]
    pub fn observe(target: TargetKey, seq: u64, due_ms: i64) -> Self {
        let id = EffectId::new(format_smolstr!("observe/{target}#{seq}"));
        Self { id, due_ms, kind: EffectKind::Observe { target } }
    }

    /// One try of a step; `round` and `tick` make it unique.
    #[must_use]
    pub fn step(run: &RunId, step: &StepId, phase: Phase, (round, tick): (u32, u32), due_ms: i64) -> Self {
        let (mut of_round, mut of_tick) = ([0; 20], [0; 20]);
        let (round, tick) = (digits(round.into(), &mut of_round), digits(tick.into(), &mut of_tick));
        let id = EffectId::new(joined(&[run.as_str(), "/", step.as_str(), ".", round, "#", tick]));
        Self { id, due_ms, kind: EffectKind::Step { run: run.clone(), step: step.clone(), phase } }
    }

    /// One try to ask git who wrote what a step asks people about; `seq`, the place in the log of the event that asks for
    /// it, makes it unique.
    #[must_use]
    pub fn authors(run: &RunId, step: &StepId, seq: u64, due_ms: i64) -> Self {
        let id = EffectId::new(format_smolstr!("authors/{run}/{step}#{seq}"));
        Self { id, due_ms, kind: EffectKind::Authors { run: run.clone(), step: step.clone() } }
    }

    /// One try to deliver a notice; the first is 1.
    #[must_use]
    pub fn notice(number: u64, attempt: u32, due_ms: i64) -> Self {
        let id = EffectId::new(format_smolstr!("notice/{number}#{attempt}"));
        Self { id, due_ms, kind: EffectKind::Notify { notice: number } }
    }

    /// A timer; `seq`, the place in the log of the event that asks for it, makes it unique.
    #[must_use]
    pub fn timer(timer: Timer, seq: u64, due_ms: i64) -> Self {
        let id = match &timer {
            Timer::Schedule { rule, stage, instant_ms } => {
                format_smolstr!("schedule/{rule}@{stage}/{instant_ms}#{seq}")
            }
            Timer::Gate { run, step } => format_smolstr!("gate/{run}/{step}#{seq}"),
            Timer::Freeze { freeze } => format_smolstr!("{freeze}#{seq}"),
        };
        Self { id: EffectId::new(id), due_ms, kind: EffectKind::Timer(timer) }
    }

    /// Whether it is this timer.
    #[must_use]
    pub fn is_timer(&self, timer: &Timer) -> bool {
        matches!(&self.kind, EffectKind::Timer(own) if own == timer)
    }
}
