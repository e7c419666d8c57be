//! Who may do what: people, groups and roles, as `tidegate.toml` has them. They come in as an event, so that a refusal can
//! say who may, and so that the log tells who could do what at any moment.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ids::Digest, naming::Naming, refused::Refused};
use crate::rules::{StageName, SystemName};

/// The people that are known and what they may do. With no grants at all, everybody who is known may do everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Access {
    /// People by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub people: BTreeMap<String, Person>,
    /// Who may do what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// How the addresses in commits are read.
    #[serde(default, skip_serializing_if = "Naming::is_plain")]
    pub naming: Naming,
}

/// A person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The groups that they are in; rules ask groups or people for approval.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
    /// The e-mail addresses under which they commit.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub emails: BTreeSet<String>,
    /// Their login at the forges, to which hidden addresses belong: `12345+ada@users.noreply.github.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github: Option<String>,
    /// The fingerprints of the keys with which they sign commits, as git shows them (`%GF`; of OpenPGP the primary key's).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub keys: BTreeSet<String>,
    /// The users of the operating system that they are, by name or number; these tell who types a command.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub os: BTreeSet<String>,
}

/// Who asks: a person or a program, with the groups that they were in when they asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Principal {
    /// The name, as `tidegate.toml` has it.
    pub name: String,
    /// The groups.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
    /// The e-mail addresses under which they commit.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub emails: BTreeSet<String>,
    /// The person who asks in their name; nobody when they ask themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<String>,
}

impl Principal {
    /// Somebody of whom nothing but the name is known.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Who asks, for people: "grace", or "grace, asked by root".
    #[must_use]
    pub fn said(&self) -> String {
        self.asked_by.as_ref().map_or_else(|| self.name.clone(), |by| format!("{}, asked by {by}", self.name))
    }

    /// Whether this person goes by that name or is in that group.
    #[must_use]
    pub fn is(&self, name_or_group: &str) -> bool {
        self.name == name_or_group || self.groups.contains(name_or_group)
    }
}

/// A role for people and groups, everywhere or only in some systems and stages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// What they may do.
    pub role: Role,
    /// People and groups.
    pub to: Vec<String>,
    /// The systems; all of them unless it says otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub systems: Vec<SystemName>,
    /// The stages; all of them, and what concerns a whole system, unless it says otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageName>,
}

impl Grant {
    fn is_to(&self, who: &Principal) -> bool {
        self.to.iter().any(|name| who.is(name))
    }
}

/// What people may do, by the names that teams use. Whoever needs two roles is given both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May look.
    Viewer,
    /// May look, start, promote, do again, abort, unlock, choose versions, freeze and pause.
    Operator,
    /// May look, approve and reject.
    Approver,
    /// May do everything in their own name: what the others may, and override a freeze, mark a hotfix and lift a veto.
    Admin,
    /// May look, and ask in the name of others: whoever has it can be all of them.
    Impersonator,
}

/// What a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// To look at a system.
    View,
    /// To start, promote, do again, abort and unlock.
    Operate,
    /// To approve, reject and withdraw.
    Approve,
    /// To freeze, thaw, pause and resume.
    Hold,
    /// To let a run pass a freeze, to mark a hotfix.
    Override,
    /// To ask in the name of somebody else.
    Impersonate,
}

impl Permission {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::View, Self::Operate, Self::Approve, Self::Hold, Self::Override, Self::Impersonate];

    /// The name, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Operate => "operate",
            Self::Approve => "approve",
            Self::Hold => "hold",
            Self::Override => "override",
            Self::Impersonate => "impersonate",
        }
    }
}

impl Role {
    /// Whether the role gives the permission.
    #[must_use]
    pub const fn gives(self, permission: Permission) -> bool {
        match self {
            Self::Admin => !matches!(permission, Permission::Impersonate),
            Self::Impersonator => matches!(permission, Permission::View | Permission::Impersonate),
            Self::Operator => matches!(permission, Permission::View | Permission::Operate | Permission::Hold),
            Self::Approver => matches!(permission, Permission::View | Permission::Approve),
            Self::Viewer => matches!(permission, Permission::View),
        }
    }
}

/// People, groups and roles in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccessInForce {
    /// Of the whole of it.
    pub digest: Digest,
    /// What it says.
    pub access: Access,
}

impl Access {
    /// The part of it that concerns a system.
    #[must_use]
    pub fn for_system(&self, system: &SystemName) -> Self {
        let concerns = |grant: &&Grant| grant.systems.is_empty() || grant.systems.contains(system);
        let grants = self.grants.iter().filter(concerns).cloned().collect();
        // A system that no grant is for is closed to all, not open to all.
        let closed = Grant { role: Role::Admin, to: Vec::new(), systems: Vec::new(), stages: Vec::new() };
        let none_left = !self.grants.is_empty() && !self.grants.iter().any(|grant| concerns(&grant));
        let grants = if none_left { vec![closed] } else { grants };
        Self { people: self.people.clone(), grants, naming: self.naming.clone() }
    }

