//! Where a repository's LFS server is, who we are there, and how it is reached: as git reaches the repository, by asking git
//! for its credentials and settings. What is pushed may not lead requests or credentials to another host.

use super::super::environment;
use super::super::mirror::Mirror;
use super::super::process::Git;
use super::super::remote::{Credentials, Remote};
use crate::providers::http_check::is_local;
use crate::providers::{Fault, files};
use reqwest::{Certificate, Client, NoProxy, Proxy, Url};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::{Instant, timeout_at};

/// How long a connection may take to be made.
const CONNECT_DEADLINE: Duration = Duration::from_secs(15);
/// How long a server may send nothing.
const QUIET: Duration = Duration::from_secs(30);
/// As much as git says of its settings and credentials.
const MOST_ANSWER_BYTES: u64 = 1 << 20;

/// A repository's LFS server.
pub(super) struct Endpoint {
    /// Without credentials, without a slash at its end.
    pub(super) url: Url,
    /// The credentials of the repository's URL, when they are for this origin.
    pub(super) credentials: Option<Credentials>,
    pub(super) client: Client,
    asking: Asking,
}

/// What it takes to ask `git` about the remote.
struct Asking {
    git: std::sync::Arc<Git>,
    remote: Remote,
    directory: std::path::PathBuf,
}

impl Endpoint {
    /// The LFS server of a mirror's remote: below its URL, or where its `.lfsconfig` says on the same host.
    pub(super) async fn of(mirror: &Mirror, config: &[u8], deadline: Instant) -> Result<Self, Fault> {
        let git = std::sync::Arc::clone(&mirror.git);
        let remote = git.with_credentials(&mirror.remote).await?;
        let named = setting(config, "lfs.url");
        let url = match &named {
            Some(named) => named_by_tree(named, &remote.url)?,
            None => below(&remote.url)?,
        };
        let same_origin = Url::parse(&remote.url).is_ok_and(|remote| remote.origin() == url.origin());
        let credentials = remote.credentials.clone().filter(|_| same_origin);
        let asking = Asking { git, remote, directory: mirror.directory.clone() };
        let client = asking.client(&url, deadline).await?;
        Ok(Self { url, credentials, client, asking })
    }

    /// What the credential helpers of git say for this server.
    pub(super) async fn ask_credentials(&self, deadline: Instant) -> Option<Credentials> {
        let question = format!("url={}\n\n", self.url);
        let said = self.asking.ask(&["credential", "fill"], question.as_bytes(), deadline).await?;
        let said = String::from_utf8(said).ok()?;
        let value = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        Some(Credentials { username: value("username=")?, password: value("password=")? })
    }
}

/// The endpoint that the tree's `.lfsconfig` names.
fn named_by_tree(named: &str, repository: &str) -> Result<Url, Fault> {
    let refused = |why: &str| {
        Fault::fail(
            format!("`lfs.url` in .lfsconfig is {named}, {why}"),
            "serve LFS at the host of the repository, or write `lfs: pointers`",
        )
    };
    let url = Url::parse(named.trim_end_matches('/')).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let mut url = url.ok_or_else(|| refused("which is not an http or https address"))?;
    let (scheme, host) = host_of(repository).unwrap_or_default();
    if url.host_str() != Some(host.as_str()) {
        return Err(refused(&format!("and its host is not that of the repository, {host}")));
    }
    if url.scheme() == "http" && scheme != "http" {
        return Err(refused("which is not encrypted, as the repository is"));
    }
    // Credentials in a file of the tree are nobody's.
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    cleared.map_err(|()| refused("which is not an address"))?;
    Ok(url)
}

/// The endpoint below a repository's URL (git-lfs, `docs/api/server-discovery.md`).
fn below(repository: &str) -> Result<Url, Fault> {
    let unknown = || {
        Fault::fail(
            format!("nobody knows where the LFS server of {repository} is"),
            "use an http(s) URL, or set `lfs.url` in .lfsconfig",
        )
    };
    let address = match repository.split_once("://") {
        Some(("http" | "https", _)) => repository.to_owned(),
        Some((_, rest)) => {
            let (_, path) = rest.split_once('/').ok_or_else(unknown)?;
            let (_, host) = host_of(repository).ok_or_else(unknown)?;
            format!("https://{host}/{path}")
        }
        None => {
            let (place, path) = repository.split_once(':').ok_or_else(unknown)?;
            let host = place.rsplit('@').next().unwrap_or(place);
            format!("https://{host}/{}", path.trim_start_matches('/'))
        }
    };
    let address = address.trim_end_matches('/').trim_end_matches(".git").to_owned();
    Url::parse(&format!("{address}.git/info/lfs")).map_err(|_| unknown())
}

/// The scheme and host of a repository's URL, without user and port.
fn host_of(repository: &str) -> Option<(String, String)> {
    match repository.split_once("://") {
        Some((scheme, _)) => {
            let host = Url::parse(repository).ok()?.host_str()?.to_owned();
            Some((scheme.to_owned(), host))
        }
        None => {
            let place = repository.split_once(':')?.0;
            Some(("ssh".to_owned(), place.rsplit('@').next().unwrap_or(place).to_owned()))
        }
    }
}

