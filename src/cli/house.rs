//! What every command works with: the settings, the store, and the systems in it.

use std::{path::Path, sync::Arc};

use anyhow::{Context, bail};

use super::{channels, release::LedgerReleases, settings::Settings};
use crate::{
    driver::now_ms,
    engine::{Access, Command, Digest, Event},
    providers::{
        commit_status::NoCommitStatuses,
        git::{GitOptions, Identity, Mirrors},
        image_builder::LocalImageBuilder,
        objects::DirectoryObjects,
    },
    rules::{Rules, SystemName},
    steps::Tools,
    store::{Entry, Ledger, SqliteStore},
};

/// What is said where there is nothing to look at.
pub(super) const NOTHING_YET: &str = "no system has been started yet: `tidegate serve` reads the rules and begins";

/// An open house: the settings and the ledger over the store.
pub struct House {
    /// What `tidegate.toml` says.
    pub settings: Settings,
    /// The systems.
    pub ledger: Arc<Ledger>,
}

impl House {
    /// Reads the settings and opens the store, making both folder and database where they are missing.
    ///
    /// # Errors
    /// When the settings are not as they should be or the database cannot be used; each says what to do.
    pub async fn open(config: &Path) -> anyhow::Result<Self> {
        let settings = Settings::read(config)?;
        std::fs::create_dir_all(&settings.data).with_context(|| format!("cannot make {}", settings.data.display()))?;
        let store = SqliteStore::open(&settings.database()).await?;
        Ok(Self { settings, ledger: Arc::new(Ledger::open(Arc::new(store))) })
    }

    /// Reads the settings and opens the store to look at what is in it: nothing is written, and nothing made.
    ///
    /// # Errors
    /// When the settings are not as they should be, or there is no database yet; each says what to do.
    pub async fn open_to_read(config: &Path) -> anyhow::Result<Self> {
        let settings = Settings::read(config)?;
        if !has_begun(&settings) {
            bail!(NOTHING_YET);
        }
        let store = SqliteStore::open_to_read(&settings.database()).await?;
        Ok(Self { settings, ledger: Arc::new(Ledger::open(Arc::new(store))) })
    }

    /// [`House::open_to_read`] for what looks at all systems; `None` where nothing is yet to be looked at.
    ///
    /// # Errors
    /// When the settings are not as they should be, or the database cannot be read.
    pub async fn open_if_begun(config: &Path) -> anyhow::Result<Option<Self>> {
        if has_begun(&Settings::read(config)?) { Self::open_to_read(config).await.map(Some) } else { Ok(None) }
    }

