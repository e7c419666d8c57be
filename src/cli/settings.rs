//! `tidegate.toml`: which systems there are, where things are kept, and who people are. What a rule means is in the rules;
//! what it means *here* is in this file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::channels::{self, ChannelSettings};
use crate::{
    engine::{Access, Grant, Permission, Person, Principal},
    providers::sandbox::{Limits, Sandbox, SandboxKind},
    rules::{ChannelName, Channels, SystemName},
};

/// The file's name where none is given.
pub const FILE_NAME: &str = "tidegate.toml";

/// What `tidegate.toml` says. Relative paths are from the file's own folder.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The rules files, one per system.
    pub rules: Vec<PathBuf>,
    /// The folder for all that Tidegate keeps: the database, mirrors, artifacts, logs.
    #[serde(default = "data")]
    pub data: PathBuf,
    /// The folder for what lives no longer than a step: checkouts, and the home of its commands. Not within `data`.
    #[serde(default = "scratch")]
    pub scratch: PathBuf,
    /// What commands of repositories and rules run in. Without a sandbox they can do all that Tidegate can.
    #[serde(default)]
    pub sandbox: SandboxKind,
    /// Folders and files that such commands can read beside the system's: where their tools are installed.
    #[serde(default)]
    pub tools: Vec<PathBuf>,
    /// What one such command may use.
    #[serde(default)]
    pub step_limits: Limits,
    /// Who commits for Tidegate.
    #[serde(default)]
    pub identity: Identity,
    /// People, by the name that they go by here.
    #[serde(default)]
    pub people: BTreeMap<String, Person>,
    /// Through what people and programs are told of things, by the names that rules give in `via`.
    #[serde(default)]
    pub channels: BTreeMap<ChannelName, ChannelSettings>,
    /// Who may do what; while there are none, everybody may do everything.
    #[serde(default)]
    pub grants: Vec<Grant>,
    /// Variables for the `git` program, such as `GIT_SSH_COMMAND` or a credential helper's.
    #[serde(default)]
    pub git_environment: BTreeMap<String, String>,
    /// The settings file itself.
    #[serde(skip)]
    file: PathBuf,
}

/// Who commits for Tidegate.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The name.
    pub name: String,
    /// The e-mail address.
    pub email: String,
}

impl Default for Identity {
    fn default() -> Self {
        Self { name: "Tidegate".to_owned(), email: "tidegate@localhost".to_owned() }
    }
}

fn data() -> PathBuf {
    PathBuf::from("data")
}

fn scratch() -> PathBuf {
    PathBuf::from("scratch")
}

impl Settings {
    /// Reads the file and makes its paths absolute.
    ///
    /// # Errors
    /// When it cannot be read or says something that it may not; with the place.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("cannot read {}; `tidegate init DIR` writes one, `--config` names another", path.display())
        })?;
        let mut settings: Self =
            toml::from_str(&text).with_context(|| format!("{} is not as it should be", path.display()))?;
        settings.check_grants().with_context(|| format!("{} is not as it should be", path.display()))?;
        let path = std::path::absolute(path).with_context(|| format!("where is {}?", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        settings.data = folder.join(&settings.data);
        settings.scratch = folder.join(&settings.scratch);
        for path in settings.rules.iter_mut().chain(&mut settings.tools) {
            *path = folder.join(&*path);
        }
        settings.check_scratch().with_context(|| format!("{} is not as it should be", path.display()))?;
        settings.file.clone_from(&path);
        channels::absolute(&mut settings.channels, folder);
        Ok(settings)
    }

    /// The person of that name as one who asks for something. Where no people are listed, everybody is taken at their word.
    ///
    /// # Errors
    /// When people are listed and this name is not among them.
    pub fn principal(&self, name: &str) -> anyhow::Result<Principal> {
        match self.people.get(name) {
            Some(person) => {
                Ok(Principal { name: name.to_owned(), groups: person.groups.clone(), emails: person.emails.clone() })
            }
            None if self.people.is_empty() => Ok(Principal { name: name.to_owned(), ..Principal::default() }),
            None => {
                let known: Vec<&str> = self.people.keys().map(String::as_str).collect();
                bail!(
                    "{FILE_NAME} lists no person `{name}`; it lists {}: say who you are with `--as NAME`",
                    known.join(", ")
                )
            }
        }
    }

    /// The channels, as far as rules must know them.
    #[must_use]
    pub fn known_channels(&self) -> Channels {
        channels::known(&self.channels)
    }

    /// The people, groups and roles, whole.
    #[must_use]
    pub fn access(&self) -> Access {
        Access { people: self.people.clone(), grants: self.grants.clone() }
    }

    /// Whether somebody may look at a system that has no log yet; where its name is not known, only who may look at all.
    #[must_use]
    pub fn may_view(&self, who: &Principal, system: Option<&SystemName>) -> bool {
        let access = self.access();
        match system {
            Some(system) => access.for_system(system).may_view(who, system.as_str()).is_ok(),
            None => {
                let of_all = |grant: &&Grant| grant.systems.is_empty() && grant.role.gives(Permission::View);
                let mut of_all = access.grants.iter().filter(of_all);
                access.grants.is_empty() || of_all.any(|grant| grant.to.iter().any(|name| who.is(name)))
            }
        }
    }

    /// What is inside the data folder is Tidegate's own; steps write to the scratch folder.
    fn check_scratch(&self) -> anyhow::Result<()> {
        if self.scratch.starts_with(&self.data) {
            bail!("`scratch` is within `data`: name a folder that is not, where commands of repositories may write");
        }
        Ok(())
    }

    /// The box that commands of repositories and rules run in.
    ///
    /// # Errors
    /// When this program's own file cannot be found.
    pub fn sandbox(&self) -> anyhow::Result<Sandbox> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        Ok(Sandbox {
            kind: self.sandbox,
            limits: self.step_limits,
            tools: self.tools.iter().cloned().chain([program]).collect(),
            hidden: vec![self.data.clone(), self.scratch.clone(), self.file.clone()],
        })
    }

    /// A grant to nobody would take a role from everybody, unseen.
    fn check_grants(&self) -> anyhow::Result<()> {
        let groups = self.people.values().flat_map(|person| &person.groups);
        let known: std::collections::BTreeSet<&String> = self.people.keys().chain(groups).collect();
        for Grant { role, to, .. } in &self.grants {
            if to.is_empty() {
                bail!("a grant of {role:?} names nobody: write `to = [\"NAME\"]`");
            }
            if let Some(unknown) = to.iter().find(|name| !known.contains(name)) {
                let known: Vec<&str> = known.iter().map(|name| name.as_str()).collect();
                bail!(
                    "a grant of {role:?} is to `{unknown}`, whom `people` does not list; it has: {}",
                    known.join(", ")
                );
            }
        }
        if !self.grants.is_empty() && !self.grants.iter().any(|grant| grant.role.gives(Permission::Override)) {
            bail!("nobody is granted the role `admin`, so nobody could do everything: grant it to somebody");
        }
        Ok(())
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.data.join("tidegate.db")
    }

    /// The folder of the steps' logs.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.data.join("logs")
    }
}
