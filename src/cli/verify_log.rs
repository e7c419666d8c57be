//! `tidegate verify-log`: checks that the log is as it was written, and that all that follows from it does.

use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::{
    Asking, House,
    output::{Output, Tone, paint, say},
    progress::Progress,
};
use crate::{rules::SystemName, store::LogCheck};

/// Check that no event was changed, moved or taken away, and that the snapshot and the pending effects are what the events
/// give. Exit code 1 when something is not as it was written.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate verify-log --system webshop")]
pub(super) struct VerifyLog {
    #[command(flatten)]
    asking: Asking,
}

/// What was checked of one system, and what was found.
#[derive(Serialize)]
struct Checked {
    system: SystemName,
    #[serde(flatten)]
    check: LogCheck,
}

/// A log is not as it was written; what is wrong has been printed.
#[derive(Debug, thiserror::Error)]
#[error("{} not as it was written; restore the last backup, and find out who can write to the database", .0.join(", "))]
struct Changed(Vec<String>);

impl VerifyLog {
    pub(super) async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        let house = House::open(config).await?;
        let systems = house.systems_shown(&self.asking).await?;
        let mut all = Vec::new();
        for system in systems {
            let progress = Progress::of(format!("checking {system}"));
            let tell = |done, whole| progress.tell(done, whole);
            let check = house.ledger.store().verify_log_telling(&system, &tell).await?;
            drop(progress);
            if output == Output::Text {
                say(&line(&system, &check))?;
            }
            all.push(Checked { system, check });
        }
        match output {
            Output::Json => output.json(&all)?,
            Output::Text if all.is_empty() => say("no system has been started yet: there is no log")?,
            Output::Text => {}
        }
        let broken = |checked: &Checked| {
            let at = checked.check.broken.as_ref()?;
            Some(format!("the log of {} at event {} is", checked.system, at.seq))
        };
        let broken: Vec<String> = all.iter().filter_map(broken).collect();
        if broken.is_empty() { Ok(()) } else { Err(Changed(broken).into()) }
    }
}

fn line(system: &SystemName, check: &LogCheck) -> String {
    let mut parts = vec![format!("{} events", check.events)];
    parts.extend(check.snapshot.map(|seq| format!("the snapshot of event {seq}")));
    parts.extend(check.effects.map(|effects| format!("{effects} pending effects")));
    let parts = parts.join(", ");
    match &check.broken {
        None => format!("{} {system}: {parts}: as they were written", paint("✓", Tone::Good)),
        Some(broken) => {
            let wrong = format!("event {}: {}", broken.seq, broken.what);
            format!("{} {system}: {}\n  as they were written before it: {parts}", paint("✗", Tone::Bad), wrong)
        }
    }
}
