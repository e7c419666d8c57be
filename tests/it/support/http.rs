//! HTTP/1.1 as the servers of the tests speak it, by hand: so that they can be silent, stop half-way, and say what is wrong. And
//! `git http-backend` behind it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::repo::hermetic_git;

pub(crate) trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct Answer {
    pub(crate) status: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }
}

/// The CGI program of git.
pub(crate) fn git_backend() -> PathBuf {
    let libexec = Command::new("git").arg("--exec-path").output().unwrap().stdout;
    Path::new(String::from_utf8(libexec).unwrap().trim()).join("git-http-backend")
}

/// Runs it for the repositories below `root`; its status line, headers and body.
pub(crate) fn run_git_backend(backend: &Path, root: &Path, request: &Request) -> Answer {
    let mut command = hermetic_git(root);
    let environment = command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let environment: Vec<_> = environment.collect();
    command = Command::new(backend);
    command.env_clear().envs(environment).env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1");
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
    let mut answer = Answer { status: "200 OK".to_owned(), headers: Vec::new(), body: Vec::new() };
    for (name, value) in String::from_utf8_lossy(&output[..split]).lines().filter_map(|line| line.split_once(": ")) {
        match name {
            "Status" => answer.status = value.to_owned(),
            _ => answer.headers.push((name.to_owned(), value.to_owned())),
        }
    }
    answer.body = output.get(split + 4..).unwrap_or_default().to_vec();
    answer
}

pub(crate) fn read_request<S: Read + Write>(connection: &mut BufReader<S>) -> Option<Request> {
    let mut line = String::new();
    connection.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        connection.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, path: path.to_owned(), query: query.to_owned(), headers, body: Vec::new() };
    if request.header("expect").is_some() {
        connection.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    if request.header("transfer-encoding").is_some() {
        loop {
            let mut size = String::new();
            connection.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            connection.read_exact(&mut chunk).ok()?;
            if size == 0 {
                break;
            }
            request.body.extend_from_slice(&chunk[..size]);
        }
    } else if let Some(length) = request.header("content-length").and_then(|length| length.parse().ok()) {
        request.body = vec![0; length];
        connection.read_exact(&mut request.body).ok()?;
    }
    Some(request)
}

pub(crate) fn head(answer: &Answer) -> String {
    let mut head = format!("HTTP/1.1 {}\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}

pub(crate) fn respond<S: Read + Write>(connection: &mut BufReader<S>, answer: &Answer) -> std::io::Result<()> {
    let stream = connection.get_mut();
    stream.write_all(&[head(answer).as_bytes(), &answer.body].concat())?;
    stream.flush()
}
