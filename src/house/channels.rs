//! The channels of `tidegate.toml`: through what people and programs are told of things. Passwords and keys do not stand in
//! that file, but in files or environment variables that it names; they are read when driving begins.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    providers::{
        Fault, Secret,
        mail::{MailServer, MailSettings, Security},
        webhook::Webhook,
    },
    rules::{ChannelKind, ChannelName, Channels as Known},
    steps::{Channel, Channels, DELIVERY_DEADLINE},
};

/// A channel of `tidegate.toml`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ChannelSettings {
    /// Mail by SMTP.
    Smtp(SmtpSettings),
    /// Posts to a web address, signed as Standard Webhooks says.
    Webhook(WebhookSettings),
}

/// A mail server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmtpSettings {
    /// Its name, to which its certificate must be.
    pub host: String,
    /// The port; 587 with STARTTLS, 465 with TLS and 25 without either, unless it says otherwise.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is protected.
    #[serde(default)]
    pub security: SmtpSecurity,
    /// Who the mails are from: an address, or `Name <address>`.
    pub from: String,
    /// The user's name, for a server that asks for one.
    #[serde(default)]
    pub username: Option<String>,
    /// The file that holds the user's password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The environment variable that holds the user's password.
    #[serde(default)]
    pub password_env: Option<String>,
}

/// How a connection to a mail server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SmtpSecurity {
    /// It begins in plain and must become TLS before anything is said.
    #[default]
    Starttls,
    /// TLS from the first byte on.
    Tls,
    /// Not at all. A password is not sent this way, but to this machine itself.
    None,
}

/// A web address that takes what is posted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// The address, http or https.
    pub url: String,
    /// The file that holds the secret that signs: `whsec_` and the base64 of 24 to 64 bytes, or as long a text. Several,
    /// one a line, all sign: for the time in which one replaces the other.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// The environment variable that holds the secret.
    #[serde(default)]
    pub secret_env: Option<String>,
}

/// The channels as far as rules must know them.
#[must_use]
pub(crate) fn known(channels: &BTreeMap<ChannelName, ChannelSettings>) -> Known {
    let kind = |settings: &ChannelSettings| match settings {
        ChannelSettings::Smtp(_) => ChannelKind::Mail,
        ChannelSettings::Webhook(_) => ChannelKind::Webhook,
    };
    channels.iter().map(|(name, settings)| (name.clone(), kind(settings))).collect()
}

/// The files that hold the channels' secrets, by channel.
pub(crate) fn secret_files(
    channels: &BTreeMap<ChannelName, ChannelSettings>,
) -> impl Iterator<Item = (&ChannelName, &Path)> {
    channels.iter().filter_map(|(name, settings)| {
        let file = match settings {
            ChannelSettings::Smtp(smtp) => &smtp.password_file,
            ChannelSettings::Webhook(webhook) => &webhook.secret_file,
        };
        Some((name, file.as_deref()?))
    })
}

/// Makes the paths absolute: relative ones are from the settings' folder.
pub(crate) fn absolute(channels: &mut BTreeMap<ChannelName, ChannelSettings>, folder: &Path) {
    for settings in channels.values_mut() {
        let file = match settings {
            ChannelSettings::Smtp(smtp) => &mut smtp.password_file,
            ChannelSettings::Webhook(webhook) => &mut webhook.secret_file,
        };
        if let Some(file) = file {
            *file = folder.join(&*file);
        }
    }
}

/// Opens the channels: reads their secrets, and checks all that can be checked without asking anybody.
///
/// # Errors
/// What is wrong with which channel, and what to do.
pub(crate) fn open(channels: &BTreeMap<ChannelName, ChannelSettings>) -> anyhow::Result<Channels> {
    let open = |settings: &ChannelSettings| match settings {
        ChannelSettings::Smtp(smtp) => mail(smtp).map(Channel::Mail),
        ChannelSettings::Webhook(webhook) => self::webhook(webhook).map(Channel::Webhook),
    };
    let named = |(name, settings): (&ChannelName, &ChannelSettings)| {
        let opened = open(settings).with_context(|| format!("the channel `{name}` in tidegate.toml cannot be used"))?;
        Ok((name.clone(), opened))
    };
    channels.iter().map(named).collect()
}

fn mail(smtp: &SmtpSettings) -> anyhow::Result<MailServer> {
    let SmtpSettings { host, port, security, from, username, password_file, password_env } = smtp;
    let password = secret("password", password_file.as_deref(), password_env.as_deref())?;
    let credentials = match (username, password) {
        (Some(user), Some(password)) => {
            Some((user.clone(), Secret::new(password.expose().trim_end_matches(['\r', '\n']))))
        }
        (None, None) => None,
        (Some(_), None) => bail!("it has a `username` and no password: give it a `password_file` or `password_env`"),
        (None, Some(_)) => bail!("it has a password and no `username`: give it one"),
    };
    let is_here = matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1");
    if credentials.is_some() && *security == SmtpSecurity::None && !is_here {
        bail!("its password would travel in plain: set `security` to \"starttls\" or \"tls\"");
    }
    let (security, usual_port) = match security {
        SmtpSecurity::Starttls => (Security::StartTls, 587),
        SmtpSecurity::Tls => (Security::Tls, 465),
        SmtpSecurity::None => (Security::None, 25),
    };
    let (host, from, port) = (host.clone(), from.clone(), port.unwrap_or(usual_port));
    let settings = MailSettings { host, port, security, from, credentials };
    MailServer::new(settings, DELIVERY_DEADLINE).map_err(said)
}

fn webhook(webhook: &WebhookSettings) -> anyhow::Result<Webhook> {
    let WebhookSettings { url, secret_file, secret_env } = webhook;
    let Some(secrets) = secret("secret", secret_file.as_deref(), secret_env.as_deref())? else {
        bail!(
            "it has no secret to sign with: give it a `secret_file` or `secret_env`; this makes a secret: \
             echo whsec_$(head -c 32 /dev/urandom | base64)"
        );
    };
    let lines = secrets.expose().lines().map(str::trim).filter(|line| !line.is_empty());
    Webhook::new(url, &lines.map(Secret::new).collect::<Vec<_>>()).map_err(said)
}

/// Reads a secret from the file or the environment variable, whichever is named.
fn secret(what: &str, file: Option<&Path>, variable: Option<&str>) -> anyhow::Result<Option<Secret>> {
    let text = match (file, variable) {
        (Some(_), Some(_)) => bail!("it names both `{what}_file` and `{what}_env`: take one of them out"),
        (Some(file), None) => std::fs::read_to_string(file)
            .with_context(|| format!("cannot read its `{what}_file` {}", file.display()))?,
        (None, Some(variable)) => std::env::var(variable)
            .map_err(|_| anyhow!("its `{what}_env` names the variable {variable}, which is not set (or not UTF-8)"))?,
        (None, None) => return Ok(None),
    };
    if text.trim().is_empty() {
        bail!(
            "its {what} is empty: put it into {}",
            file.map_or_else(|| variable.unwrap_or_default().to_owned(), |file| file.display().to_string())
        );
    }
    Ok(Some(Secret::new(text)))
}

fn said(fault: Fault) -> anyhow::Error {
    match fault {
        Fault::Retry { error, .. } => anyhow!("{error}"),
        Fault::Fail { error, hint } if hint.is_empty() => anyhow!("{error}"),
        Fault::Fail { error, hint } => anyhow!("{error}: {hint}"),
    }
}
