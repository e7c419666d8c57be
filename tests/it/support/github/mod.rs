//! A GitHub on a real socket, which keeps what it is told: accounts, teams, repositories behind git, an App with its installations
//! and tokens, checks, deployments, statuses, deliveries. Its API is below `/api/v3`, as Enterprise has it. Every request and every
//! answer is held to GitHub's own description; what that does not know fails the test that asked.

mod access;
pub(crate) mod description;
mod manifest;
mod oauth;
mod pages;
mod routes;
mod sent;
mod server;
pub(crate) mod state;

use std::{
    collections::BTreeMap,
    sync::{Arc, MutexGuard},
    time::Duration,
};

use serde_json::{Value, json};

pub(crate) use access::pem;
pub(crate) use server::{Said, Trouble};
use server::{Shared, lock};
use state::{Asker, Installation, Repository, State, Token};

use super::repo::TestRepo;

/// How long a test waits for a request. It takes a moment.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct FakeGitHub {
    shared: Arc<Shared>,
    _folder: tempfile::TempDir,
}

impl FakeGitHub {
    /// An empty one, with an App that nobody has installed. It runs in threads of its own, and needs no runtime of the test.
    pub(crate) async fn start() -> Self {
        Self::begin()
    }

    /// The same, where nothing is async.
    pub(crate) fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { shared: Shared::start(folder.path()), _folder: folder }
    }

    /// What people type: `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        self.shared.url()
    }

    /// All that it holds, to look at and to change.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    /// A person; their number.
    pub(crate) fn user(&self, login: &str) -> u64 {
        self.state().add_account(login, false)
    }

    /// An organization with its teams; its number.
    pub(crate) fn organization(&self, login: &str, teams: &[(&str, &[&str])]) -> u64 {
        let mut state = self.state();
        for (slug, members) in teams {
            for member in *members {
                state.add_account(member, false);
            }
            let members = members.iter().map(|member| (*member).to_owned()).collect();
            state.teams.insert((login.to_owned(), (*slug).to_owned()), members);
        }
        state.add_account(login, true)
    }

    /// A private repository (`acme/shop`) with its bare one behind git; the owner is an organization where there is none yet.
    pub(crate) fn repository(&self, name: &str) -> TestRepo {
        let (owner, short) = name.split_once('/').unwrap();
        self.organization(owner, &[]);
        let mut state = self.state();
        let id = state.number();
        let repository = Repository {
            id,
            owner: owner.to_owned(),
            name: short.to_owned(),
            private: true,
            archived: false,
            roles: BTreeMap::new(),
            check_runs: Vec::new(),
            deployments: Vec::new(),
            deployment_statuses: BTreeMap::new(),
            statuses: BTreeMap::new(),
            rules: BTreeMap::new(),
            activity: Vec::new(),
        };
        state.repositories.insert(id, repository);
        TestRepo::empty(self.shared.git_folder(id))
    }

    /// The git URL of a repository.
    pub(crate) fn git_url(&self, name: &str) -> String {
        format!("{}/{name}.git", self.url())
    }

    /// Gives a repository another name, or another owner. Who asks for the old one is sent to its number.
    pub(crate) fn rename(&self, name: &str, to: &str) {
        let (owner, short) = to.split_once('/').unwrap();
        self.organization(owner, &[]);
        let mut state = self.state();
        let repository = state.repository(name);
        (repository.owner, repository.name) = (owner.to_owned(), short.to_owned());
        let id = repository.id;
        state.moved.insert(name.to_lowercase(), id);
    }

    /// What a person may do with a repository: `admin`, `write`, `read`.
    pub(crate) fn grant(&self, name: &str, login: &str, role: &str) {
        self.user(login);
        self.state().repository(name).roles.insert(login.to_owned(), role.to_owned());
    }

    /// The App's number. Its key is [`pem`].
    pub(crate) fn app_id(&self) -> u64 {
        self.state().app.id
    }

    /// Installs the App at an owner, for all repositories and with all that it asks for; the installation's number.
    pub(crate) fn install(&self, owner: &str) -> u64 {
        let mut state = self.state();
        let (id, permissions) = (state.number(), state.app.permissions.clone());
        let installation =
            Installation { id, owner: owner.to_owned(), suspended: false, permissions, repositories: None };
        state.installations.insert(id, installation);
        id
    }

    /// A token of a person, for a year.
    pub(crate) fn token(&self, login: &str) -> String {
        self.user(login);
        let mut state = self.state();
        let text = format!("ghp_{}", state.number());
        let ends = state.now() + chrono::TimeDelta::days(365);
        state.tokens.insert(text.clone(), Token { of: Asker::Person(login.to_owned()), ends });
        text
    }

    /// A push, as the repository's activity tells of it.
    pub(crate) fn pushed(&self, name: &str, branch: &str, by: &str, before: &str, after: &str) {
        let user = self.state().simple_user(by, &self.url());
        let mut state = self.state();
        let (id, at) = (state.number(), state.now_text());
        state.repository(name).activity.push(json!({
            "id": id, "node_id": format!("P_{id}"), "before": before, "after": after, "ref": format!("refs/heads/{branch}"),
            "timestamp": at, "activity_type": "push", "actor": user,
        }));
    }

    /// Moves its clock.
    pub(crate) fn move_clock(&self, seconds: i64) {
        self.state().ahead_s += seconds;
    }

    /// Keeps what it holds at this moment, for [`Trouble::Old`].
    pub(crate) fn remember(&self) {
        let now = self.state().clone();
        *lock(&self.shared.old) = Some(now);
    }

    /// What goes wrong with the next requests of a route, so many. A route is `POST /repos/{owner}/{repo}/check-runs`, as the
    /// description writes it; `GET *` is every GET, `*` every one.
    pub(crate) fn trouble(&self, route: &str, trouble: Trouble, times: usize) {
        lock(&self.shared.troubles).push((route.to_owned(), trouble, times));
    }

    /// Nothing goes wrong any more.
    pub(crate) fn no_trouble(&self) {
        lock(&self.shared.troubles).clear();
    }

    /// All requests of the API until now.
    pub(crate) fn requests(&self) -> Vec<Said> {
        lock(&self.shared.said).clone()
    }

    /// How many requests until now begin so: `POST /repos/acme/shop/check-runs`.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.requests().iter().filter(|said| said.line().starts_with(what)).count()
    }

    /// Waits until so many requests began so.
    pub(crate) fn wait_for(&self, what: &str, count: usize) {
        let too_few = |said: &mut Vec<Said>| said.iter().filter(|it| it.line().starts_with(what)).count() < count;
        let said = lock(&self.shared.said);
        let (said, waited) = self.shared.changed.wait_timeout_while(said, DEADLINE, too_few).unwrap();
        assert!(!waited.timed_out(), "waited in vain for {count} of {what}; there are {said:#?}");
    }

    /// The most writes that were under way at once.
    pub(crate) fn most_writes_at_once(&self) -> usize {
        self.shared.writes.most()
    }

    /// Where deliveries go, and what signs them.
    pub(crate) fn webhook(&self, url: &str, secret: &str) {
        self.state().app.webhook = Some((url.to_owned(), secret.to_owned()));
    }

    /// Delivers an event, once. The answer's status; none where nobody answered. It is on the list of deliveries either way.
    pub(crate) fn deliver(&self, event: &str, payload: &Value) -> Option<u16> {
        let guid = format!("0b989ba4-242f-11e5-81e1-{:012}", self.state().number());
        sent::deliver(&self.shared, &guid, event, payload, false)
    }

    /// An event that happened while nobody could be reached: it is on the list of deliveries with this answer (0 for none), and was
    /// not sent. Its GUID.
    pub(crate) fn lost(&self, event: &str, payload: &Value, status: u16) -> String {
        let guid = format!("0b989ba4-242f-11e5-81e1-{:012}", self.state().number());
        sent::note(&self.shared, &guid, event, payload, false, status);
        guid
    }
}

impl FakeGitHub {
    /// Somebody signs in with the browser: what its pages are asked for, they ask for.
    pub(crate) fn sits_at_the_browser(&self, login: &str) {
        self.user(login);
        self.state().browser = login.to_owned();
    }
}

impl Drop for FakeGitHub {
    fn drop(&mut self) {
        self.shared.stop();
        let mut wrong = lock(&self.shared.wrong).clone();
        wrong.extend(lock(&self.shared.state).wrong_manifests.clone());
        if !std::thread::panicking() {
            assert!(wrong.is_empty(), "GitHub's description does not know this: {wrong:#?}");
        }
    }
}
