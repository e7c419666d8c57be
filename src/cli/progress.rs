//! How far a long command is: one line on standard error, only on a terminal, gone when it is over.

use std::{
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

/// A command that is over sooner than this says nothing of its progress.
const QUIET_FOR: Duration = Duration::from_millis(500);

/// The progress of one piece of work.
pub(super) struct Progress {
    what: String,
    unit: &'static str,
    begun: Instant,
    shown: bool,
}

impl Progress {
    /// Work that goes through events.
    pub(super) fn of(what: String) -> Self {
        Self::counting(what, "events")
    }

    /// Work that goes through so many of something.
    pub(super) fn counting(what: String, unit: &'static str) -> Self {
        Self { what, unit, begun: Instant::now(), shown: std::io::stderr().is_terminal() }
    }

    /// So much is done, of so much.
    pub(super) fn tell(&self, done: u64, whole: u64) {
        if self.shown && self.begun.elapsed() >= QUIET_FOR {
            let percent = done.saturating_mul(100).checked_div(whole).unwrap_or(100);
            self.write(&format!("{}: {done} of {whole} {}, {percent} %", self.what, self.unit));
        }
    }

    /// Writes over the line. Where standard error is gone, there is nobody to tell.
    fn write(&self, line: &str) {
        drop(write!(std::io::stderr(), "\r\u{1b}[K{line}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown && self.begun.elapsed() >= QUIET_FOR {
            self.write("");
        }
    }
}
