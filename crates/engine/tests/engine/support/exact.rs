//! What rules see of commits, before and after a move, told by what is really in them.

use std::collections::BTreeSet;

use tidegate_engine::{
    engine::{CommitId, Run, plan::Task},
    rules::RuleName,
};

use super::{Made, World};

impl World {
    pub(crate) fn made(&self, commit: &CommitId) -> &Made {
        let mut all = self.remotes.values().flatten().flatten();
        all.find(|made| made.commit == *commit).unwrap_or_else(|| panic!("nobody made {commit}"))
    }

    /// The pushes of people that a commit holds, of those whose paths are let through. What a branch began with is the same
    /// everywhere.
    pub(crate) fn pushes(&self, held: &BTreeSet<CommitId>, lets_through: impl Fn(&[String]) -> bool) -> BTreeSet<u64> {
        let later = self.remotes.values().flat_map(|branch| branch.iter().skip(1)).flatten();
        let seen = later.filter(|made| made.key.is_none() && held.contains(&made.commit));
        seen.filter(|made| lets_through(&made.changed)).map(|made| number(&made.commit)).collect()
    }

    /// The rules that see the same after a move as in what it brings.
    pub(super) fn carried_exactly(&self, run: &Run, task: &Task, parent: &CommitId) -> Vec<RuleName> {
        let parent = self.made(parent);
        let (makers, brings, held, pins) = match task {
            Task::Merge(merge) | Task::CheckMerge(merge) => {
                let brings = self.made(&merge.commit);
                let held = self.contents.merged(&parent.commit, merge);
                (&merge.makers, brings, held, self.taken(merge, brings.pins.clone()))
            }
            Task::Restore(restore) => {
                let Some(back) = self.way_back(run, restore) else { return Vec::new() };
                let (Some(to), Some(from)) = (back.to, back.from) else { return Vec::new() };
                let brings = self.made(&to);
                (&restore.makers, brings, self.contents.gone_back(&parent.commit, &to, &from), brings.pins.clone())
            }
            _ => return Vec::new(),
        };
        let mut after = parent.pins.clone();
        after.extend(pins);
        let same = makers.iter().filter(|maker| {
            let of = self.contents.of(&brings.commit);
            let lets_through = |paths: &[String]| maker.paths.match_any(paths);
            let own = self.pushes(&of, lets_through) == self.pushes(&held, lets_through);
            let differ = after.iter().filter(|(pinner, pins)| brings.pins.get(*pinner) != Some(pins));
            own && !differ.map(|(_, (file, _))| file).any(|file| maker.paths.match_any(&[file]))
        });
        same.map(|maker| maker.rule.clone()).collect()
    }
}

pub(crate) fn number(commit: &CommitId) -> u64 {
    u64::from_str_radix(commit.as_str(), 16).unwrap()
}
