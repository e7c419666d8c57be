//! `tidegate logs`: shows what a run's steps printed.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::bail;
use clap::Args;

use super::{
    Asking, House,
    output::{Tone, colours, paint, say, shown},
};
use crate::{engine::RunId, rules::StepId};

/// How often a log that is followed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Show what a run's steps printed.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate logs bake-2 -f")]
pub(super) struct Logs {
    /// The run
    #[arg(value_parser = super::run::parse_run)]
    run: RunId,
    /// Only this step
    step: Option<StepId>,
    /// Go on until the run has ended
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    asking: Asking,
}

impl Logs {
    pub(super) async fn execute(self, config: &Path) -> anyhow::Result<()> {
        let mut house = House::open_to_read(config).await?;
        let system = house.system(&self.asking).await?;
        let known = house.ledger.read(&system, |state| state.run(&self.run).cloned()).await?;
        let known = match known {
            Some(run) => Some(run),
            None => house.ledger.store().run(&system, &self.run).await?,
        };
        let Some(run) = known else { bail!("{system} has had no run `{}`; `tidegate runs` lists them", self.run) };
        let folder = house.settings.logs().join(system.as_str()).join(run.unique_name());
        let mut reader = Reader { folder, step: self.step.clone(), read: BTreeMap::new(), last: None };
        loop {
            let goes_on = house
                .ledger
                .read(&system, |state| state.run(&self.run).is_some_and(|run| !run.state.is_ended()))
                .await?;
            reader.print_new()?;
            if !self.follow || !goes_on {
                return reader.end();
            }
            tokio::time::sleep(LOOK_EVERY).await;
            // What was at rest when it was opened is read as it was then.
            house = House::open_to_read(config).await?;
        }
    }
}

/// Prints what a step printed: as it is, but for a person without what would control the terminal.
fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    if out.is_terminal() {
        write!(out, "{}", shown(&String::from_utf8_lossy(bytes), colours()))?;
    } else {
        out.write_all(bytes)?;
    }
    Ok(())
}

/// Reads the logs of a run's steps as they grow.
struct Reader {
    folder: PathBuf,
    step: Option<StepId>,
    /// How much of each file has been read.
    read: BTreeMap<PathBuf, u64>,
    last: Option<PathBuf>,
}

impl Reader {
    fn print_new(&mut self) -> anyhow::Result<()> {
        for path in self.files()? {
            let mut file = std::fs::File::open(&path)?;
            let from = self.read.get(&path).copied().unwrap_or(0);
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            let read = file.read_to_end(&mut bytes)?;
            if read == 0 {
                continue;
            }
            if self.last.as_ref() != Some(&path) {
                let step = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                say(&paint(&format!("==> {step} <=="), Tone::Strong))?;
                self.last = Some(path.clone());
            }
            print(&bytes)?;
            self.read.insert(path, from + read as u64);
        }
        Ok(())
    }

    /// The files in the order in which their steps began.
    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let Ok(folder) = std::fs::read_dir(&self.folder) else { return Ok(Vec::new()) };
        let mut files = Vec::new();
        for entry in folder {
            let entry = entry?;
            let path = entry.path();
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if self.step.as_ref().is_none_or(|step| step.as_str() == stem) {
                let metadata = entry.metadata()?;
                files.push((metadata.created().or_else(|_| metadata.modified())?, path));
            }
        }
        files.sort();
        Ok(files.into_iter().map(|(_, path)| path).collect())
    }

    fn end(&self) -> anyhow::Result<()> {
        if self.read.is_empty() { say("nothing has been printed") } else { Ok(()) }
    }
}
