//! Appends an event with all that came of it.

use sqlx::{Row as _, SqliteConnection, query};

use super::failure::Place;
use crate::{
    engine::{Artifact, Decision, ENGINE_VERSION, Effect, EffectId, Event, Link, Recorded, Run},
    rules::SystemName,
    store::{
        Snapshot, StoreError,
        chain::{self, Content},
        standing::{bare_name, json, state_name},
    },
};

/// All that is written for an event, already as the rows will have it: the one task that writes has no time for more.
#[derive(Debug)]
pub(super) struct Append {
    system: SystemName,
    seq: u64,
    at_ms: i64,
    event: String,
    facts: String,
    due: Vec<EffectRow>,
    dropped: Vec<EffectId>,
    ended: Vec<RunRow>,
    links: Vec<Link>,
    snapshot: Option<Vec<u8>>,
}

#[derive(Debug)]
struct EffectRow {
    id: EffectId,
    due_ms: i64,
    effect: String,
}

#[derive(Debug)]
struct RunRow {
    number: i64,
    id: String,
    subject: String,
    stage: String,
    state: String,
    run: String,
}

impl Append {
    pub(super) fn new(
        system: &SystemName,
        recorded: &Recorded<Event>,
        decision: &Decision,
        snapshot: Option<Vec<u8>>,
    ) -> Self {
        let Decision { facts, due, dropped, ended, links } = decision;
        let effect = |effect: &Effect| EffectRow { id: effect.id.clone(), due_ms: effect.due_ms, effect: json(effect) };
        Self {
            system: system.clone(),
            seq: recorded.seq,
            at_ms: recorded.at_ms,
            event: json(&recorded.event),
            facts: json(facts),
            due: due.iter().map(effect).collect(),
            dropped: dropped.clone(),
            ended: ended.iter().map(|run| RunRow::new(run)).collect(),
            links: links.clone(),
            snapshot,
        }
    }

    /// Does it within the transaction.
    pub(super) async fn run(&self, connection: &mut SqliteConnection, place: &Place) -> Result<(), StoreError> {
        let failed = |error| place.failed("append an event", &error);
        let (last, hash) = self.head(connection).await.map_err(failed)?;
        if self.seq != last + 1 {
            return Err(StoreError::Conflict { system: self.system.clone(), offered: self.seq, last });
        }
        self.write_event(connection, &hash).await.map_err(failed)?;
        self.write_effects(connection).await.map_err(failed)?;
        for run in &self.ended {
            run.write(connection, &self.system).await.map_err(failed)?;
        }
        for link in &self.links {
            self.write_link(connection, link).await.map_err(failed)?;
        }
        let Some(state) = &self.snapshot else { return Ok(()) };
        write_snapshot(connection, &self.system, &Snapshot { seq: self.seq, state: state.clone() })
            .await
            .map_err(failed)
    }

    async fn head(&self, connection: &mut SqliteConnection) -> Result<(u64, Vec<u8>), sqlx::Error> {
        let head = query("SELECT seq, hash FROM systems WHERE name = ?").bind(self.system.as_str());
        let head = head.fetch_optional(connection).await?;
        match head {
            Some(row) => Ok((row.try_get::<i64, _>(0)?.cast_unsigned(), row.try_get(1)?)),
            None => Ok((0, chain::FIRST_HASH.to_vec())),
        }
    }

    async fn write_event(&self, connection: &mut SqliteConnection, previous: &[u8]) -> Result<(), sqlx::Error> {
        let (system, seq) = (self.system.as_str(), self.seq.cast_signed());
        let content = Content {
            seq: self.seq,
            at_ms: self.at_ms,
            engine: ENGINE_VERSION,
            event: self.event.as_bytes(),
            facts: self.facts.as_bytes(),
        };
        let hash = chain::hash(previous, system, &content);
        let head = "INSERT INTO systems (name, seq, hash) VALUES (?, ?, ?)
                    ON CONFLICT (name) DO UPDATE SET seq = excluded.seq, hash = excluded.hash";
        query(head).bind(system).bind(seq).bind(&hash[..]).execute(&mut *connection).await?;
        let sql = "INSERT INTO events (system, seq, at_ms, engine, event, facts, hash) VALUES (?, ?, ?, ?, ?, ?, ?)";
        let event = query(sql).bind(system).bind(seq).bind(self.at_ms).bind(ENGINE_VERSION);
        let event = event.bind(self.event.as_str()).bind(self.facts.as_str()).bind(&hash[..]);
        event.execute(connection).await.map(drop)
    }

