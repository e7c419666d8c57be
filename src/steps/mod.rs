//! One file per step kind. A step does one thing in the outside world, under its key, and says what came of it. It
//! decides nothing: what comes next is the engine's business. Long work is started and then polled by its handle.

mod act;
mod authors;
mod bake;
mod caches;
mod check;
mod commit;
pub mod foresight;
mod gate;
mod given;
mod lint;
mod look;
mod merge;
mod moved;
mod notify;
mod package;
mod providers;
mod pushers;
mod rehearse;
mod release;
mod releases;
mod require;
mod restore;
mod secrets;
mod signatures;
mod step;
mod step_log;
mod synth;
mod taking;
mod tools;
mod verify;

use serde_json::{Map, Value};

pub use authors::{asks_for_signatures, attribute, signatures};
pub use look::observe;
pub use notify::{Channel, Channels, DELIVERY_DEADLINE, deliver};
pub use providers::{Choices, Chosen, Images, Jobs, Local, ProviderSettings, Providers, Stacks, StageSettings};
pub use pushers::{Asked as PushesAsked, Pushers, pushers};
pub use releases::{NoReleases, Releases};
pub use secrets::{SecretFile, Secrets};
pub use step_log::{StepLog, printed, printed_by, store_left};
pub use tools::Tools;

use self::{
    foresight::{Ahead, Certainty, Foreseen, Foresight, Told},
    step::{Step, carry_out},
};
use crate::{
    engine::{Phase, StepOutcome, StepWork, plan::Task},
    rules::Action,
};

/// Starts, polls or cancels a step.
pub async fn perform(work: &StepWork, tools: &Tools) -> StepOutcome {
    let outcome = carry_out(&*step_of(&work.task), work, tools).await;
    // Here, so that what is only foreseen is not stored.
    tools.log(work).store().await;
    outcome
}

/// Does a step on the copies, or foresees what would come of it. `now_ms` is the simulated time, in milliseconds since 1970,
/// UTC.
pub async fn foresee(work: StepWork, tools: &Tools, foresight: &Foresight, now_ms: i64) -> Foreseen {
    if work.phase == Phase::Cancel {
        return Foreseen { outcome: StepOutcome::Cancelled, certainty: Certainty::Foreseen, note: None };
    }
    let task = work.task.clone();
    step_of(&task).foresee(Ahead { work, tools, foresight, now_ms }).await
}

/// What a prediction says of a step that is done.
#[must_use]
pub fn tell(work: &StepWork, outputs: &Map<String, Value>) -> Told {
    step_of(&work.task).tell(work, outputs)
}

/// The step of a task: the one place that knows every kind.
fn step_of(task: &Task) -> Box<dyn Step + '_> {
    match task {
        Task::Action(Action::Package(package)) => Box::new(package::PackageStep(package)),
        Task::Action(Action::Commit(commit)) => Box::new(commit::CommitStep(commit)),
        Task::Action(Action::Bake(bake)) => Box::new(bake::BakeStep(bake)),
        Task::Action(Action::Synth(synth)) => Box::new(synth::SynthStep(synth)),
        Task::Action(Action::Lint(lint)) => Box::new(lint::LintStep(lint)),
        Task::Action(Action::Verify(verify)) => Box::new(verify::VerifyStep(verify)),
        Task::Action(Action::Check(check)) => Box::new(check::CheckStep(check)),
        Task::Require(requirements) => Box::new(require::RequireStep(requirements)),
        Task::CheckMerge(merge) => Box::new(merge::CheckMergeStep(merge)),
        Task::Merge(merge) => Box::new(merge::MergeStep(merge)),
        Task::CheckRestore(restore) => Box::new(restore::CheckRestoreStep(restore)),
        Task::Restore(restore) => Box::new(restore::RestoreStep(restore)),
        Task::Action(Action::Deploy(_)) | Task::Operate(_) | Task::Plan(_) => Box::new(look::LookStep),
        Task::Act(act) => Box::new(act::ActStep(act)),
        Task::Release(member) => Box::new(release::ReleaseStep(member)),
        Task::Action(Action::Approve(_)) | Task::FanIn | Task::Soak { .. } | Task::Window { .. } | Task::Consent(_) => {
            Box::new(gate::GateStep(task.kind()))
        }
        Task::Bundle => Box::new(gate::GateStep(task.kind())),
    }
}
