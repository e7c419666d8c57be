//! Does what deliveries ask for, the oldest first. A delivery only wakes: repositories and checks are looked at, as they would be in
//! their turn. It is done again where this ended before it was noted: a look more is none, and a command has a key.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    buttons::{Pressed, press},
    places::Places,
    upheavals::{self, Upheaval},
};
use crate::{
    engine::{DeliveryId, EffectKind, Nudge, Phase, System, plan::Task},
    house::{House, current::Current, now_ms},
    providers::forge::{
        Account,
        github::{Addresses, webhook::Heard},
    },
    rules::{Action, RepositoryName, SystemName, repository_key},
    store::{Delivery, DeliveryNote, RecordError, StoreError},
};

/// How many deliveries are done together: of those that are about one repository, all are one look.
const MOST_TOGETHER: u32 = 256;
/// How soon it is tried again where the store fails.
const AGAIN: Duration = Duration::from_secs(2);

/// Who else is woken by what happens at a forge.
#[derive(Debug, Clone, Default)]
pub struct Wakes {
    /// Whoever looks at the repository of the rules.
    pub rules: Arc<Notify>,
    /// Whoever asks who people and teams are.
    pub people: Arc<Notify>,
}

/// What is looked at because of several deliveries: the newest of them names the look, so that one that came while an earlier look was
/// noted is not taken for that.
#[derive(Debug, Default)]
struct Looks(BTreeMap<Place, Vec<String>>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// The branches of what is called so at the forge.
    Repository(String),
    /// The checks of its commits.
    Checks(String),
}

/// Does what deliveries ask for, until it is told to stop.
pub async fn attend(house: Arc<House>, wakes: Wakes, stop: CancellationToken) {
    let mut delivered = house.ledger.store().delivered();
    let (current, mut places) = (Current::new(house), Places::default());
    while !stop.is_cancelled() {
        delivered.mark_unchanged();
        let again = match round(&current.house(), &mut places, &wakes).await {
            Ok(0) => None,
            Ok(_) => continue,
            Err(error) => {
                tracing::warn!(%error, "what was delivered waits");
                Some(AGAIN)
            }
        };
        let news = async {
            match again {
                Some(pause) => sleep(pause).await,
                // Without the store there is no news ever.
                None => drop(delivered.changed().await),
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = news => {}
        }
    }
}

/// Does some of what waits. How many that were.
async fn round(house: &House, places: &mut Places, wakes: &Wakes) -> Result<usize, StoreError> {
    let store = house.ledger.store();
    let waiting = store.deliveries(MOST_TOGETHER).await?;
    if waiting.is_empty() {
        return Ok(0);
    }
    let github = house.settings.forges.github.as_ref();
    // The settings were checked when they were read.
    match github.and_then(|github| Addresses::of(&github.url, repository_key).ok()) {
        Some(addresses) => {
            places.look(house, &addresses).await?;
            let room = Room { house, places: &*places, addresses: &addresses, wakes };
            room.attend(&waiting).await?;
        }
        None => {
            let guids = waiting.iter().map(|delivery| delivery.guid.clone()).collect();
            done(house, guids, "there is no [forges.github] any more".to_owned()).await?;
        }
    }
    Ok(waiting.len())
}

/// What deliveries are done with.
struct Room<'all> {
    house: &'all House,
    places: &'all Places,
    addresses: &'all Addresses,
    wakes: &'all Wakes,
}

