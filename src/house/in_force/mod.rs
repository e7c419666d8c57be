//! Brings rules into force, as far as they are valid: what is not is refused and said, and the last good rules stay.

pub(crate) mod checked;
mod commit;
pub(crate) mod files;
mod look;

use std::collections::BTreeSet;

pub(crate) use self::{
    commit::{Head, RulesWatch, read_head},
    look::{NotThere, RulesLook},
};
use super::{House, settings::FILE_NAME};
use crate::{
    driver::now_ms,
    engine::{Digest, Event, RulesOrigin, Written},
    rules::{self, Loaded, Quorum, Rules, SystemName},
    store::{RecordError, StoreError},
};
use checked::ReadFile;

/// What came of a look at the rules.
#[derive(Debug, Default)]
pub(crate) struct Brought {
    /// What was refused and why, each as a person reads it.
    pub(crate) refused: Vec<String>,
    /// The systems that begin: these are their first rules.
    pub(crate) begun: Vec<SystemName>,
    /// The systems in which people are asked first.
    pub(crate) offered: Vec<SystemName>,
}

/// What became of the rules of one system.
enum Put {
    InForce,
    Begins(SystemName),
    Offered(SystemName),
}

/// Who is asked about rules, and who wrote them.
#[derive(Debug, Clone)]
struct Asked {
    quorum: Quorum,
    written: Written,
}

/// Rules that do not come into force.
#[derive(Debug, Clone)]
struct Refusal {
    /// The file.
    source: String,
    /// The system that it names, where that can be read.
    system: Option<SystemName>,
    /// Of what was read: the same is said once.
    digest: Digest,
    /// Why, as a person reads it.
    mistakes: String,
    /// The commit that has it.
    origin: Option<RulesOrigin>,
}

impl Refusal {
    fn not_there(&self) -> NotThere {
        NotThere { source: self.source.clone(), system: self.system.clone(), mistakes: self.mistakes.clone() }
    }

    fn of(file: &ReadFile, mistakes: String) -> Self {
        let system = file.text.as_ref().ok().and_then(|text| rules::system_named(text));
        let digest = Digest::of(mistakes.as_bytes());
        Self { source: file.source.clone(), system, digest, mistakes, origin: None }
    }
}

impl House {
    /// Whether a file is in force as it is.
    async fn is_in_force(&self, file: &Loaded, origin: Option<&RulesOrigin>) -> anyhow::Result<bool> {
        let digest = Digest::of(file.text.as_bytes());
        let repository = origin.map(|origin| &origin.repository);
        let read = self.ledger.read(&file.rules.system, |state| {
            state.rules.as_ref().is_some_and(|rules| {
                let same_repository = rules.origin.as_ref().map(|origin| &origin.repository) == repository;
                let same_secret = rules.secret.as_ref() == Some(&self.fingerprint);
                rules.digest == digest && rules.source == file.name && same_repository && same_secret
            })
        });
        Ok(read.await?)
    }

    /// The rules in force of all systems but these.
    async fn rules_beside(&self, systems: &BTreeSet<SystemName>) -> anyhow::Result<Vec<Rules>> {
        let mut beside = Vec::new();
        for system in self.readable_systems().await?.iter().filter(|system| !systems.contains(system)) {
            beside.extend(self.ledger.read(system, |state| state.rules().map(|rules| Rules::clone(rules))).await?);
        }
        Ok(beside)
    }

