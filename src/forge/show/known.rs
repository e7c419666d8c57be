//! What is known of what a forge should show of one system, so that only what changes is written. Pure.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::wanted::{Says, Wanted};
use crate::{
    engine::{Run, RunId},
    providers::forge::DeploymentState,
    store::{Shown, ShownName},
};

/// Runs that ended before this are news to nobody: a forge that is set up later does not show them.
const NEWS_MS: i64 = 10 * 60 * 1_000;

/// What is known of one system.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The place in the log that it was last looked at.
    pub(super) seq: u64,
    runs: BTreeMap<u64, KnownRun>,
    /// The deployments that are said to be what runs in their environments.
    running: BTreeMap<ShownName, (u64, Says)>,
}

#[derive(Debug, Default)]
struct KnownRun {
    /// When it had ended as it was last looked at.
    ended_ms: Option<i64>,
    /// What tells each text that is wanted of it.
    texts: BTreeMap<ShownName, [u8; 32]>,
}

impl Known {
    /// What was written before this process began.
    pub(super) fn of(rows: &[Shown]) -> Self {
        let mut known = Self::default();
        for row in rows {
            known.keep(row.run, &row.name, &row.wanted);
            if let Some(says) = Says::of(&row.wanted).filter(is_running) {
                known.running.insert(row.name.clone(), (row.run, says));
            }
        }
        known
    }

    /// Whether a run has to be looked at again.
    pub(super) fn is_open(&self, run: &Run) -> bool {
        run.ended_ms.is_none() || self.runs.get(&run.number).is_none_or(|known| known.ended_ms != run.ended_ms)
    }

    /// The runs that had not ended when they were last looked at, and that a state does not keep any more.
    pub(super) fn lost(&self, is_kept: impl Fn(u64) -> bool) -> Vec<RunId> {
        let open = self.runs.iter().filter(|(number, run)| run.ended_ms.is_none() && !is_kept(**number));
        open.filter_map(|(_, run)| run_of(&run.texts.keys().next()?.key)).collect()
    }

    /// Of what is wanted, what differs from what was; with what it takes the place of.
    pub(super) fn news(&mut self, wanted: Vec<Wanted>, now_ms: i64) -> Vec<Wanted> {
        let mut news = Vec::new();
        let mut newest: Vec<Wanted> = Vec::new();
        for thing in wanted {
            let run = self.runs.get(&thing.run);
            let is_old = thing.ended_ms.is_some_and(|ended_ms| ended_ms < now_ms - NEWS_MS);
            if run.is_none_or(|run| run.texts.is_empty()) && is_old {
                // It is looked at once.
                self.runs.entry(thing.run).or_default().ended_ms = thing.ended_ms;
                continue;
            }
            let is_first_end = run.is_none_or(|run| run.ended_ms != thing.ended_ms);
            if is_running(&thing.says) && is_first_end {
                newest.push(thing.clone());
            }
            if self.keep(thing.run, &thing.name, &thing.says.text()) {
                news.push(thing);
            }
        }
        // The last one that ended is what runs.
        newest.sort_by_key(|thing| thing.ended_ms);
        for thing in newest {
            let replaced: Vec<(ShownName, u64, Says)> = self
                .running
                .iter()
                .filter(|(name, _)| name.place == thing.name.place)
                .filter_map(|(name, (run, says))| Some((name.clone(), *run, says.replaced_by(&thing.says)?)))
                .collect();
            for (name, run, says) in replaced {
                self.running.remove(&name);
                news.retain(|other| other.name != name);
                if self.keep(run, &name, &says.text()) {
                    news.push(Wanted { name, run, ended_ms: None, says });
                }
            }
            self.running.insert(thing.name, (thing.run, thing.says));
        }
        news
    }

    /// Notes when runs had ended, once all that is wanted of them is noted; forgets those that a state does not keep any more.
    pub(super) fn looked(&mut self, ended: &BTreeMap<u64, Option<i64>>, lost: &BTreeSet<u64>) {
        for (number, ended_ms) in ended {
            self.runs.entry(*number).or_default().ended_ms = *ended_ms;
        }
        self.runs
            .retain(|number, run| ended.contains_key(number) || (run.ended_ms.is_none() && !lost.contains(number)));
    }

    /// Keeps what tells a text. Whether it is another than before.
    fn keep(&mut self, run: u64, name: &ShownName, text: &str) -> bool {
        let hash: [u8; 32] = Sha256::digest(text).into();
        self.runs.entry(run).or_default().texts.insert(name.clone(), hash) != Some(hash)
    }
}

fn is_running(says: &Says) -> bool {
    matches!(says, Says::Deployment(deployment) if deployment.state == DeploymentState::Success)
}

/// The run of a key: `webshop/deliver-7.1a22a489c14` is of `deliver-7`.
fn run_of(key: &str) -> Option<RunId> {
    Some(RunId::new(key.split_once('/')?.1.rsplit_once('.')?.0))
}