impl Room<'_> {
    async fn attend(&self, waiting: &[Delivery]) -> Result<(), StoreError> {
        let mut looks = Looks::default();
        for delivery in waiting {
            let heard = delivery.heard.as_deref().map(serde_json::from_str::<Heard>);
            let outcome = match heard {
                Some(Ok(Heard::Moved { repository })) => {
                    looks.add(Place::Repository(repository.to_lowercase()), &delivery.guid);
                    continue;
                }
                Some(Ok(Heard::Checked { repository, app })) => {
                    let own = self.house.settings.forges.github.as_ref().and_then(|github| github.app_id);
                    if app.is_none() || app != own {
                        looks.add(Place::Checks(repository.to_lowercase()), &delivery.guid);
                        continue;
                    }
                    "nothing: it is a check of ours".to_owned()
                }
                Some(Ok(Heard::Pressed { app, key, says, id, login })) => {
                    let pressed =
                        Pressed { guid: &delivery.guid, app, key: &key, says: &says, by: Account { id, login } };
                    let outcome = press(self.house, &pressed).await?;
                    tracing::info!(key, login = pressed.by.login, outcome, "a button was pressed at GitHub");
                    outcome
                }
                Some(Ok(Heard::People)) => {
                    self.wakes.people.notify_one();
                    "who is in the teams is asked".to_owned()
                }
                Some(Ok(Heard::Repository { repository, was, action })) => {
                    let ours = self.places.of(was.as_deref().unwrap_or(&repository));
                    said(upheavals::repository(&repository, was.as_deref(), &action, &ours))
                }
                Some(Ok(Heard::Installation { account, action, lost })) => {
                    let ours: Vec<_> = lost.iter().flat_map(|repository| self.places.of(repository)).collect();
                    said(upheavals::installation(&account, &action, &lost, &ours))
                }
                // Another version wrote it; what it asked for is looked at in its turn.
                Some(Err(_)) | None => "nothing: it cannot be read".to_owned(),
            };
            done(self.house, vec![delivery.guid.clone()], outcome).await?;
        }
        for (place, guids) in looks.0 {
            let Some(newest) = guids.last() else { continue };
            let outcome = match &place {
                Place::Repository(repository) => self.look_at(repository, newest).await?,
                Place::Checks(repository) => self.ask_checks(repository, newest).await?,
            };
            done(self.house, guids, outcome).await?;
        }
        Ok(())
    }

    /// Has the branches of a repository looked at in all systems that have it.
    async fn look_at(&self, repository: &str, delivery: &str) -> Result<String, StoreError> {
        let mut looked = Vec::new();
        let rules =
            self.house.settings.rules.repository().and_then(|rules| self.addresses.repository(&rules.repository));
        if rules.is_some_and(|rules| rules.to_string().eq_ignore_ascii_case(repository)) {
            self.wakes.rules.notify_one();
            looked.push("the rules".to_owned());
        }
        for (number, (system, repository)) in self.places.of(repository).into_iter().enumerate() {
            let what = Nudge::Repository { repository: repository.clone() };
            let nudged = self.nudge(&system, what, (delivery, number)).await?;
            looked.push(nudged.unwrap_or_else(|| format!("{repository} of {system}")));
        }
        Ok(if looked.is_empty() {
            "nothing: no system has it".to_owned()
        } else {
            format!("a look at {}", looked.join(", "))
        })
    }

    /// Has what waits for checks of a repository's commits asked again.
    async fn ask_checks(&self, repository: &str, delivery: &str) -> Result<String, StoreError> {
        let (mut asked, mut number) = (Vec::new(), 0);
        for (system, repository) in self.places.of(repository) {
            let read = self.house.ledger.read(&system, |state| waiting_for_checks(state, &repository)).await;
            let waiting = match read {
                Ok(waiting) => waiting,
                Err(error) if error.is_passing() => return Err(error),
                Err(_) => continue,
            };
            for what in waiting {
                let clause = what.clause();
                let nudged = self.nudge(&system, what, (delivery, number)).await?;
                asked.push(nudged.unwrap_or_else(|| format!("{clause} of {system}")));
                number += 1;
            }
        }
        Ok(if asked.is_empty() { "nothing: nothing waits for it".to_owned() } else { asked.join(", ") })
    }

    /// Nudges. Why not, where it was refused.
    async fn nudge(
        &self,
        system: &SystemName,
        what: Nudge,
        (delivery, number): (&str, usize),
    ) -> Result<Option<String>, StoreError> {
        // One delivery may have several things of a system looked at.
        let name = if number == 0 { delivery.to_owned() } else { format!("{delivery}/{number}") };
        let Ok(name) = name.parse::<DeliveryId>() else { return Ok(Some("it has no number".to_owned())) };
        match self.house.woken(system, what, name).await {
            Ok(()) => Ok(None),
            Err(RecordError::Store(error)) if error.is_passing() => Err(error),
            Err(error) => Ok(Some(format!("{system} refuses: {error}"))),
        }
    }
}

impl Looks {
    fn add(&mut self, place: Place, guid: &str) {
        self.0.entry(place).or_default().push(guid.to_owned());
    }
}

/// The steps that wait for a status of a commit of this repository.
fn waiting_for_checks(state: &System, repository: &RepositoryName) -> Vec<Nudge> {
    let waits = |effect: &crate::engine::Effect| {
        let EffectKind::Step { run, step, phase: Phase::Poll } = &effect.kind else { return None };
        let of = state.run(run)?;
        let Task::Action(Action::Check(check)) = &*of.step(step)?.task else { return None };
        let source = of.source.as_ref().map(|source| &source.repository);
        let is_of = check.repository.as_ref().or(source).is_none_or(|about| about == repository);
        let is_asked = check.commit_status.is_some() && is_of;
        is_asked.then(|| Nudge::Run { run: run.clone(), step: Some(step.clone()) })
    };
    state.due.values().filter_map(waits).collect()
}

/// Says what somebody has to do.
fn said(upheaval: Upheaval) -> String {
    match upheaval.matters {
        true => tracing::error!("GitHub says: {}", upheaval.says),
        false => tracing::info!("GitHub says: {}", upheaval.says),
    }
    upheaval.says
}

async fn done(house: &House, guids: Vec<String>, outcome: String) -> Result<(), StoreError> {
    house.ledger.store().note(DeliveryNote::Done { guids, outcome, at_ms: now_ms() }.into()).await.map(drop)
}
