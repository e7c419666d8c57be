//! `tidegate explain`: why something is where it is: what it has passed, what it waits for, and who can end that.

use clap::Args;

use super::{
    Asking, Source,
    output::{Output, Tone, paint, say},
    over_http::answers::Answers,
    status::remotes,
    words,
};
use crate::{
    driver::now_ms,
    engine::explain::{self, Condition, Journey, Verdict},
    house::asker::Asked,
    rules::StageName,
    view::explain::{JourneyExplained, RunExplained},
};

/// Say why something is where it is: every condition with what has passed, what waits for whom since when, and the earliest
/// moment at which it can pass. Of a run; or of a commit or artifact on its way to a stage.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples: tidegate explain deliver-7\n          tidegate explain 193772ea94 --stage main\n          \
                  tidegate explain ami-0123456789abcdef0 --stage qa"
)]
pub(super) struct Explain {
    /// A run; or, with `--stage`, a commit (also `image@193772ea94`), an AMI id, or the tag or SHA-256 of an artifact, of which
    /// the first digits are enough
    what: String,
    /// The stage that the commit or artifact is asked about
    #[arg(long)]
    stage: Option<StageName>,
    #[command(flatten)]
    asking: Asking,
}

impl Explain {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let answers = source.open_to_read().await?;
        let asked = self.asking.asked();
        let system = answers.system(&asked).await?;
        match &self.stage {
            None => explain_run(&answers, answers.run_explained(&system, &self.what).await?, &asked, output).await,
            Some(stage) => {
                let explained = answers.journey_explained(&system, &self.what, stage).await?;
                explain_journey(&answers, explained, &asked, output).await
            }
        }
    }
}

async fn explain_run(
    answers: &Answers<'_>,
    explained: RunExplained,
    asked: &Asked,
    output: Output,
) -> anyhow::Result<()> {
    if output == Output::Json {
        return output.json(&explained);
    }
    let RunExplained { run, stage, state, known_by, conditions, .. } = &explained;
    say(&format!("{}  {stage}  {}", paint(run.as_str(), Tone::Strong), words::run_state(*state)))?;
    known_by.iter().try_for_each(|by| say(&format!("  who wrote it is known by {by}")))?;
    say(&answers.complete(asked, &explained.system, &text(conditions)).await?)?;
    if !state.is_ended() {
        let calls = answers.remotes(&explained.system).await?;
        remotes::lines(&calls, now_ms()).try_for_each(|line| say(&line))?;
    }
    Ok(())
}

async fn explain_journey(
    answers: &Answers<'_>,
    explained: JourneyExplained,
    asked: &Asked,
    output: Output,
) -> anyhow::Result<()> {
    if output == Output::Json {
        return output.json(&explained);
    }
    let Journey { repository, stage, summary, since_ms, earliest_ms, verdict, .. } = &explained.journey;
    let commit = explained.contains.as_ref().unwrap_or(&explained.journey.commit);
    if let Some(artifact) = &explained.artifact {
        say(&format!("{} {} was made from {repository} {commit}", artifact.kind, artifact.name))?;
    }
    if explained.contains.is_some() {
        let (commit, head) = (commit.short(), explained.journey.commit.short());
        say(&format!("{commit} was pushed with others; {repository} {head} is the first head that contains it"))?;
    }
    let title = format!("{repository} {} → {stage}", commit.short());
    let since = if *verdict == Verdict::Passed { "" } else { "since " };
    let earliest = earliest_ms.map_or_else(String::new, |at_ms| format!(", not before {}", explain::time(at_ms)));
    say(&format!("{}  {summary}, {since}{}{earliest}", paint(&title, Tone::Strong), words::ago(*since_ms)))?;
    let conditions = text(&explained.journey.conditions);
    say(&answers.complete(asked, &explained.system, &conditions).await?)
}

/// The conditions for people, one below the other.
fn text(conditions: &[Condition]) -> String {
    let width = conditions.iter().map(|condition| condition.name.chars().count()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for condition in conditions {
        let (mark, tone) = match condition.verdict {
            Verdict::Passed => ("✓", Tone::Good),
            Verdict::Waiting => ("…", Tone::Busy),
            Verdict::Refused => ("✗", Tone::Bad),
            Verdict::NotYet => ("○", Tone::Quiet),
        };
        let (name, mark) = (&condition.name, paint(mark, tone));
        let what = match condition.verdict {
            Verdict::Waiting => {
                format!("for {}", words::waits(&condition.what, condition.since_ms, condition.earliest_ms, now_ms()))
            }
            Verdict::NotYet => {
                let earliest = condition.earliest_ms.map(|at_ms| format!(", not before {}", explain::time(at_ms)));
                let by = paint(&format!("(by {})", condition.ended_by), Tone::Quiet);
                format!("{}{} {by}", words::first_line(&condition.what), earliest.unwrap_or_default())
            }
            Verdict::Passed | Verdict::Refused => {
                format!("{}, {}", words::first_line(&condition.what), words::ago(condition.since_ms))
            }
        };
        lines.push(format!("  {mark} {name:<width$}  {what}"));
        let by = match condition.verdict {
            Verdict::Waiting => words::ended_by(&condition.ended_by),
            Verdict::Refused => paint(&format!("to do: {}", condition.ended_by), Tone::Quiet),
            Verdict::Passed | Verdict::NotYet => continue,
        };
        lines.push(format!("    {:<width$}  {by}", ""));
    }
    lines.join("\n")
}
