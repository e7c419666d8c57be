//! What every store promises, written once over the trait. Each promise is a function of an empty store; the tests at the
//! end give it one of each kind.

use std::sync::Arc;

use tidegate::{
    engine::{self, Command, Decision, Event, Nudge, Principal, Recorded, RunId, RunState, System},
    rules::{RepositoryName, SystemName},
    store::{
        Claimed, Delivery, DeliveryNote, Identity, Ledger, RecordError, RunFilter, SNAPSHOT_EVERY, Session,
        SessionNote, SessionOwner, Store, StoreError, TokenHash, Traced, replay, trace, verify_log,
    },
};

use super::story::{
    START_MS, assert_sound, begun, commit, delivered, late, name, pushed, record, rules_loaded, step_done, tarball,
};

async fn an_event_is_there_with_all_that_came_of_it(store: Arc<dyn Store>) {
    let (ledger, shop) = (Ledger::open(store.clone()), name("shop"));
    assert_eq!(store.last_seq(&shop).await.unwrap(), 0);
    begun(&ledger, &shop).await;
    delivered(&ledger, &shop, 2).await;

    let state = ledger.read(&shop, System::clone).await.unwrap();
    assert_eq!(store.systems().await.unwrap(), [(shop.clone(), state.seq)].into());
    assert_eq!(store.pending(&shop).await.unwrap(), state.due);
    let run = store.run(&shop, &RunId::new("package-1")).await.unwrap().unwrap();
    assert_eq!(Some(&run), state.run(&run.id));
    let events = store.events(&shop, 2, 2).await.unwrap();
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [2, 3]);
    assert_sound(store.as_ref(), &shop).await;
}

async fn only_one_event_has_a_place(store: Arc<dyn Store>) {
    let (ledger, shop) = (Ledger::open(store.clone()), name("shop"));
    begun(&ledger, &shop).await;
    let pending = store.pending(&shop).await.unwrap();
    for seq in [1, 2, 4] {
        let mut decision = Decision::default();
        decision.dropped.extend(pending.keys().cloned());
        let offered = Recorded { seq, at_ms: START_MS, event: late(1) };
        let refused = store.append(&shop, &offered, &decision, Some(b"{}".to_vec())).await;
        assert_eq!(refused, Err(StoreError::Conflict { system: shop.clone(), offered: seq, last: 2 }));
    }
    assert_eq!(store.pending(&shop).await.unwrap(), pending);
    assert_eq!(store.snapshot(&shop).await.unwrap(), None);
    assert_sound(store.as_ref(), &shop).await;
}

/// All at once, so that they share transactions: who is refused disturbs nobody.
async fn a_refusal_is_only_its_own(store: Arc<dyn Store>) {
    let mut appends = tokio::task::JoinSet::new();
    for number in 0..100 {
        let (store, system) = (store.clone(), name(&format!("system-{number}")));
        appends.spawn(async move {
            let seq = if number % 3 == 0 { 7 } else { 1 };
            let offered = Recorded { seq, at_ms: START_MS, event: late(1) };
            let appended = store.append(&system, &offered, &Decision::default(), None).await;
            assert_eq!(appended.is_ok(), seq == 1, "{appended:?}");
        });
    }
    while let Some(append) = appends.join_next().await {
        append.unwrap();
    }
    assert_eq!(store.systems().await.unwrap().len(), 66);
}

