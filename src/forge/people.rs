//! Who an account of a forge is here.

use crate::{house::settings::Settings, providers::forge::Account};

/// The person of this account, by its login.
pub(super) fn person(settings: &Settings, account: &Account) -> Option<String> {
    let is_its = |login: &String| login.eq_ignore_ascii_case(&account.login);
    let mut people = settings.people.iter();
    people.find(|(_, person)| person.github.as_ref().is_some_and(is_its)).map(|(name, _)| name.clone())
}
