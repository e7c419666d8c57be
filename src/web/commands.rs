//! The commands: what somebody asks for goes to the engine as it is, once for each key, and what it decides is the answer.

use std::{collections::BTreeMap, future::Future, pin::Pin};

use axum::http::{HeaderName, header};
use serde::Serialize;

use super::{
    call::{Answered, Call, json},
    came_of::CameOf,
    problem::{Problem, ProblemKind},
    strict,
};
use crate::{
    engine::{Command, CommandKey, Digest, Refused},
    house::Once,
    store::RecordError,
    view::answers::{Done, NudgeAsked, Nudged},
};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");

pub(super) fn command(call: Call) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
    Box::pin(async move {
        let command: Command = strict::read(&call.headers, &call.body)?;
        let system = call.system()?.clone();
        let once = Once { key: key(&call, &command)?, seen: seen(&call)? };
        let asked = call.house.command_once(&system, call.who()?, command.clone(), once).await;
        let done = match asked {
            Ok(entry) => {
                let newest = |state: &crate::engine::System| {
                    let asked = state.asked_once.iter().find(|asked| asked.seq == entry.seq);
                    let newest = || state.runs.values().next_back().map(|run| run.id.clone());
                    asked.map_or_else(newest, |asked| asked.newest_run.clone())
                };
                let newest_run = call.house.ledger.read(&system, newest).await?;
                Done { system, seq: entry.seq, newest_run }
            }
            Err(error) => match error.downcast_ref() {
                Some(RecordError::Refused(Refused::DoneBefore { seq, newest_run })) => {
                    Done { system, seq: *seq, newest_run: newest_run.clone() }
                }
                _ => {
                    let mut problem = Problem::from(error);
                    if problem.kind == ProblemKind::Forbidden {
                        problem.who_could = Some(call.house.who_could(&system, &command).await?.into());
                    }
                    return Err(problem);
                }
            },
        };
        let mut response = json(&done, None)?;
        response.extensions_mut().insert(CameOf { seq: Some(done.seq), ..CameOf::default() });
        Ok(response)
    })
}

/// The key under which it is asked. What is asked under it is the command, however its JSON is written.
pub(super) fn key(call: &Call, command: &impl Serialize) -> Result<Option<CommandKey>, Problem> {
    let Some(key) = call.header(&KEY)? else { return Ok(None) };
    let text = serde_json::to_vec(command).map_err(|error| Problem::new(ProblemKind::Broken, error.to_string()))?;
    // As RFC 8941 writes a string, or plain.
    let key = key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key);
    let key = CommandKey::new(key, Digest::of(&text)).map_err(|why| Problem::of_field("Idempotency-Key", why))?;
    Ok(Some(key))
}

/// The place in the log that whoever asks has seen: `"120"`, or as an answer's tag has it, `"120-1f2e3d"`.
fn seen(call: &Call) -> Result<Option<u64>, Problem> {
    let Some(tag) = call.header(&header::IF_MATCH)?.filter(|tag| *tag != "*") else { return Ok(None) };
    let place = tag.trim().trim_start_matches("W/").trim_matches('"').split('-').next().unwrap_or_default();
    let wrong = || Problem::of_field("If-Match", "it is the place in the log that was seen, as `\"120\"`");
    place.parse().map(Some).map_err(|_| wrong())
}

pub(super) fn nudge(call: Call) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
    Box::pin(async move {
        let NudgeAsked { what, delivery } = strict::read(&call.headers, &call.body)?;
        let system = call.system()?.clone();
        let seq = call.house.nudge(&system, call.who()?, what, delivery.clone()).await?;
        json(&Nudged { delivery, systems: BTreeMap::from([(system, seq)]) }, None)
    })
}
