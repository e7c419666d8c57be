//! Merges of a promotion: computed for every repository of the set first, then made.

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{
    StepLog, Tools,
    foresight::{Ahead, Foreseen, Told},
    given::time_left,
    moved, require, signatures,
    step::{Progress, Step, Try, nothing_proceeds},
    tools::{message, not_on},
};
use crate::{
    engine::{Brings, CommitId, Made, Moved, StepWork, Unmoved, plan::Merge},
    providers::{
        Fault,
        git::{CheckedMerge, Conflict, MergeChange, Merged, Pin, conflicts_said},
    },
    rules::RuleName,
};

/// Computes a merge.
pub(super) struct CheckMergeStep<'plan>(pub(super) &'plan Merge);

#[async_trait]
impl Step for CheckMergeStep<'_> {
    async fn start(&self, on: &Try<'_>) -> Result<Progress, Fault> {
        check(self.0, on.work, on.tools, on.log).await
    }

    async fn cancel(&self, _: &str, _: &Try<'_>) -> Result<Progress, Fault> {
        nothing_proceeds()
    }

    async fn foresee(&self, ahead: Ahead<'_>) -> Foreseen {
        ahead.really(self).await
    }

    fn tell(&self, _: &StepWork, _: &Map<String, Value>) -> Told {
        Told::Passes(format!("{} can be merged", self.0.repository))
    }
}

/// Makes a merge.
pub(super) struct MergeStep<'plan>(pub(super) &'plan Merge);

#[async_trait]
impl Step for MergeStep<'_> {
    async fn start(&self, on: &Try<'_>) -> Result<Progress, Fault> {
        make(self.0, on.work, on.tools, on.log).await
    }

    async fn cancel(&self, _: &str, _: &Try<'_>) -> Result<Progress, Fault> {
        nothing_proceeds()
    }

    async fn foresee(&self, ahead: Ahead<'_>) -> Foreseen {
        ahead.really(self).await
    }

    fn tell(&self, _: &StepWork, _: &Map<String, Value>) -> Told {
        Told::Commit { repository: self.0.repository.clone(), merge: true }
    }
}

