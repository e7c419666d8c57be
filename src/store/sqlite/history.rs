//! What has been: runs that ended, and what was made from what.

use sqlx::{query, sqlite::SqliteRow};

use super::SqliteStore;
use crate::{
    engine::{Artifact, Link, Run, RunId, StepPlace},
    rules::{StageName, StepId, SystemName},
    store::{Direction, RunFilter, StoreError, standing::state_name},
};

impl SqliteStore {
    pub(super) async fn ended_runs(&self, system: &SystemName, filter: &RunFilter) -> Result<Vec<Run>, StoreError> {
        let RunFilter { subject, stage, state, before, limit } = filter;
        let sql = "SELECT run FROM runs
                   WHERE system = ?1 AND (?2 IS NULL OR subject = ?2) AND (?3 IS NULL OR stage = ?3)
                     AND (?4 IS NULL OR state = ?4) AND (?5 IS NULL OR number < ?5)
                   ORDER BY number DESC LIMIT ?6";
        let runs = query(sql)
            .bind(system.as_str())
            .bind(subject.as_deref())
            .bind(stage.as_ref().map(StageName::as_str))
            .bind(state.map(state_name))
            .bind(before.map(u64::cast_signed))
            .bind(limit);
        let rows = self.rows("read the history of runs", runs).await?;
        rows.iter().map(|row| self.ended(row)).collect()
    }

    pub(super) async fn ended_run(&self, system: &SystemName, id: &RunId) -> Result<Option<Run>, StoreError> {
        let run = query("SELECT run FROM runs WHERE system = ? AND id = ?").bind(system.as_str()).bind(id.as_str());
        let rows = self.rows("read a run", run).await?;
        rows.first().map(|row| self.ended(row)).transpose()
    }

    pub(super) async fn artifacts_named(
        &self,
        system: &SystemName,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<Artifact>, StoreError> {
        // All texts that begin so lie between the prefix and the prefix with the last of all characters after it.
        let end = format!("{prefix}{}", char::MAX);
        let sql = "SELECT kind, name, uri FROM artifacts
                   WHERE system = ?1 AND (name BETWEEN ?2 AND ?3 OR bare BETWEEN ?2 AND ?3)
                   ORDER BY name <> ?2 AND bare <> ?2, name, kind LIMIT ?4";
        let query = query(sql).bind(system.as_str()).bind(prefix).bind(end).bind(limit);
        let rows = self.rows("look for an artifact", query).await?;
        let mut artifacts: Vec<Artifact> =
            rows.iter().map(|row| self.artifact(row, 0)).collect::<Result<_, StoreError>>()?;
        let is_exact = |artifact: &Artifact| artifact.name == prefix;
        if artifacts.iter().any(is_exact) {
            artifacts.retain(is_exact);
        }
        if artifacts.is_empty() {
            return self.artifacts_filed(system, prefix, limit).await;
        }
        Ok(artifacts)
    }

    /// The artifacts whose file's name begins so: a tarball is pinned by that, `software-d6118725803a`, not by its digest.
    async fn artifacts_filed(
        &self,
        system: &SystemName,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<Artifact>, StoreError> {
        // What is trimmed is all but the slashes at the end: the file's name, which begins after the last of them.
        let sql = "SELECT kind, name, uri FROM artifacts
                   WHERE system = ?1 AND ?2 <> '' AND instr(uri, '/') > 0
                     AND instr(substr(uri, length(rtrim(uri, replace(uri, '/', ''))) + 1), ?2) = 1
                   ORDER BY name, kind LIMIT ?3";
        let query = query(sql).bind(system.as_str()).bind(prefix).bind(limit);
        let rows = self.rows("look for an artifact by its file", query).await?;
        rows.iter().map(|row| self.artifact(row, 0)).collect()
    }

    pub(super) async fn links_of(
        &self,
        system: &SystemName,
        artifact: &Artifact,
        direction: Direction,
        limit: u32,
    ) -> Result<Vec<Link>, StoreError> {
        let sql = match direction {
            Direction::Upstream => {
                "SELECT source.kind, source.name, source.uri, made.kind, made.name, made.uri, run, step, at_ms
                 FROM artifacts AS made JOIN links ON links.made = made.artifact
                                        JOIN artifacts AS source ON links.source = source.artifact
                 WHERE made.system = ? AND made.name = ? AND made.kind = ?
                 ORDER BY at_ms, source.name, run, step LIMIT ?"
            }
            Direction::Downstream => {
                "SELECT source.kind, source.name, source.uri, made.kind, made.name, made.uri, run, step, at_ms
                 FROM artifacts AS source JOIN links ON links.source = source.artifact
                                          JOIN artifacts AS made ON links.made = made.artifact
                 WHERE source.system = ? AND source.name = ? AND source.kind = ?
                 ORDER BY at_ms, made.name, run, step LIMIT ?"
            }
        };
        let query =
            query(sql).bind(system.as_str()).bind(artifact.name.as_str()).bind(artifact.kind.as_str()).bind(limit);
        let rows = self.rows("follow an artifact", query).await?;
        rows.iter().map(|row| self.link(row)).collect()
    }

    fn ended(&self, row: &SqliteRow) -> Result<Run, StoreError> {
        let damaged = |error| self.place.damaged(format!("a run of the history cannot be read: {error}"));
        serde_json::from_str(self.place.read(row, 0)?).map_err(damaged)
    }

    pub(super) fn link(&self, row: &SqliteRow) -> Result<Link, StoreError> {
        // An id that the engine made need not be a valid name for rules: it is read as JSON, as it was written.
        let step: StepId = serde_json::from_value(self.place.read::<&str>(row, 7)?.into())
            .map_err(|error| self.place.damaged(error))?;
        let by = StepPlace { run: RunId::new(self.place.read::<&str>(row, 6)?), step };
        Ok(Link { from: self.artifact(row, 0)?, to: self.artifact(row, 3)?, by, at_ms: self.place.read(row, 8)? })
    }

    pub(super) fn artifact(&self, row: &SqliteRow, first: usize) -> Result<Artifact, StoreError> {
        let read = |column| self.place.read::<&str>(row, first + column).map(Into::into);
        Ok(Artifact { kind: read(0)?, name: read(1)?, uri: read(2)? })
    }
}
