//! Git over smart HTTP: `git http-backend` behind a small server that can be silent, slow, cut, late to replicate, refuse and
//! redirect on demand, over TLS too.

use super::certificate::certified;
use super::http::{Answer, Request, Stream, git_backend, head, read_request, respond, run_git_backend};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// How long a test waits for a request. It takes a moment.
const DEADLINE: Duration = Duration::from_secs(60);

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// Requests are read and never answered.
    Hang,
    /// Pushes to this branch are applied, or not, and never answered.
    HangPush {
        branch: &'static str,
        applied: bool,
    },
    /// The next push is applied, or not, and never answered; once.
    HangPushOnce {
        applied: bool,
    },
    /// Every request is answered with this status and body.
    Say(&'static str, &'static str),
    /// Every request is answered with a redirect to the same path at another place.
    Redirect(SocketAddr),
    /// The next pushes, so many, are answered with git's own report of a refusal, and with this on standard error.
    RefusePush {
        reason: &'static str,
        said: &'static str,
        times: usize,
    },
    /// The next push is applied, and the connection closed without an answer; once.
    DropAfterPush,
    /// Every push is applied; it is answered or the connection closed; and the next requests that read its repository, so many,
    /// are answered with what was true before.
    Late {
        reads: usize,
        answered: bool,
    },
    /// Packs are sent in so many pieces with a pause before each.
    Slow {
        pieces: usize,
        pause_ms: u64,
    },
    /// The connection is closed after so many bytes of the next pack that is larger; once.
    Cut {
        bytes: usize,
    },
    /// After so many bytes of a pack nothing comes until the trouble is another.
    Hold {
        bytes: usize,
    },
}

/// A server of all repositories below a directory.
pub(crate) struct HttpGit {
    pub(crate) address: SocketAddr,
    /// The certificate of who vouches for its own, as PEM, where it speaks TLS.
    pub(crate) authority: Option<String>,
    shared: Arc<Shared>,
}

struct Shared {
    root: PathBuf,
    backend: PathBuf,
    /// The value of the `Authorization` header that is asked for, if one is.
    authorization: Option<String>,
    tls: Option<Arc<ServerConfig>>,
    trouble: Mutex<Trouble>,
    /// The repositories that are read as they were when they were put here.
    /// By repository, how many more requests are answered with what was true before.
    late: Mutex<BTreeMap<String, usize>>,
    /// Method, path and query of every request.
    requests: Mutex<Vec<String>>,
    changed: Condvar,
    /// Connections that are never answered.
    hung: Mutex<Vec<Connection>>,
}

type Connection = BufReader<Box<dyn Stream>>;

/// What becomes of a connection.
enum Then {
    GoOn,
    Close,
    Hang,
}

impl Then {
    fn after(written: std::io::Result<()>) -> Self {
        if written.is_ok() { Self::GoOn } else { Self::Close }
    }
}

impl HttpGit {
    /// Serves the repositories below `root`; `authorization` is, for example, `Basic Ym90OnNlY3JldA==`.
    pub(crate) fn start(root: &Path, authorization: Option<&str>) -> Self {
        Self::with(root, authorization, false)
    }

    /// The same over TLS, with a certificate that no machine knows.
    pub(crate) fn with_tls(root: &Path) -> Self {
        Self::with(root, None, true)
    }

