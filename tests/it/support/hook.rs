//! A receiver of webhooks on a real socket, as Standard Webhooks describes one: it refuses what is not signed by its
//! secret, knows again what comes twice, and can be told what to answer.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

/// How long a test waits for a post. It takes a moment.
const DEADLINE: Duration = Duration::from_secs(60);
/// How old a timestamp may be.
const TOLERANCE_S: u64 = 300;
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What it answers; `200 OK` once there is nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A status line's end, further headers, and a body.
    Say(&'static str, &'static str, &'static str),
    /// None, though the post is kept.
    HangUp,
    /// Never.
    Hang,
}

/// A post whose signature was right.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Posted {
    pub(crate) id: String,
    pub(crate) body: Value,
    pub(crate) text: String,
    /// What was answered.
    pub(crate) answer: Answer,
}

pub(crate) struct Hook {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<VecDeque<Answer>>,
    posts: Mutex<Vec<Posted>>,
    changed: Condvar,
    hung: Mutex<Vec<TcpStream>>,
}

impl Hook {
    pub(crate) fn start(answers: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { answers: Mutex::new(answers.iter().copied().collect()), ..Shared::default() });
        let of_thread = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, stream) = (of_thread.clone(), stream.unwrap());
                std::thread::spawn(move || drop(shared.answer(stream)));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hooks/tidegate?token=hidden", self.address)
    }

    /// Every post, in order, repeats among them.
    pub(crate) fn posts(&self) -> Vec<Posted> {
        self.shared.posts.lock().unwrap().clone()
    }

    /// What a receiver that minds ids has taken: id → the body, the same however often it came.
    pub(crate) fn taken(&self) -> BTreeMap<String, String> {
        let mut taken = BTreeMap::new();
        for post in self.posts() {
            let before = taken.insert(post.id.clone(), post.text.clone());
            assert!(before.is_none_or(|before| before == post.text), "{} says two things", post.id);
        }
        taken
    }

    /// Waits until there were so many posts.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Posted> {
        let posts = self.shared.posts.lock().unwrap();
        let (posts, waited) =
            self.shared.changed.wait_timeout_while(posts, DEADLINE, |posts| posts.len() < count).unwrap();
        assert!(!waited.timed_out(), "waited in vain for {count} posts; there are {posts:#?}");
        posts.clone()
    }
}

impl Shared {
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut headers = BTreeMap::new();
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers["content-length"].parse().unwrap()];
        reader.read_exact(&mut body)?;
        let text = String::from_utf8(body).unwrap();
        if let Err(why) = verify(&headers, &text) {
            return say(&mut stream, "401 Unauthorized", "", &why);
        }
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Answer::Say("200 OK", "", "thanks"));
        let (id, body) = (headers["webhook-id"].clone(), serde_json::from_str(&text).unwrap());
        self.posts.lock().unwrap().push(Posted { id, body, text, answer });
        self.changed.notify_all();
        match answer {
            Answer::Say(status, headers, body) => say(&mut stream, status, headers, body),
            Answer::HangUp => Ok(()),
            Answer::Hang => {
                self.hung.lock().unwrap().push(stream);
                Ok(())
            }
        }
    }
}

fn say(stream: &mut TcpStream, status: &str, headers: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes())
}

/// As the standard says: any of the signatures must be right, and the timestamp near.
fn verify(headers: &BTreeMap<String, String>, body: &str) -> Result<(), String> {
    let header = |name: &str| headers.get(name).ok_or_else(|| format!("no {name}"));
    let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    if id.contains('.') || timestamp.parse::<u64>().map_err(|_| "no time")?.abs_diff(now_s) > TOLERANCE_S {
        return Err("a bad id, or too old".to_owned());
    }
    let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    let signed = header("webhook-signature")?.split(' ').any(|signature| signature == expected);
    signed.then_some(()).ok_or_else(|| "the signature is not of this secret".to_owned())
}
