//! One file per step kind. A step does one thing in the outside world, under its key, and says what came of it. It
//! decides nothing: what comes next is the engine's business. Long work is started and then polled by its handle.

mod authors;
mod bake;
mod check;
mod commit;
mod deploy;
pub mod foresight;
mod gate;
mod lint;
mod merge;
mod moved;
mod notify;
mod package;
mod release;
mod require;
mod restore;
mod step;
mod step_log;
mod synth;
mod tools;
mod verify;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

pub use authors::attribute;
pub use notify::{Channel, Channels, DELIVERY_DEADLINE, deliver};
pub use release::{NoReleases, Releases};
pub use step_log::StepLog;
pub use tools::Tools;

use self::step::{Act, Progress, Step};
use crate::{
    engine::{Phase, StepOutcome, StepWork, plan::Task},
    providers::Fault,
    rules::{Action, printable},
};

/// The shortest deadline that a call is given, so that a step tried at its last moment still gets an answer.
const SHORTEST_DEADLINE: Duration = Duration::from_secs(5);

/// Starts, polls or cancels a step.
pub async fn perform(work: &StepWork, tools: &Tools) -> StepOutcome {
    carry_out(&*step_of(&work.task), work, tools).await
}

/// The step of a task: the one place that knows every kind.
fn step_of(task: &Task) -> Box<dyn Step + '_> {
    match task {
        Task::Action(Action::Package(package)) => Box::new(package::PackageStep(package)),
        Task::Action(Action::Commit(commit)) => Box::new(commit::CommitStep(commit)),
        Task::Action(Action::Bake(bake)) => Box::new(bake::BakeStep(bake)),
        Task::Action(Action::Synth(synth)) => Box::new(synth::SynthStep(synth)),
        Task::Action(Action::Lint(lint)) => Box::new(lint::LintStep(lint)),
        Task::Action(Action::Deploy(deploy)) => Box::new(deploy::DeployStep(deploy)),
        Task::Action(Action::Verify(verify)) => Box::new(verify::VerifyStep(verify)),
        Task::Action(Action::Check(check)) => Box::new(check::CheckStep(check)),
        Task::Require(requirements) => Box::new(require::RequireStep(requirements)),
        Task::CheckMerge(merge) => Box::new(merge::CheckMergeStep(merge)),
        Task::Merge(merge) => Box::new(merge::MergeStep(merge)),
        Task::CheckRestore(restore) => Box::new(restore::CheckRestoreStep(restore)),
        Task::Restore(restore) => Box::new(restore::RestoreStep(restore)),
        Task::Release(member) => Box::new(release::ReleaseStep(member)),
        Task::Action(Action::Approve(_)) | Task::FanIn | Task::Soak { .. } | Task::Window { .. } | Task::Consent(_) => {
            Box::new(gate::GateStep(task.kind()))
        }
    }
}

async fn carry_out(step: &dyn Step, work: &StepWork, tools: &Tools) -> StepOutcome {
    let log = &tools.log(work);
    if work.phase == Phase::Start {
        log.line(&format!("{} {}", work.task.kind().name, work.key)).await;
    }
    let on = Act { work, tools, log };
    let outcome = match (work.phase, &work.handle) {
        // Without a handle, nothing proceeds but in this process, where the driver has ended it already.
        (Phase::Cancel, None) => Ok(Progress::Cancelled),
        (Phase::Cancel, Some(handle)) => step.cancel(handle, &on).await,
        (Phase::Poll, Some(handle)) => step.poll(handle, &on).await,
        (Phase::Start, _) | (Phase::Poll, None) => step.start(&on).await,
    };
    let outcome = match outcome {
        Ok(progress) => progress.into(),
        Err(Fault::Retry { error, after }) => {
            StepOutcome::Retry { error: printable(&error), after_ms: after.map(milliseconds) }
        }
        Err(Fault::Fail { error, hint }) => StepOutcome::Failed { error: printable(&error), hint: printable(&hint) },
    };
    log.outcome(&outcome).await;
    outcome
}

/// How long a call of this step may still take.
fn time_left(work: &StepWork) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let deadline = Duration::from_millis(u64::try_from(work.deadline_ms).unwrap_or(0));
    deadline.saturating_sub(now).max(SHORTEST_DEADLINE)
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The output of an earlier step that this one cannot do without.
fn needed<'work>(work: &'work StepWork, kind: &str, name: &str) -> Result<&'work str, Fault> {
    work.input(kind, name).and_then(Value::as_str).ok_or_else(|| {
        Fault::fail(
            format!("{} needs `{name}` from a `{kind}` step before it", work.step),
            format!("put a `{kind}` step before `{}`, or add it to its `needs`", work.step),
        )
    })
}