    fn with(root: &Path, authorization: Option<&str>, tls: bool) -> Self {
        let backend = git_backend();
        let (tls, authority) = if tls { Some(certified()).unzip() } else { (None, None) };
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            backend,
            authorization: authorization.map(str::to_owned),
            tls,
            trouble: Mutex::new(Trouble::None),
            late: Mutex::default(),
            requests: Mutex::default(),
            changed: Condvar::new(),
            hung: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = Arc::clone(&server);
                std::thread::spawn(move || server.serve(stream));
            }
        });
        Self { address, authority, shared }
    }

    /// The URL of a repository below the root; `user` is empty or like `bot:secret@`.
    pub(crate) fn url(&self, user: &str, name: &str) -> String {
        match self.authority {
            Some(_) => format!("https://{user}localhost:{}/{name}", self.address.port()),
            None => format!("http://{user}{}/{name}", self.address),
        }
    }

    pub(crate) fn set_trouble(&self, trouble: Trouble) {
        *self.shared.trouble.lock().unwrap() = trouble;
        self.shared.changed.notify_all();
    }

    /// From now on a repository (`image.git`) is read as it is at this moment; what is pushed is kept, and read later.
    pub(crate) fn lag(&self, name: &str) {
        self.shared.put_behind(name);
        self.fall_back(name);
    }

    /// From now on a repository is read as it was when it was put behind before.
    pub(crate) fn fall_back(&self, name: &str) {
        self.shared.late.lock().unwrap().insert(name.to_owned(), usize::MAX);
    }

    /// From now on a repository is read as it is.
    pub(crate) fn catch_up(&self, name: &str) {
        self.shared.late.lock().unwrap().remove(name);
    }

    /// Method and path of every request until now.
    pub(crate) fn requests(&self) -> Vec<String> {
        let paths = |request: &String| request.split('?').next().unwrap().to_owned();
        self.shared.requests.lock().unwrap().iter().map(paths).collect()
    }

    /// How many requests until now have this in their method, path and query.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.shared.requests.lock().unwrap().iter().filter(|request| request.contains(what)).count()
    }

    /// Waits until there were so many requests with this in their method, path and query.
    pub(crate) fn wait_for(&self, what: &str, count: usize) {
        let there =
            |requests: &mut Vec<String>| requests.iter().filter(|request| request.contains(what)).count() < count;
        let requests = self.shared.requests.lock().unwrap();
        let (requests, waited) = self.shared.changed.wait_timeout_while(requests, DEADLINE, there).unwrap();
        assert!(!waited.timed_out(), "waited in vain for {count} of {what}; there are {requests:#?}");
    }
}

impl Shared {
    /// Keeps a repository as it is at this moment, to be read later.
    fn put_behind(&self, name: &str) {
        let (from, to) = (self.root.join(name), self.replica(name));
        drop(std::fs::remove_dir_all(&to));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        assert!(Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap().success());
    }

    fn replica(&self, name: &str) -> PathBuf {
        self.root.with_extension("late").join(name)
    }

    fn serve(&self, stream: TcpStream) {
        let stream: Box<dyn Stream> = match &self.tls {
            Some(config) => Box::new(StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream)),
            None => Box::new(stream),
        };
        let mut connection = BufReader::new(stream);
        while let Some(request) = read_request(&mut connection) {
            self.requests.lock().unwrap().push(format!("{} {}?{}", request.method, request.path, request.query));
            self.changed.notify_all();
            match self.answer(&request, &mut connection) {
                Then::GoOn => {}
                Then::Close => return,
                Then::Hang => return self.hung.lock().unwrap().push(connection),
            }
        }
    }

    /// Answers, or does not.
    fn answer(&self, request: &Request, connection: &mut Connection) -> Then {
        let trouble = *self.trouble.lock().unwrap();
        let is_push = request.is_push();
        let done = |answer: Answer, connection: &mut Connection| Then::after(respond(connection, &answer));
        match trouble {
            Trouble::Hang => Then::Hang,
            Trouble::HangPush { branch, applied } if is_push && request.names(branch) => {
                if applied {
                    self.run_backend(request);
                }
                Then::Hang
            }
            Trouble::HangPushOnce { applied } if is_push => {
                if applied {
                    self.run_backend(request);
                }
                *self.trouble.lock().unwrap() = Trouble::None;
                Then::Hang
            }
            Trouble::Say(status, body) => {
                let headers = vec![("Content-Type".to_owned(), "text/plain".to_owned())];
                done(Answer { status: status.to_owned(), headers, body: body.into() }, connection)
            }
            Trouble::Redirect(to) => {
                let location = format!("http://{to}{}?{}", request.path, request.query);
                let headers = vec![("Location".to_owned(), location)];
                done(Answer { status: "301 Moved Permanently".to_owned(), headers, body: Vec::new() }, connection)
            }
            _ if !self.allowed(request) => {
                let headers = vec![("WWW-Authenticate".to_owned(), "Basic realm=\"git\"".to_owned())];
                done(Answer { status: "401 Unauthorized".to_owned(), headers, body: Vec::new() }, connection)
            }
            Trouble::RefusePush { reason, said, times } if is_push => {
                let left = times.saturating_sub(1);
                *self.trouble.lock().unwrap() =
                    if left == 0 { Trouble::None } else { Trouble::RefusePush { reason, said, times: left } };
                done(refusal(request, reason, said), connection)
            }
            Trouble::DropAfterPush if is_push => {
                *self.trouble.lock().unwrap() = Trouble::None;
                self.run_backend(request);
                Then::Close
            }
            Trouble::Late { reads, answered } if is_push => {
                self.put_behind(request.repository());
                let answer = self.run_backend(request);
                self.late.lock().unwrap().insert(request.repository().to_owned(), reads);
                if answered { done(answer, connection) } else { Then::Close }
            }
            _ => {
                let answer = self.run_backend(request);
                if request.is_pack() { self.send_pack(trouble, &answer, connection) } else { done(answer, connection) }
            }
        }
    }

    fn send_pack(&self, trouble: Trouble, answer: &Answer, connection: &mut Connection) -> Then {
        let length = answer.body.len();
        let (now, later) = match trouble {
            Trouble::Slow { pieces, pause_ms } => {
                let pause = Duration::from_millis(pause_ms);
                return Then::after(respond_slowly(connection, answer, length.div_ceil(pieces), pause));
            }
            Trouble::Cut { bytes } | Trouble::Hold { bytes } if length > bytes => answer.body.split_at(bytes),
            _ => return Then::after(respond(connection, answer)),
        };
        let head = head(answer);
        let stream = connection.get_mut();
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(now)).and_then(|()| stream.flush()).is_err()
        {
            return Then::Close;
        }
        if matches!(trouble, Trouble::Cut { .. }) {
            *self.trouble.lock().unwrap() = Trouble::None;
            return Then::Close;
        }
        let held = self.trouble.lock().unwrap();
        let held = self.changed.wait_timeout_while(held, DEADLINE, |now| matches!(now, Trouble::Hold { .. })).unwrap();
        drop(held);
        Then::after(stream.write_all(later).and_then(|()| stream.flush()))
    }

    fn allowed(&self, request: &Request) -> bool {
        self.authorization.as_ref().is_none_or(|expected| request.header("authorization") == Some(expected))
    }

    /// Where the repository of a request is read or written.
    fn root_for(&self, request: &Request) -> PathBuf {
        let is_read = !request.is_push() && !request.query.contains("git-receive-pack");
        let mut late = self.late.lock().unwrap();
        match late.get_mut(request.repository()).filter(|left| is_read && **left > 0) {
            Some(left) => {
                *left -= 1;
                self.replica("")
            }
            None => self.root.clone(),
        }
    }

    /// Runs the CGI program; its status line, headers and body.
    fn run_backend(&self, request: &Request) -> Answer {
        run_git_backend(&self.backend, &self.root_for(request), request)
    }
}

