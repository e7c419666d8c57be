//! How an App is made: a form with a manifest, which somebody sends to GitHub from their browser, and the code with which they come
//! back. Documented at <https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest>.

use std::{collections::BTreeMap, net::IpAddr};

use reqwest::{Method, Url};
use serde::{Deserialize, Serialize};

use super::{
    Addresses,
    pages::{Asking, Unanswered},
    permissions::{WANTED, events},
};
use crate::providers::{Secret, forge::values::is_name};

/// How long the name of an App may be at GitHub, in characters.
const LONGEST_NAME: usize = 34;
/// GitHub demands an address for deliveries also where there are none.
const NOWHERE: &str = "https://example.com/webhooks/github";
/// How long a code is, at most, in bytes.
const LONGEST_CODE: usize = 200;
/// How long a key or secret may be, in bytes.
const LONGEST_SECRET: usize = 16 * 1_024;

/// An App that is to be made, as the form says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// Its name, which nobody else's App has; whoever makes it may choose another at GitHub.
    pub name: String,
    /// What is said of it.
    pub description: &'static str,
    /// Where people read about it.
    pub url: String,
    /// Where it is told of events.
    pub hook_attributes: Hook,
    /// Where the browser comes back to, with the code.
    pub redirect_url: String,
    /// Where people come back to who sign in with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub callback_urls: Vec<String>,
    /// Whether others may install it.
    pub public: bool,
    /// What it may do.
    pub default_permissions: BTreeMap<&'static str, &'static str>,
    /// What it is told of.
    pub default_events: Vec<&'static str>,
}

/// Where an App is told of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hook {
    /// The address.
    pub url: String,
    /// Whether it is told at all.
    pub active: bool,
}

/// The places of a server to which GitHub sends people and deliveries.
#[derive(Debug, Clone, Copy)]
pub struct Ours<'url> {
    /// The server to which the browser comes back that makes the App, without a slash at its end.
    pub here: &'url str,
    /// Where there, below that.
    pub connected: &'url str,
    /// The server that GitHub tells what happens, and people sign in at. Mostly it is the same.
    pub url: &'url str,
    /// Where people come back to who sign in; none where nobody will.
    pub sign_in: Option<&'url str>,
    /// Where deliveries go.
    pub webhooks: &'url str,
}

/// An App that GitHub has made. Its secrets are told this once.
#[derive(Debug, Clone)]
pub struct NewApp {
    /// Its number.
    pub id: u64,
    /// Its name in addresses.
    pub slug: String,
    /// Its page.
    pub page: String,
    /// Its private key, in PEM.
    pub key: Secret,
    /// What signs deliveries; none where GitHub made none.
    pub webhook_secret: Option<Secret>,
    /// What it is called where people sign in with it.
    pub client_id: String,
    /// Its secret there.
    pub client_secret: Secret,
}

impl Manifest {
    /// The App of a server, for an organization or for whoever makes it.
    #[must_use]
    pub fn of(addresses: &Addresses, ours: Ours<'_>, organization: Option<&str>, mark: &str) -> Self {
        let Ours { here, connected, url, sign_in, webhooks } = ours;
        let is_told = reaches(addresses, url);
        let name = format!("Tidegate {}", organization.unwrap_or(mark));
        Self {
            name: name.chars().take(LONGEST_NAME).collect(),
            description: "Carries changes forward along repositories and stages, and shows here what becomes of each.",
            url: if is_told { url.to_owned() } else { addresses.pages.clone() },
            hook_attributes: Hook {
                url: if is_told { format!("{url}{webhooks}") } else { NOWHERE.to_owned() },
                active: is_told,
            },
            redirect_url: format!("{here}{connected}"),
            callback_urls: sign_in.map(|back| format!("{url}{back}")).into_iter().collect(),
            public: false,
            default_permissions: WANTED.iter().map(|wanted| (wanted.name, wanted.level.name())).collect(),
            default_events: events().collect(),
        }
    }
}

/// Where the form of a new App is sent to, without its state.
#[must_use]
pub fn form_address(addresses: &Addresses, organization: Option<&str>) -> String {
    format!("{}/new", apps_address(addresses, organization))
}

/// Where the Apps of an organization or of one's own are listed.
#[must_use]
pub fn apps_address(addresses: &Addresses, organization: Option<&str>) -> String {
    let pages = &addresses.pages;
    match organization {
        Some(organization) => format!("{pages}/organizations/{organization}/settings/apps"),
        None => format!("{pages}/settings/apps"),
    }
}

/// Whether something can be the name of an organization.
#[must_use]
pub fn is_organization(name: &str) -> bool {
    is_name(name) && name.len() <= 39
}

/// Whether GitHub can deliver to a server at this address, as far as the address tells: github.com not to networks of one's own.
fn reaches(addresses: &Addresses, url: &str) -> bool {
    let Some(url) = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https")) else { return false };
    let Some(host) = url.host_str() else { return false };
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => {
            let is_own = address.is_private() || address.is_link_local();
            !address.is_loopback() && !address.is_unspecified() && (addresses.is_enterprise || !is_own)
        }
        Ok(IpAddr::V6(address)) => {
            let is_own = address.is_unique_local() || address.is_unicast_link_local();
            !address.is_loopback() && !address.is_unspecified() && (addresses.is_enterprise || !is_own)
        }
        Err(_) => {
            host != "localhost" && !host.ends_with(".localhost") && (addresses.is_enterprise || host.contains('.'))
        }
    }
}

