//! Takes requests, does what is to go wrong, and holds what is said to the description.

use std::{
    io::{BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::Utc;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    super::http::{Answer, Request, git_backend, head, read_request, respond, run_git_backend},
    access::asker,
    description::{Description, enterprise},
    pages,
    routes::{self, Call, Reply},
    sent,
    state::{Asker, State},
};

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// Nothing: what comes after it on the list is for later requests.
    None,
    /// It is answered so, and has no effect.
    Say { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// The connection ends before it had an effect.
    CloseBefore,
    /// It has its effect, and the connection ends.
    CloseAfter,
    /// It has its effect, and half of the answer comes.
    Half,
    /// It is never answered.
    Silence,
    /// It has its effect, and is never answered.
    SilenceAfter,
    /// It is answered with what was true when the test said `remember`.
    Old,
}

/// A request of the API.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) method: String,
    /// Below the API's address, with the query.
    pub(crate) path: String,
    pub(crate) body: Value,
    /// The status that it was answered with; 0 where it was not.
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
}

pub(super) struct Shared {
    address: SocketAddr,
    root: PathBuf,
    backend: PathBuf,
    description: &'static Description,
    pub(super) state: Mutex<State>,
    pub(super) old: Mutex<Option<State>>,
    pub(super) troubles: Mutex<Vec<(String, Trouble, usize)>>,
    pub(super) said: Mutex<Vec<Said>>,
    pub(super) changed: Condvar,
    pub(super) wrong: Mutex<Vec<String>>,
    pub(super) writes: Writes,
    hung: Mutex<Vec<TcpStream>>,
    stopped: AtomicBool,
}

/// How many writes are under way.
#[derive(Default)]
pub(super) struct Writes {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Trouble {
    /// GitHub's own words for what it refuses.
    pub(crate) fn refuse(status: u16, message: &str) -> Self {
        let body = json!({ "message": message, "documentation_url": "https://docs.github.com/rest" });
        Self::Say { status, headers: vec![("Content-Type", "application/json".to_owned())], body: body.to_string() }
    }

    /// The same with a header.
    pub(crate) fn with(self, name: &'static str, value: &str) -> Self {
        match self {
            Self::Say { status, mut headers, body } => {
                headers.push((name, value.to_owned()));
                Self::Say { status, headers, body }
            }
            other => other,
        }
    }

