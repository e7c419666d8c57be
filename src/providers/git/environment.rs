//! The environment that `git` runs in: built from nothing, so that what works once works always.

use super::remote::Remote;
use std::collections::BTreeMap;
use std::time::Duration;

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

/// Whose names begin so, or are these, mean something to `git`, `curl` or `ssh`, and are not taken over.
const MEANT_FOR_GIT: [&str; 12] = [
    "GIT_",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_",
    "SSH_ASKPASS",
];

/// Which of these variables of our own mean something to git and are dropped, sorted; `extra` is what it gets instead.
pub fn dropped<'name>(own: impl Iterator<Item = &'name str>, extra: &[(String, String)]) -> Vec<&'name str> {
    let is_meant = |name: &&str| {
        MEANT_FOR_GIT.iter().any(|meant| if meant.ends_with('_') { name.starts_with(meant) } else { name == meant })
    };
    let is_given = |name: &&str| extra.iter().any(|(given, _)| given == name);
    let mut dropped: Vec<&str> = own.filter(is_meant).filter(|name| !is_given(name)).collect();
    dropped.sort_unstable();
    dropped
}

/// Whether git starts `ssh` for a remote.
pub(super) fn is_ssh(remote: &Remote) -> bool {
    let is_other = ["http://", "https://", "git://", "file://"].iter().any(|scheme| remote.url.starts_with(scheme));
    remote.directory.is_none() && !is_other
}

/// The command for ssh that gives up after `silence`, when it connects and later; none where `extra` says which to use.
pub(super) fn ssh_command(extra: &[(String, String)], silence: Duration) -> Option<String> {
    let is_set = extra.iter().any(|(name, _)| matches!(name.as_str(), "GIT_SSH_COMMAND" | "GIT_SSH"));
    let (connect, alive) = (whole_seconds(silence), whole_seconds(silence / 3));
    let command = format!("ssh -o ConnectTimeout={connect} -o ServerAliveInterval={alive} -o ServerAliveCountMax=3");
    (!is_set).then_some(command)
}

fn whole_seconds(span: Duration) -> u64 {
    span.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX).max(1)
}

/// All variables for a `git` process that talks to `remote`; `extra` wins over the defaults. A transfer over HTTP that is
/// silent for so long ends.
pub(super) fn variables(remote: &Remote, extra: &[(String, String)], silence: Duration) -> BTreeMap<String, String> {
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
    add_configuration(&mut variables, remote, silence);
    variables
}

/// Appends our configuration to what `GIT_CONFIG_COUNT` may carry already (git-config(1), ENVIRONMENT).
fn add_configuration(variables: &mut BTreeMap<String, String>, remote: &Remote, silence: Duration) {
    let mut entries: Vec<(String, String)> = QUIET.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    // Less than a byte a second for so long is silence (git-config(1), http.lowSpeedLimit).
    entries.push(("http.lowSpeedLimit".to_owned(), "1".to_owned()));
    entries.push(("http.lowSpeedTime".to_owned(), whole_seconds(silence).to_string()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_git_and_is_not_handed_on_is_named() {
        let own = ["PATH", "https_proxy", "GIT_SSH_COMMAND", "LANG", "SSL_CERT_FILE", "GIT_TRACE", "HTTP_PROXY"];
        let given = [("GIT_TRACE".to_owned(), "1".to_owned())];
        assert_eq!(dropped(own.into_iter(), &given), ["GIT_SSH_COMMAND", "SSL_CERT_FILE", "https_proxy"]);
    }

    #[test]
    fn ssh_gives_up_where_the_user_does_not_say_how() {
        let command = ssh_command(&[], Duration::from_secs(30)).unwrap_or_default();
        assert_eq!(command, "ssh -o ConnectTimeout=30 -o ServerAliveInterval=10 -o ServerAliveCountMax=3");
        for name in ["GIT_SSH", "GIT_SSH_COMMAND"] {
            assert_eq!(ssh_command(&[(name.to_owned(), "mine".to_owned())], Duration::from_secs(30)), None);
        }
        for (url, expected) in [
            ("git@host:shop.git", true),
            ("ssh://git@host/shop.git", true),
            ("https://host/shop.git", false),
            ("/srv/shop.git", false),
            ("file:///srv/shop.git", false),
        ] {
            assert_eq!(is_ssh(&Remote::parse(url)), expected, "{url}");
        }
    }
}
