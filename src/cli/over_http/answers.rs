//! Where a command's answers are from: the store here, or a server elsewhere. Both give the same documents, so that a command
//! prints one as the other.

use std::path::PathBuf;

use anyhow::bail;

use super::client::Client;
use crate::{
    driver::now_ms,
    engine::{Command, Event, Recorded, Run, RunId, stats::Period},
    house::{
        House, NOTHING_YET,
        asker::Asked,
        past::Moment,
        questions::{RunsWanted, StatusTold},
        remotes,
    },
    rules::{StageName, StepId, SystemName, TargetName},
    store::{self, Traced},
    view::{
        answers::{Done, EventsPage, LogsTold, Me, RunsPage, SystemSummary},
        explain::{JourneyExplained, RunExplained},
        run::RunShown,
        stats::SystemStats,
        status::{RemoteCall, StatusReport},
        target::TargetReport,
        words,
    },
    web::routes,
};

/// How many items are asked for at once.
const PAGE: u32 = 200;

/// Whom a command asks.
pub(in crate::cli) struct Source {
    config: PathBuf,
    server: Option<Client>,
}

/// Whom a command asks, opened.
pub(in crate::cli) enum Answers<'source> {
    Here(Box<House>),
    There(&'source Client),
}

impl Source {
    pub(in crate::cli) const fn new(config: PathBuf, server: Option<Client>) -> Self {
        Self { config, server }
    }

    /// Refuses what cannot be asked of a server elsewhere, for this reason.
    pub(in crate::cli) fn only_here(&self, reason: &str) -> anyhow::Result<()> {
        match &self.server {
            Some(client) => bail!("this cannot be asked of {}: {reason}", client.url()),
            None => Ok(()),
        }
    }

    pub(in crate::cli) async fn open(&self) -> anyhow::Result<Answers<'_>> {
        match &self.server {
            Some(client) => Ok(Answers::There(client)),
            None => House::open(&self.config).await.map(|house| Answers::Here(Box::new(house))),
        }
    }

    pub(in crate::cli) async fn open_to_read(&self) -> anyhow::Result<Answers<'_>> {
        match &self.server {
            Some(client) => Ok(Answers::There(client)),
            None => House::open_to_read(&self.config).await.map(|house| Answers::Here(Box::new(house))),
        }
    }

    /// The store here.
    pub(in crate::cli) async fn house_to_read(&self) -> anyhow::Result<House> {
        House::open_to_read(&self.config).await
    }

    pub(in crate::cli) async fn open_for(&self, asked: &Asked) -> anyhow::Result<Option<Answers<'_>>> {
        match &self.server {
            Some(client) => Ok(Some(Answers::There(client))),
            None => House::open_for(asked, &self.config)
                .await
                .map(|house| house.map(|house| Answers::Here(Box::new(house)))),
        }
    }
}

