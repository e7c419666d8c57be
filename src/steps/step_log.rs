//! What a step tells a person while it works. What is written lies in a file of this machine only until it is in the object
//! store, where `tidegate logs` reads it: a step may be tried on several machines, and has one log.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{fs::OpenOptions, io::AsyncWriteExt, sync::Mutex, time::Instant};

use crate::{
    engine::StepOutcome,
    providers::{
        Fault,
        objects::{self, Objects},
    },
    rules::{StepId, SystemName},
};

/// How long what a step prints may lie on this machine alone while it goes on.
const STORE_EVERY: Duration = Duration::from_secs(10);
/// What has lain so long on this machine was left there.
const LEFT_AFTER: Duration = Duration::from_secs(600);
/// The longest log of a step. Of a longer one its beginning and its end are kept.
const MOST_BYTES: usize = 4 << 20;
/// How much of the beginning.
const BEGINNING_BYTES: usize = 1 << 20;
/// What stands where something is left out.
const LEFT_OUT: &[u8] = b"\n[a part of this log is left out: it is too long]\n";

/// The log of one step. Writing it is best effort: a log that cannot be written never fails a step.
pub struct StepLog {
    /// What is not in the store yet.
    file: PathBuf,
    /// The name in the store.
    object: String,
    objects: Arc<dyn Objects>,
    /// When what is in the file was last put into the store, or began to lie there.
    stored: Mutex<Instant>,
}

impl StepLog {
    /// The log of a step, with what is not stored yet below `logs`; `run` is the run's unique name.
    #[must_use]
    pub fn new(logs: &Path, objects: Arc<dyn Objects>, system: &SystemName, run: &str, step: &StepId) -> Self {
        let object = object_of(system, run, step);
        let file = file_of(logs, &object);
        Self { file, object, objects, stored: Mutex::new(Instant::now()) }
    }

    /// Adds a line.
    pub async fn line(&self, text: &str) {
        self.bytes(format!("{}\n", text.trim_end()).as_bytes()).await;
    }

    /// Adds what a command printed.
    pub async fn output(&self, bytes: &[u8]) {
        if bytes.is_empty() || bytes.ends_with(b"\n") {
            return self.bytes(bytes).await;
        }
        self.bytes(&[bytes, b"\n"].concat()).await;
    }

    /// Adds how it ended.
    pub(super) async fn outcome(&self, outcome: &StepOutcome) {
        match outcome {
            StepOutcome::Pending { .. } | StepOutcome::Observed(_) => {}
            StepOutcome::Done { outputs, .. } => {
                for (name, value) in outputs {
                    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    self.line(&format!("  {name}: {value}")).await;
                }
                self.line("done").await;
            }
            StepOutcome::Retry { error, .. } => self.line(&format!("to be tried again: {error}")).await,
            StepOutcome::Failed { error, hint } => self.line(&format!("failed: {error}\n  {hint}")).await,
            StepOutcome::Cancelled => self.line("cancelled").await,
        }
    }

    /// Puts what was written into the store.
    pub async fn store(&self) {
        let mut stored = self.stored.lock().await;
        *stored = Instant::now();
        if let Err(error) = store(&self.file, &self.object, &*self.objects).await {
            tracing::warn!(log = %self.file.display(), %error, "a step's log stays on this machine for now");
        }
    }

    async fn bytes(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let is_late = {
            // Held, so that nothing is added while what is there goes to the store.
            let stored = self.stored.lock().await;
            let write = async {
                if let Some(folder) = self.file.parent() {
                    tokio::fs::create_dir_all(folder).await?;
                }
                let mut file = OpenOptions::new().create(true).append(true).open(&self.file).await?;
                file.write_all(bytes).await?;
                file.flush().await
            };
            if let Err(error) = write.await {
                tracing::warn!(log = %self.file.display(), %error, "a step's log could not be written");
            }
            stored.elapsed() > STORE_EVERY
        };
        if is_late {
            self.store().await;
        }
    }
}

/// Where the logs of a run are in the store; `run` is its unique name.
fn folder_of(system: &SystemName, run: &str) -> String {
    format!("logs/{system}/{run}/")
}

fn object_of(system: &SystemName, run: &str, step: &StepId) -> String {
    // What an act says stands in the log of the step that planned it.
    let step = step.as_str().split('/').next().unwrap_or_default();
    format!("{}{step}.log", folder_of(system, run))
}

/// Where an object's newest part lies until it is stored.
fn file_of(logs: &Path, object: &str) -> PathBuf {
    logs.join(object.strip_prefix("logs/").unwrap_or(object))
}

