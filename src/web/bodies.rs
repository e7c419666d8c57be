//! How much may be sent with a call, within which time, and how much of what is long is in memory at once.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::problem::{Problem, ProblemKind};

/// How much may be sent, in bytes: a command with a long reason.
pub(super) const MOST_BODY_BYTES: usize = 64 * 1024;
/// How much a forge may deliver, in bytes: GitHub sends nothing longer.
pub(super) const MOST_DELIVERED_BYTES: usize = 25 * 1024 * 1024;
/// How long that may take.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// How much is held in memory at once of bodies that are longer than usual, in KiB.
const MOST_HELD_KIB: usize = 64 * 1024;

/// The room for long bodies.
pub(super) struct Bodies(Semaphore);

impl Default for Bodies {
    fn default() -> Self {
        Self(Semaphore::new(MOST_HELD_KIB))
    }
}

impl Bodies {
    /// What was sent, of at most so many bytes; and its place in memory, which a long one holds until it is done with.
    pub(super) async fn read(&self, body: Body, most: usize) -> Result<(Bytes, Option<SemaphorePermit<'_>>), Problem> {
        let says = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
        let bytes = says.unwrap_or(most);
        if bytes > most {
            return Err(too_long(most));
        }
        let read = async {
            let place = match bytes {
                0..=MOST_BODY_BYTES => None,
                _ => self.0.acquire_many(u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)).await.ok(),
            };
            (to_bytes(body, most).await, place)
        };
        match timeout(BODY_WITHIN, read).await {
            Ok((Ok(body), place)) => Ok((body, place)),
            Ok((Err(error), _)) if std::error::Error::source(&error).is_some_and(is_too_long) => Err(too_long(most)),
            Ok((Err(error), _)) => Err(Problem::new(ProblemKind::BadRequest, error.to_string())),
            Err(_) => Err(Problem::new(ProblemKind::TooSlow, "what was sent came too slowly")),
        }
    }
}

fn too_long(most: usize) -> Problem {
    Problem::new(ProblemKind::TooLong, format!("what was sent is longer than {most} bytes"))
}

fn is_too_long(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(of) = error {
        if of.to_string().contains("length limit exceeded") {
            return true;
        }
        error = of.source();
    }
    false
}
