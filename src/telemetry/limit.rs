//! Bounds the log: of one warning or error, at most so many lines a minute are written, and how many were left out is said.
//! What goes wrong at every try for every system says it once, and not a million times.

use std::{
    collections::HashMap,
    io::Write as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing::{Event, Level, Metadata, callsite::Identifier};
use tracing_subscriber::layer::{Context, Filter};

/// How many lines of one message are written in one [`SPAN`].
const MOST_LINES: u32 = 20;
/// For how long they count.
const SPAN: Duration = Duration::from_secs(60);

/// The filter.
#[derive(Debug, Default)]
pub(super) struct Limit(Mutex<HashMap<Identifier, Count>>);

/// The lines of one message.
#[derive(Debug)]
struct Count {
    since: Instant,
    lines: u32,
}

impl Limit {
    /// Whether a line may be written at a moment, and how many were left out before it.
    fn admit(&self, message: Identifier, at: Instant) -> (bool, u32) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(message).or_insert(Count { since: at, lines: 0 });
        let mut left_out = 0;
        if at.duration_since(count.since) >= SPAN {
            left_out = count.lines.saturating_sub(MOST_LINES);
            *count = Count { since: at, lines: 0 };
        }
        count.lines = count.lines.saturating_add(1);
        (count.lines <= MOST_LINES, left_out)
    }
}

impl<S> Filter<S> for Limit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN {
            return true;
        }
        let (is_written, left_out) = self.admit(metadata.callsite(), Instant::now());
        if left_out > 0 {
            let place = metadata.module_path().unwrap_or_default();
            // Where standard error is gone there is nobody to tell.
            drop(writeln!(std::io::stderr(), "({left_out} more lines like the next, of {place}, were left out)"));
        }
        is_written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::{Callsite as _, callsite::DefaultCallsite};

    fn message() -> Identifier {
        static CALLSITE: DefaultCallsite = {
            static METADATA: Metadata<'static> = tracing::metadata! {
                name: "test", target: "test", level: Level::WARN, fields: &[], callsite: &CALLSITE,
                kind: tracing::metadata::Kind::EVENT
            };
            DefaultCallsite::new(&METADATA)
        };
        CALLSITE.metadata().callsite()
    }

    #[test]
    fn of_one_message_so_many_lines_are_written_a_minute_and_the_rest_is_counted() {
        let (limit, begin) = (Limit::default(), Instant::now());
        let written = (0..1_000).filter(|_| limit.admit(message(), begin).0).count();
        assert_eq!(written, 20);
        assert_eq!(limit.admit(message(), begin + SPAN), (true, 980));
        assert_eq!(limit.admit(message(), begin + SPAN), (true, 0));
    }
}