async fn an_effect_is_claimed_once_and_not_before_it_is_due(store: Arc<dyn Store>) {
    let (ledger, shop) = (Ledger::open(store.clone()), name("shop"));
    ledger.record(&shop, START_MS, rules_loaded(&shop)).await.unwrap();
    store.begin_driving("first").await.unwrap();
    assert_eq!(store.next_due_ms().await.unwrap(), Some(START_MS));
    assert_eq!(store.claim_due("first", START_MS - 1, 9).await.unwrap(), []);

    assert_eq!(store.overdue(START_MS, 9).await.unwrap(), []);
    let late = store.overdue(START_MS + 1, 2).await.unwrap();
    assert!(
        late.len() == 2 && late.iter().all(|(system, _, due_ms)| (system, *due_ms) == (&shop, START_MS)),
        "{late:?}"
    );
    let one = store.claim_due("first", START_MS, 1).await.unwrap();
    let others = store.claim_due("first", START_MS, 9).await.unwrap();
    let claimed: Vec<&Claimed> = one.iter().chain(&others).collect();
    assert_eq!((one.len(), others.len()), (1, 2), "three repositories are watched");
    let due = ledger.read(&shop, |state| state.due.clone()).await.unwrap();
    assert!(claimed.iter().all(|claimed| due.get(&claimed.effect.id) == Some(&claimed.effect)));
    assert_eq!(store.claim_due("second", START_MS, 9).await.unwrap(), []);
    assert_eq!(store.overdue(START_MS + 1, 9).await.unwrap(), [], "all of it is claimed");
    assert!(store.next_due_ms().await.unwrap().unwrap() > START_MS, "only the schedule is left");

    store.begin_driving("second").await.unwrap();
    assert_eq!(store.claim_due("second", START_MS, 9).await.unwrap().len(), 3, "the first is gone");
    let held: Vec<_> = claimed.iter().map(|claimed| (shop.clone(), claimed.effect.id.clone())).collect();
    assert_eq!(store.dropped_claims("second", &held).await.unwrap(), []);
    assert_eq!(store.dropped_claims("first", &held).await.unwrap(), held);
    record(&ledger, &shop, |_| rules_loaded(&shop)).await;
    assert_eq!(store.dropped_claims("second", &held).await.unwrap(), held, "new rules watch anew");
}

/// Who holds an effect keeps it and is told, once, by whatever process the nudge came.
async fn an_effect_that_is_due_again_is_told_to_who_holds_it(store: Arc<dyn Store>) {
    let (ledger, shop) = (Ledger::open(store.clone()), name("shop"));
    ledger.record(&shop, START_MS, rules_loaded(&shop)).await.unwrap();
    store.begin_driving("driver").await.unwrap();
    assert_eq!(store.claim_due("driver", START_MS, 9).await.unwrap().len(), 3);
    let other = Ledger::open(store.clone());
    let what = Nudge::Repository { repository: RepositoryName::new("software").unwrap() };
    let nudge = |delivery: &str| Event::Nudged { what: what.clone(), delivery: delivery.parse().unwrap(), by: None };
    other.record(&shop, START_MS + 5, nudge("push-1")).await.unwrap();
    other.record(&shop, START_MS + 6, nudge("push-2")).await.unwrap();
    assert!(ledger.record(&shop, START_MS + 7, nudge("push-2")).await.is_err(), "the same over all processes");
    assert_eq!(store.claim_due("another", START_MS + 10, 9).await.unwrap(), []);
    let told = store.claim_due("driver", START_MS + 10, 0).await.unwrap();
    let [Claimed { effect, .. }] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(effect.due_ms, START_MS + 6);
    assert_eq!(store.claim_due("driver", START_MS + 10, 9).await.unwrap(), []);
    let held = vec![(shop.clone(), effect.id.clone())];
    assert_eq!(store.dropped_claims("driver", &held).await.unwrap(), []);
    other.record(&shop, START_MS + 8, nudge("push-3")).await.unwrap();
    store.begin_driving("driver").await.unwrap();
    assert_eq!(store.claim_due("driver", START_MS + 10, 9).await.unwrap().len(), 3, "each once");
}

