//! The environment that `git` runs in: built from nothing, so that what works once works always.

use super::remote::Remote;
use std::collections::BTreeMap;

/// What is taken over from our own environment, when it is set.
const INHERITED: [&str; 3] = ["PATH", "HOME", "SSH_AUTH_SOCK"];

/// Hands the URL's own credentials to git, from variables, so that they are in no argument and no file.
const CREDENTIAL_HELPER: &str = r#"!f() { test "$1" = get && printf 'username=%s\npassword=%s\n' "$TIDEGATE_GIT_USERNAME" "$TIDEGATE_GIT_PASSWORD"; }; f"#;

/// Configuration that keeps git from doing in the background, or in passing, what it was not asked for.
const QUIET: [(&str, &str); 5] = [
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("push.followTags", "false"),
    ("core.hooksPath", "/dev/null"),
    ("advice.detachedHead", "false"),
];

/// All variables for a `git` process that talks to `remote`; `extra` wins over the defaults.
pub(super) fn variables(remote: &Remote, extra: &[(String, String)]) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for name in INHERITED {
        if let Ok(value) = std::env::var(name) {
            variables.insert(name.to_owned(), value);
        }
    }
    let fixed = [
        ("GIT_TERMINAL_PROMPT", "0"),
        ("LC_ALL", "C"),
        // A question from ssh is answered with an error at once, also when we have a terminal.
        ("SSH_ASKPASS", "false"),
        ("SSH_ASKPASS_REQUIRE", "force"),
    ];
    variables.extend(fixed.map(|(name, value)| (name.to_owned(), value.to_owned())));
    variables.extend(extra.iter().cloned());
    add_configuration(&mut variables, remote);
    variables
}

/// Appends our configuration to what `GIT_CONFIG_COUNT` may carry already (git-config(1), ENVIRONMENT).
fn add_configuration(variables: &mut BTreeMap<String, String>, remote: &Remote) {
    let mut entries: Vec<(String, String)> = QUIET.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    if let Some(credentials) = &remote.credentials {
        let helper = format!("credential.{}.helper", remote.origin());
        entries.push((helper.clone(), String::new()));
        entries.push((helper, CREDENTIAL_HELPER.to_owned()));
        entries.push(("http.proactiveAuth".to_owned(), "basic".to_owned()));
        variables.insert("TIDEGATE_GIT_USERNAME".to_owned(), credentials.username.clone());
        variables.insert("TIDEGATE_GIT_PASSWORD".to_owned(), credentials.password.clone());
    }
    let earlier: usize = variables.get("GIT_CONFIG_COUNT").and_then(|count| count.parse().ok()).unwrap_or(0);
    let count = earlier + entries.len();
    for (index, (key, value)) in (earlier..).zip(entries) {
        variables.insert(format!("GIT_CONFIG_KEY_{index}"), key);
        variables.insert(format!("GIT_CONFIG_VALUE_{index}"), value);
    }
    variables.insert("GIT_CONFIG_COUNT".to_owned(), count.to_string());
}
