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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::{
        providers::forge::Deployment,
        rules::SystemName,
        store::{ShownKind, ShownNote},
    };

    fn wanted(run: u64, ended_ms: Option<i64>, state: DeploymentState) -> Wanted {
        let key = format!("shop/deliver-{run}.{run}");
        let says = Says::Deployment(Deployment {
            key: key.clone(),
            commit: "c".repeat(40),
            target: "webshop".to_owned(),
            environment: "Production".to_owned(),
            production: true,
            state,
            description: String::new(),
            address: None,
            link: None,
        });
        let (system, place) = (SystemName::new("shop").unwrap(), "acme/infrastructure".to_owned());
        Wanted { name: ShownName { system, kind: ShownKind::Deployment, key, place }, run, ended_ms, says }
    }

    fn states(news: &[Wanted]) -> Vec<(u64, DeploymentState)> {
        let state = |thing: &Wanted| match &thing.says {
            Says::Deployment(deployment) => (thing.run, deployment.state),
            Says::Check(_) => unreachable!(),
        };
        news.iter().map(state).collect()
    }

    /// The row that is kept of it.
    fn row(thing: &Wanted) -> Shown {
        let note = ShownNote::Wanted { name: thing.name.clone(), run: thing.run, wanted: thing.says.text(), at_ms: 0 };
        let ShownNote::Wanted { name, run, wanted, .. } = note else { unreachable!() };
        let (said, forge_id, error) = (None, None, None);
        Shown { name, run, wanted, said, forge_id, since_ms: 0, due_ms: 0, failures: 0, error }
    }

    #[test]
    fn only_what_changes_is_news() {
        let mut known = Known::default();
        let begun = wanted(1, None, DeploymentState::InProgress);
        assert_eq!(known.news(vec![begun.clone()], 0).len(), 1);
        assert!(known.news(vec![begun.clone()], 0).is_empty());
        let mut after_restart = Known::of(&[row(&begun)]);
        assert!(after_restart.news(vec![begun], 0).is_empty(), "what was written before is known");
        let ended = wanted(1, Some(5), DeploymentState::Success);
        assert_eq!(states(&after_restart.news(vec![ended], 0)), [(1, DeploymentState::Success)]);
    }

    #[test]
    fn the_one_that_ended_last_is_what_runs_and_the_one_before_gives_way() {
        use DeploymentState::{Inactive, Success};
        let mut known = Known::default();
        let first = wanted(1, Some(5), Success);
        assert_eq!(states(&known.news(vec![first.clone()], 6)), [(1, Success)]);
        let second = wanted(2, Some(9), Success);
        assert_eq!(states(&known.news(vec![second.clone()], 10)), [(2, Success), (1, Inactive)]);
        known.looked(&[(1, Some(5)), (2, Some(9))].into(), &BTreeSet::new());
        // A restart knows the same.
        let Some(Wanted { says, .. }) =
            first.says.replaced_by(&second.says).map(|says| Wanted { says, ..first.clone() })
        else {
            panic!("it gives way");
        };
        let mut again = Known::of(&[row(&Wanted { says, ..first.clone() }), row(&second)]);
        let third = wanted(3, Some(20), Success);
        assert_eq!(states(&again.news(vec![third], 21)), [(3, Success), (2, Inactive)]);
        // An old one that is done again by hand is what runs.
        let retried = wanted(1, Some(30), Success);
        assert_eq!(states(&again.news(vec![retried], 31)), [(1, Success), (3, Inactive)]);
    }

    #[test]
    fn what_runs_at_another_target_of_the_environment_stays() {
        let mut known = Known::default();
        known.news(vec![wanted(1, Some(5), DeploymentState::Success)], 6);
        let mut other = wanted(2, Some(9), DeploymentState::Success);
        if let Says::Deployment(deployment) = &mut other.says {
            deployment.target = "worker".to_owned();
        }
        assert_eq!(states(&known.news(vec![other], 10)), [(2, DeploymentState::Success)]);
    }

    #[test]
    fn what_ended_long_before_is_no_news_and_what_a_state_forgot_is_looked_for() {
        let mut known = Known::default();
        assert!(known.news(vec![wanted(1, Some(0), DeploymentState::Success)], NEWS_MS + 1).is_empty());
        known.news(vec![wanted(2, None, DeploymentState::InProgress)], 0);
        assert_eq!(known.lost(|_| false), [RunId::new("deliver-2")]);
        assert!(known.lost(|number| number == 2).is_empty());
        known.looked(&BTreeMap::new(), &BTreeSet::from([2]));
        assert!(known.lost(|_| false).is_empty());
    }
}
