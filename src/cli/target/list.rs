//! `tidegate target list`: all targets, a line each.

use clap::Args;

use crate::{
    cli::{
        Asking, Source,
        output::{Output, say},
        words,
    },
    view::target::{TargetReport, life_said},
};

/// List the targets: where each is in its life, how it stands, who has it.
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    asking: Asking,
}

impl List {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let answers = source.open_to_read().await?;
        let system = answers.system(&self.asking.asked()).await?;
        let targets = answers.targets(&system).await?;
        match output {
            Output::Json => output.json(&targets),
            Output::Text if targets.is_empty() => say("the rules have no target"),
            Output::Text => lines(&targets).iter().try_for_each(|line| say(line)),
        }
    }
}

fn lines(targets: &[TargetReport]) -> Vec<String> {
    let width = |of: fn(&TargetReport) -> String| targets.iter().map(|target| of(target).chars().count()).max();
    let name = width(|target| target.target.clone()).unwrap_or(0);
    let stage = width(|target| target.stage.clone()).unwrap_or(0);
    let life = width(life_said).unwrap_or(0);
    let line = |target: &TargetReport| {
        let line = format!(
            "{:<name$}  {:<stage$}  {:<5}  {:<life$}  {}",
            target.target,
            target.stage,
            target.kind,
            life_said(target),
            said(target)
        );
        line.trim_end().to_owned()
    };
    targets.iter().map(line).collect()
}

/// What is to be said of a target besides: the worst first.
fn said(target: &TargetReport) -> String {
    let seen = target.standing.as_ref().zip(target.seen_ms);
    let seen = seen.map(|(standing, at_ms)| format!("seen {standing} {}", words::ago(at_ms)));
    let waits = (!target.queue.is_empty()).then(|| format!("{} wait for it", target.queue.join(", ")));
    let drift = (!target.drift.is_empty()).then(|| format!("changed by another hand: {}", drifted(target)));
    [
        target.broken.clone(),
        target.unseen.as_ref().map(|why| format!("cannot be looked at: {}", words::first_line(why))),
        drift,
        target.because.clone(),
        target.held_by.as_ref().map(|run| format!("{run} has it")),
        waits,
        seen,
        (!target.in_rules).then(|| "no longer in the rules".to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join("; ")
}

fn drifted(target: &TargetReport) -> String {
    target.drift.iter().map(|change| change.name.as_str()).collect::<Vec<_>>().join(", ")
}