impl Answers<'_> {
    /// The systems that are asked about.
    pub(in crate::cli) async fn systems_shown(&self, asked: &Asked) -> anyhow::Result<Vec<SystemName>> {
        self.asks_itself(asked)?;
        match (self, &asked.system) {
            (Self::Here(house), _) => house.systems_shown(asked).await,
            (Self::There(_), Some(system)) => Ok(vec![system.clone()]),
            (Self::There(client), None) => Ok(systems(client).await?.into_iter().map(|it| it.system).collect()),
        }
    }

    /// Over HTTP, whoever asks is who the token is of.
    pub(super) fn asks_itself(&self, asked: &Asked) -> anyhow::Result<()> {
        match self {
            Self::Here(_) => Ok(()),
            Self::There(_) => in_own_name(asked),
        }
    }

    /// The system that is looked at.
    pub(in crate::cli) async fn system(&self, asked: &Asked) -> anyhow::Result<SystemName> {
        match self {
            Self::Here(house) => house.system(asked).await,
            Self::There(client) => only_system(client, asked).await,
        }
    }

    /// The system that is asked for something.
    pub(in crate::cli) async fn find_system(&self, asked: &Asked) -> anyhow::Result<SystemName> {
        match self {
            Self::Here(house) => house.find_system(asked).await,
            Self::There(client) => only_system(client, asked).await,
        }
    }

    /// A text about a system with commands in it, which say which system is meant where that needs to be said.
    pub(in crate::cli) async fn complete(
        &self,
        asked: &Asked,
        system: &SystemName,
        text: &str,
    ) -> anyhow::Result<String> {
        match self {
            Self::Here(house) => house.complete(asked, system, text).await,
            Self::There(client) => {
                let several = systems(client).await?.len() > 1;
                Ok(if several { words::with_system(text, system) } else { text.to_owned() })
            }
        }
    }

    /// In whose name is asked.
    pub(in crate::cli) async fn asker(&self, asked: &Asked) -> anyhow::Result<String> {
        match self {
            Self::Here(house) => Ok(house.settings.principal(&asked.who)?.said()),
            Self::There(client) => Ok(client.ask::<Me>(&routes::ME, &[], &[]).await?.name),
        }
    }

    /// Whether anybody is told from anybody.
    pub(in crate::cli) fn lists_people(&self) -> bool {
        match self {
            Self::Here(house) => !house.settings.people.is_empty(),
            Self::There(_) => true,
        }
    }

    /// The systems that whoever asks may look at.
    pub(in crate::cli) async fn visible_systems(&self, asked: &Asked) -> anyhow::Result<Vec<SystemName>> {
        self.asks_itself(asked)?;
        match self {
            Self::Here(house) => house.visible_systems(&asked.who).await,
            Self::There(client) => Ok(systems(client).await?.into_iter().map(|it| it.system).collect()),
        }
    }

    /// Asks for a command.
    pub(in crate::cli) async fn command(
        &self,
        asked: &Asked,
        system: &SystemName,
        command: Command,
    ) -> anyhow::Result<Done> {
        match self {
            Self::Here(house) => {
                let entry = house.command(system, &asked.who, command).await?;
                let newest =
                    house.ledger.read(system, |state| state.runs.values().next_back().map(|run| run.id.clone()));
                Ok(Done { system: system.clone(), seq: entry.seq, newest_run: newest.await? })
            }
            Self::There(client) => {
                let key = format!("{}-{}", now_ms(), std::process::id());
                client.command(&routes::COMMANDS, &[("system", system.as_str())], &command, Some(&key)).await
            }
        }
    }

    pub(in crate::cli) async fn status(&self, asked: &Asked) -> anyhow::Result<StatusTold> {
        self.asks_itself(asked)?;
        match self {
            Self::Here(house) => house.status(asked).await,
            Self::There(client) => {
                let query = asked.system.iter().map(|system| ("system", system.to_string())).collect::<Vec<_>>();
                let reports: Vec<StatusReport> = client.ask(&routes::STATUS, &[], &query).await?;
                let mut told = StatusTold::default();
                for report in reports {
                    match SystemName::new(&report.system) {
                        Ok(system) if report.is_there() => told.there.push((system, report)),
                        _ => told.not_there.push(report),
                    }
                }
                Ok(told)
            }
        }
    }

    pub(in crate::cli) async fn past(
        &self,
        system: &SystemName,
        moment: Moment,
        tell: impl Fn(u64, u64),
    ) -> anyhow::Result<StatusReport> {
        match self {
            Self::Here(house) => house.past(system, moment, tell).await,
            Self::There(client) => {
                let query = match moment {
                    Moment::Seq(seq) => ("seq", seq.to_string()),
                    Moment::At(at_ms) => ("at", rfc3339(at_ms)),
                };
                client.ask(&routes::SYSTEM_STATUS, &[("system", system.as_str())], &[query]).await
            }
        }
    }

    pub(in crate::cli) async fn runs(&self, system: &SystemName, wanted: &RunsWanted) -> anyhow::Result<Vec<Run>> {
        let client = match self {
            Self::Here(house) => return house.runs(system, wanted).await,
            Self::There(client) => client,
        };
        let (mut runs, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let left = wanted.limit.saturating_sub(u32::try_from(runs.len()).unwrap_or(u32::MAX));
            if left == 0 {
                return Ok(runs);
            }
            let mut query = vec![("limit", left.min(PAGE).to_string())];
            query.extend(wanted.rule.iter().map(|rule| ("rule", rule.clone())));
            query.extend(wanted.stage.iter().map(|stage| ("stage", stage.to_string())));
            query.extend(wanted.state.iter().map(|state| ("state", words::text_of(state))));
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let page: RunsPage = client.ask(&routes::RUNS, &[("system", system.as_str())], &query).await?;
            runs.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(runs);
            }
        }
    }

    pub(in crate::cli) async fn run_shown(&self, system: &SystemName, id: &RunId) -> anyhow::Result<RunShown> {
        match self {
            Self::Here(house) => house.run_shown(system, id).await,
            Self::There(client) => client.ask(&routes::RUN, &of_run(system, id), &[]).await,
        }
    }

    pub(in crate::cli) async fn run_explained(&self, system: &SystemName, what: &str) -> anyhow::Result<RunExplained> {
        match self {
            Self::Here(house) => house.run_explained(system, what).await,
            Self::There(client) => {
                let parts = [("system", system.as_str()), ("run", what)];
                client.ask(&routes::RUN_EXPLAINED, &parts, &[]).await
            }
        }
    }

    pub(in crate::cli) async fn journey_explained(
        &self,
        system: &SystemName,
        what: &str,
        stage: &StageName,
    ) -> anyhow::Result<JourneyExplained> {
        match self {
            Self::Here(house) => house.journey_explained(system, what, stage).await,
            Self::There(client) => {
                let query = [("what", what.to_owned()), ("stage", stage.to_string())];
                client.ask(&routes::JOURNEY, &[("system", system.as_str())], &query).await
            }
        }
    }

    /// What goes on at the remotes of a system.
    pub(in crate::cli) async fn remotes(&self, system: &SystemName) -> anyhow::Result<Vec<RemoteCall>> {
        match self {
            Self::Here(house) => {
                let urls = house.ledger.read(system, remotes::urls).await?;
                Ok(remotes::of(house, &urls))
            }
            Self::There(client) => {
                let report: StatusReport =
                    client.ask(&routes::SYSTEM_STATUS, &[("system", system.as_str())], &[]).await?;
                Ok(report.remotes)
            }
        }
    }

    pub(in crate::cli) async fn trace(&self, system: &SystemName, name: &str) -> anyhow::Result<Traced> {
        match self {
            Self::Here(house) => Ok(store::trace(house.ledger.store().as_ref(), system, name).await?),
            Self::There(client) => {
                client.ask(&routes::TRACE, &[("system", system.as_str())], &[("name", name.to_owned())]).await
            }
        }
    }

    pub(in crate::cli) async fn history(
        &self,
        system: &SystemName,
        since: Option<u64>,
        limit: u32,
    ) -> anyhow::Result<Vec<Recorded<Event>>> {
        let client = match self {
            Self::Here(house) => return house.history(system, since, limit).await,
            Self::There(client) => client,
        };
        let from = match since {
            Some(since) => since,
            None => {
                let all = systems(client).await?;
                let last = all.iter().find(|it| it.system == *system).map_or(0, |it| it.seq);
                (last + 1).saturating_sub(u64::from(limit)).max(1)
            }
        };
        let (mut events, mut query) = (Vec::new(), vec![("from", from.to_string())]);
        loop {
            let left = limit.saturating_sub(u32::try_from(events.len()).unwrap_or(u32::MAX));
            if left == 0 {
                return Ok(events);
            }
            query.push(("limit", left.min(PAGE).to_string()));
            let page: EventsPage = client.ask(&routes::LOG_EVENTS, &[("system", system.as_str())], &query).await?;
            events.extend(page.items.into_iter().map(|told| told.recorded));
            match page.next {
                Some(next) => query = vec![("cursor", next)],
                None => return Ok(events),
            }
        }
    }

    pub(in crate::cli) async fn stats(
        &self,
        system: &SystemName,
        (since, period): (&str, Period),
        stage: Option<&StageName>,
        tell: impl Fn(u64, u64),
    ) -> anyhow::Result<SystemStats> {
        match self {
            Self::Here(house) => house.stats(system, period, stage, tell).await,
            Self::There(client) => {
                let mut query = vec![("since", since.to_owned())];
                query.extend(stage.iter().map(|stage| ("stage", stage.to_string())));
                client.ask(&routes::STATS, &[("system", system.as_str())], &query).await
            }
        }
    }

    pub(in crate::cli) async fn targets(&self, system: &SystemName) -> anyhow::Result<Vec<TargetReport>> {
        match self {
            Self::Here(house) => Ok(house.ledger.read(system, TargetReport::all).await?),
            Self::There(client) => client.ask(&routes::TARGETS, &[("system", system.as_str())], &[]).await,
        }
    }

    pub(in crate::cli) async fn target(
        &self,
        system: &SystemName,
        target: &TargetName,
        stage: &StageName,
    ) -> anyhow::Result<TargetReport> {
        match self {
            Self::Here(house) => house.target(system, target, stage).await,
            Self::There(client) => {
                let parts = [("system", system.as_str()), ("target", target.as_str()), ("stage", stage.as_str())];
                client.ask(&routes::TARGET, &parts, &[]).await
            }
        }
    }

    /// Whether a run has ended, and what its steps printed so far.
    pub(in crate::cli) async fn printed(
        &self,
        system: &SystemName,
        id: &RunId,
    ) -> anyhow::Result<(bool, Vec<(StepId, Vec<u8>)>)> {
        let client = match self {
            Self::Here(house) => {
                let (run, printed) = house.printed(system, id).await?;
                return Ok((run.state.is_ended(), printed));
            }
            Self::There(client) => client,
        };
        let logs: LogsTold = client.ask(&routes::LOGS, &of_run(system, id), &[]).await?;
        let mut printed = Vec::new();
        for log in logs.steps {
            let [system, run] = of_run(system, id);
            let bytes = client.bytes(&routes::LOG, &[system, run, ("step", log.step.as_str())], &[]).await?;
            printed.push((log.step, bytes));
        }
        Ok((logs.ended, printed))
    }
}

