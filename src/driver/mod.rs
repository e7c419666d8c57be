//! Drives: claims due effects, runs them, and appends what came of them, which settles them. It decides nothing. It may
//! die at any moment: an effect whose outcome is not in the log is done again, under the same key.

mod breakpoints;
mod first_looks;
mod trouble;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::Notify,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

pub use crate::watch::{PlaceKind, PlaceWait};
pub use breakpoints::{Breakpoints, Resume};
use first_looks::FirstLooks;
use trouble::{STORE_PAUSE, Trouble, Waits, apart};

use crate::{
    engine::{Effect, EffectId, EffectKind, Event, Outcome, Phase, StepOutcome, StepWork, Work, work},
    rules::{SystemName, host_of},
    steps::{Tools, attribute, deliver, observe, perform},
    store::{Claimed, Ledger, RecordError, StoreError},
    watch::{Places, Wants, Watching, watch},
};

/// How many steps are worked on at once, besides those that every system may. Most of them wait for something outside; what
/// they run here is bounded by the machine.
const MOST_AT_ONCE: usize = 32;
/// How many effects may be claimed at once. Most are watches, and each of those sleeps but for a moment per interval.
const MOST_CLAIMS: usize = 4_096;
/// How many looks at remotes happen at the same time.
const MOST_LOOKS: usize = 16;
/// How many fetches for watches go on at the same time. Each may take as long as bytes arrive.
const MOST_FETCHES: usize = 16;
/// How many notices are delivered at once: a mail server that hangs holds up others of its kind, and no step.
const MOST_DELIVERIES: usize = 8;
/// How often it is told who waits for a place, and for how long they do at least.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// What waits for less than this has not waited: most take their place at once.
const SHORTEST_WAIT_MS: i64 = 100;
/// The longest sleep when nothing is due: a safety net beneath the notices of change.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// How long a step may go on past its deadline before it is dropped: its own deadlines come first.
const DEADLINE_GRACE: Duration = Duration::from_secs(15);

/// What carries out the effects of all systems of a store.
pub struct Driver {
    ledger: Arc<Ledger>,
    tools: Arc<Tools>,
    breakpoints: Arc<Breakpoints>,
    claimant: String,
    looks: Places,
    fetches: Places,
    steps: Places,
    deliveries: Places,
    first_looks: FirstLooks,
}

type Running = BTreeMap<(SystemName, EffectId), Task>;

/// An effect that is being carried out.
struct Task {
    task: AbortHandle,
    /// Told when the effect became due again.
    nudged: Arc<Notify>,
}

impl Driver {
    /// A driver that goes by this name in the store.
    #[must_use]
    pub fn new(ledger: Arc<Ledger>, tools: Arc<Tools>, breakpoints: Breakpoints, claimant: String) -> Self {
        let looks = Places::new(PlaceKind::Looks, MOST_LOOKS);
        let fetches = Places::new(PlaceKind::Fetches, MOST_FETCHES);
        let steps = Places::new(PlaceKind::Steps, MOST_AT_ONCE);
        let deliveries = Places::new(PlaceKind::Deliveries, MOST_DELIVERIES);
        let (breakpoints, first_looks) = (Arc::new(breakpoints), FirstLooks::default());
        Self { ledger, tools, breakpoints, claimant, looks, fetches, steps, deliveries, first_looks }
    }

