//! A small Git LFS server before smart HTTP: the batch API, basic transfers up and down, and what can go wrong with both.

use super::http_git::HttpGit;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What goes wrong with objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// The whole batch is answered with this status, and with `Retry-After`.
    Batch(u16),
    /// Each object of a batch has this error.
    Object(u16),
    /// Other bytes come, of the same length.
    OtherBytes,
    /// The connection ends half-way.
    Cut,
    /// Nothing is answered.
    Hang,
    /// Something answers that is no LFS server.
    NoLfs,
}

/// Git and LFS at one address.
pub(crate) struct LfsServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    git: HttpGit,
    authorization: Option<String>,
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    trouble: Mutex<Trouble>,
    /// Method and path of every request for objects.
    requests: Mutex<Vec<String>>,
    hung: Mutex<Vec<TcpStream>>,
}

struct Request {
    method: String,
    target: String,
    head: String,
    body: Vec<u8>,
}

impl LfsServer {
    /// Serves the repositories below `root`; `authorization` is asked for by both.
    pub(crate) fn start(root: &Path, authorization: Option<&str>) -> Self {
        let shared = Arc::new(Shared {
            git: HttpGit::start(root, authorization),
            authorization: authorization.map(str::to_owned),
            objects: Mutex::default(),
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
                std::thread::spawn(move || server.serve(stream, address));
            }
        });
        Self { address, shared }
    }

    /// The URL of a repository below the root; `user` is empty or like `bot:secret@`.
    pub(crate) fn url(&self, user: &str, name: &str) -> String {
        format!("http://{user}{}/{name}", self.address)
    }

    /// Holds an object; says the pointer that stands for it.
    pub(crate) fn hold(&self, content: &[u8]) -> String {
        let pointer = pointer(content);
        self.shared.objects.lock().unwrap().insert(oid(content), content.to_vec());
        pointer
    }

    pub(crate) fn set_trouble(&self, trouble: Trouble) {
        *self.shared.trouble.lock().unwrap() = trouble;
    }

    /// Method and path of every request for objects until now.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

/// The digest by which an object is known.
pub(crate) fn oid(content: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The pointer that stands for an object.
pub(crate) fn pointer(content: &[u8]) -> String {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n", oid(content), content.len())
}

impl Shared {
    fn serve(&self, stream: TcpStream, address: SocketAddr) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream.try_clone().unwrap();
        while let Some(request) = read_request(&mut reader) {
            let path = request.target.clone();
            if !path.contains("/info/lfs") && !path.contains("/lfs-objects/") {
                let answer = self.git_answers(&request);
                if writer.write_all(&answer).is_err() {
                    return;
                }
                continue;
            }
            self.requests.lock().unwrap().push(format!("{} {path}", request.method));
            let trouble = self.trouble.lock().unwrap().clone();
            if trouble == Trouble::Hang {
                return self.hung.lock().unwrap().push(stream);
            }
            let (status, headers, body) = self.answer(&request, &trouble, address);
            let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len()).into_bytes();
            let is_object = request.method == "GET";
            let kept = if trouble == Trouble::Cut && is_object { body.len() / 2 } else { body.len() };
            head.extend_from_slice(&body[..kept]);
            if writer.write_all(&head).is_err() || kept < body.len() {
                return;
            }
        }
    }

    fn answer(&self, request: &Request, trouble: &Trouble, address: SocketAddr) -> (String, String, Vec<u8>) {
        let empty = |status: &str| (status.to_owned(), String::new(), Vec::new());
        let lowered = request.head.to_lowercase();
        let expected = self.authorization.as_ref().map(|value| format!("authorization: {}\r\n", value.to_lowercase()));
        if expected.is_some_and(|expected| !lowered.contains(&expected)) {
            return ("401 Unauthorized".to_owned(), "LFS-Authenticate: Basic realm=\"lfs\"\r\n".to_owned(), Vec::new());
        }
        if *trouble == Trouble::NoLfs {
            return ("200 OK".to_owned(), "Content-Type: text/html\r\n".to_owned(), b"<html>Welcome</html>".to_vec());
        }
        if let Some((_, oid)) = request.target.split_once("/lfs-objects/") {
            let mut objects = self.objects.lock().unwrap();
            if request.method == "PUT" {
                objects.insert(oid.to_owned(), request.body.clone());
                return empty("200 OK");
            }
            let Some(content) = objects.get(oid) else { return empty("404 Not Found") };
            let content = match trouble {
                Trouble::OtherBytes => content.iter().map(|byte| byte ^ 1).collect(),
                _ => content.clone(),
            };
            return ("200 OK".to_owned(), "Content-Type: application/octet-stream\r\n".to_owned(), content);
        }
        if !request.target.ends_with("/objects/batch") {
            return empty("404 Not Found");
        }
        if let Trouble::Batch(status) = trouble {
            let said = json!({ "message": "said by the server" }).to_string().into_bytes();
            return (format!("{status} Refused"), "Retry-After: 7\r\n".to_owned(), said);
        }
        let asked: Value = serde_json::from_slice(&request.body).unwrap();
        let objects = self.objects.lock().unwrap();
        let answered = asked["objects"].as_array().unwrap().iter().map(|object| {
            let oid = object["oid"].as_str().unwrap();
            let href = format!("http://{address}/lfs-objects/{oid}");
            let action = json!({ "href": href });
            let answered = match (asked["operation"].as_str(), trouble) {
                (_, Trouble::Object(code)) => json!({ "error": { "code": code, "message": "said of the object" } }),
                (Some("upload"), _) => json!({ "actions": { "upload": action } }),
                _ if objects.contains_key(oid) => json!({ "actions": { "download": action } }),
                _ => json!({ "error": { "code": 404, "message": "Object does not exist" } }),
            };
            let mut answered = answered;
            (answered["oid"], answered["size"]) = (object["oid"].clone(), object["size"].clone());
            answered
        });
        let body = json!({ "transfer": "basic", "objects": answered.collect::<Vec<_>>() });
        (
            "200 OK".to_owned(),
            "Content-Type: application/vnd.git-lfs+json\r\n".to_owned(),
            body.to_string().into_bytes(),
        )
    }

    /// What is not for objects is handed on, each request on a connection of its own.
    fn git_answers(&self, request: &Request) -> Vec<u8> {
        let url = self.git.url("", "");
        let mut stream = TcpStream::connect(url.trim_start_matches("http://").trim_end_matches('/')).unwrap();
        let head = format!("{} {} HTTP/1.1\r\n{}\r\n", request.method, request.target, request.head);
        stream.write_all(&[head.as_bytes(), &request.body].concat()).unwrap();
        let mut reader = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            head.push_str(&line);
            if line == "\r\n" || line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        [head.as_bytes(), &body].concat()
    }
}

/// A request with the lines of its head; bodies have a length.
fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim_end().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, target, head, body })
}