/// The last value of a setting in what `git config --list -z` prints.
fn setting(printed: &[u8], name: &str) -> Option<String> {
    let entries = printed.split(|byte| *byte == 0).rev().filter_map(|entry| std::str::from_utf8(entry).ok());
    let mut pairs = entries.filter_map(|entry| entry.split_once('\n'));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

impl Asking {
    /// A client with git's own settings for this address: certificates and proxies.
    async fn client(&self, url: &Url, deadline: Instant) -> Result<Client, Fault> {
        let address = url.as_str();
        let said = self.ask(&["config", "-z", "--get-urlmatch", "http", address], b"", deadline).await;
        let said = said.unwrap_or_default();
        let variables = environment::variables(&self.remote, &self.git.environment, self.git.silence);
        let variable = |names: &[&str]| names.iter().find_map(|name| variables.get(*name)).cloned();
        let set = |key: &str, names: &[&str]| variable(names).or_else(|| setting(&said, key));
        let mut client = Client::builder().user_agent("tidegate").connect_timeout(CONNECT_DEADLINE).read_timeout(QUIET);
        client = client.no_proxy();
        let names: &[&str] = match url.scheme() {
            "https" => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
            _ => &["http_proxy", "all_proxy", "ALL_PROXY"],
        };
        let proxy = setting(&said, "http.proxy").or_else(|| variable(names)).filter(|proxy| !proxy.is_empty());
        if let Some(proxy) = proxy.filter(|_| !url.host_str().is_some_and(is_local)) {
            let wrong = |_| Fault::fail("git's proxy is not an address", "correct `http.proxy` or `https_proxy`");
            let but = variable(&["no_proxy", "NO_PROXY"]).and_then(|hosts| NoProxy::from_string(&hosts));
            client = client.proxy(Proxy::all(proxy).map_err(wrong)?.no_proxy(but));
        }
        if let Some(path) = set("http.sslcainfo", &["GIT_SSL_CAINFO"]) {
            let unusable = |error: &dyn std::fmt::Display| {
                Fault::fail(format!("the certificates in {path}: {error}"), "correct `http.sslCAInfo`")
            };
            let pem = std::fs::read(&path).map_err(|error| unusable(&error))?;
            for certificate in Certificate::from_pem_bundle(&pem).map_err(|error| unusable(&error))? {
                client = client.add_root_certificate(certificate);
            }
        }
        client.build().map_err(|error| Fault::retry(files::reasons(&error)))
    }

    /// What `git` answers in the environment in which it talks to the remote; `None` when it has no answer.
    async fn ask(&self, arguments: &[&str], question: &[u8], deadline: Instant) -> Option<Vec<u8>> {
        let mut command = Command::new(&self.git.program);
        command.args(arguments).current_dir(&self.directory).env_clear();
        command
            .envs(environment::variables(&self.remote, &self.git.environment, self.git.silence))
            .env("GIT_DIR", &self.directory);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let asked = async {
            let mut child = command.spawn().ok()?;
            let mut stdin = child.stdin.take()?;
            stdin.write_all(question).await.ok()?;
            drop(stdin);
            let mut said = Vec::new();
            child.stdout.take()?.take(MOST_ANSWER_BYTES).read_to_end(&mut said).await.ok()?;
            child.wait().await.ok()?.success().then_some(said)
        };
        timeout_at(deadline, asked).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_below_the_repository() {
        for (repository, expected) in [
            ("https://git.example/acme/shop.git", "https://git.example/acme/shop.git/info/lfs"),
            ("https://git.example:8443/acme/shop/", "https://git.example:8443/acme/shop.git/info/lfs"),
            ("ssh://git@git.example:2222/acme/shop.git", "https://git.example/acme/shop.git/info/lfs"),
            ("git@git.example:acme/shop", "https://git.example/acme/shop.git/info/lfs"),
        ] {
            assert_eq!(below(repository).map(String::from), Ok(expected.to_owned()));
        }
    }

    #[test]
    fn a_tree_leads_to_no_other_host() {
        let named = |url: &str, repository: &str| named_by_tree(url, repository).map(String::from);
        let repository = "https://git.example/acme/shop.git";
        assert_eq!(named("https://git.example:9000/lfs/", repository).as_deref(), Ok("https://git.example:9000/lfs"));
        assert_eq!(named("https://a:b@git.example/lfs", repository).as_deref(), Ok("https://git.example/lfs"));
        assert!(named("https://git.example/lfs", "git@git.example:acme/shop").is_ok());
        for url in
            ["https://evil.example/lfs", "http://git.example/lfs", "file:///srv/lfs", "https://git.example@evil/"]
        {
            assert!(named(url, repository).is_err(), "{url}");
        }
    }
}
