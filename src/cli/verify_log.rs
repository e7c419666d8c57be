//! `tidegate verify-log`: checks that the log is as it was written, and that all that follows from it does.

use clap::Args;

use super::{
    Asking, Source,
    output::{Output, Tone, paint, say},
};
use crate::{
    house::log_checks::LogChecked,
    rules::SystemName,
    store::{Expected, LogCheck},
};

/// Check that no event was changed, moved or taken away, and that all else that is stored is what the events give: the
/// snapshot, the pending effects, the history of runs, and what was made from what. Exit code 1 when something is not as it
/// was written.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate verify-log --system webshop")]
pub(super) struct VerifyLog {
    #[command(flatten)]
    asking: Asking,
    /// An event that the log must have still, as this command printed it before: shows a log that was cut or written anew
    #[arg(long, value_name = "SEQ:HASH")]
    expect: Option<Expected>,
}

/// A log is not as it was written; what is wrong has been printed.
#[derive(Debug, thiserror::Error)]
#[error("{} not as it was written; restore the last backup, and find out who can write to the database", .0.join(", "))]
struct Changed(Vec<String>);

impl VerifyLog {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let asked = self.asking.asked();
        let Some(answers) = source.open_for(&asked).await? else { return output.nothing_yet() };
        let mut all = Vec::new();
        answers
            .log_checks(&asked, self.expect.as_ref(), |checked| {
                if output == Output::Text {
                    say(&line(&checked.system, &checked.check))?;
                }
                all.push(checked);
                Ok(())
            })
            .await?;
        match output {
            Output::Json => output.json(&all)?,
            Output::Text if all.is_empty() => output.nothing_yet()?,
            Output::Text => {}
        }
        let broken = |checked: &LogChecked| {
            let at = checked.check.broken.as_ref()?;
            Some(match at.seq {
                Some(seq) => format!("the log of {} at event {seq} is", checked.system),
                None => format!("what is stored of {} is", checked.system),
            })
        };
        let broken: Vec<String> = all.iter().filter_map(broken).collect();
        if broken.is_empty() { Ok(()) } else { Err(Changed(broken).into()) }
    }
}

fn line(system: &SystemName, check: &LogCheck) -> String {
    let mut parts = vec![format!("{} events", check.events)];
    parts.extend(check.snapshot.map(|seq| format!("the snapshot of event {seq}")));
    parts.extend(check.runs.map(|runs| format!("{runs} ended runs")));
    parts.extend(check.links.map(|links| format!("{links} links")));
    parts.extend(check.effects.map(|effects| format!("{effects} pending effects")));
    let parts = parts.join(", ");
    match &check.broken {
        None => {
            let whole = format!("{} {system}: {parts}: as they were written", paint("✓", Tone::Good));
            let keep =
                |hash| format!("\n  {}", paint(&format!("to keep elsewhere: {}:{hash}", check.events), Tone::Quiet));
            whole + &check.hash.as_ref().map(keep).unwrap_or_default()
        }
        Some(broken) => {
            let at = broken.seq.map(|seq| format!("event {seq}: ")).unwrap_or_default();
            let before = if broken.seq.is_some() { "as they were written before it" } else { "as they were written" };
            format!("{} {system}: {at}{}\n  {before}: {parts}", paint("✗", Tone::Bad), broken.what)
        }
    }
}
