//! A small history of one system, told event by event: rules, pushes, and steps that end.

use std::{path::Path, sync::Arc};

use serde_json::json;
use tidegate::{
    engine::{
        Artifact, CommitId, Digest, Effect, EffectId, EffectKind, Event, HeadSeen, Made, Outcome, StepOutcome, System,
    },
    rules::{RepositoryName, Rules, StageName, SystemName},
    store::{Entry, Ledger, SqliteStore, Store, verify_log},
};

const RULES: &str = include_str!("../../../src/cli/demo/seed/webshop.yaml");
/// The time at which the history begins.
pub(super) const START_MS: i64 = 1_700_000_000_000;

pub(super) fn name(name: &str) -> SystemName {
    SystemName::new(name).unwrap()
}

pub(super) async fn open(path: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(path).await.unwrap())
}

pub(super) fn rules_loaded(system: &SystemName) -> Event {
    let mut rules: Rules = tidegate::rules::load("webshop.yaml", RULES).unwrap();
    rules.system = system.clone();
    Event::RulesLoaded {
        source: "test".to_owned(),
        digest: Digest::of(RULES.as_bytes()),
        rules: Box::new(rules),
        origin: None,
        secret: None,
    }
}

/// What the pending watch of software sees when `dev` is at a commit made of this number.
pub(super) fn pushed(state: &System, number: u64) -> Event {
    let repository = RepositoryName::new("software").unwrap();
    let is_watch = |effect: &&Effect| effect.kind == EffectKind::Watch { repository: repository.clone() };
    let watch = state.due.values().find(is_watch).unwrap();
    let ada = "Ada <ada@example.com>".to_owned();
    let seen = HeadSeen {
        commit: commit(number),
        author: ada.clone(),
        authors: [ada].into(),
        others_wrote: false,
        subject: format!("Change {number}"),
        changed: None,
        forced: false,
        keys: Vec::new(),
        pins: Vec::new(),
    };
    let heads = [(StageName::new("dev").unwrap(), Some(seen))].into();
    Event::Outcome {
        effect: watch.id.clone(),
        outcome: Outcome::Heads { heads, unread: Default::default(), tags: None },
        waited_ms: 0,
    }
}

/// The end of the step that is pending: of `package` with an artifact, of `pin` with a commit.
pub(super) fn step_done(state: &System, number: u64) -> Event {
    let effect = state.due.values().find(|effect| matches!(effect.kind, EffectKind::Step { .. })).unwrap();
    let EffectKind::Step { step, .. } = &effect.kind else { unreachable!("looked for above") };
    let (outputs, artifact) = if step.as_str() == "package" {
        let digest = tarball(number);
        let outputs = json!({"tag": "1", "uri": "file:a", "sha256": digest, "reused": false});
        (outputs, Artifact::of_digest("tarball", &digest, "file:a"))
    } else {
        let image = RepositoryName::new("image").unwrap();
        (json!({"changed": true}), Artifact::commit(&image, &commit(number + 1_000_000)))
    };
    let outputs = outputs.as_object().unwrap().clone();
    let done = StepOutcome::Done { outputs: outputs.into(), artifacts: vec![artifact].into(), made: Made::Nothing };
    Event::Outcome { effect: effect.id.clone(), outcome: Outcome::Step(done), waited_ms: 0 }
}

/// An outcome of an effect that is not pending: recorded, and changes nothing.
pub(super) fn late(number: u64) -> Event {
    Event::Outcome { effect: EffectId::new(format!("late#{number}")), outcome: Outcome::Fired, waited_ms: 0 }
}

pub(super) fn commit(number: u64) -> CommitId {
    CommitId::new(format!("{number:040x}"))
}

pub(super) fn tarball(number: u64) -> Digest {
    Digest::of(&number.to_be_bytes())
}

/// Decides on the present state what happens, and records it.
pub(super) async fn record(ledger: &Ledger, system: &SystemName, event: impl FnOnce(&System) -> Event) -> Entry {
    let (at_ms, event) = ledger.read(system, |state| (START_MS.max(state.at_ms + 1), event(state))).await.unwrap();
    ledger.record(system, at_ms, event).await.unwrap()
}

/// A system with rules whose repository has been seen.
pub(super) async fn begun(ledger: &Ledger, system: &SystemName) {
    ledger.record(system, START_MS, rules_loaded(system)).await.unwrap();
    record(ledger, system, |state| pushed(state, 1)).await;
}

/// One push and the run that comes of it, to its end.
pub(super) async fn delivered(ledger: &Ledger, system: &SystemName, number: u64) {
    record(ledger, system, |state| pushed(state, number)).await;
    record(ledger, system, |state| step_done(state, number)).await;
    let entry = record(ledger, system, |state| step_done(state, number)).await;
    assert_eq!(entry.decision.ended.len(), 1);
}

/// The log is whole, and the effects are those of the state.
pub(super) async fn assert_sound(store: &dyn Store, system: &SystemName) {
    let check = verify_log(store, system).await.unwrap();
    assert_eq!(check.broken, None);
    assert_eq!(check.events, store.last_seq(system).await.unwrap());
}
