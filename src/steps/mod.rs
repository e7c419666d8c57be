//! One file per step kind. A step does one thing in the outside world, under its key, and says what came of it. It
//! decides nothing: what comes next is the engine's business. Long work is started and then polled by its handle.

mod authors;
mod bake;
mod check;
mod commit;
mod deploy;
mod lint;
mod merge;
mod moved;
mod notify;
mod package;
mod release;
mod require;
mod restore;
mod step_log;
mod synth;
mod tools;
mod verify;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

pub use authors::attribute;
pub use notify::{Channel, Channels, DELIVERY_DEADLINE, deliver};
pub use release::{NoReleases, Releases};
pub use step_log::StepLog;
pub use tools::Tools;

use crate::{
    engine::{Artifact, Made, Phase, StepOutcome, StepWork, plan::Task},
    providers::Fault,
    rules::{Action, printable, printable_line},
};

/// The shortest deadline that a call is given, so that a step tried at its last moment still gets an answer.
const SHORTEST_DEADLINE: Duration = Duration::from_secs(5);

/// What a step comes to when nothing fails.
enum Progress {
    /// It goes on under this handle; look again after so long.
    Pending { handle: String, after: Duration, progress: String },
    /// It is done.
    Done { outputs: Map<String, Value>, artifacts: Vec<Artifact>, made: Made },
    /// It was cancelled, or there was nothing to cancel.
    Cancelled,
}

/// Starts, polls or cancels a step.
pub async fn perform(work: &StepWork, tools: &Tools) -> StepOutcome {
    let log = tools.log(work);
    if work.phase == Phase::Start {
        log.line(&format!("{} {}", work.task.kind().name, work.key)).await;
    }
    let outcome = match (work.phase, &work.task) {
        (Phase::Cancel, task) => cancel(task, work, tools).await,
        (_, Task::Action(action)) => act(action, work, tools, &log).await,
        (_, Task::Require(requirements)) => require::check(requirements, work, tools, &log).await,
        (_, Task::CheckMerge(merge)) => merge::check(merge, work, tools, &log).await,
        (_, Task::Merge(merge)) => merge::make(merge, work, tools, &log).await,
        (_, Task::Release(member)) => release::wait(member, work, tools, &log).await,
        (_, Task::CheckRestore(way_back)) => restore::check(way_back, work, tools, &log).await,
        (_, Task::Restore(way_back)) => restore::make(way_back, work, tools, &log).await,
        (_, task @ (Task::FanIn | Task::Soak { .. } | Task::Window { .. } | Task::Consent(_))) => {
            Err(is_a_gate(task.kind().name))
        }
    };
    let outcome = match outcome {
        Ok(Progress::Pending { handle, after, progress }) => {
            StepOutcome::Pending { handle, after_ms: milliseconds(after), progress: Some(printable_line(&progress)) }
        }
        Ok(Progress::Done { outputs, artifacts, made }) => StepOutcome::Done { outputs, artifacts, made },
        Ok(Progress::Cancelled) => StepOutcome::Cancelled,
        Err(Fault::Retry { error, after }) => {
            StepOutcome::Retry { error: printable(&error), after_ms: after.map(milliseconds) }
        }
        Err(Fault::Fail { error, hint }) => StepOutcome::Failed { error: printable(&error), hint: printable(&hint) },
    };
    log.outcome(&outcome).await;
    outcome
}

async fn act(action: &Action, work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Progress, Fault> {
    match action {
        Action::Package(package) => package::make(package, work, tools, log).await,
        Action::Commit(commit) => commit::make(commit, work, tools, log).await,
        Action::Bake(bake) => bake::start_or_poll(bake, work, tools, log).await,
        Action::Synth(synth) => synth::make(synth, work, tools, log).await,
        Action::Lint(lint) => lint::check(lint, work, tools, log).await,
        Action::Deploy(deploy) => deploy::start_or_poll(deploy, work, tools, log).await,
        Action::Verify(verify) => verify::check(verify, work, tools, log).await,
        Action::Check(check) => check::ask(check, work, tools, log).await,
        Action::Approve(_) => Err(is_a_gate("approve")),
    }
}

/// Ends what goes on outside. A step without a handle goes on nowhere but in this process, where its driver has ended
/// it already.
async fn cancel(task: &Task, work: &StepWork, tools: &Tools) -> Result<Progress, Fault> {
    let Some(handle) = &work.handle else { return Ok(Progress::Cancelled) };
    match task {
        Task::Action(Action::Bake(_)) if work.shared => Ok(Progress::Cancelled),
        Task::Action(Action::Bake(_)) => bake::cancel(handle, tools).await,
        Task::Action(Action::Deploy(_)) => deploy::cancel(handle, work, tools).await,
        _ => Ok(Progress::Cancelled),
    }
}

fn is_a_gate(kind: &str) -> Fault {
    Fault::fail(
        format!("`{kind}` is decided by the engine and has nothing to do outside"),
        "this is a mistake in Tidegate",
    )
}

impl Progress {
    /// It is done, and made nothing that the engine goes by.
    fn done<const N: usize>(outputs: [(&str, Value); N], artifacts: Vec<Artifact>) -> Self {
        Self::made(Made::Nothing, outputs, artifacts)
    }

    fn made<const N: usize>(made: Made, outputs: [(&str, Value); N], artifacts: Vec<Artifact>) -> Self {
        let outputs = outputs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self::Done { outputs, artifacts, made }
    }
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
