//! Settings files that are written on a machine without a sandbox: they say so, because without that nothing would run.

use crate::providers::sandbox::Sandbox;

/// The text of a new settings file, and why it does without a sandbox, if it must.
pub(super) fn settings(text: String) -> (Option<String>, String) {
    let Err(missing) = Sandbox::default().probe() else { return (None, text) };
    let none = "# This machine cannot put commands of repositories into a sandbox; they can do all that Tidegate can. Take this\n\
        # line away when it can: `tidegate serve` says at its start what is missing.\nsandbox = \"none\"\n\n";
    (Some(missing), format!("{none}{text}"))
}
