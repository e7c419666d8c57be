//! The questions: each reads the call, has the house answer it, and says that.

use std::{future::Future, pin::Pin};

use axum::{
    body::Body,
    http::{HeaderValue, Response, header},
};

use serde::{
    Deserialize as _,
    de::{IntoDeserializer, value::Error as ValueError},
};

use super::{
    call::{Answered, Call, MOST_ITEMS, json, text},
    cursor::{at, cursor},
    problem::Problem,
    server::SignedIn,
    sessions::page_token,
};
use crate::{
    engine::{Run, RunId, RunState},
    house::{
        asker::{Asked, User},
        moment, now_ms,
        past::Moment,
        questions::{RunsWanted, period_since},
    },
    rules::{InvalidName, StageName, TargetName},
    store,
    view::{
        answers::{EventTold, LogTold, LogsTold, Me, Page, RulesTold, SystemSummary},
        run::{RunShown, parse_run},
        target::TargetReport,
    },
};

type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// Since when figures are, unless it is said.
const SINCE: &str = "30d";

pub(super) fn health(_: Call) -> Answering {
    Box::pin(async { Ok(text("ok\n")) })
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
        let role = match &who.user {
            User::Token(token) => Some(token.role),
            User::Os(_) | User::Issuer(_) => None,
        };
        let systems = call.house.visible_systems(who).await.unwrap_or_default();
        let groups = by.groups.iter().cloned().collect();
        let page_token = match &call.signed_in {
            Some(SignedIn::Session { secret, .. }) => Some(page_token(secret)),
            Some(SignedIn::Token { .. }) | None => None,
        };
        let (name, signed_in_by) = (by.said(), who.user.way_in().to_owned());
        let permissions = call.house.permissions(who, &systems).await?;
        call.of_more(Me { name, groups, signed_in_by, role, systems, page_token, permissions }).await
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
            state: call.query("state", run_state)?,
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

/// A state of runs, as documents name it.
pub(super) fn run_state(text: &str) -> Result<RunState, String> {
    RunState::deserialize(IntoDeserializer::<ValueError>::into_deserializer(text)).map_err(|error| error.to_string())
}

pub(super) fn stage(text: &str) -> Result<StageName, String> {
    said(StageName::new(text))
}

fn said<T>(name: Result<T, InvalidName>) -> Result<T, String> {
    name.map_err(|error| error.to_string())
}

fn place(text: &str) -> Result<u64, String> {
    text.parse::<u32>().map(u64::from).map_err(|_| format!("`{text}` is no place in a log: it is a number"))
}
