//! What makes the log doubtful, so that nothing new starts until a person says so. Runs that a repository proves and the log
//! does not have: the database was restored from a backup, and what else happened since is not known either: holds, answers.
//! And another secret than before: commits of ours can no longer be told from those that only say so.

use std::collections::BTreeMap;

use super::{
    effect::{EffectKind, Phase},
    event::HeadSeen,
    fact::{Fact, StepFact},
    ids::{Digest, KeyParts, StepKey},
    moment,
    run::{Run, RunState},
    state::{Pause, System},
    step_run::{StepRun, StepState},
    turn::Turn,
};
use crate::rules::{RepositoryName, StageName};

/// In whose name a system is paused that has lost runs.
const ENGINE: &str = "Tidegate";

impl System {
    /// The run and step of a key of ours, where the state still has them.
    pub(super) fn step_of_key(&self, key: &StepKey) -> Option<(&Run, &StepRun)> {
        let parts = self.own(key)?;
        let run = self.run(&parts.run).filter(|run| is_of(run, &parts))?;
        Some((run, run.step(&parts.step)?))
    }

    fn own<'key>(&self, key: &'key StepKey) -> Option<KeyParts<'key>> {
        let rules = self.rules()?;
        key.parts().filter(|parts| rules.system.as_str() == parts.system)
    }

    /// What a key is of, by the number of its run, where the log does not have that run. Of one that is only forgotten,
    /// nothing.
    fn lost<'key>(&self, key: &'key StepKey) -> Option<(u64, KeyParts<'key>)> {
        let parts = self.own(key)?;
        let number = parts.run.number().filter(|number| *number > self.runs_lost)?;
        let is_another = self.runs.get(&number).is_some_and(|run| run.id != parts.run || !is_of(run, &parts));
        (number > self.runs_made || is_another).then_some((number, parts))
    }
}

/// Whether the time of the key is the run's.
fn is_of(run: &Run, parts: &KeyParts<'_>) -> bool {
    parts.made_ms.is_none_or(|made_ms| made_ms == run.created_ms)
}

impl Turn<'_> {
    /// Pauses the system where heads prove runs that the log does not have, and passes their numbers over.
    pub(super) fn lost_runs(&mut self, repository: &RepositoryName, heads: &BTreeMap<StageName, Option<HeadSeen>>) {
        let seen = heads.iter().filter_map(|(stage, seen)| Some((stage, seen.as_ref()?)));
        let keys = seen.flat_map(|(stage, seen)| seen.keys.iter().map(move |key| (stage, key)));
        let lost = keys.filter_map(|(stage, key)| Some((self.system.lost(key)?, stage)));
        let lost: BTreeMap<u64, _> = lost.map(|((number, parts), stage)| (number, (parts, stage))).collect();
        let (Some((_, (first, stage))), Some(highest)) = (lost.first_key_value(), lost.keys().max().copied()) else {
            return;
        };
        let began = first.made_ms.map(|made_ms| format!(", begun {}", moment::time(made_ms))).unwrap_or_default();
        let reason = format!(
            "the database is older than what the repositories prove: {repository} has in {stage} a commit of \
             {}{began}, which the log does not have. What happened since the backup is missing: look at freezes, pins and \
             vetoes, set again what was in force, then `tidegate resume`",
            first.run
        );
        self.record(Fact::RunsLost { highest });
        self.pause_in_doubt(reason);
    }

    /// Pauses the system where rules come with another secret than those before.
    pub(super) fn secret_seen(&mut self, secret: Option<&Digest>) {
        let before = self.system.rules.as_ref().and_then(|rules| rules.secret.as_ref());
        let (Some(before), Some(now)) = (before, secret) else { return };
        if before != now {
            self.pause_in_doubt(format!(
                "the secret of this installation was exchanged (its fingerprint was {}, and is {}): commits that Tidegate made \
                 before count as strangers'. Find out who changed the database; `tidegate resume` goes on with the new secret",
                short(before),
                short(now)
            ));
        }
    }

    /// Starts nothing new. The first reason stays; what a person gave is said with it.
    fn pause_in_doubt(&mut self, mut reason: String) {
        match &self.system.paused {
            Some(before) if before.by == ENGINE => return,
            Some(before) => reason = format!("{reason}. It was paused before, by {}: {}", before.by, before.reason),
            None => {}
        }
        self.tell_paused(ENGINE, &reason);
        self.record(Fact::Paused(Pause { by: ENGINE.to_owned(), reason, since_ms: self.at_ms }));
        self.put_back_what_is_due();
    }

    /// What is due to start was decided by a log that is doubted: it starts when a person has said so. Whatever of it has begun is
    /// found then, under the same key.
    fn put_back_what_is_due(&mut self) {
        let is_due = |step: &&StepRun| {
            let pending = step.effect.as_ref().and_then(|id| self.system.due.get(id));
            pending.is_some_and(|effect| matches!(effect.kind, EffectKind::Step { phase: Phase::Start, .. }))
        };
        let runs = self.system.live_runs().filter(|run| run.state == RunState::Running);
        let due = runs.flat_map(|run| {
            run.steps.iter().filter(is_due).map(|step| (run.number, step.id.clone(), step.round)).collect::<Vec<_>>()
        });
        for (number, id, round) in due.collect::<Vec<_>>() {
            self.drop_effect_of(number, &id);
            self.record_step(number, &id, StepFact::PutBack { state: StepState::Ready, round });
        }
    }
}

/// The first digits of a fingerprint.
fn short(fingerprint: &Digest) -> &str {
    fingerprint.as_str().trim_start_matches("sha256:").get(..12).unwrap_or_default()
}
