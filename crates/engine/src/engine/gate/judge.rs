//! Whether somebody may judge a change, given who wrote it.

use crate::engine::{
    access::{Permission, Principal},
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
    let access = system.access.as_ref().map(|in_force| &in_force.access);
    if written.authors.iter().any(|author| wrote(by, author)) {
        return refuse("it holds a change that they wrote themselves; somebody else has to look at it".to_owned());
    }
    let delegator = match voice {
        Voice::InPlaceOf(name) => access.and_then(|access| access.principal(name)),
        Voice::Own => None,
    };
    if let Some(of) = delegator.filter(|of| written.authors.iter().any(|author| wrote(of, author))) {
        return refuse(format!("it holds a change by {}, in whose place they would answer", of.name));
    }
    let overrides = access.is_none_or(|access| access.allows(by, Permission::Override, Some(&run.stage)));
    if !written.unknown.is_empty() && !overrides {
        return refuse(format!(
            "not all who wrote it are known ({}), and they may be among them; it takes somebody with the permission \
             `override`",
            written.unknown.join("; ")
        ));
    }
    Ok(())
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
    let by = now.as_ref().unwrap_or(&answer.by);
    match may_judge(system, run, quorum, written, (by, &voice)) {
        Err(Refused::NotAllowed { who, reason, .. }) => {
            Some(format!("git says now who wrote it: {who} may not, {reason}"))
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

/// Whether the author of a change, `Ada <ada@example.com>`, is this person. No mail system in use tells addresses apart by
/// the case of their letters.
fn wrote(by: &Principal, author: &str) -> bool {
    let (name, email) = author.split_once(" <").map_or((author, ""), |(name, rest)| (name, rest.trim_end_matches('>')));
    by.name == name || (!email.is_empty() && by.emails.iter().any(|own| own.eq_ignore_ascii_case(email)))
}
