//! Where the commits of submodules come from. `.gitmodules` is pushed by strangers: a repository of a server may lead to
//! servers alone, one on this machine only to those beside it, and credentials go to their own origin alone.

use super::mirror::Mirror;
use super::paths;
use super::remote::{Credentials, Remote};
use super::survey::shown;
use crate::providers::Fault;
use std::path::Path;
use tokio::time::Instant;

/// The URL of the submodule at `path`. `config` is the tree's `.gitmodules`, as `git config --list -z` prints it.
pub(super) fn url_of(mirror: &Mirror, config: &[u8], path: &[u8]) -> Result<String, Fault> {
    let undeclared = || {
        Fault::fail(
            format!("the submodule '{}' is not in .gitmodules", shown(path)),
            "add it there with `git submodule add`, or write `submodules: leave`",
        )
    };
    let entries = || config.split(|byte| *byte == 0).filter_map(|entry| split(entry, b'\n'));
    let is_path = |key: &&[u8], value: &[u8]| key.ends_with(b".path") && value == path;
    let named = entries().rfind(|(key, value)| is_path(key, value));
    let (key, _) = named.ok_or_else(undeclared)?;
    let key = [key.strip_suffix(b"path").unwrap_or(key), b"url"].concat();
    let (_, url) = entries().rfind(|(name, _)| *name == key).ok_or_else(undeclared)?;
    let url = std::str::from_utf8(url).map_err(|_| undeclared())?;
    allowed(&mirror.remote, url).map_err(|fault| fault.while_trying(&format!("the submodule '{}'", shown(path))))
}

fn split(entry: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let at = entry.iter().position(|byte| *byte == at)?;
    Some((&entry[..at], &entry[at + 1..]))
}

/// The URL, resolved, when the repository may lead there.
fn allowed(above: &Remote, url: &str) -> Result<String, Fault> {
    let refused = |why: &str| {
        Fault::fail(
            format!("its URL {} {why}", super::remote::redact(url)),
            "correct .gitmodules, leave it out with `exclude`, or write `submodules: leave`",
        )
    };
    let resolved = match url.starts_with("./") || url.starts_with("../") {
        true => relative(&above.url, url).ok_or_else(|| refused("leads above the repository's own"))?,
        false => url.to_owned(),
    };
    if resolved.starts_with('-') || resolved.contains(char::is_control) || is_helper(&resolved) {
        return Err(refused("is not that of a repository"));
    }
    let remote = Remote::parse(&resolved);
    match (&above.directory, &remote.directory) {
        (None, Some(_)) => Err(refused("leads to this machine, and the repository itself is elsewhere")),
        (Some(above), Some(below)) => {
            let beside = |of: &Path| above.canonicalize().ok().and_then(|above| Some(of.starts_with(above.parent()?)));
            match below.canonicalize() {
                Ok(below) if beside(&below) == Some(true) => Ok(resolved),
                Ok(_) => Err(refused("leads to a folder of this machine that is not beside the repository")),
                Err(_) => Err(refused("leads to a folder that is not there")),
            }
        }
        (_, None) => {
            let (scheme, place) = resolved.split_once("://").unwrap_or(("ssh", &resolved));
            if !matches!(scheme, "http" | "https" | "ssh" | "git+ssh") {
                return Err(refused("is not http(s) or ssh"));
            }
            let host = place.split(['/', ':']).next().unwrap_or_default();
            let host = host.rsplit('@').next().unwrap_or_default();
            if host.is_empty() || host.starts_with('-') || place.contains("@-") {
                return Err(refused("has no host"));
            }
            Ok(with_credentials(above, &remote, resolved))
        }
    }
}

/// `helper::address` runs a program.
fn is_helper(url: &str) -> bool {
    url.split_once("::").is_some_and(|(helper, _)| {
        helper.chars().all(|each| each.is_ascii_alphanumeric() || matches!(each, '-' | '+' | '.' | '_'))
    })
}

/// What `./` and `../` mean (git-submodule(1), `add`): they count from the repository's own URL.
fn relative(above: &str, url: &str) -> Option<String> {
    let (mut above, mut url, mut joint) = (above.trim_end_matches('/').to_owned(), url, '/');
    loop {
        if let Some(rest) = url.strip_prefix("./") {
            url = rest;
        } else if let Some(rest) = url.strip_prefix("../") {
            let at = above.rfind('/').or_else(|| above.rfind(':')).filter(|at| !above[..*at].ends_with(['/', ':']))?;
            joint = if above[at..].starts_with(':') { ':' } else { '/' };
            above.truncate(at);
            url = rest;
        } else {
            return Some(format!("{above}{joint}{}", url.trim_end_matches('/')));
        }
    }
}

