//! What `tidegate.toml` says of how long `git` is waited for.

use std::time::Duration;

use anyhow::bail;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{providers::git, rules::Span};

/// How long calls of the `git` program are waited for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GitSettings {
    /// How long nothing may be heard of a call to a remote before it is ended and tried again, between `1s` and `1h`. While
    /// bytes arrive, it may take as long as it needs.
    pub silence: Span,
    /// How long what is read of a remote may be older than what is known to be there (replicas, caches, mirrors), at most
    /// `1h`. After that it is believed: somebody took the branch back.
    pub lag: Span,
}

impl Default for GitSettings {
    fn default() -> Self {
        let span = |of: Duration| Span::from_ms(i64::try_from(of.as_millis()).unwrap_or(i64::MAX));
        Self { silence: span(git::SILENCE), lag: span(git::LAG) }
    }
}

impl GitSettings {
    /// The spans, within their bounds.
    pub(super) fn check(self) -> anyhow::Result<()> {
        const SECOND_MS: i64 = 1_000;
        const HOUR_MS: i64 = 3_600 * SECOND_MS;
        if !(SECOND_MS..=HOUR_MS).contains(&self.silence.as_ms()) {
            bail!("`silence` of [git] is {}: it is between 1s and 1h", self.silence);
        }
        if !(0..=HOUR_MS).contains(&self.lag.as_ms()) {
            bail!("`lag` of [git] is {}: it is at most 1h", self.lag);
        }
        Ok(())
    }
}