impl Request {
    /// The repository that it is about.
    fn repository(&self) -> &str {
        self.path.trim_start_matches('/').split('/').next().unwrap_or_default()
    }

    fn is_push(&self) -> bool {
        self.method == "POST" && self.path.ends_with("/git-receive-pack")
    }

    /// Whether a pack is asked for.
    fn is_pack(&self) -> bool {
        let asks = self.body.windows(5).any(|window| window == b"want ");
        self.method == "POST"
            && self.path.ends_with("/git-upload-pack")
            && (asks || self.header("content-encoding").is_some())
    }

    /// Whether a push names this branch.
    fn names(&self, branch: &str) -> bool {
        let name = format!("refs/heads/{branch}");
        self.body.windows(name.len()).any(|window| window == name.as_bytes())
    }
}

/// Git's own report that a branch was refused, on the channels of its side band.
fn refusal(request: &Request, reason: &str, said: &str) -> Answer {
    let packet = |bytes: &[u8]| [format!("{:04x}", bytes.len() + 4).as_bytes(), bytes].concat();
    let text = String::from_utf8_lossy(&request.body);
    let name = text.split("refs/heads/").nth(1).unwrap().split(['\0', ' ', '\n']).next().unwrap();
    let status =
        [packet(b"unpack ok\n"), packet(format!("ng refs/heads/{name} {reason}\n").as_bytes()), b"0000".to_vec()];
    let band = |channel: u8, bytes: &[u8]| packet(&[&[channel], bytes].concat());
    let said = if said.is_empty() { Vec::new() } else { band(2, format!("{said}\n").as_bytes()) };
    let body = [said, band(1, &status.concat()), b"0000".to_vec()].concat();
    let headers = vec![("Content-Type".to_owned(), "application/x-git-receive-pack-result".to_owned())];
    Answer { status: "200 OK".to_owned(), headers, body }
}

fn respond_slowly(connection: &mut Connection, answer: &Answer, piece: usize, pause: Duration) -> std::io::Result<()> {
    let stream = connection.get_mut();
    stream.write_all(head(answer).as_bytes())?;
    for piece in answer.body.chunks(piece.max(1)) {
        std::thread::sleep(pause);
        stream.write_all(piece)?;
        stream.flush()?;
    }
    Ok(())
}
