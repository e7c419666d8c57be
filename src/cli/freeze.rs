//! `tidegate freeze`, `thaw` and `override`: nothing moves in a stage until a time, but for what somebody lets pass.

use clap::Args;

use super::{Asking, Source, moment, output::Output, request::AskingEach};
use crate::{
    driver::now_ms,
    engine::{Command, RunId, explain},
    rules::{Span, StageName},
};

/// Move nothing into a stage, or anywhere: no commit, merge or deployment starts before the freeze ends. Builds, checks and
/// approvals go on.
#[derive(Debug, Args)]
pub(super) struct Freeze {
    /// The stage; every stage when it is left out
    #[arg(long)]
    stage: Option<StageName>,
    /// When it ends, as in `2027-01-04 08:00` (UTC) or `2027-01-04T09:00:00+01:00`
    #[arg(
        long, value_name = "TIME", value_parser = super::moment::as_typed,
        required_unless_present = "length", conflicts_with = "length"
    )]
    until: Option<String>,
    /// How long it lasts, as in `90m` or `3d`
    #[arg(long = "for", id = "length", value_name = "SPAN")]
    length: Option<Span>,
    /// Why; everybody who asks why something has not moved is shown it
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    asking: AskingEach,
}

/// End a freeze before its time: what it held goes on.
#[derive(Debug, Args)]
pub(super) struct Thaw {
    /// The freeze, as `tidegate status` names it
    freeze: String,
    #[command(flatten)]
    asking: Asking,
}

/// Let one run pass a freeze, and what comes of it in the same stage.
#[derive(Debug, Args)]
pub(super) struct Override {
    /// The freeze, as `tidegate status` names it
    freeze: String,
    /// The run that may pass
    #[arg(value_parser = super::run::parse_run)]
    run: RunId,
    /// Why; it is in the log for ever
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    asking: Asking,
}

impl Freeze {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let now_ms = now_ms();
        let until_ms = match (&self.until, self.length) {
            (Some(text), _) => moment::parse(text, now_ms)?,
            (None, length) => now_ms.saturating_add(length.map_or(0, Span::as_ms)),
        };
        let of = self.stage.as_ref().map_or_else(String::new, |stage| format!(" in {stage}"));
        let done = format!("is frozen{of} until {}", explain::time(until_ms));
        self.asking
            .ask(source, output, &Command::Freeze { stage: self.stage, until_ms, reason: self.reason }, &done)
            .await
    }
}

impl Thaw {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let done = format!("{} is over", self.freeze);
        self.asking.ask(source, output, Command::Thaw { freeze: self.freeze }, &done).await
    }
}

impl Override {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let done = format!("{} may pass {}", self.run, self.freeze);
        let command = Command::Override { freeze: self.freeze, run: self.run, reason: self.reason };
        self.asking.ask(source, output, command, &done).await
    }
}
