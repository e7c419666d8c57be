//! The one task that writes. It takes whatever requests wait, does them in one transaction, syncs once, and answers each:
//! so a sync costs the same for one event as for hundreds. A request that is refused changes nothing and does not
//! disturb the others.

use std::time::Duration;

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval},
};

use super::{
    append::{self, Append},
    call_notes,
    claims::{self, Claim},
    delivery_notes,
    failure::Place,
    session_notes, shown_notes, token_notes,
};
use crate::{
    rules::SystemName,
    store::{Claimed, Note, Snapshot, StoreError},
};

/// How many requests share a transaction at most: bounds how long the first waits for the last.
const LARGEST_BATCH: usize = 256;
/// How many requests may wait before those who ask must wait to ask.
const LONGEST_QUEUE: usize = 1_024;
/// The exit code where the program itself is at fault (`EX_SOFTWARE` of sysexits.h).
const EXIT_BROKEN: i32 = 70;
/// How often to look for what other processes wrote.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The way to the task. The task ends when this is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    requests: mpsc::Sender<Request>,
    changes: watch::Receiver<u64>,
    delivered: watch::Receiver<u64>,
}

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

enum Request {
    Append(Box<Append>, Reply<()>),
    Claim(Claim, Reply<Vec<Claimed>>),
    BeginDriving(Reply<()>),
    DropSnapshot(SystemName, Reply<()>),
    PutSnapshot(SystemName, Snapshot, Reply<()>),
    Note(Note, Reply<bool>),
}

impl Writer {
    pub(super) fn start(options: SqliteConnectOptions, connection: SqliteConnection, place: Place) -> Self {
        let (requests, waiting) = mpsc::channel(LONGEST_QUEUE);
        let (changed, changes) = watch::channel(0);
        let (taken, delivered) = watch::channel(0);
        let task = Task { options, place, connection: Some(connection), changed, taken, seen: None };
        tokio::spawn(async move {
            let ended = tokio::spawn(task.run(waiting)).await;
            if ended.is_err_and(|error| error.is_panic()) {
                // A server that cannot write does nothing for ever: whoever watches over it is to start it anew.
                tracing::error!("the task that writes the database has panicked; tidegate ends");
                std::process::exit(EXIT_BROKEN);
            }
        });
        Self { requests, changes, delivered }
    }

    pub(super) async fn append(&self, append: Append) -> Result<(), StoreError> {
        self.ask(|reply| Request::Append(Box::new(append), reply)).await
    }

    pub(super) async fn claim_due(&self, by: &str, now_ms: i64, limit: u32) -> Result<Vec<Claimed>, StoreError> {
        self.ask(|reply| Request::Claim(Claim { by: by.to_owned(), now_ms, limit }, reply)).await
    }

    /// Frees all claims: in this tier one process drives at a time, and this one only now begins to.
    pub(super) async fn begin_driving(&self) -> Result<(), StoreError> {
        self.ask(Request::BeginDriving).await
    }

    pub(super) async fn drop_snapshot(&self, system: &SystemName) -> Result<(), StoreError> {
        self.ask(|reply| Request::DropSnapshot(system.clone(), reply)).await
    }

    pub(super) async fn put_snapshot(&self, system: &SystemName, snapshot: Snapshot) -> Result<(), StoreError> {
        self.ask(|reply| Request::PutSnapshot(system.clone(), snapshot, reply)).await
    }

