//! What a forward commit costs over smart HTTP, beside three baselines in the same run: the bare minimum with the git
//! program on a warm mirror, a fresh clone as CI scripts do it, and what a clone-based promoter does for each promotion.
//! `scripts/bench forward` runs it; docs/performance.md holds the figures.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    dead_code,
    reason = "a bench; it uses parts of the tests' support"
)]

#[path = "../tests/it/support/certificate.rs"]
mod certificate;
#[path = "../tests/it/support/http.rs"]
mod http;
#[path = "../tests/it/support/http_git.rs"]
mod http_git;
#[path = "../tests/it/support/repo.rs"]
mod repo;

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use http_git::HttpGit;
use repo::hermetic_git;
use serde_json::json;
use tidegate::providers::git::{
    CommitMessage, FileEdit, ForwardChange, Forwarded, GitOptions, Identity, MirrorLoad, Mirrors, Proofs, Upkeep,
    mirrors_on_disk,
};

/// How many pins a mirror is measured after, and after how many a server looks whether to pack it: one pin in two seconds.
const PINS: usize = 10_000;
const PINS_A_ROUND: usize = 300;
/// How often the quick ways are measured, and the slow ones.
const QUICK: usize = 15;
const SLOW: usize = 3;
const DEADLINE: Duration = Duration::from_secs(120);

fn main() {
    if std::env::args().any(|argument| argument == "mirror") {
        return after_many_pins();
    }
    let folder = tempfile::tempdir().unwrap();
    let server = HttpGit::start(folder.path(), None);
    println!(
        "| repository | ours, branch unmoved | ours, somebody pushed | git minimum | fresh clone | clone-based promoter |"
    );
    println!("|---|---|---|---|---|---|");
    let small = measure(folder.path(), &server, 50, 200);
    let large = measure(folder.path(), &server, 20_000, 5_000);
    println!("ours ÷ minimum, both with a fetch: small {:.2}, large {:.2} (target 1.2)", small.ratio(), large.ratio());
    println!(
        "large ÷ small: {:.2} (target within 15 %)",
        large.ours_moved.as_secs_f64() / small.ours_moved.as_secs_f64()
    );
    println!(
        "fresh clone ÷ ours, large: {:.1} (target 10)",
        large.clone.as_secs_f64() / large.ours_moved.as_secs_f64()
    );
}

/// A mirror after many forward commits, kept in order as `serve` does it and left alone, beside a new one: what each holds, and
/// what the next forward commits and the opening of it take, in turns. The many are written as forward commits write them, into
/// mirror and remote, without the pushes in between.
fn after_many_pins() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let kinds = [("new", 0, false), ("kept in order", PINS, true), ("left alone", PINS, false)];
    let ways = kinds.map(|(name, pins, kept)| {
        let (root, remote) = (folder.path().join(name), folder.path().join(name).join("image.git"));
        make_repository(&remote, 2_000, 500);
        let url = remote.display().to_string();
        let mirrors = open_mirrors(&root);
        let (mirror, mut upkeep) = (mirrors.mirror(&url).unwrap(), Upkeep::default());
        runtime.block_on(mirror.fetch(&["dev".to_owned()], DEADLINE)).unwrap();
        let directory = mirrors_on_disk(&root.join("mirrors")).unwrap().remove(0).directory;
        let (named, mut packing) = (BTreeSet::from([url.clone()]), Duration::ZERO);
        for number in 0..pins {
            for repository in [&directory, &remote] {
                write_pin(repository, number);
            }
            if kept && number % PINS_A_ROUND == 0 {
                packing += timed(|| runtime.block_on(upkeep.round(&mirrors, &named, true, 0)));
            }
        }
        // A server packs its own.
        git(&remote, &["gc", "--quiet"]);
        if kept {
            println!("looking at it and packing it, in all: {:.1} s", packing.as_secs_f64());
        }
        (format!("{name}, {pins} pins"), root, url, mirror, directory)
    });
    let (mut pins, mut openings) = ([const { Vec::new() }; 3], [const { Vec::new() }; 3]);
    for number in 0..=QUICK {
        for (way, (_, root, url, mirror, _)) in ways.iter().enumerate() {
            let change = change(number + 1);
            pins[way].push(timed(|| drop(runtime.block_on(mirror.forward(&change, DEADLINE)).unwrap())));
            openings[way].push(timed(|| drop(open_mirrors(root).mirror(url).unwrap())));
        }
    }
    println!("| mirror | loose objects | packs | size | forward commit | opening it |");
    println!("|---|---|---|---|---|---|");
    for ((name, .., directory), (pins, openings)) in ways.into_iter().zip(pins.into_iter().zip(openings)) {
        let MirrorLoad { loose, packs, bytes } = MirrorLoad::of(&directory).unwrap();
        let [pin, opening] = [pins, openings].map(|times| median(times).as_secs_f64() * 1e3);
        println!("| {name} | {loose} | {packs} | {:.1} MB | {pin:.0} ms | {opening:.0} ms |", bytes as f64 / 1e6);
    }
}

