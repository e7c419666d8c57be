//! The questions: each reads the call, has the house answer it, and says that.

use std::{future::Future, pin::Pin};

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    call::{Answered, Call, MOST_ITEMS, json, text},
    problem::{Problem, ProblemKind},
    server::SignedIn,
    sessions::page_token,
};
use crate::{
    engine::{Run, RunId},
    house::{
        asker::{Asked, User},
        moment, now_ms,
        past::Moment,
        questions::{RunsWanted, period_since},
    },
    rules::{InvalidName, StageName, StepId, TargetName},
    store::{self, TokenNote},
    view::{
        answers::{EventTold, LogTold, LogsTold, Me, Page, RulesTold, SystemSummary},
        run::{RunShown, parse_run},
        target::TargetReport,
    },
};

type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// How long something that is due may lie before the driver is said not to work.
const DUE_FOR_MS: i64 = 60_000;
/// Since when figures are, unless it is said.
const SINCE: &str = "30d";

pub(super) fn health(_: Call) -> Answering {
    Box::pin(async { Ok(text("ok\n")) })
}

/// Whether the store can be written, and what is due is claimed. It names no system: anybody may ask.
pub(super) fn ready(call: Call) -> Answering {
    Box::pin(async move {
        let store = call.house.ledger.store();
        // It notes nothing, and takes what writing takes.
        store.note_token(TokenNote::Used { name: String::new(), at_ms: now_ms() }).await?;
        match store.next_due_ms().await?.map(|due_ms| now_ms() - due_ms).filter(|late_ms| *late_ms > DUE_FOR_MS) {
            None => Ok(text("ready\n")),
            Some(late_ms) => {
                let late = format!("something is due for {} seconds and not begun", late_ms / 1_000);
                Err(Problem::new(ProblemKind::Unavailable, late)
                    .hint("the driver does not claim: look at the server's log"))
            }
        }
    })
}

