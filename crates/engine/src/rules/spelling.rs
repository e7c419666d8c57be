//! One repository has many URLs: with and without `.git`, by path or by `file:`, over ssh or https, with another user or the
//! usual port. What they have in common is the repository's key. Two that have the same key count as one.

/// What a repository is known by, however its URL is written: `host/path` for one on another machine, the path for one on
/// this machine. It is no URL. The key says nothing of who signs in and how; a `~` of a user stays that user's.
///
/// Paths are compared as they are written, but for `%XX` in URLs, needless slashes and `.git` at the end: only the server
/// knows whether it minds the case of letters.
#[must_use]
pub fn repository_key(url: &str) -> String {
    if let Some((scheme, rest)) = url.split_once("://") {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if scheme.eq_ignore_ascii_case("file") {
            return format!("/{}", tidy(&decoded(path)));
        }
        let (user, host) = user_and_host(authority);
        return distant(user, &named_host(host, usual_port(scheme)), &decoded(path));
    }
    // git's `[host:port]:path`.
    if let Some((before, path)) = url.split_once("]:").filter(|(before, _)| !before.contains('/'))
        && let Some((outside, inside)) = before.split_once('[')
    {
        let (user, host) = user_and_host(inside);
        let user = user.or(outside.strip_suffix('@'));
        return distant(user, &named_host(host, usual_port("ssh")), path);
    }
    match url.split_once(':').filter(|(before, _)| !before.contains('/')) {
        Some((before, path)) => {
            let (user, host) = user_and_host(before);
            distant(user, &named_host(host, None), path)
        }
        None if url.starts_with('/') => format!("/{}", tidy(url)),
        None => tidy(url),
    }
}

/// The host of a repository on another machine, in small letters, with its port where that is not the usual one; none for
/// one on this machine.
#[must_use]
pub fn host_of(url: &str) -> Option<String> {
    let is_path = !url.contains("://") && url.find(':').is_none_or(|colon| url[..colon].contains('/'));
    let key = repository_key(url);
    let host = key.split('/').next().filter(|host| !is_path && !host.is_empty())?;
    Some(host.to_owned())
}

/// A repository on another machine.
fn distant(user: Option<&str>, host: &str, path: &str) -> String {
    let path = tidy(path);
    match (path.strip_prefix("~/"), user) {
        // The home of whoever signs in.
        (Some(below), Some(user)) => format!("{host}/~{user}/{below}"),
        _ => format!("{host}/{path}"),
    }
}

fn user_and_host(authority: &str) -> (Option<&str>, &str) {
    match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user.split(':').next().unwrap_or(user)), host),
        None => (None, authority),
    }
}

/// A host in small letters, with its port where that is not the usual one.
fn named_host(host: &str, usual_port: Option<&str>) -> String {
    let lower = host.to_ascii_lowercase();
    let after_address = lower.rfind(']').map_or(0, |end| end + 1);
    let (name, port) = match lower[after_address..].rsplit_once(':') {
        // More colons than one are an address of IPv6 and no port.
        Some((rest, port)) if !rest.contains(':') => (&lower[..after_address + rest.len()], Some(port)),
        _ => (lower.as_str(), None),
    };
    let name = name.trim_end_matches('.').trim_matches(['[', ']']);
    match port.filter(|port| !port.is_empty() && Some(*port) != usual_port) {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    }
}

fn usual_port(scheme: &str) -> Option<&'static str> {
    match scheme.to_ascii_lowercase().as_str() {
        "https" => Some("443"),
        "http" => Some("80"),
        "ssh" | "git+ssh" | "ssh+git" => Some("22"),
        "git" => Some("9418"),
        _ => None,
    }
}

/// A path without needless slashes, dots and `.git`.
fn tidy(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let path = parts.join("/");
    let bare = path.strip_suffix(".git").unwrap_or(&path);
    // `shop/.git` is the repository of the folder `shop`.
    bare.trim_end_matches('/').to_owned()
}

/// A path of a URL as it is meant; one that is no UTF-8 then stays as it is written.
fn decoded(path: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(path.len()), path.as_bytes());
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).filter(|_| first == b'%').and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = hex.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{host_of, repository_key};

    #[test]
    fn a_host_is_found_however_the_url_is_written() {
        for (url, host) in [
            ("https://ada:secret@Git.Example:443/p/r.git", Some("git.example")),
            ("http://127.0.0.1:8080/r.git", Some("127.0.0.1:8080")),
            ("git@git.example:p/r.git", Some("git.example")),
            ("git@[git.example:22]:p/r.git", Some("git.example")),
            ("/srv/git.example:p/r.git", None),
            ("file:///srv/r.git", None),
            ("../r.git", None),
        ] {
            assert_eq!(host_of(url).as_deref(), host, "{url}");
        }
    }

    #[test]
    fn spellings_of_one_repository_have_one_key() {
        for spellings in [
            &[
                "/p/r.git",
                "/p/r",
                "/p/r/",
                "/p//r.git/",
                "/p/./r.git",
                "file:///p/r.git",
                "file:///p/r",
                "FILE:///p/%72.git",
            ][..],
            &["/p/r/.git", "/p/r", "file://localhost/p/r"],
            &[
                "https://github.com/acme/shop.git",
                "https://GitHub.com/acme/shop",
                "https://github.com:443/acme/shop.git/",
                "https://ada@github.com/acme/shop.git",
                "https://ada:secret@github.com./acme//shop",
                "http://github.com/acme/shop",
                "ssh://git@github.com/acme/shop.git",
                "ssh://ada@GITHUB.com:22/acme/shop",
                "git+ssh://git@github.com/acme/shop",
                "git://github.com:9418/acme/shop",
                "git@github.com:acme/shop.git",
                "github.com:/acme/shop",
                "[git@github.com:22]:acme/shop",
                "https://github.com/acme/%73hop.git",
            ],
            &["ssh://git@host:2222/r.git", "git@[host:2222]:r", "ssh://HOST:2222/r/"],
            &["ssh://ada@host/~/r.git", "ada@host:~/r", "ssh://host/~ada/r", "grace@host:~ada/r.git"],
            &["ssh://git@[::1]:22/r", "ssh://[::1]/r.git", "git@[::1]:r"],
        ] {
            let keys: std::collections::BTreeSet<String> = spellings.iter().map(|url| repository_key(url)).collect();
            assert_eq!(keys.len(), 1, "{spellings:?}: {keys:?}");
        }
    }

    #[test]
    fn other_repositories_have_other_keys() {
        let others = [
            "/p/r",
            "/p/R",
            "/p/r2",
            "p/r",
            "/q/r.git",
            "/p/x.git/r",
            "https://host/p/r",
            "https://host:8443/p/r",
            "ssh://git@host:2222/p/r",
            "https://host.example/p/r",
            "https://[::1]/p/r",
            "ada@host:~/p/r",
            "grace@host:~/p/r",
            "https://host/p/%2e%2e/r",
            "https://host/p/r%ff",
        ];
        let keys: std::collections::BTreeSet<String> = others.iter().map(|url| repository_key(url)).collect();
        assert_eq!(keys.len(), others.len(), "{keys:?}");
    }
}