    /// The names of the systems in the store.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn systems(&self) -> anyhow::Result<Vec<SystemName>> {
        Ok(self.ledger.store().systems().await?.into_keys().collect())
    }

    /// The system that a command shows: the one named, or the only one there is. Whoever asks must be allowed to look.
    ///
    /// # Errors
    /// When there is no such system, or several to choose from; when whoever asks may not look at it.
    pub async fn system(&self, named: Option<&SystemName>) -> anyhow::Result<SystemName> {
        let system = self.find_system(named).await?;
        self.may_view(&system)?;
        Ok(system)
    }

    /// The systems that whoever asks may look at.
    ///
    /// # Errors
    /// When there are systems and none of them may be looked at; when the store cannot be read.
    pub async fn visible_systems(&self) -> anyhow::Result<Vec<SystemName>> {
        self.visible_of(self.systems().await?)
    }

    /// Those of the systems that whoever asks may look at.
    ///
    /// # Errors
    /// When there are systems and none of them may be looked at.
    pub fn visible_of(&self, systems: impl IntoIterator<Item = SystemName>) -> anyhow::Result<Vec<SystemName>> {
        let (mut visible, mut refused) = (Vec::new(), None);
        for system in systems {
            match self.may_view(&system) {
                Ok(()) => visible.push(system),
                Err(error) => refused = Some(error),
            }
        }
        match refused {
            Some(refused) if visible.is_empty() => Err(refused),
            _ => Ok(visible),
        }
    }

    fn may_view(&self, system: &SystemName) -> anyhow::Result<()> {
        if self.settings.grants.is_empty() {
            return Ok(());
        }
        let who = self.settings.principal(&asker())?;
        Ok(self.settings.access().for_system(system).may_view(&who, system.as_str())?)
    }

    /// The same, for a command that asks the engine, which checks who asks.
    ///
    /// # Errors
    /// When there is no such system, or several to choose from.
    pub async fn find_system(&self, named: Option<&SystemName>) -> anyhow::Result<SystemName> {
        let systems = self.systems().await?;
        match (named, systems.as_slice()) {
            (Some(name), systems) if systems.contains(name) => Ok(name.clone()),
            (None, [only]) => Ok(only.clone()),
            (_, []) => bail!(NOTHING_YET),
            (_, systems) => {
                let names: Vec<&str> = systems.iter().map(SystemName::as_str).collect();
                match named {
                    Some(name) => bail!("there is no system `{name}`; there are: {}", names.join(", ")),
                    None => bail!("which system? Say `--system` and one of: {}", names.join(", ")),
                }
            }
        }
    }

    /// Asks the engine for something in somebody's name.
    ///
    /// # Errors
    /// The engine's refusal, which says why and what to do instead; or the store's failure.
    pub async fn command(&self, system: &SystemName, who: &str, command: Command) -> anyhow::Result<Entry> {
        let by = self.settings.principal(who)?;
        self.load_access(system).await?;
        Ok(self.ledger.record(system, now_ms(), Event::Command { by, command }).await?)
    }

    /// Reads every rules file and puts what changed into force. A file with mistakes is recorded as refused, and the last
    /// good rules stay; where there are none yet, it is an error. Returns what was refused.
    ///
    /// # Errors
    /// When a file cannot be read, or a system's first rules are not valid.
    pub async fn load_rules(&self) -> anyhow::Result<Vec<String>> {
        let mut refused = Vec::new();
        for path in &self.settings.rules {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the rules file {}", path.display()))?;
            let source = path.display().to_string();
            match crate::rules::load_with_channels(&source, &text, &self.settings.known_channels()) {
                Ok(rules) => self.put_into_force(&source, &text, rules).await?,
                Err(mistakes) => {
                    self.refuse(&source, &text, &mistakes.render(false)).await?;
                    refused.push(mistakes.render(false));
                }
            }
        }
        Ok(refused)
    }

    /// Puts the people and roles of the settings into force in a system, where they differ from those in force.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn load_access(&self, system: &SystemName) -> anyhow::Result<()> {
        let access = self.settings.access().for_system(system);
        let same = self
            .ledger
            .read(system, |state| match &state.access {
                Some(in_force) => in_force.digest == access.digest(),
                None => access == Access::default(),
            })
            .await?;
        if !same {
            self.ledger.record(system, now_ms(), Event::AccessLoaded { access }).await?;
        }
        Ok(())
    }

    async fn put_into_force(&self, source: &str, text: &str, mut rules: Rules) -> anyhow::Result<()> {
        let digest = Digest::of(text.as_bytes());
        let system = rules.system.clone();
        let folder = Path::new(source).parent().unwrap_or(Path::new("/"));
        for repository in rules.repositories.values_mut() {
            repository.url = absolute_url(folder, &repository.url);
        }
        let same = self
            .ledger
            .read(&system, |state| {
                let in_force =
                    state.rules.as_ref().is_some_and(|rules| rules.digest == digest && rules.source == source);
                in_force && state.refused_rules.is_none()
            })
            .await?;
        if !same {
            if self.ledger.store().last_seq(&system).await? == 0 {
                self.load_access(&system).await?;
            }
            let event = Event::RulesLoaded { source: source.to_owned(), digest, rules: Box::new(rules) };
            self.ledger.record(&system, now_ms(), event).await?;
        }
        Ok(())
    }

    /// Records that a file was refused, in every system whose rules came from it.
    async fn refuse(&self, source: &str, text: &str, mistakes: &str) -> anyhow::Result<()> {
        let digest = Digest::of(text.as_bytes());
        let mut known = false;
        for system in self.systems().await? {
            let (is_its, said) = self
                .ledger
                .read(&system, |state| {
                    let is_its = state.rules.as_ref().is_some_and(|rules| rules.source == source);
                    (is_its, state.refused_rules.as_ref().is_some_and(|refused| refused.digest == digest))
                })
                .await?;
            known |= is_its;
            if is_its && !said {
                let (source, mistakes) = (source.to_owned(), mistakes.to_owned());
                let event = Event::RulesRefused { source, digest: digest.clone(), mistakes };
                self.ledger.record(&system, now_ms(), event).await?;
            }
        }
        if known { Ok(()) } else { bail!("{mistakes}") }
    }

    /// How git is used.
    pub(super) fn git_options(&self) -> GitOptions {
        let identity =
            Identity { name: self.settings.identity.name.clone(), email: self.settings.identity.email.clone() };
        let mut options = GitOptions::new(identity);
        options.environment = self.settings.git_environment.clone().into_iter().collect();
        options
    }

    /// The providers on this machine.
    ///
    /// # Errors
    /// When a folder of theirs cannot be made, or a channel is not as it must be.
    pub fn tools(&self) -> anyhow::Result<Tools> {
        let data = &self.settings.data;
        let objects = data.join("objects");
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        Ok(Tools {
            releases: Arc::new(LedgerReleases(Arc::clone(&self.ledger))),
            mirrors: Mirrors::open(data.join("mirrors"), self.git_options())?,
            objects: DirectoryObjects::open(&objects)?,
            channels: channels::open(&self.settings.channels)?,
            builder: Box::new(LocalImageBuilder {
                jobs: data.join("image-builder"),
                objects,
                worker: vec![program.display().to_string(), "image-builder-worker".to_owned()],
            }),
            statuses: Arc::new(NoCommitStatuses),
            environments: data.join("environments"),
            scratch: data.join("scratch"),
            logs: self.settings.logs(),
        })
    }
}

/// Whether there is a database with something in it.
fn has_begun(settings: &Settings) -> bool {
    std::fs::metadata(settings.database()).is_ok_and(|database| database.len() > 0)
}

/// Who asks, where no command line says so: `TIDEGATE_AS`, or who is logged in.
pub(super) fn asker() -> String {
    let said = |name| std::env::var(name).ok().filter(|name| !name.is_empty());
    said("TIDEGATE_AS").or_else(|| said("USER")).unwrap_or_else(|| "operator".to_owned())
}

/// A repository's path in a rules file is from that file's folder; any other URL is as it is.
pub(super) fn absolute_url(folder: &Path, url: &str) -> String {
    let is_path = !url.contains("://") && !url.contains(':');
    if is_path { folder.join(url).display().to_string() } else { url.to_owned() }
}