    /// Of the whole of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).expect("plain values always serialise"))
    }

    /// Whether somebody has a permission in a stage; without a stage, for what concerns the whole system.
    #[must_use]
    pub fn allows(&self, who: &Principal, permission: Permission, stage: Option<&StageName>) -> bool {
        self.grants.is_empty() || self.giving(permission, stage).any(|grant| grant.is_to(who))
    }

    /// Whether somebody was given a permission: where people are listed, by a grant, and not because there are none.
    #[must_use]
    pub fn is_granted(&self, who: &Principal, permission: Permission, stage: Option<&StageName>) -> bool {
        (self.people.is_empty() || !self.grants.is_empty()) && self.allows(who, permission, stage)
    }

    /// Refuses whoever may not look at a system in any of its stages.
    ///
    /// # Errors
    /// [`Refused::NotAllowed`].
    pub fn may_view(&self, who: &Principal, system: &str) -> Result<(), Refused> {
        let mut viewers = self.grants.iter().filter(|grant| grant.role.gives(Permission::View));
        if self.grants.is_empty() || viewers.any(|grant| grant.is_to(who)) {
            return Ok(());
        }
        let holders = self.holders(Permission::View, None);
        Err(Refused::NotAllowed {
            who: who.name.clone(),
            what: format!("look at {system}"),
            reason: format!("it needs the permission `view`, which these have: {holders}"),
        })
    }

    /// Refuses whoever asks in the name of somebody else and may not: where people are listed it takes a grant, of this stage
    /// or the whole system. Without `what` it is to look.
    ///
    /// # Errors
    /// [`Refused::NotAllowed`].
    pub fn may_ask_for(&self, who: &Principal, stage: Option<&StageName>, what: Option<&str>) -> Result<(), Refused> {
        let Some(asking) = &who.asked_by else { return Ok(()) };
        let by = self.principal(asking).unwrap_or_else(|| Principal::named(asking));
        let looks = || self.grants.iter().any(|grant| grant.role.gives(Permission::Impersonate) && grant.is_to(&by));
        if self.is_granted(&by, Permission::Impersonate, stage) || (what.is_none() && looks()) {
            return Ok(());
        }
        let holders = self.holders(Permission::Impersonate, stage);
        Err(Refused::NotAllowed {
            who: asking.clone(),
            what: format!("{} in the name of {}", what.unwrap_or("look"), who.name),
            reason: format!("it needs the permission `impersonate`, which these have: {holders}"),
        })
    }

    fn giving(&self, permission: Permission, stage: Option<&StageName>) -> impl Iterator<Item = &Grant> {
        let covers =
            move |grant: &&Grant| grant.stages.is_empty() || stage.is_some_and(|stage| grant.stages.contains(stage));
        self.grants.iter().filter(move |grant| grant.role.gives(permission)).filter(covers)
    }

    /// Who has a permission, for people: "grace, release-managers (linus, mary)".
    #[must_use]
    pub fn holders(&self, permission: Permission, stage: Option<&StageName>) -> String {
        let names: BTreeSet<&str> =
            self.giving(permission, stage).flat_map(|grant| grant.to.iter().map(String::as_str)).collect();
        let shown: Vec<String> = names.into_iter().map(|name| self.named(name)).collect();
        if shown.is_empty() { "nobody".to_owned() } else { shown.join(", ") }
    }

    /// A name as it is, or a group with those who are in it.
    #[must_use]
    pub fn named(&self, name_or_group: &str) -> String {
        let members: Vec<&str> = self.members(name_or_group).collect();
        match members.as_slice() {
            [] => name_or_group.to_owned(),
            [only] if *only == name_or_group => name_or_group.to_owned(),
            _ => format!("{name_or_group} ({})", members.join(", ")),
        }
    }

    /// The people who go by that name or are in that group, in order.
    pub fn members(&self, name_or_group: &str) -> impl Iterator<Item = &str> {
        let is =
            move |(name, person): &(&String, &Person)| *name == name_or_group || person.groups.contains(name_or_group);
        self.people.iter().filter(is).map(|(name, _)| name.as_str())
    }

    /// A person as one who asks.
    #[must_use]
    pub fn principal(&self, name: &str) -> Option<Principal> {
        let Person { groups, emails, github: _, keys: _, os: _ } = self.people.get(name)?;
        Some(Principal { groups: groups.clone(), emails: emails.clone(), ..Principal::named(name) })
    }
}