pub(super) fn describe(call: Call) -> Answering {
    Box::pin(async move {
        let mut response = Response::new(Body::from(call.server.description.clone()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    })
}

pub(super) fn me(call: Call) -> Answering {
    Box::pin(async move {
        let who = call.who()?;
        let by = call.house.settings.principal(who)?;
        let (signed_in_by, role) = match &who.user {
            User::Os(_) => ("link", None),
            User::Token(token) => ("token", Some(token.role)),
            User::Issuer(identity) => (identity.issuer.as_str(), None),
        };
        let systems = call.house.visible_systems(who).await.unwrap_or_default();
        let groups = by.groups.iter().cloned().collect();
        let page_token = match &call.signed_in {
            Some(SignedIn::Session { secret, .. }) => Some(page_token(secret)),
            Some(SignedIn::Token { .. }) | None => None,
        };
        let signed_in_by = signed_in_by.to_owned();
        call.of_more(Me { name: by.said(), groups, signed_in_by, role, systems, page_token }).await
    })
}

pub(super) fn systems(call: Call) -> Answering {
    Box::pin(async move {
        let visible = call.house.visible_systems(call.who()?).await?;
        let mut places = call.house.ledger.store().systems().await?;
        let summary = |system| places.remove(&system).map(|seq| SystemSummary { system, seq });
        let systems: Vec<SystemSummary> = visible.into_iter().filter_map(summary).collect();
        call.of_more(systems).await
    })
}

pub(super) fn status(call: Call) -> Answering {
    Box::pin(async move {
        let told = call.house.status(&call.asked().await?).await?;
        let reports: Vec<_> = told.there.into_iter().map(|(_, report)| report).chain(told.not_there).collect();
        call.of_more(reports).await
    })
}

pub(super) fn system_status(call: Call) -> Answering {
    Box::pin(async move {
        let at = call.query("at", |text| moment::parse(text, now_ms()).map_err(|error| error.to_string()))?;
        let seq = call.query("seq", place)?;
        let system = call.system()?.clone();
        let moment = match (seq, at) {
            (Some(_), Some(_)) => return Err(Problem::of_field("at", "say `at` or `seq`, not both")),
            (Some(seq), None) => Moment::Seq(seq),
            (None, Some(at_ms)) => Moment::At(at_ms),
            (None, None) => {
                let asked = Asked { system: Some(system), who: call.who()?.clone() };
                let told = call.house.status(&asked).await?;
                let report = told.there.into_iter().map(|(_, report)| report).chain(told.not_there).next();
                return call.of_more(report).await;
            }
        };
        let _place = call.server.heavy().await?;
        call.of_log(async |call| Ok(call.house.past(&system, moment, |_, _| {}).await?)).await
    })
}

pub(super) fn runs(call: Call) -> Answering {
    Box::pin(async move {
        let wanted = RunsWanted {
            rule: call.query("rule", |rule| Ok(rule.to_owned()))?,
            stage: call.query("stage", stage)?,
            before: call.query("cursor", |cursor| at(cursor, "runs"))?,
            limit: call.limit(MOST_ITEMS)?,
        };
        call.of_log(async |call| {
            let runs = call.house.runs(call.system()?, &wanted).await?;
            let is_full = runs.len() == wanted.limit as usize;
            let last = runs.last().map(|run| run.number).filter(|number| is_full && *number > 1);
            let next = last.map(|number| cursor("runs", number));
            Ok(Page { items: runs.into_iter().map(Run::as_shown).collect::<Vec<_>>(), next })
        })
        .await
    })
}

pub(super) fn run(call: Call) -> Answering {
    Box::pin(async move {
        let id = call.part("run", parse_run)?;
        let shown: RunShown = call.house.run_shown(call.system()?, &id).await?;
        call.of_more(shown.as_shown()).await
    })
}

pub(super) fn run_explained(call: Call) -> Answering {
    Box::pin(async move {
        let id = call.part("run", parse_run)?;
        let explained = call.house.run_explained(call.system()?, id.as_str()).await?;
        call.of_more(explained).await
    })
}

pub(super) fn logs(call: Call) -> Answering {
    Box::pin(async move {
        let id: RunId = call.part("run", parse_run)?;
        let (run, printed) = call.house.printed(call.system()?, &id).await?;
        let steps = printed.into_iter().map(|(step, log)| LogTold { step, bytes: log.len() as u64 }).collect();
        call.of_more(LogsTold { ended: run.state.is_ended(), steps }).await
    })
}

/// What a step printed. Whatever it is, no browser shows it as a page.
pub(super) fn log(call: Call) -> Answering {
    Box::pin(async move {
        let id: RunId = call.part("run", parse_run)?;
        let step = call.part("step", |text| StepId::new(text).map_err(|error| error.to_string()))?;
        let (run, printed) = call.house.printed(call.system()?, &id).await?;
        let log = printed.into_iter().find(|(of, _)| *of == step).map(|(_, log)| log);
        let log = match log {
            Some(log) => log,
            None if run.step(&step).is_some() => Vec::new(),
            None => return Err(Problem::not_found(format!("{id} has no step `{step}`"))),
        };
        part_of(log, call.header(&header::RANGE)?)
    })
}

/// A text, or the part of it that is asked for.
fn part_of(log: Vec<u8>, range: Option<&str>) -> Answered {
    let whole = log.len();
    let part = range.and_then(|range| asked_part(range, whole));
    let mut response = match part {
        None => text(log),
        Some(None) => {
            let problem = Problem::new(ProblemKind::NoSuchRange, format!("it has {whole} bytes so far"));
            let mut response = problem.response();
            ranged(&mut response, &format!("bytes */{whole}"));
            return Ok(response);
        }
        Some(Some((from, to))) => {
            let mut response = text(log.get(from..to).unwrap_or_default().to_vec());
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            ranged(&mut response, &format!("bytes {from}-{}/{whole}", to - 1));
            response
        }
    };
    response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    Ok(response)
}

fn ranged(response: &mut Response<Body>, range: &str) {
    if let Ok(range) = HeaderValue::from_str(range) {
        response.headers_mut().insert(header::CONTENT_RANGE, range);
    }
}

/// The first and the end of the part that is asked for: nothing where it is asked in a way that is not known, which means the
/// whole; nothing within where there is no such part.
fn asked_part(range: &str, whole: usize) -> Option<Option<(usize, usize)>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let part = match (first, last) {
        ("", last) => (whole.saturating_sub(last.parse().ok()?), whole),
        (first, "") => (first.parse().ok()?, whole),
        (first, last) => {
            let (first, last) = (first.parse().ok()?, last.parse::<usize>().ok()?);
            if first > last {
                return None;
            }
            (first, last.saturating_add(1).min(whole))
        }
    };
    Some(Some(part).filter(|(first, end)| first < end))
}

pub(super) fn journey(call: Call) -> Answering {
    Box::pin(async move {
        let what = call.query("what", |what| Ok(what.to_owned()))?.unwrap_or_default();
        let Some(stage) = call.query("stage", stage)? else {
            return Err(Problem::of_field("stage", "say which stage it is asked about"));
        };
        let explained = call.house.journey_explained(call.system()?, &what, &stage).await?;
        call.of_more(explained).await
    })
}

pub(super) fn trace(call: Call) -> Answering {
    Box::pin(async move {
        let name = call.query("name", |name| Ok(name.to_owned()))?.unwrap_or_default();
        call.of_log(async |call| Ok(store::trace(call.house.ledger.store().as_ref(), call.system()?, &name).await?))
            .await
    })
}

pub(super) fn events(call: Call) -> Answering {
    Box::pin(async move {
        let cursor_at = call.query("cursor", |cursor| at(cursor, "events"))?;
        let from = call.query("from", place)?;
        let limit = call.limit(MOST_ITEMS)?;
        call.of_log(async |call| {
            let system = call.system()?;
            let events = call.house.history(system, cursor_at.or(from), limit).await?;
            let last = call.house.ledger.store().last_seq(system).await?;
            let end = events.last().map(|event| event.seq).filter(|seq| *seq < last);
            let next = end.map(|seq| cursor("events", seq + 1));
            Ok(Page { items: events.into_iter().map(|event| EventTold::of(system, event)).collect(), next })
        })
        .await
    })
}

pub(super) fn stats(call: Call) -> Answering {
    Box::pin(async move {
        let since = call.query("since", |since| Ok(since.to_owned()))?;
        let period = period_since(since.as_deref().unwrap_or(SINCE), now_ms());
        let period = period.map_err(|error| Problem::of_field("since", error.to_string()))?;
        let stage = call.query("stage", stage)?;
        let _place = call.server.heavy().await?;
        let stats = call.house.stats(call.system()?, period, stage.as_ref(), |_, _| {}).await?;
        json(&stats, None)
    })
}

pub(super) fn targets(call: Call) -> Answering {
    Box::pin(async move {
        call.of_log(async |call| Ok(call.house.ledger.read(call.system()?, TargetReport::all).await?)).await
    })
}

pub(super) fn target(call: Call) -> Answering {
    Box::pin(async move {
        let target = call.part("target", |name| said(TargetName::new(name)))?;
        let stage = call.part("stage", stage)?;
        call.of_log(async |call| Ok(call.house.target(call.system()?, &target, &stage).await?)).await
    })
}

pub(super) fn rules(call: Call) -> Answering {
    Box::pin(async move {
        call.of_log(async |call| {
            let system = call.system()?;
            Ok(call.house.ledger.read(system, |state| RulesTold::of(system, state)).await?)
        })
        .await
    })
}

fn stage(text: &str) -> Result<StageName, String> {
    said(StageName::new(text))
}

fn said<T>(name: Result<T, InvalidName>) -> Result<T, String> {
    name.map_err(|error| error.to_string())
}

fn place(text: &str) -> Result<u64, String> {
    text.parse::<u32>().map(u64::from).map_err(|_| format!("`{text}` is no place in a log: it is a number"))
}

/// What the next page of something is asked for with. It is opaque: what it says may change.
fn cursor(of: &str, place: u64) -> String {
    URL_SAFE_NO_PAD.encode(format!("{of}:{place}"))
}

fn at(cursor: &str, of: &str) -> Result<u64, String> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        text.strip_prefix(of)?.strip_prefix(':')?.parse::<u32>().ok().map(u64::from)
    };
    read().ok_or_else(|| "this is no `next` of a page before".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{asked_part, at, cursor};

    #[test]
    fn a_part_of_a_log_is_what_was_asked_for() {
        for (range, part) in [
            ("bytes=0-", Some(Some((0, 10)))),
            ("bytes=4-5", Some(Some((4, 6)))),
            ("bytes=4-99", Some(Some((4, 10)))),
            ("bytes=-3", Some(Some((7, 10)))),
            ("bytes=-99", Some(Some((0, 10)))),
            ("bytes=10-", Some(None)),
            ("bytes=-0", Some(None)),
            ("bytes=5-4", None),
            ("bytes=0-1,3-4", None),
            ("lines=0-1", None),
            ("bytes=a-", None),
        ] {
            assert_eq!(asked_part(range, 10), part, "{range}");
        }
    }

    #[test]
    fn a_cursor_is_of_one_kind_of_page() {
        assert_eq!(at(&cursor("runs", 7), "runs"), Ok(7));
        for bad in [cursor("events", 7), cursor("runs", u64::MAX), "runs:7".to_owned(), String::new(), "ä".to_owned()]
        {
            assert!(at(&bad, "runs").is_err(), "{bad}");
        }
    }
}