fn of_run<'name>(system: &'name SystemName, id: &'name RunId) -> [(&'static str, &'name str); 2] {
    [("system", system.as_str()), ("run", id.as_str())]
}

async fn systems(client: &Client) -> anyhow::Result<Vec<SystemSummary>> {
    client.ask(&routes::SYSTEMS, &[], &[]).await
}

/// The system that is named, or the only one there is. Whether it is there, the server says.
async fn only_system(client: &Client, asked: &Asked) -> anyhow::Result<SystemName> {
    in_own_name(asked)?;
    if let Some(named) = &asked.system {
        return Ok(named.clone());
    }
    let there: Vec<SystemName> = systems(client).await?.into_iter().map(|it| it.system).collect();
    match there.as_slice() {
        [] => bail!(NOTHING_YET),
        [only] => Ok(only.clone()),
        several => {
            let names = several.iter().map(SystemName::as_str).collect::<Vec<_>>().join(", ");
            bail!("which system? Say `--system` and one of: {names}")
        }
    }
}

fn in_own_name(asked: &Asked) -> anyhow::Result<()> {
    match &asked.who.in_name_of {
        None => Ok(()),
        Some(name) => bail!(
            "over HTTP nobody asks in the name of {name}: whoever asks is who the token is of; leave `--as` and TIDEGATE_AS out"
        ),
    }
}

fn rfc3339(at_ms: i64) -> String {
    let at = chrono::DateTime::from_timestamp_millis(at_ms).unwrap_or_default();
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
