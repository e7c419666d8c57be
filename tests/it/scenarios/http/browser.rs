//! A browser, as far as signing in needs one: it keeps cookies, says that it reads pages, and goes nowhere by itself.

use std::{
    collections::BTreeMap,
    net::{TcpListener, TcpStream},
    time::Instant,
};

use super::{Answer, Caller, DEADLINE};
use crate::scenarios::delivery::Delivery;

pub(super) struct Browser {
    pub(super) caller: Caller,
    pub(super) cookies: BTreeMap<String, String>,
    /// What was said with each cookie, as it was said last.
    pub(super) said: BTreeMap<String, String>,
    /// What it opens pages with, as the page shows it.
    pub(super) page_token: Option<String>,
}

impl Browser {
    pub(super) fn new(host: &str) -> Self {
        let caller = Caller { host: host.to_owned(), headers: Vec::new() };
        Self { caller, cookies: BTreeMap::new(), said: BTreeMap::new(), page_token: None }
    }

    fn asks(&self) -> Caller {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let caller = self.caller.with("Accept", "text/html,*/*;q=0.8").with("User-Agent", "Test/1 <b>");
        if cookies.is_empty() { caller } else { caller.with("Cookie", &cookies.join("; ")) }
    }

    fn keep(&mut self, answer: &Answer) {
        for cookie in &answer.cookies {
            let (name, rest) = cookie.split_once('=').unwrap();
            let (value, said) = rest.split_once(';').unwrap();
            self.said.insert(name.to_owned(), said.to_owned());
            match said.contains("Max-Age=0") {
                true => drop(self.cookies.remove(name)),
                false => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
    }

    pub(super) fn get(&mut self, path: &str) -> Answer {
        let answer = self.asks().get(path);
        self.keep(&answer);
        answer
    }

    /// Sends a form of a page of this server.
    pub(super) fn form(&mut self, path: &str, body: &str) -> Answer {
        let own = format!("http://{}", self.caller.host);
        let caller = self.asks().with("Origin", &own).with("Sec-Fetch-Site", "same-origin");
        let answer = caller.send("POST", path, "application/x-www-form-urlencoded", body);
        self.keep(&answer);
        answer
    }

    /// As a script of a page asks.
    pub(super) fn script(&self) -> Caller {
        let caller = self.asks().with("Origin", &format!("http://{}", self.caller.host));
        caller.with("X-Tidegate-Page", self.page_token.as_deref().unwrap_or("none"))
    }

    /// Begins to sign in: where the issuer is.
    pub(super) fn begin(&mut self, issuer: &str, to: &str) -> String {
        let answer = self.get(&format!("/sign-in/{issuer}?to={}", crate::support::issuer::encoded(to)));
        assert_eq!(answer.status, 303, "{}", answer.text());
        answer.headers["location"].clone()
    }

    /// Reads what its commands are sent with.
    pub(super) fn read_page_token(&mut self) -> String {
        let me = self.asks().told("/api/v1/me");
        let token = me["page_token"].as_str().unwrap_or_else(|| panic!("{me}")).to_owned();
        self.page_token = Some(token.clone());
        token
    }

    /// The session's secret, where there is a session.
    pub(super) fn session(&self) -> Option<&String> {
        self.cookies.iter().find(|(name, _)| !name.ends_with("-signing-in")).map(|(_, value)| value)
    }
}

/// Waits until a server listens that was started again.
pub(super) fn wait_until_it_listens(host: &str) {
    let ends = Instant::now() + DEADLINE;
    while TcpStream::connect(host).is_err() {
        assert!(Instant::now() < ends, "nobody listens at {host}");
        std::thread::yield_now();
    }
}

/// Has the server listen at a free port, and says so as its `url`: issuers send people back there. Its host.
pub(super) fn with_issuers(delivery: &Delivery, issuers: &str) -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    std::fs::write(delivery.root().join("client"), format!("{}\n", crate::support::issuer::CLIENT_SECRET)).unwrap();
    delivery.add_settings(&format!(
        "[server]\nlisten = '{free}'\nurl = 'http://{free}'\ncalls_per_second = 500\n{issuers}"
    ));
    free.to_string()
}