fn open_mirrors(root: &Path) -> Mirrors {
    let identity = Identity { name: "Tidegate".to_owned(), email: "tidegate@localhost".to_owned() };
    Mirrors::open(root.join("mirrors"), GitOptions::new(identity, Proofs::with(&[7; 32]))).unwrap()
}

/// A commit on top of dev that changes one value, as loose objects.
fn write_pin(directory: &Path, number: usize) {
    let repository = git2::Repository::open_bare(directory).unwrap();
    let head = repository.find_reference("refs/heads/dev").unwrap().peel_to_commit().unwrap();
    let blob = repository.blob(config(number + 1_000_000).as_bytes()).unwrap();
    let mut update = git2::build::TreeUpdateBuilder::new();
    let tree =
        update.upsert("config.json", blob, git2::FileMode::Blob).create_updated(&repository, &head.tree().unwrap());
    let tree = repository.find_tree(tree.unwrap()).unwrap();
    // Each has a second of its own: where all have the same, git's walks, which end by time, read all of them.
    let time = git2::Time::new(1_767_225_600 + number as i64, 0);
    let who = git2::Signature::new("Tidegate", "tidegate@localhost", &time).unwrap();
    let message =
        format!("Pin\n\nTidegate-Run: bench\nTidegate-Key: written/{number}\nTidegate-Proof: {number:064x}\n");
    repository.commit(Some("refs/heads/dev"), &who, &who, &message, &tree, &[&head]).unwrap();
}

struct Figures {
    ours_unmoved: Duration,
    ours_moved: Duration,
    minimum: Duration,
    clone: Duration,
    promoter: Duration,
}

impl Figures {
    fn ratio(&self) -> f64 {
        self.ours_moved.as_secs_f64() / self.minimum.as_secs_f64()
    }
}

