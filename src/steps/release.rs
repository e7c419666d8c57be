//! `release`: a promotion waits until those of the other systems of its release can merge as well.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{
    StepLog, Tools,
    foresight::{Ahead, Foreseen, Told},
    step::{Progress, Step, Try, nothing_proceeds},
};
use crate::{
    engine::{
        StepWork,
        version::release::{Counted, Member},
    },
    providers::Fault,
};

/// How soon the others are looked at again, at first; later, after a tenth of the time that it has taken.
const SOONEST: Duration = Duration::from_secs(1);
/// The longest pause: each look is an event in the log.
const LATEST: Duration = Duration::from_secs(60);

/// Waits for the other systems.
pub(super) struct ReleaseStep<'plan>(pub(super) &'plan Member);

#[async_trait]
impl Step for ReleaseStep<'_> {
    async fn start(&self, on: &Try<'_>) -> Result<Progress, Fault> {
        wait(self.0, on.work, on.tools, on.log).await
    }

    async fn cancel(&self, _: &str, _: &Try<'_>) -> Result<Progress, Fault> {
        nothing_proceeds()
    }

    async fn foresee(&self, _: Ahead<'_>) -> Foreseen {
        let note = format!("the other systems of the release {} are supposed to be ready", self.0.release.name);
        Foreseen { note: Some(note), ..Foreseen::assumed([]) }
    }

    fn tell(&self, _: &StepWork, _: &Map<String, Value>) -> Told {
        Told::Passes(format!("all systems of {} can merge", self.0.release.name))
    }
}

async fn wait(member: &Member, work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Progress, Fault> {
    let release = &member.release;
    let mut waits = Vec::new();
    for system in release.systems.iter().filter(|system| **system != work.system) {
        let standing = tools.releases.standing(system, &release.name).await.map_err(Fault::retry)?;
        match member.counts(system, standing) {
            Counted::Ready => {}
            Counted::Awaited(what) => waits.push(what),
            Counted::Ends(why) => {
                return Err(Fault::fail(
                    format!("the release {} ends, because {why}", release.name),
                    format!("mend that, then `tidegate retry` it and {}", work.run),
                ));
            }
        }
    }
    if waits.is_empty() {
        log.line(&format!("all systems of the release {} can merge", release.name)).await;
        return Ok(Progress::done([], Vec::new()));
    }
    Ok(Progress::Pending {
        handle: release.name.clone(),
        after: pause(work),
        progress: format!("for the release {} it waits for {}", release.name, waits.join("; ")),
    })
}

fn pause(work: &StepWork) -> Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let started = Duration::from_millis(u64::try_from(work.started_ms).unwrap_or(0));
    (now.saturating_sub(started) / 10).clamp(SOONEST, LATEST)
}