    /// Drives until it is told to stop. What goes on then is left: its claims are freed when driving begins again.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be used at all; passing failures are waited out.
    pub async fn drive(self: Arc<Self>, stop: CancellationToken) -> Result<(), StoreError> {
        let store = self.ledger.store().clone();
        while let Err(error) = self.begin_driving().await {
            if !error.is_passing() {
                return Err(error);
            }
            tracing::warn!(%error, "the store cannot be used right now; trying again");
            if stop.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await.is_none() {
                return Ok(());
            }
        }
        let mut changes = store.changes();
        // Ends with this, however it ends.
        let mut telling = JoinSet::new();
        telling.spawn(Arc::clone(&self).keep_telling_waits());
        let mut running = Running::new();
        let mut tasks: JoinSet<(SystemName, EffectId)> = JoinSet::new();
        loop {
            changes.mark_unchanged();
            let wake = match self.claim_and_start(&mut running, &mut tasks).await {
                Ok(next_due_ms) => wake_at(next_due_ms),
                Err(error) if error.is_passing() => {
                    tracing::warn!(%error, "the store cannot be used right now; trying again");
                    Instant::now() + STORE_PAUSE
                }
                Err(error) => return Err(error),
            };
            tokio::select! {
                () = stop.cancelled() => break,
                _ = changes.changed() => {}
                () = sleep_until(wake) => {}
                Some(ended) = tasks.join_next() => forget(&mut running, ended),
            }
            while let Some(ended) = tasks.try_join_next() {
                forget(&mut running, ended);
            }
        }
        tasks.shutdown().await;
        telling.shutdown().await;
        self.tell_waits(Vec::new());
        self.tell_calls();
        Ok(())
    }

    /// Frees what the dead had claimed. Steps start when every repository was looked at.
    async fn begin_driving(&self) -> Result<(), StoreError> {
        self.ledger.store().begin_driving(&self.claimant).await?;
        self.first_looks.begin(&self.ledger, now_ms()).await
    }

    /// Keeps files up to date that say who waits for a place and why, and which calls to remotes go on: `status`, `run show`
    /// and `explain` read them.
    async fn keep_telling_waits(self: Arc<Self>) {
        let mut told = Vec::new();
        self.tell_waits(Vec::new());
        loop {
            sleep(TELL_EVERY).await;
            self.tell_calls();
            let kinds = [&self.steps, &self.looks, &self.fetches, &self.deliveries];
            let mut now: Vec<PlaceWait> = kinds.into_iter().flat_map(|places| places.waits(TELL_EVERY)).collect();
            now.extend(self.first_looks.waits());
            if now != told {
                self.tell_waits(now.clone());
                told = now;
            }
        }
    }

    fn tell_calls(&self) {
        if let Err(error) = self.tools.mirrors.tell_calls() {
            tracing::debug!(%error, "which calls to remotes go on cannot be told");
        }
    }

    fn tell_waits(&self, waits: Vec<PlaceWait>) {
        if let Err(error) = PlaceWait::tell(waits, &self.tools.places) {
            tracing::debug!(%error, "who waits for a place cannot be told");
        }
    }

    /// Ends what is not wanted any more, starts what is due, and returns when the next is due.
    async fn claim_and_start(
        self: &Arc<Self>,
        running: &mut Running,
        tasks: &mut JoinSet<(SystemName, EffectId)>,
    ) -> Result<Option<i64>, StoreError> {
        let store = self.ledger.store();
        let held: Vec<(SystemName, EffectId)> = running.keys().cloned().collect();
        for dropped in store.dropped_claims(&self.claimant, &held).await? {
            if let Some(task) = running.remove(&dropped) {
                tracing::debug!(system = %dropped.0, effect = %dropped.1, "not wanted any more");
                task.task.abort();
            }
        }
        let room = MOST_CLAIMS.saturating_sub(running.len());
        let limit = u32::try_from(room).unwrap_or(u32::MAX);
        for Claimed { system, effect } in store.claim_due(&self.claimant, now_ms(), limit).await? {
            let name = (system.clone(), effect.id.clone());
            if let Some(task) = running.get(&name) {
                task.nudged.notify_one();
                continue;
            }
            let (driver, nudged) = (Arc::clone(self), Arc::new(Notify::new()));
            let told = Arc::clone(&nudged);
            let task = tasks.spawn(async move {
                driver.carry_out(&system, &effect, told).await;
                (system, effect.id)
            });
            running.insert(name, Task { task, nudged });
        }
        store.next_due_ms().await
    }

