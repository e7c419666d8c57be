//! Git over smart HTTP: `git http-backend` behind a small server that can misbehave on demand.

use super::repo::hermetic_git;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// Requests are read and never answered.
    Hang,
    /// Every request is answered with 500.
    Error,
    /// The next push is applied, and the connection closed without an answer; once.
    DropAfterPush,
}

/// A server of all repositories below a directory.
pub(crate) struct HttpGit {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    root: PathBuf,
    backend: PathBuf,
    /// The value of the `Authorization` header that is asked for, if one is.
    authorization: Option<String>,
    trouble: Mutex<Trouble>,
    /// Method and path of every request.
    requests: Mutex<Vec<String>>,
    /// Connections that are never answered.
    hung: Mutex<Vec<TcpStream>>,
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl HttpGit {
    /// Serves the repositories below `root`; `authorization` is, for example, `Basic Ym90OnNlY3JldA==`.
    pub(crate) fn start(root: &Path, authorization: Option<&str>) -> Self {
        let libexec = Command::new("git").arg("--exec-path").output().unwrap().stdout;
        let backend = Path::new(String::from_utf8(libexec).unwrap().trim()).join("git-http-backend");
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            backend,
            authorization: authorization.map(str::to_owned),
            trouble: Mutex::new(Trouble::None),
            requests: Mutex::default(),
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
        Self { address, shared }
    }

    /// The URL of a repository below the root; `user` is empty or like `bot:secret@`.
    pub(crate) fn url(&self, user: &str, name: &str) -> String {
        format!("http://{user}{}/{name}", self.address)
    }

    pub(crate) fn set_trouble(&self, trouble: Trouble) {
        *self.shared.trouble.lock().unwrap() = trouble;
    }

    /// Method and path of every request until now.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream.try_clone().unwrap();
        while let Some(request) = read_request(&mut reader, &mut writer) {
            self.requests.lock().unwrap().push(format!("{} {}", request.method, request.path));
            let trouble = *self.trouble.lock().unwrap();
            let is_push = request.method == "POST" && request.path.ends_with("/git-receive-pack");
            let answered = match trouble {
                Trouble::Hang => return self.hung.lock().unwrap().push(stream),
                Trouble::Error => respond(&mut writer, "500 Internal Server Error", &[], b""),
                _ if !self.allowed(&request) => {
                    let challenge = [("WWW-Authenticate".to_owned(), "Basic realm=\"git\"".to_owned())];
                    respond(&mut writer, "401 Unauthorized", &challenge, b"")
                }
                Trouble::DropAfterPush if is_push => {
                    *self.trouble.lock().unwrap() = Trouble::None;
                    self.run_backend(&request);
                    return;
                }
                Trouble::DropAfterPush | Trouble::None => {
                    let (status, headers, body) = self.run_backend(&request);
                    respond(&mut writer, &status, &headers, &body)
                }
            };
            if answered.is_err() {
                return;
            }
        }
    }

    fn allowed(&self, request: &Request) -> bool {
        self.authorization.as_ref().is_none_or(|expected| request.header("authorization") == Some(expected))
    }

    /// Runs the CGI program; its status line, headers and body.
    fn run_backend(&self, request: &Request) -> (String, Vec<(String, String)>, Vec<u8>) {
        let mut command = hermetic_git(&self.root);
        let environment = command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        let environment: Vec<_> = environment.collect();
        command = Command::new(&self.backend);
        command.env_clear().envs(environment).env("GIT_PROJECT_ROOT", &self.root).env("GIT_HTTP_EXPORT_ALL", "1");
        command.env("REQUEST_METHOD", &request.method).env("PATH_INFO", &request.path);
        command.env("QUERY_STRING", &request.query).env("REMOTE_USER", "bot").env("REMOTE_ADDR", "127.0.0.1");
        for (variable, header) in [
            ("CONTENT_TYPE", "content-type"),
            ("HTTP_CONTENT_ENCODING", "content-encoding"),
            ("GIT_PROTOCOL", "git-protocol"),
        ] {
            if let Some(value) = request.header(header) {
                command.env(variable, value);
            }
        }
        command.env("CONTENT_LENGTH", request.body.len().to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let body = request.body.clone();
        let feeder = std::thread::spawn(move || input.write_all(&body));
        let output = child.wait_with_output().unwrap().stdout;
        // A program that answered without reading everything is no concern of ours.
        let _ = feeder.join().unwrap();
        let split = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(output.len());
        let mut status = "200 OK".to_owned();
        let mut headers = Vec::new();
        for (name, value) in String::from_utf8_lossy(&output[..split]).lines().filter_map(|line| line.split_once(": "))
        {
            match name {
                "Status" => status = value.to_owned(),
                _ => headers.push((name.to_owned(), value.to_owned())),
            }
        }
        (status, headers, output.get(split + 4..).unwrap_or_default().to_vec())
    }
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }
}

fn read_request(reader: &mut impl BufRead, writer: &mut impl Write) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, path: path.to_owned(), query: query.to_owned(), headers, body: Vec::new() };
    if request.header("expect").is_some() {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    if request.header("transfer-encoding").is_some() {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).ok()?;
            if size == 0 {
                break;
            }
            request.body.extend_from_slice(&chunk[..size]);
        }
    } else if let Some(length) = request.header("content-length").and_then(|length| length.parse().ok()) {
        request.body = vec![0; length];
        reader.read_exact(&mut request.body).ok()?;
    }
    Some(request)
}

fn respond(writer: &mut impl Write, status: &str, headers: &[(String, String)], body: &[u8]) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    writer.write_all(&[head.as_bytes(), body].concat())?;
    writer.flush()
}
