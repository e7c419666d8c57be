//! What every command works with, on the command line and over HTTP: the settings, the store, and the systems in it.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use anyhow::{Context, bail};

use super::{
    asker::{Asked, Asker, User, token_principal},
    channels,
    failure::Unanswered,
    ledger_releases::LedgerReleases,
    lending::ForgeLender,
    private, secrets,
    settings::Settings,
};
use crate::{
    driver::now_ms,
    engine::{Access, Command, CommandKey, DeliveryId, Digest, Event, Grant, Nudge, Permission, Principal, Refused},
    providers::{
        caches::Caches,
        commit_status::NoCommitStatuses,
        forge::{Forge, statuses::ForgeStatuses},
        git::{GitOptions, Lender, Mirrors, Proofs},
        objects::Objects,
        quarantine::Quarantine,
        sandbox::{Sandbox, divide},
    },
    rules::SystemName,
    steps::{Local, Providers, Tools},
    store::{Entry, Ledger, RecordError, SqliteStore, Store as _},
    view::words,
};

/// What is said where there is nothing to look at.
pub(crate) const NOTHING_YET: &str = "no system has been started yet: `tidegate serve` reads the rules and begins";

/// How a command is asked for once.
#[derive(Debug, Default)]
pub struct Once {
    /// What names this asking.
    pub key: Option<CommandKey>,
    /// The place in the log that was seen, where it is to be refused if the system has moved.
    pub seen: Option<u64>,
}

/// An open house: the settings and the ledger over the store.
pub struct House {
    /// What `tidegate.toml` says.
    pub settings: Settings,
    /// The systems.
    pub ledger: Arc<Ledger>,
    /// What proves commits to be ours.
    proofs: Proofs,
    /// Which secret that is.
    pub(crate) fingerprint: Digest,
    /// The forge, once it was asked for.
    forge: Arc<OnceLock<Arc<dyn Forge>>>,
}

impl House {
    /// Reads the settings and opens the store, making both folder and database where they are missing.
    ///
    /// # Errors
    /// When the settings are not as they should be or the database cannot be used; each says what to do.
    pub async fn open(config: &Path) -> anyhow::Result<Self> {
        let settings = Settings::read(config)?;
        private::folder(&settings.data).with_context(|| format!("cannot make {}", settings.data.display()))?;
        let store = SqliteStore::open(&settings.database()).await?;
        Self::over(settings, store).await
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
        Self::over(settings, store).await
    }

    async fn over(settings: Settings, store: SqliteStore) -> anyhow::Result<Self> {
        let secret = store.secret().await?;
        let (proofs, fingerprint) = (Proofs::with(secret.expose()), secret.fingerprint());
        let ledger = Arc::new(Ledger::open(Arc::new(store)));
        Ok(Self { settings, ledger, proofs, fingerprint, forge: Arc::default() })
    }

    /// The same house with other settings.
    #[must_use]
    pub fn with_settings(&self, settings: Settings) -> Self {
        let (ledger, proofs, fingerprint) = (Arc::clone(&self.ledger), self.proofs.clone(), self.fingerprint.clone());
        let is_same = settings.forges == self.settings.forges;
        let forge = if is_same { Arc::clone(&self.forge) } else { Arc::default() };
        Self { settings, ledger, proofs, fingerprint, forge }
    }

    /// What proves commits to be ours.
    pub(crate) const fn proofs(&self) -> &Proofs {
        &self.proofs
    }

    /// [`House::open_to_read`] for what looks at the systems that are asked for; `None` where all are, and there is none yet.
    ///
    /// # Errors
    /// When the settings are not as they should be, or the database cannot be read.
    pub(crate) async fn open_for(asked: &Asked, config: &Path) -> anyhow::Result<Option<Self>> {
        let is_there = asked.system.is_some() || has_begun(&Settings::read(config)?);
        if is_there { Self::open_to_read(config).await.map(Some) } else { Ok(None) }
    }

