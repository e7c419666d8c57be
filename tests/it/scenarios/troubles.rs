//! The driver in trouble of its own: a store whose reads fail, and code that panics. What was claimed is never stuck.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tidegate::{
    driver::{Breakpoints, Driver},
    engine::{Artifact, Decision, Effect, EffectId, Event, Link, Recorded, Run, RunId, System},
    house::House,
    providers::{
        Fault,
        commit_status::{CommitStatus, CommitStatuses},
    },
    rules::{StageName, SystemName},
    store::{
        CallNote, Claimed, Delivery as Delivered, Direction, InstallationSecret, Ledger, LogRow, Note, RunFilter,
        Session, Shown, Snapshot, SqliteStore, Standing, Store, StoreError, Token, TokenHash,
    },
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{NEW_VERSION, ci_before_qa, delivery::Delivery};

/// A store in which of every three looks at how far a log is, the first fails and the second panics.
struct Unsteady {
    store: SqliteStore,
    looks: AtomicUsize,
    failed: Arc<AtomicUsize>,
}

#[async_trait]
impl Store for Unsteady {
    async fn last_seq(&self, system: &SystemName) -> Result<u64, StoreError> {
        match self.looks.fetch_add(1, Ordering::SeqCst) % 3 {
            0 => {
                self.failed.fetch_add(1, Ordering::SeqCst);
                let (place, doing, error) = ("the test", "look", "it is unsteady");
                Err(StoreError::Failed { place: place.to_owned(), doing: doing.to_owned(), error: error.to_owned() })
            }
            1 => panic!("the test wants to see a panic here"),
            _ => self.store.last_seq(system).await,
        }
    }
    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.store.tokens().await
    }
    async fn note(&self, note: Note) -> Result<bool, StoreError> {
        self.store.note(note).await
    }

    async fn calls(&self, system: Option<&SystemName>, limit: u32) -> Result<Vec<CallNote>, StoreError> {
        self.store.calls(system, limit).await
    }
    async fn session(&self, hash: TokenHash) -> Result<Option<Session>, StoreError> {
        self.store.session(hash).await
    }
    async fn sessions(&self) -> Result<Vec<Session>, StoreError> {
        self.store.sessions().await
    }
    async fn shown(&self, system: &SystemName) -> Result<Vec<Shown>, StoreError> {
        self.store.shown(system).await
    }

    async fn untold(&self, limit: u32) -> Result<Vec<Shown>, StoreError> {
        self.store.untold(limit).await
    }

    async fn named_anywhere(&self) -> Result<BTreeSet<SystemName>, StoreError> {
        self.store.named_anywhere().await
    }
    async fn standing(&self, system: &SystemName) -> Result<Standing, StoreError> {
        self.store.standing(system).await
    }
    async fn secret(&self) -> Result<InstallationSecret, StoreError> {
        self.store.secret().await
    }
    async fn append(
        &self,
        system: &SystemName,
        recorded: &Recorded<Event>,
        decision: &Decision,
        snapshot: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        self.store.append(system, recorded, decision, snapshot).await
    }
    async fn systems(&self) -> Result<BTreeMap<SystemName, u64>, StoreError> {
        self.store.systems().await
    }
    async fn log(&self, system: &SystemName, from_seq: u64, limit: u32) -> Result<Vec<LogRow>, StoreError> {
        self.store.log(system, from_seq, limit).await
    }
    async fn snapshot(&self, system: &SystemName) -> Result<Option<Snapshot>, StoreError> {
        self.store.snapshot(system).await
    }
    async fn put_snapshot(&self, system: &SystemName, snapshot: Snapshot) -> Result<(), StoreError> {
        self.store.put_snapshot(system, snapshot).await
    }
    async fn drop_snapshot(&self, system: &SystemName) -> Result<(), StoreError> {
        self.store.drop_snapshot(system).await
    }
    async fn begin_driving(&self, claimant: &str) -> Result<(), StoreError> {
        self.store.begin_driving(claimant).await
    }
    async fn claim_due(&self, claimant: &str, now_ms: i64, limit: u32) -> Result<Vec<Claimed>, StoreError> {
        self.store.claim_due(claimant, now_ms, limit).await
    }
    async fn next_due_ms(&self) -> Result<Option<i64>, StoreError> {
        self.store.next_due_ms().await
    }

    async fn overdue(&self, before_ms: i64, limit: u32) -> Result<Vec<(SystemName, EffectId, i64)>, StoreError> {
        self.store.overdue(before_ms, limit).await
    }
    async fn dropped_claims(
        &self,
        claimant: &str,
        held: &[(SystemName, EffectId)],
    ) -> Result<Vec<(SystemName, EffectId)>, StoreError> {
        self.store.dropped_claims(claimant, held).await
    }
    async fn pending(&self, system: &SystemName) -> Result<BTreeMap<EffectId, Effect>, StoreError> {
        self.store.pending(system).await
    }
    async fn runs(&self, system: &SystemName, filter: &RunFilter) -> Result<Vec<Run>, StoreError> {
        self.store.runs(system, filter).await
    }
    async fn run(&self, system: &SystemName, id: &RunId) -> Result<Option<Run>, StoreError> {
        self.store.run(system, id).await
    }
    async fn artifacts(&self, system: &SystemName, prefix: &str, limit: u32) -> Result<Vec<Artifact>, StoreError> {
        self.store.artifacts(system, prefix, limit).await
    }
    async fn links(
        &self,
        system: &SystemName,
        artifact: &Artifact,
        direction: Direction,
        limit: u32,
    ) -> Result<Vec<Link>, StoreError> {
        self.store.links(system, artifact, direction, limit).await
    }
    async fn deliveries(&self, limit: u32) -> Result<Vec<Delivered>, StoreError> {
        self.store.deliveries(limit).await
    }
    async fn delivery(&self, guid: &str) -> Result<Option<Delivered>, StoreError> {
        self.store.delivery(guid).await
    }
    async fn deliveries_listed_ms(&self) -> Result<Option<i64>, StoreError> {
        self.store.deliveries_listed_ms().await
    }
    fn delivered(&self) -> watch::Receiver<u64> {
        self.store.delivered()
    }
    fn changes(&self) -> watch::Receiver<u64> {
        self.store.changes()
    }
}

