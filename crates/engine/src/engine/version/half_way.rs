//! Sets that ended half-way: which repositories a promotion or a way back has moved, which it may have, and which it has
//! not. Said until it is finished or taken back.

use crate::engine::{
    fact::StageFact,
    ids::RunId,
    made::Made,
    refused::Refused,
    run::{Run, Subject},
    state::HalfWay,
    step_run::{StepRun, StepState},
    turn::Turn,
};
use crate::rules::{RepositoryName, StageName};

/// What became of a step that moves a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    /// Its commit is on the branch.
    Surely,
    /// Its commit may be on the branch: its end was in doubt.
    Perhaps,
    /// There was nothing to do.
    NeedNot,
    /// Its commit is not on the branch.
    No,
}

fn moved(step: &StepRun) -> Moved {
    let unchanged = matches!(step.made, Made::Unmoved(_));
    match step.state {
        StepState::Done if unchanged => Moved::NeedNot,
        StepState::Done => Moved::Surely,
        StepState::Cancelled if step.started_ms.is_some() => Moved::Perhaps,
        StepState::Failed if step.tries > 0 => Moved::Perhaps,
        StepState::Cancelled | StepState::Failed => Moved::No,
        StepState::Blocked | StepState::Ready | StepState::Active => Moved::No,
    }
}

/// Whether a step's commit is on its branch, or may be.
pub(in crate::engine) fn may_have_moved(step: &StepRun) -> bool {
    matches!(moved(step), Moved::Surely | Moved::Perhaps)
}

/// The steps of a run that move a repository.
fn moves(run: &Run) -> impl Iterator<Item = &StepRun> {
    run.steps.iter().filter(|step| step.task.kind().moves_part_of_set())
}

/// Whether a run has moved a repository, or may have.
pub(in crate::engine) fn may_have_moved_any(run: &Run) -> bool {
    moves(run).any(may_have_moved)
}

impl Turn<'_> {
    /// Refuses to try a way back again that what happened since has made out of date: it would put an older content over
    /// what came after it.
    pub(in crate::engine) fn is_still_the_way_back(&self, run: &Run) -> Result<(), Refused> {
        if !matches!(run.subject, Subject::Rollback | Subject::TakeBack) {
            return Ok(());
        }
        let stage = &run.stage;
        let hint = format!("`tidegate rollback {stage}` goes back from what is there now");
        let half_way = self.system.versions.half_way.get(stage);
        let is_its = half_way.is_some_and(|half_way| half_way.taken_back_by.as_ref() == Some(&run.id));
        if run.subject == Subject::TakeBack && !is_its {
            let why = "what it was to take back does not stand half-way any more";
            return Err(Refused::not_now(&run.id, why, hint));
        }
        let since = self.system.ended.iter().rev().take_while(|ended| **ended != run.number);
        let mut since = since.filter_map(|number| self.system.runs.get(number));
        match since.find(|other| other.stage == *stage && may_have_moved_any(other)) {
            Some(other) => Err(Refused::not_now(&run.id, format!("{} has moved {stage} since", other.id), hint)),
            None => Ok(()),
        }
    }

    /// Something ended otherwise than well after it moved a repository, or may have: said until it is finished or taken
    /// back.
    pub(in crate::engine) fn note_half_way(&mut self, run: &Run, taken_back_by: Option<RunId>) {
        if !may_have_moved_any(run) {
            return;
        }
        let of = |wanted: Moved| -> Vec<RepositoryName> {
            let steps = moves(run).filter(|step| moved(step) == wanted);
            steps.filter_map(|step| step.task.moves().cloned()).collect()
        };
        let half_way = HalfWay {
            run: run.id.clone(),
            moved: of(Moved::Surely),
            doubtful: of(Moved::Perhaps),
            open: of(Moved::No),
            taken_back_by,
            since_ms: self.at_ms,
        };
        self.record_stage(&run.stage, StageFact::HalfWay(half_way));
    }

    /// A set that stood half-way in a stage is finished, or taken back.
    pub(in crate::engine) fn half_way_over(&mut self, stage: &StageName) {
        if self.system.versions.half_way.contains_key(stage) {
            self.record_stage(stage, StageFact::HalfWayOver);
        }
    }
}
