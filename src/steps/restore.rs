//! Ways back: a repository's stage branch gets one commit on top that brings an earlier content back.

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{
    StepLog, Tools,
    commit::parent_of,
    foresight::{Ahead, Foreseen, Told},
    given::time_left,
    moved, signatures,
    step::{Progress, Step, Try, nothing_proceeds},
    tools::{commit_place, message},
};
use crate::{
    engine::{
        Brings, CommitId, Made, Moved, StepWork, Unmoved,
        plan::{Back, Restore},
    },
    providers::{
        Fault,
        git::{CheckedMerge, Conflict, Mirror, Pin, RestoreChange, Restored, conflicts_said},
    },
    rules::RuleName,
};

/// Computes a way back.
pub(super) struct CheckRestoreStep<'plan>(pub(super) &'plan Restore);

#[async_trait]
impl Step for CheckRestoreStep<'_> {
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
        Told::Passes(format!("{} can be taken back", self.0.repository))
    }
}

/// Takes a branch back.
pub(super) struct RestoreStep<'plan>(pub(super) &'plan Restore);

#[async_trait]
impl Step for RestoreStep<'_> {
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
        Told::Commit { repository: self.0.repository.clone(), merge: false }
    }
}

/// Computes the way back; changes nothing.
async fn check(restore: &Restore, work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Progress, Fault> {
    let mirror = tools.mirror(work, &restore.repository)?;
    if let Some(change) = change(restore, work, tools, &mirror).await? {
        match mirror.check_restore(&change, time_left(work)).await? {
            CheckedMerge::Conflict { conflicts } => return Err(conflict(restore, work, &conflicts)),
            CheckedMerge::AlreadyContained { head } => {
                signatures::demand(work, &mirror, &restore.repository, &head).await?;
                log.line("there is nothing to bring back").await;
            }
            CheckedMerge::Clean { head, .. } => {
                signatures::demand(work, &mirror, &restore.repository, &head).await?;
                log.line(&format!("{} can go back", restore.repository)).await;
            }
        }
    }
    Ok(Progress::done([], Vec::new()))
}

/// Brings the earlier content back.
async fn make(restore: &Restore, work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Progress, Fault> {
    let mirror = tools.mirror(work, &restore.repository)?;
    let Some(change) = change(restore, work, tools, &mirror).await? else {
        log.line("what was to be taken back is not on the branch").await;
        return Ok(Progress::made(
            Made::Unmoved(Unmoved::default().into()),
            [("changed", Value::from(false))],
            Vec::new(),
        ));
    };
    let (made, parent) = match mirror.restore(&change, time_left(work)).await? {
        Restored::Conflict { conflicts } => return Err(conflict(restore, work, &conflicts)),
        Restored::NothingToChange { head } => {
            signatures::demand(work, &mirror, &restore.repository, &head).await?;
            log.line(&format!("{} has that content already", work.branch)).await;
            let carried = moved::carried(&restore.makers, &mirror, &change.to, &head).await?;
            let unmoved = Unmoved { head: Some(CommitId::new(head.as_str())), brought: brought(&change, carried) };
            let (to, from) = (Value::from(change.to), Value::from(change.from));
            let facts = [("commit", Value::from(head)), ("to", to), ("from", from), ("changed", Value::from(false))];
            return Ok(Progress::made(Made::Unmoved(unmoved.into()), facts, Vec::new()));
        }
        Restored::Committed { commit, parent } => (commit, parent),
        Restored::AlreadyThere { commit } => {
            let parent = parent_of(&mirror, &commit).await?;
            (commit, parent)
        }
    };
    log.line(&format!("brought back as {made}")).await;
    signatures::demand(work, &mirror, &restore.repository, &made).await?;
    let paths = mirror.few_changed_paths(&parent, &made).await?;
    let carried = moved::carried(&restore.makers, &mirror, &change.to, &made).await?;
    let moved = Moved {
        commit: CommitId::new(made.as_str()),
        parent: Some(CommitId::new(parent.as_str())).filter(|parent| !parent.as_str().is_empty()),
        subject: change.message.subject.clone(),
        paths: paths.clone(),
        back: false,
        pins: Some(moved::pins(work, &mirror, &made).await?),
        brought: brought(&change, carried),
    };
    let more = [("paths", Value::from(paths)), ("to", Value::from(change.to)), ("from", Value::from(change.from))];
    Ok(moved::committed(&restore.repository, moved, more))
}

/// What the way back brings.
fn brought(change: &RestoreChange, carried: Vec<RuleName>) -> Brings {
    let (to, from) = (CommitId::new(change.to.as_str()), CommitId::new(change.from.as_str()));
    Brings { to: Some(to), from: Some(from), carried, ..Brings::default() }
}

/// The way back, with both of its commits in the mirror; `None` when what is to be undone was never on the branch.
async fn change(
    restore: &Restore,
    work: &StepWork,
    tools: &Tools,
    mirror: &Mirror,
) -> Result<Option<RestoreChange>, Fault> {
    let (to, from) = match &restore.back {
        Back::ToVersion { to, from } => (to.clone(), from.clone().unwrap_or_else(|| to.clone())),
        Back::Undo { key } => {
            let place = commit_place(work, &restore.repository);
            let found = mirror.commit_of_key(&place, key.as_str(), time_left(work)).await?;
            let Some(from) = found else { return Ok(None) };
            (CommitId::new(parent_of(mirror, &from).await?), CommitId::new(from))
        }
    };
    tools.bring(mirror, work, &to).await?;
    tools.bring(mirror, work, &from).await?;
    let subject = match &restore.back {
        Back::ToVersion { .. } => format!("Take {} back to {} of {}", work.stage, to.short(), restore.names),
        Back::Undo { .. } => format!("Take back {} of {}", from.short(), restore.names),
    };
    let source = format!("{}@{to}", restore.repository);
    let mut message = message(work, &restore.repository, subject, &source);
    let one_line = |text: &str| text.replace(char::is_control, " ");
    message.trailers.push(("Tidegate-Restores".to_owned(), restore.names.to_string()));
    message.trailers.push(("Tidegate-Decided-By".to_owned(), one_line(&restore.by)));
    message.trailers.push(("Tidegate-Reason".to_owned(), one_line(&restore.reason)));
    Ok(Some(RestoreChange {
        to: to.to_string(),
        from: from.to_string(),
        branch: work.branch.clone(),
        pins: restore.pins.iter().map(|(path, pointer)| Pin { path: path.clone(), pointer: pointer.clone() }).collect(),
        message,
    }))
}

fn conflict(restore: &Restore, work: &StepWork, conflicts: &[Conflict]) -> Fault {
    let (repository, branch) = (&restore.repository, &work.branch);
    let said = conflicts_said(conflicts);
    Fault::fail(
        format!("somebody changed in {repository} {branch} what is to go away: {said}"),
        format!("undo it there by hand, push it, then `tidegate retry {}`", work.run),
    )
}
