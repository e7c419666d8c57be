//! Lets what is in a box stand back for processor time where the kernel shares that out by sessions (`CONFIG_SCHED_AUTOGROUP`,
//! sched(7)). There niceness counts within a session only, and a box has one of its own, as heavy as all of the server; whatever
//! calls `setsid` makes another. Who is in a cgroup that shares out processor time has nothing to do with it.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::providers::process_table;

/// How far a session stands back where so many boxes are open. One is as heavy as the server, which has more than one
/// processor; where there are more, all of them together have less of the processor's time than the server, where it needs it.
const NICENESS: [(usize, &str); 4] = [(1, "0"), (3, "10"), (7, "13"), (usize::MAX, "19")];
/// The most processes that are looked at: more than a box may have at first.
const MOST: usize = 4_096;

/// How many boxes there are.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// A box that is open until this is dropped.
pub(super) struct Open(());

impl Open {
    pub(super) fn now() -> Self {
        OPEN.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets the sessions of all that descends from this process stand back; the session that we are in ourselves does not. Says
/// whether there is another by now, or never will be.
pub(super) fn stand_back(outside: i32) -> bool {
    let Ok(own) = fs::read_to_string("/proc/self/autogroup") else { return true };
    let own = session_in(&own).map(|(own, _)| own);
    let open = OPEN.load(Ordering::Relaxed);
    let wanted = NICENESS.into_iter().find(|(most, _)| open <= *most).map_or("19", |(_, niceness)| niceness);
    let mut pending = process_table::children(outside);
    let (mut looked_at, mut found) = (0, false);
    while let Some(process) = pending.pop()
        && looked_at < MOST
    {
        looked_at += 1;
        let process = process.as_raw_nonzero();
        pending.extend(process_table::children(process.get()));
        let line = fs::read_to_string(format!("/proc/{process}/autogroup")).unwrap_or_default();
        let Some((_, niceness)) = session_in(&line).filter(|(session, _)| Some(*session) != own) else { continue };
        found = true;
        if niceness != wanted {
            // One that has ended needs nothing, and the kernel takes only some at once of those who are not root.
            drop(fs::write(format!("/proc/{process}/autogroup"), wanted));
        }
    }
    found
}

/// The name of a session and its niceness, from the line of a process: `/autogroup-13 nice 0`. The line is empty of a process
/// that nobody above began with `setsid`, which a server may be, in a container.
fn session_in(line: &str) -> Option<(&str, &str)> {
    line.trim().split_once(" nice ")
}