    pub(super) async fn note(&self, note: Note) -> Result<bool, StoreError> {
        self.ask(|reply| Request::Note(note, reply)).await
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    pub(super) fn delivered(&self) -> watch::Receiver<u64> {
        self.delivered.clone()
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let gone = || StoreError::Failed {
            place: "the database".to_owned(),
            doing: "write".to_owned(),
            error: "the process is shutting down".to_owned(),
        };
        self.requests.send(request(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

struct Task {
    options: SqliteConnectOptions,
    place: Place,
    /// `None` after a failure: closing a connection rolls back whatever it had begun, in whatever state it was.
    connection: Option<SqliteConnection>,
    changed: watch::Sender<u64>,
    /// Moves with the deliveries that are taken.
    taken: watch::Sender<u64>,
    /// What `PRAGMA data_version` last said: it moves when *another* connection has written.
    seen: Option<i64>,
}

/// What is to be answered once the transaction is committed, or has failed as a whole.
enum Answer {
    Appended(Reply<()>, Result<(), StoreError>),
    Claimed(Reply<Vec<Claimed>>, Vec<Claimed>),
    Done(Reply<()>),
    Noted(Reply<bool>, bool),
    Taken(Reply<bool>, bool),
}

impl Task {
    async fn run(mut self, mut waiting: mpsc::Receiver<Request>) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(LARGEST_BATCH);
        loop {
            tokio::select! {
                count = waiting.recv_many(&mut batch, LARGEST_BATCH) => {
                    if count == 0 {
                        return;
                    }
                    self.write(&mut batch).await;
                }
                _ = look.tick() => self.look_for_others().await,
            }
        }
    }

    async fn write(&mut self, batch: &mut Vec<Request>) {
        let mut answers = Vec::with_capacity(batch.len());
        let written = self.try_write(batch, &mut answers).await;
        if let Err(error) = &written {
            tracing::warn!(%error, requests = batch.len() + answers.len(), "a write to the database failed");
            self.close().await;
        }
        let has_appended = answers.iter().any(|answer| matches!(answer, Answer::Appended(_, Ok(()))));
        let has_taken = answers.iter().any(|answer| matches!(answer, Answer::Taken(_, true)));
        let mut unheard = Vec::new();
        for answer in answers {
            unheard.extend(answer.send(written.as_ref().err()));
        }
        for request in batch.drain(..) {
            request.fail(written.as_ref().err().cloned());
        }
        if has_appended && written.is_ok() {
            self.changed.send_modify(|count| *count += 1);
        }
        if has_taken && written.is_ok() {
            self.taken.send_modify(|count| *count += 1);
        }
        self.give_back(unheard).await;
    }

    /// Does the requests in turn and commits. Those done have left `batch` and have an entry in `answers`.
    async fn try_write(&mut self, batch: &mut Vec<Request>, answers: &mut Vec<Answer>) -> Result<(), StoreError> {
        let place = self.place.clone();
        let failed = |error| place.failed("write", &error);
        let connection = self.connection().await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let mut requests = std::mem::take(batch).into_iter();
        while let Some(request) = requests.next() {
            let (answer, failure) = request.run(&mut transaction, &place).await;
            answers.push(answer);
            if let Some(error) = failure {
                batch.extend(requests);
                return Err(error);
            }
        }
        transaction.commit().await.map_err(failed)
    }

    async fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        if self.connection.is_none() {
            let connected = self.options.connect().await;
            self.connection = Some(connected.map_err(|error| self.place.failed("open the database", &error))?);
            self.seen = None;
        }
        Ok(self.connection.as_mut().expect("just opened"))
    }

    async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            // The transaction is rolled back either way; a failure to say goodbye changes nothing.
            connection.close().await.ok();
        }
    }

    /// Effects that were claimed for somebody who did not wait for them: nobody would ever run them. Drivers are
    /// woken to claim them again.
    async fn give_back(&mut self, unheard: Vec<Claimed>) {
        let place = self.place.clone();
        if unheard.is_empty() {
            return;
        }
        for claimed in unheard {
            let given_back = match self.connection().await {
                Ok(connection) => claims::give_back(connection, &place, &claimed).await,
                Err(error) => Err(error),
            };
            if let Err(error) = given_back {
                tracing::warn!(%error, system = %claimed.system, effect = %claimed.effect.id, "a claim is stuck until the next start");
            }
        }
        self.changed.send_modify(|count| *count += 1);
    }

    async fn look_for_others(&mut self) {
        let Ok(connection) = self.connection().await else { return };
        match sqlx::query_scalar::<_, i64>("PRAGMA data_version").fetch_one(connection).await {
            Ok(version) if self.seen == Some(version) => {}
            Ok(version) => {
                self.seen = Some(version);
                self.changed.send_modify(|count| *count += 1);
                self.taken.send_modify(|count| *count += 1);
            }
            Err(error) => {
                tracing::debug!(%error, "cannot look for what other processes wrote");
                self.close().await;
            }
        }
    }
}

impl Request {
    /// Does what is asked. A failure ends the whole transaction; a refusal is only this request's answer.
    async fn run(self, connection: &mut SqliteConnection, place: &Place) -> (Answer, Option<StoreError>) {
        match self {
            Self::Append(append, reply) => match append.run(connection, place).await {
                Err(error) if !matches!(error, StoreError::Conflict { .. }) => {
                    (Answer::Appended(reply, Ok(())), Some(error))
                }
                appended => (Answer::Appended(reply, appended), None),
            },
            Self::Claim(claim, reply) => match claim.run(connection, place).await {
                Ok(claimed) => (Answer::Claimed(reply, claimed), None),
                Err(error) => (Answer::Claimed(reply, Vec::new()), Some(error)),
            },
            Self::BeginDriving(reply) => (Answer::Done(reply), claims::free_all(connection, place).await.err()),
            Self::DropSnapshot(system, reply) => {
                let dropped = sqlx::query("DELETE FROM snapshots WHERE system = ?").bind(system.as_str());
                let dropped = dropped.execute(connection).await;
                (Answer::Done(reply), dropped.err().map(|error| place.failed("drop a snapshot", &error)))
            }
            Self::PutSnapshot(system, snapshot, reply) => {
                let put = append::write_snapshot(connection, &system, &snapshot).await;
                (Answer::Done(reply), put.err().map(|error| place.failed("write a snapshot", &error)))
            }
            Self::Note(note, reply) => {
                let is_taking = note.is_taking();
                let noted = match note {
                    Note::Token(note) => token_notes::note(connection, place, &note).await,
                    Note::Session(note) => session_notes::note(connection, place, &note).await,
                    Note::Call(note) => call_notes::note(connection, place, &note).await,
                    Note::Delivery(note) => delivery_notes::note(connection, place, &note).await,
                    Note::Shown(note) => shown_notes::note(connection, place, &note).await,
                };
                let (noted, failure) = noted.map_or_else(|error| (false, Some(error)), |noted| (noted, None));
                let answer = if is_taking { Answer::Taken(reply, noted) } else { Answer::Noted(reply, noted) };
                (answer, failure)
            }
        }
    }

