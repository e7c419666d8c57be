//! What a GitHub holds.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{manifest::Manifest, oauth::SigningIn};

/// All of it. A test may change anything.
#[derive(Clone)]
pub(crate) struct State {
    /// The next number that is given out.
    next: u64,
    /// How far its clock is ahead of this machine's, in seconds.
    pub(crate) ahead_s: i64,
    /// Login → account.
    pub(crate) accounts: BTreeMap<String, Account>,
    /// Organization and slug → logins.
    pub(crate) teams: BTreeMap<(String, String), Vec<String>>,
    pub(crate) repositories: BTreeMap<u64, Repository>,
    /// `owner/name` as it was once → number of the repository.
    pub(crate) moved: BTreeMap<String, u64>,
    pub(crate) app: App,
    pub(crate) installations: BTreeMap<u64, Installation>,
    /// Token → what it is of.
    pub(crate) tokens: BTreeMap<String, Token>,
    pub(crate) deliveries: Vec<Delivery>,
    /// The most of a page, where a test wants pages to be short.
    pub(crate) longest_page: usize,
    /// What is left of an hour's quota, if that is bounded here.
    pub(crate) quota: u64,
    /// The most statuses of a commit and context.
    pub(crate) most_statuses: usize,
    /// Who sits at the browser.
    pub(crate) browser: String,
    /// By draft or code.
    pub(crate) manifests: BTreeMap<String, Manifest>,
    pub(crate) wrong_manifests: Vec<String>,
    /// By code.
    pub(crate) signing_in: BTreeMap<String, SigningIn>,
}

#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) id: u64,
    pub(crate) login: String,
    pub(crate) is_organization: bool,
}

#[derive(Clone)]
pub(crate) struct Repository {
    pub(crate) id: u64,
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) private: bool,
    pub(crate) archived: bool,
    /// Login → `admin`, `write`, `read`.
    pub(crate) roles: BTreeMap<String, String>,
    pub(crate) check_runs: Vec<Value>,
    pub(crate) deployments: Vec<Value>,
    /// Deployment → its statuses, oldest first.
    pub(crate) deployment_statuses: BTreeMap<u64, Vec<Value>>,
    /// Commit → its statuses, oldest first.
    pub(crate) statuses: BTreeMap<String, Vec<Value>>,
    /// Branch → rules.
    pub(crate) rules: BTreeMap<String, Vec<Value>>,
    /// Newest last.
    pub(crate) activity: Vec<Value>,
}

#[derive(Clone)]
pub(crate) struct App {
    pub(crate) id: u64,
    pub(crate) slug: String,
    pub(crate) owner: String,
    /// Name → `read` or `write`.
    pub(crate) permissions: BTreeMap<String, String>,
    pub(crate) events: Vec<String>,
    /// Where deliveries go, if they go anywhere, and with which secret.
    pub(crate) webhook: Option<(String, String)>,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) callback_urls: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Installation {
    pub(crate) id: u64,
    pub(crate) owner: String,
    pub(crate) suspended: bool,
    /// What has been granted: what the App asked for when somebody agreed last.
    pub(crate) permissions: BTreeMap<String, String>,
    /// `owner/name` of those that it may see; none for all.
    pub(crate) repositories: Option<Vec<String>>,
}

#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) of: Asker,
    pub(crate) ends: DateTime<Utc>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    Nobody,
    App,
    Installation(u64),
    Person(String),
}

#[derive(Clone)]
pub(crate) struct Delivery {
    /// As it is listed.
    pub(crate) item: Value,
    pub(crate) payload: Value,
}

pub(crate) const ALL_PERMISSIONS: [(&str, &str); 11] = [
    ("actions", "write"),
    ("administration", "read"),
    ("checks", "write"),
    ("contents", "write"),
    ("deployments", "write"),
    ("issues", "write"),
    ("members", "read"),
    ("metadata", "read"),
    ("pull_requests", "write"),
    ("statuses", "write"),
    ("workflows", "write"),
];

