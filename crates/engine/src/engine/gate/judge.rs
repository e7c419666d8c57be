//! Whether somebody may judge a change, given who wrote it.

use crate::engine::{
    access::{Access, Permission, Principal},
    authorship::Written,
    gate::voice::Voice,
    ids::RunId,
    refused::Refused,
    run::Run,
    state::System,
    step_run::{Answer, StepRun},
};
use crate::rules::Quorum;

/// Whether somebody may judge a change, given who wrote it; or why not.
pub(super) fn may_judge(
    system: &System,
    run: &Run,
    quorum: &Quorum,
    written: &Written,
    (by, voice): (&Principal, &Voice),
) -> Result<(), Refused> {
    if quorum.author_may_approve {
        return Ok(());
    }
    let refuse = |reason: String| {
        let what = format!("approve {}", run.id);
        Err(Refused::NotAllowed { who: by.name.clone(), what, reason })
    };
    let in_force = system.access.as_ref().map(|in_force| &in_force.access);
    let nobody = Access::default();
    let access = in_force.unwrap_or(&nobody);
    if access.is_author(by, written) {
        return refuse("it holds a change that they wrote themselves; somebody else has to look at it".to_owned());
    }
    let asking = by.asked_by.as_ref().map(|name| access.principal(name).unwrap_or_else(|| Principal::named(name)));
    if let Some(asking) = asking.filter(|asking| access.is_author(asking, written)) {
        return refuse(format!("it holds a change by {}, who asks in their name", asking.name));
    }
    let delegator = match voice {
        Voice::InPlaceOf(name) => access.principal(name),
        Voice::Own => None,
    };
    if let Some(of) = delegator.filter(|of| access.is_author(of, written)) {
        return refuse(format!("it holds a change by {}, in whose place they would answer", of.name));
    }
    match doubts(system, written) {
        Some(doubts) if !access.is_granted(by, Permission::Override, Some(&run.stage)) => refuse(format!(
            "not all who wrote it are known ({doubts}), and they may be among them; it takes somebody with the \
             permission `override`"
        )),
        _ => Ok(()),
    }
}

/// Why not all who wrote something are known.
pub(in crate::engine) fn doubts(system: &System, written: &Written) -> Option<String> {
    match &system.access {
        Some(in_force) => in_force.access.doubts(written),
        None => Access::default().doubts(written),
    }
}

/// Why an answer counts no more, given who wrote it: whoever answered did, or may have.
pub(in crate::engine) fn written_by(
    system: &System,
    run: &Run,
    quorum: &Quorum,
    written: &Written,
    answer: &Answer,
) -> Option<String> {
    let voice = answer.in_place_of.clone().map_or(Voice::Own, Voice::InPlaceOf);
    let now = system.access.as_ref().and_then(|in_force| in_force.access.principal(&answer.by.name));
    let now = now.map(|now| Principal { asked_by: answer.by.asked_by.clone(), ..now });
    let by = now.as_ref().unwrap_or(&answer.by);
    match may_judge(system, run, quorum, written, (by, &voice)) {
        Err(Refused::NotAllowed { who, reason, .. }) => {
            Some(format!("it is known now who wrote it: {who} may not, {reason}"))
        }
        _ => None,
    }
}

/// Nobody can say yet who may approve: git has not said who wrote it.
pub(super) fn not_yet(id: &RunId, step: &StepRun) -> Refused {
    let error = step.authorship.as_ref().and_then(|authorship| authorship.error.as_ref());
    match error {
        None => Refused::not_now(id, "not yet: git is being asked who wrote it", "try again in a moment"),
        Some(error) => Refused::not_now(
            id,
            format!("not yet: git is being asked who wrote it, and could not say so far: {error}"),
            "mend that; it is asked again by itself",
        ),
    }
}
