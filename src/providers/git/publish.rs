//! How a commit of ours reaches a branch, exactly once, whoever else pushes and whatever breaks: look for the key,
//! propose a commit on top of the head, push with compare-and-swap; begin again when the race was lost, and look
//! again when the push ended in doubt. Who publishes to a branch keeps away others of this process that would publish there,
//! and nobody else.

use super::history::Effect;
use super::mirror::Mirror;
use super::paths;
use super::proof::CommitPlace;
use super::transport::Pushed;
use crate::providers::Fault;
use git2::{Oid, Repository};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How many lost races are run again. Each means that somebody else succeeded; the deadline ends most waits first.
const MOST_ATTEMPTS: u32 = 400;
/// How many pushes may end in doubt before the caller is told.
const MOST_DOUBTS: usize = 2;
/// How many lost races make as long a pause as a push that ended in doubt: whatever failed has a second to recover.
const DOUBT_PAUSE: u32 = 5;
/// The longest pause after the first lost race; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(40);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// What is to be done on a given head.
pub(super) enum Proposal<T> {
    /// This commit, on top of the head, is to become the head.
    Push(Oid),
    /// Nothing is to be pushed.
    Settled(T),
}

/// What became of it.
pub(super) enum Published<T> {
    Committed { commit: Oid, parent: Oid },
    AlreadyThere { commit: Oid },
    Settled(T),
}

enum View<T> {
    Found(Oid),
    Proposed(Proposal<T>),
}

impl Mirror {
    /// Publishes at a place what `propose` makes of its head, unless a commit of ours of this effect is there.
    pub(super) async fn publish<T: Send + 'static>(
        &self,
        place: &CommitPlace,
        effect: &Effect,
        deadline: Instant,
        propose: impl Fn(&Repository, Oid) -> Result<Proposal<T>, Fault> + Send + Sync + 'static,
    ) -> Result<Published<T>, Fault> {
        let branch = place.branch.as_str();
        paths::check_branches(&[branch.to_owned()])?;
        let propose = Arc::new(propose);
        let publishing = self.publishing(branch);
        let busy = |_| {
            Fault::retry(format!("another push to {branch} of {} goes on, and the deadline has passed", self.url()))
        };
        let waits =
            publishing.try_lock().is_err().then(|| self.waits(&format!("waiting for another push to {branch}")));
        let _alone = timeout_at(deadline, publishing.lock()).await.map_err(busy)?;
        drop(waits);
        // The head as last seen is good enough to try: the push proves it. Any other answer needs a fresh head.
        let mut believed = self.believed_head(branch).await?;
        let mut tried: BTreeMap<Oid, Oid> = BTreeMap::new();
        let mut doubts = Vec::new();
        let mut races = 0;
        for _ in 0..MOST_ATTEMPTS {
            let fresh = believed.is_none();
            let head = match believed.take() {
                Some(head) => head,
                None => self.fresh_head(branch, deadline).await.map_err(|fault| in_doubt(&doubts, fault))?,
            };
            let commit = match self.view(head, (place, effect), Arc::clone(&propose)).await {
                Ok(View::Proposed(Proposal::Push(commit))) => commit,
                _ if !fresh => continue,
                Err(fault) => return Err(fault),
                Ok(View::Proposed(Proposal::Settled(answer))) => return Ok(Published::Settled(answer)),
                Ok(View::Found(commit)) => {
                    return Ok(match tried.get(&commit) {
                        Some(&parent) => Published::Committed { commit, parent },
                        None => Published::AlreadyThere { commit },
                    });
                }
            };
            tried.insert(commit, head);
            self.reads.saw(branch, None);
            match self.push(branch, commit, head, deadline).await? {
                Pushed::Done => {
                    self.arrived(branch, commit).await;
                    return Ok(Published::Committed { commit, parent: head });
                }
                Pushed::Raced if fresh => {
                    pause(races, deadline).await;
                    races += 1;
                }
                Pushed::Raced => {}
                Pushed::InDoubt { fault, complaint } => {
                    self.mend_after(&complaint, !doubts.is_empty()).await?;
                    doubts.push(fault);
                    if doubts.len() > MOST_DOUBTS {
                        break;
                    }
                    pause(DOUBT_PAUSE, deadline).await;
                }
            }
        }
        let url = &self.remote.url;
        Err(doubts
            .pop()
            .unwrap_or_else(|| Fault::retry(format!("{branch} of {url} moved {races} times under our push"))))
    }

    pub(super) async fn fresh_head(&self, branch: &str, deadline: Instant) -> Result<Oid, Fault> {
        let heads = self.fetch_branches(&[branch.to_owned()], deadline).await?;
        let head = heads.get(branch).copied();
        head.ok_or_else(|| Fault::retry(format!("{branch} of {} vanished while it was fetched", self.remote.url)))
    }

    async fn view<T: Send + 'static>(
        &self,
        head: Oid,
        (place, effect): (&CommitPlace, &Effect),
        propose: Arc<impl Fn(&Repository, Oid) -> Result<Proposal<T>, Fault> + Send + Sync + 'static>,
    ) -> Result<View<T>, Fault> {
        let (history, place, effect) = (Arc::clone(&self.history), place.clone(), effect.clone());
        self.with_repository(move |repository| match history.find(repository, head, &place, &effect)? {
            Some(commit) => Ok(View::Found(commit)),
            None => Ok(View::Proposed(propose(repository, head)?)),
        })
        .await
    }
}

/// A random part of a bound that grows with every lost race, so that many writers spread out.
async fn pause(races: u32, deadline: Instant) {
    let bound = FIRST_PAUSE.saturating_mul(1 << races.min(10)).min(LONGEST_PAUSE);
    let part = RandomState::new().build_hasher().finish() % 1000;
    let until = Instant::now() + bound.mul_f64(part as f64 / 1000.0);
    sleep(until.min(deadline).saturating_duration_since(Instant::now())).await;
}

/// A failed look after a push that may have arrived: whatever it was, the same effect has to be tried again.
fn in_doubt(doubts: &[Fault], fault: Fault) -> Fault {
    match doubts.last() {
        Some(doubt) => Fault::retry(format!("{doubt}; whether the push arrived is open, since then: {fault}")),
        None => fault,
    }
}
