//! What was asked over HTTP to be done, by whom and from where, and what came of it: also what was refused, of which the logs of
//! the systems say nothing.

use serde::Serialize;

use super::{DeliveryNote, SessionNote, ShownNote, TokenNote};
use crate::rules::SystemName;

/// How many calls are kept, the newest.
pub(super) const MOST_CALLS: u32 = 100_000;

/// A call that asked for something to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallNote {
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// What the answer named it by, in `X-Request-Id`.
    pub request: String,
    /// The address that it came from.
    pub from: String,
    /// The name in which it was asked; none where nobody had signed in.
    pub who: Option<String>,
    /// How they had signed in: `link`, `token`, or the name of an issuer.
    pub signed_in_by: Option<String>,
    /// The system that the path names.
    pub system: Option<SystemName>,
    /// What was asked, in words.
    pub asked: String,
    /// The status of the answer.
    pub status: u16,
    /// Why it was not done, where it was not.
    pub why: Option<String>,
    /// The place of the event in the system's log, where there is one.
    pub seq: Option<u64>,
}

/// What is noted beside the logs: of whoever asks over HTTP, and of what forges show.
#[derive(Debug, Clone)]
pub enum Note {
    /// What becomes of a token.
    Token(TokenNote),
    /// What becomes of a session.
    Session(SessionNote),
    /// A call.
    Call(Box<CallNote>),
    /// What becomes of something that a forge shows.
    Shown(Box<ShownNote>),
    /// What becomes of what forges delivered.
    Delivery(Box<DeliveryNote>),
}

impl Note {
    /// Whether it takes a delivery in.
    pub(super) fn is_taking(&self) -> bool {
        matches!(self, Self::Delivery(note) if matches!(**note, DeliveryNote::Taken { .. }))
    }
}

impl From<DeliveryNote> for Note {
    fn from(note: DeliveryNote) -> Self {
        Self::Delivery(Box::new(note))
    }
}

impl From<TokenNote> for Note {
    fn from(note: TokenNote) -> Self {
        Self::Token(note)
    }
}

impl From<SessionNote> for Note {
    fn from(note: SessionNote) -> Self {
        Self::Session(note)
    }
}

impl From<ShownNote> for Note {
    fn from(note: ShownNote) -> Self {
        Self::Shown(Box::new(note))
    }
}

impl From<CallNote> for Note {
    fn from(note: CallNote) -> Self {
        Self::Call(Box::new(note))
    }
}
