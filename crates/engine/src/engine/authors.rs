//! Whose change something is: who wrote what is in it and was not in what was there before. Every push is remembered with
//! who wrote it, and of every commit how far the pushes to each branch are in it. So it is told apart for each target and
//! stage, whatever was verified elsewhere meanwhile, and told anew after a way back.

use std::collections::BTreeSet;

use litemap::LiteMap;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::engine::{
    event::CommitSet,
    fact::{Fact, TargetFact},
    ids::{CommitId, Place, TargetKey},
    plan::{Back, Task},
    run::{Run, StepRun, Subject},
    system::System,
    turn::Turn,
    version::descent::Descent,
};
use crate::rules::{Rules, StageName};

/// How many pushes to a branch are told apart. Older ones are taken for one: who wrote any of them then wrote all of them,
/// so that nobody is forgotten and the state stays small.
const MOST_PUSHES: usize = 64;
/// How many people are remembered of pushes that are taken for one; more than these, and not all who wrote it are known.
const MOST_AUTHORS: usize = 1_000;

/// How far the pushes to each place, `repository stage`, are in something: the place in the log of the last one in it.
/// Of few places, and remembered of every commit: it has to be small.
pub type Taken = LiteMap<SmolStr, u64>;

/// A push to a branch, or older ones taken for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// Its place in the log; of several, the first's.
    pub first: u64,
    /// The last's.
    pub last: u64,
    /// Who wrote it.
    pub by: Writers,
}

/// Who wrote a push, in as little as it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writers {
    /// Those who are known, as in `Ada <ada@example.com>`, in order.
    pub authors: Box<[SmolStr]>,
    /// That there are others, whom nobody can tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub others_wrote: bool,
}

/// Who wrote something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Those who are known, as in `Ada <ada@example.com>`.
    pub authors: BTreeSet<String>,
    /// That there are others, whom nobody can tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub others_wrote: bool,
}

impl Written {
    fn extend(&mut self, other: &Self) {
        self.authors.extend(other.authors.iter().cloned());
        self.others_wrote |= other.others_wrote;
    }

    fn extend_by(&mut self, writers: &Writers) {
        self.authors.extend(writers.authors.iter().map(ToString::to_string));
        self.others_wrote |= writers.others_wrote;
    }
}

impl From<Written> for Writers {
    fn from(Written { authors, others_wrote }: Written) -> Self {
        Self { authors: authors.into_iter().map(SmolStr::from).collect(), others_wrote }
    }
}

impl System {
    /// How far the pushes are in these commits.
    fn taken<'commit>(&self, commits: impl IntoIterator<Item = &'commit CommitId>) -> Taken {
        let mut taken = Taken::new();
        for descent in commits.into_iter().filter_map(|commit| self.versions.descent.get(commit)) {
            join(&mut taken, &descent.taken);
        }
        taken
    }

    /// Who wrote what is in something and is not in what was there before.
    fn written_since(&self, before: &Taken, now: &Taken) -> Written {
        let mut written = Written::default();
        for (place, upto) in now {
            let since = before.get(place).copied().unwrap_or_default();
            let pushes = self.pushes.get(place.as_str()).into_iter().flatten();
            pushes.filter(|push| push.last > since && push.first <= *upto).for_each(|push| written.extend_by(&push.by));
        }
        written
    }

    /// Who wrote what a promotion of this set would bring to a stage.
    pub(in crate::engine) fn written_for_stage(&self, set: &CommitSet, to: &StageName) -> Written {
        let there = self.promoted.get(to).map(|promoted| self.taken(promoted.set.values())).unwrap_or_default();
        self.written_since(&there, &self.taken(set.values()))
    }

    /// Who wrote what is in this set and was not in what was last verified on a target, or came through a lane.
    pub(in crate::engine) fn written_for_target(&self, set: &CommitSet, key: &TargetKey) -> Written {
        let nothing = Taken::new();
        let there = self.targets.get(key).map_or(&nothing, |target| &target.verified);
        self.written_since(there, &self.taken(set.values()))
    }

    /// Who wrote what a run brings: as it was when the run was made, and as it is now. What was there before may have gone
    /// back meanwhile.
    #[must_use]
    pub fn written(&self, run: &Run) -> Written {
        let mut written = Written { authors: run.authors.clone(), others_wrote: run.others_wrote };
        match (&run.subject, &run.target) {
            (Subject::Promotion { .. }, _) => written.extend(&self.written_for_stage(&run.set, &run.stage)),
            (Subject::Rule(_), Some(key)) => written.extend(&self.written_for_target(&run.set, key)),
            _ => {}
        }
        written
    }

    /// How far the pushes are in what a step of ours brings to the branch that it writes to.
    pub(in crate::engine) fn brought_by(&self, run: &Run, step: &StepRun) -> Taken {
        match &step.task {
            Task::Merge(merge) => self.taken([&merge.commit]),
            Task::Restore(restore) => match &restore.back {
                Back::ToVersion { to, .. } => self.taken([to]),
                Back::Undo { .. } => Taken::new(),
            },
            _ => self.taken(run.set.values()),
        }
    }
}

