//! The database, the logs in it, whether a server drives, and the clock, which the logs tell.

use std::{io::ErrorKind, time::Duration};

use super::finding::{About, Findings};
use crate::{
    cli::{House, settings::Settings, words},
    driver::now_ms,
    store::{DriverLock, SqliteStore, StoreError},
};

/// How long the look through the database may take. A gigabyte takes some seconds.
const LOOK_DEADLINE: Duration = Duration::from_secs(60);

/// Whether somebody drives.
pub(super) fn server(settings: &Settings, findings: &mut Findings) {
    match DriverLock::holder(&settings.database()) {
        Some(holder) => findings.good(About::Server, None, format!("{holder} drives")),
        None => findings.warn(
            About::Server,
            None,
            "no server drives that can be seen from here: nothing is looked at, and nothing moves",
            "start `tidegate serve`",
        ),
    }
}

/// Whether the database is whole and can be written to.
pub(super) async fn database(settings: &Settings, findings: &mut Findings) {
    let path = settings.database();
    let bytes = match path.metadata() {
        Ok(metadata) if metadata.len() > 0 => metadata.len(),
        Err(error) if error.kind() != ErrorKind::NotFound => {
            let what = format!("{} cannot be looked at: {error}", path.display());
            return findings.bad(About::Database, None, what, "type this as the user that runs `tidegate serve`");
        }
        _ => {
            let what = format!("there is none yet at {}", path.display());
            return findings.warn(About::Database, None, what, "`tidegate serve` makes it");
        }
    };
    let (version, damage) = match look(settings).await {
        Ok(looked) => looked,
        Err(error) => return findings.bad(About::Database, None, error.to_string(), "it says what to do"),
    };
    let size = words::bytes(bytes);
    match damage {
        None => findings.warn(
            About::Database,
            None,
            format!("{size}, version {version}; looking through it takes longer than a minute, and was left"),
            "`tidegate verify-log` looks through all of it",
        ),
        Some(damage) if damage.is_empty() => {
            findings.good(About::Database, None, format!("{size}, version {version}, whole"));
        }
        Some(damage) => findings.bad(
            About::Database,
            None,
            format!("{} is damaged: {}", path.display(), damage.join("; ")),
            "stop the server, put the files aside, and restore the last backup; then `tidegate verify-log`",
        ),
    }
    if DriverLock::holder(&path).is_none() {
        // Who drives finds out by itself.
        if let Err(error) = SqliteStore::try_to_write(&path).await {
            findings.bad(
                About::Database,
                None,
                format!("it cannot be written to: {error}"),
                "give its user the right to",
            );
        }
    }
}

async fn look(settings: &Settings) -> Result<(i64, Option<Vec<String>>), StoreError> {
    let store = SqliteStore::open_to_read(&settings.database()).await?;
    Ok((store.schema_version().await?, store.damage(LOOK_DEADLINE).await?))
}

/// Whether the log of each system can be read, and whether its last event is in the future.
pub(super) async fn logs(house: &House, findings: &mut Findings) {
    let systems = match house.systems().await {
        Ok(systems) => systems,
        Err(error) => return findings.bad(About::Database, None, format!("{error:#}"), "it says what to do"),
    };
    let (mut ahead, mut read) = (0, 0);
    for system in &systems {
        match house.ledger.read(system, |state| state.at_ms).await {
            Ok(last_ms) => {
                read += 1;
                if let Some(said) = words::ahead_of_clock(last_ms, now_ms()) {
                    ahead += 1;
                    let remedy = "set this machine's clock by the network's (`timedatectl status` shows how it stands)";
                    findings.warn(About::Clock, Some(system.as_str()), said, remedy);
                }
            }
            Err(error) if error.is_passing() => {
                findings.warn(About::Database, Some(system.as_str()), error.to_string(), "ask again");
            }
            Err(error) => {
                let remedy = "`tidegate verify-log` says from which event on; restore the last backup";
                findings.bad(
                    About::Database,
                    Some(system.as_str()),
                    format!("its log cannot be read: {error}"),
                    remedy,
                );
            }
        }
    }
    if ahead == 0 && read > 0 {
        let logs = if read == 1 { "the log".to_owned() } else { format!("{read} logs") };
        findings.good(About::Clock, None, format!("not behind the last event of {logs}"));
    }
}
