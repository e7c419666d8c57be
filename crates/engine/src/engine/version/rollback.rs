//! Ways back: a stage goes back to a version that was verified there before, by hand or because what was deployed was not
//! verified. Each repository gets an ordinary commit; what it starts are ordinary runs.

use crate::engine::{
    access::Principal,
    content::CommitSet,
    fact::{StageFact, StepFact},
    ids::{CommitId, Place, RunId, TargetKey},
    made::Brings,
    plan,
    refused::Refused,
    run::{Cause, Run, RunState, Subject},
    shared::Shared,
    state::{Policy, Promoted, RolledBack, Verified, Version},
    step_run::{StepRun, StepState},
    task::{Back, Restore, Task},
    turn::Turn,
    version::MOST_VERSIONS,
};
use crate::rules::{Moves, OnVerifyFailure, StageName, StepId};

/// Who decides where the rules do.
const THE_RULES: &str = "the rules";

/// Why a stage goes back.
pub(in crate::engine) struct Decided {
    pub(in crate::engine) by: String,
    pub(in crate::engine) reason: String,
    pub(in crate::engine) cause: Cause,
}

impl Decided {
    /// Somebody decided it.
    pub(in crate::engine) fn by_hand(by: &Principal, reason: &str) -> Self {
        let (by, reason) = (by.said(), reason.to_owned());
        let cause = Cause::Decision { by: by.clone(), reason: reason.clone() };
        Self { by, reason, cause }
    }
}

