//! Brings rules into force, as far as they are valid: what is not is refused and said, and the last good rules stay.

mod files;
mod look;

use std::{collections::BTreeSet, path::Path};

pub(super) use self::look::{NotThere, RulesLook};
use super::{
    House,
    house::absolute_url,
    settings::{FILE_NAME, Settings},
};
use crate::{
    driver::now_ms,
    engine::{Digest, Event},
    rules::{self, Rules, SystemName},
    store::{RecordError, StoreError},
};

/// What came of a look at the rules.
#[derive(Debug, Default)]
pub(super) struct Brought {
    /// What was refused and why, each as a person reads it.
    pub(super) refused: Vec<String>,
    /// The systems that begin: these are their first rules.
    pub(super) begun: Vec<SystemName>,
}

/// A rules file as it was read.
pub(super) struct ReadFile {
    /// Where: a path.
    source: String,
    /// Its text, or why there is none and what to do.
    text: Result<String, String>,
}

/// A rules file that is not in force.
struct RefusedFile<'read> {
    source: &'read str,
    /// The system that it names, where that can be read.
    system: Option<SystemName>,
    digest: Digest,
    mistakes: String,
}

impl House {
    /// Brings what changed in the files into force, and refuses what is not valid, file by file.
    async fn bring_into_force(&self, files: &[ReadFile]) -> anyhow::Result<Brought> {
        let (mut good, mut bad) = (Vec::<(&ReadFile, Rules)>::new(), Vec::new());
        for file in files {
            match loaded(file, &self.settings, &good) {
                Ok(rules) => good.push((file, rules)),
                Err(mistakes) => bad.push(refused(file, mistakes)),
            }
        }
        let mut brought = Brought::default();
        let served: BTreeSet<SystemName> = good.iter().map(|(_, rules)| rules.system.clone()).collect();
        for (file, rules) in good {
            let text = file.text.as_deref().unwrap_or_default();
            match self.put_into_force(&file.source, text, rules).await {
                Ok(begun) => brought.begun.extend(begun),
                Err(error) if is_damage(&error) => {
                    brought.refused.push(format!("{} is not brought into force: {error:#}", file.source));
                }
                Err(error) => return Err(error),
            }
        }
        let (mut look, mut known) = (RulesLook::default(), served.clone());
        for file in bad {
            let of = self.systems_of(&file, &served).await?;
            for system in &of {
                self.refuse(system, &file).await?;
            }
            let RefusedFile { source, system, mistakes, .. } = file;
            if of.is_empty() {
                brought.refused.push(format!("{source} was refused, and gives no system its rules\n{mistakes}"));
                look.not_there.push(NotThere { source: source.to_owned(), system, mistakes });
            } else {
                brought.refused.push(format!("{source} was refused; the last good rules stay in force\n{mistakes}"));
                known.extend(of);
            }
        }
        self.refuse_unnamed(&known, &mut brought).await?;
        look.write(&self.settings)?;
        Ok(brought)
    }

    /// Brings the rules of one system into force, unless they are. Returns the system where it begins with them.
    async fn put_into_force(&self, source: &str, text: &str, mut rules: Rules) -> anyhow::Result<Option<SystemName>> {
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
        if same {
            return Ok(None);
        }
        let begins = self.ledger.store().last_seq(&system).await? == 0;
        if begins {
            self.load_access(&system).await?;
        }
        let event = Event::RulesLoaded { source: source.to_owned(), digest, rules: Box::new(rules) };
        self.ledger.record(&system, now_ms(), event).await?;
        Ok(begins.then_some(system))
    }

    /// The systems whose rules a refused file has: those that it gave rules before, or the one that it names.
    async fn systems_of(
        &self,
        file: &RefusedFile<'_>,
        served: &BTreeSet<SystemName>,
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
        Ok(of)
    }

    /// Records once in a system that a file was refused.
    async fn refuse(&self, system: &SystemName, file: &RefusedFile<'_>) -> anyhow::Result<()> {
        let RefusedFile { source, digest, mistakes, .. } = file;
        let said = |refused: &crate::engine::RefusedRules| refused.digest == *digest && refused.source == *source;
        if !self.ledger.read(system, |state| state.refused_rules.as_ref().is_some_and(said)).await? {
            let (source, digest, mistakes) = ((*source).to_owned(), digest.clone(), mistakes.clone());
            self.ledger.record(system, now_ms(), Event::RulesRefused { source, digest, mistakes }).await?;
        }
        Ok(())
    }

    /// Says of the systems that no file has rules for any more that they stay as they are.
    async fn refuse_unnamed(&self, known: &BTreeSet<SystemName>, brought: &mut Brought) -> anyhow::Result<()> {
        for system in self.readable_systems().await?.into_iter().filter(|system| !known.contains(system)) {
            let source = self.ledger.read(&system, |state| Some(state.rules.as_ref()?.source.clone())).await?;
            let Some(source) = source else { continue };
            let mistakes = format!(
                "{FILE_NAME} does not name {source} any more; name it again, or `tidegate pause --reason WHY --system {system}` \
                 to start nothing new"
            );
            let digest = Digest::of(mistakes.as_bytes());
            self.refuse(&system, &RefusedFile { source: &source, system: None, digest, mistakes: mistakes.clone() })
                .await?;
            brought.refused.push(format!("{system} stays on its last good rules: {mistakes}"));
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

/// The rules of a file, or its mistakes as a person reads them.
fn loaded(file: &ReadFile, settings: &Settings, before: &[(&ReadFile, Rules)]) -> Result<Rules, String> {
    let text = file.text.as_ref().map_err(Clone::clone)?;
    let rules = rules::load_with_channels(&file.source, text, &settings.known_channels());
    let rules = rules.map_err(|mistakes| mistakes.render(false))?;
    match before.iter().find(|(_, other)| other.system == rules.system) {
        Some((other, _)) => Err(format!(
            "{}: {} has the rules of {} already; name another system",
            file.source, other.source, rules.system
        )),
        None => Ok(rules),
    }
}

fn refused(file: &ReadFile, mistakes: String) -> RefusedFile<'_> {
    let text = file.text.as_deref();
    RefusedFile {
        source: &file.source,
        system: text.ok().and_then(rules::system_named),
        digest: Digest::of(text.unwrap_or(&mistakes).as_bytes()),
        mistakes,
    }
}