impl State {
    pub(super) fn new() -> Self {
        let permissions = |(name, level): &(&str, &str)| ((*name).to_owned(), (*level).to_owned());
        let app = App {
            id: 7_001,
            slug: "tidegate-of-acme".to_owned(),
            owner: "acme".to_owned(),
            permissions: ALL_PERMISSIONS.iter().map(permissions).collect(),
            events: ["push", "check_run", "pull_request"].map(str::to_owned).to_vec(),
            webhook: None,
            client_id: "Iv1.8a61f9b3a7aba766".to_owned(),
            client_secret: "1726be1638095a19edd134c77bde3aa2ece1e5d8".to_owned(),
            callback_urls: Vec::new(),
        };
        Self {
            next: 10_000,
            ahead_s: 0,
            accounts: BTreeMap::new(),
            teams: BTreeMap::new(),
            repositories: BTreeMap::new(),
            moved: BTreeMap::new(),
            app,
            installations: BTreeMap::new(),
            tokens: BTreeMap::new(),
            deliveries: Vec::new(),
            longest_page: 100,
            quota: 5_000,
            most_statuses: 1_000,
            browser: "ada".to_owned(),
            manifests: BTreeMap::new(),
            wrong_manifests: Vec::new(),
            signing_in: BTreeMap::new(),
        }
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::seconds(self.ahead_s)
    }

    pub(crate) fn now_text(&self) -> String {
        self.now().to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    /// The account of a login, however it is written.
    pub(crate) fn account(&self, login: &str) -> Option<&Account> {
        self.accounts.values().find(|account| account.login.eq_ignore_ascii_case(login))
    }

    pub(crate) fn add_account(&mut self, login: &str, is_organization: bool) -> u64 {
        if let Some(account) = self.account(login) {
            return account.id;
        }
        let id = self.number();
        self.accounts.insert(login.to_owned(), Account { id, login: login.to_owned(), is_organization });
        id
    }

    /// The repository that is called so now.
    pub(crate) fn called(&self, owner: &str, name: &str) -> Option<&Repository> {
        let is_it = |it: &&Repository| it.owner.eq_ignore_ascii_case(owner) && it.name.eq_ignore_ascii_case(name);
        self.repositories.values().find(is_it)
    }

    /// The repository of this name (`acme/shop`), to change it.
    pub(crate) fn repository(&mut self, name: &str) -> &mut Repository {
        let (owner, short) = name.split_once('/').unwrap();
        let id = self.called(owner, short).unwrap_or_else(|| panic!("there is no {name}")).id;
        self.repositories.get_mut(&id).unwrap()
    }

    pub(crate) fn installation_of(&mut self, owner: &str) -> &mut Installation {
        self.installations.values_mut().find(|it| it.owner.eq_ignore_ascii_case(owner)).unwrap()
    }

    /// What of an account stands in answers.
    pub(crate) fn simple_user(&self, login: &str, pages: &str) -> Value {
        let account = self.account(login).unwrap_or_else(|| panic!("there is nobody called {login}"));
        let api = format!("{pages}/api/v3/users/{}", account.login);
        let of = |rest: &str| format!("{api}/{rest}");
        json!({
            "login": account.login, "id": account.id, "node_id": format!("U_{}", account.id),
            "avatar_url": format!("{pages}/avatars/{}", account.id), "gravatar_id": "", "url": api,
            "html_url": format!("{pages}/{}", account.login), "followers_url": of("followers"),
            "following_url": of("following{/other_user}"), "gists_url": of("gists{/gist_id}"),
            "starred_url": of("starred{/owner}{/repo}"), "subscriptions_url": of("subscriptions"),
            "organizations_url": of("orgs"), "repos_url": of("repos"), "events_url": of("events{/privacy}"),
            "received_events_url": of("received_events"),
            "type": if account.is_organization { "Organization" } else { "User" }, "site_admin": false,
        })
    }
}

impl Repository {
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }
}

impl Installation {
    pub(crate) fn sees(&self, repository: &Repository) -> bool {
        let is_chosen = |names: &Vec<String>| names.contains(&repository.full_name());
        self.owner.eq_ignore_ascii_case(&repository.owner) && self.repositories.as_ref().is_none_or(is_chosen)
    }
}
