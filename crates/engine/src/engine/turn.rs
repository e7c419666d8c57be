//! One event taken in: the state before it, the state after it, and what is to be done because of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    access::{Access, AccessInForce},
    effect::{Effect, EffectKind},
    event::{Artifact, Event, Recorded, StepPlace},
    ids::{EffectId, RunId},
    run::Run,
    system::{RefusedRules, RulesInForce, System},
};
use crate::rules::Rules;

/// What comes of an event, besides the new state. The store commits all of it with the event, or none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Effects that are pending from now on.
    pub due: Vec<Effect>,
    /// Effects that are no longer pending: settled by this event, or not wanted any more.
    pub dropped: Vec<EffectId>,
    /// Runs that ended with this event, whole, for the history.
    pub ended: Vec<Run>,
    /// What came from what.
    pub links: Vec<Link>,
}

/// One step of provenance: `to` was made from `from`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What it was made from.
    pub from: Artifact,
    /// What was made.
    pub to: Artifact,
    /// By which step.
    pub by: StepPlace,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
}

/// An event that cannot be taken in. The state is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The event does not follow the last one.
    #[error("event {got} cannot follow event {last} of this system")]
    OutOfOrder {
        /// The last event that was taken in.
        last: u64,
        /// The one that was offered.
        got: u64,
    },
    /// No rules are in force yet.
    #[error("no valid rules are in force yet: `tidegate check` shows what is wrong with them")]
    NoRules,
    /// The rules do not have what was asked for.
    #[error("{what}; {hint}")]
    Unknown {
        /// What was asked for.
        what: String,
        /// What there is.
        hint: String,
    },
    /// The run is not in a state for this.
    #[error("{run}: {reason}; {hint}")]
    NotNow {
        /// The run.
        run: RunId,
        /// Why not.
        reason: String,
        /// What to do instead.
        hint: String,
    },
    /// Somebody may not do this.
    #[error("{who} may not {what}: {reason}")]
    NotAllowed {
        /// Who asked.
        who: String,
        /// For what.
        what: String,
        /// Why not, and who may.
        reason: String,
    },
}

impl Refused {
    pub(super) fn unknown(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Unknown { what: what.into(), hint: hint.into() }
    }

    pub(super) fn not_now(run: &RunId, reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::NotNow { run: run.clone(), reason: reason.into(), hint: hint.into() }
    }
}

/// Takes one event in: decides, changes the state, and says what is to be done.
///
/// # Errors
/// [`Refused`] when the event does not follow the last one, or is a command that cannot be granted; the state is then
/// as it was (I8).
pub fn step(system: &mut System, recorded: &Recorded<Event>) -> Result<Decision, Refused> {
    take_in(system, recorded, false)
}

/// Takes in again an event that is in the log. An approval in it was granted by what was known then of who wrote the
/// change; that is not judged anew by what is asked today.
///
/// # Errors
/// As for [`step`].
pub fn retrace(system: &mut System, recorded: &Recorded<Event>) -> Result<Decision, Refused> {
    take_in(system, recorded, true)
}

fn take_in(system: &mut System, recorded: &Recorded<Event>, retraces: bool) -> Result<Decision, Refused> {
    if recorded.seq != system.seq + 1 {
        return Err(Refused::OutOfOrder { last: system.seq, got: recorded.seq });
    }
    let mut turn = Turn {
        system,
        at_ms: recorded.at_ms,
        seq: recorded.seq,
        decision: Decision::default(),
        awake: BTreeSet::new(),
        retraces,
    };
    match &recorded.event {
        Event::RulesLoaded { source, digest, rules } => {
            let in_force = RulesInForce {
                source: source.clone(),
                digest: digest.clone(),
                rules: std::sync::Arc::new(Rules::clone(rules)),
                since_ms: recorded.at_ms,
            };
            turn.load_rules(in_force);
        }
        Event::RulesRefused { source, digest, mistakes } => {
            let (source, digest, mistakes) = (source.clone(), digest.clone(), mistakes.clone());
            turn.tell_rules_refused(&source, &mistakes);
            turn.system.refused_rules = Some(RefusedRules { source, digest, mistakes, at_ms: recorded.at_ms });
        }
        Event::AccessLoaded { access } => turn.load_access(access),
        Event::Outcome { effect, outcome } => turn.outcome(effect, outcome),
        Event::Command { by, command } => turn.command(by, command)?,
    }
    turn.advance_awake();
    turn.keep_questions_current();
    let Turn { system, decision, .. } = turn;
    system.seq = recorded.seq;
    system.at_ms = recorded.at_ms;
    debug_assert_eq!(super::invariants::broken(system), Vec::<String>::new(), "after event {}", recorded.seq);
    Ok(decision)
}

/// The taking in of one event.
pub(super) struct Turn<'system> {
    pub(super) system: &'system mut System,
    pub(super) at_ms: i64,
    pub(super) seq: u64,
    pub(super) decision: Decision,
    /// The numbers of runs that may go on now.
    pub(super) awake: BTreeSet<u64>,
    /// Whether the event is in the log already.
    pub(super) retraces: bool,
}

impl Turn<'_> {
    /// Makes an effect pending.
    pub(super) fn emit(&mut self, effect: Effect) {
        self.system.due.insert(effect.id.clone(), effect.clone());
        self.decision.due.push(effect);
    }

    /// Takes an effect back, if it is still pending.
    pub(super) fn drop_effect(&mut self, id: &EffectId) -> Option<Effect> {
        let effect = self.system.due.remove(id)?;
        match self.decision.due.iter().position(|due| due.id == *id) {
            Some(position) => drop(self.decision.due.remove(position)),
            None => self.decision.dropped.push(id.clone()),
        }
        Some(effect)
    }

    /// Puts people, groups and roles into force, as far as they concern this system.
    fn load_access(&mut self, access: &Access) {
        self.system.access = Some(AccessInForce { digest: access.digest(), access: access.clone() });
    }

    /// Puts rules into force: watches what is new, forgets what is gone, and sets the schedules' timers.
    fn load_rules(&mut self, in_force: RulesInForce) {
        let rules = in_force.rules.clone();
        let before = self.system.rules.replace(in_force).map(|before| before.rules);
        self.system.refused_rules = None;
        self.system.repositories.retain(|name, _| rules.repositories.contains_key(name));
        for watched in self.system.repositories.values_mut() {
            watched.heads.retain(|stage, _| rules.stages.contains_key(stage));
            watched.seen.retain(|stage| rules.stages.contains_key(stage));
            watched.first.retain(|stage, _| rules.stages.contains_key(stage));
            watched.gone.retain(|stage, _| rules.stages.contains_key(stage));
        }
        self.system.provenance.retain(|name, _| rules.repositories.contains_key(name));
        let stale: Vec<EffectId> =
            self.system.due.values().filter(|effect| is_watch(effect)).map(|effect| effect.id.clone()).collect();
        for id in &stale {
            self.drop_effect(id);
        }
        for name in rules.repositories.keys() {
            self.system.repositories.entry(name.clone()).or_default();
            self.watch(name, self.at_ms);
        }
        self.schedule_all(before.as_deref(), &rules);
        self.awake.extend(self.system.runs.keys());
    }
}

const fn is_watch(effect: &Effect) -> bool {
    matches!(effect.kind, EffectKind::Watch { .. })
}