fn measure(root: &Path, server: &HttpGit, files: usize, commits: usize) -> Figures {
    let name = format!("{files}-files");
    make_repository(&root.join(format!("{name}.git")), files, commits);
    let url = server.url("", &format!("{name}.git"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let identity = Identity { name: "Tidegate".to_owned(), email: "tidegate@localhost".to_owned() };
    let mirrors =
        Mirrors::open(root.join(format!("{name}-mirrors")), GitOptions::new(identity, Proofs::with(&[7; 32]))).unwrap();
    let mirror = mirrors.mirror(&url).unwrap();
    let warm = root.join(format!("{name}-warm.git"));
    git(root, &["clone", "--quiet", "--bare", &url, warm.to_str().unwrap()]);
    let mut number = 0;
    let mut next = || {
        number += 1;
        number
    };
    let ours = |number: usize| {
        let change = change(number);
        timed(|| {
            let forwarded = runtime.block_on(mirror.forward(&change, DEADLINE)).unwrap();
            assert!(matches!(forwarded, Forwarded::Committed { .. }), "{forwarded:?}");
        })
    };
    ours(next());
    let (mut moved, mut unmoved, mut minimum, mut clone, mut promoter) = (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..QUICK {
        minimum.push(timed(|| minimum_with_git(&warm, next())));
        moved.push(ours(next()));
        unmoved.push(ours(next()));
    }
    for _ in 0..SLOW {
        clone.push(timed(|| with_fresh_clone(root, &url, next())));
        promoter.push(timed(|| as_a_clone_based_promoter(root, &url, next())));
    }
    let figures = Figures {
        ours_unmoved: median(unmoved),
        ours_moved: median(moved),
        minimum: median(minimum),
        clone: median(clone),
        promoter: median(promoter),
    };
    let ms = |duration: Duration| format!("{:.0} ms", duration.as_secs_f64() * 1_000.0);
    println!(
        "| {files} files, {commits} commits | {} | {} | {} | {} | {} |",
        ms(figures.ours_unmoved),
        ms(figures.ours_moved),
        ms(figures.minimum),
        ms(figures.clone),
        ms(figures.promoter)
    );
    figures
}

fn change(number: usize) -> ForwardChange {
    ForwardChange {
        branch: "dev".to_owned(),
        edits: vec![FileEdit {
            path: "config.json".to_owned(),
            set: vec![("/software/tag".to_owned(), json!(format!("ours-{number}")))],
        }],
        message: CommitMessage {
            system: "bench".to_owned(),
            repository: "image".to_owned(),
            subject: "Pin".to_owned(),
            body: String::new(),
            trailers: vec![("Tidegate-Run".to_owned(), "bench".to_owned())],
            key: format!("bench/{number}"),
            committed_at_ms: 1_767_300_000_000 + 1_000 * number as i64,
        },
    }
}

fn config(number: usize) -> String {
    format!("{{\n  \"software\": {{\n    \"tag\": \"{number}\"\n  }}\n}}\n")
}

/// Fetch, the plumbing that makes one commit, push: what the git program cannot do without.
fn minimum_with_git(mirror: &Path, number: usize) {
    git(mirror, &["fetch", "--quiet", "--no-tags", "--no-auto-gc", "origin", "+refs/heads/dev:refs/heads/dev"]);
    let blob = git_with(mirror, &["hash-object", "-w", "--stdin"], &config(number));
    let tree = git(mirror, &["ls-tree", "dev"]);
    let tree: Vec<String> =
        tree.lines()
            .map(|line| {
                if line.ends_with("\tconfig.json") {
                    format!("100644 blob {blob}\tconfig.json")
                } else {
                    line.to_owned()
                }
            })
            .collect();
    let tree = git_with(mirror, &["mktree"], &tree.join("\n"));
    let commit = git(mirror, &["commit-tree", &tree, "-p", "refs/heads/dev", "-m", "Pin"]);
    git(mirror, &["push", "--quiet", "origin", &format!("{commit}:refs/heads/dev")]);
}

fn with_fresh_clone(root: &Path, url: &str, number: usize) {
    let work = tempfile::tempdir_in(root).unwrap();
    git(work.path(), &["clone", "--quiet", "--branch", "dev", url, "clone"]);
    let clone = work.path().join("clone");
    std::fs::write(clone.join("config.json"), config(number)).unwrap();
    git(&clone, &["commit", "--quiet", "--all", "--message", "Pin"]);
    git(&clone, &["push", "--quiet", "origin", "dev"]);
}

fn as_a_clone_based_promoter(root: &Path, url: &str, number: usize) {
    let work = tempfile::tempdir_in(root).unwrap();
    git(work.path(), &["clone", "--quiet", "--bare", url, "bare.git"]);
    let bare = work.path().join("bare.git");
    git(&bare, &["worktree", "add", "--quiet", "../tree", "dev"]);
    let tree = work.path().join("tree");
    std::fs::write(tree.join("config.json"), config(number)).unwrap();
    git(&tree, &["add", "config.json"]);
    git(&tree, &["commit", "--quiet", "--message", "Pin"]);
    git(&tree, &["ls-remote", "--quiet", "origin"]);
    git(&tree, &["pull", "--quiet", "--rebase", "origin", "dev"]);
    git(&tree, &["push", "--quiet", "origin", "dev"]);
}

/// A repository of so many files in folders of a hundred, with so many commits, each of which changes one file.
fn make_repository(directory: &PathBuf, files: usize, commits: usize) {
    std::fs::create_dir_all(directory).unwrap();
    git(directory, &["init", "--quiet", "--bare", "--initial-branch=dev"]);
    git(directory, &["config", "http.receivepack", "true"]);
    let mut stream = String::new();
    let data = |text: &str| format!("data {}\n{text}\n", text.len());
    for commit in 0..commits {
        let seconds = 1_700_000_000 + commit;
        write!(stream, "commit refs/heads/dev\ncommitter Ada <ada@example.com> {seconds} +0000\n{}", data("Change"))
            .unwrap();
        if commit == 0 {
            write!(stream, "M 100644 inline config.json\n{}", data(&config(0))).unwrap();
            for file in 0..files {
                let text = format!("file {file}\n{}\n", "content ".repeat(40));
                write!(stream, "M 100644 inline folder-{}/file-{file}\n{}", file / 100, data(&text)).unwrap();
            }
        } else {
            let file = commit % files;
            write!(
                stream,
                "M 100644 inline folder-{}/file-{file}\n{}",
                file / 100,
                data(&format!("commit {commit}\n"))
            )
            .unwrap();
        }
    }
    git_with(directory, &["fast-import", "--quiet"], &stream);
    git(directory, &["gc", "--quiet"]);
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    git_with(directory, arguments, "")
}

fn git_with(directory: &Path, arguments: &[&str], input: &str) -> String {
    let mut command: Command = hermetic_git(directory);
    command.args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn timed(run: impl FnOnce()) -> Duration {
    let started = Instant::now();
    run();
    started.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