/// Adds what lies in a file to an object, and removes the file. One that dies between the two adds it twice, which a log bears.
async fn store(file: &Path, object: &str, objects: &dyn Objects) -> Result<(), Fault> {
    let unread = |error: std::io::Error| Fault::retry(format!("read {}: {error}", file.display()));
    let written = match tokio::fs::read(file).await {
        Ok(written) => written,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unread(error)),
    };
    let added = |before: Option<&[u8]>| Ok(bounded([before.unwrap_or_default(), &written].concat()));
    objects::update(objects, object, added).await?;
    tokio::fs::remove_file(file).await.map_err(unread)
}

/// A log that is not too long.
fn bounded(log: Vec<u8>) -> Vec<u8> {
    if log.len() <= MOST_BYTES {
        return log;
    }
    let end = log.len() - (MOST_BYTES - BEGINNING_BYTES - LEFT_OUT.len());
    [&log[..BEGINNING_BYTES], LEFT_OUT, &log[end..]].concat()
}

/// All that a run has printed so far, by step: what is stored, and what lies on this machine. `steps` are those of the run, in
/// the order in which they are told; others that have a log come after them.
///
/// # Errors
/// Those of the store.
pub async fn printed(
    logs: &Path,
    objects: &dyn Objects,
    (system, run): (&SystemName, &str),
    steps: &[StepId],
) -> Result<Vec<(StepId, Vec<u8>)>, Fault> {
    let folder = folder_of(system, run);
    let stored = objects.list(&folder).await?;
    let id = |object: &String| StepId::new(object.strip_prefix(&folder)?.strip_suffix(".log")?).ok();
    let others = stored.iter().filter_map(id).filter(|id| !steps.contains(id)).collect::<Vec<_>>();
    let mut printed = Vec::new();
    for step in steps.iter().chain(&others) {
        let log = printed_by(logs, objects, (system, run), step).await?;
        if !log.is_empty() {
            printed.push((step.clone(), log));
        }
    }
    Ok(printed)
}

/// All that a step has printed so far; nothing where there is no such step.
///
/// # Errors
/// Those of the store.
pub async fn printed_by(
    logs: &Path,
    objects: &dyn Objects,
    (system, run): (&SystemName, &str),
    step: &StepId,
) -> Result<Vec<u8>, Fault> {
    let object = object_of(system, run, step);
    let file = file_of(logs, &object);
    let mut before = objects.get_version(&object).await?;
    loop {
        let newest = tokio::fs::read(&file).await.unwrap_or_default();
        let after = objects.get_version(&object).await?;
        // What was stored between the two looks would be there twice, or not at all.
        if before == after {
            return Ok([after.map(|(bytes, _)| bytes).unwrap_or_default(), newest].concat());
        }
        before = after;
    }
}

/// Puts into the store what was left below `logs` by steps that ended before they could, with whatever died.
pub async fn store_left(logs: &Path, objects: &dyn Objects) {
    let folders = |folder: PathBuf| async move {
        let mut inside = Vec::new();
        let Ok(mut entries) = tokio::fs::read_dir(folder).await else { return inside };
        while let Ok(Some(entry)) = entries.next_entry().await {
            inside.push(entry.path());
        }
        inside
    };
    for system in folders(logs.to_owned()).await {
        for run in folders(system).await {
            for file in folders(run.clone()).await.into_iter().filter(|file| is_left(file)) {
                let Some(name) = file.strip_prefix(logs).ok().and_then(Path::to_str) else { continue };
                if let Err(error) = store(&file, &format!("logs/{name}"), objects).await {
                    tracing::warn!(log = %file.display(), %error, "a step's log stays on this machine for now");
                    return;
                }
            }
            // Only when nothing is in it.
            drop(tokio::fs::remove_dir(run).await);
        }
    }
}

/// Whether nobody writes to a log any more: who does stores it more often.
fn is_left(file: &Path) -> bool {
    let written = file.metadata().and_then(|metadata| metadata.modified()).ok();
    written.and_then(|written| written.elapsed().ok()).is_some_and(|since| since > LEFT_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_log_that_is_too_long_the_beginning_and_the_end_are_kept() {
        let log: Vec<u8> = (0..MOST_BYTES).flat_map(|number| format!("{number}\n").into_bytes()).collect();
        let kept = bounded(log.clone());
        assert_eq!(kept.len(), MOST_BYTES);
        assert!(kept.starts_with(&log[..BEGINNING_BYTES]) && kept.ends_with(&log[log.len() - BEGINNING_BYTES..]));
        assert!(kept.windows(LEFT_OUT.len()).any(|part| part == LEFT_OUT));
        assert_eq!(bounded(kept.clone()), kept, "and it stays so");
    }
}