    /// Does one effect and records what came of it. Its claim is this driver's until then, so that whatever goes wrong on
    /// the way, it is tried again.
    async fn carry_out(self: &Arc<Self>, system: &SystemName, effect: &Effect, nudged: Arc<Notify>) {
        let mut waits = Waits::default();
        let (outcome, waited_ms) = loop {
            let (driver, name, wanted, told) = (Arc::clone(self), system.clone(), effect.clone(), Arc::clone(&nudged));
            let doing = async move { driver.outcome_between_breakpoints(&name, &wanted, &told).await };
            let trouble = match apart(doing).await {
                Ok(Ok(outcome)) => break outcome,
                Ok(Err(error)) => Trouble::Store(error),
                Err(trouble) => trouble,
            };
            if let Some(outcome) = trouble.as_outcome(effect) {
                break (outcome, 0);
            }
            waits.wait("an effect could not be carried out", system, effect, &trouble).await;
        };
        // However this ends: as soon as the outcome is in the log, the effect is pending no more, and this may be ended for that.
        let _looked = match &effect.kind {
            EffectKind::Watch { repository } => Some(self.first_looks.looked(system, repository)),
            _ => None,
        };
        self.record(system, effect, outcome, waited_ms).await;
    }

    async fn outcome_between_breakpoints(
        &self,
        system: &SystemName,
        effect: &Effect,
        nudged: &Notify,
    ) -> Result<(Outcome, i64), StoreError> {
        let is_watch = matches!(effect.kind, EffectKind::Watch { .. });
        if !is_watch && self.breakpoints.before(system, effect).await == Resume::Twice {
            self.outcome_of(system, effect, nudged).await?;
        }
        let outcome = self.outcome_of(system, effect, nudged).await?;
        if !is_watch {
            self.breakpoints.after(system, effect).await;
        }
        Ok(outcome)
    }

    /// What comes of an effect, and how long it waited for a place, in milliseconds.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read what is to be done: nothing was.
    async fn outcome_of(
        &self,
        system: &SystemName,
        effect: &Effect,
        nudged: &Notify,
    ) -> Result<(Outcome, i64), StoreError> {
        if matches!(effect.kind, EffectKind::Step { phase: Phase::Start, .. }) && self.first_looks.wait(system).await {
            // A look may have shown that nothing is to start: then this is dropped in a moment.
            while !self.ledger.read(system, |state| state.due.contains_key(&effect.id)).await? {
                sleep(TELL_EVERY).await;
            }
        }
        let mut waited_ms = 0;
        let wants = |with, what: String| Wants { system: system.to_string(), with, what };
        let outcome = match self.ledger.read(system, |state| work(state, effect)).await? {
            Ok(Work::Timer(_)) => Outcome::Fired,
            Ok(Work::Watch(work)) => {
                let Tools { mirrors, quarantine, .. } = &*self.tools;
                let (looks, fetches) = (&self.looks, &self.fetches);
                let no_news = || self.first_looks.done(system, &work.repository);
                watch(&work, Watching { mirrors, looks, fetches, quarantine, nudged, no_news: &no_news }).await
            }
            Ok(Work::Authors(work)) => {
                let _place = self.looks.take(wants(None, format!("{}/{}", work.run, work.step))).await;
                let what = format!("ask who wrote what {}/{} of {system} asks about", work.run, work.step);
                let asked = async {
                    Outcome::Authors(attribute(&work, &self.tools.mirrors, self.tools.forge.as_deref()).await)
                };
                self.unless_it_kills(effect, what, asked).await
            }
            Ok(Work::Step(mut work)) => {
                // What pushes waits for its remote.
                let host = work.task.writes_to().and_then(|repository| host_of(work.urls.get(repository)?));
                let place = self.steps.take(wants(host, format!("{}/{}", work.run, work.step))).await;
                // The step's time begins when it begins.
                waited_ms = Some(place.waited_ms()).filter(|waited_ms| *waited_ms >= SHORTEST_WAIT_MS).unwrap_or(0);
                work.deadline_ms = work.deadline_ms.saturating_add(waited_ms);
                let done = async { Outcome::Step(self.perform_in_time(&work).await) };
                self.unless_it_kills(effect, format!("do {} of {system}", effect.id), done).await
            }
            Ok(Work::Observe(work)) => {
                let _place = self.looks.take(wants(None, format!("{}@{}", work.name, work.stage))).await;
                let seen = async { observe(&work, &self.tools).await };
                self.unless_it_kills(effect, format!("look at {} of {system}", work.name), seen).await
            }
            Ok(Work::Notice(work)) => {
                let via = work.message.via.to_string();
                let _place = self.deliveries.take(wants(Some(via), format!("notice {}", work.number))).await;
                let told = async { Outcome::Notice(deliver(&work, &self.tools.channels).await) };
                self.unless_it_kills(effect, format!("do {} of {system}", effect.id), told).await
            }
            Err(reason) => trouble::cannot_be_done(effect, reason),
        };
        Ok((outcome, waited_ms))
    }

