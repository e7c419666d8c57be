//! `tidegate token`: what programs sign in with over HTTP.

use std::{collections::BTreeSet, path::Path};

use anyhow::bail;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    House,
    output::{Output, Tone, paint, say},
};
use crate::{
    driver::now_ms,
    engine::{Role, explain},
    house::asker::OsUser,
    rules::{Span, SystemName},
    store::{Token as Kept, TokenNote},
    view::words,
    web::new_token,
};

/// The longest that a token is good, in days.
const LONGEST_DAYS: i64 = 366;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// How long a name may be.
const LONGEST_NAME: usize = 64;

/// Make, list and end what programs sign in with over HTTP. Whoever can open the database can do this.
#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Make a token. It is shown once, and kept nowhere
    Create(Create),
    /// List the tokens: what each is for, until when, and when it was last used
    List,
    /// End a token at once
    Revoke {
        /// Its name
        name: String,
    },
}

/// Makes a token.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate token create --name ci --role operator --system webshop --expires 90d")]
pub(super) struct Create {
    /// What it is called; it asks in the name `token/NAME`
    #[arg(long, value_parser = name)]
    name: String,
    /// What may be done with it: `viewer`, `operator`, `approver` or `admin`
    #[arg(long, value_parser = role)]
    role: Role,
    /// A system that it is for; may be given several times. Without it, all of them
    #[arg(long = "system", short)]
    systems: Vec<SystemName>,
    /// How long it is good
    #[arg(long, default_value = "90d")]
    expires: Span,
}

/// A token, as it is told. What it is, is not kept.
#[derive(Serialize)]
struct Told {
    name: String,
    role: Role,
    systems: BTreeSet<SystemName>,
    created_by: String,
    created_ms: i64,
    expires_ms: i64,
    used_ms: Option<i64>,
    revoked_ms: Option<i64>,
}

impl From<Kept> for Told {
    fn from(kept: Kept) -> Self {
        let Kept { name, hash: _, role, systems, created_by, created_ms, expires_ms, used_ms, revoked_ms } = kept;
        Self { name, role, systems, created_by, created_ms, expires_ms, used_ms, revoked_ms }
    }
}

impl Token {
    pub(super) async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Create(create) => create.execute(config, output).await,
            Self::List => list(config, output).await,
            Self::Revoke { name } => revoke(config, output, name).await,
        }
    }
}

impl Create {
    async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        let house = House::open(config).await?;
        let Self { name, role, systems, expires } = self;
        if !(1..=LONGEST_DAYS * DAY_MS).contains(&expires.as_ms()) {
            bail!("a token is good for {LONGEST_DAYS} days at most, and for a moment at least");
        }
        let known = house.systems().await?;
        if let Some(unknown) = systems.iter().find(|system| !known.contains(system)) {
            let known = known.iter().map(SystemName::as_str).collect::<Vec<_>>().join(", ");
            bail!("there is no system `{unknown}`; there are: {known}");
        }
        let (token, hash) = new_token()?;
        let created_ms = now_ms();
        let kept = Kept {
            name: name.clone(),
            hash,
            role,
            systems: systems.into_iter().collect(),
            created_by: OsUser::current().to_string(),
            created_ms,
            expires_ms: created_ms + expires.as_ms(),
            used_ms: None,
            revoked_ms: None,
        };
        let until = explain::time(kept.expires_ms);
        if !house.ledger.store().note(TokenNote::Made(kept).into()).await? {
            bail!("there is or was a token `{name}`: take another name");
        }
        match output {
            Output::Json => output.json(&serde_json::json!({ "name": name, "token": token })),
            Output::Text => {
                say(&token)?;
                say(&paint(&format!("It is good until {until}, and is shown only now."), Tone::Quiet))
            }
        }
    }
}

async fn list(config: &Path, output: Output) -> anyhow::Result<()> {
    let house = House::open_to_read(config).await?;
    let tokens = house.ledger.store().tokens().await?;
    if output == Output::Json {
        return output.json(&tokens.into_iter().map(Told::from).collect::<Vec<_>>());
    }
    if tokens.is_empty() {
        return say("there are no tokens");
    }
    let (now_ms, width) = (now_ms(), tokens.iter().map(|token| token.name.chars().count()).max().unwrap_or(0));
    tokens.iter().try_for_each(|token| say(&line(token, width, now_ms)))
}

fn line(token: &Kept, width: usize, now_ms: i64) -> String {
    let role = serde_json::to_value(token.role).ok().and_then(|role| role.as_str().map(str::to_owned));
    let systems = token.systems.iter().map(SystemName::as_str).collect::<Vec<_>>().join(", ");
    let systems = if systems.is_empty() { "all systems".to_owned() } else { systems };
    let used =
        token.used_ms.map_or_else(|| "never used".to_owned(), |at| format!("used {}", words::before(now_ms, at)));
    let until = match token.revoked_ms {
        Some(at_ms) => paint(&format!("ended by hand at {}", explain::time(at_ms)), Tone::Bad),
        None if token.is_good(now_ms) => format!("until {}", explain::time(token.expires_ms)),
        None => paint(&format!("ended at {}", explain::time(token.expires_ms)), Tone::Quiet),
    };
    format!("{:<width$}  {:<8}  {systems}  {until}  {used}", token.name, role.unwrap_or_default())
}

async fn revoke(config: &Path, output: Output, name: String) -> anyhow::Result<()> {
    let house = House::open(config).await?;
    let at_ms = now_ms();
    if !house.ledger.store().note(TokenNote::Revoked { name: name.clone(), at_ms }.into()).await? {
        bail!("there is no token `{name}` that could end; `tidegate token list` lists them");
    }
    output.done(&format!("{name} has ended"), &serde_json::json!({ "name": name, "revoked_ms": at_ms }))
}

fn name(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    match (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err(format!("a token's name has 1 to {LONGEST_NAME} small letters, digits and dashes")),
    }
}

fn role(text: &str) -> Result<Role, String> {
    let role = serde_json::from_value(serde_json::Value::from(text));
    let role = role.ok().filter(|role| *role != Role::Impersonator);
    role.ok_or_else(|| "a token's role is viewer, operator, approver or admin".to_owned())
}
