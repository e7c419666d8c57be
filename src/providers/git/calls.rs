//! What is being asked of remotes at this moment, for those who look: which call, since when, how far it is, when it was last
//! heard of. It is told in a file beside the mirrors, which `status` reads; where nothing takes long there is none.

use crate::providers::{Fault, files, process_table};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The file's name.
const FILE_NAME: &str = "calls.json";
/// What is over sooner is nobody's concern.
const WORTH_TELLING_MS: i64 = 2_000;

/// What goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallKind {
    /// A process of git: where nothing is heard of it for its patience, it is ended and tried again.
    Process,
    /// Something that waits for another call.
    Wait,
    /// A read that is older than what is known: where it stays so for its patience, it is believed.
    Doubt,
}

/// A call to a remote that goes on, or something that waits for what a remote will say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The name of the mirror's folder.
    pub mirror: String,
    /// What kind of thing it is.
    pub kind: CallKind,
    /// What is done, as in `pushing to dev`.
    pub doing: String,
    /// How far it is, as in `37 %, 120.00 MiB`.
    pub progress: Option<String>,
    /// Since when: milliseconds since 1970, UTC.
    pub since_ms: i64,
    /// When it was last heard of: milliseconds since 1970, UTC.
    pub heard_ms: i64,
    /// How long nothing may be heard of it; 0 where it waits for another call.
    pub patience_ms: i64,
}

/// What the file says.
#[derive(Serialize, Deserialize)]
struct Told {
    /// Whose calls these are: where it has ended, they have ended with it.
    process: u32,
    calls: Vec<Call>,
}

/// The calls that go on.
#[derive(Debug, Default)]
pub(super) struct Calls {
    next: AtomicU64,
    going_on: Mutex<BTreeMap<u64, Call>>,
    told: Mutex<Option<Vec<Call>>>,
}

/// A call that goes on until this is dropped.
#[derive(Debug)]
pub struct Calling {
    calls: Arc<Calls>,
    number: u64,
}

impl Calls {
    /// Notes that something begins.
    pub(super) fn begin(self: &Arc<Self>, mirror: &str, kind: CallKind, doing: &str, patience: Duration) -> Calling {
        let now_ms = now_ms();
        let call = Call {
            mirror: mirror.to_owned(),
            kind,
            doing: doing.to_owned(),
            progress: None,
            since_ms: now_ms,
            heard_ms: now_ms,
            patience_ms: i64::try_from(patience.as_millis()).unwrap_or(i64::MAX),
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.going_on).insert(number, call);
        Calling { calls: Arc::clone(self), number }
    }

    /// Tells in a file below `root` what has gone on for a while, where that is news.
    pub(super) fn tell(&self, root: &Path) -> Result<(), Fault> {
        let now_ms = now_ms();
        let long = |call: &&Call| now_ms - call.since_ms >= WORTH_TELLING_MS;
        let calls: Vec<Call> = lock(&self.going_on).values().filter(long).cloned().collect();
        let mut told = lock(&self.told);
        if told.as_ref() == Some(&calls) {
            return Ok(());
        }
        let path = root.join(FILE_NAME);
        if !calls.is_empty() {
            files::write_json(&path, &Told { process: std::process::id(), calls: calls.clone() })?;
        } else if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(files::fault(&format!("remove {}", path.display()), &error));
        }
        *told = Some(calls);
        Ok(())
    }
}

/// What was told in the file below `root` and can go on; nothing where it cannot be read.
#[must_use]
pub(super) fn told(root: &Path) -> Vec<Call> {
    let told: Option<Told> = files::read_json(&root.join(FILE_NAME)).ok().flatten();
    told.filter(|told| process_table::lives(told.process)).map(|told| told.calls).unwrap_or_default()
}

impl Calling {
    /// Notes that it was heard of.
    pub(super) fn heard(&self) {
        self.change(|call| call.heard_ms = now_ms());
    }

    /// Notes how far it is.
    pub(super) fn is_at(&self, progress: String) {
        self.change(|call| (call.heard_ms, call.progress) = (now_ms(), Some(progress)));
    }

    fn change(&self, change: impl FnOnce(&mut Call)) {
        if let Some(call) = lock(&self.calls.going_on).get_mut(&self.number) {
            change(call);
        }
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        lock(&self.calls.going_on).remove(&self.number);
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these mutexes guard is whole after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_a_process_that_has_ended_have_ended_with_it() {
        let root = tempfile::tempdir().expect("a folder");
        let calls = Arc::new(Calls::default());
        let calling = calls.begin("image.git", CallKind::Wait, "waiting", Duration::ZERO);
        lock(&calls.going_on).values_mut().for_each(|call| call.since_ms -= WORTH_TELLING_MS);
        calls.tell(root.path()).expect("written");
        assert_eq!(told(root.path()).iter().map(|call| call.doing.as_str()).collect::<Vec<_>>(), ["waiting"]);
        let path = root.path().join(FILE_NAME);
        let dead = Told { process: 2_000_000_000, calls: told(root.path()) };
        files::write_json(&path, &dead).expect("written");
        assert_eq!(told(root.path()), []);
        drop(calling);
        calls.tell(root.path()).expect("removed");
        assert!(!path.exists());
    }
}
