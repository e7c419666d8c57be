//! Versions and vetoes: which commit is of which version, what a veto of any commit would keep from moving, and at which of its
//! versions a stage is.

use tidegate_engine::{
    engine::{CommitId, CommitSet, RunState, Subject},
    rules::StageName,
};

use super::told::Lattice;
use crate::{
    explained::give,
    support::{stage, veto},
};

impl Lattice {
    /// Of all heads, and of a veto of one commit.
    pub(super) fn versions_are_those_of_the_model(&self, one: &CommitId) {
        for at in ["dev", "qa", "main"].map(stage) {
            for commit in self.world.system.heads_of(&at).values() {
                let known: Vec<CommitId> = self.world.system.carried(commit).cloned().collect();
                assert_eq!(known, self.world.contents.versions_of(commit), "{commit}, after {:#?}", self.story());
            }
            self.is_at_its_version(&at);
        }
        self.a_veto_holds_what_is_of_it(one);
    }

    fn is_of(&self, set: &CommitSet, one: &CommitId) -> bool {
        set.values().any(|commit| self.world.contents.versions_of(commit).contains(one))
    }

    fn a_veto_holds_what_is_of_it(&self, one: &CommitId) {
        let before = &self.world.system;
        let mut vetoed = before.clone();
        give(&mut vetoed, &veto(one.as_str())).unwrap();
        for at in ["dev", "qa", "main"].map(stage) {
            let versions = before.versions_of(&at).iter().map(|version| version.verified.set.clone());
            for set in versions.chain([before.heads_of(&at)]) {
                let is_held = vetoed.vetoed_set(&set).is_some();
                assert_eq!(is_held, self.is_of(&set, one), "{one} in {set:?} of {at}, after {:#?}", self.story());
            }
        }
        for run in before.live_runs().filter(|run| run.subject != Subject::TakeBack) {
            let now = vetoed.run(&run.id).map(|run| run.state);
            let is_stopped = now != Some(run.state) && run.state != RunState::Ending;
            assert!(!is_stopped || self.is_of(&run.set, one), "a veto of {one} stops {}: {run:#?}", run.id);
        }
    }

    /// A stage is at the newest of its versions that has what its heads have, by the first name that this had.
    fn is_at_its_version(&self, at: &StageName) {
        let system = &self.world.system;
        let (heads, known) = (system.heads_of(at), system.versions_of(at));
        let content = |commit: &CommitId| self.world.contents.content(commit);
        let same = |one: &CommitSet, other: &CommitSet| {
            one.iter().all(|(of, commit)| other.get(of).is_some_and(|other| content(commit) == content(other)))
        };
        let newest = known.iter().rev().find(|version| same(&version.verified.set, &heads));
        let first =
            newest.and_then(|newest| known.iter().find(|version| same(&newest.verified.set, &version.verified.set)));
        let here = system.version_here(at);
        let name = |version: Option<&tidegate_engine::engine::version::Version>| {
            version.map(|version| version.verified.run.to_string())
        };
        assert_eq!(name(here), name(first), "{at} at {heads:?}, after {:#?}", self.story());
    }
}
