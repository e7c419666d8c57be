//! `check`: a gate that something outside opens. Each look asks once; until the answer is yes, what came back is shown, and
//! it is asked again.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{
    StepLog, Tools,
    foresight::{Ahead, Foreseen, Told},
    given::time_left,
    step::{Progress, Step, Try, nothing_proceeds},
    verify::{InTree, template_fault},
};
use crate::{
    engine::{CommitId, StepWork},
    providers::{
        Fault,
        commit_status::CommitStatus,
        git::Mirror,
        http_check::{self, Check as Question},
    },
    rules::{CHECK_EVERY, Check, RepositoryName, template::render},
};

/// The longest answer that is shown while it is waited for.
const SHOWN_CHARACTERS: usize = 300;

/// What came back.
enum Answer {
    Yes(String),
    NotYet(String),
}

/// Asks something outside.
pub(super) struct CheckStep<'rule>(pub(super) &'rule Check);

#[async_trait]
impl Step for CheckStep<'_> {
    async fn start(&self, on: &Try<'_>) -> Result<Progress, Fault> {
        ask(self.0, on.work, on.tools, on.log).await
    }

    async fn cancel(&self, _: &str, _: &Try<'_>) -> Result<Progress, Fault> {
        nothing_proceeds()
    }

    async fn foresee(&self, ahead: Ahead<'_>) -> Foreseen {
        let question = self.0.rendered(&ahead.work.context()).question();
        Foreseen::assumed([("answer", Value::from(format!("assumed: {question}")))])
    }

    fn tell(&self, work: &StepWork, _: &Map<String, Value>) -> Told {
        Told::Passes(format!("it waits for {}", self.0.rendered(&work.context()).question()))
    }
}

async fn ask(check: &Check, work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Progress, Fault> {
    let answer = if let Some(url) = &check.http {
        http(check, url, work).await?
    } else if let Some(name) = &check.commit_status {
        commit_status(check, name, work, tools).await?
    } else {
        command(check, work, tools, log).await?
    };
    match answer {
        Answer::Yes(answer) => {
            log.line(&format!("yes: {answer}")).await;
            Ok(Progress::done([("answer", Value::from(answer))], Vec::new()))
        }
        Answer::NotYet(answer) => {
            let every = check.every.unwrap_or(CHECK_EVERY).as_ms();
            Ok(Progress::Pending {
                handle: "asked".to_owned(),
                after: Duration::from_millis(u64::try_from(every).unwrap_or(0)),
                progress: answer.chars().take(SHOWN_CHARACTERS).collect(),
            })
        }
    }
}

async fn http(check: &Check, url: &str, work: &StepWork) -> Result<Answer, Fault> {
    let context = work.context();
    let rendered = |text: &str| render(text, &context).map_err(template_fault);
    let question = Question {
        url: rendered(url)?,
        status: Some(check.status.unwrap_or(200)),
        contains: check.contains.as_deref().map(rendered).transpose()?,
        follow_redirects: false,
        deadline: answer_deadline(check, work),
    };
    match http_check::check(&question).await {
        Ok(passed) => Ok(Answer::Yes(format!("GET {} answered {}", question.url, passed.status))),
        Err(Fault::Retry { error, .. }) => Ok(Answer::NotYet(error)),
        Err(fault) => Err(fault),
    }
}

async fn commit_status(check: &Check, name: &str, work: &StepWork, tools: &Tools) -> Result<Answer, Fault> {
    let (repository, commit) = subject(check, work)?;
    let url = work.urls.get(&repository).map(String::as_str).unwrap_or_default();
    let deadline = answer_deadline(check, work);
    let status = match tools.statuses.status(url, commit.as_str(), name, deadline).await {
        Ok(status) => status,
        Err(Fault::Retry { error, .. }) => return Ok(Answer::NotYet(error)),
        Err(fault) => return Err(fault),
    };
    let of = format!("`{name}` of {repository} {}", commit.short());
    Ok(match status {
        CommitStatus::Success(text) => Answer::Yes(format!("{of} is a success: {text}")),
        CommitStatus::Failure(text) => Answer::NotYet(format!("{of} is a failure: {text}")),
        CommitStatus::Pending(text) => Answer::NotYet(format!("{of} is pending: {text}")),
        CommitStatus::Missing => Answer::NotYet(format!("nobody has said {of} yet")),
    })
}

async fn command(check: &Check, work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Answer, Fault> {
    let context = work.context();
    let words = check.command.iter().map(|word| render(word, &context).map_err(template_fault));
    let arguments: Vec<String> = words.collect::<Result<_, _>>()?;
    let (repository, commit) = subject(check, work)?;
    let mirror = tools.mirror(work, &repository)?;
    bring(&mirror, work, &commit).await?;
    let name = arguments.join(" ");
    let deadline = answer_deadline(check, work);
    let caches = tools.given_caches(work, &repository, &check.caches).await?;
    let command = InTree { arguments, network: check.network, secrets: &check.secrets, caches, deadline };
    let finished = command.run((&mirror, &commit), work, tools, log).await?;
    if finished.succeeded() {
        return Ok(Answer::Yes(format!("`{name}` succeeded")));
    }
    let how = match finished.timed_out {
        true => format!("did not end within {}", check.answer_timeout()),
        false => format!("ended with {}", finished.exit),
    };
    Ok(Answer::NotYet(format!("`{name}` {how}{}", super::synth::last_lines(&finished.stderr))))
}

/// How long one answer may take: a step's effect holds one of a few places, and a check may be asked for days.
fn answer_deadline(check: &Check, work: &StepWork) -> Duration {
    time_left(work).min(Duration::from_millis(u64::try_from(check.answer_timeout().as_ms()).unwrap_or(0)))
}

/// The commit that the check is about: of the repository that it names, or the one that the run works on.
fn subject(check: &Check, work: &StepWork) -> Result<(RepositoryName, CommitId), Fault> {
    let named = check.repository.as_ref().map(|name| (name.clone(), work.set.get(name).cloned()));
    let own = || work.source.as_ref().map(|source| (source.repository.clone(), Some(source.commit.clone())));
    match named.or_else(own) {
        Some((repository, Some(commit))) => Ok((repository, commit)),
        Some((repository, None)) => Err(Fault::fail(
            format!("nothing of {repository} is in {}", work.run),
            "name another `repository` in the check, one that led to what is promoted",
        )),
        None => Err(Fault::fail(format!("{} works on no commit", work.run), "name a `repository` in the check")),
    }
}

/// Makes sure that a commit is in the mirror, whichever stage's branch it is on.
async fn bring(mirror: &Arc<Mirror>, work: &StepWork, commit: &CommitId) -> Result<(), Fault> {
    for branch in &work.branches {
        if mirror.commit_info(commit.as_str()).await.is_ok() {
            return Ok(());
        }
        // A branch that does not exist is no reason to stop; that the commit is nowhere is said below.
        drop(mirror.fetch(std::slice::from_ref(branch), time_left(work)).await);
    }
    mirror.commit_info(commit.as_str()).await.map(drop)
}
