//! Asks GitHub again and again who the people and teams of the settings are, and keeps what it says.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    house::{
        at_github::{AtGitHub, TeamKnown},
        current::Current,
        now_ms,
        settings::Settings,
    },
    providers::{
        Fault,
        forge::{Account, Finding, Forge, Team},
    },
};

/// How often they are asked about.
const EVERY: Duration = Duration::from_secs(600);
/// How soon again after a failure.
const AGAIN: Duration = Duration::from_secs(30);

/// Asks until it is told to stop; at once where somebody wakes it.
pub async fn keep(house: Current, forge: Arc<dyn Forge>, wake: Arc<Notify>, stop: CancellationToken) {
    loop {
        let whole = ask(&house.house().settings, &*forge).await;
        let pause = if whole { EVERY } else { AGAIN };
        tokio::select! {
            () = stop.cancelled() => return,
            () = wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Asks once. Whether all was told.
async fn ask(settings: &Settings, forge: &dyn Forge) -> bool {
    let mut known = match AtGitHub::read(&settings.data) {
        Ok(known) => known,
        Err(fault) => {
            tracing::error!("who people are at GitHub is not known: {}", fault.whole());
            return false;
        }
    };
    let before = known.clone();
    let mut whole = true;
    for login in settings.people.values().filter_map(|person| person.github.as_ref()) {
        match forge.account(login).await {
            Ok(account) => account_told(&mut known, login, account.as_ref()),
            Err(fault) => {
                tracing::warn!(login, "GitHub does not say who this is: {}", fault.whole());
                whole = false;
            }
        }
    }
    let teams: BTreeSet<&String> = settings.groups.values().map(|group| &group.github).collect();
    for name in teams {
        // The settings were checked.
        let Ok(team) = name.parse::<Team>() else { continue };
        match forge.members(&team).await {
            Ok(members) => {
                let members = members.into_iter().map(|member| member.id).collect();
                known.teams.insert(name.to_lowercase(), TeamKnown { at_ms: now_ms(), members });
            }
            Err(fault) => {
                tracing::warn!(team = name, "GitHub does not say who is in this team: {}", fault.whole());
                whole = false;
            }
        }
    }
    if known != before
        && let Err(fault) = known.write(&settings.data)
    {
        tracing::error!("who people are at GitHub cannot be kept: {}", fault.whole());
        return false;
    }
    whole
}

fn account_told(known: &mut AtGitHub, login: &str, account: Option<&Account>) {
    let Some(account) = account else {
        tracing::warn!(login, "GitHub has no such account: correct `github` of that person in tidegate.toml");
        return;
    };
    let id = *known.accounts.entry(login.to_lowercase()).or_insert(account.id);
    if id != account.id {
        tracing::error!(
            login,
            "GitHub has given this login to another account ({} and not {id}): nobody comes in by it; write the person's new login \
             in tidegate.toml",
            account.id
        );
    }
}

/// What is not as it should be with the people of the settings, for those who look.
///
/// # Errors
/// When GitHub cannot be asked.
pub async fn examine(settings: &Settings, forge: &dyn Forge) -> Result<Vec<Finding>, Fault> {
    let known = AtGitHub::read(&settings.data)?;
    let mut found = Vec::new();
    for (name, login) in settings.people.iter().filter_map(|(name, person)| Some((name, person.github.as_ref()?))) {
        let told = forge.account(login).await?;
        let id = known.accounts.get(&login.to_lowercase());
        match (told, id) {
            (None, _) => found.push(Finding {
                what: format!("GitHub has no account `{login}`, which is {name}'s"),
                hint: format!("correct `github` of [people.{name}]"),
            }),
            (Some(account), Some(id)) if account.id != *id => found.push(Finding {
                what: format!(
                    "the login `{login}` was {name}'s (number {id}) and is another account's now (number {})",
                    account.id
                ),
                hint: format!("write {name}'s new login as `github` of [people.{name}]"),
            }),
            _ => {}
        }
    }
    Ok(found)
}
