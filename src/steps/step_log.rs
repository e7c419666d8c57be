//! What a step tells a person while it works: a text file per step, which `tidegate logs` follows.

use std::path::{Path, PathBuf};

use tokio::{fs::OpenOptions, io::AsyncWriteExt};

use crate::{
    engine::StepOutcome,
    rules::{StepId, SystemName},
};

/// The log of one step. Writing it is best effort: a log that cannot be written never fails a step.
pub struct StepLog {
    path: PathBuf,
}

impl StepLog {
    /// The log of a step below `logs`; `run` is the run's unique name.
    #[must_use]
    pub fn new(logs: &Path, system: &SystemName, run: &str, step: &StepId) -> Self {
        // What an act says stands in the log of the step that planned it.
        let step = step.as_str().split('/').next().unwrap_or_default();
        Self { path: logs.join(system.as_str()).join(run).join(format!("{step}.log")) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line.
    pub async fn line(&self, text: &str) {
        self.bytes(format!("{}\n", text.trim_end()).as_bytes()).await;
    }

    /// Adds what a command printed.
    pub async fn output(&self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.bytes(bytes).await;
            if !bytes.ends_with(b"\n") {
                self.bytes(b"\n").await;
            }
        }
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

    async fn bytes(&self, bytes: &[u8]) {
        let write = async {
            if let Some(folder) = self.path.parent() {
                tokio::fs::create_dir_all(folder).await?;
            }
            let mut file = OpenOptions::new().create(true).append(true).open(&self.path).await?;
            file.write_all(bytes).await?;
            file.flush().await
        };
        if let Err(error) = write.await {
            tracing::warn!(log = %self.path.display(), %error, "a step's log could not be written");
        }
    }
}
