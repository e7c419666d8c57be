//! Who asks: the user of the operating system whose process this is, as the kernel tells, a program with a token, or somebody for
//! whom an issuer speaks; and the name in which they ask. Nothing here says whether they may.

use std::{collections::BTreeSet, fmt, sync::OnceLock};

use nix::unistd::Uid;

use crate::{
    engine::{Permission, Refused, Role},
    rules::SystemName,
    store::Identity,
};

/// Who asks.
#[derive(Debug, Clone)]
pub struct Asker {
    /// Who it is that asks.
    pub user: User,
    /// The name in which they ask, where they say one: `--as`, else `TIDEGATE_AS`.
    pub in_name_of: Option<String>,
}

/// Whoever asks, as they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// A user of the operating system.
    Os(OsUser),
    /// A program that has shown a token.
    Token(TokenHolder),
    /// Somebody for whom an issuer speaks.
    Issuer(Identity),
}

/// A program that has shown a token, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenHolder {
    /// The token's name.
    pub name: String,
    /// What may be done with it.
    pub role: Role,
    /// In which systems; all of them where there are none.
    pub systems: BTreeSet<SystemName>,
}

impl TokenHolder {
    /// The name in which it asks. No person has it: theirs have no slash.
    #[must_use]
    pub fn principal(&self) -> String {
        token_principal(&self.name)
    }

    /// Refuses what a token is not for.
    ///
    /// # Errors
    /// [`Refused::NotAllowed`].
    pub fn may(&self, permission: Permission, system: &SystemName, what: &str) -> Result<(), Refused> {
        let is_for = self.systems.is_empty() || self.systems.contains(system);
        if is_for && self.role.gives(permission) {
            return Ok(());
        }
        let (name, systems) = (permission.name(), self.systems.iter().map(SystemName::as_str).collect::<Vec<_>>());
        let reason = match is_for {
            true => format!("it needs the permission `{name}`, which the role of this token does not give"),
            false => format!("this token is for {}", systems.join(", ")),
        };
        Err(Refused::NotAllowed { who: self.principal(), what: what.to_owned(), reason })
    }
}

/// The name in which the token of that name asks.
pub(crate) fn token_principal(name: &str) -> String {
    format!("token/{name}")
}

impl User {
    /// How they come in over HTTP: `link`, `token`, or the name of an issuer.
    #[must_use]
    pub fn way_in(&self) -> &str {
        match self {
            Self::Os(_) => "link",
            Self::Token(_) => "token",
            Self::Issuer(identity) => &identity.issuer,
        }
    }
}

impl From<OsUser> for User {
    fn from(user: OsUser) -> Self {
        Self::Os(user)
    }
}

impl fmt::Display for User {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Os(user) => user.fmt(formatter),
            Self::Token(token) => formatter.write_str(&token.principal()),
            Self::Issuer(identity) => write!(formatter, "{}/{}", identity.issuer, identity.person),
        }
    }
}

/// A user of the operating system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OsUser {
    uid: u32,
    /// The name, where the system has one for the number.
    name: Option<String>,
}

/// What most commands are asked of: which system, where there is more than one, and by whom.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The system; none where it is the only one, or all are meant.
    pub system: Option<SystemName>,
    /// Who asks.
    pub who: Asker,
}

impl OsUser {
    /// A user of this number, and of this name where there is one.
    #[must_use]
    pub const fn new(uid: u32, name: Option<String>) -> Self {
        Self { uid, name }
    }

    /// The user whose process this is. `USER` is not asked: anybody can set it.
    #[must_use]
    pub fn current() -> Self {
        Self::numbered(Uid::current().as_raw())
    }

    /// The user with this number.
    #[must_use]
    pub fn numbered(uid: u32) -> Self {
        // A system that cannot be asked for the name has told the number all the same.
        let name = nix::unistd::User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name);
        Self::new(uid, name)
    }

    /// Whether `os` of a person means this user: by name, or by number.
    #[must_use]
    pub fn is(&self, listed: &str) -> bool {
        self.name.as_deref() == Some(listed) || self.uid.to_string() == listed
    }
}

impl fmt::Display for OsUser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => formatter.write_str(name),
            None => write!(formatter, "{}", self.uid),
        }
    }
}

impl Asker {
    /// Who types this command, in the name that `--as` or `TIDEGATE_AS` says; in a process that answers somebody, they.
    #[must_use]
    pub fn typing(said: Option<String>) -> Self {
        let (user, otherwise) = match PEER.get() {
            Some(Self { user, in_name_of }) => (user.clone(), in_name_of.clone()),
            None => (OsUser::current().into(), by_environment()),
        };
        Self { user, in_name_of: said.or(otherwise) }
    }
}

/// Whom this process answers, where it is one that the server started for them.
static PEER: OnceLock<Asker> = OnceLock::new();

/// From here on this process answers somebody, and nobody else ever.
pub(crate) fn answer_to(asker: Asker) {
    // It is said once, before anything is asked.
    PEER.set(asker).ok();
}

/// The name in which commands are asked here.
pub(crate) fn by_environment() -> Option<String> {
    std::env::var("TIDEGATE_AS").ok().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::OsUser;

    #[test]
    fn a_user_is_known_by_name_and_by_number() {
        let grace = OsUser::new(1001, Some("grace".to_owned()));
        assert!(grace.is("grace") && grace.is("1001"));
        assert!(!grace.is("Grace") && !grace.is("100"));
        let nameless = OsUser::new(1002, None);
        assert!(nameless.is("1002") && !nameless.is(""));
        assert_eq!((grace.to_string(), nameless.to_string()), ("grace".to_owned(), "1002".to_owned()));
    }
}
