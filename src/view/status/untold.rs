//! What people and programs were to be told and could not be, yet or at all.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::System;

/// A notice that was not delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UntoldNotice {
    /// Its number.
    pub number: u64,
    /// What it tells of, as rules name it.
    pub notice: String,
    /// The channel.
    pub via: String,
    /// The address, where the channel needs one.
    pub to: Option<String>,
    /// Its subject.
    pub subject: String,
    /// What was tried and what came back; empty before the first try has ended.
    pub error: String,
    /// What to do about it.
    pub hint: String,
    /// When it is tried again: milliseconds since 1970, UTC; `null` when it was given up.
    pub again_ms: Option<i64>,
}

/// The notices of a state that were given up, and those that are undelivered; oldest first.
pub(super) fn of(state: &System) -> Vec<UntoldNotice> {
    let given_up = state.notices.given_up.iter().map(|given_up| UntoldNotice {
        number: given_up.number,
        notice: given_up.notice.name().to_owned(),
        via: given_up.via.to_string(),
        to: given_up.to.clone(),
        subject: given_up.subject.clone(),
        error: given_up.error.clone(),
        hint: given_up.hint.clone(),
        again_ms: None,
    });
    let undelivered = state.notices.undelivered.iter().map(|(number, undelivered)| UntoldNotice {
        number: *number,
        notice: undelivered.message.notice.name().to_owned(),
        via: undelivered.message.via.to_string(),
        to: undelivered.message.to.clone(),
        subject: undelivered.message.subject.clone(),
        error: undelivered.error.clone().unwrap_or_default(),
        hint: String::new(),
        again_ms: state.due.get(&undelivered.effect).map(|effect| effect.due_ms),
    });
    given_up.chain(undelivered).collect()
}
