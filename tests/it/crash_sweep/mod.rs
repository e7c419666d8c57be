//! The crash sweep over the whole main job: for every effect, the process is killed (SIGKILL, from outside) before it and
//! after it but before its outcome is recorded, and every effect is done twice. What is left is the same as if nothing had
//! happened: no commit, artifact, approval or deployment is lost or made twice.

mod debugger;
mod remote;
mod result;

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Mutex, OnceLock},
};

use self::debugger::{History, Point, Verdict};

/// One history with nothing happening, for all tests to be compared with.
fn undisturbed() -> &'static (Vec<Point>, result::Result) {
    static UNDISTURBED: OnceLock<(Vec<Point>, result::Result)> = OnceLock::new();
    UNDISTURBED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let history = debugger::run(&folder.path().join("demo"), |_| Verdict::Go);
        assert_eq!(history.kills, 0);
        assert!(history.report["stages"].as_array().unwrap().iter().all(|stage| stage["verified"] == true));
        (history.points.clone(), result::of(&history))
    })
}

fn same_as_undisturbed(history: &History) {
    let (result, wanted, after) = (result::of(history), &undisturbed().1, format!("after {} kills", history.kills));
    // What is short first, so that a difference can be read.
    assert_eq!(result.runs, wanted.runs, "{after}");
    assert_eq!(result.commits, wanted.commits, "{after}");
    assert_eq!(&result, wanted, "{after}");
}

/// A history that is killed the first time that it comes to each of the points that begin with `moment`.
fn killed_at_every(moment: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut met = BTreeSet::new();
    let history = debugger::run(&folder.path().join("demo"), |point| {
        let new = met.insert(point.clone());
        if new && point.starts_with(moment) { Verdict::Kill } else { Verdict::Go }
    });
    println!("killed {} times in one history, {moment} every effect", history.kills);
    assert!(history.kills >= 30, "only {} effects were met", history.kills);
    same_as_undisturbed(&history);
}

#[test]
fn killed_before_every_effect_nothing_is_lost() {
    killed_at_every("before ");
}

#[test]
fn killed_after_every_effect_nothing_is_done_twice() {
    killed_at_every("after ");
}

#[test]
fn every_effect_done_twice_is_done_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut effects = BTreeSet::new();
    let history = debugger::run(&folder.path().join("demo"), |point| {
        effects.extend(point.strip_prefix("before ").map(str::to_owned));
        Verdict::Twice
    });
    println!("{} effects done twice", effects.len());
    same_as_undisturbed(&history);
}

/// Each point in a history of its own, so that no kill can hide what another did.
#[test]
fn killed_once_at_any_point_it_ends_the_same() {
    let points: BTreeSet<Point> = undisturbed().0.iter().cloned().collect();
    let (count, queue) = (points.len(), Mutex::new(points));
    let kills = Mutex::new(0);
    let next = || queue.lock().unwrap().pop_first();
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(point) = next() {
                    *kills.lock().unwrap() += killed_once_at(&point);
                }
            });
        }
    });
    let kills = *kills.lock().unwrap();
    println!("{kills} kill points, each in a history of its own, of {count}");
    // How often a build is looked at differs from history to history; nothing else does.
    assert!(kills * 10 >= count * 9, "only {kills} of {count} points were met again");
}

fn killed_once_at(wanted: &Point) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let directory: &Path = &folder.path().join("demo");
    let mut killed = false;
    let history = debugger::run(directory, |point| {
        if point == wanted && !std::mem::replace(&mut killed, true) { Verdict::Kill } else { Verdict::Go }
    });
    same_as_undisturbed(&history);
    history.kills
}