/// I6: the state is the same bytes however it is come by, and a snapshot that cannot be read is no loss.
async fn a_state_is_the_same_read_again(store: Arc<dyn Store>) {
    let (ledger, shop) = (Ledger::open(store.clone()), name("shop"));
    begun(&ledger, &shop).await;
    for number in 0..SNAPSHOT_EVERY - 1 {
        delivered(&ledger, &shop, number + 2).await;
    }
    let bytes = |state: &System| serde_json::to_string(state).unwrap();
    let expected = ledger.read(&shop, bytes).await.unwrap();
    let snapshot = store.snapshot(&shop).await.unwrap().unwrap();
    let last = store.last_seq(&shop).await.unwrap();
    assert_eq!(snapshot.seq, last - last % SNAPSHOT_EVERY);

    let mut decided = System::default();
    for event in store.events(&shop, 1, u32::MAX).await.unwrap() {
        engine::step(&mut decided, &event).unwrap();
    }
    assert_eq!(bytes(&decided), expected);
    let folded = replay(store.as_ref(), &shop, None, |_, _, _| ()).await.unwrap();
    assert_eq!(bytes(&folded), expected);
    let reopened = Ledger::open(store.clone());
    assert_eq!(reopened.load_all().await.unwrap(), (1, Vec::new()));
    assert_eq!(reopened.read(&shop, bytes).await.unwrap(), expected);
    assert_sound(store.as_ref(), &shop).await;

    // An older program's snapshot, as far as this one can tell.
    while !(store.last_seq(&shop).await.unwrap() + 1).is_multiple_of(SNAPSHOT_EVERY) {
        record(&ledger, &shop, |_| late(1)).await;
    }
    let offered = Recorded { seq: store.last_seq(&shop).await.unwrap() + 1, at_ms: i64::MAX, event: late(1) };
    store.append(&shop, &offered, &Decision::default(), Some(b"[]".to_vec())).await.unwrap();
    assert!(verify_log(store.as_ref(), &shop).await.unwrap().broken.unwrap().what.contains("snapshot"));
    let reopened = Ledger::open(store.clone());
    assert_eq!(reopened.read(&shop, |state| state.seq).await.unwrap(), offered.seq);
    assert_eq!(store.snapshot(&shop).await.unwrap(), None);
    assert_sound(store.as_ref(), &shop).await;
}

