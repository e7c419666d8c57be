//! Sends mail by SMTP (RFC 5321): in plain on this machine, by STARTTLS, or by TLS from the first byte on (RFC 8314). One
//! mail to one address per connection, so that what one receiver refuses is nothing to another.

use std::{
    error::Error as _,
    time::{Duration, UNIX_EPOCH},
};

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        self,
        authentication::Credentials,
        client::{Tls, TlsParameters},
        extension::ClientId,
    },
};

use crate::providers::{Fault, Secret};

/// How a connection is kept from others' eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Not at all.
    None,
    /// It begins in plain and must become TLS before anything is said.
    StartTls,
    /// TLS from the first byte on.
    Tls,
}

/// How to reach a mail server.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// Its name, to which its certificate must be.
    pub host: String,
    /// The port; by custom 587 with STARTTLS, 465 with TLS, 25 without either.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// Who the mails are from: an address, or `Name <address>`.
    pub from: String,
    /// The user's name and password, for a server that asks for them.
    pub credentials: Option<(String, Secret)>,
}

/// A mail server.
pub struct MailServer {
    place: String,
    from: Mailbox,
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

/// One mail to one address.
#[derive(Debug, Clone, Copy)]
pub struct Mail<'mail> {
    /// What makes it this mail: the left part of its `Message-ID`, the same at every try.
    pub id: &'mail str,
    /// When what it tells of happened: milliseconds since 1970, UTC. Its `Date`.
    pub at_ms: i64,
    /// The address.
    pub to: &'mail str,
    /// One line.
    pub subject: &'mail str,
    /// Plain text.
    pub text: &'mail str,
}

impl MailServer {
    /// A server by these settings. It is not asked anything yet. `deadline` is how long any one answer of it may take.
    ///
    /// # Errors
    /// When `from` is no address, or no TLS can be had here.
    pub fn new(settings: MailSettings, deadline: Duration) -> Result<Self, Fault> {
        let MailSettings { host, port, security, from, credentials } = settings;
        let place = format!("{host}:{port}");
        let from: Mailbox = from.parse().map_err(|error| {
            Fault::fail(format!("`{from}` is not who a mail can be from: {error}"), "write it as `Name <address>`")
        })?;
        let parameters = || {
            TlsParameters::new(host.clone())
                .map_err(|error| Fault::fail(format!("TLS to {place}: {error}"), "check the system's certificates"))
        };
        let tls = match security {
            Security::None => Tls::None,
            Security::StartTls => Tls::Required(parameters()?),
            Security::Tls => Tls::Wrapper(parameters()?),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.clone())
            .port(port)
            .tls(tls)
            .timeout(Some(deadline))
            .hello_name(ClientId::Domain(from.email.domain().to_owned()));
        if let Some((user, password)) = credentials {
            transport = transport.credentials(Credentials::new(user, password.expose().to_owned()));
        }
        Ok(Self { place, from, transport: transport.build() })
    }

    /// Sends a mail. When this succeeds, the server has taken it upon itself to deliver it. `deadline` is for all of it.
    ///
    /// # Errors
    /// [`Fault::Retry`] for a server that cannot be reached, does not answer, or answers 4yz; whether it has the mail
    /// may then be in doubt, and its id tells when it comes again. [`Fault::Fail`] for 5yz, and for what the server lacks.
    pub async fn send(&self, mail: &Mail<'_>, deadline: Duration) -> Result<(), Fault> {
        let tried = format!("mail to {} by {}", mail.to, self.place);
        let message = self.message(mail).map_err(|fault| fault.while_trying(&tried))?;
        match tokio::time::timeout(deadline, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(fault(&tried, &error)),
            Err(_) => Err(Fault::retry(format!("{tried}: it did not end within {} s", deadline.as_secs()))),
        }
    }

    fn message(&self, mail: &Mail<'_>) -> Result<Message, Fault> {
        let to: Address = mail.to.parse().map_err(|error| {
            Fault::fail(format!("`{}` is not an address: {error}", mail.to), "correct `to` in the rules")
        })?;
        let date = UNIX_EPOCH + Duration::from_millis(u64::try_from(mail.at_ms).unwrap_or(0));
        // RFC 3834: nobody's absence notice is to answer this.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        Message::builder()
            .message_id(Some(format!("<{}@{}>", mail.id, self.from.email.domain())))
            .date(date)
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(mail.subject)
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN)
            .body(mail.text.to_owned())
            .map_err(|error| Fault::fail(error.to_string(), "correct the notification in the rules"))
    }
}

/// What an answer of the server, or its silence, means for the next try.
fn fault(tried: &str, error: &smtp::Error) -> Fault {
    // The error says itself and its cause; only what is below is missing.
    let below = error.source().and_then(std::error::Error::source);
    let error_text = below.map_or_else(|| error.to_string(), |below| format!("{error}: {below}"));
    let said = format!("{tried}: {error_text}");
    let refused_us = |code: u16| matches!(code, 530 | 534 | 535 | 538);
    match error.status().map(u16::from) {
        Some(code) if error.is_permanent() && refused_us(code) => {
            Fault::fail(said, "check the channel's `username` and password in tidegate.toml")
        }
        Some(_) if error.is_permanent() => {
            Fault::fail(said, "check the address in the rules, and the channel's `from` in tidegate.toml")
        }
        None if error.is_client() => {
            Fault::fail(said, "the server lacks what the channel asks of it: check its `security` and `username`")
        }
        _ => Fault::retry(said),
    }
}
