//! What is asked of several systems, or of more than the store: releases, nudges, predictions, checks of logs.

use std::collections::BTreeMap;

use super::answers::Answers;
use crate::{
    cli::progress::Progress,
    driver::now_ms,
    engine::{DeliveryId, Nudge},
    house::{
        asker::{Asked, Asker},
        log_checks::LogChecked,
        predictions::{OnlyHere, Prediction},
    },
    rules::{RepositoryName, SystemName},
    store::Expected,
    view::{
        answers::{NudgeAsked, Nudged, ReleaseAsked, ReleaseBegun, ReleaseTold, RulesTold},
        predictions::PredictionAsked,
        status::StatusReport,
    },
    web::routes,
};

impl Answers<'_> {
    /// Asks several systems for a release.
    pub(in crate::cli) async fn release(&self, who: &Asker, asked: ReleaseAsked) -> anyhow::Result<ReleaseBegun> {
        self.asks_itself(&Asked { system: None, who: who.clone() })?;
        match self {
            Self::Here(house) => house.release(who, asked, None).await,
            Self::There(client) => {
                let key = format!("{}-{}", now_ms(), std::process::id());
                client.command(&routes::RELEASES, &[], &asked, Some(&key)).await
            }
        }
    }

    /// How far a release is.
    pub(in crate::cli) async fn release_told(&self, who: &Asker, name: &str) -> anyhow::Result<ReleaseTold> {
        self.asks_itself(&Asked { system: None, who: who.clone() })?;
        match self {
            Self::Here(house) => house.release_told(who, name).await,
            Self::There(client) => client.ask(&routes::RELEASE, &[("release", name)], &[]).await,
        }
    }

    /// The repositories of a system, with their URLs as far as the rules in force name them.
    pub(in crate::cli) async fn repositories(
        &self,
        system: &SystemName,
    ) -> anyhow::Result<BTreeMap<RepositoryName, Option<String>>> {
        let (seen, rules) = match self {
            Self::Here(house) => {
                let told = |state: &_| (StatusReport::of(state), RulesTold::of(system, state));
                house.ledger.read(system, told).await?
            }
            Self::There(client) => {
                let parts = [("system", system.as_str())];
                let status: StatusReport = client.ask(&routes::SYSTEM_STATUS, &parts, &[]).await?;
                (status, client.ask::<RulesTold>(&routes::RULES, &parts, &[]).await?)
            }
        };
        let seen = seen.repositories.into_iter().filter_map(|it| RepositoryName::new(&it.repository).ok());
        let mut repositories: BTreeMap<_, _> = seen.map(|name| (name, None)).collect();
        let in_force = rules.in_force.into_iter().flat_map(|in_force| in_force.rules.repositories);
        repositories.extend(in_force.map(|(name, repository)| (name, Some(repository.url))));
        Ok(repositories)
    }

    /// Says that there may be news of something; its place in the log, none where it was taken in before.
    pub(in crate::cli) async fn nudge(
        &self,
        asked: &Asked,
        system: &SystemName,
        what: Nudge,
        delivery: DeliveryId,
    ) -> anyhow::Result<Option<u64>> {
        match self {
            Self::Here(house) => house.nudge(system, &asked.who, what, delivery).await,
            Self::There(client) => {
                let (parts, key) = ([("system", system.as_str())], delivery.to_string());
                let nudge = NudgeAsked { what, delivery };
                let nudged: Nudged = client.command(&routes::NUDGES, &parts, &nudge, Some(&key)).await?;
                Ok(nudged.systems.get(system).copied().flatten())
            }
        }
    }

    /// Predicts what would happen. What is only here is asked only here.
    pub(in crate::cli) async fn predict(
        &self,
        asked: &Asked,
        system: &SystemName,
        prediction: PredictionAsked,
        only_here: OnlyHere,
    ) -> anyhow::Result<Prediction> {
        match self {
            Self::Here(house) => house.predict(system, &asked.who, prediction, only_here).await,
            Self::There(client) => {
                client.command(&routes::PREDICTIONS, &[("system", system.as_str())], &prediction, None).await
            }
        }
    }

    /// Checks the logs, and tells each as it is checked.
    pub(in crate::cli) async fn log_checks(
        &self,
        asked: &Asked,
        expected: Option<&Expected>,
        mut tell: impl FnMut(LogChecked) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.asks_itself(asked)?;
        match self {
            Self::Here(house) => {
                for system in house.systems_checked(asked, expected.is_some()).await? {
                    let progress = Progress::of(format!("checking {system}"));
                    let checked = house.check_log(&system, expected, &|done, whole| progress.tell(done, whole)).await?;
                    drop(progress);
                    tell(checked)?;
                }
                Ok(())
            }
            Self::There(client) => {
                let mut query: Vec<(&str, String)> =
                    asked.system.iter().map(|system| ("system", system.to_string())).collect();
                query.extend(expected.map(|expected| ("expect", expected.to_string())));
                let all: Vec<LogChecked> = client.ask(&routes::LOG_CHECKS, &[], &query).await?;
                all.into_iter().try_for_each(tell)
            }
        }
    }
}