    /// The names of the systems in the store.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn systems(&self) -> anyhow::Result<Vec<SystemName>> {
        Ok(self.ledger.store().systems().await?.into_keys().collect())
    }

    /// Whether there is a system of that name in the store.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn has(&self, system: &SystemName) -> anyhow::Result<bool> {
        Ok(self.ledger.store().last_seq(system).await? > 0)
    }

    /// The systems in the store whose logs can be read; the others say so in their status.
    ///
    /// # Errors
    /// When the store cannot be read, for now.
    pub(crate) async fn readable_systems(&self) -> anyhow::Result<Vec<SystemName>> {
        let mut readable = Vec::new();
        for system in self.systems().await? {
            match self.ledger.read(&system, |_| ()).await {
                Ok(()) => readable.push(system),
                Err(error) if error.is_passing() => return Err(error.into()),
                Err(_) => {}
            }
        }
        Ok(readable)
    }

    /// The system that a command shows: the one named, or the only one there is. Whoever asks must be allowed to look.
    ///
    /// # Errors
    /// When there is no such system, or several to choose from; when whoever asks may not look at it.
    pub(crate) async fn system(&self, asked: &Asked) -> anyhow::Result<SystemName> {
        let system = self.find_system(asked).await?;
        self.may_view(&system, &asked.who)?;
        Ok(system)
    }

    /// The systems that a command shows: the one named, or all that whoever asks may look at.
    ///
    /// # Errors
    /// When there is no such system, or none that may be looked at; when the store cannot be read.
    pub(crate) async fn systems_shown(&self, asked: &Asked) -> anyhow::Result<Vec<SystemName>> {
        match &asked.system {
            Some(_) => Ok(vec![self.system(asked).await?]),
            None => self.visible_systems(&asked.who).await,
        }
    }

    /// The systems that somebody may look at.
    ///
    /// # Errors
    /// When there are systems and none of them may be looked at; when the store cannot be read.
    pub async fn visible_systems(&self, who: &Asker) -> anyhow::Result<Vec<SystemName>> {
        self.visible_of(self.systems().await?, who)
    }

    /// Those of the systems that whoever asks may look at.
    ///
    /// # Errors
    /// When there are systems and none of them may be looked at.
    pub fn visible_of(&self, systems: Vec<SystemName>, who: &Asker) -> anyhow::Result<Vec<SystemName>> {
        if let [only] = systems.as_slice() {
            self.may_view(only, who)?;
        }
        if let User::Token(token) = &who.user {
            let is_for = |system: &SystemName| token.may(Permission::View, system, "look").is_ok();
            return Ok(systems.into_iter().filter(is_for).collect());
        }
        if self.settings.grants.is_empty() || systems.len() < 2 {
            return Ok(systems);
        }
        let by = self.settings.principal(who)?;
        let access = self.settings.access();
        let is_visible = |system: &SystemName| {
            let access = access.for_system(system);
            access.may_ask_for(&by, None, None).is_ok() && access.may_view(&by, system.as_str()).is_ok()
        };
        let visible: Vec<SystemName> = systems.into_iter().filter(is_visible).collect();
        if visible.is_empty() {
            bail!(Refused::NotAllowed {
                who: by.name,
                what: "look at any system".to_owned(),
                reason: "it needs the permission `view` for one".to_owned(),
            });
        }
        Ok(visible)
    }

    pub(crate) fn may_view(&self, system: &SystemName, who: &Asker) -> anyhow::Result<()> {
        if let User::Token(token) = &who.user {
            return Ok(token.may(Permission::View, system, &format!("look at {system}"))?);
        }
        if self.settings.grants.is_empty() {
            return Ok(());
        }
        let who = self.settings.principal(who)?;
        let access = self.settings.access().for_system(system);
        access.may_ask_for(&who, None, None)?;
        Ok(access.may_view(&who, system.as_str())?)
    }

    /// The same, for a command that asks the engine, which checks who asks. Of the other systems only those are named that
    /// whoever asks may look at.
    ///
    /// # Errors
    /// When there is no such system, or several to choose from.
    pub(crate) async fn find_system(&self, asked: &Asked) -> anyhow::Result<SystemName> {
        if let Some(named) = &asked.system
            && self.has(named).await?
        {
            return Ok(named.clone());
        }
        let systems = self.systems().await?;
        match (&asked.system, systems.as_slice()) {
            (_, []) => bail!(Unanswered::none(NOTHING_YET)),
            (None, [only]) => return Ok(only.clone()),
            _ => {}
        }
        let visible = self.visible_systems(&asked.who).await?;
        let names = || visible.iter().map(SystemName::as_str).collect::<Vec<_>>().join(", ");
        match (&asked.system, visible.as_slice()) {
            (None, [only]) => Ok(only.clone()),
            (Some(named), _) => {
                bail!(Unanswered::none(format!("there is no system `{named}`; there are: {}", names())))
            }
            (None, _) => {
                bail!(Unanswered::unclear(format!("which system? Say `--system` and one of: {}", names())))
            }
        }
    }

    /// A text about a system with commands in it, each of which says which system is meant where that needs to be said.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn complete(&self, asked: &Asked, system: &SystemName, text: &str) -> anyhow::Result<String> {
        let several = self.visible_systems(&asked.who).await.is_ok_and(|visible| visible.len() > 1);
        Ok(if several { words::with_system(text, system) } else { text.to_owned() })
    }

    /// Asks the engine for something in somebody's name.
    ///
    /// # Errors
    /// The engine's refusal, which says why and what to do instead; or the store's failure.
    pub async fn command(&self, system: &SystemName, who: &Asker, command: Command) -> anyhow::Result<Entry> {
        self.command_once(system, who, command, Once::default()).await
    }

    /// The same. Under a key it is done once, however often it is asked.
    ///
    /// # Errors
    /// Those of [`House::command`], [`Refused::DoneBefore`] where it was done before, and [`RecordError::Moved`].
    pub async fn command_once(
        &self,
        system: &SystemName,
        who: &Asker,
        command: Command,
        once: Once,
    ) -> anyhow::Result<Entry> {
        let by = self.settings.principal(who)?;
        if let User::Token(token) = &who.user {
            token.may(command.permission(), system, &command.clause())?;
        }
        self.command_by(system, by, command, once).await
    }

    /// The same, by somebody whom somebody else has told apart.
    ///
    /// # Errors
    /// Those of [`House::command_once`].
    pub(crate) async fn command_by(
        &self,
        system: &SystemName,
        by: Principal,
        command: Command,
        once: Once,
    ) -> anyhow::Result<Entry> {
        self.load_access(system).await?;
        let Once { key, seen } = once;
        let event = Event::Command { by: by.clone(), command, key: key.clone() };
        let recorded = self.ledger.record_if(system, now_ms(), event, seen).await;
        if let (Err(RecordError::Moved { .. }), Some(key)) = (&recorded, &key) {
            // It may have moved by this very command.
            self.ledger.read(system, |state| state.not_before(&by, key)).await?.map_err(RecordError::Refused)?;
        }
        Ok(recorded?)
    }

    /// Says that there may be news of something. Its place in the log; none where this delivery was taken in before, which is
    /// as good.
    ///
    /// # Errors
    /// The engine's refusal; or the store's failure.
    pub async fn nudge(
        &self,
        system: &SystemName,
        who: &Asker,
        what: Nudge,
        delivery: DeliveryId,
    ) -> anyhow::Result<Option<u64>> {
        let by = Some(self.settings.principal(who)?);
        if let User::Token(token) = &who.user {
            token.may(Permission::View, system, &what.clause())?;
        }
        self.load_access(system).await?;
        match self.ledger.record(system, now_ms(), Event::Nudged { what, delivery, by }).await {
            Ok(entry) => Ok(Some(entry.seq)),
            Err(RecordError::Refused(Refused::Delivered { .. })) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Says that there may be news of something, where nobody asks but the place where it happened. One that was taken in before is as
    /// good.
    ///
    /// # Errors
    /// The engine's refusal; or the store's failure.
    pub(crate) async fn woken(
        &self,
        system: &SystemName,
        what: Nudge,
        delivery: DeliveryId,
    ) -> Result<(), RecordError> {
        match self.ledger.record(system, now_ms(), Event::Nudged { what, delivery, by: None }).await {
            Ok(_) | Err(RecordError::Refused(Refused::Delivered { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Who may do what a command asks for, for people.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn who_could(&self, system: &SystemName, command: &Command) -> anyhow::Result<String> {
        let stage = match command.run() {
            Some(id) => self.ledger.read(system, |state| state.run(id).map(|run| run.stage.clone())).await?,
            None => command.stage().cloned(),
        };
        Ok(self.access_of(system).await?.holders(command.permission(), stage.as_ref()))
    }

    /// The people and roles of a system: those of the settings, and where there are roles, what tokens are for.
    pub(super) async fn access_of(&self, system: &SystemName) -> anyhow::Result<Access> {
        let mut access = self.settings.access();
        if !access.grants.is_empty() {
            let now_ms = now_ms();
            let good = self.ledger.store().tokens().await?.into_iter().filter(|token| token.is_good(now_ms));
            access.grants.extend(good.map(|token| Grant {
                role: token.role,
                to: vec![token_principal(&token.name)],
                systems: token.systems.into_iter().collect(),
                stages: Vec::new(),
            }));
        }
        Ok(access.for_system(system))
    }

    /// Puts the people and roles of the settings into force in a system, where they differ from those in force.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn load_access(&self, system: &SystemName) -> anyhow::Result<()> {
        let access = self.access_of(system).await?;
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

    /// How git is used.
    pub(crate) fn git_options(&self) -> GitOptions {
        let mut options = self.settings.git_options(self.proofs.clone());
        let forge = self.forge().unwrap_or_else(|error| {
            tracing::error!("git has no credentials of the forge: {error:#}");
            None
        });
        options.lender = forge.map(|forge| Arc::new(ForgeLender(forge)) as Arc<dyn Lender>);
        options
    }

    /// The forge that the settings name, if they name one.
    ///
    /// # Errors
    /// When its key or token cannot be read.
    pub fn forge(&self) -> anyhow::Result<Option<Arc<dyn Forge>>> {
        if let Some(forge) = self.forge.get() {
            return Ok(Some(Arc::clone(forge)));
        }
        let opened = self.settings.open_forge()?;
        // Whoever was first is asked by all: quotas are shared.
        Ok(opened.map(|opened| Arc::clone(self.forge.get_or_init(|| opened))))
    }

    /// The providers that the settings choose.
    pub(crate) fn providers(&self, objects: Arc<dyn Objects>, sandbox: Sandbox, program: &Path) -> Providers {
        let (data, program, store) = (self.settings.data.clone(), program.to_owned(), self.settings.objects());
        Providers::new(self.settings.choices(), Local { data, sandbox, program, store, objects })
    }

    /// What steps work with, as the settings say.
    ///
    /// # Errors
    /// When a folder of theirs cannot be made, or a channel is not as it must be.
    pub fn tools(&self) -> anyhow::Result<Tools> {
        self.tools_of(&current_program()?)
    }

    /// The same, where another program is this one: a test's own is not.
    ///
    /// # Errors
    /// Those of [`House::tools`].
    pub fn tools_of(&self, program: &Path) -> anyhow::Result<Tools> {
        let data = &self.settings.data;
        let sandbox = Sandbox { cgroups: divide(), program: Some(program.to_owned()), ..self.settings.sandbox()? };
        let scratch = &self.settings.scratch;
        private::folder(scratch).with_context(|| {
            format!("cannot make {}; let `scratch` name a folder that can be written to", scratch.display())
        })?;
        let caches = &self.settings.caches;
        private::folder(caches).with_context(|| {
            format!("cannot make {}; let `caches` name a folder that can be written to", caches.display())
        })?;
        if let Some(folder) = self.settings.objects_elsewhere() {
            private::folder(&folder).with_context(|| {
                format!("cannot make {}; let `objects` name a folder that can be written to", folder.display())
            })?;
        }
        let objects = self.settings.objects().open()?;
        Ok(Tools {
            releases: Arc::new(LedgerReleases(Arc::clone(&self.ledger))),
            mirrors: Mirrors::open(data.join("mirrors"), self.git_options())?,
            providers: self.providers(Arc::clone(&objects), sandbox.clone(), program),
            objects,
            channels: channels::open(&self.settings.channels)?,
            secrets: secrets::open(&self.settings.secrets)?,
            caches: Caches { folder: caches.clone(), most_mib: self.settings.step_limits.cache_mib },
            statuses: match self.forge()? {
                Some(forge) => Arc::new(ForgeStatuses(forge)),
                None => Arc::new(NoCommitStatuses),
            },
            forge: self.forge()?,
            places: self.settings.places(),
            quarantine: Quarantine::open(data.join("begun")).context("cannot note what is begun")?,
            sandbox,
            scratch: scratch.clone(),
            logs: self.settings.logs(),
        })
    }
}

/// This program's own file.
///
/// # Errors
/// When it cannot be found.
pub(crate) fn current_program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("cannot find this program's own file")
}

/// Whether there is a database with something in it.
fn has_begun(settings: &Settings) -> bool {
    std::fs::metadata(settings.database()).is_ok_and(|database| database.len() > 0)
}
