//! The first look at every repository since driving began: steps start after it. A database that was restored from a backup knows
//! nothing of what came after it; the repositories prove it, and then the system pauses before it acts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use crate::{
    engine::{EffectKind, System},
    rules::{RepositoryName, SystemName},
    store::{Ledger, StoreError},
    watch::{PlaceKind, PlaceWait},
};

/// How long steps wait at most: a repository that does not answer, or has hours to be fetched, stops no others for longer.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// Which repositories were not looked at yet, and whose steps wait for that.
#[derive(Debug, Default)]
pub(super) struct FirstLooks {
    inner: Mutex<Inner>,
    looked: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    until: Option<Instant>,
    /// When driving began: milliseconds since 1970, UTC.
    since_ms: i64,
    open: BTreeMap<SystemName, BTreeSet<RepositoryName>>,
    waiting: BTreeMap<SystemName, usize>,
}

impl FirstLooks {
    /// Begins to wait for a look at each repository whose look is due. One that is not due was not reachable.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read at all; a system that cannot be read has no steps.
    pub(super) async fn begin(&self, ledger: &Ledger, now_ms: i64) -> Result<(), StoreError> {
        let mut open = BTreeMap::new();
        for system in ledger.store().systems().await?.into_keys() {
            match ledger.read(&system, |state| due(state, now_ms)).await {
                Ok(repositories) => drop(open.insert(system, repositories)),
                Err(error) if error.is_passing() => return Err(error),
                Err(_) => {}
            }
        }
        let mut inner = self.lock();
        (inner.open, inner.until, inner.since_ms) = (open, Some(Instant::now() + LONGEST), now_ms);
        Ok(())
    }

    /// A repository was looked at, or could not be, and what came of it is in the log.
    pub(super) fn done(&self, system: &SystemName, repository: &RepositoryName) {
        if let Some(open) = self.lock().open.get_mut(system) {
            open.remove(repository);
        }
        self.looked.notify_waiters();
    }

    /// A look that is done when this is dropped.
    pub(super) fn looked<'looks>(
        &'looks self,
        system: &'looks SystemName,
        repository: &'looks RepositoryName,
    ) -> Looked<'looks> {
        Looked { looks: self, system, repository }
    }

    /// Waits until every repository of a system was looked at, or for so long as that may take. Whether it had to be waited.
    pub(super) async fn wait(&self, system: &SystemName) -> bool {
        let mut waiting = None;
        loop {
            let looked = self.looked.notified();
            let mut looked = std::pin::pin!(looked);
            // From here on no look ends unheard.
            looked.as_mut().enable();
            let Some(until) = self.open_until(system) else { return waiting.is_some() };
            waiting.get_or_insert_with(|| Waiting::begin(self, system));
            if timeout_at(until, looked).await.is_err() {
                tracing::warn!(%system, "steps start before every repository was looked at: that takes too long");
                self.lock().open.remove(system);
            }
        }
    }

    /// The systems whose steps wait, with the repositories that they wait for.
    pub(super) fn waits(&self) -> Vec<PlaceWait> {
        let inner = self.lock();
        let wait = |system: &SystemName| {
            let open: Vec<&str> = inner.open.get(system)?.iter().map(RepositoryName::as_str).collect();
            let reason = format!(
                "steps start after the first look since the server began, at most half a minute after that: {} is to be looked at",
                open.join(", ")
            );
            let (system, what, since_ms) = (system.to_string(), String::new(), inner.since_ms);
            Some(PlaceWait { kind: PlaceKind::FirstLook, system, what, since_ms, reason })
        };
        inner.waiting.keys().filter_map(wait).collect()
    }

    fn open_until(&self, system: &SystemName) -> Option<Instant> {
        let inner = self.lock();
        inner.open.get(system).filter(|open| !open.is_empty())?;
        inner.until
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn due(state: &System, now_ms: i64) -> BTreeSet<RepositoryName> {
    let watch = |kind: &EffectKind| match kind {
        EffectKind::Watch { repository } => Some(repository.clone()),
        _ => None,
    };
    state.due.values().filter(|effect| effect.due_ms <= now_ms).filter_map(|effect| watch(&effect.kind)).collect()
}

/// A look that is done when this is dropped.
pub(super) struct Looked<'looks> {
    looks: &'looks FirstLooks,
    system: &'looks SystemName,
    repository: &'looks RepositoryName,
}

impl Drop for Looked<'_> {
    fn drop(&mut self) {
        self.looks.done(self.system, self.repository);
    }
}

/// A step that waits, until this is dropped.
struct Waiting<'looks> {
    looks: &'looks FirstLooks,
    system: SystemName,
}

impl<'looks> Waiting<'looks> {
    fn begin(looks: &'looks FirstLooks, system: &SystemName) -> Self {
        *looks.lock().waiting.entry(system.clone()).or_default() += 1;
        Self { looks, system: system.clone() }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut inner = self.looks.lock();
        if let Some(count) = inner.waiting.get_mut(&self.system) {
            *count -= 1;
            if *count == 0 {
                inner.waiting.remove(&self.system);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }

    fn looks(longest: Duration, repositories: &[&str]) -> (FirstLooks, SystemName, Vec<RepositoryName>) {
        let (looks, shop) = (FirstLooks::default(), SystemName::new("shop").unwrap_or_else(|error| panic!("{error}")));
        let named = |name: &&str| RepositoryName::new(name).unwrap_or_else(|error| panic!("{error}"));
        let repositories: Vec<RepositoryName> = repositories.iter().map(named).collect();
        {
            let mut inner = looks.lock();
            inner.until = Some(Instant::now() + longest);
            inner.open.insert(shop.clone(), repositories.iter().cloned().collect());
        }
        (looks, shop, repositories)
    }

    #[tokio::test]
    async fn steps_wait_for_every_repository_of_their_system_and_it_is_said() {
        let (looks, shop, repositories) = looks(LONGEST, &["image", "software"]);
        let other = SystemName::new("billing").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(now(looks.wait(&other)), Some(false), "it has nothing that is looked at");
        let mut waiting = Box::pin(looks.wait(&shop));
        assert_eq!(now(waiting.as_mut()), None);
        let said = |names: &str| {
            let waits = looks.waits();
            waits.len() == 1
                && waits[0].system == "shop"
                && waits[0].reason.ends_with(&format!(": {names} is to be looked at"))
        };
        assert!(said("image, software"), "{:?}", looks.waits());
        looks.done(&shop, &repositories[0]);
        assert_eq!(now(waiting.as_mut()), None);
        assert!(said("software"), "{:?}", looks.waits());
        looks.done(&shop, &repositories[1]);
        assert!(waiting.await, "it had to be waited for");
        assert_eq!((looks.waits(), now(looks.wait(&shop))), (Vec::new(), Some(false)));
    }

    #[tokio::test]
    async fn a_look_that_is_ended_as_soon_as_it_is_in_the_log_is_done() {
        let (looks, shop, repositories) = looks(LONGEST, &["image"]);
        let looking = async {
            let _looked = looks.looked(&shop, &repositories[0]);
            std::future::pending::<()>().await;
        };
        assert_eq!(now(looking), None, "it was begun, and is dropped here");
        assert_eq!(now(looks.wait(&shop)), Some(false));
    }

    #[tokio::test]
    async fn a_repository_that_is_not_looked_at_stops_nothing_for_ever() {
        let (looks, shop, _) = looks(Duration::from_millis(20), &["image"]);
        assert!(looks.wait(&shop).await);
        assert_eq!(now(looks.wait(&shop)), Some(false), "nor does anybody wait again");
    }
}
