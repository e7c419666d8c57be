//! What a repository's URL says: where it is, with which credentials, and under which name it is mirrored.

use std::path::PathBuf;

/// A parsed URL. The credentials are kept apart, so that everything else can be shown.
#[derive(Clone)]
pub(super) struct Remote {
    /// The URL without credentials: safe to show and to pass as an argument.
    pub(super) url: String,
    /// The name and password that an http(s) URL carried.
    pub(super) credentials: Option<Credentials>,
    /// The directory, when the remote is on this machine.
    pub(super) directory: Option<PathBuf>,
}

/// A user name and a password or token; has no `Debug`, so that it cannot be printed.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) username: String,
    pub(super) password: String,
}

impl Remote {
    pub(super) fn parse(url: &str) -> Self {
        let Some((scheme, rest)) = url.split_once("://") else {
            let local = !is_scp_like(url);
            return Self { url: url.to_owned(), credentials: None, directory: local.then(|| PathBuf::from(url)) };
        };
        if scheme == "file" {
            let directory = rest.strip_prefix("localhost").unwrap_or(rest);
            return Self { url: url.to_owned(), credentials: None, directory: Some(PathBuf::from(directory)) };
        }
        let authority_length = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_length);
        let Some((user_info, host)) = authority.rsplit_once('@') else {
            return Self { url: url.to_owned(), credentials: None, directory: None };
        };
        let (username, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        if scheme == "ssh" || scheme == "git+ssh" {
            let url = format!("{scheme}://{username}@{host}{path}");
            return Self { url, credentials: None, directory: None };
        }
        let credentials = Credentials { username: percent_decode(username), password: percent_decode(password) };
        Self { url: format!("{scheme}://{host}{path}"), credentials: Some(credentials), directory: None }
    }

    /// The scheme and host, which the credentials are for.
    pub(super) fn origin(&self) -> &str {
        let host = self.url.find("://").map_or(0, |at| at + 3);
        let length = self.url[host..].find('/').map_or(self.url.len(), |at| host + at);
        &self.url[..length]
    }
}

/// The last part of a path or key without `.git`, made of characters that are safe in a file name.
pub(super) fn short_name(key: &str) -> String {
    let last = key.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
    let safe = |each: char| if each.is_ascii_alphanumeric() || each == '-' { each } else { '_' };
    last.trim_end_matches(".git").chars().take(40).map(safe).collect()
}

/// `text` with what may be credentials in URLs replaced.
pub(super) fn redact(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let authority = &after[..after.find(|each: char| each == '/' || each.is_whitespace()).unwrap_or(after.len())];
        rest = after;
        if let Some(at) = authority.rfind('@') {
            clean.push_str("***");
            rest = &after[at..];
        }
    }
    clean + rest
}

/// `host:path` with no slash before the colon, as git tells it from a path.
fn is_scp_like(url: &str) -> bool {
    url.find(':').is_some_and(|colon| !url[..colon].contains('/'))
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).filter(|_| first == b'%').and_then(|pair| std::str::from_utf8(pair).ok());
        match hex.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_kept_apart_from_what_is_shown() {
        let remote = Remote::parse("https://bot:p%40ss@git.example:8443/acme/shop.git");
        assert_eq!(remote.url, "https://git.example:8443/acme/shop.git");
        assert_eq!(remote.origin(), "https://git.example:8443");
        assert_eq!(short_name(&remote.url), "shop");
        let Some(Credentials { username, password }) = remote.credentials else { panic!("credentials expected") };
        assert_eq!((username.as_str(), password.as_str()), ("bot", "p@ss"));
    }

    #[test]
    fn local_paths_are_told_from_hosts() {
        for local in ["/srv/shop.git", "./shop.git", "../a:b/shop", "file:///srv/shop.git"] {
            assert!(Remote::parse(local).directory.is_some(), "{local}");
        }
        for distant in ["git@host:shop.git", "ssh://git@host/shop.git", "https://host/shop.git"] {
            assert!(Remote::parse(distant).directory.is_none(), "{distant}");
        }
    }

    #[test]
    fn what_git_prints_is_cleaned() {
        let text = "fatal: unable to access 'https://bot:secret@host/x.git/': no route; see https://host/y";
        assert_eq!(redact(text), "fatal: unable to access 'https://***@host/x.git/': no route; see https://host/y");
    }
}