impl Turn<'_> {
    /// People pushed to a branch: the head that they made has what was there before, and this.
    pub(in crate::engine) fn remember_written(&mut self, here: &Place, commit: &CommitId, by: Written) {
        let place = here.to_string();
        let mut pushes = self.system.pushes.get(&place).cloned().unwrap_or_default();
        pushes.push(Pushed { first: self.seq, last: self.seq, by: by.into() });
        if pushes.len() > MOST_PUSHES {
            let oldest = pushes.remove(0);
            let next = &mut pushes[0];
            let mut both = Written::default();
            both.extend_by(&oldest.by);
            both.extend_by(&next.by);
            while both.authors.len() > MOST_AUTHORS {
                both.authors.pop_last();
                both.others_wrote = true;
            }
            (next.first, next.by) = (oldest.first, both.into());
        }
        self.record(Fact::PushesSet { place: place.clone(), pushes });
        self.takes_in(commit, &Taken::from_iter([(SmolStr::from(place), self.seq)]));
    }

    /// A commit has all that other commits have.
    pub(in crate::engine) fn takes_in_commits<'commit>(
        &mut self,
        commit: &CommitId,
        others: impl IntoIterator<Item = &'commit CommitId>,
    ) {
        let taken = self.system.taken(others);
        self.takes_in(commit, &taken);
    }

    /// A commit has this as well.
    pub(in crate::engine) fn takes_in(&mut self, commit: &CommitId, taken: &Taken) {
        if !taken.is_empty() {
            let mut descent = self.inherited(commit);
            join(&mut descent.taken, taken);
            self.set_descent(commit, descent);
        }
    }

    /// A commit goes back to another: of what was there, it keeps at most what people pushed to this very stage.
    pub(in crate::engine) fn goes_back_to(
        &mut self,
        commit: &CommitId,
        to: &CommitId,
        kept: Option<(&CommitId, &StageName)>,
    ) {
        let mut taken = self.system.taken([to]);
        if let Some((parent, stage)) = kept {
            let stage = format!(" {stage}");
            let mut kept = self.system.taken([parent]);
            kept.retain(|place, _| place.ends_with(&stage));
            join(&mut taken, &kept);
        }
        self.set_descent(commit, Descent { taken, ..self.inherited(commit) });
    }

    /// A run succeeded: what it brought is what its target, or its lane, is compared with from now on.
    pub(in crate::engine) fn verified_on_target(&mut self, run: &Run) {
        let taken = self.system.taken(run.set.values());
        if let Some(key) = &run.target {
            self.record_target(key, TargetFact::Verified { taken });
        }
    }

    /// Forgets the pushes to places that the rules do not have.
    pub(in crate::engine) fn forget_pushes(&mut self, rules: &Rules) {
        let has = |place: &String| {
            let (repository, stage) = place.split_once(' ').unwrap_or_default();
            rules.repositories.keys().any(|name| name.as_str() == repository)
                && rules.stages.keys().any(|name| name.as_str() == stage)
        };
        let gone: Vec<String> = self.system.pushes.keys().filter(|place| !has(place)).cloned().collect();
        for place in gone {
            self.record(Fact::PushesSet { place, pushes: Vec::new() });
        }
    }
}

/// Both together.
pub(in crate::engine) fn join(taken: &mut Taken, other: &Taken) {
    for (place, upto) in other {
        match taken.get_mut(place) {
            Some(known) => *known = (*known).max(*upto),
            None => drop(taken.insert(place.clone(), *upto)),
        }
    }
}
