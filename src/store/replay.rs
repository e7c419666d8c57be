//! Folds a log from its beginning: any past state is the facts up to it (I6).

use super::{Store, StoreError, chain::PAGE_ROWS};
use crate::{
    engine::{Decision, Event, Recorded, System},
    rules::SystemName,
};

/// Folds the log of a system, up to and with place `to_seq` where one is given, and shows each event, what came of
/// it, and the state after it to `look`. Returns the last state, which is [`System::default`] for a log without events.
///
/// # Errors
/// [`StoreError`] when the log cannot be read.
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
        let rows = store.log(name, state.seq + 1, room).await?;
        for row in &rows {
            let recorded = row.recorded(name)?;
            let decision = row.fold(name, &mut state)?;
            look(&recorded, &decision, &state);
        }
        if rows.len() < room as usize {
            break;
        }
    }
    Ok(state)
}
