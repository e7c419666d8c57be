//! Tells a forge what it should show. It may end at any moment: what it has told is kept, and what it may have told before it
//! ended is looked for by its key first.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    known::Known,
    wanted::{Places, Says, Wanted, wanted},
};
use crate::{
    engine::System,
    house::now_ms,
    providers::{
        Fault,
        forge::{Forge, RepositoryAt},
    },
    rules::SystemName,
    store::{Ledger, Shown, ShownNote, StoreError},
};

/// How many owners of repositories are told something at once: each has a quota of its own.
const MOST_AT_ONCE: usize = 8;
/// How much is looked through for what can be told now.
const MOST_UNTOLD: u32 = 1_000;
/// The pauses after a failure, in milliseconds: the first, which doubles, and the longest.
const PAUSES_MS: (i64, i64) = (2_000, 600_000);
/// The pause after a failure that somebody has to mend.
const MENDED_MS: i64 = 3_600_000;
/// The longest sleep when nothing is due.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Tells a forge what it should show of all systems.
pub(in crate::forge) struct Publisher {
    ledger: Arc<Ledger>,
    forge: Arc<dyn Forge>,
    /// What people type to reach this server.
    url: Option<String>,
    known: BTreeMap<SystemName, Known>,
}

impl Publisher {
    /// One that tells this forge.
    #[must_use]
    pub(in crate::forge) fn new(ledger: Arc<Ledger>, forge: Arc<dyn Forge>, url: Option<String>) -> Self {
        Self { ledger, forge, url, known: BTreeMap::new() }
    }

    /// Tells until it is told to stop.
    pub(in crate::forge) async fn publish(mut self, stop: CancellationToken) {
        let mut changes = self.ledger.store().changes();
        let mut telling: JoinSet<String> = JoinSet::new();
        let mut busy: BTreeSet<String> = BTreeSet::new();
        loop {
            changes.mark_unchanged();
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "what a forge should show is not known right now");
            }
            let wake = match self.begin_telling(&mut telling, &mut busy).await {
                Ok(next_ms) => next_ms.map_or(LONGEST_SLEEP, |next_ms| {
                    Duration::from_millis(u64::try_from(next_ms - now_ms()).unwrap_or(0)).min(LONGEST_SLEEP)
                }),
                Err(error) => {
                    tracing::warn!(%error, "what a forge should show cannot be read right now");
                    Duration::from_secs(1)
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                _ = changes.changed() => {}
                () = sleep_until(Instant::now() + wake) => {}
                Some(ended) = telling.join_next() => match ended {
                    Ok(owner) => drop(busy.remove(&owner)),
                    Err(_) => busy.clear(),
                },
            }
        }
        // What is under way may take place; its key finds it again.
        telling.shutdown().await;
    }

    /// Notes what should be shown of the systems that have moved.
    async fn look(&mut self) -> Result<(), StoreError> {
        for (system, seq) in self.ledger.store().systems().await? {
            let known = match self.known.remove(&system) {
                Some(known) => known,
                None => Known::of(&self.ledger.store().shown(&system).await?),
            };
            let known = if known.seq == seq { known } else { self.look_at(&system, seq, known).await? };
            self.known.insert(system, known);
        }
        Ok(())
    }

    async fn look_at(&self, system: &SystemName, seq: u64, mut known: Known) -> Result<Known, StoreError> {
        let store = self.ledger.store();
        let repository = |url: &str| self.forge.repository(url);
        let deployments = self.forge.can().deployments;
        let places = Places { repository: &repository, url: self.url.as_deref(), deployments };
        let look = |state: &System| {
            let open = state.all_runs().filter(|run| known.is_open(run));
            let all: Vec<Wanted> = open.flat_map(|run| wanted(system, state, run, &places)).collect();
            let ended: BTreeMap<u64, Option<i64>> = state.all_runs().map(|run| (run.number, run.ended_ms)).collect();
            (all, ended)
        };
        let (mut all, ended) = match self.ledger.read(system, look).await {
            Ok(looked) => looked,
            Err(error) if error.is_passing() => return Err(error),
            // Of a system that cannot be read nothing is shown; the others are all the same.
            Err(_) => {
                known.seq = seq;
                return Ok(known);
            }
        };
        let mut lost = BTreeSet::new();
        for id in known.lost(|number| ended.contains_key(&number)) {
            if let Some(run) = store.run(system, &id).await? {
                all.extend(self.ledger.read(system, |state| wanted(system, state, &run, &places)).await?);
            }
            lost.extend(id.number());
        }
        let at_ms = now_ms();
        for Wanted { name, run, says, .. } in known.news(all, at_ms) {
            store.note(ShownNote::Wanted { name, run, wanted: says.text(), at_ms }.into()).await?;
        }
        known.looked(&ended, &lost);
        known.seq = seq;
        Ok(known)
    }

    /// Tells what is due, one thing of each owner at a time. When the next is due.
    async fn begin_telling(
        &self,
        telling: &mut JoinSet<String>,
        busy: &mut BTreeSet<String>,
    ) -> Result<Option<i64>, StoreError> {
        let now_ms = now_ms();
        let mut next_ms = None;
        for shown in self.ledger.store().untold(MOST_UNTOLD).await? {
            if shown.due_ms > now_ms {
                next_ms = Some(shown.due_ms);
                break;
            }
            let Some(at) = place(&shown.name.place) else { continue };
            if busy.len() >= MOST_AT_ONCE || !busy.insert(at.owner.clone()) {
                continue;
            }
            let (ledger, forge) = (Arc::clone(&self.ledger), Arc::clone(&self.forge));
            telling.spawn(async move {
                tell(&ledger, &*forge, &at, shown).await;
                at.owner
            });
        }
        Ok(next_ms)
    }
}

