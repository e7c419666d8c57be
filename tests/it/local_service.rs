//! Services that are deployed on this machine, by us or by one of us that was killed meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tidegate::providers::Fault;
use tidegate::providers::given::SecretPlace;
use tidegate::providers::http_check::{Check, check};
use tidegate::providers::image_builder::{BuildRequest, BuildState};
use tidegate::providers::local_service::{Current, DeployHandle, DeployStatus, Deployment, LocalService, SERVICE_TYPE};
use tidegate::providers::objects::DirectoryObjects;

use crate::local_image_builder::{Workshop, request};
use crate::local_support::{TIDEGATE, eventually, files_with, kill, processes_in, processes_with};
use crate::support::sandbox::{is_here, sandbox};

const REGION: &str = "eu-central-1";
/// How many milliseconds of a start are swept by kills; a start takes less.
const KILL_POINTS: u64 = 25;
/// Set in the process that starts a deployment and is killed: the directory and the version.
const DYING_DEPLOYER: &str = "TIDEGATE_TEST_DYING_DEPLOYER";

/// A machine with an image store and one environment.
struct Machine {
    workshop: Workshop,
    service: LocalService,
}

impl Machine {
    fn new() -> Self {
        let workshop = Workshop::new();
        let service = LocalService {
            environment: workshop.arena.path().join("dev"),
            objects: Arc::new(workshop.objects.clone()),
            sandbox: sandbox(),
        };
        Self { workshop, service }
    }

    /// The AMI id of an image with this version in it.
    async fn image(&self, version: &str) -> String {
        let software = self.workshop.software(&[("VERSION", 0o644, version)]).await;
        let component = "{schemaVersion: 1.0, phases: []}";
        let bake = BuildRequest { software: vec![software], ..request(&format!("bake-{version}"), component) };
        let status = self.workshop.built(&bake).await;
        let BuildState::Available { images, .. } = status.state else { panic!("{status:?}") };
        images[REGION].clone()
    }

    async fn deployment(&self, version: &str) -> Deployment {
        let image = self.image(version).await;
        deployment(version, &image, &[TIDEGATE, "demo-service", "opt/webshop/VERSION"])
    }

    async fn end_of(&self, handle: &DeployHandle) -> DeployStatus {
        eventually("the end of the deployment", async || {
            let status = self.service.poll(handle).await.unwrap();
            (!matches!(status, DeployStatus::InProgress { .. })).then_some(status)
        })
        .await
    }

    async fn deployed(&self, deployment: &Deployment) -> Current {
        let handle = self.service.start(deployment).await.unwrap();
        self.done(&handle).await
    }

    async fn done(&self, handle: &DeployHandle) -> Current {
        match self.end_of(handle).await {
            DeployStatus::Done(current) => current,
            other => panic!("not done: {other:?}"),
        }
    }

    async fn failed(&self, handle: &DeployHandle) -> (String, String) {
        match self.end_of(handle).await {
            DeployStatus::Failed { reason, log } => (reason, log),
            other => panic!("not failed: {other:?}"),
        }
    }

    /// The services that run in the environment: where there is a box, its outside stands for all that is inside.
    fn running(&self) -> Vec<i32> {
        let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/pid")).ok();
        let is_outside = |pid: &i32| namespace(&pid.to_string()) == namespace("self");
        processes_in(&self.service.environment).into_iter().filter(is_outside).collect()
    }
}

pub(crate) fn deployment(key: &str, image: &str, command: &[&str]) -> Deployment {
    let properties = serde_json::json!({"ImageId": image, "Command": command});
    let web = serde_json::json!({"Type": SERVICE_TYPE, "Properties": properties});
    Deployment {
        key: key.to_owned(),
        template: serde_json::json!({"Resources": {"Web": web}}).to_string(),
        parameters: BTreeMap::new(),
        secrets: Vec::new(),
        deadline: Duration::from_secs(10),
    }
}

async fn answer(address: &str) -> Result<String, Fault> {
    let deadline = Duration::from_secs(2);
    let url = format!("{address}/health");
    check(&Check { url, status: None, contains: None, follow_redirects: false, deadline }).await.map(|it| it.excerpt)
}

