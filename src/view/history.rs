//! What happened, in words: an event of the log.

use super::words::{Tone, first_line};
use crate::engine::{
    Attribution, Command, Delivery, EffectId, Event, Outcome, Principal, RulesOrigin, StartOn, StepOutcome, TagIn,
    TagsSeen, Written, explain,
};

/// A word in a tone, or as it is.
pub(crate) type Painter = fn(&str, Tone) -> String;

/// An event in words, without colours.
pub(crate) fn plain_words(event: &Event) -> String {
    words(event, |word, _| word.to_owned())
}

/// An event in words.
pub(crate) fn words(event: &Event, paint: Painter) -> String {
    match event {
        Event::RulesLoaded { source, origin, .. } => {
            format!("rules came into force: {source}{}", of_commit(origin.as_ref()))
        }
        Event::RulesOffered { source, origin, .. } => {
            format!("rules wait for people: {source}{}", of_commit(Some(origin)))
        }
        Event::RulesRefused { source, origin, .. } => {
            format!("rules were refused: {source}{}", of_commit(origin.as_ref()))
        }
        Event::AccessLoaded { access } => {
            format!("people and roles came into force: {} people, {} grants", access.people.len(), access.grants.len())
        }
        Event::Nudged { what, by, .. } => match by {
            Some(by) => format!("{} asked to {}", said(by), what.clause()),
            None => format!("there may be news: {}", what.clause()),
        },
        Event::Command { by, command, key: _ } => format!("{} {}", said(by), asked_for(command)),
        Event::Outcome { effect, outcome, .. } => outcome_words(effect, outcome, paint),
    }
}

/// Of which commit rules are.
fn of_commit(origin: Option<&RulesOrigin>) -> String {
    origin.map_or_else(String::new, |RulesOrigin { commit, author, subject, .. }| {
        format!(" at {} \"{subject}\" by {author}", commit.short())
    })
}

/// Who asked: "grace", or "grace, asked by root,".
fn said(by: &Principal) -> String {
    let said = by.said();
    if by.asked_by.is_some() { format!("{said},") } else { said }
}

/// What a command asks for: "asked to promote dev to qa".
pub(crate) fn asked_for(command: &Command) -> String {
    match command {
        Command::Run { rule, stage, on: None } => format!("started {rule} in {stage}"),
        Command::Run { rule, stage, on: Some(StartOn::Tag(tag)) } => format!("started {rule} in {stage} for tag {tag}"),
        Command::Run { rule, stage, on: Some(StartOn::Bundle(bundle)) } => {
            format!("brought {} to {rule} in {stage}", bundle.name)
        }
        Command::Promote { from, to, release: Some(release), .. } => {
            format!("asked to promote {from} to {to} for the release {}", release.name)
        }
        Command::Promote { from, to, version: None, .. } => format!("asked to promote {from} to {to}"),
        Command::Promote { from, to, version: Some(run), .. } => format!("asked to promote {run} from {from} to {to}"),
        Command::Rollback { stage, to: None, reason } => format!("rolled {stage} back: {reason}"),
        Command::Rollback { stage, to: Some(run), reason } => format!("rolled {stage} back to {run}: {reason}"),
        Command::TakeBack { run, reason } => format!("had {run} taken back: {reason}"),
        Command::Veto { what, reason } => format!("vetoed {what}: {reason}"),
        Command::LiftVeto { what, reason } => format!("lifted the veto of {what}: {reason}"),
        Command::Pin { stage, version: None, reason } => format!("pinned {stage}: {reason}"),
        Command::Pin { stage, version: Some(run), reason } => format!("pinned {stage} at {run}: {reason}"),
        Command::Unpin { stage } => format!("ended the pin of {stage}"),
        Command::Approve { run, .. } => format!("approved {run}"),
        Command::Reject { run, reason } => format!("rejected {run}: {reason}"),
        Command::Retry { run } => format!("let {run} go on"),
        Command::Abort { run, reason } => format!("aborted {run} {reason}"),
        Command::Unlock { target, stage } => format!("unlocked {target} in {stage}"),
        Command::Operate { operation, target, stage } => {
            format!("asked to {} {target} in {stage}", operation.name())
        }
        Command::Observe { target, stage } => format!("had {target} in {stage} looked at"),
        Command::Withdraw { run } => format!("withdrew their approval of {run}"),
        Command::Pause { reason } => format!("paused it: {reason}"),
        Command::Resume => "resumed it".to_owned(),
        Command::Freeze { stage, until_ms, reason } => {
            let of = stage.as_ref().map_or("every stage", |stage| stage.as_str());
            format!("froze {of} until {}: {reason}", explain::time(*until_ms))
        }
        Command::Thaw { freeze } => format!("ended {freeze}"),
        Command::Override { freeze, run, reason } => format!("let {run} pass {freeze}: {reason}"),
        Command::Hotfix { what, reason } => format!("marked {what} as a hotfix: {reason}"),
    }
}

