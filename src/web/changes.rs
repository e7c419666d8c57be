//! The events of the logs as they come, as server-sent events. They are read from the logs, never from memory: whoever comes back
//! with the last `id` goes on after it, without a gap and without a repeat, whatever became of the connection or the server.

use std::{collections::BTreeMap, convert::Infallible, future::Future, pin::Pin, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, Response, header},
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    call::{Answered, Call},
    problem::Problem,
    server::{Server, SignedIn},
};
use crate::{
    house::{House, asker::Asker},
    rules::SystemName,
    view::answers::EventTold,
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How often something is said at least, so that what is between does not end the connection.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// How many events are read at once.
const PAGE: u32 = 100;
/// How many wait for a reader: those that it has not taken lie in the log.
const WAITING: usize = 16;
/// How long a list of places may be, in bytes: some thousand systems.
const MOST_PLACES_BYTES: usize = 64 * 1024;

/// After which place of each system's log the next event comes.
type Places = BTreeMap<SystemName, u64>;

pub(super) fn changes(call: Call) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
    Box::pin(async move {
        let asked = call.asked().await?;
        let last = call.header(&LAST_EVENT_ID)?.filter(|last| !last.is_empty()).map(str::to_owned);
        let named = last.is_some();
        let after = last.map_or_else(
            || call.query("after", places),
            |last| places(&last).map(Some).map_err(|why| Problem::of_field("Last-Event-ID", why)),
        )?;
        let shown = call.house.systems_shown(&asked).await?;
        let mut lasts = call.house.ledger.store().systems().await?;
        lasts.retain(|system, _| shown.contains(system));
        // The `id` names every system that there was: others began since, and are told from their first event on.
        let mut from: Places =
            if named { lasts.keys().map(|system| (system.clone(), 0)).collect() } else { lasts.clone() };
        for (system, place) in after.into_iter().flatten() {
            match lasts.get(&system) {
                // A log that was taken back to a backup has no such event any more: what is new comes, and nothing twice.
                Some(last) => drop(from.insert(system, place.min(*last))),
                None if named => {}
                None => return Err(Problem::of_field("after", format!("there is no system `{system}` to look at"))),
            }
        }
        let place = call.server.stream(asked.who.user.to_string())?;
        let (to, events) = mpsc::channel(WAITING);
        let reader =
            Reader { server: call.server.clone(), who: asked.who, signed_in: call.signed_in, only: asked.system, to };
        tokio::spawn(reader.tell(from, place));
        let mut response = Response::new(Body::from_stream(ReceiverStream::new(events)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        Ok(response)
    })
}

/// Whoever reads the changes.
struct Reader {
    server: Arc<Server>,
    who: Asker,
    signed_in: Option<SignedIn>,
    only: Option<SystemName>,
    to: mpsc::Sender<Result<Bytes, Infallible>>,
}

impl Reader {
    /// Tells what comes, until the reader goes, the server stops, or they may not look any more.
    async fn tell(self, mut from: Places, _place: OwnedSemaphorePermit) {
        let mut changes = self.server.house().ledger.store().changes();
        let begin = format!("retry: 1000\nid: {}\n\n", id_of(&from));
        if self.say(begin).await.is_none() {
            return;
        }
        loop {
            changes.mark_unchanged();
            let house = self.server.house();
            if !self.server.is_good(self.signed_in.as_ref(), &house).await
                || self.all(&house, &mut from).await.is_none()
            {
                return;
            }
            tokio::select! {
                () = self.server.stop.cancelled() => return,
                () = self.to.closed() => return,
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(COMMENT_EVERY) => if self.say(":\n\n".to_owned()).await.is_none() { return },
            }
        }
    }

    /// Tells all that there is by now.
    async fn all(&self, house: &House, from: &mut Places) -> Option<()> {
        let shown = match &self.only {
            Some(system) => house.may_view(system, &self.who).map(|()| vec![system.clone()]),
            None => house.visible_systems(&self.who).await,
        };
        let shown = shown.ok()?;
        from.retain(|system, _| shown.contains(system));
        let store = house.ledger.store();
        let lasts = store.systems().await.ok()?;
        for system in shown {
            let last = lasts.get(&system).copied().unwrap_or_default();
            // One that began since is told from its first event on.
            while from.get(&system).copied().unwrap_or_default() < last {
                let next = from.get(&system).copied().unwrap_or_default() + 1;
                let events = store.events(&system, next, PAGE).await.ok()?;
                let end = events.last()?.seq;
                for event in events {
                    from.insert(system.clone(), event.seq);
                    let data = serde_json::to_string(&EventTold::of(&system, event)).ok()?;
                    self.say(format!("id: {}\nevent: log\ndata: {data}\n\n", id_of(from))).await?;
                }
                debug_assert!(end >= next, "every page goes on");
            }
        }
        Some(())
    }

    async fn say(&self, text: String) -> Option<()> {
        tokio::select! {
            () = self.server.stop.cancelled() => None,
            said = self.to.send(Ok(Bytes::from(text))) => said.ok(),
        }
    }
}

fn id_of(places: &Places) -> String {
    places.iter().map(|(system, seq)| format!("{system}:{seq}")).collect::<Vec<_>>().join(",")
}

fn places(text: &str) -> Result<Places, String> {
    let wrong = || "write it as `webshop:12,billing:3`".to_owned();
    if text.len() > MOST_PLACES_BYTES {
        return Err("it is too long".to_owned());
    }
    let place = |part: &str| {
        let (system, seq) = part.rsplit_once(':').ok_or_else(wrong)?;
        Ok((SystemName::new(system).map_err(|error| error.to_string())?, seq.parse::<u64>().map_err(|_| wrong())?))
    };
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::{id_of, places};

    #[test]
    fn the_id_of_an_event_says_where_every_system_is() {
        let text = "billing:3,webshop:12";
        assert_eq!(places(text).map(|places| id_of(&places)).as_deref(), Ok(text));
        assert_eq!(places("").map(|places| places.len()), Ok(0));
        for bad in ["webshop", "webshop:", "webshop:-1", "../x:1", ":1", &"a:1,".repeat(30_000)] {
            assert!(places(bad).is_err(), "{bad:.20}");
        }
    }
}
