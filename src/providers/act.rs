//! What a plan is made of, as the outside does it: something that is started under a key, found by that key, polled by a handle
//! and cancelled. One trait for every act, whatever its outside is.

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::providers::Fault;

/// How the outside knows an act again by its key, and what remains in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundBy {
    /// The operation takes the key as a token, and answers the same token with the same effect.
    Token,
    /// What it makes is named by the key.
    Name,
    /// What it makes carries the key as a mark.
    Mark,
    /// Nothing carries the key: how things stand is looked at, and what is done already is not done again.
    Look,
}

/// What is known outside of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing was ever started under it.
    Nothing,
    /// It was started, and has this handle.
    Here(String),
}

/// How an act goes.
#[derive(Debug, Clone, PartialEq)]
pub enum ActState {
    /// It proceeds; what a person may be told meanwhile.
    Running(String),
    /// It is done: what it gives to later steps, and what it printed.
    Done(Map<String, Value>, Vec<u8>),
    /// It failed.
    Failed {
        /// Why.
        reason: String,
        /// What to do.
        hint: String,
        /// What it printed.
        log: Vec<u8>,
    },
    /// It was cancelled.
    Cancelled,
}

/// One act, with the key and the request that it was made for. Every call is bounded in time.
///
/// The same key twice is one effect, whoever asks for it and however often; the key with another request fails. A handle of
/// which the outside knows nothing any more is *unknown*, never *not there*: that fails, for nobody can say whether it was done.
#[async_trait]
pub trait Act: Send + Sync {
    /// How it is found again.
    fn found_by(&self) -> FoundBy;

    /// Looks for what was started under the key.
    async fn find(&self) -> Result<Found, Fault>;

    /// Starts it, unless that was done; gives the handle.
    async fn start(&self) -> Result<String, Fault>;

    /// Looks how it goes, and moves it on where the outside does not by itself.
    async fn poll(&self, handle: &str) -> Result<ActState, Fault>;

    /// Ends it; what has ended already stays as it is.
    async fn cancel(&self, handle: &str) -> Result<(), Fault>;
}

/// Nobody can say any more what became of a handle.
pub(crate) fn forgotten(handle: &str, whereabouts: &str) -> Fault {
    Fault::fail(
        format!("nobody can say what became of {handle}: {whereabouts} has no record of it any more"),
        "look there whether it was done; `tidegate retry` does it anew, under another key",
    )
}
