//! The server over HTTP: the real program on a real socket with a real store, asked by a client that says what it is told to.

mod account;
mod bad_calls;
mod browser;
mod changes;
mod chromium;
mod connect;
mod far_behind;
mod github_sign_in;
mod hooks;
mod issuers;
mod once;
mod permitted;
mod provider;
mod resources;
mod same;
mod schemathesis;
mod sign_in;
mod tls;

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

use super::delivery::Delivery;

/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// Who may do what: Grace all, and nobody else anything.
const GRANTS: &str = "[[grants]]\nrole = 'admin'\nto = ['grace', 'tester']\n";

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    /// What is to be kept, each as it is said.
    cookies: Vec<String>,
    body: Vec<u8>,
}

impl Answer {
    fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        // A server that cuts a connection off resets it; what it said before counts.
        let _ = stream.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let headers: Vec<_> = lines.filter_map(header).collect();
        let cookies = headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, value)| value.clone()).collect();
        let headers: BTreeMap<_, _> = headers.into_iter().collect();
        let body = bytes[end + 4..].to_vec();
        assert!(!headers.contains_key("transfer-encoding"), "documents have a length: {headers:?}");
        Some(Self { status, headers, cookies, body })
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// Who asks a server, and how.
#[derive(Debug, Clone, Default)]
struct Caller {
    /// Without its scheme.
    host: String,
    headers: Vec<(String, String)>,
}

impl Caller {
    fn with(&self, name: &str, value: &str) -> Self {
        let mut caller = self.clone();
        caller.headers.push((name.to_owned(), value.to_owned()));
        caller
    }

    fn with_token(&self, token: &str) -> Self {
        self.with("Authorization", &format!("Bearer {token}"))
    }

    fn head(&self, method: &str, path: &str, length: Option<usize>) -> String {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.host);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(length) = length {
            head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"));
        }
        head + "\r\n"
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// Sends these bytes; what is answered, if anything is.
    fn raw(&self, bytes: &[u8]) -> Option<Answer> {
        let mut stream = self.connect();
        // A server may have heard enough before all is sent.
        let _ = stream.write_all(bytes);
        Answer::read(&mut stream)
    }

    fn call(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let text = self.head(method, path, body.map(str::len)) + body.unwrap_or_default();
        let mut stream = self.connect();
        stream.write_all(text.as_bytes()).unwrap();
        Answer::read(&mut stream).unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    /// Sends something that is no JSON.
    fn send(&self, method: &str, path: &str, kind: &str, body: &str) -> Answer {
        let head = self.head(method, path, Some(body.len())).replace("application/json", kind);
        self.raw(format!("{head}{body}").as_bytes()).unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None)
    }

    /// Asks a question that is answered.
    fn told(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    fn post(&self, path: &str, body: &str) -> Answer {
        self.call("POST", path, Some(body))
    }
}

/// A caller of the server that runs, who is nobody yet. Takes the link that it prints.
fn caller(delivery: &Delivery) -> Caller {
    let link = delivery.link();
    let (host, _) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
    Caller { host: host.to_owned(), headers: Vec::new() }
}

/// Where a server listens, as its log says.
fn address(log: &str) -> String {
    let (_, after) = log.split_once("address=").unwrap_or_else(|| panic!("{log}"));
    after.chars().take_while(|it| it.is_ascii_digit() || ".:".contains(*it)).collect()
}

/// A new token.
fn token(delivery: &Delivery, name: &str, role: &str, systems: &[&str]) -> String {
    let mut arguments = vec!["-o", "json", "token", "create", "--name", name, "--role", role];
    arguments.extend(systems.iter().flat_map(|system| ["--system", system]));
    let made: Value = serde_json::from_str(&delivery.granted(&arguments)).unwrap();
    made["token"].as_str().unwrap().to_owned()
}

/// The place of a system's last event.
fn last(delivery: &Delivery, system: &str) -> u64 {
    delivery.wait_in(system, "the end of the log", |state| Some(state.seq))
}