    async fn write_effects(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let system = self.system.as_str();
        for id in &self.dropped {
            let dropped = query("DELETE FROM effects WHERE system = ? AND id = ?").bind(system).bind(id.as_str());
            dropped.execute(&mut *connection).await?;
        }
        for EffectRow { id, due_ms, effect } in &self.due {
            let due = "INSERT INTO effects (system, id, due_ms, effect, made_ms) VALUES (?, ?, ?, ?, ?)
                       ON CONFLICT (system, id)
                       DO UPDATE SET due_ms = excluded.due_ms, effect = excluded.effect, made_ms = excluded.made_ms,
                                     again_ms = NULL, nudged = claimed_by IS NOT NULL";
            let due = query(due).bind(system).bind(id.as_str()).bind(due_ms).bind(effect.as_str()).bind(self.at_ms);
            due.execute(&mut *connection).await?;
        }
        Ok(())
    }

    async fn write_link(&self, connection: &mut SqliteConnection, link: &Link) -> Result<(), sqlx::Error> {
        let source = self.artifact(connection, &link.from).await?;
        let made = self.artifact(connection, &link.to).await?;
        let sql = "INSERT INTO links (source, made, run, step, at_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
        let (run, step) = (link.by.run.as_str(), link.by.step.as_str());
        query(sql).bind(source).bind(made).bind(run).bind(step).bind(link.at_ms).execute(connection).await.map(drop)
    }

    /// The row of an artifact, made if there is none. An artifact that was only named before learns where it is.
    async fn artifact(&self, connection: &mut SqliteConnection, artifact: &Artifact) -> Result<i64, sqlx::Error> {
        let Artifact { kind, name, uri } = artifact;
        let bare = bare_name(name);
        let sql = "INSERT INTO artifacts (system, kind, name, bare, uri) VALUES (?, ?, ?, ?, ?)
                   ON CONFLICT (system, name, kind)
                   DO UPDATE SET uri = CASE excluded.uri WHEN '' THEN uri ELSE excluded.uri END
                   RETURNING artifact";
        let row =
            query(sql).bind(self.system.as_str()).bind(kind.as_str()).bind(name.as_str()).bind(bare).bind(uri.as_str());
        row.fetch_one(connection).await?.try_get(0)
    }
}

/// Puts a snapshot in the place of the one before.
pub(super) async fn write_snapshot(
    connection: &mut SqliteConnection,
    system: &SystemName,
    snapshot: &Snapshot,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO snapshots (system, seq, state) VALUES (?, ?, ?)
               ON CONFLICT (system) DO UPDATE SET seq = excluded.seq, state = excluded.state";
    let written = query(sql).bind(system.as_str()).bind(snapshot.seq.cast_signed()).bind(&snapshot.state);
    written.execute(connection).await.map(drop)
}

impl RunRow {
    fn new(run: &Run) -> Self {
        Self {
            number: run.number.cast_signed(),
            id: run.id.to_string(),
            subject: run.subject.name().to_owned(),
            stage: run.stage.to_string(),
            state: state_name(run.state),
            run: json(run),
        }
    }

    async fn write(&self, connection: &mut SqliteConnection, system: &SystemName) -> Result<(), sqlx::Error> {
        let Self { number, id, subject, stage, state, run } = self;
        let sql = "INSERT INTO runs (system, number, id, subject, stage, state, run) VALUES (?, ?, ?, ?, ?, ?, ?)
                   ON CONFLICT (system, number) DO UPDATE SET state = excluded.state, run = excluded.run";
        let row = query(sql).bind(system.as_str()).bind(number).bind(id).bind(subject).bind(stage);
        row.bind(state).bind(run).execute(connection).await.map(drop)
    }
}
