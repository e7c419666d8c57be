//! Places for work that goes on at the same time, shared fairly: nobody takes so many that others wait for long, and
//! everybody has a few of their own, which are there whatever the others do.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::providers::{Fault, files};

/// How many places everybody has beside those that are shared.
const OWN: usize = 2;

/// Places of one kind.
#[derive(Debug)]
pub struct Places {
    /// How many are shared.
    shared: usize,
    in_use: Mutex<InUse>,
    freed: Notify,
}

/// Who uses places, and who waits for one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InUse {
    /// Who → how many.
    pub held: BTreeMap<String, usize>,
    /// Who → how many.
    pub waiting: BTreeMap<String, usize>,
    /// Whose steps wait for the first look at repositories since driving began → at which.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unlooked: BTreeMap<String, BTreeSet<String>>,
}

/// A place that is held until this is dropped.
#[derive(Debug)]
pub struct Place<'places> {
    places: &'places Places,
    who: String,
}

impl Places {
    /// So many places that are shared.
    #[must_use]
    pub fn new(shared: usize) -> Self {
        Self { shared, in_use: Mutex::default(), freed: Notify::new() }
    }

    /// Waits for a place.
    pub async fn take(&self, who: &str) -> Place<'_> {
        let waiting = Waiting::begin(self, who);
        loop {
            let freed = self.freed.notified();
            let mut freed = std::pin::pin!(freed);
            // From here on no place is freed unheard.
            freed.as_mut().enable();
            if self.try_take(who) {
                drop(waiting);
                return Place { places: self, who: who.to_owned() };
            }
            freed.await;
        }
    }

    /// Who uses and waits at this moment.
    #[must_use]
    pub fn now(&self) -> InUse {
        self.lock().clone()
    }

    fn try_take(&self, who: &str) -> bool {
        let mut in_use = self.lock();
        let held = in_use.held.get(who).copied().unwrap_or_default();
        let shared: usize = in_use.held.values().map(|held| held.saturating_sub(OWN)).sum();
        // Half of what is shared is for the others, though none of them is there yet.
        let is_free = held < OWN || (shared < self.shared && held - OWN < self.shared.div_ceil(2));
        if is_free {
            *in_use.held.entry(who.to_owned()).or_default() += 1;
        }
        is_free
    }

    fn lock(&self) -> MutexGuard<'_, InUse> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        count_down(&mut self.places.lock().held, &self.who);
        self.places.freed.notify_waiters();
    }
}

/// Somebody who waits, until this is dropped.
struct Waiting<'places> {
    places: &'places Places,
    who: String,
}

impl<'places> Waiting<'places> {
    fn begin(places: &'places Places, who: &str) -> Self {
        *places.lock().waiting.entry(who.to_owned()).or_default() += 1;
        Self { places, who: who.to_owned() }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        count_down(&mut self.places.lock().waiting, &self.who);
    }
}

fn count_down(counts: &mut BTreeMap<String, usize>, who: &str) {
    if let Some(count) = counts.get_mut(who) {
        *count -= 1;
        if *count == 0 {
            counts.remove(who);
        }
    }
}

impl InUse {
    /// Whether nobody waits.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.waiting.is_empty() && self.unlooked.is_empty()
    }

    /// Writes it to a file for those who look; where nobody waits, there is none.
    ///
    /// # Errors
    /// When the file can be neither written nor removed.
    pub fn tell(&self, path: &Path) -> Result<(), Fault> {
        if !self.is_quiet() {
            return files::write_json(path, self);
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(files::fault(&format!("remove {}", path.display()), &error))
            }
            _ => Ok(()),
        }
    }

    /// What was told in a file; nobody waits where nothing can be read.
    #[must_use]
    pub fn heard(path: &Path) -> Self {
        files::read_json(path).ok().flatten().unwrap_or_default()
    }

    /// Why steps of somebody wait; nothing where none does.
    #[must_use]
    pub fn reason(&self, who: &str) -> Option<String> {
        if let Some(repositories) = self.unlooked.get(who) {
            let named = repositories.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Some(format!(
                "steps start after the first look since the server began, at most two minutes after that: {named} \
                 is to be looked at"
            ));
        }
        let waiting = match self.waiting.get(who)? {
            1 => "1 step waits".to_owned(),
            several => format!("{several} steps wait"),
        };
        let held: usize = self.held.values().sum();
        let mut most: Vec<(&String, &usize)> = self.held.iter().collect();
        most.sort_by_key(|(who, held)| (std::cmp::Reverse(**held), *who));
        let most = most.first().map_or_else(String::new, |(who, held)| format!(", {held} of them of {who}"));
        Some(format!("{waiting} for a place: {held} are going on{most}"))
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

    #[test]
    fn nobody_takes_the_places_of_others() {
        let places = Places::new(8);
        let greedy: Vec<Place<'_>> = (0..100).map_while(|_| now(places.take("greedy"))).collect();
        assert_eq!(greedy.len(), 6, "two of their own, and half of what is shared");
        let hungry: Vec<Place<'_>> = (0..100).map_while(|_| now(places.take("hungry"))).collect();
        assert_eq!(hungry.len(), 6, "the other half");
        for late in ["a", "b", "c"] {
            let own: Vec<Place<'_>> = (0..100).map_while(|_| now(places.take(late))).collect();
            assert_eq!(own.len(), 2, "{late} has places of its own");
        }
        assert_eq!(places.now().waiting, BTreeMap::new(), "who gave up does not wait");
    }

    #[tokio::test]
    async fn who_waits_is_told_why_and_comes_next() {
        let places = Places::new(2);
        let mut held = vec![places.take("shop").await, places.take("shop").await, places.take("shop").await];
        let mut waiting = Box::pin(places.take("shop"));
        assert!(now(waiting.as_mut()).is_none());
        let reason = places.now().reason("shop");
        assert_eq!(reason.as_deref(), Some("1 step waits for a place: 3 are going on, 3 of them of shop"));
        assert_eq!(places.now().reason("bank"), None);
        held.pop();
        drop(waiting.await);
        assert_eq!(places.now().waiting, BTreeMap::new());
    }
}