impl Turn<'_> {
    /// Takes a stage back to a version. `away` is what is to go away where that is known; else it is what is there when
    /// the way back begins.
    pub(in crate::engine) fn roll_back(
        &mut self,
        stage: &StageName,
        to: &Version,
        away: Option<&CommitSet>,
        why: Decided,
    ) {
        let restores = to.verified.set.iter().map(|(repository, commit)| Restore {
            repository: repository.clone(),
            back: Back::ToVersion { to: commit.clone(), from: away.and_then(|away| away.get(repository)).cloned() },
            pins: Vec::new(),
            makers: Vec::new(),
            names: to.verified.run.clone(),
            by: why.by.clone(),
            reason: why.reason.clone(),
        });
        let restores = restores.collect();
        self.go_back(Subject::Rollback, stage, to.verified.set.clone(), restores, why.cause);
    }

    /// Makes the run of a way back. It goes before whatever else waits to move the stage's repositories.
    pub(in crate::engine) fn go_back(
        &mut self,
        subject: Subject,
        stage: &StageName,
        set: CommitSet,
        restores: Vec<Restore>,
        cause: Cause,
    ) -> Option<RunId> {
        let in_force = self.system.rules.as_ref()?;
        let run = Run {
            id: RunId::new(""),
            number: 0,
            subject,
            stage: stage.clone(),
            cause,
            source: None,
            set,
            authors: Shared::default(),
            others_wrote: false,
            hotfix: None,
            origin: Shared::default(),
            rules: in_force.digest.clone(),
            state: RunState::Queued,
            target: Some(TargetKey::Promotions(stage.clone())),
            holds_from_start: true,
            steps: plan::of_way_back(&in_force.rules, stage, restores).into(),
            created_ms: self.at_ms,
            ended_ms: None,
            ends_as: None,
            reason: None,
        };
        let id = self.begin_run(run, Policy::Supersede);
        self.claim_target(self.system.runs_made);
        Some(id)
    }

    /// Before a repository is merged into or taken back: what the engine knows of what is there. A way back keeps what
    /// it saw when it was checked, so that what is pushed after that stays.
    pub(in crate::engine) fn look_before_moving(&mut self, number: u64, id: &StepId) {
        let stage = self.run(number).stage.clone();
        let Some(repository) = self.step_of(number, id).task.moves().cloned() else { return };
        let place = Place { repository, stage };
        let head = self.system.head(&place.repository, &place.stage).map(|head| head.commit.clone());
        let kept = match &*self.step_of(number, id).task {
            Task::Merge(merge) => self.kept_pins(number, merge),
            _ => Vec::new(),
        };
        match &*self.step_of(number, id).task {
            Task::CheckMerge(merge) | Task::Merge(merge) if merge.kept != kept => {
                self.record_step(number, id, StepFact::KeptSet { kept });
            }
            Task::CheckRestore(_) => self.fix_what_goes_away(number, &place, head.as_ref()),
            _ => {}
        }
        let is_rollback = self.run(number).subject == Subject::Rollback;
        if is_rollback && self.step_of(number, id).task.kind().moves == Moves::Back {
            self.stop_what_would_overwrite(number);
        }
    }

    fn fix_what_goes_away(&mut self, number: u64, place: &Place, head: Option<&CommitId>) {
        let Some(from) = head else { return };
        let leaves = |step: &&StepRun| match &*step.task {
            Task::CheckRestore(restore) | Task::Restore(restore) => {
                restore.repository == place.repository && matches!(restore.back, Back::ToVersion { from: None, .. })
            }
            _ => false,
        };
        let steps = self.run(number).steps.iter().filter(leaves).map(|step| step.id.clone());
        for id in steps.collect::<Vec<_>>() {
            self.record_step(number, &id, StepFact::LeavesSet { from: from.clone() });
        }
    }

    /// A stage's repositories begin to go back: what was begun there and is still to be written would write over that,
    /// unless it is of what comes back. What holds a target goes on, and is not verified any more.
    fn stop_what_would_overwrite(&mut self, number: u64) {
        let (id, stage) = (self.run(number).id.clone(), self.run(number).stage.clone());
        let to = self.rolled_back_to(self.run(number));
        let begun = self.system.live_runs().filter(|run| run.stage == stage && run.state != RunState::Ending);
        let begun = begun.filter(|run| matches!(run.subject, Subject::Rule(_)) && !self.system.is_of_version(run, &to));
        let holds = |run: &&Run| {
            let target = run.target.as_ref().and_then(|key| self.system.targets.get(key));
            !run.holds_from_start && target.is_some_and(|target| target.holder == Some(run.number))
        };
        let begun = begun.filter(|run| !holds(run) && run.steps.iter().any(|step| step.is_to_move()));
        for begun in begun.map(|run| run.number).collect::<Vec<_>>() {
            self.stop_run(begun, RunState::Superseded, format!("{id} takes {stage} back"));
        }
        self.go_on_with_what_comes_back(number);
    }

    /// What is promoted from a stage that goes back is from now on what it goes back to: a promotion of anything else ends,
    /// unless it has begun to merge. Half of a set is worse.
    fn go_on_with_what_comes_back(&mut self, number: u64) {
        let run = self.run(number);
        let to = self.rolled_back_to(run).verified;
        let from = Subject::Promotion { from: run.stage.clone() };
        let onward = self.system.live_runs().filter(|other| other.subject == from && other.state != RunState::Ending);
        let onward = onward.filter(|other| !other.steps.iter().any(StepRun::is_begun_merge));
        let onward = onward.filter(|other| !self.system.same_content(&other.set, &run.set));
        let reason = format!("{} takes {} back to {}", run.id, run.stage, to.run);
        let (stage, onward): (StageName, Vec<u64>) = (run.stage.clone(), onward.map(|other| other.number).collect());
        for onward in onward {
            self.stop_run(onward, RunState::Superseded, reason.clone());
        }
        self.record_stage(&stage, StageFact::Verified(to));
    }

    /// A step of a way back is done: what its place holds from now on.
    pub(in crate::engine) fn went_back(&mut self, number: u64, id: &StepId, restore: &Restore) {
        let step = self.step_of(number, id);
        let now = step.made.head().cloned();
        let Brings { to, from, .. } = step.made.brought().cloned().unwrap_or_default();
        let moved = step.made.moved();
        let parent = moved.and_then(|moved| moved.parent.clone());
        let changed = moved.and_then(|moved| moved.paths.clone());
        let made = parent.is_some();
        let to = to.or_else(|| match &restore.back {
            Back::ToVersion { to, .. } => Some(to.clone()),
            Back::Undo { .. } => None,
        });
        let (Some(now), Some(to)) = (now, to) else { return };
        // With nothing to change, the head itself is what is there.
        let exact = from.as_ref() == Some(parent.as_ref().unwrap_or(&now));
        if made || exact {
            self.carries_back(&now, &to, exact);
        }
        let place = Place { repository: restore.repository.clone(), stage: self.run(number).stage.clone() };
        self.made_head(number, id, &place, changed.as_deref(), None);
        self.pins_moved(number, id, &place);
    }

    /// A rollback is over.
    pub(in crate::engine) fn rollback_ended(&mut self, run: &Run) {
        let stage = &run.stage;
        if run.state == RunState::Done {
            let made = moved_to(run);
            self.join_heads(stage, &made);
            self.half_way_over(stage);
            self.forget_merges(stage, &run.id);
            let to = self.rolled_back_to(run);
            self.took_away(stage, to.promoted.as_ref());
            let (by, reason) = decided(run);
            // Whatever has begun until now began on what went away.
            let (at_ms, id, number) = (self.at_ms, run.id.clone(), self.system.runs_made);
            let back = RolledBack { run: id, number, to, made, at_ms, by, reason };
            self.record_stage(stage, StageFact::RolledBack(Box::new(back)));
        } else {
            self.note_half_way(run, None);
        }
        self.set_moved(run);
        self.release_held(stage);
    }

    fn rolled_back_to(&self, run: &Run) -> Version {
        let named = run.steps.iter().find_map(|step| match &*step.task {
            Task::Restore(restore) => self.system.version(&run.stage, &restore.names),
            _ => None,
        });
        let pinned = self.system.versions.pinned.get(&run.stage).map(|pinned| &pinned.version);
        let known = named.or_else(|| pinned.filter(|version| version.verified.set == run.set)).cloned();
        known.unwrap_or_else(|| Version {
            verified: Verified {
                set: run.set.clone(),
                run: run.id.clone(),
                at_ms: self.at_ms,
                authors: run.authors.clone(),
                artifacts: self.system.artifacts_of(&run.set).into(),
                made_here: CommitSet::default(),
                hotfix: None,
            },
            promoted: None,
        })
    }

    /// What had been promoted into the stage is not there any more: it comes back only if somebody wants it.
    pub(in crate::engine) fn took_away(&mut self, stage: &StageName, now: Option<&Promoted>) {
        let before = self.system.promoted.get(stage).cloned();
        match now {
            Some(now) => self.record_stage(stage, StageFact::Promoted(now.clone())),
            None if before.is_some() => self.record_stage(stage, StageFact::PromotionForgotten),
            None => {}
        }
        let Some(before) = before.filter(|before| now.is_none_or(|now| now.set != before.set)) else { return };
        let mut sets = self.system.versions.taken_away.get(stage).cloned().unwrap_or_default();
        sets.retain(|set| *set != before.set);
        sets.push(before.set);
        let surplus = sets.len().saturating_sub(MOST_VERSIONS);
        sets.drain(..surplus);
        self.record_stage(stage, StageFact::TakenAwaySet { sets });
    }

    /// Whether what a run verified has been left behind: its stage went back after it began, or is about to.
    pub(in crate::engine) fn is_left_behind(&self, run: &Run) -> bool {
        let mut going = self.system.live_runs().filter(|other| other.subject == Subject::Rollback);
        let is_going = going.any(|other| other.stage == run.stage && !self.system.same_content(&other.set, &run.set));
        let back = self.system.versions.rolled_back.get(&run.stage).filter(|back| back.number >= run.number);
        is_going || back.is_some_and(|back| !self.system.same_content(&back.to.verified.set, &run.set))
    }

    /// Where a stage goes back to because a run could not verify what it had deployed, where that is the target's policy:
    /// never twice for one set, and never again before something was verified there.
    pub(in crate::engine) fn goes_back_after(&self, run: &Run) -> Option<Version> {
        let stage = &run.stage;
        let (name, _) = run.target.as_ref()?.target()?;
        let target = self.system.rules()?.targets.get(name)?;
        let not_verified = |step: &StepRun| {
            let deployed = || {
                run.before(step).iter().any(|before| before.task.kind().deploys() && before.state == StepState::Done)
            };
            step.task.kind().verifies() && step.state == StepState::Failed && deployed()
        };
        let wanted = target.on_verify_failure == OnVerifyFailure::Rollback
            && run.state == RunState::Failed
            && run.steps.iter().any(not_verified);
        let source = run.source.as_ref()?;
        let is_there = self.system.head(&source.repository, stage).is_some_and(|head| head.commit == source.commit);
        let going = self.system.live_runs().any(|run| run.subject == Subject::Rollback && run.stage == *stage);
        let verified_ms = self.system.versions_of(stage).last().map_or(0, |version| version.verified.at_ms);
        let only_went_back = self.system.versions.rolled_back.get(stage).is_some_and(|back| back.at_ms >= verified_ms);
        if !wanted || !is_there || going || only_went_back || self.system.versions.pinned.contains_key(stage) {
            return None;
        }
        let mut known = self.system.versions_of(stage).iter();
        if known.any(|version| self.system.same_content(&version.verified.set, &run.set)) {
            return None;
        }
        self.system.version_before(stage).cloned()
    }

    /// Takes the stage of a run back, where what it deployed was not verified and the target's policy is that.
    pub(in crate::engine) fn verify_failed(&mut self, run: &Run) {
        let Some(to) = self.goes_back_after(run) else { return };
        let why = Decided {
            by: THE_RULES.to_owned(),
            reason: format!("{} could not verify what it deployed", run.id),
            cause: Cause::NotVerified { run: run.id.clone() },
        };
        self.roll_back(&run.stage, &to, Some(&run.set), why);
    }

    /// What promotions into the stage merged before they failed is not there any more: tried again, they merge it anew.
    pub(in crate::engine) fn forget_merges(&mut self, stage: &StageName, by: &RunId) {
        let ended = self.system.all_runs().filter(|run| {
            run.stage == *stage
                && matches!(run.subject, Subject::Promotion { .. })
                && matches!(run.state, RunState::Failed | RunState::Aborted)
        });
        let merged = |step: &&StepRun| step.task.kind().moves == Moves::Merge && step.state == StepState::Done;
        let undone = ended.flat_map(|run| {
            let merged = run.steps.iter().filter(merged);
            merged.map(|step| (run.number, step.id.clone()))
        });
        for (number, id) in undone.collect::<Vec<_>>() {
            self.record_step(number, &id, StepFact::Undone { hint: format!("{by} took it back") });
        }
    }
}