#[tokio::test]
async fn a_new_release_takes_over_from_the_one_before() {
    let machine = Machine::new();
    assert_eq!(machine.service.status().await.unwrap(), None);
    let first = machine.deployed(&machine.deployment("1.0").await).await;
    assert_eq!(answer(&first.address).await.unwrap(), "1.0");
    assert_eq!((first.previous.clone(), machine.running()), (None, vec![first.pid]));

    let handle = machine.service.start(&machine.deployment("1.1").await).await.unwrap();
    assert_eq!(answer(&first.address).await.unwrap(), "1.0", "the old one serves until the new one is healthy");
    let second = machine.done(&handle).await;
    assert_eq!(answer(&second.address).await.unwrap(), "1.1");
    assert_eq!(machine.running(), [second.pid]);
    assert_eq!(second.previous, Some(first.deployment.clone()));
    let status = machine.service.status().await.unwrap().unwrap();
    assert!(status.is_running && status.current == second);

    let third = machine.deployed(&machine.deployment("1.2").await).await;
    let releases = fs::read_dir(machine.service.environment.join("releases")).unwrap().count();
    assert_eq!((third.previous, releases), (Some(second.deployment), 2), "older ones are removed");
}

#[tokio::test]
async fn one_key_is_one_deployment() {
    let machine = Machine::new();
    let deployment = machine.deployment("1.0").await;
    let first = machine.deployed(&deployment).await;
    assert_eq!(machine.deployed(&deployment).await, first);
    assert_eq!(machine.running(), [first.pid]);

    let other = Deployment { key: "1.0".to_owned(), ..machine.deployment("1.1").await };
    let fault = machine.service.start(&other).await.unwrap_err();
    assert!(fault.to_string().contains("the key 1.0 was used for another deployment"), "{fault}");
}

#[tokio::test]
async fn a_release_that_is_never_healthy_leaves_the_old_one_serving() {
    let machine = Machine::new();
    let first = machine.deployed(&machine.deployment("1.0").await).await;
    // It ignores SIGTERM, has let go of its standard input, and has a child in a session of its own.
    let script = "echo I will not; trap '' TERM; setsid sleep 16.1803 & exec < /dev/null; while :; do sleep 0.1; done";
    let never = Deployment {
        deadline: Duration::from_millis(300),
        ..deployment("never", &machine.image("1.1").await, &["sh", "-c", script])
    };
    let handle = machine.service.start(&never).await.unwrap();
    let DeployStatus::InProgress { waiting_for } = machine.service.poll(&handle).await.unwrap() else {
        panic!("not in progress")
    };
    assert!(waiting_for.contains("/health"), "{waiting_for}");
    let (reason, log) = machine.failed(&handle).await;
    assert!(reason.starts_with("the service was not healthy within 300 ms: GET http://127.0.0.1:"), "{reason}");
    // Its shell may have a word about the child that was killed before it.
    assert_eq!(log.lines().next(), Some("I will not"));
    assert_eq!(machine.running(), [first.pid]);
    assert_eq!(answer(&first.address).await.unwrap(), "1.0");
    assert!(processes_with("sleep 16.1803").is_empty());
    assert_eq!(machine.failed(&handle).await, (reason, log), "it stays failed, however often one asks");
}

#[tokio::test]
async fn a_release_that_ends_by_itself_has_failed() {
    let machine = Machine::new();
    let image = machine.image("1.0").await;
    for (key, command, said) in [
        ("exits", ["sh", "-c", "echo no database; exit 1"].as_slice(), "no database"),
        ("missing", &["no-such-program"], "no-such-program"),
    ] {
        let handle = machine.service.start(&deployment(key, &image, command)).await.unwrap();
        let (reason, log) = machine.failed(&handle).await;
        assert_eq!(reason, "the service ended by itself");
        assert!(log.contains(said), "{log}");
    }
    assert_eq!(machine.service.status().await.unwrap(), None);
    assert!(machine.running().is_empty());
}

