//! `tidegate release`: promotes several systems as one, or shows how far that is.

use clap::Args;

use super::{
    Source,
    asking::Who,
    output::{Output, say},
    status::releases::sentence,
};
use crate::{
    engine::version::release::Standing,
    rules::{StageName, SystemName},
    view::{
        answers::{ReleaseAsked, ReleaseTold},
        status::HalfReleased,
    },
};

/// Promote several systems as one: each fulfils its own conditions, and all merge when all can; when one of them ends
/// before that, the others end too. Without `--systems`, show how far a release is.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate release spring-fair --systems webshop,billing --from qa --to main")]
pub(super) struct Release {
    /// Its name
    name: String,
    /// The systems, with commas between them
    #[arg(long, value_delimiter = ',', requires_all = ["from", "to"])]
    systems: Vec<SystemName>,
    /// The stage they are taken from
    #[arg(long, requires = "systems")]
    from: Option<StageName>,
    /// The stage they are merged into
    #[arg(long, requires = "systems")]
    to: Option<StageName>,
    #[command(flatten)]
    who: Who,
}

impl Release {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let who = self.who.asker();
        let (Some(from), Some(to)) = (self.from, self.to) else {
            return show(&source.open_to_read().await?.release_told(&who, &self.name).await?, output);
        };
        let asked = ReleaseAsked { release: self.name, systems: self.systems.into_iter().collect(), from, to };
        let begun = source.open().await?.release(&who, asked).await?;
        let done = format!("{0} is on its way: `tidegate release {0}` shows how far", begun.release);
        output.done(&done, &begun)
    }
}

fn show(told: &ReleaseTold, output: Output) -> anyhow::Result<()> {
    match output {
        Output::Json => output.json(&told.systems),
        Output::Text => {
            told.systems.iter().try_for_each(|(system, standing)| say(&line(system, standing)))?;
            let half = HalfReleased::of(&told.release, &told.to, &told.systems);
            half.map_or(Ok(()), |half| say(&sentence(&half)))
        }
    }
}

fn line(system: &SystemName, standing: &Standing) -> String {
    let (run, words) = match standing {
        Standing::Missing => return format!("{system:<14} was not asked"),
        Standing::OnItsWay { run, waits_for } => (run, format!("waits for {waits_for}")),
        Standing::Ready { run } => (run, "is ready, and waits for the others".to_owned()),
        Standing::Merging { run } => (run, "merges".to_owned()),
        Standing::Done { run, .. } => (run, "is done".to_owned()),
        Standing::Ended { run, reason, .. } => (run, format!("ended: {reason}")),
    };
    format!("{system:<14} {run:<14} {words}")
}
