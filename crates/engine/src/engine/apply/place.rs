//! Folds the facts of repositories, stages and targets.

use std::collections::VecDeque;

use crate::engine::{
    content::CommitSet,
    fact::{RepositoryFact, StageFact, TargetFact},
    ids::TargetKey,
    state::{Policy, System, TargetState},
};
use crate::rules::{RepositoryName, StageName, TargetLife};

pub(super) fn apply_target(system: &mut System, key: &TargetKey, fact: &TargetFact) {
    if let TargetFact::Known { policy } = fact {
        return known(system, key, *policy);
    }
    if let TargetFact::Renamed { to } = fact {
        return renamed(system, key, to);
    }
    let Some(target) = system.targets.get_mut(key) else { return };
    match fact {
        TargetFact::Known { policy } => target.policy = *policy,
        TargetFact::Queued { run, place } => target.queue.insert((*place).min(target.queue.len()), *run),
        TargetFact::Left { run } => target.queue.retain(|waiting| waiting != run),
        TargetFact::Taken { run } => {
            target.queue.retain(|waiting| waiting != run);
            (target.holder, target.life, target.broken) = (Some(*run), TargetLife::Busy, None);
            // What was seen before says nothing to the run that has it now.
            if let Some(seen) = target.outside.as_mut().and_then(|outside| outside.seen.as_mut()) {
                seen.by = None;
            }
        }
        TargetFact::Freed { life } => {
            (target.holder, target.life) = (None, *life);
            gone(target);
        }
        TargetFact::Broken { because } => {
            (target.holder, target.life, target.broken) = (None, TargetLife::Broken, Some(because.clone()));
        }
        TargetFact::Unlocked => (target.life, target.broken) = (TargetLife::Available, None),
        TargetFact::Deployed(deployed) => target.deployed = Some((**deployed).clone()),
        TargetFact::Verified { set } => target.verified.clone_from(set),
        TargetFact::Lives { life } => {
            target.life = *life;
            gone(target);
        }
        TargetFact::Is { kind } => target.outside.get_or_insert_default().kind = *kind,
        TargetFact::Seen(seen) => {
            let outside = target.outside.get_or_insert_default();
            (outside.seen, outside.unseen) = (Some((**seen).clone()), None);
        }
        TargetFact::Unseen { error } => target.outside.get_or_insert_default().unseen = Some(error.clone()),
        TargetFact::Settled { saw } => {
            let outside = target.outside.get_or_insert_default();
            (outside.left, outside.drift) = (Some(saw.clone()), Vec::new());
        }
        TargetFact::Drifted { differences } => {
            target.outside.get_or_insert_default().drift.clone_from(differences);
        }
        TargetFact::Renamed { .. } => {}
    }
}

/// What is deleted holds nothing.
fn gone(target: &mut TargetState) {
    if target.life != TargetLife::Deleted {
        return;
    }
    (target.deployed, target.verified) = (None, CommitSet::default());
    if let Some(outside) = &mut target.outside {
        (outside.left, outside.drift) = (None, Vec::new());
    }
}

/// A target goes by another name: all that is known of it, and the runs that are on it.
fn renamed(system: &mut System, from: &TargetKey, to: &TargetKey) {
    let Some(target) = system.targets.remove(from) else { return };
    system.targets.insert(to.clone(), target);
    for run in system.runs.values_mut().filter(|run| run.target.as_ref() == Some(from)) {
        run.target = Some(to.clone());
    }
}

fn known(system: &mut System, key: &TargetKey, policy: Policy) {
    let new = || TargetState {
        life: TargetLife::Unprovisioned,
        policy,
        holder: None,
        queue: VecDeque::new(),
        deployed: None,
        broken: None,
        verified: CommitSet::default(),
        outside: None,
    };
    system.targets.entry(key.clone()).or_insert_with(new).policy = policy;
}

