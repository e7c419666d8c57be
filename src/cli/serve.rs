//! `tidegate serve`: watches the repositories and drives what the rules say.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::house::House;
use crate::{
    driver::{Breakpoints, Driver},
    store::DriverLock,
};

/// How often the rules files are looked at for changes.
const RULES_EVERY: Duration = Duration::from_secs(2);

/// Watch the repositories and drive what the rules say, until it is told to stop (Ctrl-C, SIGTERM). It may be killed at any
/// moment: what goes on is found again when it is started again.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Stop before and after every effect and ask the debugger that listens on this Unix socket
    #[arg(long, value_name = "SOCKET", hide_short_help = true)]
    breakpoints: Option<PathBuf>,
}

impl Serve {
    pub(super) async fn execute(self, config: &Path) -> anyhow::Result<()> {
        let house = House::open(config).await?;
        let stop = CancellationToken::new();
        let told = stop.clone();
        tokio::spawn(async move {
            told_to_stop().await;
            tracing::info!("told to stop");
            told.cancel();
        });
        serve(Arc::new(house), self.breakpoints, stop).await
    }
}

/// Drives until it is told to stop.
pub(super) async fn serve(
    house: Arc<House>,
    breakpoints: Option<PathBuf>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let _lock = DriverLock::take(&house.settings.database())?;
    for mistakes in house.load_rules().await? {
        tracing::error!("rules were refused; the last good ones stay in force\n{mistakes}");
    }
    let breakpoints = match breakpoints {
        Some(socket) => Breakpoints::connect(&socket)
            .await
            .with_context(|| format!("no debugger listens on {}", socket.display()))?,
        None => Breakpoints::none(),
    };
    let claimant = format!("pid-{}", std::process::id());
    let driver = Arc::new(Driver::new(house.ledger.clone(), Arc::new(house.tools()?), breakpoints, claimant));
    for system in house.systems().await? {
        house.load_access(&system).await?;
    }
    let systems = house.ledger.load_all().await?;
    tracing::info!(systems, database = %house.settings.database().display(), "driving");
    let reload = tokio::spawn(reload_rules(house.clone(), stop.clone()));
    let driven = driver.drive(stop).await;
    reload.abort();
    Ok(driven?)
}

/// Puts changed rules files into force while driving goes on. A file that cannot be read changes nothing.
async fn reload_rules(house: Arc<House>, stop: CancellationToken) {
    let (mut last_said, mut last_seen) = (String::new(), stamps(&house));
    while stop.run_until_cancelled(tokio::time::sleep(RULES_EVERY)).await.is_some() {
        let seen = stamps(&house);
        if seen == last_seen {
            continue;
        }
        last_seen = seen;
        let said = match house.load_rules().await {
            Ok(refused) => refused.join("\n"),
            Err(error) => format!("{error:#}"),
        };
        if said != last_said && !said.is_empty() {
            tracing::error!("rules were refused; the last good ones stay in force\n{said}");
        }
        last_said = said;
    }
}

/// When each rules file was last written, and its size: what has the same stamp is not read again.
fn stamps(house: &House) -> Vec<Option<(std::time::SystemTime, u64)>> {
    let stamp = |path: &PathBuf| {
        let metadata = path.metadata().ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    house.settings.rules.iter().map(stamp).collect()
}

async fn told_to_stop() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
