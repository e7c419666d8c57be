//! Merges of a promotion: computed for every repository of the set first, then made.

use serde_json::Value;

use super::{Progress, StepLog, Tools, commit::parent_of, require, time_left, tools::message};
use crate::{
    engine::{Artifact, CommitId, StepWork, plan::Merge},
    providers::{
        Fault,
        git::{CheckedMerge, MergeChange, Merged, Pin},
    },
};

/// Computes the merge and what the stage demands of it; changes nothing.
pub(super) async fn check(merge: &Merge, work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Progress, Fault> {
    let mirror = tools.mirror(work, &merge.repository)?;
    bring_source(merge, work, tools).await?;
    match mirror.check_merge(&change(merge, work), time_left(work)).await? {
        CheckedMerge::Conflict { paths } => Err(conflict(merge, work, &paths)),
        CheckedMerge::AlreadyContained { head } => {
            log.line(&format!("{} holds {} already", work.branch, merge.commit.short())).await;
            for requirement in &merge.requires {
                let file = mirror.read_file(&head, &requirement.file).await?;
                require::demand(requirement, file.as_deref(), work)?;
            }
            Ok(Progress::done([], Vec::new()))
        }
        CheckedMerge::Clean { tree, .. } => {
            for requirement in &merge.requires {
                let file = mirror.read_file_of_tree(&tree, &requirement.file).await?;
                require::demand(requirement, file.as_deref(), work)?;
            }
            log.line(&format!("{} merges into {} without conflict", merge.commit.short(), work.branch)).await;
            Ok(Progress::done([], Vec::new()))
        }
    }
}

/// Merges into the stage's branch.
pub(super) async fn make(merge: &Merge, work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Progress, Fault> {
    let mirror = tools.mirror(work, &merge.repository)?;
    bring_source(merge, work, tools).await?;
    let change = change(merge, work);
    let made = match mirror.merge(&change, time_left(work)).await? {
        Merged::Conflict { paths } => return Err(conflict(merge, work, &paths)),
        Merged::AlreadyContained { head } => {
            log.line(&format!("{} holds {} already: nothing to merge", work.branch, merge.commit.short())).await;
            return Ok(Progress::done([("commit", Value::from(head)), ("changed", Value::from(false))], Vec::new()));
        }
        Merged::Committed { commit } | Merged::AlreadyThere { commit } => commit,
    };
    log.line(&format!("merged as {made}")).await;
    let parent = parent_of(&mirror, &made).await?;
    Ok(Progress::done(
        [
            ("commit", Value::from(made.clone())),
            ("changed", Value::from(true)),
            ("parent", Value::from(parent)),
            ("subject", Value::from(change.message.subject)),
        ],
        vec![Artifact::commit(&merge.repository, &CommitId::new(made))],
    ))
}

/// The source commit is on another branch than the stage's: fetches what holds it.
async fn bring_source(merge: &Merge, work: &StepWork, tools: &Tools) -> Result<(), Fault> {
    let mirror = tools.mirror(work, &merge.repository)?;
    if mirror.commit_info(merge.commit.as_str()).await.is_ok() {
        return Ok(());
    }
    let branches = std::slice::from_ref(&merge.branch);
    mirror.fetch(branches, time_left(work)).await?;
    mirror.commit_info(merge.commit.as_str()).await.map(drop).map_err(|_| {
        Fault::fail(
            format!("commit {} is not on {} of {} any more", merge.commit.short(), merge.branch, mirror.url()),
            "the branch was force-pushed: verify its new head, and promote that",
        )
    })
}

fn change(merge: &Merge, work: &StepWork) -> MergeChange {
    let source = format!("{}@{}", merge.repository, merge.commit);
    MergeChange {
        source_commit: merge.commit.to_string(),
        branch: work.branch.clone(),
        instead: None,
        back_from: None,
        pins: merge.pins.iter().map(|(path, pointer)| Pin { path: path.clone(), pointer: pointer.clone() }).collect(),
        message: message(work, format!("Promote {} {} to {}", merge.branch, merge.commit.short(), work.stage), &source),
    }
}

fn conflict(merge: &Merge, work: &StepWork, paths: &[String]) -> Fault {
    Fault::fail(
        format!(
            "{} {} and {} changed the same lines of {}",
            merge.repository,
            merge.branch,
            work.branch,
            paths.join(", ")
        ),
        format!("merge {} into {} by hand, push it, then `tidegate retry {}`", work.branch, merge.branch, work.run),
    )
}
