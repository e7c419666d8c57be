//! `commit`: pins what was built in a file of the next repository.

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{
    StepLog, Tools,
    foresight::{Ahead, Foreseen, Told},
    given::time_left,
    moved,
    step::{Progress, Step, Try, nothing_proceeds},
    tools::message,
};
use crate::{
    engine::{Brings, CommitId, Made, Moved, StepWork, Unmoved},
    providers::{
        Fault,
        git::{FileEdit, ForwardChange, Forwarded, MADE_FROM_TRAILER, Mirror},
    },
    rules::{
        Commit, TemplateError,
        template::{render, render_value},
    },
};

/// Pins what was made.
pub(super) struct CommitStep<'rule>(pub(super) &'rule Commit);

#[async_trait]
impl Step for CommitStep<'_> {
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

async fn make(commit: &Commit, work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Progress, Fault> {
    let mirror = tools.mirror(work, &commit.repository)?;
    let context = work.context();
    let template_fault = |error: TemplateError| Fault::fail(error.to_string(), "correct the template in the rules");
    let set = commit.set.iter().map(|(pointer, value)| Ok((pointer.clone(), render_value(value, &context)?)));
    let set: Vec<(String, Value)> = set.collect::<Result<_, _>>().map_err(template_fault)?;
    let source =
        work.source.as_ref().map_or_else(String::new, |source| format!("{}@{}", source.repository, source.commit));
    let subject = match &commit.message {
        Some(template) => render(template, &context).map_err(template_fault)?,
        None => default_subject(work, &set),
    };
    let pinned = Value::Object(set.iter().cloned().collect());
    let mut message = message(work, &commit.repository, subject.clone(), &source);
    let made_from = work.made_from.iter().map(|(repository, commit)| format!("{repository}@{commit}"));
    message.trailers.extend(made_from.map(|of| (MADE_FROM_TRAILER.to_owned(), of)));
    let edits = vec![FileEdit { path: commit.file.clone(), set }];
    let change = ForwardChange { branch: work.branch.clone(), edits, message };
    match mirror.forward(&change, time_left(work)).await? {
        Forwarded::Committed { commit: made, parent } => {
            log.line(&format!("committed {made} to {} {}", commit.repository, work.branch)).await;
            Ok(done(commit, (&made, &parent), &subject, pinned))
        }
        Forwarded::AlreadyThere { commit: made } => {
            log.line(&format!("{made} is there already")).await;
            Ok(done(commit, (&made, &parent_of(&mirror, &made).await?), &subject, pinned))
        }
        Forwarded::NothingToChange { head } => {
            log.line(&format!("{} {} says so already: nothing to commit", commit.repository, work.branch)).await;
            let unmoved = Unmoved { head: Some(CommitId::new(head.as_str())), brought: brought(&pinned) };
            let outputs = [
                ("changed", Value::from(false)),
                ("commit", Value::from("")),
                ("head", Value::from(head)),
                ("pinned", pinned),
            ];
            Ok(Progress::made(Made::Unmoved(unmoved.into()), outputs, Vec::new()))
        }
    }
}

/// The pins that the step brings.
fn brought(pinned: &Value) -> Brings {
    let pinned = pinned.as_object().into_iter().flatten();
    let pinned = pinned.map(|(pointer, value)| (pointer.clone(), value.clone())).collect();
    Brings { pinned, ..Brings::default() }
}

/// The commit that a commit of ours was made on.
pub(super) async fn parent_of(mirror: &Mirror, commit: &str) -> Result<String, Fault> {
    Ok(mirror.commit_info(commit).await?.parents.into_iter().next().unwrap_or_default())
}

fn default_subject(work: &StepWork, set: &[(String, Value)]) -> String {
    let what = match set {
        [(_, Value::String(value)), ..] => value.clone(),
        [(pointer, _), ..] => pointer.trim_start_matches('/').to_owned(),
        [] => "nothing".to_owned(),
    };
    let source = work.source.as_ref();
    let from =
        source.map_or_else(String::new, |source| format!(" from {} {}", source.repository, source.commit.short()));
    format!("Pin {what}{from}")
}

fn done(commit: &Commit, (made, parent): (&str, &str), subject: &str, pinned: Value) -> Progress {
    let moved = Moved {
        commit: CommitId::new(made),
        parent: Some(CommitId::new(parent)).filter(|parent| !parent.as_str().is_empty()),
        subject: subject.to_owned(),
        paths: None,
        back: false,
        pins: None,
        brought: brought(&pinned),
    };
    moved::committed(&commit.repository, moved, [("pinned", pinned)])
}
