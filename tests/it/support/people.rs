//! Who runs the tests, and what the demo's settings say of people.

use std::process::Command;

/// What stands before the grants of the demo's settings by which everybody may do everything.
const EVERYBODY: &str = "# Everybody may do everything here";

/// The user of the operating system who runs the tests.
pub(crate) fn os_user() -> String {
    let said = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

/// The demo's settings without the grant by which everybody may do everything.
pub(crate) fn without_grants(settings: &str) -> String {
    let Some((before, grant)) = settings.split_once(EVERYBODY) else { return settings.to_owned() };
    let after = grant.split_once("\n\n").map_or("", |(_, after)| after);
    format!("{before}{after}")
}
