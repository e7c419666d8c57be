//! What a forge delivers to us: it is believed when one of the secrets of the settings signed it, and kept before it is answered.
//! What is done because of it is done later, and elsewhere.

use std::sync::{Mutex, PoisonError};

use super::{
    House,
    current::{Stamp, stamp},
    now_ms,
    settings::Settings,
};
pub use crate::providers::forge::github::webhook::is_signature;
use crate::{
    providers::{
        Secret,
        forge::github::webhook::{Heard, is_signed},
    },
    store::{Delivery, DeliveryNote, StoreError},
};

/// How long the number of a delivery and the name of an event may be, in characters.
const LONGEST_NAME: usize = 100;

/// The secrets that sign deliveries, as their file was when it was last read.
#[derive(Debug, Default)]
pub struct WebhookSecrets(Mutex<Option<ReadSecrets>>);

/// When the file was written, and what was in it, or why it could not be read.
type ReadSecrets = (Stamp, Result<Vec<Secret>, String>);

/// A delivery as it came.
#[derive(Debug)]
pub struct Sent<'call> {
    /// What names it.
    pub guid: &'call str,
    /// What happened.
    pub event: &'call str,
    /// What signs the body.
    pub signature: &'call str,
    /// The bytes that are signed.
    pub body: &'call [u8],
}

/// Why a delivery is not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// None of the secrets signed it.
    #[error("nobody signed it who may")]
    Unsigned,
    /// It is no delivery.
    #[error("{0}")]
    Malformed(String),
    /// The secrets cannot be read.
    #[error("{0}")]
    NoSecrets(String),
    /// So many wait that no more are taken.
    #[error("too many deliveries wait to be done")]
    TooMany,
    /// The store cannot take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WebhookSecrets {
    /// The secrets, read again where their file was written since.
    fn of(&self, settings: &Settings) -> Result<Vec<Secret>, String> {
        let github = settings.forges.github.as_ref();
        let now = github.and_then(|github| github.webhook_secret_file.as_deref()).and_then(stamp);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((then, secrets)) = known.as_ref()
            && *then == now
        {
            return secrets.clone();
        }
        let secrets = github.map_or_else(|| Ok(Vec::new()), |github| github.webhook_secrets());
        let secrets = secrets.map_err(|error| format!("{error:#}"));
        if let Err(error) = &secrets {
            tracing::error!("no webhook of GitHub is taken: {error}");
        }
        *known = Some((now, secrets.clone()));
        secrets
    }
}

impl Settings {
    /// Whether a forge may deliver anything here.
    #[must_use]
    pub fn takes_webhooks(&self) -> bool {
        self.forges.github.as_ref().is_some_and(|github| github.webhook_secret_file.is_some())
    }
}

impl House {
    /// Takes a delivery in: when this returns it is kept, and what it asks for will be done. One that is known is as good.
    ///
    /// # Errors
    /// [`NotTaken`]; nothing has changed.
    pub async fn take_webhook(&self, secrets: &WebhookSecrets, sent: Sent<'_>) -> Result<(), NotTaken> {
        let secrets = secrets.of(&self.settings).map_err(NotTaken::NoSecrets)?;
        if !is_signed(&secrets, sent.body, sent.signature) {
            return Err(NotTaken::Unsigned);
        }
        let name = |text: &str, what: &str| {
            let is_plain = (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
            let wrong = || NotTaken::Malformed(format!("`{what}` has 1 to {LONGEST_NAME} visible ASCII characters"));
            if is_plain { Ok(text.to_owned()) } else { Err(wrong()) }
        };
        let guid = name(sent.guid, "X-GitHub-Delivery")?;
        let event = name(sent.event, "X-GitHub-Event")?;
        let heard = Heard::read(&event, sent.body).map_err(|error| NotTaken::Malformed(error.to_string()))?;
        let heard = heard.map(|heard| serde_json::to_string(&heard).expect("plain values always serialise"));
        let delivery = Delivery { guid: guid.clone(), event, heard, received_ms: now_ms(), outcome: None };
        let store = self.ledger.store();
        if store.note(DeliveryNote::Taken { delivery }.into()).await? || store.delivery(&guid).await?.is_some() {
            return Ok(());
        }
        Err(NotTaken::TooMany)
    }
}