async fn two_ledgers_lose_nothing(store: Arc<dyn Store>) {
    const EACH: u64 = 60;
    let shop = name("shop");
    begun(&Ledger::open(store.clone()), &shop).await;
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (ledger, shop) = (Ledger::open(store.clone()), shop.clone());
        writers.spawn(async move {
            for number in 0..EACH {
                ledger.record(&shop, START_MS, late(number)).await.unwrap();
            }
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    assert_eq!(store.last_seq(&shop).await.unwrap(), 2 + 3 * EACH);
    assert_sound(store.as_ref(), &shop).await;
}

/// A command is refused or granted by all that is in the log, not by what this ledger happens to know.
async fn a_command_is_judged_by_the_newest_state(store: Arc<dyn Store>) {
    let (ours, theirs, shop) = (Ledger::open(store.clone()), Ledger::open(store.clone()), name("shop"));
    begun(&ours, &shop).await;
    record(&ours, &shop, |state| pushed(state, 2)).await;
    let abort = |run: &str| Event::Command {
        by: Principal { name: "ada".to_owned(), ..Principal::default() },
        command: Command::Abort { run: RunId::new(run), reason: "wrong".to_owned() },
        key: None,
    };
    let refused = theirs.record(&shop, START_MS, abort("package-2")).await;
    assert!(matches!(refused, Err(RecordError::Refused(_))), "{refused:?}");
    let before = store.last_seq(&shop).await.unwrap();

    for _ in 0..2 {
        record(&ours, &shop, |state| step_done(state, 2)).await;
    }
    record(&ours, &shop, |state| pushed(state, 3)).await;
    assert_eq!(store.last_seq(&shop).await.unwrap(), before + 3);
    let granted = theirs.record(&shop, START_MS, abort("package-2")).await.unwrap();
    assert_eq!(granted.seq, before + 4);
    assert_sound(store.as_ref(), &shop).await;
}

async fn time_does_not_go_back(store: Arc<dyn Store>) {
    let (ledger, shop) = (Ledger::open(store.clone()), name("shop"));
    ledger.record(&shop, START_MS, rules_loaded(&shop)).await.unwrap();
    ledger.record(&shop, START_MS - 5_000, late(1)).await.unwrap();
    assert_eq!(store.events(&shop, 2, 1).await.unwrap()[0].at_ms, START_MS);
}

async fn ended_runs_are_found(store: Arc<dyn Store>) {
    let (ledger, shop) = (Ledger::open(store.clone()), name("shop"));
    begun(&ledger, &shop).await;
    for number in 2..=6 {
        delivered(&ledger, &shop, number).await;
    }
    let found = async |filter: RunFilter| {
        let runs = store.runs(&shop, &filter).await.unwrap();
        runs.iter().map(|run| run.number).collect::<Vec<_>>()
    };
    let newest = RunFilter::newest;
    assert_eq!(found(newest(2)).await, [5, 4]);
    assert_eq!(found(RunFilter { before: Some(4), ..newest(2) }).await, [3, 2]);
    assert_eq!(found(RunFilter { subject: Some("bake".to_owned()), ..newest(9) }).await, [0; 0]);
    assert_eq!(found(RunFilter { subject: Some("package".to_owned()), ..newest(1) }).await, [5]);
    assert_eq!(found(RunFilter { state: Some(RunState::Failed), ..newest(9) }).await, [0; 0]);
    assert_eq!(found(RunFilter { state: Some(RunState::Done), ..newest(9) }).await.len(), 5);
    assert!(store.runs(&name("other"), &newest(9)).await.unwrap().is_empty());
}

async fn artifacts_are_followed_both_ways(store: Arc<dyn Store>) {
    let (ledger, shop) = (Ledger::open(store.clone()), name("shop"));
    begun(&ledger, &shop).await;
    for number in 2..=3 {
        delivered(&ledger, &shop, number).await;
    }
    let digest = tarball(2);
    let bare = digest.as_str().strip_prefix("sha256:").unwrap();
    for name in [digest.as_str(), bare, &bare[..12], &digest.as_str()[..16]] {
        let Traced::One { origin, upstream, downstream, shortened } = traced(&store, &shop, name).await else {
            panic!("{name} is one artifact")
        };
        assert_eq!((origin.name.as_str(), origin.uri.as_str()), (digest.as_str(), "file:a"));
        assert_eq!(upstream.len(), 1);
        assert_eq!(upstream[0].from.name, format!("software@{}", commit(2)));
        assert_eq!(downstream.len(), 1);
        assert_eq!(downstream[0].to.name, format!("image@{}", commit(1_000_002)));
        assert_eq!(downstream[0].by.step.as_str(), "pin");
        assert!(!shortened);
    }
    let Traced::Several { artifacts } = traced(&store, &shop, "sha256:").await else { panic!("there are two") };
    assert_eq!(artifacts.len(), 2);
    assert_eq!(traced(&store, &shop, "fedcba").await, Traced::Nothing);
    assert_eq!(traced(&store, &name("other"), bare).await, Traced::Nothing);
}

async fn traced(store: &Arc<dyn Store>, system: &SystemName, name: &str) -> Traced {
    trace(store.as_ref(), system, name).await.unwrap()
}

async fn a_change_is_noticed(store: Arc<dyn Store>) {
    let ledger = Ledger::open(store.clone());
    let mut changes = store.changes();
    changes.mark_unchanged();
    ledger.record(&name("shop"), START_MS, late(1)).await.unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(10), changes.changed()).await.unwrap().unwrap();
}

async fn sessions_last_until_they_end(store: Arc<dyn Store>) {
    const HOUR_MS: i64 = 3_600_000;
    let link = |server: &str| SessionOwner::Link { server: server.to_owned() };
    let of_issuer = |subject: &str| {
        SessionOwner::Issuer(Identity {
            issuer: "corp".to_owned(),
            subject: subject.to_owned(),
            person: "grace".to_owned(),
            groups: ["ops".to_owned()].into(),
        })
    };
    let session = |number: u8, owner: SessionOwner, begun_ms: i64| Session {
        id: format!("s-{number}"),
        hash: TokenHash([number; 32]),
        owner,
        browser: "Test/1".to_owned(),
        begun_ms,
        used_ms: begun_ms,
        ends_ms: begun_ms + 20 * HOUR_MS,
    };
    let begin = async |session: Session| {
        assert!(store.note(SessionNote::Begun { session, most: 2 }.into()).await.unwrap());
    };
    let there = async || store.sessions().await.unwrap().into_iter().map(|it| it.id).collect::<Vec<_>>();
    let first = session(1, of_issuer("7"), 0);
    begin(first.clone()).await;
    begin(session(2, link("a"), 1)).await;
    assert_eq!(store.session(TokenHash([1; 32])).await.unwrap().as_ref(), Some(&first));
    assert_eq!(store.session(TokenHash([9; 32])).await.unwrap(), None);
    assert_eq!(there().await, ["s-2", "s-1"]);
    // A use is never taken back, and nothing ends twice.
    for (at_ms, used_ms) in [(HOUR_MS, HOUR_MS), (5, HOUR_MS)] {
        assert!(store.note(SessionNote::Used { id: "s-1".to_owned(), at_ms }.into()).await.unwrap());
        assert_eq!(store.session(TokenHash([1; 32])).await.unwrap().unwrap().used_ms, used_ms);
    }
    begin(session(3, link("b"), 2)).await;
    assert_eq!(there().await, ["s-3", "s-1"], "a link's ends with its server");
    let end = SessionNote::Ended { id: "s-3".to_owned() };
    assert!(store.note(end.clone().into()).await.unwrap() && !store.note(end.into()).await.unwrap());
    assert!(!store.note(SessionNote::Used { id: "s-3".to_owned(), at_ms: 9 }.into()).await.unwrap());
    // One owner has so many: the one that was used longest ago goes. Others keep theirs.
    begin(session(4, of_issuer("8"), 3)).await;
    begin(session(5, of_issuer("7"), 4)).await;
    begin(session(6, of_issuer("7"), 5)).await;
    assert_eq!(there().await, ["s-6", "s-4", "s-1"]);
    // What has ended by itself is forgotten when another begins.
    begin(session(7, of_issuer("9"), 12 * HOUR_MS + 4)).await;
    assert_eq!(there().await, ["s-7", "s-6", "s-1"]);
}

fn delivery(guid: &str, heard: Option<&str>, received_ms: i64) -> Delivery {
    let (guid, event, heard) = (guid.to_owned(), "push".to_owned(), heard.map(str::to_owned));
    Delivery { guid, event, heard, received_ms, outcome: None }
}

async fn deliveries_are_taken_once_and_wait_until_they_are_done(store: Arc<dyn Store>) {
    const DAY_MS: i64 = 24 * 3_600_000;
    let delivered = store.delivered();
    let take = async |delivery: Delivery| store.note(DeliveryNote::Taken { delivery }.into()).await.unwrap();
    let waiting =
        async |limit| store.deliveries(limit).await.unwrap().into_iter().map(|it| it.guid).collect::<Vec<_>>();
    let first = delivery("b", Some("{}"), START_MS);
    assert!(take(first.clone()).await && take(delivery("a", Some("[]"), START_MS + 1)).await);
    assert!(delivered.has_changed().unwrap());
    assert!(!take(delivery("b", Some("[]"), START_MS + 2)).await, "it is known");
    assert!(take(delivery("counted", None, START_MS + 3)).await, "and nothing is done for it");
    assert_eq!((waiting(9).await, waiting(1).await), (vec!["b".to_owned(), "a".to_owned()], vec!["b".to_owned()]));
    assert_eq!((store.delivery("b").await.unwrap(), store.delivery("x").await.unwrap()), (Some(first), None));
    let done = |guids: &[&str], outcome: &str| {
        let guids = guids.iter().map(|guid| (*guid).to_owned()).collect();
        store.note(DeliveryNote::Done { guids, outcome: outcome.to_owned(), at_ms: START_MS + 4 }.into())
    };
    assert!(done(&["b", "x"], "looked").await.unwrap() && !done(&["b"], "again").await.unwrap());
    assert_eq!(store.delivery("b").await.unwrap().unwrap().outcome.as_deref(), Some("looked"));
    assert_eq!(waiting(9).await, ["a"]);
    // What is done is known for 8 days, and what waits for as long as that takes.
    assert!(take(delivery("later", None, START_MS + 8 * DAY_MS)).await);
    assert!(store.delivery("b").await.unwrap().is_some());
    assert!(take(delivery("latest", None, START_MS + 8 * DAY_MS + 1)).await);
    assert_eq!((store.delivery("b").await.unwrap(), waiting(9).await), (None, vec!["a".to_owned()]));
    assert!(store.delivery("counted").await.unwrap().is_some());
}

async fn what_was_lost_is_asked_for_once(store: Arc<dyn Store>) {
    let ask = |guid: &str, at_ms| store.note(DeliveryNote::AskedFor { guid: guid.to_owned(), at_ms }.into());
    assert!(ask("g", 1).await.unwrap() && !ask("g", 2).await.unwrap());
    let not = DeliveryNote::NotAskedFor { guid: "g".to_owned() };
    assert!(store.note(not.clone().into()).await.unwrap() && !store.note(not.into()).await.unwrap());
    assert!(ask("g", 3).await.unwrap(), "nobody heard it");
    assert_eq!(store.deliveries_listed_ms().await.unwrap(), None);
    for until_ms in [5, 9] {
        store.note(DeliveryNote::Listed { until_ms }.into()).await.unwrap();
        assert_eq!(store.deliveries_listed_ms().await.unwrap(), Some(until_ms));
    }
}

/// All at once, so that they share transactions.
async fn a_burst_of_deliveries_is_taken_whole(store: Arc<dyn Store>) {
    let mut takes = tokio::task::JoinSet::new();
    for number in 0..2_000 {
        let store = store.clone();
        takes.spawn(async move {
            let delivery = delivery(&format!("d-{}", number % 1_000), Some("{}"), START_MS);
            usize::from(store.note(DeliveryNote::Taken { delivery }.into()).await.unwrap())
        });
    }
    let mut taken = 0;
    while let Some(take) = takes.join_next().await {
        taken += take.unwrap();
    }
    assert_eq!((taken, store.deliveries(2_000).await.unwrap().len()), (1_000, 1_000), "each once");
}

macro_rules! contract {
    ($($promise:ident)*) => {
        mod with_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let folder = tempfile::tempdir().unwrap();
                super::$promise(super::super::story::open(&folder.path().join("tidegate.db")).await).await;
            })*
        }
    };
}

contract! {
    an_event_is_there_with_all_that_came_of_it
    only_one_event_has_a_place
    a_refusal_is_only_its_own
    an_effect_is_claimed_once_and_not_before_it_is_due
    an_effect_that_is_due_again_is_told_to_who_holds_it
    a_state_is_the_same_read_again
    two_ledgers_lose_nothing
    a_command_is_judged_by_the_newest_state
    time_does_not_go_back
    ended_runs_are_found
    artifacts_are_followed_both_ways
    a_change_is_noticed
    sessions_last_until_they_end
    deliveries_are_taken_once_and_wait_until_they_are_done
    what_was_lost_is_asked_for_once
    a_burst_of_deliveries_is_taken_whole
}
