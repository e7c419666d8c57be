//! What holds a system by hand: its pause and its freezes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::System;

/// A pause or freeze.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldStatus {
    /// `pause`, or the freeze's name.
    pub name: String,
    /// The stage; none when it is all of them.
    pub stage: Option<String>,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when: milliseconds since 1970, UTC.
    pub since_ms: i64,
    /// When it ends by itself.
    pub until_ms: Option<i64>,
    /// The runs that may pass it, each with who let it and why.
    pub passed_by: Vec<String>,
}

impl HoldStatus {
    /// The pause, then the freezes by name.
    #[must_use]
    pub fn all(state: &System) -> Vec<Self> {
        let pause = state.paused.iter().map(|pause| Self {
            name: "pause".to_owned(),
            stage: None,
            by: pause.by.clone(),
            reason: pause.reason.clone(),
            since_ms: pause.since_ms,
            until_ms: None,
            passed_by: Vec::new(),
        });
        let freezes = state.freezes.iter().map(|(name, freeze)| Self {
            name: name.clone(),
            stage: freeze.stage.as_ref().map(ToString::to_string),
            by: freeze.by.clone(),
            reason: freeze.reason.clone(),
            since_ms: freeze.since_ms,
            until_ms: Some(freeze.until_ms),
            passed_by: freeze
                .overrides
                .iter()
                .map(|(run, said)| format!("{run} ({}: {})", said.by, said.reason))
                .collect(),
        });
        pause.chain(freezes).collect()
    }
}