/// Starts a deployment in a process of its own, which is killed so much later than it says `line`.
async fn deploy_and_die(machine: &Machine, version: &str, line: &str, later: Duration) {
    let image = machine.image(version).await;
    let mut deployer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "local_service::the_dying_deployer", "--ignored", "--nocapture"])
        .env(DYING_DEPLOYER, format!("{}\n{version}\n{image}", machine.workshop.arena.path().display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(deployer.stdout.take().unwrap()).lines();
    assert!(lines.any(|found| found.unwrap().ends_with(line)));
    tokio::time::sleep(later).await;
    kill(i32::try_from(deployer.id()).unwrap());
    deployer.wait().unwrap();
}

#[tokio::test]
#[ignore = "runs in a process of its own, which is killed"]
async fn the_dying_deployer() {
    let Ok(given) = std::env::var(DYING_DEPLOYER) else { return };
    let [directory, version, image] = given.split('\n').collect::<Vec<_>>().try_into().unwrap();
    let directory = PathBuf::from(directory);
    let service = LocalService {
        environment: directory.join("dev"),
        objects: Arc::new(DirectoryObjects::open(&directory.join("objects")).unwrap()),
        sandbox: sandbox(),
    };
    let command = [TIDEGATE, "demo-service", "opt/webshop/VERSION"];
    println!("starting");
    service.start(&deployment(version, image, &command)).await.unwrap();
    println!("started");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_deployment_goes_on_after_we_died() {
    let machine = Machine::new();
    let first = machine.deployed(&machine.deployment("1.0").await).await;
    let next = machine.deployment("1.1").await;
    deploy_and_die(&machine, "1.1", "started", Duration::ZERO).await;
    assert_eq!(machine.running().len(), 2);
    let started: Vec<i32> = machine.running().into_iter().filter(|pid| *pid != first.pid).collect();
    let second = machine.deployed(&next).await;
    assert_eq!(started, [second.pid], "the service that the dead one started is the one that serves");
    assert_eq!(machine.running(), [second.pid]);
}

#[tokio::test]
async fn what_a_dead_deployer_left_behind_is_ended_by_the_next_deployment() {
    let machine = Machine::new();
    let first = machine.deployed(&machine.deployment("1.0").await).await;
    deploy_and_die(&machine, "1.1", "started", Duration::ZERO).await;
    let handle = machine.service.start(&machine.deployment("1.2").await).await.unwrap();
    let running = machine.running();
    assert!(running.len() == 2 && running.contains(&first.pid), "the one that serves and the new one: {running:?}");
    let third = machine.done(&handle).await;
    assert_eq!(machine.running(), [third.pid]);
    assert_eq!(third.previous, Some(first.deployment));
}

#[tokio::test]
async fn wherever_we_die_one_service_is_left_at_the_end() {
    let machine = Machine::new();
    let first = machine.deployed(&machine.deployment("1.0").await).await;
    let next = machine.deployment("1.1").await;
    let mut running = Vec::new();
    for delay_ms in 0..KILL_POINTS {
        deploy_and_die(&machine, "1.1", "starting", Duration::from_millis(delay_ms)).await;
        running.push(machine.running().len());
        machine.service.cancel(&DeployHandle("1.1".to_owned())).await.unwrap();
        assert_eq!(machine.running(), [first.pid], "killed after {delay_ms} ms");
        deploy_and_die(&machine, "1.1", "starting", Duration::from_millis(delay_ms)).await;
    }
    assert!(running.contains(&1) && running.contains(&2), "killed both before and after the fork: {running:?}");
    let second = machine.deployed(&next).await;
    assert_eq!(machine.running(), [second.pid]);
}

#[tokio::test]
async fn a_service_that_was_killed_is_seen_and_started_again() {
    let machine = Machine::new();
    let deployment = machine.deployment("1.0").await;
    let first = machine.deployed(&deployment).await;
    kill(first.pid);
    eventually("the end of the service", async || machine.running().is_empty().then_some(())).await;
    assert!(!machine.service.status().await.unwrap().unwrap().is_running);
    let again = machine.deployed(&deployment).await;
    assert_ne!(again.pid, first.pid);
    assert_eq!(answer(&again.address).await.unwrap(), "1.0");
}

#[tokio::test]
async fn the_release_before_can_be_restored() {
    let machine = Machine::new();
    let first = machine.deployed(&machine.deployment("1.0").await).await;
    let second = machine.deployed(&machine.deployment("1.1").await).await;
    let previous = second.previous.unwrap();
    machine.service.restore(&previous).await.unwrap();
    machine.service.restore(&previous).await.unwrap();
    let restored = machine.done(&previous).await;
    assert_eq!(answer(&restored.address).await.unwrap(), "1.0");
    assert_eq!((restored.image, restored.previous), (first.image, Some(second.deployment)));
    assert_eq!(machine.running(), [restored.pid]);
}

#[tokio::test]
async fn a_cancelled_deployment_and_a_stopped_environment_leave_nothing_running() {
    let machine = Machine::new();
    let first = machine.deployed(&machine.deployment("1.0").await).await;
    let handle = machine.service.start(&machine.deployment("1.1").await).await.unwrap();
    machine.service.cancel(&handle).await.unwrap();
    assert_eq!(machine.failed(&handle).await.0, "the deployment was cancelled");
    machine.service.cancel(&first.deployment).await.unwrap();
    assert_eq!(machine.running(), [first.pid], "what serves is not cancelled");
    machine.service.stop().await.unwrap();
    machine.service.stop().await.unwrap();
    assert!(machine.running().is_empty());
    assert_eq!(machine.service.status().await.unwrap(), None);
}

#[tokio::test]
async fn an_image_that_is_missing_or_was_changed_is_not_deployed() {
    let machine = Machine::new();
    let fault = machine.service.start(&deployment("a", "ami-0", &["true"])).await.unwrap_err();
    assert!(fault.to_string().contains("there is no image ami-0 in the object store"), "{fault}");

    let (one, two) = (machine.image("1.0").await, machine.image("1.1").await);
    let record = |ami: &str| -> serde_json::Value {
        let path = machine.workshop.objects.root().join(format!("images/{ami}.json"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    let object = |ami: &str| machine.workshop.objects.root().join(record(ami)["object"].as_str().unwrap());
    fs::copy(object(&two), object(&one)).unwrap();
    let fault = machine.service.start(&deployment("b", &one, &["true"])).await.unwrap_err();
    assert!(matches!(&fault, Fault::Fail { error, .. } if error.contains("the image has the digest")), "{fault}");
}

#[tokio::test]
async fn a_service_has_its_secrets_as_long_as_it_runs_and_its_log_has_none_of_them() {
    let machine = Machine::new();
    let path = machine.workshop.arena.path().join("db-password");
    fs::write(&path, "db_0123456789").unwrap();
    let (name, variable) = ("db-password".to_owned(), "DB_PASSWORD_FILE".to_owned());
    // The demo's service answers with what is in the file now.
    let script = format!(
        "printf 'began db_01'; sleep 0.1; echo 23456789; cat $DB_PASSWORD_FILE >&2; \
         trap 'echo ended $(cat $DB_PASSWORD_FILE); exit' TERM; {TIDEGATE} demo-service $DB_PASSWORD_FILE & wait"
    );
    let image = machine.image("1.0").await;
    let deployment = Deployment {
        secrets: vec![SecretPlace { name, variable, path: path.clone() }],
        ..deployment("1.0", &image, &["sh", "-c", &script])
    };
    let current = machine.deployed(&deployment).await;
    if is_here() {
        // Whoever exchanges a secret puts another file in its place: the service keeps the one that it was given.
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(answer(&current.address).await.unwrap(), "db_0123456789");
    machine.service.stop().await.unwrap();
    assert!(machine.running().is_empty());
    let log = machine.service.environment.join("releases").join(&current.deployment.0).join("log.txt");
    let log = fs::read_to_string(log).unwrap();
    for said in ["began ***\n", "ended ***\n"] {
        assert!(log.contains(said), "{log}");
    }
    assert_eq!(log.matches("***").count(), 3, "{log}");
    assert_eq!(files_with(&machine.service.environment, "db_0123456789"), Vec::<std::path::PathBuf>::new());
    // One that is gone is said before anything is started anew.
    if is_here() {
        let why = machine.service.restore(&current.deployment).await.unwrap_err().to_string();
        assert!(why.contains("the secret `db-password`"), "{why}");
    }
}
