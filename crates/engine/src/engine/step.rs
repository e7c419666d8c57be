//! Takes one event in: each kind of event goes to what decides about it, and then every run that may go on does.

use std::collections::BTreeSet;

use super::{
    compiled::Compiled,
    decision::{Decision, Working},
    event::{Event, Recorded},
    fact::Fact,
    refused::Refused,
    state::{RefusedRules, RulesInForce, System},
    turn::Turn,
};
use crate::rules::Rules;

/// Takes one event in: decides, folds what was decided into the state, and returns it.
///
/// # Errors
/// [`Refused`] when the event does not follow the last one, or is a command that cannot be granted; the state is then
/// as it was (I8).
pub fn step(system: &mut System, recorded: &Recorded<Event>) -> Result<Decision, Refused> {
    if recorded.seq != system.seq + 1 {
        return Err(Refused::OutOfOrder { last: system.seq, got: recorded.seq });
    }
    let (seq, at_ms) = (recorded.seq, recorded.at_ms);
    let mut turn = Turn { system: Working::new(system), at_ms, seq, awake: BTreeSet::new() };
    match &recorded.event {
        Event::RulesLoaded { source, digest, rules, origin, secret } => {
            turn.secret_seen(secret.as_ref());
            let in_force = RulesInForce {
                source: source.clone(),
                digest: digest.clone(),
                rules: std::sync::Arc::new(Compiled::new(Rules::clone(rules))),
                since_ms: at_ms,
                origin: origin.clone(),
                secret: secret.clone(),
            };
            turn.withdraw_offer("other rules came into force");
            turn.load_rules(in_force);
        }
        Event::RulesOffered { source, digest, rules, origin, secret, meaning, quorum, written } => {
            let offered = RulesInForce {
                source: source.clone(),
                digest: digest.clone(),
                rules: std::sync::Arc::new(Compiled::new(Rules::clone(rules))),
                since_ms: at_ms,
                origin: Some(origin.clone()),
                secret: Some(secret.clone()),
            };
            turn.secret_seen(Some(secret));
            turn.offer_rules(offered, meaning, (quorum, written));
        }
        Event::RulesRefused { source, digest, mistakes, origin } => {
            turn.tell_rules_refused(source, mistakes);
            let (source, digest, mistakes) = (source.clone(), digest.clone(), mistakes.clone());
            let origin = origin.clone();
            turn.record(Fact::RulesRefused(RefusedRules { source, digest, mistakes, at_ms, origin }));
        }
        Event::AccessLoaded { access } => turn.load_access(access),
        Event::Outcome { effect, outcome, waited_ms } => turn.outcome(effect, outcome, *waited_ms),
        Event::Nudged { what, delivery, by } => turn.nudged(what, delivery, by.as_ref())?,
        Event::Command { by, command, key } => {
            key.iter().try_for_each(|key| turn.system.not_before(by, key))?;
            turn.command(by, command)?;
        }
    }
    turn.advance_awake();
    turn.keep_questions_current();
    if let Event::Command { by, key: Some(key), .. } = &recorded.event {
        turn.done_once(by, key);
    }
    let decision = turn.system.end(seq, at_ms);
    debug_assert_eq!(super::invariants::broken(system), Vec::<String>::new(), "after event {seq}");
    Ok(decision)
}
