//! `tidegate explain`: why something is where it is: what it has passed, what it waits for, and who can end that.

mod commit;

use std::path::Path;

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::{
    Asking, House,
    output::{Output, Tone, paint, say},
    place_waits::PlaceWaits,
    run::parse_run,
    status::remotes,
    words,
};
use crate::{
    driver::now_ms,
    engine::{
        Artifact, CommitId, RunId, RunState, System,
        explain::{self, Condition, Journey, Verdict},
    },
    rules::{StageName, SystemName},
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

/// A run and its conditions, as one document.
#[derive(Serialize)]
struct RunExplained {
    system: SystemName,
    run: RunId,
    stage: StageName,
    state: RunState,
    /// By what it is known who wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    known_by: Option<String>,
    conditions: Vec<Condition>,
}

/// A commit's journey, as one document.
#[derive(Serialize)]
struct JourneyExplained {
    system: SystemName,
    /// The artifact that was asked about, when it was not the commit itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact: Option<Artifact>,
    /// The commit that was asked about, when it was never a head itself: `commit` is then the first head that contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    contains: Option<CommitId>,
    #[serde(flatten)]
    journey: Journey,
}

impl Explain {
    pub(super) async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        let house = House::open_to_read(config).await?;
        let system = house.system(&self.asking).await?;
        match &self.stage {
            None => explain_run(&house, system, &self.what, &self.asking, output).await,
            Some(stage) => explain_journey(&house, system, (&self.what, stage), &self.asking, output).await,
        }
    }
}

async fn explain_run(
    house: &House,
    system: SystemName,
    what: &str,
    asking: &Asking,
    output: Output,
) -> anyhow::Result<()> {
    let Ok(id) = parse_run(what) else {
        bail!("`{what}` is no run; for a commit or an artifact say on the way to which stage: `--stage STAGE`");
    };
    let ended = house.ledger.store().run(&system, &id).await?;
    let waits = PlaceWaits::of(house, &system);
    let explained = house.ledger.read(&system, |state| {
        let run = state.run(&id).or(ended.as_ref())?;
        let mut conditions = explain::chain(state, run);
        waits.tell_chain(run, &mut conditions);
        Some(RunExplained {
            system: system.clone(),
            run: run.id.clone(),
            stage: run.stage.clone(),
            state: run.state,
            known_by: explain::known_by(state, run),
            conditions,
        })
    });
    let Some(explained) = explained.await? else {
        bail!(
            "{system} has had no run `{id}`; `tidegate runs` lists them, and `--stage` asks about commits and artifacts"
        );
    };
    if output == Output::Json {
        return output.json(&explained);
    }
    let RunExplained { run, stage, state, known_by, conditions, .. } = &explained;
    say(&format!("{}  {stage}  {}", paint(run.as_str(), Tone::Strong), words::run_state(*state)))?;
    known_by.iter().try_for_each(|by| say(&format!("  who wrote it is known by {by}")))?;
    say(&house.complete(asking, &explained.system, &text(conditions)).await?)?;
    if !state.is_ended() {
        let urls = house.ledger.read(&explained.system, remotes::urls).await?;
        remotes::lines(&remotes::of(house, &urls), now_ms()).try_for_each(|line| say(&line))?;
    }
    Ok(())
}

async fn explain_journey(
    house: &House,
    system: SystemName,
    (what, stage): (&str, &StageName),
    asking: &Asking,
    output: Output,
) -> anyhow::Result<()> {
    let store = house.ledger.store().as_ref();
    let state = house.ledger.read(&system, System::clone).await?;
    let stages: Vec<&str> = state.rules().iter().flat_map(|rules| rules.stages.keys().map(StageName::as_str)).collect();
    if !stages.contains(&stage.as_str()) {
        bail!("{system} has no stage `{stage}`; it has: {}", stages.join(", "));
    }
    if let Ok(id) = parse_run(what)
        && (state.run(&id).is_some() || store.run(&system, &id).await?.is_some())
    {
        bail!("`{id}` is a run, which is in one stage; `tidegate explain {id}` says why it is where it is");
    }
    let ((repository, commit), artifact) = commit::meant(house, &system, &state, what).await?;
    let ancestry = commit::whereabouts(house, &state, (&repository, &commit)).await?;
    let mut journey = explain::journey(&state, &ancestry, &repository, &commit, stage);
    let head = ancestry.first_head_with(&commit).cloned();
    let contains = head.map(|head| std::mem::replace(&mut journey.commit, head));
    let explained = JourneyExplained { system, artifact, contains, journey };
    if output == Output::Json {
        return output.json(&explained);
    }
    if let Some(artifact) = &explained.artifact {
        say(&format!("{} {} was made from {repository} {commit}", artifact.kind, artifact.name))?;
    }
    if explained.contains.is_some() {
        let (commit, head) = (commit.short(), explained.journey.commit.short());
        say(&format!("{commit} was pushed with others; {repository} {head} is the first head that contains it"))?;
    }
    let title = format!("{repository} {} → {stage}", commit.short());
    let Journey { summary, since_ms, earliest_ms, verdict, .. } = &explained.journey;
    let since = if *verdict == Verdict::Passed { "" } else { "since " };
    let earliest = earliest_ms.map_or_else(String::new, |at_ms| format!(", not before {}", explain::time(at_ms)));
    say(&format!("{}  {summary}, {since}{}{earliest}", paint(&title, Tone::Strong), words::ago(*since_ms)))?;
    let conditions = text(&explained.journey.conditions);
    say(&house.complete(asking, &explained.system, &conditions).await?)
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
