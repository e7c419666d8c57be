//! `tidegate explain`: why something is where it is: what it has passed, what it waits for, and who can end that.

use std::path::Path;

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::{
    Asking, House,
    output::{Output, Tone, paint, say},
    progress::Progress,
    run::parse_run,
    words,
};
use crate::{
    driver::now_ms,
    engine::{
        Artifact, CommitId, Place, RunId, RunState, System,
        explain::whereabouts::{Stop, Whereabouts},
        explain::{self, Condition, Journey, Verdict},
    },
    providers::git::{Mirrors, first_head_with},
    rules::{RepositoryName, StageName, SystemName},
    store::{Store, Traced, replay},
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

/// The fewest digits of a commit that are looked for in the mirrors; git itself takes no fewer.
const FEWEST_DIGITS: usize = 4;

/// A run and its conditions, as one document.
#[derive(Serialize)]
struct RunExplained {
    system: SystemName,
    run: RunId,
    stage: StageName,
    state: RunState,
    conditions: Vec<Condition>,
}

/// A commit's journey, as one document.
#[derive(Serialize)]
struct JourneyExplained {
    system: SystemName,
    /// The artifact that was asked about, when it was not the commit itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact: Option<Artifact>,
    /// The commit that was asked about, when it was never a head: the journey is that of the first head that contains it.
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
    let explained = house.ledger.read(&system, |state| {
        let run = state.run(&id).or(ended.as_ref())?;
        let conditions = explain::chain(state, run);
        Some(RunExplained {
            system: system.clone(),
            run: run.id.clone(),
            stage: run.stage.clone(),
            state: run.state,
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
    let RunExplained { run, stage, state, conditions, .. } = &explained;
    say(&format!("{}  {stage}  {}", paint(run.as_str(), Tone::Strong), words::run_state(*state)))?;
    say(&house.complete(asking, &explained.system, &text(conditions)).await?)
}

async fn explain_journey(
    house: &House,
    system: SystemName,
    (what, stage): (&str, &StageName),
    asking: &Asking,
    output: Output,
) -> anyhow::Result<()> {
    let store = house.ledger.store().as_ref();
    let (state, whereabouts) = past(store, &system).await?;
    let stages: Vec<&str> = state.rules().iter().flat_map(|rules| rules.stages.keys().map(StageName::as_str)).collect();
    if !stages.contains(&stage.as_str()) {
        bail!("{system} has no stage `{stage}`; it has: {}", stages.join(", "));
    }
    if let Ok(id) = parse_run(what)
        && (state.run(&id).is_some() || store.run(&system, &id).await?.is_some())
    {
        bail!("`{id}` is a run, which is in one stage; `tidegate explain {id}` says why it is where it is");
    }
    let (found, artifact, contains) = match heads(&whereabouts, what).as_slice() {
        [only] => (only.clone(), None, None),
        [] => match head_with(house, &state, &whereabouts, what).await {
            Some((head, commit)) => (head, None, Some(commit)),
            None => {
                let (found, artifact) = of_artifact(store, &system, what).await?;
                (found, artifact, None)
            }
        },
        several => bail!("several commits begin with `{what}`; which one?\n{}", listed(several)),
    };
    let (repository, commit) = found;
    let journey = explain::journey(&state, &whereabouts, &repository, &commit, stage);
    let explained = JourneyExplained { system, artifact, contains, journey };
    if output == Output::Json {
        return output.json(&explained);
    }
    if let Some(artifact) = &explained.artifact {
        say(&format!("{} {} was made from {repository} {commit}", artifact.kind, artifact.name))?;
    }
    if let Some(contains) = &explained.contains {
        say(&format!(
            "{} was pushed with others; {repository} {} is the first head that contains it",
            contains.short(),
            commit.short()
        ))?;
    }
    let title = format!("{repository} {} → {stage}", commit.short());
    let Journey { summary, since_ms, earliest_ms, verdict, .. } = &explained.journey;
    let since = if *verdict == Verdict::Passed { "" } else { "since " };
    let earliest = earliest_ms.map_or_else(String::new, |at_ms| format!(", not before {}", explain::time(at_ms)));
    say(&format!("{}  {summary}, {since}{}{earliest}", paint(&title, Tone::Strong), words::ago(*since_ms)))?;
    let conditions = text(&explained.journey.conditions);
    say(&house.complete(asking, &explained.system, &conditions).await?)
}

/// The present state, and what became of every commit.
async fn past(store: &dyn Store, system: &SystemName) -> anyhow::Result<(System, Whereabouts)> {
    let last = store.last_seq(system).await?;
    let progress = Progress::of(format!("reading {system}"));
    let mut whereabouts = Whereabouts::default();
    let state = replay(store, system, None, |recorded, decision, state| {
        progress.tell(recorded.seq, last);
        whereabouts.take(recorded, decision, state);
    });
    Ok((state.await?, whereabouts))
}

/// The repository, where it is said, and the beginning of the commit: `image@193772ea94`.
fn parts(what: &str) -> (Option<&str>, &str) {
    what.rsplit_once('@').map_or((None, what), |(repository, commit)| (Some(repository), commit))
}

/// The heads whose commit begins so.
fn heads(whereabouts: &Whereabouts, what: &str) -> Vec<(RepositoryName, CommitId)> {
    let (repository, prefix) = parts(what);
    let of_place = |(place, stops): (&Place, &[Stop])| {
        let named = stops.iter().filter(|stop| stop.commit.as_str().starts_with(prefix));
        named.map(|stop| (place.repository.clone(), stop.commit.clone())).collect::<Vec<_>>()
    };
    let places =
        whereabouts.stops().filter(|(place, _)| repository.is_none_or(|name| place.repository.as_str() == name));
    let found: std::collections::BTreeSet<_> = places.flat_map(of_place).collect();
    found.into_iter().collect()
}

/// The first head that contains the commit that begins so, in the first stage where there is one, and that commit: of
/// commits that are pushed together only the last is a head. The mirrors know the others.
async fn head_with(
    house: &House,
    state: &System,
    whereabouts: &Whereabouts,
    what: &str,
) -> Option<((RepositoryName, CommitId), CommitId)> {
    let (named, prefix) = parts(what);
    let rules = state.rules()?;
    if prefix.len() < FEWEST_DIGITS || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let repositories = rules.repositories.iter().filter(|(name, _)| named.is_none_or(|named| name.as_str() == named));
    for (name, repository) in repositories {
        let Ok(mirror) = Mirrors::directory_in(&house.settings.data.join("mirrors"), &repository.url) else { continue };
        let stages = rules.stages.keys().map(|stage| Place { repository: name.clone(), stage: stage.clone() });
        let of_place = |place: Place| whereabouts.stops().find(|(of, _)| **of == place).map(|(_, stops)| stops);
        let stops = stages.filter_map(of_place).flatten();
        let heads: Vec<String> = stops.map(|stop| stop.commit.to_string()).collect();
        let prefix = prefix.to_owned();
        let search = tokio::task::spawn_blocking(move || {
            let (commit, place) = first_head_with(&mirror, &prefix, &heads)?;
            Some((CommitId::new(commit), CommitId::new(&heads[place])))
        });
        if let Ok(Some((commit, head))) = search.await {
            return Some(((name.clone(), head), commit));
        }
    }
    None
}

/// The commit that an artifact was made from, by what the store knows of its making.
async fn of_artifact(
    store: &dyn Store,
    system: &SystemName,
    name: &str,
) -> anyhow::Result<((RepositoryName, CommitId), Option<Artifact>)> {
    match store.trace(system, name).await? {
        Traced::Nothing => bail!("nothing that {system} saw, made or used begins with `{name}`"),
        Traced::Several { artifacts } => {
            let names: Vec<String> =
                artifacts.iter().map(|artifact| format!("  {} {}", artifact.kind, artifact.name)).collect();
            bail!("several begin with `{name}`; which one?\n{}", names.join("\n"))
        }
        Traced::One { origin, upstream, .. } => {
            let sources = std::iter::once(&origin).chain(upstream.iter().map(|link| &link.from));
            match sources.filter_map(commit_of).next() {
                Some(commit) => Ok((commit, Some(origin).filter(|origin| origin.kind != "commit"))),
                None => bail!("no commit is known that {} {} was made from", origin.kind, origin.name),
            }
        }
    }
}

fn commit_of(artifact: &Artifact) -> Option<(RepositoryName, CommitId)> {
    let (repository, commit) = artifact.name.split_once('@').filter(|_| artifact.kind == "commit")?;
    Some((RepositoryName::new(repository).ok()?, CommitId::new(commit)))
}

fn listed(several: &[(RepositoryName, CommitId)]) -> String {
    let lines: Vec<String> = several.iter().map(|(repository, commit)| format!("  {repository} {commit}")).collect();
    lines.join("\n")
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
                format!("{}{} {by}", condition.what, earliest.unwrap_or_default())
            }
            Verdict::Passed | Verdict::Refused => {
                format!("{}, {}", condition.what, words::ago(condition.since_ms))
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
