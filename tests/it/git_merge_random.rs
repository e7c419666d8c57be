//! Random pairs of histories, merged by Tidegate and by `git merge-tree` in a work tree: the same tree, or both stop. Where a pin
//! is decided, git merges the same histories in which every commit has the decided value. `scripts/sweep-merges` tells many.

mod story;

use crate::git::{SOON, message, mirrors};
use crate::support::repo::hermetic_git;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use story::{Story, stories};
use tidegate::providers::git::{CheckedMerge, Clash, Mirror, Pin, conflicts_said};

/// How many pairs share a repository.
const TOGETHER: usize = 8;
/// How many pairs the tests tell; `PROPTEST_CASES` says more.
const PAIRS: usize = 96;

/// What became of the pairs.
#[derive(Default)]
struct Counts {
    same_tree: AtomicUsize,
    both_stop: AtomicUsize,
    no_driver: AtomicUsize,
    /// git says that there is a conflict, and ends as if there were none.
    contradicted: AtomicUsize,
    /// Of these, those whose tree has conflict markers.
    marked: AtomicUsize,
}

/// What git makes of a pair.
#[derive(Debug)]
enum Git {
    /// It gives a tree.
    Merges(String),
    /// It gives a tree and says that there is a conflict.
    Contradicts(String),
    Stops,
}

#[test]
fn merges_are_those_of_git() {
    let pairs = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(PAIRS);
    let config = Config {
        cases: u32::try_from(pairs.div_ceil(TOGETHER)).unwrap(),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    let counts = Counts::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let told = TestRunner::new(config).run(&stories(TOGETHER), |stories| runtime.block_on(check(&stories, &counts)));
    let Counts { same_tree, both_stop, no_driver, contradicted, marked } = &counts;
    let [same_tree, both_stop, no_driver, contradicted, marked] =
        [same_tree, both_stop, no_driver, contradicted, marked].map(|count| count.load(Relaxed));
    println!(
        "{same_tree} merged to the same tree, {both_stop} stopped by both, {no_driver} stopped for want of a driver,"
    );
    println!("{contradicted} stopped where git says conflict and ends well, {marked} of them with markers in the tree");
    if let Err(failure) = told {
        panic!("{failure}");
    }
    assert!(same_tree > pairs / 10 && both_stop > pairs / 10, "both happen often");
}

async fn check(stories: &[Story], counts: &Counts) -> Result<(), TestCaseError> {
    let root = tempfile::tempdir().unwrap();
    let work = root.path().join("work");
    std::fs::create_dir_all(&work).unwrap();
    git(&work, &["init", "--quiet", "--template=", "."], b"");
    let stream: Vec<u8> = stories.iter().enumerate().flat_map(|(number, story)| story.stream(number)).collect();
    git(&work, &["fast-import", "--quiet"], &stream);
    let mirror = mirrors(root.path()).mirror(work.to_str().unwrap()).unwrap();
    for (number, story) in stories.iter().enumerate() {
        let expected = expected(&work, number);
        let found = found(&mirror, &work, number, story).await;
        match (&expected, &found) {
            (Git::Merges(tree), CheckedMerge::Clean { tree: ours, .. }) if tree == ours => add(&counts.same_tree),
            (Git::Merges(tree), CheckedMerge::AlreadyContained { .. })
                if *tree == tree_of(&work, &format!("settled-qa{number}")) =>
            {
                add(&counts.same_tree);
            }
            (Git::Stops, CheckedMerge::Conflict { .. }) => add(&counts.both_stop),
            (Git::Contradicts(tree), CheckedMerge::Conflict { .. }) => {
                add(&counts.contradicted);
                if run(&work, &["grep", "-q", "^<<<<<<< ", tree], b"").status.success() {
                    add(&counts.marked);
                }
            }
            (Git::Merges(_), CheckedMerge::Conflict { conflicts })
                if conflicts.iter().all(|each| matches!(each.clash, Clash::NoDriver { .. })) =>
            {
                add(&counts.no_driver);
            }
            (expected, CheckedMerge::Conflict { conflicts }) => {
                let why = conflicts_said(conflicts);
                return Err(TestCaseError::fail(format!("git: {expected:?}; Tidegate stops: {why}\n{story:#?}")));
            }
            _ => return Err(TestCaseError::fail(format!("git: {expected:?}; Tidegate: {found:?}\n{story:#?}"))),
        }
    }
    Ok(())
}

fn add(count: &AtomicUsize) {
    count.fetch_add(1, Relaxed);
}

/// What git makes of it with qa in the work tree.
fn expected(work: &Path, number: usize) -> Git {
    let [dev, qa] = ["dev", "qa"].map(|branch| format!("settled-{branch}{number}"));
    git(work, &["checkout", "--quiet", "--force", "--detach", &qa], b"");
    let merged = run(work, &["merge-tree", "--write-tree", "--messages", &qa, &dev], b"");
    let said = String::from_utf8_lossy(&merged.stdout);
    let tree = said.lines().next().unwrap_or_default().to_owned();
    match merged.status.code() {
        Some(0) if said.contains("CONFLICT") => Git::Contradicts(tree),
        Some(0) => Git::Merges(tree),
        Some(1) => Git::Stops,
        _ => {
            let said = String::from_utf8_lossy(&merged.stderr);
            assert!(said.contains("unrelated histories"), "{said}");
            Git::Stops
        }
    }
}

async fn found(mirror: &Arc<Mirror>, work: &Path, number: usize, story: &Story) -> CheckedMerge {
    let [dev, qa] = ["dev", "qa"].map(|branch| format!("{branch}{number}"));
    mirror.fetch(&[dev.clone(), qa.clone()], SOON).await.unwrap();
    let pin = Pin { path: "config.json".to_owned(), pointer: "/tag".to_owned() };
    let change = tidegate::providers::git::MergeChange {
        source_commit: git(work, &["rev-parse", &dev], b""),
        branch: qa,
        back_from: None,
        pins: Some(pin).filter(|_| story.pinned).into_iter().collect(),
        kept: Vec::new(),
        message: message("promote-1"),
    };
    mirror.check_merge(&change, SOON).await.unwrap()
}

fn tree_of(work: &Path, branch: &str) -> String {
    git(work, &["rev-parse", &format!("{branch}^{{tree}}")], b"")
}

fn git(work: &Path, arguments: &[&str], input: &[u8]) -> String {
    let done = run(work, arguments, input);
    assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

fn run(work: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = hermetic_git(work);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}
