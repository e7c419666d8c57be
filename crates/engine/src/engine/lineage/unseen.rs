//! Commits of ours that may be on a branch and that no watch has shown yet. Whatever they bring is kept until they are seen,
//! so that a run's end, and the many runs after it, lose neither whose change it is nor what it was made from.

use serde::{Deserialize, Serialize};

use crate::engine::{
    authors::Taken,
    event::CommitSet,
    fact::Fact,
    gate::hotfix::Hotfix,
    ids::{PinnerId, Place, RunId, StepKey},
    lineage::{self, Lineage},
    run::{Run, StepState, Subject},
    turn::Turn,
};
use crate::rules::StepId;

/// How many such commits a system keeps. Each is a push of ours between two looks at its repository; a repository that
/// cannot be looked at cannot be pushed to for long either.
const MOST_UNSEEN: usize = 64;

/// What a commit of ours brings to the repository that it is made in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Brought {
    /// The run that made it.
    pub by: RunId,
    /// The commits that led to it; none for a promotion, whose set is of the stage before.
    pub set: CommitSet,
    /// How far the pushes to each place are in it.
    #[serde(default, skip_serializing_if = "Taken::is_empty")]
    pub taken: Taken,
    /// That it is of a hotfix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hotfix: Option<Hotfix>,
    /// What is pinned by it, and from what that was made; nothing for a promotion.
    pub pinned: Option<(PinnerId, Lineage)>,
}

/// A commit of ours that no watch has shown yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unseen {
    /// Where it is.
    pub place: Place,
    /// When it was made, as a place in the log.
    pub order: u64,
    /// Whether it was made for certain, rather than perhaps, before its step failed.
    pub made: bool,
    /// What it brings.
    pub brought: Brought,
}

impl Turn<'_> {
    /// What the commit of a run's step brings with it.
    pub(in crate::engine) fn brought(&self, run: &Run, step: &StepId) -> Brought {
        let mut brought = Brought {
            by: run.id.clone(),
            set: CommitSet::new(),
            taken: run.step(step).map(|step| self.system.brought_by(run, step)).unwrap_or_default(),
            hotfix: run.hotfix.clone(),
            pinned: None,
        };
        if let Subject::Rule(rule) = &run.subject {
            brought.set = run.set.clone();
            brought.pinned = Some((PinnerId::of(rule, step), lineage::of_run(&self.system, run)));
        }
        brought
    }

    /// Keeps what a step's commit brings until a watch shows it. The oldest of too many is let go.
    pub(in crate::engine) fn keep_unseen(&mut self, number: u64, id: &StepId) {
        let Some(rules) = self.system.rules() else { return };
        let (run, step) = (self.run(number), self.step_of(number, id));
        let Some(repository) = step.task.writes_to().filter(|_| step.started_ms.is_some()) else { return };
        let place = Place { repository: repository.clone(), stage: run.stage.clone() };
        let (key, brought, made) = (run.key(&rules.system, step), self.brought(run, id), step.state == StepState::Done);
        self.record(Fact::UnseenSet { key, unseen: Unseen { place, order: self.seq, made, brought } });
        while self.system.unseen.len() > MOST_UNSEEN {
            let oldest = self.system.unseen.iter().min_by_key(|(_, unseen)| unseen.order).map(|(key, _)| key.clone());
            let Some(key) = oldest else { return };
            self.record(Fact::UnseenForgotten { key });
        }
    }

    /// What a commit of ours that a watch shows brings, as far as that is known, and where it was made.
    pub(in crate::engine) fn shown(&mut self, key: &StepKey) -> Option<(Place, Brought)> {
        if let Some(Unseen { place, brought, .. }) = self.system.unseen.get(key).cloned() {
            self.record(Fact::UnseenForgotten { key: key.clone() });
            return Some((place, brought));
        }
        let mut parts = key.as_str().split('/');
        let ours = self.system.rules().is_some_and(|rules| parts.next() == Some(rules.system.as_str()));
        let run = parts.next().filter(|_| ours).and_then(|id| self.system.run(&RunId::new(id)))?;
        let step = run.step(&StepId::new(parts.next()?).ok()?)?;
        let place = Place { repository: step.task.writes_to()?.clone(), stage: run.stage.clone() };
        Some((place, self.brought(run, &step.id)))
    }
}