pub(super) fn apply_repository(system: &mut System, name: &RepositoryName, fact: &RepositoryFact) {
    match fact {
        RepositoryFact::Known => drop(system.repositories.entry(name.clone()).or_default()),
        RepositoryFact::Forgotten => {
            system.repositories.remove(name);
            system.provenance.remove(name);
        }
        RepositoryFact::ProvenanceSet(record) => {
            let records = system.provenance.entry(name.clone()).or_default();
            if let Some(at) = records.iter().rposition(|known| known.pins == record.pins) {
                records.remove(at);
            }
            records.push(record.clone());
        }
        RepositoryFact::ProvenanceForgotten(pins) => {
            if let Some(records) = system.provenance.get_mut(name) {
                records.retain(|known| known.pins != *pins);
            }
        }
        _ => {}
    }
    let Some(watched) = system.repositories.get_mut(name) else { return };
    match fact {
        RepositoryFact::TagsKnown { patterns: None, .. } => watched.tags = None,
        RepositoryFact::TagsKnown { patterns: Some(patterns), tags } => {
            let known = watched.tags.get_or_insert_default();
            known.patterns.clone_from(patterns);
            known.known.extend(tags.iter().map(|(tag, commit)| (tag.clone(), vec![commit.clone()])));
        }
        RepositoryFact::Tagged { tag, commits } => {
            drop(watched.tags.get_or_insert_default().known.insert(tag.clone(), commits.clone()));
        }
        RepositoryFact::TagAwaited(awaited) => {
            let waiting = &mut watched.tags.get_or_insert_default().awaited;
            waiting.retain(|other| other.tag != awaited.tag);
            waiting.extend((!awaited.stages.is_empty()).then(|| awaited.clone()));
        }
        RepositoryFact::TagsUnread { error } => watched.tags.get_or_insert_default().error.clone_from(error),
        RepositoryFact::WorkflowAhead(end) => watched.ahead.push(end.clone()),
        RepositoryFact::WorkflowOver(end) => watched.ahead.retain(|other| other != end),
        RepositoryFact::Known | RepositoryFact::Forgotten => {}
        RepositoryFact::ProvenanceSet(_) | RepositoryFact::ProvenanceForgotten(_) => {}
        RepositoryFact::FirstSeen { stage, first } => drop(watched.first.insert(stage.clone(), first.clone())),
        RepositoryFact::WatchAsked { order } => (watched.asked, watched.nudged) = (*order, false),
        RepositoryFact::Nudged => watched.nudged = true,
        RepositoryFact::Unreachable(unreachable) => watched.unreachable = Some(unreachable.clone()),
        RepositoryFact::Reached => watched.unreachable = None,
        RepositoryFact::Unread { stage, unread } => drop(watched.unread.insert(stage.clone(), unread.clone())),
        RepositoryFact::Read { stage } => drop(watched.unread.remove(stage)),
        RepositoryFact::StageSeen { stage } => drop(watched.seen.insert(stage.clone())),
        RepositoryFact::StageForgotten { stage } => {
            watched.heads.remove(stage);
            watched.seen.remove(stage);
            watched.gone.remove(stage);
            watched.first.remove(stage);
            watched.unread.remove(stage);
        }
        RepositoryFact::HeadSet { stage, head } => {
            watched.heads.insert(stage.clone(), head.clone());
            watched.gone.remove(stage);
        }
        RepositoryFact::HeadGone { stage } => {
            let gone = watched.heads.remove(stage).map(|head| (stage.clone(), head.commit.clone()));
            watched.gone.extend(gone);
        }
    }
}

pub(super) fn apply_stage(system: &mut System, stage: &StageName, fact: &StageFact) {
    let versions = &mut system.versions;
    match fact {
        StageFact::Verified(verified) => drop(system.verified.insert(stage.clone(), verified.clone())),
        StageFact::Promoted(promoted) => drop(system.promoted.insert(stage.clone(), promoted.clone())),
        StageFact::PromotionForgotten => drop(system.promoted.remove(stage)),
        StageFact::VersionKnown(version) => {
            versions.known.entry(stage.clone()).or_default().push((**version).clone());
        }
        StageFact::VersionForgotten => {
            if let Some(known) = versions.known.get_mut(stage) {
                known.drain(..known.len().min(1));
            }
        }
        StageFact::TakenAwaySet { sets } if sets.is_empty() => drop(versions.taken_away.remove(stage)),
        StageFact::TakenAwaySet { sets } => drop(versions.taken_away.insert(stage.clone(), sets.clone())),
        StageFact::HalfWay(half_way) => drop(versions.half_way.insert(stage.clone(), half_way.clone())),
        StageFact::HalfWayOver => drop(versions.half_way.remove(stage)),
        StageFact::RolledBack(back) => drop(versions.rolled_back.insert(stage.clone(), (**back).clone())),
        StageFact::Pinned(pinned) => drop(versions.pinned.insert(stage.clone(), (**pinned).clone())),
        StageFact::Unpinned => drop(versions.pinned.remove(stage)),
        StageFact::PushHeld { repository, paths } => {
            system.held.entry(stage.clone()).or_default().insert(repository.clone());
            let held = system.held_paths.entry(stage.clone()).or_default();
            match paths {
                Some(paths) => drop(held.insert(repository.clone(), paths.clone())),
                None => drop(held.remove(repository)),
            }
        }
        StageFact::Moved { repository, head } => {
            system.moved.entry(stage.clone()).or_default().insert(repository.clone(), head.clone());
        }
        StageFact::PushesReleased => {
            system.held.remove(stage);
            system.held_paths.remove(stage);
        }
    }
}
