//! The demo's live progress: a line when something has come to be, in the order in which it did.

use std::{collections::BTreeMap, path::Path, time::Instant};

use crate::{
    cli::{
        House,
        output::{Output, Tone, paint, say},
        words,
    },
    engine::{Run, RunId, RunState, StepState, explain},
    rules::{StepId, SystemName},
};

/// What was shown so far.
pub(super) struct Progress {
    output: Output,
    folder: String,
    started: Instant,
    steps: BTreeMap<(RunId, StepId), StepState>,
    runs: BTreeMap<RunId, RunState>,
    waits: BTreeMap<RunId, String>,
}

impl Progress {
    pub(super) fn new(output: Output, folder: &Path) -> Self {
        Self {
            output,
            folder: folder.display().to_string(),
            started: Instant::now(),
            steps: BTreeMap::new(),
            runs: BTreeMap::new(),
            waits: BTreeMap::new(),
        }
    }

    pub(super) fn begin(&self) -> anyhow::Result<()> {
        self.line(&format!("{} {}", paint("the demo's folder is", Tone::Quiet), self.folder))
    }

    pub(super) fn pushed(&self, commit: &str, was_there: bool) -> anyhow::Result<()> {
        let commit = commit.get(..10).unwrap_or(commit);
        match was_there {
            true => self.line(&format!("Ada's change {commit} is on software dev already: going on")),
            false => {
                self.line(&format!("{} {commit} to software dev: \"Sell more\"", paint("Ada pushes", Tone::Strong)))
            }
        }
    }

    pub(super) fn answered(&self, run: &RunId, approved: bool) -> anyhow::Result<()> {
        let what = if approved { paint("Grace approves", Tone::Strong) } else { paint("Grace rejects", Tone::Bad) };
        self.line(&format!("{what} {run}"))
    }

    /// Says what has come to be since the last look.
    pub(super) async fn show(&mut self, house: &House, system: &SystemName) -> anyhow::Result<()> {
        let lines = house.ledger.read(system, |state| {
            let mut lines = Vec::new();
            for run in state.all_runs() {
                self.look_at_steps(run, &mut lines);
                let waiting =
                    explain::run(state, run).filter(|_| run.answerable().is_some()).map(|waiting| waiting.for_what);
                if let Some(waiting) = waiting
                    && self.waits.insert(run.id.clone(), waiting.clone()).as_ref() != Some(&waiting)
                {
                    lines.push(format!("{} waits for {waiting}", head(run)));
                }
                let before = self.runs.insert(run.id.clone(), run.state);
                if before != Some(run.state) && run.state.is_ended() && run.state != RunState::Done {
                    let reason = run.reason.clone().unwrap_or_default();
                    lines.push(format!(
                        "{} {}: {}",
                        head(run),
                        paint(&format!("{:?}", run.state).to_uppercase(), Tone::Bad),
                        words::first_line(&reason)
                    ));
                }
            }
            lines
        });
        for line in lines.await? {
            self.line(&line)?;
        }
        Ok(())
    }

    fn look_at_steps(&mut self, run: &Run, lines: &mut Vec<String>) {
        for step in &run.steps {
            let before = self.steps.insert((run.id.clone(), step.id.clone()), step.state);
            if before == Some(step.state) || step.state != StepState::Done || step.outputs.is_empty() {
                continue;
            }
            lines.push(format!("{} {} {}", head(run), paint(&format!("{:<15}", step.id), Tone::Good), made(step)));
        }
    }

    fn line(&self, text: &str) -> anyhow::Result<()> {
        if self.output == Output::Json {
            return Ok(());
        }
        let seconds = self.started.elapsed().as_secs_f64();
        say(&format!("{} {text}", paint(&format!("{seconds:5.1}s"), Tone::Quiet)))
    }
}

fn head(run: &Run) -> String {
    format!("{:<5} {:<12}", run.stage, run.id)
}

/// What a step made, in a few words.
fn made(step: &crate::engine::StepRun) -> String {
    let text = |name: &str| step.outputs.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let short = |name: &str| text(name).get(..10).unwrap_or(text(name)).to_owned();
    let reused = if step.outputs.get("reused").and_then(serde_json::Value::as_bool) == Some(true) {
        " (made before: used again)"
    } else {
        ""
    };
    match step.task.kind().name {
        "package" => format!("{}{reused}", text("tag")),
        "bake" => format!("{}{reused}", text("ami")),
        "commit" | "merge"
            if text("commit").is_empty()
                || step.outputs.get("changed").and_then(serde_json::Value::as_bool) == Some(false) =>
        {
            "is there already: nothing to commit".to_owned()
        }
        "commit" | "merge" => format!("commit {}: {}", short("commit"), text("subject")),
        "synth" => text("template_digest").get(..19).unwrap_or_default().to_owned(),
        "lint" => {
            format!("{}, {} warnings", text("verdict"), step.outputs.get("warnings").cloned().unwrap_or_default())
        }
        "approve" => "approved".to_owned(),
        "deploy" => format!("serves at {}", text("address")),
        "plan" => {
            let changes = step.outputs.get("changes").and_then(serde_json::Value::as_array).into_iter().flatten();
            changes.filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(", ")
        }
        "act" => "done".to_owned(),
        "verify" => format!("answers {}", step.outputs.get("status").cloned().unwrap_or_default()),
        _ => String::new(),
    }
}
