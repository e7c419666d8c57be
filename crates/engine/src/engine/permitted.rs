//! Whether somebody may ask for something. A refusal says which permission it needs, and who has that.

use super::{
    access::{AccessInForce, Permission, Principal},
    event::Command,
    ids::RunId,
    refused::Refused,
    state::System,
    turn::Turn,
};
use crate::rules::StageName;

impl System {
    /// Refuses whoever lacks a permission, saying which one and who has it.
    ///
    /// # Errors
    /// [`Refused::NotAllowed`].
    pub fn demand(
        &self,
        who: &Principal,
        permission: Permission,
        stage: Option<&StageName>,
        what: &str,
    ) -> Result<(), Refused> {
        let Some(AccessInForce { access, .. }) = &self.access else { return Ok(()) };
        if access.allows(who, permission, stage) {
            return Ok(());
        }
        let system = self.rules().map_or("this system", |rules| rules.system.as_str());
        let place = stage.map_or_else(|| format!("the whole of {system}"), |stage| format!("{system} {stage}"));
        let (permission_name, holders) = (permission.name(), access.holders(permission, stage));
        Err(Refused::NotAllowed {
            who: who.name.clone(),
            what: what.to_owned(),
            reason: format!("it needs the permission `{permission_name}` for {place}, which these have: {holders}"),
        })
    }
}

impl Turn<'_> {
    /// Checks what a command needs, before anything of it is looked at.
    pub(super) fn permitted(&self, by: &Principal, command: &Command) -> Result<(), Refused> {
        let of_run = |id: &RunId| self.system.run(id).map(|run| run.stage.clone());
        let stage = match command {
            Command::Thaw { freeze } => self.system.freezes.get(freeze).and_then(|freeze| freeze.stage.clone()),
            Command::Hotfix { what, .. } => of_run(&RunId::new(what.as_str())),
            command => command.run().map_or_else(|| command.stage().cloned(), of_run),
        };
        if let Some(AccessInForce { access, .. }) = &self.system.access {
            access.may_ask_for(by, stage.as_ref(), Some(&command.clause()))?;
        }
        match (command, stage) {
            (Command::Hotfix { .. }, Some(stage)) => self.may_mark(by, command, &stage),
            (_, stage) => self.system.demand(by, command.permission(), stage.as_ref(), &command.clause()),
        }
    }

    /// A mark goes with its change: whoever makes it may override in every stage that the change can come to.
    fn may_mark(&self, by: &Principal, command: &Command, stage: &StageName) -> Result<(), Refused> {
        let (permission, clause) = (command.permission(), command.clause());
        self.system.demand(by, permission, Some(stage), &clause)?;
        let (Some(AccessInForce { access, .. }), Some(rules)) = (&self.system.access, self.system.rules()) else {
            return Ok(());
        };
        let later = rules.stages_after(stage).into_iter();
        let lacking: Vec<String> = later
            .filter(|later| !access.allows(by, permission, Some(later)))
            .map(|later| format!("{later} (which these have: {})", access.holders(permission, Some(later))))
            .collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let (name, lacking) = (permission.name(), lacking.join(", "));
        Err(Refused::NotAllowed {
            who: by.name.clone(),
            what: clause,
            reason: format!("the mark goes with the change, so it needs the permission `{name}` also for {lacking}"),
        })
    }
}
