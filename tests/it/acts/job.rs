//! Jobs on this machine: they keep the contract, outlive us, and show what they were given and what they gave.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tidegate::providers::{
    act::{Act, ActState, Found},
    local_job::{JobRequest, LocalJobs},
    targets::{Stands, TargetPlace, Targets as _},
};

use super::contract::{self, Outside, ended};
use crate::{
    local_support::{eventually, kill},
    support::sandbox::sandbox,
};

struct Machine {
    arena: TempDir,
    jobs: LocalJobs,
}

/// Says once in its tree that it ran, and gives that to later steps.
const ONCE: &str = r#"echo ran >> ran && printf '{"version":"%s"}' 1.2 > "$TIDEGATE_OUTPUTS""#;

fn place() -> TargetPlace {
    TargetPlace { system: "shop".to_owned(), target: "nightly".to_owned(), stage: "dev".to_owned() }
}

impl Machine {
    fn new() -> Self {
        let arena = tempfile::tempdir().unwrap();
        let jobs = LocalJobs { jobs: arena.path().join("jobs"), sandbox: sandbox() };
        Self { arena, jobs }
    }

    fn folder(&self) -> PathBuf {
        self.arena.path().join("jobs/shop/nightly@dev")
    }

    fn request(&self, key: &str, script: &str) -> JobRequest {
        let tree = self.jobs.tree(&place(), key);
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join("README"), "a tree").unwrap();
        JobRequest {
            key: key.to_owned(),
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            variables: Map::from_iter([("depth".to_owned(), json!(3))]),
            network: false,
            commit: "1".repeat(40),
            tree,
            bundle: None,
            grace: Duration::from_millis(300),
        }
    }

    fn job(&self, key: &str, script: &str) -> Box<dyn Act> {
        self.jobs.run(&place(), self.request(key, script))
    }

    async fn stands(&self, ours: &[&str]) -> Stands {
        let ours: Vec<String> = ours.iter().map(ToString::to_string).collect();
        self.jobs.look(&place(), &ours).await.unwrap().stands
    }

    fn ran(&self, handle: &str) -> usize {
        fs::read_to_string(self.folder().join(handle).join("work/ran")).map_or(0, |ran| ran.lines().count())
    }
}

impl Outside for Machine {
    async fn act(&self, key: &str, other: bool) -> Box<dyn Act> {
        self.job(key, if other { "true" } else { ONCE })
    }

    async fn endless(&self, key: &str) -> Box<dyn Act> {
        self.job(key, "sleep 1000")
    }

    async fn effects(&self, key: &str) -> usize {
        match self.job(key, ONCE).find().await.unwrap() {
            Found::Here(handle) => self.ran(&handle),
            Found::Nothing => 0,
        }
    }

    async fn forget(&self, handle: &str) {
        fs::remove_dir_all(self.folder().join(handle)).unwrap();
    }

    async fn end_outside(&self, handle: &str) {
        let stat = fs::read_to_string(self.folder().join(handle).join("process.stat")).unwrap();
        kill(stat.split(' ').next().unwrap().parse().unwrap());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        crate::local_support::end_all_of(self.arena.path());
    }
}

#[tokio::test]
async fn a_job_keeps_the_contract() {
    let machine = Machine::new();
    contract::kept_by(&machine).await;
}

#[tokio::test]
async fn a_job_finds_its_tree_its_variables_and_its_key_and_gives_texts_to_later_steps() {
    let machine = Machine::new();
    let script = r#"cat README; cat "$TIDEGATE_VARIABLES"; echo "$TIDEGATE_KEY"; printf '{"version":"1.2"}' > "$TIDEGATE_OUTPUTS""#;
    let job = machine.job("shop/clean-1.19ac/deploy/run", script);
    let handle = job.start().await.unwrap();
    let ActState::Done(outputs, log) = ended(&*job, &handle).await else { panic!() };
    assert_eq!(outputs["outputs"], json!({ "version": "1.2" }));
    let log = String::from_utf8(log).unwrap();
    for said in ["a tree", r#""depth": 3"#, "shop/clean-1.19ac/deploy/run"] {
        assert!(log.contains(said) || log.replace(' ', "").contains(&said.replace(' ', "")), "{said}: {log}");
    }
}