    /// The page that stands before GitHub when it is not well.
    pub(crate) fn page(status: u16) -> Self {
        let body = "<!DOCTYPE html><html><body><h1>Unicorn!</h1></body></html>".to_owned();
        Self::Say { status, headers: vec![("Content-Type", "text/html".to_owned())], body }
    }
}

impl Said {
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The request as it came, without its headers.
    pub(crate) fn request(&self) -> Request {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let body = if self.body.is_null() { Vec::new() } else { self.body.to_string().into_bytes() };
        Request {
            method: self.method.clone(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            body,
        }
    }
}

impl Shared {
    pub(super) fn start(root: &Path) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            root: root.to_owned(),
            backend: git_backend(),
            description: enterprise(),
            state: Mutex::new(State::new()),
            old: Mutex::default(),
            troubles: Mutex::default(),
            said: Mutex::default(),
            changed: Condvar::new(),
            wrong: Mutex::default(),
            writes: Writes::default(),
            hung: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let server = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if server.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let server = Arc::clone(&server);
                std::thread::spawn(move || server.serve(stream));
            }
        });
        shared
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the bare repository of a number is.
    pub(super) fn git_folder(&self, id: u64) -> PathBuf {
        self.root.join(format!("{id}.git"))
    }

    fn serve(self: &Arc<Self>, stream: TcpStream) {
        let mut connection = BufReader::new(stream);
        while let Some(request) = read_request(&mut connection) {
            let goes_on = match request.path.strip_prefix("/api/v3") {
                Some(path) => {
                    let path = self.by_name(path);
                    self.serve_api(&request, &path, &mut connection)
                }
                None => {
                    let page = pages::answer(&mut lock(&self.state), self.description, &request);
                    respond(&mut connection, &page.unwrap_or_else(|| self.git(&request))).is_ok()
                }
            };
            if !goes_on || request.header("connection") == Some("close") {
                return;
            }
        }
    }

    /// Answers a request of the API, or does not. Whether the connection goes on.
    fn serve_api(self: &Arc<Self>, request: &Request, path: &str, connection: &mut BufReader<TcpStream>) -> bool {
        let is_write = request.method != "GET";
        let _under_way = is_write.then(|| self.writes.begin());
        let operation = self.description.operation(&request.method, path);
        let route = operation.as_ref().map_or("", |operation| operation.template.as_str());
        let trouble = self.next_trouble(&request.method, route);
        let line = if request.query.is_empty() { path.to_owned() } else { format!("{path}?{}", request.query) };
        let mut said = Said {
            method: request.method.clone(),
            path: line,
            body: serde_json::from_slice(&request.body).unwrap_or(Value::Null),
            status: 0,
            etag: request.header("if-none-match").map(str::to_owned),
        };
        let has_effect = !matches!(trouble, Some(Trouble::Say { .. } | Trouble::CloseBefore | Trouble::Silence));
        let mut reply = match &trouble {
            Some(Trouble::Say { status, headers, body }) => {
                let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
                let body = body.clone().into_bytes();
                Answer { status: status.to_string(), headers, body }
            }
            _ if has_effect => self.answer(request, path, matches!(trouble, Some(Trouble::Old))),
            _ => Answer { status: "0".to_owned(), headers: Vec::new(), body: Vec::new() },
        };
        let closes = matches!(
            trouble,
            Some(Trouble::CloseBefore | Trouble::CloseAfter | Trouble::Silence | Trouble::SilenceAfter)
        );
        said.status = if closes { 0 } else { reply.status.parse().unwrap() };
        lock(&self.said).push(said);
        let goes_on = match trouble {
            Some(Trouble::CloseBefore | Trouble::CloseAfter) => false,
            Some(Trouble::Silence | Trouble::SilenceAfter) => {
                lock(&self.hung).push(connection.get_ref().try_clone().unwrap());
                false
            }
            Some(Trouble::Half) => {
                let whole = [head(&reply).into_bytes(), std::mem::take(&mut reply.body)].concat();
                drop(connection.get_mut().write_all(&whole[..whole.len() - 20]));
                false
            }
            _ => respond(connection, &reply).is_ok(),
        };
        self.changed.notify_all();
        goes_on
    }

    /// The path of a repository that is asked for by its number (`/repositories/1/…`, which GitHub does not describe).
    fn by_name(&self, path: &str) -> String {
        let named = path.strip_prefix("/repositories/").and_then(|rest| {
            let (id, rest) = rest.split_once('/').map_or((rest, String::new()), |(id, rest)| (id, format!("/{rest}")));
            let state = lock(&self.state);
            Some(format!("/repos/{}{rest}", state.repositories.get(&id.parse().ok()?)?.full_name()))
        });
        named.unwrap_or_else(|| path.to_owned())
    }

    fn next_trouble(&self, method: &str, route: &str) -> Option<Trouble> {
        let mut troubles = lock(&self.troubles);
        let line = format!("{method} {route}");
        let is_of =
            |of: &str| of == "*" || of == line || of.strip_suffix(" *").is_some_and(|of_method| of_method == method);
        let index = troubles.iter().position(|(of, _, times)| *times > 0 && is_of(of))?;
        troubles[index].2 -= 1;
        Some(troubles[index].1.clone())
    }

    /// What is true, or was; with the headers that GitHub has.
    fn answer(self: &Arc<Self>, request: &Request, path: &str, is_old: bool) -> Answer {
        let pages = self.url();
        let operation = self.description.operation(&request.method, path);
        let mut now = lock(&self.state);
        let mut before = lock(&self.old).clone().filter(|_| is_old);
        let state = before.as_mut().unwrap_or(&mut now);
        let mut reply = match (asker(state, request), &operation) {
            (Err(message), _) => Reply::refused(401, message),
            (Ok(_), None) => {
                lock(&self.wrong).push(format!("{} {path}: no such path", request.method));
                Reply::refused(404, "Not Found")
            }
            (Ok(asker), Some(operation)) => {
                let mut wrong = operation.wrong_in_request(request);
                if request.header("user-agent").is_none() {
                    wrong.push(format!(
                        "{} {path}: has no user-agent, without which GitHub answers nothing",
                        request.method
                    ));
                }
                let call = Call::new(operation, path, request, asker.clone(), &pages);
                let reply = routes::answer(state, &call);
                wrong.extend(operation.wrong_in_answer(reply.status, &reply.body));
                lock(&self.wrong).extend(wrong);
                counted(state, &asker, reply)
            }
        };
        reply.headers.push(("Date".to_owned(), state.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string()));
        drop(now);
        if let Some((guid, event, payload)) = reply.redelivers.take() {
            let shared = Arc::clone(self);
            std::thread::spawn(move || sent::deliver(&shared, &guid, &event, &payload, true));
        }
        let mut body = if reply.body.is_null() { Vec::new() } else { reply.body.to_string().into_bytes() };
        if request.method == "GET" && reply.status == 200 {
            // GitHub's ETags are of what is answered and to whom: a new token has others.
            let credentials = request.header("authorization").unwrap_or_default();
            let digest = Sha256::digest([credentials.as_bytes(), &body].concat());
            let etag = format!("W/\"{}\"", STANDARD.encode(digest));
            if request.header("if-none-match") == Some(&etag) {
                reply.status = 304;
                body.clear();
            }
            reply.headers.push(("ETag".to_owned(), etag));
        }
        reply.headers.push(("Content-Type".to_owned(), "application/json; charset=utf-8".to_owned()));
        Answer { status: reply.status.to_string(), headers: reply.headers, body }
    }

    /// Answers git, for whoever may read.
    fn git(&self, request: &Request) -> Answer {
        let say = |status: &str, headers: Vec<(String, String)>| {
            let body = status.as_bytes().to_vec();
            Answer { status: status.to_owned(), headers, body }
        };
        let mut parts = request.path.trim_start_matches('/').splitn(3, '/');
        let (owner, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let rest = parts.next().unwrap_or_default();
        let state = lock(&self.state);
        let name = name.trim_end_matches(".git");
        let moved = state.moved.get(&format!("{owner}/{name}").to_lowercase());
        let found = state.called(owner, name).or_else(|| state.repositories.get(moved?));
        let asker = asker(&state, request);
        let may = found.is_some_and(|repository| match &asker {
            Ok(Asker::Installation(id)) => {
                state.installations.get(id).is_some_and(|it| !it.suspended && it.sees(repository))
            }
            Ok(Asker::Person(login)) => repository.roles.contains_key(login),
            _ => !repository.private && !request.path.ends_with("receive-pack") && !request.query.contains("receive"),
        });
        match (found, may) {
            (Some(repository), true) => {
                let id = repository.id;
                drop(state);
                let path = format!("/{id}.git/{rest}");
                let request = Request {
                    method: request.method.clone(),
                    path,
                    query: request.query.clone(),
                    headers: request.headers.clone(),
                    body: request.body.clone(),
                };
                run_git_backend(&self.backend, &self.root, &request)
            }
            _ if asker.is_err() || asker == Ok(Asker::Nobody) => {
                say("401", vec![("WWW-Authenticate".to_owned(), "Basic realm=\"GitHub\"".to_owned())])
            }
            _ => say("404", Vec::new()),
        }
    }
}

/// An answer with the quota in its headers; what is beyond it is refused.
fn counted(state: &mut State, asker: &Asker, mut reply: Reply) -> Reply {
    if matches!(asker, Asker::Installation(_) | Asker::Person(_)) {
        if state.quota == 0 {
            reply = Reply::refused(403, "API rate limit exceeded for installation.");
        }
        state.quota = state.quota.saturating_sub(1);
        let reset = (Utc::now().timestamp() + state.ahead_s + 600).to_string();
        let headers = [("limit", "5000".to_owned()), ("remaining", state.quota.to_string()), ("reset", reset)];
        reply.headers.extend(headers.map(|(name, value)| (format!("X-RateLimit-{name}"), value)));
    }
    reply
}

impl Writes {
    fn begin(&self) -> impl Drop + '_ {
        struct UnderWay<'writes>(&'writes Writes);
        impl Drop for UnderWay<'_> {
            fn drop(&mut self) {
                self.0.now.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        UnderWay(self)
    }

    pub(super) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

/// A test that failed with a lock in its hand has said why; the others of its process go on.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
