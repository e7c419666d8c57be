//! What is read of a remote may be older than what is known: a replica, a cache or a mirror answered that lags behind what the
//! server has acknowledged. A read that is an ancestor of the known head, or was the head until a moment ago, is doubted: the
//! known one is kept, and the branch looked at again. It is believed when it stays so for `lag`, or when the side of the remote
//! that takes pushes says the same; then somebody went back.
//! What is known is the mirror's own branch, so that it survives a restart.

use super::calls::{CallKind, Calling, Calls};
use super::fault::object_fault;
use crate::providers::Fault;
use git2::{Oid, Repository};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often the side that takes pushes is asked about a doubted read.
const ASK_EVERY: Duration = Duration::from_secs(30);
/// How many heads that were replaced a moment ago are remembered of one branch.
const MOST_REPLACED: usize = 64;

/// What was read of the branches of one remote.
pub(super) struct Reads {
    url: String,
    mirror: String,
    lag: Duration,
    calls: Arc<Calls>,
    branches: Mutex<BTreeMap<String, Branch>>,
}

#[derive(Default)]
struct Branch {
    /// Where it was when we last heard of it.
    seen: Option<Oid>,
    /// Where it was until when, while that may still be read somewhere.
    replaced: Vec<(Oid, Instant)>,
    doubt: Option<Doubt>,
    /// The read that was doubted until it was believed, and is not doubted again.
    believed: Option<Oid>,
}

/// A read that is older than what is known.
struct Doubt {
    /// None where there was no such branch.
    read: Option<Oid>,
    since: Instant,
    /// When the side that takes pushes was last asked.
    asked: Option<Instant>,
    /// Shows it to who looks.
    _shown: Calling,
}

impl Reads {
    pub(super) fn new(url: &str, mirror: &str, lag: Duration, calls: Arc<Calls>) -> Self {
        let branches = Mutex::default();
        Self { url: url.to_owned(), mirror: mirror.to_owned(), lag, calls, branches }
    }

    /// Where the branch was when we last heard of it.
    pub(super) fn seen(&self, branch: &str) -> Option<Oid> {
        self.branches().get(branch)?.seen
    }

    /// Notes where the branch is, or that nobody knows.
    pub(super) fn saw(&self, branch: &str, head: Option<Oid>) {
        self.branches().entry(branch.to_owned()).or_default().seen = head;
    }

    /// Notes that nothing is known of any branch.
    pub(super) fn clear(&self) {
        self.branches().clear();
    }

    /// Notes that a branch moves from one commit to another. Where it went neither on nor back, the first may still be read.
    pub(super) fn moves(&self, repository: &Repository, branch: &str, from: Oid, to: Oid) -> Result<(), Fault> {
        if from == to || is_below(repository, to, from)? {
            return Ok(());
        }
        let mut branches = self.branches();
        let replaced = &mut branches.entry(branch.to_owned()).or_default().replaced;
        replaced.retain(|(_, until)| until.elapsed() < self.lag);
        if replaced.len() < MOST_REPLACED {
            replaced.push((from, Instant::now()));
        }
        Ok(())
    }

    /// Whether a read is doubted because the known head is newer. Both commits are in the mirror.
    pub(super) fn is_old(&self, repository: &Repository, branch: &str, read: Oid, known: Oid) -> Result<bool, Fault> {
        let is_older = read != known && (self.was_replaced(branch, read) || is_below(repository, read, known)?);
        Ok(self.doubt(branch, Some(read), known, is_older))
    }

    /// Whether it is doubted that the branch is gone, which was there when we last heard of it.
    pub(super) fn is_gone_in_doubt(&self, branch: &str) -> Option<Oid> {
        let known = self.seen(branch)?;
        self.doubt(branch, None, known, true).then_some(known)
    }

    /// The read of a branch that is doubted, when it is time to ask the side that takes pushes.
    pub(super) fn to_ask(&self, branch: &str) -> Option<Oid> {
        let mut branches = self.branches();
        let doubt = branches.get_mut(branch)?.doubt.as_mut()?;
        if doubt.asked.is_some_and(|asked| asked.elapsed() < ASK_EVERY) {
            return None;
        }
        doubt.asked = Some(Instant::now());
        doubt.read
    }

    /// Notes that a doubted read is as it is: the side that takes pushes says so.
    pub(super) fn is_proved(&self, branch: &str, read: Oid) {
        let mut branches = self.branches();
        let state = branches.entry(branch.to_owned()).or_default();
        if state.doubt.take_if(|doubt| doubt.read == Some(read)).is_some() {
            tracing::warn!(url = self.url, branch, %read, "a branch was taken back: the server that takes pushes says so");
            (state.seen, state.believed) = (Some(read), Some(read));
        }
    }

    fn was_replaced(&self, branch: &str, read: Oid) -> bool {
        let branches = self.branches();
        let mut replaced = branches.get(branch).into_iter().flat_map(|known| &known.replaced);
        replaced.any(|(commit, until)| *commit == read && until.elapsed() < self.lag)
    }

    /// Whether a read is doubted. One that has been the same for `lag` is believed, and that is said.
    fn doubt(&self, branch: &str, read: Option<Oid>, known: Oid, is_older: bool) -> bool {
        let mut branches = self.branches();
        let state = branches.entry(branch.to_owned()).or_default();
        if !is_older || state.believed.is_some() && state.believed == read {
            state.doubt = None;
            state.believed = state.believed.filter(|believed| read == Some(*believed));
            return false;
        }
        let (url, lag) = (&self.url, self.lag);
        let what = read.map_or_else(|| "gone".to_owned(), short);
        match &state.doubt {
            Some(doubt) if doubt.read == read && doubt.since.elapsed() >= lag => {
                tracing::warn!(url, branch, read = what, known = %known, "a branch was taken back: it has been read so for {lag:?}");
                (state.doubt, state.seen, state.believed) = (None, read, read);
                false
            }
            Some(doubt) if doubt.read == read => true,
            _ if lag.is_zero() => false,
            _ => {
                let known = short(known);
                tracing::info!(
                    url,
                    branch,
                    read = what,
                    known,
                    "a read is older than what is known to be there: it is doubted"
                );
                let doing = format!("reading {branch} as {what}, which is older than {known}, known to be there");
                let shown = self.calls.begin(&self.mirror, CallKind::Doubt, &doing, lag);
                state.doubt = Some(Doubt { read, since: Instant::now(), asked: None, _shown: shown });
                true
            }
        }
    }

    fn branches(&self) -> MutexGuard<'_, BTreeMap<String, Branch>> {
        // What it guards is whole after every statement.
        self.branches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the mirror has a commit, and another one descends from it.
fn is_below(repository: &Repository, older: Oid, newer: Oid) -> Result<bool, Fault> {
    if repository.find_commit(older).is_err() || repository.find_commit(newer).is_err() {
        return Ok(false);
    }
    repository.graph_descendant_of(newer, older).map_err(|error| object_fault(&error))
}

fn short(commit: Oid) -> String {
    let mut short = commit.to_string();
    short.truncate(7);
    short
}
