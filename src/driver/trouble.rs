//! When the driver itself is in trouble: the store cannot be read, or a task panicked. Nothing may be lost by it: what
//! was claimed is either settled by an outcome that says so, or tried again after a wait that grows within a bound.

use std::{any::Any, future::Future, time::Duration};

use tokio::task::JoinSet;

use crate::{
    engine::{Attribution, Delivery, Effect, EffectKind, Outcome, StepOutcome},
    rules::SystemName,
    store::StoreError,
};

/// How long the store is left alone after it failed (a full disk, a lock) before it is tried again; doubled for each further
/// failure of the same effect.
pub(super) const STORE_PAUSE: Duration = Duration::from_secs(1);
/// The longest wait before an effect is tried again: a store that has been mended is noticed within a minute.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Why an effect could not be carried out or its outcome not be recorded, for a reason of our own.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The store.
    #[error(transparent)]
    Store(StoreError),
    /// A mistake in this program.
    #[error("tidegate made a mistake (a panic): {0}")]
    Panic(String),
}

impl Trouble {
    /// What is recorded for an effect in such trouble, so that people see it and its tries are bounded. Nothing where the
    /// effect is not one that may be tried again by the engine, nor where the store is to blame, which must recover first.
    pub(super) fn as_outcome(&self, effect: &Effect) -> Option<Outcome> {
        let Self::Panic(_) = self else { return None };
        let error = self.to_string();
        match effect.kind {
            EffectKind::Step { .. } => Some(Outcome::Step(StepOutcome::Retry { error, after_ms: None })),
            EffectKind::Notify { .. } => Some(Outcome::Notice(Delivery::Retry { error, after_ms: None })),
            EffectKind::Authors { .. } => Some(Outcome::Authors(Attribution::Retry { error, after_ms: None })),
            EffectKind::Observe { .. } => Some(Outcome::Unobserved { error }),
            EffectKind::Watch { .. } | EffectKind::Timer(_) => None,
        }
    }
}

/// What comes of an effect that ended the program again and again.
pub(super) fn quarantined(effect: &Effect, error: String) -> Outcome {
    match effect.kind {
        EffectKind::Step { .. } => {
            let hint = "`tidegate retry RUN` tries it anew; what ended it is in the log of `tidegate serve`".to_owned();
            Outcome::Step(StepOutcome::Failed { error, hint })
        }
        _ => cannot_be_done(effect, error),
    }
}

/// What comes of an effect that the state says cannot be done any more.
pub(super) fn cannot_be_done(effect: &Effect, error: String) -> Outcome {
    let hint = String::new();
    match effect.kind {
        EffectKind::Step { .. } => Outcome::Step(StepOutcome::Failed { error, hint }),
        EffectKind::Notify { .. } => Outcome::Notice(Delivery::Failed { error, hint }),
        EffectKind::Authors { .. } => Outcome::Authors(Attribution::Retry { error, after_ms: None }),
        EffectKind::Watch { .. } => Outcome::Unreachable { error },
        EffectKind::Observe { .. } => Outcome::Unobserved { error },
        EffectKind::Timer(_) => Outcome::Fired,
    }
}

/// Runs something as a task of its own, which ends with whoever waits for it, so that a panic in it can be answered.
pub(super) async fn apart<T: Send + 'static>(doing: impl Future<Output = T> + Send + 'static) -> Result<T, Trouble> {
    let mut one = JoinSet::new();
    one.spawn(doing);
    match one.join_next().await {
        Some(Ok(done)) => Ok(done),
        Some(Err(error)) if error.is_panic() => Err(Trouble::Panic(said(error.into_panic().as_ref()))),
        Some(Err(error)) => Err(Trouble::Panic(error.to_string())),
        None => unreachable!("the task was spawned above"),
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it says no more".to_owned())
}

/// The waits between the tries of one effect.
#[derive(Debug)]
pub(super) struct Waits {
    next: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self { next: STORE_PAUSE }
    }
}

impl Waits {
    /// Says what happened, and waits: each time twice as long, within a bound.
    pub(super) async fn wait(&mut self, what: &str, system: &SystemName, effect: &Effect, trouble: &Trouble) {
        let again_in = self.next;
        tracing::warn!(%system, effect = %effect.id, error = %trouble, ?again_in, "{what}; trying again");
        tokio::time::sleep(again_in).await;
        self.next = (again_in * 2).min(LONGEST_WAIT);
    }
}