    /// Brings the rules of one system into force, unless they are. A log that cannot be read is said, and ends nothing else.
    async fn put_into_force(
        &self,
        file: Loaded,
        origin: Option<RulesOrigin>,
        asked: Option<Asked>,
        brought: &mut Brought,
    ) -> anyhow::Result<()> {
        let source = file.name.clone();
        match self.put_one(file, origin, asked).await {
            Ok(Put::Begins(system)) => brought.begun.push(system),
            Ok(Put::Offered(system)) => brought.offered.push(system),
            Ok(Put::InForce) => {}
            Err(error) if is_damage(&error) => {
                brought.refused.push(format!("{source} is not brought into force: {error:#}"));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The same. Where people are asked, the rules are offered instead, once.
    async fn put_one(&self, file: Loaded, origin: Option<RulesOrigin>, asked: Option<Asked>) -> anyhow::Result<Put> {
        let system = file.rules.system.clone();
        let nothing_else =
            self.ledger.read(&system, |state| state.refused_rules.is_none() && state.offered.is_none()).await?;
        if nothing_else && self.is_in_force(&file, origin.as_ref()).await? {
            return Ok(Put::InForce);
        }
        if let Some((asked, origin)) = asked.zip(origin.as_ref())
            && self.offer(&file, origin, asked).await?
        {
            return Ok(Put::Offered(system));
        }
        let begins = self.ledger.store().last_seq(&system).await? == 0;
        if begins {
            self.load_access(&system).await?;
        }
        let Loaded { name: source, text, rules, .. } = file;
        let digest = Digest::of(text.as_bytes());
        let event = Event::RulesLoaded {
            source,
            digest,
            rules: Box::new(rules),
            origin,
            secret: Some(self.fingerprint.clone()),
        };
        self.ledger.record(&system, now_ms(), event).await?;
        Ok(if begins { Put::Begins(system) } else { Put::InForce })
    }

    /// Offers rules to who is asked about them, unless they are offered already. Whether they wait for people now: not the first
    /// rules of a system, nor those that say the same.
    async fn offer(&self, file: &Loaded, origin: &RulesOrigin, asked: Asked) -> anyhow::Result<bool> {
        let (system, digest) = (&file.rules.system, Digest::of(file.text.as_bytes()));
        let (meaning, is_offered) = self
            .ledger
            .read(system, |state| {
                let offered = state.offered.as_ref().is_some_and(|offered| offered.rules.digest == digest);
                (state.rules().map(|rules| rules::meaning(rules, &file.rules)), offered)
            })
            .await?;
        let Some(meaning) = meaning.filter(|meaning| !meaning.is_empty()) else { return Ok(false) };
        if !is_offered {
            let (source, rules) = (file.name.clone(), Box::new(file.rules.clone()));
            let (origin, secret) = (origin.clone(), self.fingerprint.clone());
            let Asked { quorum, written } = asked;
            let event = Event::RulesOffered { source, digest, rules, origin, secret, meaning, quorum, written };
            self.ledger.record(system, now_ms(), event).await?;
        }
        Ok(true)
    }

    /// Refuses a file in the systems whose rules it has: those that it gave rules before, or the one that it names. Those that
    /// are served by another file are left alone. Where there is none, the file is noted as giving no system its rules.
    async fn refuse_file(
        &self,
        file: &Refusal,
        served: &BTreeSet<SystemName>,
        look: &mut RulesLook,
    ) -> anyhow::Result<Vec<SystemName>> {
        let mut of = Vec::new();
        for system in self.readable_systems().await?.into_iter().filter(|system| !served.contains(system)) {
            let is_its = self
                .ledger
                .read(&system, |state| {
                    let in_force = state.rules.as_ref();
                    in_force.is_some_and(|rules| rules.source == file.source || file.system.as_ref() == Some(&system))
                })
                .await?;
            of.extend(is_its.then_some(system));
        }
        for system in &of {
            self.refuse(system, file).await?;
        }
        if of.is_empty() {
            look.not_there.push(file.not_there());
        }
        Ok(of)
    }

    /// Records once in a system that rules were refused.
    async fn refuse(&self, system: &SystemName, refusal: &Refusal) -> anyhow::Result<()> {
        let Refusal { source, digest, mistakes, origin, .. } = refusal.clone();
        let said = self.ledger.read(system, |state| {
            state.refused_rules.as_ref().is_some_and(|said| said.digest == digest && said.source == source)
        });
        if !said.await? {
            let event = Event::RulesRefused { source, digest, mistakes, origin };
            self.ledger.record(system, now_ms(), event).await?;
        }
        Ok(())
    }

    /// Says of the systems that nothing has rules for any more that they stay as they are.
    async fn refuse_unnamed(&self, known: &BTreeSet<SystemName>, brought: &mut Brought) -> anyhow::Result<()> {
        for system in self.readable_systems().await?.into_iter().filter(|system| !known.contains(system)) {
            let source = self.ledger.read(&system, |state| Some(state.rules.as_ref()?.source.clone())).await?;
            let Some(source) = source else { continue };
            let mistakes = format!(
                "no file that {FILE_NAME} names has the rules of {system} any more (they were in {source}); {}",
                stays(&system)
            );
            let digest = Digest::of(mistakes.as_bytes());
            brought.refused.push(mistakes.clone());
            self.refuse(&system, &Refusal { source, system: None, digest, mistakes, origin: None }).await?;
        }
        Ok(())
    }
}

/// Whether a log cannot be read, and will not be however often it is tried.
fn is_damage(error: &anyhow::Error) -> bool {
    let of_record = |error: &RecordError| matches!(error, RecordError::Store(error) if !error.is_passing());
    error.downcast_ref::<StoreError>().is_some_and(|error| !error.is_passing())
        || error.downcast_ref::<RecordError>().is_some_and(of_record)
}

/// What becomes of a system whose rules file is gone.
fn stays(system: &SystemName) -> String {
    format!(
        "{system} stays on its last good rules: put the file back, or type `tidegate pause --reason WHY --system {system}` to \
         start nothing new"
    )
}
