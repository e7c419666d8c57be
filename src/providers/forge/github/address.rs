//! Where a GitHub is: github.com has its API on a host of its own, Enterprise below `/api/v3` of the bare host.

use reqwest::Url;

use crate::providers::{
    Fault,
    forge::{RepositoryAt, values::is_name},
    git::KeyOf,
};

/// The addresses of a GitHub.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// What people type, without a slash at its end: `https://github.com`.
    pub pages: String,
    /// The API, without a slash at its end.
    pub api: String,
    /// Whether it is an Enterprise Server.
    pub is_enterprise: bool,
    /// The host, as git's URLs have it.
    pub host: String,
    /// What a repository is known by, however its URL is written: host and path.
    key: KeyOf,
}

impl Addresses {
    /// Those of the GitHub at this address: `https://github.com`, or that of an Enterprise Server.
    ///
    /// # Errors
    /// [`Fault::Fail`] when it is none.
    pub fn of(url: &str, key: KeyOf) -> Result<Self, Fault> {
        let wrong = || {
            Fault::fail(
                format!("`{url}` is not the address of a GitHub"),
                "write `https://github.com`, or `https://HOST` of an Enterprise Server",
            )
        };
        let parsed = Url::parse(url).map_err(|_| wrong())?;
        let host = parsed.host_str().ok_or_else(wrong)?;
        let is_loopback = matches!(host, "127.0.0.1" | "localhost" | "[::1]");
        let is_plain = parsed.path() == "/" && parsed.query().is_none() && parsed.username().is_empty();
        if !is_plain || (parsed.scheme() != "https" && !(parsed.scheme() == "http" && is_loopback)) {
            return Err(wrong());
        }
        let pages = url.trim_end_matches('/').to_owned();
        let is_enterprise = host != "github.com";
        let api = if is_enterprise { format!("{pages}/api/v3") } else { "https://api.github.com".to_owned() };
        let host = key(&pages).split('/').next().unwrap_or_default().to_owned();
        Ok(Self { pages, api, is_enterprise, host, key })
    }

    /// The repository that a git URL names, where it is at this GitHub.
    #[must_use]
    pub fn repository(&self, url: &str) -> Option<RepositoryAt> {
        let key = (self.key)(url);
        // A server of a machine has git at its port, and ssh at another.
        let (host, path) = key.split_once('/')?;
        let (owner, name) = path.split_once('/')?;
        let is_here = host == self.host || host.split(':').next() == Some(self.host.as_str());
        let is_named = is_here && is_name(owner) && is_name(name);
        is_named.then(|| RepositoryAt { owner: owner.to_owned(), name: name.to_owned() })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::rules::repository_key;

    #[test]
    fn enterprise_has_its_api_below_its_own_address() {
        let dot_com = Addresses::of("https://github.com/", repository_key).unwrap();
        assert_eq!((dot_com.api.as_str(), dot_com.is_enterprise), ("https://api.github.com", false));
        let own = Addresses::of("https://git.acme.example", repository_key).unwrap();
        assert_eq!((own.api.as_str(), own.is_enterprise), ("https://git.acme.example/api/v3", true));
        for wrong in ["github.com", "http://github.com", "https://github.com/acme", "https://x@github.com", ""] {
            assert!(Addresses::of(wrong, repository_key).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_repository_is_known_however_its_url_is_written() {
        let dot_com = Addresses::of("https://github.com", repository_key).unwrap();
        let shop = RepositoryAt { owner: "acme".to_owned(), name: "shop".to_owned() };
        for url in ["https://github.com/acme/shop.git", "git@github.com:acme/shop", "ssh://git@GitHub.com/acme/shop"] {
            assert_eq!(dot_com.repository(url), Some(shop.clone()), "{url}");
        }
        for url in
            ["https://gitlab.com/acme/shop", "https://github.com/acme", "/github.com/acme/shop", "git@github.com:a/b/c"]
        {
            assert_eq!(dot_com.repository(url), None, "{url}");
        }
    }
}
