//! The program: what it prints, what it refuses, that what it predicts comes true under `serve`, and that it touches nothing.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::support::people::{os_user, without_grants};
use crate::{
    local_support::TIDEGATE,
    support::{
        repo::{HERMETIC, hermetic_git},
        sandbox::sandbox,
    },
};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(90);
const REPOSITORIES: [&str; 3] = ["software", "image", "infrastructure"];
const STAGES: [&str; 3] = ["dev", "qa", "main"];

/// The demo's company, after its demo, and a clone of its software with a change that nobody has seen.
struct Demo {
    folder: tempfile::TempDir,
    server: Option<Child>,
}

impl Demo {
    fn new() -> Self {
        let demo = Self { folder: tempfile::tempdir().unwrap(), server: None };
        let directory = demo.path("demo");
        let made = command(&["-o", "json", "demo", "--yes", "--dir", directory.to_str().unwrap()]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let clone = demo.path("clone");
        demo.git(demo.folder.path(), &["clone", "--quiet", "--branch=dev", "demo/repositories/software.git", "clone"]);
        fs::write(clone.join("VERSION"), "webshop 3.0\n").unwrap();
        demo.git(&clone, &["commit", "--quiet", "--all", "--message=Sell even more"]);
        demo
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn git(&self, directory: &Path, arguments: &[&str]) -> String {
        let mut git = hermetic_git(directory);
        for role in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{role}_NAME"), "Ada").env(format!("GIT_{role}_EMAIL"), "ada@webshop.example");
        }
        let done = git.args(arguments).output().unwrap();
        assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    fn tidegate(&self, arguments: &[&str]) -> Output {
        command(arguments).env("TIDEGATE_CONFIG", self.path("demo/tidegate.toml")).output().unwrap()
    }

    fn granted(&self, arguments: &[&str]) -> String {
        let output = self.tidegate(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, arguments: &[&str], code: i32) -> String {
        let output = self.tidegate(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        said
    }

    fn serve(&mut self) {
        self.serve_with(&[]);
    }

    fn serve_with(&mut self, arguments: &[&str]) {
        let mut serve = command(&[&["serve"], arguments].concat());
        serve.env("TIDEGATE_CONFIG", self.path("demo/tidegate.toml")).stdout(Stdio::null()).stderr(Stdio::null());
        self.server = Some(serve.spawn().unwrap());
    }

    /// Every file with its digest, but for SQLite's index of its log beside the database, which is memory that processes
    /// share, and is made anew from the log.
    fn files(&self) -> BTreeMap<PathBuf, String> {
        let (mut folders, mut files) = (vec![self.path("demo"), self.path("clone")], BTreeMap::new());
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    folders.push(path);
                } else if !path.ends_with("tidegate.db-shm") {
                    let digest = Sha256::digest(fs::read(&path).unwrap_or_default());
                    files.insert(path, digest.iter().map(|byte| format!("{byte:02x}")).collect());
                }
            }
        }
        files
    }

    /// Waits until nothing is written any more.
    fn quiet(&self) -> BTreeMap<PathBuf, String> {
        let until = Instant::now() + PATIENCE;
        let mut before = self.files();
        loop {
            std::thread::sleep(Duration::from_millis(300));
            let files = self.files();
            if files == before {
                return files;
            }
            assert!(Instant::now() < until, "it is never quiet");
            before = files;
        }
    }

    /// The subjects that came to a branch since a commit, oldest first, without the ids in them.
    fn came(&self, repository: &str, branch: &str, since: &str) -> Vec<String> {
        let directory = self.path("demo/repositories").join(format!("{repository}.git"));
        let range = format!("{since}..{branch}");
        let log = self.git(&directory, &["log", "--first-parent", "--reverse", "--format=%s", &range]);
        log.lines().map(without_ids).collect()
    }

    fn heads(&self) -> BTreeMap<(&'static str, &'static str), String> {
        let places = REPOSITORIES.into_iter().flat_map(|repository| STAGES.map(|stage| (repository, stage)));
        let head = |(repository, stage)| {
            let directory = self.path("demo/repositories").join(format!("{repository}.git"));
            ((repository, stage), self.git(&directory, &["rev-parse", stage]))
        };
        places.map(head).collect()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
        let root = self.path("demo/data");
        let objects = tidegate::providers::objects::Address::Directory(root.join("objects")).open().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for stage in fs::read_dir(root.join("environments/webshop")).into_iter().flatten() {
            let environment = stage.unwrap().path();
            let service = tidegate::providers::local_service::LocalService {
                environment,
                objects: objects.clone(),
                sandbox: sandbox(),
            };
            runtime.block_on(service.stop()).unwrap();
        }
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(TIDEGATE);
    command.args(arguments).envs(HERMETIC).env("TIDEGATE_AS", "ada").stdin(Stdio::null());
    command
}

/// A subject with `commit-7` and the digits of commits replaced.
fn without_ids(subject: &str) -> String {
    let word = |word: &str| {
        let is_digits = word.len() == 10 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_digits || word.starts_with("commit-") { "…".to_owned() } else { word.to_owned() }
    };
    subject.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn nothing_is_touched_and_what_is_said_reads_well() {
    let mut demo = Demo::new();
    let clone = demo.path("clone").to_str().unwrap().to_owned();
    let before = demo.files();
    let push = ["simulate", "push", "software", "dev", "--from", &clone];
    let said = demo.granted(&push);
    for expected in [
        "were pushed to software dev …",
        "● commit-1 to image dev: Pin software-",
        "~ image is baked: eu-central-1: ami-00000000",
        "stands for the image of webshop in eu-central-1 that is yet to be baked",
        "could approve: grace",
        "8 commits in 3 repositories, 2 builds (0 reused), 3 deployments, 2 approvals asked of grace",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    assert!(!said.contains("tidegate-simulate") && !said.contains('\u{1b}'), "no copies, no colours\n{said}");
    demo.granted(&["simulate", "push", "image", "qa"]);
    demo.granted(&["simulate", "until", "in 30h"]);
    demo.refused(&["simulate", "promote", "dev", "qa"], 3);
    demo.refused(&["simulate", "push", "hardware", "dev"], 3);
    demo.refused(&["simulate", "until", "2001-01-01"], 1);
    let wrong = demo.path("wrong.yaml");
    fs::write(&wrong, "version: 1\nsystem: webshop\nstagess: {}\n").unwrap();
    let mistakes = demo.refused(&["simulate", "until", "30h", "--rules", wrong.to_str().unwrap()], 4);
    assert!(mistakes.contains("stagess"), "{mistakes}");
    assert_eq!(demo.files(), before, "nothing was touched");

    demo.serve();
    let before = demo.quiet();
    assert_eq!(demo.granted(&push).lines().filter(|line| line.contains('●')).count(), 8);
    assert_eq!(demo.files(), before, "nothing was touched while it was served");
}

#[test]
fn a_push_that_git_would_refuse_is_refused() {
    let demo = Demo::new();
    let clone = demo.path("clone").to_str().unwrap().to_owned();
    let push = |repository: &str, stage: &str, commit: &str, more: &[&str]| {
        let first = ["simulate", "push", repository, stage, "--from", &clone, "--commit", commit];
        first.iter().chain(more).map(|word| (*word).to_owned()).collect::<Vec<String>>()
    };
    let refused = |words: Vec<String>| demo.refused(&words.iter().map(String::as_str).collect::<Vec<_>>(), 3);
    let granted = |words: Vec<String>| demo.granted(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let behind = refused(push("software", "dev", "HEAD~2", &[]));
    assert!(behind.contains("there is nothing to push: software dev has"), "{behind}");
    let other = refused(push("image", "dev", "HEAD", &[]));
    assert!(other.contains("is not a descendant of the head") && other.contains("of image dev"), "{other}");
    demo.git(Path::new(&clone), &["checkout", "--quiet", "--orphan", "alone"]);
    demo.git(Path::new(&clone), &["commit", "--quiet", "--message=Begin anew"]);
    let orphan = refused(push("software", "dev", "HEAD", &[]));
    assert!(orphan.contains("a plain push is refused; `--force` simulates a forced one"), "{orphan}");
    let forced = granted(push("software", "dev", "HEAD", &["--force"]));
    assert!(forced.contains("▸ package-12 in dev"), "{forced}");
    let head = granted(push("software", "dev", "origin/dev", &[]));
    assert!(head.contains("there is nothing to push"), "{head}");
}

#[test]
fn rules_are_tried_while_nothing_moves() {
    let mut demo = Demo::new();
    demo.serve_with(&["--paused", "trying the rules", "--as", "grace"]);
    demo.quiet();
    let status = demo.granted(&["status"]);
    let by = format!("grace, asked by {}: trying the rules", os_user());
    assert!(status.contains("pause") && status.contains(&by), "{status}");
    demo.git(&demo.path("clone"), &["push", "--quiet", "origin", "HEAD:dev"]);
    let until = Instant::now() + PATIENCE;
    while !demo.granted(&["runs"]).contains("package-12") {
        assert!(Instant::now() < until, "the push is not seen");
        std::thread::sleep(Duration::from_millis(100));
    }
    let said = demo.granted(&["simulate", "until", "1h"]);
    assert!(said.contains("3 deployments"), "{said}");
    assert!(said.contains(&format!("note: it is paused, by {by}; `tidegate resume` is supposed")), "{said}");
    assert!(demo.granted(&["status"]).contains("package-12"), "it still waits");
}

#[test]
fn commands_are_granted_or_refused_as_in_earnest() {
    let demo = Demo::new();
    let back = demo.refused(&["simulate", "rollback", "dev"], 3);
    assert!(back.contains("dev has no earlier version to go back to"), "{back}");
    let done = demo.refused(&["simulate", "retry", "deliver-3"], 3);
    assert!(done.contains("only a failed or aborted run"), "{done}");
    let run = demo.granted(&["simulate", "run", "deliver", "--stage", "dev", "--fail-on", "failure"]);
    assert!(run.contains("deliver were run in dev") && run.contains("1 deployment"), "{run}");
    demo.refused(&["simulate", "until", "30h", "--days", "3"], 2);
}

#[test]
fn who_may_only_look_is_told_what_another_could_cause() {
    let demo = Demo::new();
    let settings = demo.path("demo/tidegate.toml");
    let mut text = without_grants(&fs::read_to_string(&settings).unwrap());
    text += "\n[[grants]]\nrole = \"viewer\"\nto = [\"ada\"]\n\n[[grants]]\nrole = \"admin\"\nto = [\"grace\"]\n";
    fs::write(&settings, text).unwrap();
    let said = demo.granted(&["simulate", "run", "deliver", "--stage", "dev"]);
    assert!(said.contains("note: ada may not run deliver in dev: it needs the permission `operate`"), "{said}");
    assert!(said.contains("it is supposed that grace asks for it"), "{said}");
}

#[test]
fn a_simulation_that_is_ended_leaves_no_copies() {
    let demo = Demo::new();
    let temporary = demo.path("temporary");
    fs::create_dir(&temporary).unwrap();
    let left = || fs::read_dir(&temporary).unwrap().count();
    // A process that was killed left its copies, whose lock nobody holds.
    let dead = temporary.join("tidegate-simulate-1-0");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("lock"), "").unwrap();
    let clone = demo.path("clone").to_str().unwrap().to_owned();
    for signal in ["TERM", "HUP"] {
        let mut simulate = command(&["simulate", "push", "software", "dev", "--from", &clone]);
        simulate.env("TIDEGATE_CONFIG", demo.path("demo/tidegate.toml")).env("TMPDIR", &temporary);
        let mut child = simulate.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + PATIENCE;
        while left() == usize::from(dead.exists()) && child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "it never begins");
        }
        let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        child.wait().unwrap();
        assert_eq!(left(), 0, "after SIG{signal}");
    }
}

#[test]
fn changed_rules_are_tried_before_they_are_in_force() {
    let demo = Demo::new();
    let rules = fs::read_to_string(demo.path("demo/promotion-rules/webshop.yaml")).unwrap();
    assert!(rules.contains("from: [release-managers]"));
    let changed = demo.path("elsewhere.yaml");
    fs::write(&changed, rules.replace("count: 1, from: [release-managers]", "count: 2, from: [release-managers]"))
        .unwrap();
    let (clone, changed) = (demo.path("clone"), changed.to_str().unwrap().to_owned());
    let push =
        ["simulate", "push", "software", "dev", "--from", clone.to_str().unwrap(), "--rules", &changed, "-o", "json"];
    let prediction: Value = serde_json::from_str(&demo.granted(&push)).unwrap();
    assert_eq!(prediction["rules"]["changed"], true);
    assert_eq!(prediction["stopped"]["why"], "stuck");
    let waiting = &prediction["waiting"][0];
    assert_eq!((&waiting["run"], &waiting["stage"]), (&"deliver-21".into(), &"main".into()), "{waiting}");
    let mut newest = prediction["events"].as_array().unwrap().iter().rev();
    let gate = newest.find(|event| event["kind"] == "gate").unwrap();
    assert_eq!(gate["stuck"], "2 must approve, and only 1 could");
    assert_eq!(prediction["summary"]["deployments"], 2);
}

#[test]
fn what_is_predicted_is_what_the_server_then_does() {
    let mut demo = Demo::new();
    let clone = demo.path("clone");
    let heads = demo.heads();
    let push = ["-o", "json", "simulate", "push", "software", "dev", "--from", clone.to_str().unwrap()];
    let prediction: Value = serde_json::from_str(&demo.granted(&push)).unwrap();
    let events = prediction["events"].as_array().unwrap();
    demo.serve();
    demo.git(&clone, &["push", "--quiet", "origin", "dev"]);
    let until = Instant::now() + PATIENCE;
    loop {
        let status: Value = serde_json::from_str(&demo.granted(&["-o", "json", "status"])).unwrap();
        for run in status[0]["live"].as_array().unwrap().iter().filter(|run| run["waits"] == true) {
            // Another look may find that it asks no more.
            demo.tidegate(&["approve", run["run"].as_str().unwrap(), "--as", "grace"]);
        }
        let is_last = |run: &Value| run["subject"]["rule"] == "deliver" && run["stage"] == "main";
        let runs: Value = serde_json::from_str(&demo.granted(&["-o", "json", "runs"])).unwrap();
        let newer = |run: &&Value| is_last(run) && run["number"].as_u64() > Some(11) && run["state"] == "DONE";
        if runs.as_array().unwrap().iter().any(|run| newer(&run)) {
            break;
        }
        assert!(Instant::now() < until, "it does not come to its end\n{}", demo.granted(&["status"]));
        std::thread::sleep(Duration::from_millis(100));
    }
    for ((repository, stage), head) in &heads {
        let of_place = |event: &&Value| {
            event["kind"] == "commit" && event["repository"] == *repository && event["branch"] == *stage
        };
        let mut predicted: Vec<String> =
            events.iter().filter(of_place).map(|event| without_ids(event["subject"].as_str().unwrap())).collect();
        if (*repository, *stage) == ("software", "dev") {
            predicted.insert(0, "Sell even more".to_owned());
        }
        assert_eq!(demo.came(repository, stage, head), predicted, "{repository} {stage}");
    }
}