    async fn unless_it_kills(&self, effect: &Effect, what: String, doing: impl Future<Output = Outcome>) -> Outcome {
        let done = self.tools.quarantine.unless_it_kills(&what, doing).await;
        done.unwrap_or_else(|quarantined| trouble::quarantined(effect, quarantined.to_string()))
    }

    async fn perform_in_time(&self, work: &StepWork) -> StepOutcome {
        let left = Duration::from_millis(u64::try_from(work.deadline_ms - now_ms()).unwrap_or(0)) + DEADLINE_GRACE;
        match timeout(left, perform(work, &self.tools)).await {
            Ok(outcome) => outcome,
            Err(_) => StepOutcome::Failed {
                error: "it did not end by its deadline".to_owned(),
                hint: "give the step a longer `timeout`, or find out why it hangs".to_owned(),
            },
        }
    }

    /// Appends an outcome, however long the store cannot take it: the effect is done, and must not be lost.
    async fn record(self: &Arc<Self>, system: &SystemName, effect: &Effect, outcome: Outcome, waited_ms: i64) {
        let event = Event::Outcome { effect: effect.id.clone(), outcome, waited_ms };
        let mut waits = Waits::default();
        loop {
            let (driver, name, event) = (Arc::clone(self), system.clone(), event.clone());
            let recorded = apart(async move { driver.ledger.record(&name, now_ms(), event).await }).await;
            let trouble = match recorded {
                Ok(Ok(_)) => return,
                Ok(Err(refused @ (RecordError::Refused(_) | RecordError::Moved { .. }))) => {
                    tracing::error!(%system, effect = %effect.id, %refused, "an outcome was refused");
                    return;
                }
                Ok(Err(RecordError::Store(error))) => Trouble::Store(error),
                Err(trouble) => trouble,
            };
            waits.wait("an outcome could not be recorded", system, effect, &trouble).await;
        }
    }
}

fn forget(running: &mut Running, ended: Result<(SystemName, EffectId), tokio::task::JoinError>) {
    match ended {
        Ok(name) => drop(running.remove(&name)),
        Err(error) if error.is_cancelled() => {}
        Err(error) => {
            tracing::error!(%error, "an effect's task ended badly; the effect is done again when driving begins again");
            running.retain(|_, task| !task.task.is_finished());
        }
    }
}

fn wake_at(next_due_ms: Option<i64>) -> Instant {
    let until = next_due_ms.map_or(LONGEST_SLEEP, |due_ms| {
        Duration::from_millis(u64::try_from(due_ms - now_ms()).unwrap_or(0)).min(LONGEST_SLEEP)
    });
    Instant::now() + until
}

/// The present: milliseconds since 1970, UTC.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
