//! A command that is asked again under its key is not done again: what came of it the first time is the answer.

use super::{
    access::Principal,
    event::CommandKey,
    fact::Fact,
    refused::Refused,
    state::{AskedOnce, System},
    turn::Turn,
};

/// How many keys are remembered: some days of a busy system, and a state that stays small.
const MOST_KEYS: usize = 512;

impl System {
    /// Refuses what was done before under this key, by whoever asks now.
    ///
    /// # Errors
    /// [`Refused::DoneBefore`] says what came of it; [`Refused::OtherBefore`] that something else was asked then.
    pub fn not_before(&self, by: &Principal, key: &CommandKey) -> Result<(), Refused> {
        let is_it = |once: &&AskedOnce| once.by == by.name && once.key.as_str() == key.as_str();
        match self.asked_once.iter().find(is_it) {
            None => Ok(()),
            Some(once) if once.key.asked() == key.asked() => {
                Err(Refused::DoneBefore { seq: once.seq, newest_run: once.newest_run.clone() })
            }
            Some(_) => Err(Refused::OtherBefore { key: key.to_string() }),
        }
    }
}

impl Turn<'_> {
    /// Remembers what came of a command under its key.
    pub(super) fn done_once(&mut self, by: &Principal, key: &CommandKey) {
        while self.system.asked_once.len() >= MOST_KEYS {
            self.record(Fact::KeyForgotten);
        }
        let newest_run = self.system.runs.values().next_back().map(|run| run.id.clone());
        let once = AskedOnce { by: by.name.clone(), key: key.clone(), seq: self.seq, newest_run };
        self.record(Fact::AskedOnce(once));
    }
}
