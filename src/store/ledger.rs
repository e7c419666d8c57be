//! The systems in memory, over a [`Store`]: the way in for the driver, the watches and the commands. A state is changed
//! only here, by [`engine::step`] and by the facts in the log, one event at a time per system, and is never ahead of the
//! log: when it is not certain that an event is in the log, the state is thrown away and read anew.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex as SyncMutex, PoisonError},
};

use tokio::{sync::Mutex, task::JoinSet};

use super::{SNAPSHOT_EVERY, Snapshot, Store, StoreError, chain::PAGE_ROWS};
use crate::{
    engine::{self, Decision, Event, Recorded, Refused, System},
    rules::SystemName,
};

/// How often an event is offered again when other processes keep appending first. Each time somebody gets ahead, so this
/// is reached only by a process that is far slower than the others.
const MOST_OFFERS: usize = 1_000;
/// How many systems are read at once when all of them are: reading is partly computing, and more than a few times the
/// number of cores gains nothing.
const MOST_LOADS: usize = 16;

/// An event that is in the log now.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its place.
    pub seq: u64,
    /// What came of it.
    pub decision: Decision,
}

/// Why an event was not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It is a command that cannot be granted, given all that is in the log.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The store could not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Whoever asks had seen another state.
    #[error("the system is at event {now}, and event {seen} was seen: look again")]
    Moved {
        /// What was seen.
        seen: u64,
        /// The place of the last event.
        now: u64,
    },
}

/// The systems of a store, in memory as far as they have been used.
pub struct Ledger {
    store: Arc<dyn Store>,
    systems: SyncMutex<BTreeMap<SystemName, Arc<Slot>>>,
}

/// A system's state; `None` while it is unknown or in doubt.
type Slot = Mutex<Option<System>>;

impl Ledger {
    /// A ledger over a store. States are read when they are first needed, or all at once by [`Ledger::load_all`].
    #[must_use]
    pub fn open(store: Arc<dyn Store>) -> Self {
        Self { store, systems: SyncMutex::default() }
    }

    /// The store beneath, for what is not in the states: effects, history, traces, changes.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Reads the states of all systems, several at once; returns how many there are, and those that cannot be read. Where many
    /// events lie beyond the newest snapshot, writes one, so that the next who reads has less to do.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read which systems there are.
    pub async fn load_all(&self) -> Result<(usize, Vec<(SystemName, StoreError)>), StoreError> {
        let systems = self.store.systems().await?;
        let (count, mut names) = (systems.len(), systems.into_keys());
        let (mut loads, mut unloaded) = (JoinSet::new(), Vec::new());
        loop {
            while loads.len() < MOST_LOADS {
                let Some(name) = names.next() else { break };
                let (slot, store) = (self.slot(&name), self.store.clone());
                loads.spawn(async move {
                    let mut slot = slot.lock().await;
                    match load(store.as_ref(), &name, slot.take()).await {
                        Ok(state) => {
                            *slot = Some(state);
                            None
                        }
                        Err(error) => Some((name, error)),
                    }
                });
            }
            match loads.join_next().await {
                Some(load) => unloaded.extend(load.expect("a load is neither cancelled nor does it panic")),
                None => return Ok((count, unloaded)),
            }
        }
    }

    /// Looks at a system's state as of the end of the log. A system without events is [`System::default`].
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read.
    pub async fn read<T>(&self, system: &SystemName, look: impl FnOnce(&System) -> T) -> Result<T, StoreError> {
        let slot = self.slot(system);
        let mut slot = slot.lock().await;
        let state = up_to_date(self.store.as_ref(), system, slot.take()).await?;
        Ok(look(slot.insert(state)))
    }

    /// Takes an event in and appends it with all that comes of it. When this returns it is durable, and only then may
    /// anything be done because of it (I5). `at_ms` (milliseconds since 1970, UTC) is the present time; the recorded time
    /// is never before that of the event before.
    ///
    /// # Errors
    /// [`RecordError::Refused`] when the engine refuses the event given all that is in the log; nothing is recorded.
    /// [`RecordError::Store`] when the store fails; whether the event is recorded is then told by reading again.
    pub async fn record(&self, system: &SystemName, at_ms: i64, event: Event) -> Result<Entry, RecordError> {
        self.record_if(system, at_ms, event, None).await
    }