/// What is new of tags: those that start something, and how many others there are.
fn tag_words(tags: &TagsSeen) -> Vec<String> {
    let TagsSeen { new, within, error, .. } = tags;
    let mut words: Vec<String> = within
        .iter()
        .map(|TagIn { tag, stage, commit, .. }| format!("{stage} has tag {tag} {}", commit.short()))
        .collect();
    let others = new.keys().filter(|tag| within.iter().all(|within| within.tag != **tag)).count();
    words.extend((others > 0).then(|| format!("{others} more {}", if others == 1 { "tag" } else { "tags" })));
    words.extend(error.clone());
    words
}

fn outcome_words(effect: &EffectId, outcome: &Outcome, paint: Painter) -> String {
    let (what, _) = effect.as_str().rsplit_once('#').unwrap_or((effect.as_str(), ""));
    let what = what.trim_start_matches("watch/").trim_start_matches("observe/");
    match outcome {
        Outcome::Heads { heads, unread, tags } => {
            let heads = heads.iter().map(|(stage, head)| match head {
                Some(head) => format!("{stage} {} \"{}\"", head.commit.short(), head.subject),
                None => format!("{stage} has no branch"),
            });
            let unread = unread.iter().map(|(stage, unread)| {
                format!("{stage} {} cannot be read: {}", unread.commit.short(), first_line(&unread.error))
            });
            let tags = tags.iter().flat_map(|tags| tag_words(tags));
            format!("{what} was seen: {}", heads.chain(unread).chain(tags).collect::<Vec<_>>().join(", "))
        }
        Outcome::Unreachable { error } => format!("{what} cannot be reached: {}", first_line(error)),
        Outcome::Fired => format!("the time of {what} has come"),
        Outcome::Step(StepOutcome::Pending { progress, .. }) => {
            format!("{what} goes on: {}", progress.as_deref().unwrap_or("it was started"))
        }
        Outcome::Step(StepOutcome::Done { .. }) => format!("{what} {}", paint("done", Tone::Good)),
        Outcome::Step(StepOutcome::Retry { error, .. }) => format!("{what} is tried again: {}", first_line(error)),
        Outcome::Step(StepOutcome::Failed { error, .. }) => {
            format!("{what} {}: {}", paint("failed", Tone::Bad), first_line(error))
        }
        Outcome::Authors(Attribution::Told(Written { authors, unknown, .. })) => {
            let others = if unknown.is_empty() { "" } else { ", and not all are known" };
            format!("{what}: git said who wrote it: {}{others}", authors.iter().cloned().collect::<Vec<_>>().join(", "))
        }
        Outcome::Authors(Attribution::Retry { error, .. }) => {
            format!("{what}: git is asked again later: {}", first_line(error))
        }
        Outcome::Notice(Delivery::Delivered) => format!("{what} {}", paint("was delivered", Tone::Good)),
        Outcome::Notice(Delivery::Retry { error, .. }) => format!("{what} is sent again later: {}", first_line(error)),
        Outcome::Notice(Delivery::Failed { error, .. }) => {
            format!("{what} {}: {}", paint("was not delivered", Tone::Bad), first_line(error))
        }
        Outcome::Step(StepOutcome::Observed(seen)) | Outcome::Observed(seen) => {
            format!("{what} was looked at: {}", seen.standing.name())
        }
        Outcome::Unobserved { error } => format!("{what} cannot be looked at: {}", first_line(error)),
        Outcome::Step(StepOutcome::Cancelled) => format!("{what} was cancelled"),
    }
}
