//! Merges of a promotion: computed for every repository of the set first, then made.

use serde_json::Value;

use super::{Progress, StepLog, Tools, moved, require, time_left, tools::message};
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
    bring_all(merge, work, tools).await?;
    match mirror.check_merge(&change(merge, work), time_left(work)).await? {
        CheckedMerge::Conflict { paths } => Err(conflict(merge, work, &paths)),
        CheckedMerge::AlreadyContained { head } => {
            log.line(&format!("{} holds {} already", work.branch, merge.commit.short())).await;
            for requirement in &merge.requires {
                let file = mirror.read_file(&head, &requirement.file).await?;
                require::demand(requirement, file.as_deref(), work)?;
            }
            let carried = moved::carried(&merge.makers, &mirror, merge.commit.as_str(), &head).await?;
            Ok(Progress::done([("carried", carried)], Vec::new()))
        }
        CheckedMerge::Clean { tree, .. } => {
            for requirement in &merge.requires {
                let file = mirror.read_file_of_tree(&tree, &requirement.file).await?;
                require::demand(requirement, file.as_deref(), work)?;
            }
            log.line(&format!("{} merges into {} without conflict", merge.commit.short(), work.branch)).await;
            let carried = moved::carried(&merge.makers, &mirror, merge.commit.as_str(), &tree).await?;
            Ok(Progress::done([("carried", carried)], Vec::new()))
        }
    }
}

/// Merges into the stage's branch.
pub(super) async fn make(merge: &Merge, work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Progress, Fault> {
    let mirror = tools.mirror(work, &merge.repository)?;
    bring_all(merge, work, tools).await?;
    let change = change(merge, work);
    let made = match mirror.merge(&change, time_left(work)).await? {
        Merged::Conflict { paths } => return Err(conflict(merge, work, &paths)),
        Merged::AlreadyContained { head } => {
            log.line(&format!("{} holds {} already: nothing to merge", work.branch, merge.commit.short())).await;
            let carried = moved::carried(&merge.makers, &mirror, merge.commit.as_str(), &head).await?;
            let facts = [("commit", Value::from(head)), ("changed", Value::from(false)), ("carried", carried)];
            return Ok(Progress::done(facts, Vec::new()));
        }
        Merged::Committed { commit } | Merged::AlreadyThere { commit } => commit,
    };
    log.line(&format!("merged as {made}")).await;
    for (file, pointer) in &merge.kept {
        log.line(&format!("`{pointer}` in {file} stays as {} has it: its own rules make it anew", work.stage)).await;
    }
    let carried = moved::carried(&merge.makers, &mirror, merge.commit.as_str(), &made).await?;
    let pins = moved::pins(work, &mirror, &made).await?;
    // A merge has two parents; the way back to an older version, one.
    let parents = mirror.commit_info(&made).await?.parents;
    let parent = parents.first().cloned().unwrap_or_default();
    let paths = mirror.few_changed_paths(&parent, &made).await?;
    Ok(Progress::done(
        [
            ("commit", Value::from(made.clone())),
            ("changed", Value::from(true)),
            ("back", Value::from(parents.len() == 1)),
            ("parent", Value::from(parent)),
            ("paths", Value::from(paths)),
            ("carried", carried),
            ("pins", pins),
            ("subject", Value::from(change.message.subject)),
        ],
        vec![Artifact::commit(&merge.repository, &CommitId::new(made))],
    ))
}

/// The source is on another branch than the stage's: fetches what is not in the mirror yet.
async fn bring_all(merge: &Merge, work: &StepWork, tools: &Tools) -> Result<(), Fault> {
    let mirror = tools.mirror(work, &merge.repository)?;
    for commit in [Some(&merge.commit), merge.back_from.as_ref()].into_iter().flatten() {
        if mirror.commit_info(commit.as_str()).await.is_ok() {
            continue;
        }
        mirror.fetch(&[merge.branch.clone(), work.branch.clone()], time_left(work)).await?;
        mirror.commit_info(commit.as_str()).await.map_err(|_| {
            Fault::fail(
                format!("commit {} is not on {} of {} any more", commit.short(), merge.branch, mirror.url()),
                "the branch was force-pushed: verify its new head, and promote that",
            )
        })?;
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