    /// The same, where the last event is the one that was `seen`, if any is said.
    ///
    /// # Errors
    /// Those of [`Ledger::record`], and [`RecordError::Moved`].
    pub async fn record_if(
        &self,
        system: &SystemName,
        at_ms: i64,
        mut event: Event,
        seen: Option<u64>,
    ) -> Result<Entry, RecordError> {
        let slot = self.slot(system);
        let mut slot = slot.lock().await;
        let store = self.store.as_ref();
        let mut conflict = None;
        for _ in 0..MOST_OFFERS {
            // Taken, not borrowed: should this future be dropped while it waits, the state is in doubt and stays away.
            let mut state = match slot.take() {
                Some(state) => state,
                None => up_to_date(store, system, None).await?,
            };
            if let Some(seen) = seen {
                state = up_to_date(store, system, Some(state)).await?;
                if state.seq != seen {
                    let now = state.seq;
                    *slot = Some(state);
                    return Err(RecordError::Moved { seen, now });
                }
            }
            let seq = state.seq + 1;
            let recorded = Recorded { seq, at_ms: at_ms.max(state.at_ms), event };
            match engine::step(&mut state, &recorded) {
                Ok(decision) => {
                    let snapshot = seq.is_multiple_of(SNAPSHOT_EVERY).then(|| to_json(&state));
                    match store.append(system, &recorded, &decision, snapshot).await {
                        Ok(()) => {
                            *slot = Some(state);
                            return Ok(Entry { seq, decision });
                        }
                        Err(error @ StoreError::Conflict { .. }) => conflict = Some(error),
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(refused) => {
                    // The state is as it was (I8); but was it the newest?
                    let newest = up_to_date(store, system, Some(state)).await?;
                    let was_newest = newest.seq + 1 == seq;
                    *slot = Some(newest);
                    if was_newest {
                        return Err(refused.into());
                    }
                }
            }
            event = recorded.event;
        }
        let conflict = conflict.unwrap_or_else(|| StoreError::Failed {
            place: "the log".to_owned(),
            doing: format!("append to {system}"),
            error: "other processes append all the time".to_owned(),
        });
        Err(conflict.into())
    }

    fn slot(&self, system: &SystemName) -> Arc<Slot> {
        let mut systems = self.systems.lock().unwrap_or_else(PoisonError::into_inner);
        match systems.get(system) {
            Some(slot) => slot.clone(),
            None => systems.entry(system.clone()).or_default().clone(),
        }
    }
}

fn to_json(state: &System) -> Vec<u8> {
    serde_json::to_vec(state).expect("a state is plain values")
}

/// Folds what has been appended since the state that is known, or since the newest snapshot when none is.
async fn up_to_date(store: &dyn Store, name: &SystemName, known: Option<System>) -> Result<System, StoreError> {
    let mut state = match known {
        Some(state) if store.last_seq(name).await? == state.seq => return Ok(state),
        Some(state) => state,
        None => from_snapshot(store, name).await?,
    };
    loop {
        let rows = store.log(name, state.seq + 1, PAGE_ROWS).await?;
        for row in &rows {
            row.fold(name, &mut state)?;
        }
        if rows.len() < PAGE_ROWS as usize {
            return Ok(state);
        }
    }
}

/// Reads a state, and writes a snapshot of it where there is none that is near.
async fn load(store: &dyn Store, name: &SystemName, known: Option<System>) -> Result<System, StoreError> {
    let state = up_to_date(store, name, known).await?;
    let newest = store.snapshot(name).await.ok().flatten().map_or(0, |snapshot| snapshot.seq);
    if state.seq - newest.min(state.seq) > SNAPSHOT_EVERY {
        let snapshot = Snapshot { seq: state.seq, state: to_json(&state) };
        if let Err(error) = store.put_snapshot(name, snapshot).await {
            tracing::debug!(system = %name, %error, "no snapshot could be written");
        }
    }
    Ok(state)
}

async fn from_snapshot(store: &dyn Store, name: &SystemName) -> Result<System, StoreError> {
    let Some(Snapshot { seq, state }) = store.snapshot(name).await? else { return Ok(System::default()) };
    match serde_json::from_slice::<System>(&state) {
        Ok(state) if state.seq == seq => return Ok(state),
        Ok(state) => tracing::warn!(system = %name, seq, found = state.seq, "a snapshot of another place is dropped"),
        Err(error) => tracing::warn!(system = %name, seq, %error, "a snapshot that cannot be read is dropped"),
    }
    // Where it cannot be dropped, it stays until the next one takes its place; the log is read all the same.
    if let Err(error) = store.drop_snapshot(name).await {
        tracing::debug!(system = %name, %error, "a snapshot that cannot be used could not be dropped");
    }
    Ok(System::default())
}
