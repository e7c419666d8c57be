//! A mail server on a real socket that speaks as much SMTP as a mail needs, keeps what it was given, and can misbehave
//! on demand.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::certificate::certified;

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
    /// Whether nobody could read along.
    pub(crate) encrypted: bool,
}

/// When the server speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsFrom {
    /// From the first byte on.
    Start,
    /// After STARTTLS.
    Command,
}

trait Stream: Read + Write {}
impl<Both: Read + Write> Stream for Both {}

pub(crate) struct MailBox {
    pub(crate) address: SocketAddr,
    /// The certificate of who vouches for its own, which is to `localhost`, as PEM.
    pub(crate) authority: Option<String>,
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
    tls: Option<(TlsFrom, Arc<ServerConfig>)>,
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
        Self::with(None, moods, demands)
    }

    /// A server that speaks TLS, and takes mail only from this `user:password`.
    pub(crate) fn with_tls(from: TlsFrom, demands: &str) -> Self {
        let (config, authority) = certified();
        let mailbox = Self::with(Some((from, config)), &[], Some(demands));
        Self { authority: Some(authority), ..mailbox }
    }

    fn with(tls: Option<(TlsFrom, Arc<ServerConfig>)>, moods: &[Mood], demands: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let moods = Mutex::new(moods.iter().copied().collect());
        let shared = Arc::new(Shared { moods, tls, demands: demands.map(str::to_owned), ..Shared::default() });
        let of_thread = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, stream) = (of_thread.clone(), stream.unwrap());
                std::thread::spawn(move || shared.session(stream));
            }
        });
        Self { address, authority: None, shared }
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

    fn converse(&self, mood: Mood, stream: TcpStream) -> std::io::Result<()> {
        let at_once = self.tls.as_ref().is_some_and(|(from, _)| *from == TlsFrom::Start);
        let mut mail = Received { encrypted: at_once, ..Received::default() };
        let mut client = BufReader::new(if at_once { self.encrypted(stream) } else { Box::new(stream) });
        if let Mood::Greet(greeting) = mood {
            return say(&mut client, greeting);
        }
        say(&mut client, "220 mail.example ESMTP")?;
        while let Some(line) = hear(&mut client)? {
            let (verb, rest) = line.split_once([' ', ':']).unwrap_or((&line, ""));
            match (verb.to_ascii_uppercase().as_str(), mood) {
                ("EHLO", _) => say(&mut client, &self.abilities(mail.encrypted))?,
                ("STARTTLS", _) => {
                    say(&mut client, "220 begin")?;
                    client = BufReader::new(self.encrypted(client.into_inner()));
                    mail.encrypted = true;
                }
                ("AUTH", _) => {
                    let token = STANDARD.decode(rest.trim_start_matches("PLAIN ")).unwrap();
                    let user = String::from_utf8(token).unwrap().trim_start_matches('\0').replace('\0', ":");
                    let right = self.demands.as_ref() == Some(&user);
                    mail.user = Some(user);
                    say(&mut client, if right { "235 welcome" } else { "535 5.7.8 wrong user or password" })?;
                }
                ("MAIL", _) if self.demands.is_some() && mail.user.is_none() => say(&mut client, "530 sign in first")?,
                ("MAIL", _) => {
                    mail.from = between(rest, '<', '>');
                    say(&mut client, "250 ok")?;
                }
                ("RCPT", Mood::Recipient(answer)) => say(&mut client, answer)?,
                ("RCPT", _) => {
                    mail.to.push(between(rest, '<', '>'));
                    say(&mut client, "250 ok")?;
                }
                ("DATA", _) => {
                    say(&mut client, "354 go on")?;
                    if mood == Mood::DieInData {
                        return hear(&mut client).map(drop);
                    }
                    while let Some(line) = hear(&mut client)?.filter(|line| line != ".") {
                        mail.data.push_str(&format!("{}\r\n", line.strip_prefix('.').unwrap_or(&line)));
                    }
                    self.received.lock().unwrap().push(mail.clone());
                    self.changed.notify_all();
                    if mood == Mood::DieAfterData {
                        return Ok(());
                    }
                    say(&mut client, "250 it is mine now")?;
                }
                ("QUIT", _) => return say(&mut client, "221 bye"),
                _ => say(&mut client, "502 what?")?,
            }
        }
        Ok(())
    }

    fn abilities(&self, encrypted: bool) -> String {
        let starttls = if self.tls.is_some() && !encrypted { "250-STARTTLS\r\n" } else { "" };
        let auth = if self.demands.is_some() { "250-AUTH PLAIN\r\n" } else { "" };
        format!("250-mail.example\r\n{starttls}{auth}250 8BITMIME")
    }

    fn encrypted(&self, stream: impl Stream + 'static) -> Box<dyn Stream> {
        let (_, config) = self.tls.as_ref().unwrap();
        Box::new(StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream))
    }
}

type Client = BufReader<Box<dyn Stream>>;

fn say(client: &mut Client, line: &str) -> std::io::Result<()> {
    client.get_mut().write_all(format!("{line}\r\n").as_bytes())?;
    client.get_mut().flush()
}

/// The next line; `None` when the client has gone.
fn hear(client: &mut Client) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    let length = client.read_line(&mut line)?;
    Ok((length > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn between(text: &str, open: char, close: char) -> String {
    let inside = text.split_once(open).and_then(|(_, rest)| rest.split_once(close));
    inside.map(|(inside, _)| inside.to_owned()).unwrap_or_default()
}