#[tokio::test]
async fn a_job_that_fails_says_how_and_one_whose_outputs_are_none_says_so() {
    let machine = Machine::new();
    for (script, said) in [
        ("echo broken; exit 3", "ended with 3"),
        (r#"echo '[1]' > "$TIDEGATE_OUTPUTS""#, "what the job wrote to TIDEGATE_OUTPUTS cannot be used"),
        (r#"printf '{"a":1}' > "$TIDEGATE_OUTPUTS""#, "what the job wrote to TIDEGATE_OUTPUTS cannot be used"),
        (r#"head -c 70000 /dev/zero > "$TIDEGATE_OUTPUTS""#, "are the most"),
        (r#"ln -s /etc/passwd "$TIDEGATE_OUTPUTS""#, "it is no file"),
    ] {
        let job = machine.job(&format!("shop/clean-{}.19ac/deploy/run", script.len()), script);
        let handle = job.start().await.unwrap();
        let ActState::Failed { reason, .. } = ended(&*job, &handle).await else { panic!("{script}") };
        assert!(reason.contains(said), "{script}: {reason}");
    }
}

#[tokio::test]
async fn a_job_runs_on_when_we_die_and_what_moves_is_seen() {
    let machine = Machine::new();
    let key = "shop/clean-9.19ac/deploy/run";
    let job = machine.job(key, "while [ ! -e go ]; do sleep 0.05; done; echo ran >> ran");
    let handle = job.start().await.unwrap();
    assert_eq!(machine.stands(&[key]).await, Stands::Stable, "it is ours");
    assert_eq!(machine.stands(&[]).await, Stands::Moving(format!("the job {handle} runs"), None));
    drop(job);
    // Whoever comes after us has nothing but the files.
    let after = machine.job(key, "while [ ! -e go ]; do sleep 0.05; done; echo ran >> ran");
    assert_eq!(after.find().await.unwrap(), Found::Here(handle.clone()));
    fs::write(machine.folder().join(&handle).join("work/go"), "").unwrap();
    assert!(matches!(ended(&*after, &handle).await, ActState::Done(..)));
    assert_eq!((machine.ran(&handle), machine.stands(&[]).await), (1, Stands::Stable));
}

#[tokio::test]
async fn a_job_that_is_cancelled_is_asked_first_and_what_is_not_ours_can_be_cancelled() {
    let machine = Machine::new();
    let script = "trap 'echo asked >> ran; exit 0' TERM; while true; do sleep 0.05; done";
    let job = machine.job("shop/clean-10.19ac/deploy/run", script);
    let handle = job.start().await.unwrap();
    // It has to set its trap first.
    let is_up = |path: &Path| path.join(&handle).join("log.txt").exists();
    eventually("the job", async || is_up(&machine.folder()).then_some(())).await;
    machine.jobs.cancel_others(&place(), Vec::new()).start().await.unwrap();
    assert_eq!(ended(&*job, &handle).await, ActState::Cancelled);
    assert_eq!(machine.stands(&[]).await, Stands::Stable);
}

#[tokio::test]
async fn of_jobs_that_have_ended_only_the_last_are_kept() {
    let machine = Machine::new();
    for number in 0..23 {
        let job = machine.job(&format!("shop/clean-{number}.19ac/deploy/run"), "true");
        let handle = job.start().await.unwrap();
        ended(&*job, &handle).await;
    }
    let kept = fs::read_dir(machine.folder()).unwrap().flatten().filter(|entry| entry.path().join("job.json").exists());
    let kept: Vec<Value> = kept.map(|entry| Value::from(entry.file_name().to_string_lossy().into_owned())).collect();
    assert_eq!(kept.len(), 21, "twenty and the one that was begun last");
}