    fn fail(self, error: Option<StoreError>) {
        let Some(error) = error else { return };
        match self {
            Self::Append(_, reply) | Self::BeginDriving(reply) => drop(reply.send(Err(error))),
            Self::DropSnapshot(_, reply) | Self::PutSnapshot(_, _, reply) => {
                drop(reply.send(Err(error)));
            }
            Self::Claim(_, reply) => drop(reply.send(Err(error))),
            Self::Note(_, reply) => drop(reply.send(Err(error))),
        }
    }
}

impl Answer {
    /// Sends the answer, or the failure of the whole transaction; returns what was claimed for somebody who has gone.
    fn send(self, failure: Option<&StoreError>) -> Vec<Claimed> {
        match (self, failure.cloned()) {
            // Who was refused reads again, whatever became of the others.
            (Self::Appended(reply, Err(conflict)), _) => drop(reply.send(Err(conflict))),
            (Self::Appended(reply, Ok(())) | Self::Done(reply), failure) => {
                drop(reply.send(failure.map_or(Ok(()), Err)));
            }
            (Self::Noted(reply, noted) | Self::Taken(reply, noted), failure) => {
                drop(reply.send(failure.map_or(Ok(noted), Err)))
            }
            (Self::Claimed(reply, _), Some(error)) => drop(reply.send(Err(error))),
            (Self::Claimed(reply, claimed), None) => {
                return reply.send(Ok(claimed)).err().and_then(Result::ok).unwrap_or_default();
            }
        }
        Vec::new()
    }
}
