//! `tidegate serve`: watches the repositories and drives what the rules say.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::SignalKind;
use tokio_util::sync::CancellationToken;

use super::{asking::asker, house::House, in_force::Brought, private, signals::told_to_stop, words};
use crate::{
    driver::{Breakpoints, Driver, now_ms},
    engine::Command,
    rules::SystemName,
    store::{DriverLock, StoreError},
};

/// How often the rules files are looked at for changes.
const RULES_EVERY: Duration = Duration::from_secs(2);
/// How often a full disk is tried again.
const ROOM_EVERY: Duration = Duration::from_secs(10);

const AFTER_HELP: &str = "Example: tidegate serve --paused \"trying the rules\", and then \
`tidegate simulate push software dev --from .`";

/// Watch the repositories and drive what the rules say, until it is told to stop (Ctrl-C, SIGTERM). It may be killed at any
/// moment: what goes on is found again when it is started again.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Serve {
    /// Stop before and after every effect and ask the debugger that listens on this Unix socket
    #[arg(long, value_name = "SOCKET", hide_short_help = true)]
    breakpoints: Option<PathBuf>,
    /// Begin paused, for this reason: repositories are looked at, nothing starts until `tidegate resume`
    #[arg(long, value_name = "REASON")]
    paused: Option<String>,
    /// Who asks for the pause; must be among the people of the settings file where it lists any
    #[arg(long = "as", value_name = "NAME", default_value_t = asker(), hide_default_value = true)]
    who: String,
}

impl Serve {
    pub(super) async fn execute(self, config: &Path) -> anyhow::Result<()> {
        private::close();
        let house = waiting_for_room(|| House::open(config)).await?;
        let stop = CancellationToken::new();
        let told = stop.clone();
        tokio::spawn(async move {
            told_to_stop(&[SignalKind::interrupt(), SignalKind::terminate()]).await;
            tracing::info!("told to stop");
            told.cancel();
        });
        let pause = self.paused.as_deref().map(|reason| (self.who.as_str(), reason));
        serve(Arc::new(house), self.breakpoints, pause, stop).await
    }
}

/// Tries again for as long as there is no room on the disk: as the words of that error promise.
async fn waiting_for_room<T>(doing: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    loop {
        match doing().await {
            Err(error) if error.downcast_ref::<StoreError>().is_some_and(StoreError::is_full) => {
                tracing::error!("{error:#}");
                tokio::time::sleep(ROOM_EVERY).await;
            }
            done => return done,
        }
    }
}

/// Drives until it is told to stop. With a pause (who asks for it, and why), nothing starts before that is over.
pub(super) async fn serve(
    house: Arc<House>,
    breakpoints: Option<PathBuf>,
    pause: Option<(&str, &str)>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let _lock = DriverLock::take(&house.settings.database())?;
    let seen = stamps(&house);
    for refused in house.load_rules_files().await?.refused {
        tracing::error!("{refused}");
    }
    let sandbox = house.settings.sandbox()?;
    if !sandbox.is_on() {
        tracing::warn!("`sandbox = \"none\"`: commands of repositories can do all that this server can");
    } else if let Err(missing) = sandbox.probe() {
        tracing::error!("steps that run commands will fail: {missing}");
    }
    let breakpoints = match breakpoints {
        Some(socket) => Breakpoints::connect(&socket)
            .await
            .with_context(|| format!("no debugger listens on {}", socket.display()))?,
        None => Breakpoints::none(),
    };
    let claimant = format!("pid-{}", std::process::id());
    let driver = Arc::new(Driver::new(house.ledger.clone(), Arc::new(house.tools()?), breakpoints, claimant));
    let (systems, unloaded) = house.ledger.load_all().await?;
    for (system, error) in &unloaded {
        tracing::error!(%system, %error, "a system cannot be read and is left alone; the others are driven");
    }
    let is_read = |system: &SystemName| unloaded.iter().all(|(unread, _)| unread != system);
    let read: Vec<SystemName> = house.systems().await?.into_iter().filter(is_read).collect();
    for system in &read {
        house.load_access(system).await?;
        say_if_ahead(&house, system).await?;
    }
    if let Some((who, reason)) = pause {
        begin_paused(&house, &read, who, reason).await?;
    }
    tracing::info!(systems, database = %house.settings.database().display(), "driving");
    let pause = pause.map(|(who, reason)| (who.to_owned(), reason.to_owned()));
    let reload = tokio::spawn(reload_rules(house.clone(), seen, pause, stop.clone()));
    let driven = driver.drive(stop).await;
    reload.abort();
    Ok(driven?)
}

/// Pauses those of the systems that are not paused yet.
async fn begin_paused(house: &House, systems: &[SystemName], who: &str, reason: &str) -> anyhow::Result<()> {
    for system in systems {
        if !house.ledger.read(system, |state| state.paused.is_some()).await? {
            let pause = Command::Pause { reason: reason.to_owned() };
            house.command(system, who, pause).await.with_context(|| format!("{system} was not paused"))?;
        }
    }
    Ok(())
}

/// Says when the last event of a log is in the future: somebody's clock was ahead.
async fn say_if_ahead(house: &House, system: &SystemName) -> anyhow::Result<()> {
    let last_ms = house.ledger.read(system, |state| state.at_ms).await?;
    if let Some(ahead) = words::ahead_of_clock(last_ms, now_ms()) {
        tracing::warn!(%system, "{ahead}");
    }
    Ok(())
}

/// Brings changed rules files into force while driving goes on. A system that begins meanwhile begins paused where the
/// others did.
async fn reload_rules(
    house: Arc<House>,
    mut last_seen: Vec<Stamp>,
    pause: Option<(String, String)>,
    stop: CancellationToken,
) {
    let mut last_said = String::new();
    while stop.run_until_cancelled(tokio::time::sleep(RULES_EVERY)).await.is_some() {
        let seen = stamps(&house);
        if seen == last_seen {
            continue;
        }
        let said = match reload_once(&house, pause.as_ref()).await {
            Ok(refused) => {
                last_seen = seen;
                refused.join("\n")
            }
            Err(error) => format!("rules could not be brought into force: {error:#}"),
        };
        if said != last_said && !said.is_empty() {
            tracing::error!("{said}");
        }
        last_said = said;
    }
}

async fn reload_once(house: &House, pause: Option<&(String, String)>) -> anyhow::Result<Vec<String>> {
    let Brought { refused, begun } = house.load_rules_files().await?;
    if let Some((who, reason)) = pause {
        begin_paused(house, &begun, who, reason).await?;
    }
    Ok(refused)
}

/// When a rules file was last written, and its size: what has the same stamp is not read again.
type Stamp = Option<(std::time::SystemTime, u64)>;

fn stamps(house: &House) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let metadata = path.metadata().ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    house.settings.rules.iter().map(stamp).collect()
}
