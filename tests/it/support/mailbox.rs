//! A mail server on a real socket that speaks as much SMTP as a mail needs, keeps what it was given, and can misbehave
//! on demand.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// How long a test waits for mail. It takes a moment.
const DEADLINE: Duration = Duration::from_secs(60);

/// What the server does in its next session; once there is nothing more, all goes well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It takes the mail.
    Well,
    /// It greets with this and hangs up.
    Greet(&'static str),
    /// It answers RCPT with this.
    Recipient(&'static str),
    /// It takes the connection and never says a word.
    Hang,
    /// It keeps the mail, and dies before it says so.
    DieAfterData,
    /// It hangs up in the middle of the mail.
    DieInData,
}

/// A mail that it was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// Headers and text, as they came, without the dots of transport.
    pub(crate) data: String,
    /// Who signed in, as `user:password`.
    pub(crate) user: Option<String>,
}

pub(crate) struct MailBox {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    moods: Mutex<VecDeque<Mood>>,
    received: Mutex<Vec<Received>>,
    sessions: Mutex<usize>,
    changed: Condvar,
    hung: Mutex<Vec<TcpStream>>,
    /// The `user:password` that it demands.
    demands: Option<String>,
}

impl Received {
    /// A header of the mail, unfolded.
    pub(crate) fn header(&self, name: &str) -> String {
        let head = self.data.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
        let prefix = format!("{name}: ");
        head.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default().to_owned()
    }

    pub(crate) fn text(&self) -> &str {
        self.data.split_once("\r\n\r\n").unwrap().1
    }
}

impl MailBox {
    pub(crate) fn start(moods: &[Mood]) -> Self {
        Self::demanding(moods, None)
    }

    /// A server that takes mail only from this `user:password`.
    pub(crate) fn demanding(moods: &[Mood], demands: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let moods = Mutex::new(moods.iter().copied().collect());
        let shared = Arc::new(Shared { moods, demands: demands.map(str::to_owned), ..Shared::default() });
        let of_thread = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, stream) = (of_thread.clone(), stream.unwrap());
                std::thread::spawn(move || shared.session(stream));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// How many connections there have been.
    pub(crate) fn sessions(&self) -> usize {
        *self.shared.sessions.lock().unwrap()
    }

    /// Waits until there are so many mails, and returns them.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Received> {
        let received = self.shared.received.lock().unwrap();
        let (received, waited) =
            self.shared.changed.wait_timeout_while(received, DEADLINE, |received| received.len() < count).unwrap();
        assert!(!waited.timed_out(), "waited in vain for {count} mails; there are {received:#?}");
        received.clone()
    }
}

impl Shared {
    /// One connection. A client that goes away ends it.
    fn session(&self, stream: TcpStream) {
        *self.sessions.lock().unwrap() += 1;
        let mood = self.moods.lock().unwrap().pop_front().unwrap_or(Mood::Well);
        if mood == Mood::Hang {
            self.hung.lock().unwrap().push(stream);
            return;
        }
        let _ = self.converse(mood, stream);
    }

    fn converse(&self, mood: Mood, mut stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let mut say = |line: &str| stream.write_all(format!("{line}\r\n").as_bytes());
        if let Mood::Greet(greeting) = mood {
            return say(greeting);
        }
        say("220 mail.example ESMTP")?;
        let mut mail = Received::default();
        while let Some(Ok(line)) = lines.next() {
            let (verb, rest) = line.split_once([' ', ':']).unwrap_or((&line, ""));
            match (verb.to_ascii_uppercase().as_str(), mood) {
                ("EHLO", _) if self.demands.is_some() => say("250-mail.example\r\n250-8BITMIME\r\n250 AUTH PLAIN")?,
                ("EHLO", _) => say("250-mail.example\r\n250 8BITMIME")?,
                ("AUTH", _) => {
                    let token = STANDARD.decode(rest.trim_start_matches("PLAIN ")).unwrap();
                    let user = String::from_utf8(token).unwrap().trim_start_matches('\0').replace('\0', ":");
                    let right = self.demands.as_ref() == Some(&user);
                    mail.user = Some(user);
                    say(if right { "235 welcome" } else { "535 5.7.8 wrong user or password" })?;
                }
                ("MAIL", _) if self.demands.is_some() && mail.user.is_none() => say("530 sign in first")?,
                ("MAIL", _) => {
                    mail.from = between(rest, '<', '>');
                    say("250 ok")?;
                }
                ("RCPT", Mood::Recipient(answer)) => say(answer)?,
                ("RCPT", _) => {
                    mail.to.push(between(rest, '<', '>'));
                    say("250 ok")?;
                }
                ("DATA", Mood::DieInData) => {
                    say("354 go on")?;
                    lines.next();
                    return Ok(());
                }
                ("DATA", _) => {
                    say("354 go on")?;
                    let data = lines.by_ref().map_while(Result::ok).take_while(|line| line != ".");
                    mail.data = data.map(|line| format!("{}\r\n", line.strip_prefix('.').unwrap_or(&line))).collect();
                    self.received.lock().unwrap().push(mail.clone());
                    self.changed.notify_all();
                    if mood == Mood::DieAfterData {
                        return Ok(());
                    }
                    say("250 it is mine now")?;
                }
                ("QUIT", _) => return say("221 bye"),
                _ => say("502 what?")?,
            }
        }
        Ok(())
    }
}

fn between(text: &str, open: char, close: char) -> String {
    let inside = text.split_once(open).and_then(|(_, rest)| rest.split_once(close));
    inside.map(|(inside, _)| inside.to_owned()).unwrap_or_default()
}
