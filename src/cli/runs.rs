//! `tidegate runs`: lists runs, the newest first.

use clap::Args;

use super::{
    Asking, Source,
    output::{Output, say},
    words,
};
use crate::{engine::Run, house::questions::RunsWanted, rules::StageName};

/// List runs, the newest first: those that go on, then those that ended.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate runs --rule deliver --stage main --limit 5")]
pub(super) struct Runs {
    /// Only runs of this rule; `promote` for promotions
    #[arg(long)]
    rule: Option<String>,
    /// Only runs of this stage
    #[arg(long)]
    stage: Option<StageName>,
    /// How many at most
    #[arg(long, default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    asking: Asking,
}

impl Runs {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let answers = source.open_to_read().await?;
        let system = answers.system(&self.asking.asked()).await?;
        let wanted = RunsWanted { rule: self.rule, stage: self.stage, state: None, before: None, limit: self.limit };
        let runs = answers.runs(&system, &wanted).await?;
        match output {
            Output::Json => output.json(&runs.into_iter().map(Run::as_shown).collect::<Vec<_>>()),
            Output::Text if runs.is_empty() => say("there have been no such runs"),
            Output::Text => lines(&runs).iter().try_for_each(|line| say(line)),
        }
    }
}

/// One line each; the columns are as wide as what is in them.
fn lines(runs: &[Run]) -> Vec<String> {
    let ids = runs.iter().map(|run| run.id.as_str().len()).max().unwrap_or(0);
    let stages = runs.iter().map(|run| run.stage.as_str().len()).max().unwrap_or(0);
    let line = |run: &Run| {
        let took =
            run.ended_ms.map_or_else(|| "goes on".to_owned(), |ended_ms| words::duration(ended_ms - run.created_ms));
        let why = run.reason.clone().unwrap_or_else(|| words::cause(&run.cause, &run.subject));
        let why = words::first_line(&why);
        let (id, stage, state) = (run.id.as_str(), run.stage.as_str(), words::run_state(run.state));
        format!("{id:<ids$}  {stage:<stages$}  {state} {:<9} {took:<8} {why}", words::ago(run.created_ms))
    };
    runs.iter().map(line).collect()
}
