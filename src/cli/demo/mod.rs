//! `tidegate demo`: the main job, end to end, on this machine, with real repositories. Killed and started again with the
//! same folder, it goes on where it was; when it is done, it only reports.

mod answers;
mod folder;
mod progress;
pub mod report;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;
use tokio_util::sync::CancellationToken;

use self::{answers::Answers, folder::Folder, progress::Progress, report::DemoReport};
use super::{
    House,
    output::{Output, say},
    private,
    serve::serve,
};
use crate::{
    engine::{RunState, System},
    providers::local_service::LocalService,
    rules::{StageName, SystemName},
};

/// The demo's system.
const SYSTEM: &str = "webshop";
/// The last stage: when it is verified, the demo is done.
const LAST_STAGE: &str = "main";

/// Show the main job, end to end: a commit becomes a tarball, a pin, an image, a pin, a linted template, an approval, a
/// deployment that answers its health check, and then the same artifacts in qa and in production.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate demo --dir /tmp/tide --yes")]
pub(super) struct Demo {
    /// The demo's folder; made where it is missing, gone on with where it is not
    #[arg(long, default_value = "tidegate-demo", value_name = "DIR")]
    dir: PathBuf,
    /// Let Grace, the demo's second person, approve without asking
    #[arg(long, short)]
    yes: bool,
    /// Leave the three services running at the end
    #[arg(long)]
    keep: bool,
    /// Give up after so many seconds
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    deadline: u64,
    /// Stop before and after every effect and ask the debugger that listens on this Unix socket
    #[arg(long, value_name = "SOCKET", hide = true)]
    breakpoints: Option<PathBuf>,
}

impl Demo {
    pub(super) async fn execute(self, output: Output) -> anyhow::Result<()> {
        private::close();
        let started = Instant::now();
        let folder = Folder::prepare(&self.dir)?;
        let house = Arc::new(House::open(&folder.config()).await?);
        let system = SystemName::new(SYSTEM).expect("a literal that is a valid name");
        let mut progress = Progress::new(output, folder.root());
        let was_done = house.ledger.read(&system, is_done).await?;
        if !was_done {
            progress.begin()?;
            let refused = house.load_rules_files().await?.refused;
            if house.systems().await?.is_empty() {
                bail!("{}", refused.join("\n"));
            }
            let stop = CancellationToken::new();
            let server = tokio::spawn(serve(house.clone(), self.breakpoints.clone(), None, None, stop.clone()));
            let watched = self.watch(&house, &system, &folder, &mut progress, server).await;
            stop.cancel();
            watched?;
        }
        if !self.keep {
            stop_services(&house, &system).await?;
        }
        let report = DemoReport::of(&house, &system, folder.root(), was_done, started.elapsed()).await?;
        match output {
            Output::Json => output.json(&report),
            Output::Text => say(&report.text(&program(), self.keep)),
        }
    }

    /// Pushes the change once the repositories are known, answers what is asked, and waits for the end.
    async fn watch(
        &self,
        house: &Arc<House>,
        system: &SystemName,
        folder: &Folder,
        progress: &mut Progress,
        server: tokio::task::JoinHandle<anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let mut changes = house.ledger.store().changes();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(self.deadline);
        let mut answers = Answers::new(self.yes);
        let mut pushed = false;
        tokio::pin!(server);
        loop {
            changes.mark_unchanged();
            if !pushed && house.ledger.read(system, all_seen).await? {
                let (commit, was_there) = folder.push_change()?;
                progress.pushed(&commit, was_there)?;
                pushed = true;
            }
            progress.show(house, system).await?;
            if house.ledger.read(system, is_done).await? {
                return Ok(());
            }
            if let Some(failed) = house.ledger.read(system, failure).await? {
                bail!("{failed}\n  look at it: {} --config {} status", program(), folder.config().display());
            }
            answers.give(house, system, progress).await?;
            tokio::select! {
                changed = changes.changed() => changed.context("the store has gone away")?,
                ended = &mut server => return ended.context("the driver ended badly")?.and_then(|()| bail!("the driver was stopped")),
                () = tokio::time::sleep_until(deadline) => {
                    bail!("not done after {} s; type the same again to go on, or look: {} --config {} status", self.deadline, program(), folder.config().display())
                }
            }
        }
    }
}

/// How this program is started from here: by its name where that leads to it, else by its path.
fn program() -> String {
    let Ok(own) = std::env::current_exe().and_then(|own| own.canonicalize()) else { return "tidegate".to_owned() };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("tidegate")).find(|file| file.is_file());
    let is_own = found.and_then(|file| file.canonicalize().ok()).is_some_and(|file| file == own);
    if is_own { "tidegate".to_owned() } else { own.display().to_string() }
}

fn all_seen(state: &System) -> bool {
    !state.repositories.is_empty() && state.repositories.values().all(|watched| !watched.seen.is_empty())
}

/// Whether the change is verified in the last stage and nothing goes on any more.
fn is_done(state: &System) -> bool {
    let last = StageName::new(LAST_STAGE).expect("a literal that is a valid name");
    state.verified.contains_key(&last) && state.live_runs().next().is_none()
}

/// What went wrong, if something did.
fn failure(state: &System) -> Option<String> {
    let failed = state.all_runs().find(|run| matches!(run.state, RunState::Failed | RunState::Aborted))?;
    let hint = failed.steps.iter().find_map(|step| step.hint.clone()).unwrap_or_default();
    Some(format!("{} did not succeed: {}; {hint}", failed.id, failed.reason.clone().unwrap_or_default()))
}

/// Ends the services that the demo started.
async fn stop_services(house: &House, system: &SystemName) -> anyhow::Result<()> {
    let data: &Path = &house.settings.data;
    let objects = house.settings.objects().open()?;
    let Ok(stages) = std::fs::read_dir(data.join("environments").join(system.as_str())) else { return Ok(()) };
    for stage in stages {
        let environment = stage?.path();
        LocalService { environment, objects: Arc::clone(&objects), sandbox: house.settings.sandbox()? }.stop().await?;
    }
    Ok(())
}
