//! What holds a system by hand: its pause and its freezes.

use super::text::Columns;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    cli::{
        output::{Tone, paint},
        words,
    },
    engine::{System, explain},
};

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

/// The pause, then the freezes by name.
pub(super) fn of(state: &System) -> Vec<HoldStatus> {
    let pause = state.paused.iter().map(|pause| HoldStatus {
        name: "pause".to_owned(),
        stage: None,
        by: pause.by.clone(),
        reason: pause.reason.clone(),
        since_ms: pause.since_ms,
        until_ms: None,
        passed_by: Vec::new(),
    });
    let freezes = state.freezes.iter().map(|(name, freeze)| HoldStatus {
        name: name.clone(),
        stage: freeze.stage.as_ref().map(ToString::to_string),
        by: freeze.by.clone(),
        reason: freeze.reason.clone(),
        since_ms: freeze.since_ms,
        until_ms: Some(freeze.until_ms),
        passed_by: freeze.overrides.iter().map(|(run, said)| format!("{run} ({}: {})", said.by, said.reason)).collect(),
    });
    pause.chain(freezes).collect()
}

/// One line each, for people, as it is seen at `now_ms`.
pub(super) fn lines(holds: &[HoldStatus], columns: Columns, now_ms: i64) -> Vec<String> {
    let (mut lines, Columns { stage: stages, name: names }) = (Vec::new(), columns);
    if !holds.is_empty() {
        lines.push(format!("\n{}", paint("Held", Tone::Strong)));
    }
    for hold in holds {
        let until = hold.until_ms.map_or_else(String::new, |until| format!(", until {}", explain::time(until)));
        let (stage, since) = (hold.stage.as_deref().unwrap_or("all"), words::before(now_ms, hold.since_ms));
        let name = paint(&format!("{:<names$}", hold.name), Tone::Busy);
        lines.push(format!("  {stage:<stages$} {name} {}: {}, since {since}{until}", hold.by, hold.reason));
        lines.extend(
            hold.passed_by.iter().map(|passed| format!("{:indent$}but for {passed}", "", indent = columns.indent())),
        );
    }
    lines
}
