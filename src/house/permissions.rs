//! What whoever asks may do, by system and stage.

use std::collections::BTreeMap;

use super::{
    House,
    asker::{Asker, User},
};
use crate::{
    engine::{Access, Permission, Principal},
    rules::{StageName, SystemName},
    view::answers::PermissionsTold,
};

impl House {
    /// What somebody may do in these systems.
    ///
    /// # Errors
    /// When the store cannot be read, or nobody knows who it is.
    pub async fn permissions(&self, who: &Asker, systems: &[SystemName]) -> anyhow::Result<Vec<PermissionsTold>> {
        let (by, access) = (self.settings.principal(who)?, self.settings.access());
        let mut told = Vec::new();
        for system in systems {
            let (everywhere, mut stages) = match &who.user {
                User::Token(token) => {
                    let may = |permission: &Permission| token.may(*permission, system, "").is_ok();
                    (Permission::ALL.into_iter().filter(may).collect(), BTreeMap::new())
                }
                User::Os(_) | User::Issuer(_) => {
                    let stages = self.ledger.read(system, |state| {
                        state.rules().iter().flat_map(|rules| rules.stages.keys().cloned()).collect::<Vec<StageName>>()
                    });
                    of_person(&access.for_system(system), &by, stages.await?)
                }
            };
            stages.retain(|_, permissions| *permissions != everywhere);
            told.push(PermissionsTold { system: system.clone(), everywhere, stages });
        }
        Ok(told)
    }
}

type Permitted = (Vec<Permission>, BTreeMap<StageName, Vec<Permission>>);

fn of_person(access: &Access, by: &Principal, stages: Vec<StageName>) -> Permitted {
    let may = |stage: Option<&StageName>| {
        let may = |permission: &Permission| match permission {
            Permission::Impersonate => access.is_granted(by, Permission::Impersonate, stage),
            permission => access.allows(by, *permission, stage),
        };
        Permission::ALL.into_iter().filter(may).collect::<Vec<_>>()
    };
    let stages = stages.into_iter().map(|stage| {
        let permissions = may(Some(&stage));
        (stage, permissions)
    });
    (may(None), stages.collect())
}
