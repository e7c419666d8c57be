//! Obstacles in words: for what something waits, since when, until when, and who or what can end that.

use super::{Waiting, active, gate, ready_ms};
use crate::engine::{
    moment::time,
    obstacles::{Obstacle, Shut},
    run::Run,
    state::{Freeze, Pause, Pinned, System},
    step_run::StepRun,
};

impl Obstacle<'_> {
    /// That a step waits for its end; `None` for what ends the wait at once.
    #[must_use]
    pub fn waiting(&self, system: &System, run: &Run, step: &StepRun) -> Option<Waiting> {
        let ready_ms = ready_ms(run, step);
        let (id, stage) = (&run.id, &run.stage);
        let (for_what, since_ms, ended_by) = match self {
            Self::Pause(Pause { by, reason, since_ms }) => (
                format!("the end of the pause by {by}: {reason}"),
                *since_ms,
                "an operator: `tidegate resume`".to_owned(),
            ),
            Self::Freeze(name, Freeze { stage, by, reason, since_ms, until_ms, .. }) => {
                let of = stage.as_ref().map_or_else(|| "every stage".to_owned(), ToString::to_string);
                let end = time(*until_ms);
                (
                    format!("the end of {name}, the freeze of {of} by {by}: {reason}"),
                    *since_ms,
                    format!("its end at {end}, `tidegate thaw {name}`, or `tidegate override {name} {id} --reason …`"),
                )
            }
            Self::Window(Shut { window, has_holidays, since_ms, .. }) => {
                let holidays = if *has_holidays { ", which is shut on holidays" } else { "" };
                (format!("the window {window}{holidays}"), since_ms.unwrap_or(ready_ms), "the clock".to_owned())
            }
            Self::Pin(Pinned { version, by, reason, at_ms }) => (
                format!("the end of the pin of {stage} at {} ({by}: {reason})", version.verified.run),
                *at_ms,
                format!("{by} or an operator: `tidegate unpin {stage}`"),
            ),
            Self::Broken(key, why) => {
                let unlock =
                    key.target().map(|(target, stage)| format!(": `tidegate unlock {target} --stage {stage}`"));
                let ended_by = format!("an operator{}", unlock.unwrap_or_default());
                (format!("{key}, which is broken: {why}"), ready_ms, ended_by)
            }
            Self::Lane(key, Some(ahead)) => (format!("{key}, which {} holds", ahead.id), ready_ms, end_of(ahead)),
            Self::Mover(mover) => {
                let for_what = format!("{} to move the repositories of {stage} as one set", mover.id);
                (for_what, ready_ms, end_of(mover))
            }
            Self::Writer(writer, place) => {
                (format!("{} to finish its commit to {place} {stage}", writer.id), ready_ms, writer.id.to_string())
            }
            Self::FanIn | Self::Gate => return Some(gate(system, run, step)),
            Self::Members => return Some(active(system, run, step)),
            Self::Lane(_, None) | Self::Hotfix | Self::Veto(_) | Self::Unseen(..) | Self::Unasked(_) => return None,
            Self::NewerPin(_) => return None,
        };
        let until_ms = match self {
            Self::Freeze(_, freeze) => Some(freeze.until_ms),
            Self::Window(shut) => shut.opens_ms.as_ref().ok().copied(),
            _ => None,
        };
        Some(Waiting { until_ms, ..Waiting::of(for_what, ready_ms.max(since_ms), ended_by) })
    }
}

fn end_of(run: &Run) -> String {
    format!("the end of {}, or `tidegate abort {}`", run.id, run.id)
}