/// The commits that the steps of a way back came to.
fn moved_to(run: &Run) -> CommitSet {
    let restores = run.steps.iter().filter_map(|step| match &*step.task {
        Task::Restore(restore) => Some((restore.repository.clone(), step.made.head()?.clone())),
        _ => None,
    });
    restores.collect()
}

/// Who decided a way back, and why.
pub(in crate::engine) fn decided(run: &Run) -> (String, String) {
    let restore = run.steps.iter().find_map(|step| match &*step.task {
        Task::Restore(restore) => Some((restore.by.clone(), restore.reason.clone())),
        _ => None,
    });
    restore.unwrap_or_default()
}

impl Turn<'_> {
    /// `tidegate rollback`.
    pub(in crate::engine) fn rollback_command(
        &mut self,
        by: &Principal,
        stage: &StageName,
        to: Option<&RunId>,
        reason: &str,
    ) -> Result<(), Refused> {
        self.known_stage(stage)?;
        let to = self.version_to_go_back_to(stage, to)?.clone();
        self.not_vetoed(by, &format!("roll {stage} back to {}", to.verified.run), &to.verified.set)?;
        self.not_pinned(by, stage, &to)?;
        let here = self.system.version_here(stage);
        let moving = self.promotion_moves(stage);
        if !moving && here.is_some_and(|here| self.system.same_content(&to.verified.set, &here.verified.set)) {
            return Err(Refused::unknown(
                format!("{stage} is at {} already", to.verified.run),
                self.versions_hint(stage),
            ));
        }
        self.roll_back(stage, &to, None, Decided::by_hand(by, reason));
        Ok(())
    }

    fn version_to_go_back_to(&self, stage: &StageName, to: Option<&RunId>) -> Result<&Version, Refused> {
        let found = match to {
            Some(run) => return self.known_version(stage, run),
            None => self.system.version_before(stage),
        };
        found.ok_or_else(|| {
            Refused::unknown(
                format!("{stage} has no earlier version to go back to"),
                "a version is what a run that deploys there has verified, and nobody has vetoed",
            )
        })
    }
}
