//! What a stage demands of its commits, such as two availability zones in Production.

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{
    StepLog, Tools,
    foresight::{Ahead, Foreseen, Told},
    step::{Progress, Step, Try, nothing_proceeds},
};
use crate::{
    engine::StepWork,
    providers::{Fault, document},
    rules::Requirement,
};

/// Checks what the stage demands.
pub(super) struct RequireStep<'plan>(pub(super) &'plan [Requirement]);

#[async_trait]
impl Step for RequireStep<'_> {
    async fn start(&self, on: &Try<'_>) -> Result<Progress, Fault> {
        check(self.0, on.work, on.tools, on.log).await
    }

    async fn cancel(&self, _: &str, _: &Try<'_>) -> Result<Progress, Fault> {
        nothing_proceeds()
    }

    async fn foresee(&self, ahead: Ahead<'_>) -> Foreseen {
        ahead.really(self).await
    }

    fn tell(&self, work: &StepWork, _: &Map<String, Value>) -> Told {
        Told::Passes(format!("what {} demands holds", work.environment))
    }
}

/// Checks the run's own commit.
async fn check(requirements: &[Requirement], work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Progress, Fault> {
    let (mirror, commit) = tools.source(work).await?;
    for requirement in requirements {
        let file = mirror.read_file(commit.as_str(), &requirement.file).await?;
        demand(requirement, file.as_deref(), work)?;
        log.line(&format!("{}{} is enough", requirement.file, requirement.pointer)).await;
    }
    Ok(Progress::done([], Vec::new()))
}

/// Holds one file to one demand.
pub(super) fn demand(requirement: &Requirement, file: Option<&[u8]>, work: &StepWork) -> Result<(), Fault> {
    let Requirement { repository, file: path, pointer, at_least, because } = requirement;
    let value = file.map(|bytes| document::parse(path, bytes)).transpose()?;
    let value = value.as_ref().and_then(|value| value.pointer(pointer));
    let found = match value {
        Some(Value::Array(list)) => Some(list.len() as f64),
        Some(Value::Object(object)) => Some(object.len() as f64),
        Some(value) => value.as_f64(),
        None => None,
    };
    if found.is_some_and(|found| found >= f64::from(*at_least)) {
        return Ok(());
    }
    let has = match (file, value, found) {
        (None, ..) => "there is no such file".to_owned(),
        (_, None, _) => "there is no such value".to_owned(),
        (_, Some(_), Some(found)) => format!("it has {found}"),
        (_, Some(value), None) => format!("{value} is no number and no list"),
    };
    let because = because.as_ref().map_or_else(String::new, |because| format!(" ({because})"));
    Err(Fault::fail(
        format!("{} demands at least {at_least} at {repository} {path}{pointer}{because}, and {has}", work.environment),
        format!("change {path} in {repository} on the stage before, and let it be verified there"),
    ))
}
