//! What a step printed: all of it, a part, or as it comes. Whatever it is, no browser shows it as a page.

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    call::{Answered, Call, text},
    problem::{Problem, ProblemKind},
    server::{Server, SignedIn},
};
use crate::{
    engine::{RunId, StepState},
    house::asker::Asker,
    rules::{StepId, SystemName},
    view::run::parse_run,
};

/// How often a log that is followed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How many pieces wait for a reader, each what was printed between two looks.
const WAITING: usize = 4;

pub(super) fn log(call: Call) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
    Box::pin(async move {
        let id: RunId = call.part("run", parse_run)?;
        let step = call.part("step", |text| StepId::new(text).map_err(|error| error.to_string()))?;
        let follow = call.query("follow", |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("`follow` is `true` or `false`".to_owned()),
        })?;
        let range = call.header(&header::RANGE)?;
        if follow != Some(true) {
            let (_, log) = call.house.printed_by(call.system()?, &id, &step).await?;
            return part_of(log, range);
        }
        if range.is_some() {
            return Err(Problem::of_field("Range", "a log that is followed is told whole"));
        }
        // Said while there is an answer to say it in.
        call.house.printed_by(call.system()?, &id, &step).await?;
        let place = call.server.stream(call.who()?.user.to_string())?;
        let (to, pieces) = mpsc::channel(WAITING);
        let (who, system) = (call.who()?.clone(), call.system()?.clone());
        let follower = Follower { server: call.server, who, signed_in: call.signed_in, system, to };
        tokio::spawn(follower.tell(id, step, place));
        let mut response = text(Body::from_stream(ReceiverStream::new(pieces)));
        response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        Ok(response)
    })
}

/// Whoever follows a log.
struct Follower {
    server: Arc<Server>,
    who: Asker,
    signed_in: Option<SignedIn>,
    system: SystemName,
    to: mpsc::Sender<Result<Bytes, Infallible>>,
}

impl Follower {
    /// Tells what the step prints until it has ended, the reader goes, the server stops, or they may not look any more.
    async fn tell(self, id: RunId, step: StepId, _place: OwnedSemaphorePermit) {
        let mut told = 0;
        loop {
            let house = self.server.house();
            let may = self.server.is_good(self.signed_in.as_ref(), &house).await
                && house.may_view(&self.system, &self.who).is_ok();
            if !may {
                return;
            }
            let Ok((run, log)) = house.printed_by(&self.system, &id, &step).await else { return };
            let state = run.step(&step).map(|step| step.state);
            if let Some(new) = log.get(told..).filter(|new| !new.is_empty()) {
                let said = self.to.send(Ok(Bytes::copy_from_slice(new)));
                let said = self.server.stop.run_until_cancelled(said).await;
                if said.is_none_or(|said| said.is_err()) {
                    return;
                }
                told = log.len();
            }
            // It was read after the run was: all that an ended step printed is in it.
            let has_ended = matches!(state, Some(StepState::Done | StepState::Failed | StepState::Cancelled) | None);
            if has_ended || run.state.is_ended() {
                return;
            }
            tokio::select! {
                () = self.server.stop.cancelled() => return,
                () = self.to.closed() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::asked_part;

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
}