/// The credentials of the repository above are for its own origin.
fn with_credentials(above: &Remote, remote: &Remote, url: String) -> String {
    match (&above.credentials, &remote.credentials) {
        (Some(Credentials { username, password }), None) if above.origin() == remote.origin() => {
            let encoded = |text: &str| -> String {
                let kept = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
                let encode = |byte| if kept(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
                text.bytes().map(encode).collect()
            };
            url.replacen("://", &format!("://{}:{}@", encoded(username), encoded(password)), 1)
        }
        _ => url,
    }
}

/// Makes sure that a commit is in the mirror, wherever in its repository it is. Where it is not `allowed` to fetch, that it is
/// missing is a failure.
pub(super) async fn bring(mirror: &Mirror, commit: &str, (allowed, deadline): (bool, Instant)) -> Result<(), Fault> {
    let id = commit.to_owned();
    if mirror.with_repository(move |repository| Ok(paths::find_commit(repository, &id).is_ok())).await? {
        return Ok(());
    }
    if !allowed {
        let error = format!("commit {commit} of {} would be fetched, and nothing is fetched here", mirror.url());
        return Err(Fault::fail(error, "it is fetched when the step is really done"));
    }
    // The refs are ours alone, so that no lock is held for the network.
    let kept = format!("+{commit}:refs/tidegate/submodules/{commit}");
    let all = "+refs/heads/*:refs/tidegate/submodules/heads/*".to_owned();
    // A server that hands out no commit by its name may have it in a branch.
    let mut said = String::new();
    for wanted in [kept, all] {
        let fetched = mirror.git(&mirror.fetching([wanted]), deadline, "fetching a submodule").await?;
        let id = commit.to_owned();
        if mirror.with_repository(move |repository| Ok(paths::find_commit(repository, &id).is_ok())).await? {
            return Ok(());
        }
        if !fetched.success {
            said = fetched.stderr.clone();
            let is_missing = ["not our ref", "unadvertised object", "couldn't find remote ref", "missing necessary"]
                .iter()
                .any(|phrase| said.contains(phrase));
            if !is_missing {
                return Err(mirror.explain(&fetched, "fetching a submodule"));
            }
        }
    }
    let quoted = if said.is_empty() { String::new() } else { format!("; git said: {}", super::read::shorten(&said)) };
    Err(Fault::fail(
        format!("commit {commit} is not in {}{quoted}", mirror.url()),
        "push it there, or let the tree name a commit that is there (`git submodule update --remote`, and commit)",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(above: &str, url: &str) -> Result<String, String> {
        allowed(&Remote::parse(above), url).map_err(|fault| fault.to_string())
    }

    #[test]
    fn urls_are_resolved_as_git_does() {
        for (above, below, expected) in [
            ("https://h/a/shop.git", "../lib.git", "https://h/a/lib.git"),
            ("https://h/a/shop.git/", "../../b/lib", "https://h/b/lib"),
            ("git@h:a/shop.git", "../lib.git", "git@h:a/lib.git"),
            ("git@h:shop.git", "../lib.git", "git@h:lib.git"),
            ("ssh://git@h/a/shop", "./lib/", "ssh://git@h/a/shop/lib"),
            ("https://h/a/shop.git", "https://other/lib.git", "https://other/lib.git"),
            ("https://bot:p%40ss@h/a/shop.git", "../lib.git", "https://bot:p%40ss@h/a/lib.git"),
            ("https://bot:p@h/a/shop.git", "https://other/lib.git", "https://other/lib.git"),
            ("https://bot:p@h/a/shop.git", "http://h/lib.git", "http://h/lib.git"),
        ] {
            assert_eq!(url(above, below), Ok(expected.to_owned()), "{below}");
        }
    }

    #[test]
    fn a_pushed_file_leads_nowhere_else() {
        let hostile = [
            "/etc",
            "file:///srv/secret.git",
            "FILE:///srv/secret.git",
            "ext::sh -c id",
            "fd::7",
            "git://h/lib.git",
            "--upload-pack=id",
            "ssh://-oProxyCommand=id/x",
            "ssh://git@-oProxyCommand=id/x",
            "-oProxyCommand=id:x",
            "../../../../../lib.git",
            "https:///lib.git",
            "",
        ];
        for below in hostile {
            assert!(url("https://h/a/shop.git", below).is_err(), "{below}");
        }
    }

    #[test]
    fn on_this_machine_only_what_is_beside_is_read() {
        let root = tempfile::tempdir().expect("a folder");
        let make = |path: &str| std::fs::create_dir_all(root.path().join(path)).expect("a folder");
        ["srv/shop.git", "srv/lib.git", "home/secret.git"].into_iter().for_each(make);
        std::os::unix::fs::symlink("../home/secret.git", root.path().join("srv/link.git")).expect("a link");
        let above = root.path().join("srv/shop.git").display().to_string();
        let at = |path: &str| root.path().join(path).display().to_string();
        assert!(url(&above, "../lib.git").is_ok() && url(&above, &at("srv/lib.git")).is_ok());
        for below in [at("home/secret.git"), format!("file://{}", at("home/secret.git"))] {
            assert!(url(&above, &below).is_err_and(|error| error.contains("not beside")), "{below}");
        }
        for below in ["../../home/secret.git", "../link.git", "../lib.git/../../home/secret.git", "../gone.git"] {
            assert!(url(&above, below).is_err(), "{below}");
        }
    }
}
