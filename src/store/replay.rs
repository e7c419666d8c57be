//! Takes a log in again from its beginning: any past state is the events up to it (I6).

use super::{Store, StoreError, chain::PAGE_ROWS};
use crate::{
    engine::{self, Decision, Event, Recorded, System},
    rules::SystemName,
};

/// Takes the log of a system in again, up to and with place `to_seq` where one is given, and shows each event, what came of
/// it, and the state after it to `look`. Returns the last state, which is [`System::default`] for a log without events.
///
/// # Errors
/// [`StoreError`] when the log cannot be read or taken in.
pub async fn replay(
    store: &dyn Store,
    name: &SystemName,
    to_seq: Option<u64>,
    mut look: impl FnMut(&Recorded<Event>, &Decision, &System),
) -> Result<System, StoreError> {
    let to_seq = to_seq.unwrap_or(u64::MAX);
    let mut state = System::default();
    while state.seq < to_seq {
        let room = u32::try_from(to_seq - state.seq).unwrap_or(PAGE_ROWS).min(PAGE_ROWS);
        let events = store.events(name, state.seq + 1, room).await?;
        for recorded in &events {
            let decision = engine::retrace(&mut state, recorded).map_err(|refused| StoreError::Unreadable {
                system: name.clone(),
                seq: recorded.seq,
                error: refused.to_string(),
            })?;
            look(recorded, &decision, &state);
        }
        if events.len() < room as usize {
            break;
        }
    }
    Ok(state)
}