/// Computes the merge and what the stage demands of it; changes nothing.
async fn check(merge: &Merge, work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Progress, Fault> {
    let mirror = tools.mirror(work, &merge.repository)?;
    bring_all(merge, work, tools).await?;
    match mirror.check_merge(&change(merge, work), time_left(work)).await? {
        CheckedMerge::Conflict { conflicts } => Err(conflict(merge, work, &conflicts)),
        CheckedMerge::AlreadyContained { head } => {
            signatures::demand(work, &mirror, &merge.repository, &head).await?;
            log.line(&format!("{} holds {} already", work.branch, merge.commit.short())).await;
            for requirement in &merge.requires {
                let file = mirror.read_file(&head, &requirement.file).await?;
                require::demand(requirement, file.as_deref(), work)?;
            }
            let carried = moved::carried(&merge.makers, &mirror, merge.commit.as_str(), &head).await?;
            Ok(would_bring(carried))
        }
        CheckedMerge::Clean { head, tree } => {
            signatures::demand(work, &mirror, &merge.repository, &head).await?;
            for requirement in &merge.requires {
                let file = mirror.read_file_of_tree(&tree, &requirement.file).await?;
                require::demand(requirement, file.as_deref(), work)?;
            }
            log.line(&format!("{} merges into {} without conflict", merge.commit.short(), work.branch)).await;
            let carried = moved::carried(&merge.makers, &mirror, merge.commit.as_str(), &tree).await?;
            Ok(would_bring(carried))
        }
    }
}

/// What a check found that the merge would carry.
fn would_bring(carried: Vec<RuleName>) -> Progress {
    let unmoved = Unmoved { head: None, brought: Brings { carried, ..Brings::default() } };
    Progress::made(Made::Unmoved(unmoved.into()), [], Vec::new())
}

/// Merges into the stage's branch.
async fn make(merge: &Merge, work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Progress, Fault> {
    let mirror = tools.mirror(work, &merge.repository)?;
    bring_all(merge, work, tools).await?;
    let change = change(merge, work);
    let made = match mirror.merge(&change, time_left(work)).await? {
        Merged::Conflict { conflicts } => return Err(conflict(merge, work, &conflicts)),
        Merged::AlreadyContained { head } => {
            signatures::demand(work, &mirror, &merge.repository, &head).await?;
            log.line(&format!("{} holds {} already: nothing to merge", work.branch, merge.commit.short())).await;
            let carried = moved::carried(&merge.makers, &mirror, merge.commit.as_str(), &head).await?;
            let brought = Brings { carried, ..Brings::default() };
            let unmoved = Unmoved { head: Some(CommitId::new(head.as_str())), brought };
            let outputs = [("commit", Value::from(head)), ("changed", Value::from(false))];
            return Ok(Progress::made(Made::Unmoved(unmoved.into()), outputs, Vec::new()));
        }
        Merged::Committed { commit } | Merged::AlreadyThere { commit } => commit,
    };
    log.line(&format!("merged as {made}")).await;
    signatures::demand(work, &mirror, &merge.repository, &made).await?;
    for (file, pointer) in &merge.kept {
        log.line(&format!("`{pointer}` in {file} stays as {} has it: its own rules make it anew", work.stage)).await;
    }
    let carried = moved::carried(&merge.makers, &mirror, merge.commit.as_str(), &made).await?;
    // A merge has two parents; the way back to an older version, one.
    let parents = mirror.commit_info(&made).await?.parents;
    let parent = parents.first().cloned().unwrap_or_default();
    let paths = mirror.few_changed_paths(&parent, &made).await?;
    let back = parents.len() == 1;
    let moved = Moved {
        commit: CommitId::new(made.as_str()),
        parent: parents.first().map(CommitId::new),
        subject: change.message.subject.clone(),
        paths: paths.clone(),
        back,
        pins: Some(moved::pins(work, &mirror, &made).await?),
        brought: Brings { carried, ..Brings::default() },
    };
    let more = [("back", Value::from(back)), ("paths", Value::from(paths))];
    Ok(moved::committed(&merge.repository, moved, more))
}

/// The source is on another branch than the stage's: fetches what is not in the mirror yet.
async fn bring_all(merge: &Merge, work: &StepWork, tools: &Tools) -> Result<(), Fault> {
    let mirror = tools.mirror(work, &merge.repository)?;
    for commit in [Some(&merge.commit), merge.back_from.as_ref()].into_iter().flatten() {
        if mirror.commit_info(commit.as_str()).await.is_ok() {
            continue;
        }
        mirror.fetch(&[merge.branch.clone(), work.branch.clone()], time_left(work)).await?;
        let gone = "the branch was force-pushed: verify its new head, and promote that";
        mirror.commit_info(commit.as_str()).await.map_err(|_| not_on(&merge.branch, commit, (&mirror, work), gone))?;
    }
    Ok(())
}

fn change(merge: &Merge, work: &StepWork) -> MergeChange {
    let pins = |pins: &[(String, String)]| -> Vec<Pin> {
        pins.iter().map(|(path, pointer)| Pin { path: path.clone(), pointer: pointer.clone() }).collect()
    };
    let source = format!("{}@{}", merge.repository, merge.commit);
    let subject = format!("Promote {} {} to {}", merge.branch, merge.commit.short(), work.stage);
    MergeChange {
        source_commit: merge.commit.to_string(),
        branch: work.branch.clone(),
        back_from: merge.back_from.as_ref().map(ToString::to_string),
        pins: pins(&merge.pins),
        kept: pins(&merge.kept),
        message: message(work, &merge.repository, subject, &source),
    }
}

fn conflict(merge: &Merge, work: &StepWork, conflicts: &[Conflict]) -> Fault {
    let (repository, from, to) = (&merge.repository, &merge.branch, &work.branch);
    Fault::fail(
        format!("{repository} {from} and {to} cannot be merged: {}", conflicts_said(conflicts)),
        format!("merge {to} into {from} by hand, push it, then `tidegate retry {}`", work.run),
    )
}
