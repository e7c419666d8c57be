//! The forges of `tidegate.toml`: where GitHub is, and as whom it is asked. Keys and secrets do not stand in that file, but in
//! files that it names.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    engine::Person,
    providers::{
        Fault, Secret,
        forge::{
            Team,
            github::{Access, Addresses, GitHubSettings},
        },
    },
    rules::{host_of, repository_key},
};

/// The GitHub that most have.
pub const GITHUB_COM: &str = "https://github.com";
/// How long a file of a key or of secrets may be, in bytes.
const LONGEST_FILE: u64 = 64 * 1_024;

/// The forges.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ForgeSettings {
    /// GitHub: github.com, or an Enterprise Server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub github: Option<GitHubForge>,
}

/// GitHub. As an App, it is asked with `app_id` and `private_key_file`; else with `token_file`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GitHubForge {
    /// Where it is: `https://github.com`, or `https://HOST` of an Enterprise Server.
    #[serde(default = "github_com")]
    pub url: String,
    /// The App's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_id: Option<u64>,
    /// The file of the App's private key, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_file: Option<PathBuf>,
    /// The file of the secret that signs webhooks. Several, one a line, all count: for the time in which one replaces the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_secret_file: Option<PathBuf>,
    /// The App's client id, with which people sign in here by GitHub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The file of the App's client secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<PathBuf>,
    /// The file of a token, where there is no App.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
}

/// A group of people that somebody else keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupSettings {
    /// The team at GitHub that it is: `organization/team`.
    pub github: String,
}

fn github_com() -> String {
    GITHUB_COM.to_owned()
}

impl GitHubForge {
    /// Whom is asked where. The key or token is read.
    ///
    /// # Errors
    /// What is wrong with the settings or a file, and what to do.
    pub fn open(&self) -> anyhow::Result<GitHubSettings> {
        let addresses = self.addresses()?;
        let access = match (self.app_id, &self.private_key_file, &self.token_file) {
            (Some(id), Some(key), None) => Access::App { id, key: read(key, "private_key_file")? },
            (None, None, Some(token)) => Access::Token(Secret::new(read(token, "token_file")?.expose().trim())),
            _ => bail!(
                "[forges.github] needs `app_id` and `private_key_file` of an App, or a `token_file`; `tidegate github connect` \
                 makes an App"
            ),
        };
        Ok(GitHubSettings { addresses, access })
    }

    /// Where it is.
    ///
    /// # Errors
    /// When `url` is no address of a GitHub.
    pub(super) fn addresses(&self) -> anyhow::Result<Addresses> {
        Addresses::of(&self.url, repository_key).map_err(said)
    }

    /// The secret of the App's client.
    ///
    /// # Errors
    /// When there is none, or its file cannot be read.
    pub(crate) fn client_secret(&self) -> anyhow::Result<Secret> {
        let file = self.client_secret_file.as_deref();
        let file = file.ok_or_else(|| anyhow!("[forges.github] has no `client_secret_file`"))?;
        Ok(Secret::new(read(file, "client_secret_file")?.expose().trim()))
    }

    /// The secrets that sign webhooks; none where there is no such file.
    ///
    /// # Errors
    /// When the file cannot be read or holds none.
    pub fn webhook_secrets(&self) -> anyhow::Result<Vec<Secret>> {
        let Some(file) = &self.webhook_secret_file else { return Ok(Vec::new()) };
        let text = read(file, "webhook_secret_file")?;
        Ok(text.expose().lines().map(str::trim).filter(|line| !line.is_empty()).map(Secret::new).collect())
    }

    /// The files that hold keys and secrets.
    pub fn secret_files(&self) -> impl Iterator<Item = &PathBuf> {
        let Self { private_key_file, webhook_secret_file, client_secret_file, token_file, .. } = self;
        [private_key_file, webhook_secret_file, client_secret_file, token_file].into_iter().flatten()
    }

    fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let Self { private_key_file, webhook_secret_file, client_secret_file, token_file, .. } = self;
        [private_key_file, webhook_secret_file, client_secret_file, token_file].into_iter().flatten()
    }

    fn check(&self) -> anyhow::Result<()> {
        self.addresses()?;
        let is_app = self.app_id.is_some() && self.private_key_file.is_some() && self.token_file.is_none();
        let is_token = self.app_id.is_none() && self.private_key_file.is_none() && self.token_file.is_some();
        if !is_app && !is_token {
            bail!(
                "[forges.github] needs `app_id` and `private_key_file` of an App, or a `token_file`; `tidegate github connect` \
                 makes an App"
            );
        }
        if self.client_id.is_some() != self.client_secret_file.is_some() {
            bail!("`client_id` and `client_secret_file` of [forges.github] belong together: name both, or neither");
        }
        Ok(())
    }
}

impl ForgeSettings {
    /// Makes the paths absolute: relative ones are from the settings' folder.
    pub(crate) fn resolve(&mut self, folder: &Path) {
        for file in self.github.iter_mut().flat_map(GitHubForge::files_mut) {
            *file = folder.join(&*file);
        }
    }

    /// The hosts, as git's URLs have them.
    pub(crate) fn hosts(&self) -> BTreeSet<String> {
        self.github.iter().filter_map(|github| host_of(&github.url)).collect()
    }

    /// The domains below which they hide the addresses of people.
    pub(crate) fn domains(&self) -> impl Iterator<Item = String> {
        self.hosts().into_iter().filter_map(|host| Some(host.split(':').next()?.to_owned()))
    }

    /// What is hidden from commands of repositories.
    pub(crate) fn hidden(&self) -> impl Iterator<Item = PathBuf> {
        self.github.iter().flat_map(GitHubForge::secret_files).cloned()
    }

    /// Whether what is said of forges, groups and logins can be meant.
    ///
    /// # Errors
    /// What is wrong, and what to write.
    pub(crate) fn check(
        &self,
        groups: &BTreeMap<String, GroupSettings>,
        people: &BTreeMap<String, Person>,
    ) -> anyhow::Result<()> {
        if let Some(github) = &self.github {
            github.check()?;
        }
        for (name, group) in groups {
            if people.contains_key(name) {
                bail!("[groups.{name}] is a person in `people` too: name one of them otherwise");
            }
            group.github.parse::<Team>().map_err(|error| anyhow!("`github` of [groups.{name}]: {error}"))?;
            if self.github.is_none() {
                bail!("[groups.{name}] is a team at GitHub, and there is no [forges.github] to ask: add it");
            }
        }
        let mut logins = BTreeSet::new();
        for login in people.values().filter_map(|person| person.github.as_ref()) {
            if !logins.insert(login.to_lowercase()) {
                bail!("two people have the login `{login}`: one login is one person");
            }
        }
        Ok(())
    }
}

fn said(fault: Fault) -> anyhow::Error {
    anyhow!("{}", fault.whole())
}

fn read(path: &Path, what: &str) -> anyhow::Result<Secret> {
    let of = || format!("cannot use {} as the `{what}` of [forges.github]", path.display());
    let length = std::fs::metadata(path).with_context(of)?.len();
    if length > LONGEST_FILE {
        return Err(anyhow!("it is longer than {LONGEST_FILE} bytes")).with_context(of);
    }
    let text = std::fs::read_to_string(path).with_context(of)?;
    if text.trim().is_empty() {
        return Err(anyhow!("it is empty")).with_context(of);
    }
    Ok(Secret::new(text))
}
