//! What is set up here against what GitHub says of it, for `doctor`.

use std::{collections::BTreeMap, sync::PoisonError};

use chrono::Utc;
use hyper::StatusCode;
use serde::Deserialize;

use super::{
    call::{Answer, Ask},
    caller::Caller,
    client::GitHub,
    installations::Installation,
    permissions::{Level, WANTED, events},
    verdict::{Refused, quoted},
};
use crate::providers::forge::values::Finding;

/// How far the clocks may be apart, in seconds. GitHub refuses what the App signs from a minute on.
const MOST_APART_S: i64 = 30;
/// How many installations are looked at.
const MOST_INSTALLATIONS: usize = 100;
/// The newest deliveries of which it is said how they went.
const NEWEST: usize = 20;

#[derive(Deserialize)]
struct App {
    html_url: String,
    #[serde(default)]
    permissions: BTreeMap<String, String>,
    #[serde(default)]
    events: Vec<String>,
}

#[derive(Deserialize)]
struct Delivery {
    #[serde(default)]
    status_code: i64,
    #[serde(default)]
    status: String,
}

#[derive(Deserialize)]
struct Quotas {
    resources: Resources,
}

#[derive(Deserialize)]
struct Resources {
    core: Quota,
}

#[derive(Deserialize)]
struct Quota {
    limit: u64,
    remaining: u64,
}

impl GitHub {
    pub(super) async fn look_at_itself(&self) -> Result<Vec<Finding>, Refused> {
        let mut found = Vec::new();
        if self.installations.is_some() {
            let answer = self.own.call(&self.line, &Ask::get("/app")).await?;
            clocks(&answer, &mut found);
            let app: App = answer.read()?;
            app.look(&mut found);
            self.look_at_installations(&app, &mut found).await?;
            self.look_at_deliveries(&mut found).await?;
        } else if let Some(answer) = self.look_at_quota(&self.own, &mut found).await? {
            clocks(&answer, &mut found);
        }
        let moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        found.extend(moved.iter().map(|(before, now)| Finding {
            what: format!("{before} is called {now} now"),
            hint: "write its new name in the rules: the old one may be given to another repository".to_owned(),
        }));
        Ok(found)
    }

    async fn look_at_installations(&self, app: &App, found: &mut Vec<Finding>) -> Result<(), Refused> {
        let all = self.all_installations().await?;
        if all.is_empty() {
            found.push(Finding {
                what: "the App is installed nowhere".to_owned(),
                hint: format!("install it at {}, for the repositories of the rules", app.html_url),
            });
        }
        for installation in all.iter().take(MOST_INSTALLATIONS) {
            let (owner, page) = (installation.owner(), &installation.html_url);
            if installation.suspended_at.is_some() {
                let what = format!("the App is suspended at {owner}");
                found.push(Finding { what, hint: format!("lift that at {page}") });
                continue;
            }
            let waits = installation.waits_for(app);
            if !waits.is_empty() {
                let what = format!("the App asks {owner} for what nobody has granted yet: {}", waits.join(", "));
                found.push(Finding { what, hint: format!("accept it at {page}") });
            }
            let caller = Caller::installation(installation.id, owner, &self.line.limits);
            self.look_at_quota(&caller, found).await?;
        }
        Ok(())
    }

    /// What is left of the hour's quota; nothing where GitHub does not count.
    async fn look_at_quota(&self, caller: &Caller, found: &mut Vec<Finding>) -> Result<Option<Answer>, Refused> {
        let answer = match caller.call(&self.line, &Ask::get("/rate_limit")).await {
            Ok(answer) => answer,
            // An Enterprise Server whose administrator has set no limits says so.
            Err(refused) if refused.is(StatusCode::NOT_FOUND) => return Ok(None),
            Err(refused) => return Err(refused),
        };
        let Quotas { resources: Resources { core: Quota { limit, remaining } } } = answer.read()?;
        if remaining < limit / 10 {
            found.push(Finding {
                what: format!("{} has {remaining} of {limit} calls left for this hour", caller.whom),
                hint:
                    "let webhooks wake Tidegate and polls be rare, or give others who use this quota one of their own"
                        .to_owned(),
            });
        }
        Ok(Some(answer))
    }

    async fn look_at_deliveries(&self, found: &mut Vec<Finding>) -> Result<(), Refused> {
        let path = format!("/app/hook/deliveries?per_page={NEWEST}");
        let answer = self.own.call(&self.line, &Ask::get(path)).await?;
        let all: Vec<Delivery> = answer.read()?;
        let failed = all.iter().filter(|it| !(200..300).contains(&it.status_code)).collect::<Vec<_>>();
        if let Some(newest) = failed.first() {
            let said = match newest.status_code {
                0 => quoted(&newest.status),
                code => code.to_string(),
            };
            found.push(Finding {
                what: format!("{} of the newest {} deliveries of GitHub were not taken, the last with: {said}", failed.len(), all.len()),
                hint: "check that GitHub reaches the webhook's address in the App's settings, and that both have the same secret"
                    .to_owned(),
            });
        }
        Ok(())
    }
}

impl App {
    /// What the App does not even ask for.
    fn look(&self, found: &mut Vec<Finding>) {
        for wanted in WANTED {
            if level(self.permissions.get(wanted.name)) < Some(wanted.level) {
                found.push(Finding {
                    what: format!(
                        "the App does not ask for `{}: {}`: {}",
                        wanted.name,
                        wanted.level.name(),
                        wanted.why
                    ),
                    hint: format!(
                        "add it at {}, below `Permissions & events`, and accept it where it is installed",
                        self.html_url
                    ),
                });
            }
        }
        let missing: Vec<&str> = events().filter(|event| !self.events.iter().any(|of| of == event)).collect();
        if !missing.is_empty() {
            found.push(Finding {
                what: format!("the App is not told of: {}", missing.join(", ")),
                hint: format!("choose these events at {}, below `Permissions & events`", self.html_url),
            });
        }
    }
}

impl Installation {
    /// What the App asks for and nobody has granted here.
    fn waits_for(&self, app: &App) -> Vec<String> {
        let asked = app.permissions.iter();
        let waits = asked.filter(|(name, asked)| level(self.permissions.get(*name)) < level(Some(asked)));
        waits.map(|(name, level)| format!("{name}: {level}")).collect()
    }
}

fn level(word: Option<&String>) -> Option<Level> {
    match word?.as_str() {
        "read" => Some(Level::Read),
        "write" | "admin" => Some(Level::Write),
        _ => None,
    }
}

fn clocks(answer: &Answer, found: &mut Vec<Finding>) {
    let Some(at) = answer.at else { return };
    let apart = (Utc::now() - at).num_seconds();
    if apart.abs() > MOST_APART_S {
        let which = if apart > 0 { "ahead of" } else { "behind" };
        found.push(Finding {
            what: format!(
                "this machine's clock is {} s {which} GitHub's, which refuses what is signed then",
                apart.abs()
            ),
            hint: "set the clock, and let a time service keep it".to_owned(),
        });
    }
}