/// Takes the App for a code, which is good once and for an hour.
///
/// # Errors
/// [`Unanswered`]. After [`Unanswered::Down`] the code may be good still, or be spent: whoever tries again learns which.
pub async fn take_app(addresses: &Addresses, code: &str) -> Result<NewApp, Unanswered> {
    let is_plain = (1..=LONGEST_CODE).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !is_plain {
        return Err(Unanswered::Refused(0, "this is no code of GitHub's".to_owned()));
    }
    let asking = Asking::of(addresses)?;
    let url = format!("{}/app-manifests/{code}/conversions", addresses.api);
    let made: Made = asking.answer(asking.api(Method::POST, &url)).await?;
    made.app(addresses).ok_or_else(|| Unanswered::Down(format!("{} answers what is no App", addresses.host)))
}

/// An App as GitHub tells it.
#[derive(Deserialize)]
struct Made {
    id: u64,
    slug: String,
    html_url: String,
    pem: String,
    webhook_secret: Option<String>,
    client_id: String,
    client_secret: String,
}

impl Made {
    fn app(self, addresses: &Addresses) -> Option<NewApp> {
        let Self { id, slug, html_url, pem, webhook_secret, client_id, client_secret } = self;
        let is_line =
            |text: &str| (1..=LONGEST_SECRET).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_key = pem.len() <= LONGEST_SECRET
            && pem.starts_with("-----BEGIN ")
            && pem.contains("PRIVATE KEY-----")
            && pem.trim_end().ends_with("-----");
        // A link that leads elsewhere would be followed.
        let is_here = html_url.strip_prefix(&addresses.pages).is_some_and(|path| path.starts_with('/'));
        let is_whole = is_key
            && is_name(&slug)
            && is_here
            && is_line(&html_url)
            && [&client_id, &client_secret].into_iter().all(|text| is_line(text))
            && webhook_secret.as_deref().is_none_or(is_line);
        is_whole.then(|| NewApp {
            id,
            slug,
            page: html_url,
            key: Secret::new(pem),
            webhook_secret: webhook_secret.map(Secret::new),
            client_id,
            client_secret: Secret::new(client_secret),
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::rules::repository_key;

    fn at(url: &str) -> Addresses {
        Addresses::of(url, repository_key).unwrap()
    }

    #[test]
    fn deliveries_are_for_servers_that_github_reaches() {
        let (dot_com, own) = (at("https://github.com"), at("https://git.acme.example"));
        for url in ["https://tide.example.com", "https://203.0.113.7", "http://tide.example.com:8080"] {
            assert!(reaches(&dot_com, url) && reaches(&own, url), "{url}");
        }
        for url in ["https://10.1.2.3", "https://tide", "https://[fd00::7]", "https://192.168.0.7:8443"] {
            assert!(!reaches(&dot_com, url) && reaches(&own, url), "{url}");
        }
        for url in ["http://127.93.14.201:4711", "http://localhost:80", "http://[::1]:80", "http://0.0.0.0", "tide"] {
            assert!(!reaches(&dot_com, url) && !reaches(&own, url), "{url}");
        }
        let ours = Ours {
            here: "http://127.0.0.1:80",
            url: "http://127.0.0.1:80",
            connected: "/c",
            sign_in: None,
            webhooks: "/w",
        };
        let silent = Manifest::of(&dot_com, ours, None, "x");
        assert!(!silent.hook_attributes.active && silent.hook_attributes.url == NOWHERE);
        let told = Manifest::of(&dot_com, Ours { url: "https://tide.example", ..ours }, Some(&"a".repeat(60)), "x");
        assert!(told.hook_attributes.active && told.hook_attributes.url == "https://tide.example/w");
        assert_eq!(told.name.len(), LONGEST_NAME);
    }

    #[test]
    fn what_is_no_app_of_this_github_is_not_taken() {
        let good = serde_json::json!({
            "id": 7, "slug": "tidegate-acme", "html_url": "https://github.com/apps/tidegate-acme",
            "pem": "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\n", "webhook_secret": null,
            "client_id": "Iv1.8a", "client_secret": "17",
        });
        let taken = |member: &str, value: serde_json::Value| {
            let mut made = good.clone();
            made[member] = value;
            serde_json::from_value::<Made>(made).ok().and_then(|made| made.app(&at("https://github.com")))
        };
        assert!(taken("id", 8.into()).is_some());
        for (member, bad) in [
            ("slug", "../x"),
            ("html_url", "https://evil.example/apps/x"),
            ("html_url", "https://github.com.evil.example/apps/x"),
            ("html_url", "javascript:alert(1)"),
            ("pem", ""),
            ("pem", "<html>"),
            ("client_id", "a\nb"),
            ("client_secret", ""),
            ("webhook_secret", "a b"),
        ] {
            assert!(taken(member, bad.into()).is_none(), "{member}: {bad}");
        }
        assert!(taken("id", "7".into()).is_none());
    }
}
