//! The secrets that a step is given: there is a command that reads them, and `tidegate.toml` has them for this system.

use super::{
    super::{document::Node, mistake::did_you_mean, names::SecretName},
    context::Check,
};

/// Checks the `secrets` of a step at `place`.
pub(super) fn check(check: &mut Check<'_>, secrets: &[SecretName], has_command: bool, place: &Node) {
    if !secrets.is_empty() && !has_command {
        return check.add(place.key("secrets"), "`secrets` are for `command`, and there is none");
    }
    for (index, secret) in secrets.iter().enumerate() {
        let bytes = place.field("secrets").item(index).bytes.clone();
        let variable = secret.variable();
        if secrets.iter().take(index).any(|other| other == secret) {
            check.add(bytes, format!("`{secret}` is there twice"));
        } else if secrets.iter().take(index).any(|other| other.variable() == variable) {
            check.add(bytes, format!("another secret is given as `{variable}`, too"));
        } else {
            is_here(check, secret, bytes);
        }
    }
}

/// A secret is one of those of the settings, where these are known, and for this system.
fn is_here(check: &mut Check<'_>, secret: &SecretName, bytes: std::ops::Range<usize>) {
    let Some(here) = check.here else { return };
    let system = &check.rules.system;
    match here.secrets.get(secret) {
        Some(systems) if systems.contains(system) => {}
        Some(_) => check.add_with_help(
            bytes,
            format!("the secret `{secret}` is not for `{system}`"),
            format!("add `{system}` to `systems` of `[secrets.{secret}]` in tidegate.toml"),
        ),
        None => {
            let known = here.secrets.keys().map(SecretName::as_str);
            let help = did_you_mean(secret.as_str(), known)
                .unwrap_or_else(|| format!("add a section `[secrets.{secret}]` to tidegate.toml"));
            check.add_with_help(bytes, format!("tidegate.toml has no secret `{secret}`"), help);
        }
    }
}
