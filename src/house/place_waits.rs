//! Who waits for a place to work, in the words of `status`, `run show` and `explain`.

use super::House;
use crate::{
    driver::{PlaceKind, PlaceWait},
    engine::{
        Run, StepState, System,
        explain::{Condition, Verdict, Waiting},
    },
    rules::SystemName,
    view::status::StatusReport,
};

const ENDED_BY: &str = "the end of one of them";

/// What of a system waits for a place, as the server tells it; the longest first.
pub(crate) struct PlaceWaits(Vec<PlaceWait>);

impl PlaceWaits {
    /// Reads them.
    pub(crate) fn of(house: &House, system: &SystemName) -> Self {
        let mut waits = PlaceWait::told(&house.settings.places());
        waits.retain(|wait| wait.system == system.as_str());
        Self(waits)
    }

    /// A line for each kind of work that waits.
    fn lines(&self) -> Vec<String> {
        use PlaceKind::{Deliveries, Fetches, FirstLook, Looks, Steps};
        let kinds = [FirstLook, Steps, Looks, Fetches, Deliveries];
        let line = |kind: PlaceKind| {
            let (one, several, _) = kind.words();
            let first = self.0.iter().find(|wait| wait.kind == kind)?;
            if kind == FirstLook {
                return Some(first.reason.clone());
            }
            let waiting = match self.0.iter().filter(|wait| wait.kind == kind).count() {
                1 => format!("1 {one} waits"),
                count => format!("{count} {several} wait"),
            };
            Some(format!("{waiting} for a place: {}", first.reason))
        };
        kinds.into_iter().filter_map(line).collect()
    }

    fn of_run<'a>(&'a self, run: &'a str) -> impl Iterator<Item = (&'a str, &'a PlaceWait)> {
        let steps = self.0.iter().filter_map(|wait| Some((wait.step()?, wait)));
        steps.filter(move |((of, _), _)| *of == run).map(|((_, step), wait)| (step, wait))
    }

    /// What a run waits for where a step of it waits for a place, and it asks nobody.
    fn waiting(&self, run: &Run) -> Option<Waiting> {
        let asks = run.steps.iter().any(|step| step.state == StepState::Active && step.task.kind().is_gate());
        let (step, wait) = self.of_run(run.id.as_str()).next().filter(|_| !asks && !run.state.is_ended())?;
        let (for_what, since_ms, ended_by) = (for_place(step, wait), wait.since_ms, ENDED_BY.to_owned());
        Some(Waiting { for_what, since_ms, until_ms: None, expires_ms: None, ended_by })
    }

    /// What a run waits for: a place, or else what the engine says.
    pub(crate) fn instead_of(&self, waiting: Option<Waiting>, run: &Run) -> Option<Waiting> {
        self.waiting(run).or(waiting)
    }

    /// Says it in the chain of conditions of a run.
    pub(crate) fn tell_chain(&self, run: &Run, conditions: &mut [Condition]) {
        for (step, wait) in self.of_run(run.id.as_str()) {
            let waits = |condition: &&mut Condition| condition.name == step && condition.verdict == Verdict::Waiting;
            if let Some(condition) = conditions.iter_mut().find(waits) {
                (condition.what, condition.since_ms) = (for_place(step, wait), wait.since_ms);
                (condition.earliest_ms, condition.ended_by) = (None, ENDED_BY.to_owned());
            }
        }
    }

    /// Says it in the status of a system.
    pub(crate) fn tell_status(&self, state: &System, report: &mut StatusReport) {
        report.waits_for_place = self.lines();
        for run in state.live_runs() {
            let live = report.live.iter_mut().find(|live| live.run == run.id.as_str());
            if let Some((live, waiting)) = live.zip(self.waiting(run)) {
                (live.waits, live.waiting_for, live.since_ms) = (true, waiting.for_what, waiting.since_ms);
                (live.until_ms, live.expires_ms, live.ended_by) = (None, None, waiting.ended_by);
            }
        }
    }
}

fn for_place(step: &str, wait: &PlaceWait) -> String {
    format!("a place for {step}: {}", wait.reason)
}
