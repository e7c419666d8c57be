//! The processes of this machine, as `/proc` lists them (proc(5)): who is whose child, who lives, who they are.

use std::collections::BTreeSet;
use std::fs;

use rustix::process::{Pid, test_kill_process};

/// What we read of a line of `/proc/PID/stat`.
pub(crate) struct Stat {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) session: i32,
    /// When it started, in clock ticks since boot.
    pub(crate) start_time: u64,
    /// The processor time that it and its ended children have used, in clock ticks.
    worked: u64,
    state: String,
}

impl Stat {
    /// Whether it has ended, and only waits to be noticed by its parent.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state.as_str(), "Z" | "X")
    }

    /// Whether a signal has stopped it.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state == "T"
    }

    pub(crate) fn parse(line: &str) -> Option<Self> {
        // The name in parentheses may hold spaces and parentheses itself; what follows has neither.
        let (before, after) = line.rsplit_once(") ")?;
        let fields: Vec<&str> = after.split_whitespace().collect();
        Some(Self {
            pid: before.split_whitespace().next()?.parse().ok()?,
            state: (*fields.first()?).to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            start_time: fields.get(19)?.parse().ok()?,
            worked: fields.get(11..15)?.iter().filter_map(|ticks| ticks.parse::<u64>().ok()).sum(),
        })
    }

    /// The process of this number, if there is one.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }
}

/// All processes.
pub(crate) fn all() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter_map(Stat::of).collect()
}

/// The children of a process of one thread. Quick where the kernel lists them, however many processes there are.
pub(crate) fn children(parent: i32) -> Vec<Pid> {
    if let Ok(listed) = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")) {
        return listed.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect();
    }
    let is_child = |stat: &&Stat| stat.parent == parent && !stat.is_dead();
    all().iter().filter(is_child).filter_map(|stat| Pid::from_raw(stat.pid)).collect()
}

/// Whether there is such a process; one that may not be signalled is one.
pub(crate) fn lives(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH)))
}

/// The processor time that a process and all its descendants have used, in clock ticks; 0 where nobody can tell.
pub(crate) fn work_of(pid: i32) -> u64 {
    let (mut worked, mut pending) = (0, vec![pid]);
    while let Some(pid) = pending.pop() {
        worked += Stat::of(pid).map_or(0, |stat| stat.worked);
        pending.extend(children(pid).into_iter().map(Pid::as_raw_pid));
    }
    worked
}

/// The numbers of the processes that descend from a living one.
pub(crate) fn descendants(stats: &[Stat], ancestor: i32) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let mut generation = vec![ancestor];
    while let Some(parent) = generation.pop() {
        let children = stats.iter().filter(|stat| stat.parent == parent).map(|stat| stat.pid);
        generation.extend(children.filter(|child| found.insert(*child)));
    }
    found
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn who_lives_is_told_from_who_does_not() {
        assert!(lives(std::process::id()) && lives(1));
        assert!(!lives(2_000_000_000) && !lives(u32::MAX) && !lives(0));
    }

    #[test]
    fn a_process_name_may_hold_anything() {
        let stat = Stat::parse("42 (a) b (c) S 1 42 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 2 3").unwrap();
        assert_eq!((stat.pid, stat.parent, stat.session, stat.start_time), (42, 1, 7, 987_654));
        assert!(!stat.is_dead());
        let busy = Stat::parse("42 (git) S 1 42 7 0 -1 4194560 1 0 0 0 5 6 7 8 20 0 1 0 987654 2 3").unwrap();
        assert_eq!(busy.worked, 26);
        assert!(Stat::parse("nonsense").is_none());
    }
}