/// Tells one thing, and keeps what came of it.
async fn tell(ledger: &Ledger, forge: &dyn Forge, at: &RepositoryAt, shown: Shown) {
    let Shown { name, wanted, forge_id, failures, error: before, .. } = shown;
    let told = match Says::of(&wanted) {
        Some(Says::Check(check)) => forge.publish_check(at, &check, forge_id).await,
        Some(Says::Deployment(deployment)) => forge.publish_deployment(at, &deployment, forge_id).await,
        // An earlier version wrote it, and this one says it otherwise.
        None => return kept(ledger, ShownNote::Dropped { name }).await,
    };
    let note = match told {
        Ok(forge_id) => ShownNote::Said { name, said: wanted, forge_id },
        Err(fault) => {
            let error = fault.whole();
            if before.as_ref() != Some(&error) {
                tracing::warn!(key = name.key, place = name.place, error, "a forge does not show what it should");
            }
            ShownNote::Failed { name, error, due_ms: now_ms() + pause_ms(&fault, failures) }
        }
    };
    kept(ledger, note).await;
}

async fn kept(ledger: &Ledger, note: ShownNote) {
    if let Err(error) = ledger.store().note(note.into()).await {
        // It is told again: its key finds it.
        tracing::warn!(%error, "what a forge was told cannot be kept right now");
    }
}

fn pause_ms(fault: &Fault, failures: u32) -> i64 {
    let (first_ms, longest_ms) = PAUSES_MS;
    match fault {
        Fault::Retry { after: Some(after), .. } => i64::try_from(after.as_millis()).unwrap_or(longest_ms),
        Fault::Retry { after: None, .. } => first_ms.saturating_mul(1 << failures.min(20)).min(longest_ms),
        Fault::Fail { .. } => MENDED_MS,
    }
}

fn place(text: &str) -> Option<RepositoryAt> {
    let (owner, name) = text.split_once('/')?;
    Some(RepositoryAt { owner: owner.to_owned(), name: name.to_owned() })
}