/// A forge that panics when it is first asked.
#[derive(Default)]
struct Clumsy(AtomicBool);

#[async_trait]
impl CommitStatuses for Clumsy {
    async fn status(&self, _: &str, _: &str, _: &str, _: Duration) -> Result<CommitStatus, Fault> {
        assert!(self.0.swap(true, Ordering::SeqCst), "the test wants to see a panic here");
        Ok(CommitStatus::Success("all green".to_owned()))
    }
}

/// A driver in this process, over a store and with a forge of the test's own.
struct Driving {
    house: House,
    stop: CancellationToken,
    driving: tokio::task::JoinHandle<Result<(), StoreError>>,
}

impl Driving {
    async fn begin(delivery: &Delivery, ledger: impl FnOnce(&House) -> Arc<Ledger>) -> Self {
        let house = House::open(&delivery.config()).await.unwrap();
        house.load_rules().await.unwrap();
        // The builder's worker is the program itself, not this test.
        let mut tools = house.tools_of(std::path::Path::new(env!("CARGO_BIN_EXE_tidegate"))).unwrap();
        tools.statuses = Arc::new(Clumsy::default());
        let driver = Driver::new(ledger(&house), Arc::new(tools), Breakpoints::none(), "test".to_owned());
        let stop = CancellationToken::new();
        let driving = tokio::spawn(Arc::new(driver).drive(stop.clone()));
        Self { house, stop, driving }
    }

    async fn until(&self, what: &str, look: impl Fn(&System) -> bool) {
        let system = SystemName::new("webshop").unwrap();
        let mut changes = self.house.ledger.store().changes();
        let all = async {
            loop {
                changes.mark_unchanged();
                if self.house.ledger.read(&system, &look).await.unwrap() {
                    return;
                }
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(90), all).await.unwrap_or_else(|_| panic!("{what}: in time"));
    }

    async fn end(self) {
        self.stop.cancel();
        self.driving.await.unwrap().unwrap();
    }
}

/// Every watch, timer and step meets a failed read and a panic, and all of it comes to its end all the same.
#[test]
fn a_store_whose_reads_fail_leaves_nothing_claimed_for_ever() {
    let delivery = Delivery::by_hand();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let database = {
            let house = House::open(&delivery.config()).await.unwrap();
            house.load_rules().await.unwrap();
            house.settings.database()
        };
        let failed = Arc::new(AtomicUsize::new(0));
        let store = SqliteStore::open(&database).await.unwrap();
        let unsteady = Unsteady { store, looks: AtomicUsize::new(0), failed: failed.clone() };
        let driving = Driving::begin(&delivery, |_| Arc::new(Ledger::open(Arc::new(unsteady)))).await;
        driving.until("the watches", |state| state.repositories.values().all(|it| !it.seen.is_empty())).await;
        delivery.granted(&["freeze", "--stage", "dev", "--for", "1s", "--reason", "a breath", "--as", "grace"]);
        delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
        driving.until("the freeze's own end", |state| state.freezes.is_empty()).await;
        driving
            .until("the delivery", |state| {
                state.all_runs().any(|run| run.subject.name() == "package" && run.ended_ms.is_some())
            })
            .await;
        assert!(failed.load(Ordering::SeqCst) > 2, "reads did fail");
        driving.end().await;
    });
}

#[test]
fn a_step_that_panics_is_tried_again_and_says_so() {
    let delivery = Delivery::with_rules(ci_before_qa);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let driving = Driving::begin(&delivery, |house| house.ledger.clone()).await;
        driving.until("the watches", |state| state.repositories.values().all(|it| !it.seen.is_empty())).await;
        delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
        driving
            .until("the mistake is said", |state| {
                let mut steps = state.all_runs().flat_map(|run| &run.steps);
                steps.any(|step| step.error.as_ref().is_some_and(|error| error.contains("tidegate made a mistake")))
            })
            .await;
        let qa = StageName::new("qa").unwrap();
        driving.until("the promotion", |state| state.promoted.contains_key(&qa)).await;
        driving.end().await;
    });
}
