//! Asks several systems for one release, after all of them would grant it, and says how far it is.

use std::collections::BTreeMap;

use anyhow::{Context, bail};

use super::{
    House, Once,
    asker::{Asked, Asker, User},
    failure::Unanswered,
};
use crate::{
    driver::now_ms,
    engine::{
        self, Command, CommandKey, Event, Recorded, Refused,
        version::release::{self, Release},
    },
    store::RecordError,
    view::answers::{ReleaseAsked, ReleaseBegun, ReleaseTold},
};

impl House {
    /// Asks every system of a release for its promotion, after all of them would grant it. Under a key it is asked once.
    ///
    /// # Errors
    /// The refusal of the first system that does not grant it; or the store's failure.
    pub async fn release(
        &self,
        who: &Asker,
        asked: ReleaseAsked,
        key: Option<CommandKey>,
    ) -> anyhow::Result<ReleaseBegun> {
        let ReleaseAsked { release, systems, from, to } = asked;
        if systems.is_empty() {
            bail!(Unanswered::unclear("a release is of at least one system"));
        }
        let part = Release { name: release.clone(), systems: systems.clone() };
        let command = Command::Promote { from, to, version: None, release: Some(part) };
        let by = self.settings.principal(who)?;
        for name in &systems {
            self.find_system(&Asked { system: Some(name.clone()), who: who.clone() }).await?;
            let not_asked = || format!("{name} does not grant it, so that nothing was asked");
            if let User::Token(token) = &who.user {
                token.may(command.permission(), name, &command.clause()).with_context(not_asked)?;
            }
            // With the roles of the settings as they are now, as they will be when it is asked in earnest.
            self.load_access(name).await?;
            let event = Event::Command { by: by.clone(), command: command.clone(), key: key.clone() };
            let tried = self.ledger.read(name, |state| {
                let recorded = Recorded { seq: state.seq + 1, at_ms: now_ms().max(state.at_ms), event };
                engine::step(&mut state.clone(), &recorded).map(drop)
            });
            match tried.await? {
                Ok(()) | Err(Refused::DoneBefore { .. }) => {}
                Err(refused) => return Err(refused).with_context(not_asked),
            }
        }
        for name in &systems {
            let once = Once { key: key.clone(), seen: None };
            match self.command_once(name, who, command.clone(), once).await {
                Ok(_) => {}
                Err(error) => match error.downcast_ref() {
                    Some(RecordError::Refused(Refused::DoneBefore { .. })) => {}
                    _ => return Err(error.context(format!("{name} did not grant it"))),
                },
            }
        }
        Ok(ReleaseBegun { release, systems })
    }

    /// How far a release is, in the systems that may be looked at.
    ///
    /// # Errors
    /// When no system was asked for it, or the store cannot be read.
    pub async fn release_told(&self, who: &Asker, name: &str) -> anyhow::Result<ReleaseTold> {
        let (mut systems, mut to) = (BTreeMap::new(), None);
        for system in self.visible_systems(who).await? {
            let part = self.ledger.read(&system, |state| {
                let its = release::parts(state).into_iter().find(|part| part.release.name == name);
                its.map(|part| (part.stage.clone(), release::standing(state, name)))
            });
            if let Some((into, standing)) = part.await? {
                to = Some(into);
                systems.insert(system, standing);
            }
        }
        let Some(to) = to else {
            bail!(Unanswered::none(format!(
                "no system has been asked for a release `{name}`; `--systems`, `--from` and `--to` begin one"
            )));
        };
        Ok(ReleaseTold { release: name.to_owned(), to, systems })
    }
}
