//! Places for work that goes on at the same time, shared fairly: between systems, and between the hosts or channels that
//! the work is with. Every system has a few places of its own, which are there whatever the others do.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::sync::Notify;

use super::waits::{PlaceKind, PlaceWait};

/// How many places every system has beside those that are shared.
const OWN: usize = 2;
/// How many waits of one kind are told: enough for people, and a small file.
const MOST_TOLD: usize = 500;

/// Who asks for a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wants {
    /// The system.
    pub system: String,
    /// What the work is with: a host or a channel; none where it is with nothing that others share.
    pub with: Option<String>,
    /// What is to be done: `package-7/pin`, a repository, a notice.
    pub what: String,
}

/// Places of one kind.
#[derive(Debug)]
pub struct Places {
    kind: PlaceKind,
    /// How many are shared.
    shared: usize,
    in_use: Mutex<InUse>,
    freed: Notify,
}

/// Who has places, and who waits for one.
#[derive(Debug, Default)]
struct InUse {
    held: BTreeMap<Holder, Held>,
    waiting: BTreeMap<u64, Wait>,
    /// The number of the next wait.
    next: u64,
}

#[derive(Debug)]
struct Wait {
    wants: Wants,
    since: Instant,
    /// Milliseconds since 1970, UTC.
    since_ms: i64,
}

/// Whose places these are, and what with.
type Holder = (String, Option<String>);

/// How many places, of each kind of place.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    own: usize,
    shared: usize,
}

/// What keeps somebody from a place.
enum Full<'a> {
    /// All that are shared are taken.
    All,
    /// The system has as many as one system may have.
    System,
    /// As much is done with this as may be at once: of all systems, or of the one that asks.
    With(&'a str, bool),
}

/// A place that is held until this is dropped.
#[derive(Debug)]
pub struct Place<'places> {
    places: &'places Places,
    holder: Holder,
    is_own: bool,
    waited_ms: i64,
}

impl Place<'_> {
    /// How long it was waited for, in milliseconds.
    #[must_use]
    pub const fn waited_ms(&self) -> i64 {
        self.waited_ms
    }
}

impl Places {
    /// So many places of this kind that are shared.
    #[must_use]
    pub fn new(kind: PlaceKind, shared: usize) -> Self {
        Self { kind, shared, in_use: Mutex::default(), freed: Notify::new() }
    }

