//! `tidegate history`: lists what happened, in order, in words.

use clap::Args;

use super::{
    Asking, Source,
    output::{Output, Tone, paint, say},
};
use crate::{
    engine::{Event, Recorded, explain},
    store::CallNote,
    view::{history::words, words::first_line},
};

/// List what happened, in order. The log is never shortened; `--since` pages through it.
#[derive(Debug, Args)]
#[command(after_help = "Examples: tidegate history --limit 50\n          tidegate history --calls --system webshop")]
pub(super) struct History {
    /// How many events at most
    #[arg(long, default_value_t = 30)]
    limit: u32,
    /// From this place in the log on; without it, the newest events
    #[arg(long, value_name = "SEQ")]
    since: Option<u64>,
    /// What was asked over HTTP to be done, with who, how they had signed in, and from where: also what was refused, and who
    /// signed in. The newest, of every system where none is named
    #[arg(long, conflicts_with = "since")]
    calls: bool,
    #[command(flatten)]
    asking: Asking,
}

impl History {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        if self.calls {
            source.only_here("the account of calls is shown to whoever can read the store")?;
            return self.list_calls(source, output).await;
        }
        let answers = source.open_to_read().await?;
        let system = answers.system(&self.asking.asked()).await?;
        let events = answers.history(&system, self.since, self.limit).await?;
        match output {
            Output::Json => output.json(&events),
            Output::Text => events.iter().try_for_each(|event| say(&line(event))),
        }
    }
}

impl History {
    async fn list_calls(&self, source: &Source, output: Output) -> anyhow::Result<()> {
        let house = source.house_to_read().await?;
        let asked = self.asking.asked();
        let system = match &asked.system {
            Some(_) => Some(house.system(&asked).await?),
            None => None,
        };
        let mut calls = house.ledger.store().calls(system.as_ref(), self.limit).await?;
        calls.reverse();
        match output {
            Output::Json => output.json(&calls),
            Output::Text if calls.is_empty() => say("nothing was asked over HTTP"),
            Output::Text => calls.iter().try_for_each(|call| say(&call_line(call))),
        }
    }
}

fn call_line(call: &CallNote) -> String {
    let CallNote { at_ms, request, from, who, signed_in_by, system, asked, status, why, seq } = call;
    let who = who.as_deref().unwrap_or("nobody who had signed in");
    let way_in = signed_in_by.as_ref().map_or_else(String::new, |way_in| format!(" by {way_in}"));
    let system = system.as_ref().map_or_else(String::new, |system| format!("{system}: "));
    let became = match status {
        ..400 => paint("done   ", Tone::Good),
        400..500 => paint("refused", Tone::Bad),
        500.. => paint("failed ", Tone::Bad),
    };
    let end = match (seq, why) {
        (Some(seq), _) => format!(": event {seq}"),
        (None, Some(why)) => format!(": {}", first_line(why)),
        (None, None) => String::new(),
    };
    let at = paint(&explain::time(*at_ms), Tone::Quiet);
    let request = paint(request, Tone::Quiet);
    format!("{at}  {became}  {system}{who} ({from}{way_in}) {asked}{end}  {request}")
}

fn line(recorded: &Recorded<Event>) -> String {
    let at = paint(&format!("{:>5}  {}", recorded.seq, explain::time(recorded.at_ms)), Tone::Quiet);
    format!("{at}  {}", words(&recorded.event, paint))
}
