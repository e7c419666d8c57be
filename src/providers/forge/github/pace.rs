//! How fast is written: GitHub asks for a second between writes when many come at once, and counts what does not heed it as abuse.
//! <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api>

use std::time::Duration;

use tokio::time::Instant;

/// A bucket of writes: so many may come at once, and then one in each interval.
#[derive(Debug)]
pub(super) struct Pace {
    at_once: u32,
    every: Duration,
    /// Until when the writes that were let through would take, had they come one in each interval.
    spoken_for: Option<Instant>,
}

impl Pace {
    pub(super) const fn new(at_once: u32, every: Duration) -> Self {
        Self { at_once, every, spoken_for: None }
    }

    /// Takes a place for a write that would begin now. How long it has to wait.
    pub(super) fn take(&mut self, now: Instant) -> Duration {
        let begins = self.spoken_for.map_or(now, |until| until.max(now));
        self.spoken_for = Some(begins + self.every);
        (begins + self.every).duration_since(now).saturating_sub(self.every * self.at_once)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_writes_come_at_once_and_then_one_a_second() {
        let (mut pace, begin) = (Pace::new(3, Duration::from_secs(1)), Instant::now());
        let waits: Vec<u64> = (0..6).map(|_| pace.take(begin).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 1, 2, 3]);
        let later = begin + Duration::from_secs(60);
        let waits: Vec<u64> = (0..5).map(|_| pace.take(later).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 1, 2], "a pause gives all places back and no more");
    }
}