    /// Waits for a place.
    pub async fn take(&self, wants: Wants) -> Place<'_> {
        let since = Instant::now();
        let holder = (wants.system.clone(), wants.with.clone());
        let waiting = Waiting::begin(self, wants, since);
        loop {
            let freed = self.freed.notified();
            let mut freed = std::pin::pin!(freed);
            // From here on no place is freed unheard.
            freed.as_mut().enable();
            if let Some(is_own) = self.try_take(&holder) {
                drop(waiting);
                let waited_ms = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
                return Place { places: self, holder, is_own, waited_ms };
            }
            freed.await;
        }
    }

    /// Who has waited for a place for as long as this, and why; the longest first.
    #[must_use]
    pub fn waits(&self, least: Duration) -> Vec<PlaceWait> {
        let in_use = self.lock();
        let long = in_use.waiting.values().filter(|wait| wait.since.elapsed() >= least).take(MOST_TOLD);
        let told = long.filter_map(|Wait { wants, since_ms, .. }| {
            let full = self.kept_from(&in_use, (&wants.system, wants.with.as_deref())).err()?;
            let reason = self.reason(&in_use, &wants.system, &full);
            let (system, what) = (wants.system.clone(), wants.what.clone());
            Some(PlaceWait { kind: self.kind, system, what, since_ms: *since_ms, reason })
        });
        told.collect()
    }

    fn try_take(&self, holder: &Holder) -> Option<bool> {
        let mut in_use = self.lock();
        let is_own = self.kept_from(&in_use, (&holder.0, holder.1.as_deref())).ok()?;
        let held = in_use.held.entry(holder.clone()).or_default();
        *(if is_own { &mut held.own } else { &mut held.shared }) += 1;
        Some(is_own)
    }

    /// Whether the place that is free for somebody is one of their own, or what keeps them from one.
    fn kept_from<'a>(&self, in_use: &InUse, (system, with): (&str, Option<&'a str>)) -> Result<bool, Full<'a>> {
        let own = in_use.sum(|of, _| of == system, |held| held.own);
        let same = |of: &Option<String>| with.is_some() && of.as_deref() == with;
        let own_with = in_use.sum(|of, at| of == system && same(at), |held| held.own);
        // Half of a system's own are for what it does elsewhere.
        if own < OWN && (with.is_none() || own_with < OWN.div_ceil(2)) {
            return Ok(true);
        }
        let half = self.shared.div_ceil(2);
        if let Some(with) = with {
            let of_system = in_use.sum(|of, at| of == system && same(at), |held| held.shared);
            let of_all = in_use.sum(|_, at| same(at), |held| held.shared);
            if of_system >= half.div_ceil(2) || of_all >= half {
                return Err(Full::With(with, of_system >= half.div_ceil(2)));
            }
        }
        // Half of what is shared is for the others, though none of them is there yet.
        if in_use.sum(|of, _| of == system, |held| held.shared) >= half {
            return Err(Full::System);
        }
        if in_use.sum(|_, _| true, |held| held.shared) >= self.shared { Err(Full::All) } else { Ok(false) }
    }

    fn reason(&self, in_use: &InUse, system: &str, full: &Full<'_>) -> String {
        let (_, several, preposition) = self.kind.words();
        let all = |held: &Held| held.own + held.shared;
        match full {
            Full::System => {
                let count = in_use.sum(|of, _| of == system, all);
                format!("{count} of {count} {several} of {system} are running")
            }
            Full::With(with, of_system) => {
                let here = |at: &Option<String>| at.as_deref() == Some(*with);
                let count = in_use.sum(|of, at| here(at) && (!of_system || of == system), all);
                let of = if *of_system { format!(" of {system}") } else { String::new() };
                format!("{count} of {count} {several}{of} {preposition} {with} are running")
            }
            Full::All => {
                let count = in_use.sum(|_, _| true, all);
                let mut systems: BTreeMap<&str, usize> = BTreeMap::new();
                in_use.held.iter().for_each(|((of, _), held)| *systems.entry(of).or_default() += all(held));
                let most = systems.into_iter().max_by_key(|(of, held)| (*held, std::cmp::Reverse(*of)));
                let most = most.map_or_else(String::new, |(of, held)| format!(", {held} of them of {of}"));
                format!("{count} of {count} {several} are running{most}")
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, InUse> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InUse {
    fn sum(&self, of: impl Fn(&str, &Option<String>) -> bool, count: impl Fn(&Held) -> usize) -> usize {
        self.held.iter().filter(|((system, with), _)| of(system, with)).map(|(_, held)| count(held)).sum()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut in_use = self.places.lock();
        if let Some(held) = in_use.held.get_mut(&self.holder) {
            *(if self.is_own { &mut held.own } else { &mut held.shared }) -= 1;
            if held.own + held.shared == 0 {
                in_use.held.remove(&self.holder);
            }
        }
        drop(in_use);
        self.places.freed.notify_waiters();
    }
}

/// Somebody who waits, until this is dropped.
struct Waiting<'places> {
    places: &'places Places,
    number: u64,
}

impl<'places> Waiting<'places> {
    fn begin(places: &'places Places, wants: Wants, since: Instant) -> Self {
        let mut in_use = places.lock();
        let number = in_use.next;
        in_use.next += 1;
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since_ms = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
        in_use.waiting.insert(number, Wait { wants, since, since_ms });
        Self { places, number }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.places.lock().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    fn wants(system: &str, with: Option<&str>) -> Wants {
        Wants { system: system.to_owned(), with: with.map(str::to_owned), what: "it".to_owned() }
    }

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }

    /// All the places that somebody gets at once.
    fn all<'places>(places: &'places Places, system: &str, with: Option<&str>) -> Vec<Place<'places>> {
        (0..100).map_while(|_| now(places.take(wants(system, with)))).collect()
    }

    #[test]
    fn nobody_takes_the_places_of_others() {
        let places = Places::new(PlaceKind::Steps, 8);
        let greedy = all(&places, "greedy", None);
        assert_eq!(greedy.len(), 6, "two of their own, and half of what is shared");
        let hungry = all(&places, "hungry", None);
        assert_eq!(hungry.len(), 6, "the other half");
        for late in ["a", "b", "c"] {
            assert_eq!(all(&places, late, None).len(), 2, "{late} has places of its own");
        }
        assert_eq!(places.waits(Duration::ZERO), [], "who gave up does not wait");
    }

    #[test]
    fn a_silent_host_takes_the_places_of_no_other() {
        let places = Places::new(PlaceKind::Looks, 8);
        let (silent, good) = (Some("silent.example"), Some("good.example"));
        let mut held: Vec<Vec<Place<'_>>> = Vec::new();
        for number in 0..20 {
            held.push(all(&places, &format!("silent-{number}"), silent));
        }
        let counts: Vec<usize> = held.iter().map(Vec::len).collect();
        assert_eq!(counts[..3], [3, 3, 1], "one of their own, and together half of what is shared");
        assert_eq!(counts[3..], [1; 17]);
        assert_eq!(all(&places, "silent-0", good).len(), 3, "those of its own repositories that are elsewhere, too");
        assert_eq!(all(&places, "shop", good).len(), 3);
        let mut waiting = Box::pin(places.take(wants("silent-0", silent)));
        assert!(now(waiting.as_mut()).is_none());
        let told = places.waits(Duration::ZERO);
        assert_eq!(told[0].reason, "3 of 3 looks of silent-0 at silent.example are running");
        let mut other = Box::pin(places.take(wants("silent-9", silent)));
        assert!(now(other.as_mut()).is_none());
        assert_eq!(places.waits(Duration::ZERO)[1].reason, "24 of 24 looks at silent.example are running");
    }

    #[tokio::test]
    async fn who_waits_is_told_why_and_comes_next() {
        let places = Places::new(PlaceKind::Steps, 2);
        let mut held = all(&places, "shop", None);
        assert_eq!(held.len(), 3);
        let mut waiting = Box::pin(places.take(wants("shop", None)));
        assert!(now(waiting.as_mut()).is_none());
        let told = places.waits(Duration::ZERO);
        assert_eq!((told[0].what.as_str(), told[0].system.as_str()), ("it", "shop"));
        assert_eq!(told[0].reason, "3 of 3 steps of shop are running");
        let bank = all(&places, "bank", None);
        assert_eq!(bank.len(), 3);
        let mut third = vec![places.take(wants("third", None)).await, places.take(wants("third", None)).await];
        let mut late = Box::pin(places.take(wants("third", None)));
        assert!(now(late.as_mut()).is_none());
        assert_eq!(places.waits(Duration::ZERO)[1].reason, "8 of 8 steps are running, 3 of them of bank");
        held.pop();
        drop(waiting.await);
        third.pop();
        drop(late.await);
        assert_eq!(places.waits(Duration::ZERO), []);
    }
}
