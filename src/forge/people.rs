//! Who an account of a forge is here.

use crate::{
    house::{at_github::AtGitHub, settings::Settings},
    providers::{Fault, forge::Account},
};

/// The person of this account.
///
/// # Errors
/// When it cannot be read which numbers the logins have.
pub(super) fn person(settings: &Settings, account: &Account) -> Result<Option<String>, Fault> {
    let known = AtGitHub::read(&settings.data)?;
    let is_its = |login: &String| known.is(login, account);
    let mut people = settings.people.iter();
    Ok(people.find(|(_, person)| person.github.as_ref().is_some_and(is_its)).map(|(name, _)| name.clone()))
}
