//! Images that are built on this machine, by processes that may be killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tidegate::providers::Fault;
use tidegate::providers::given::SecretPlace;
use tidegate::providers::image_builder::{
    BuildHandle, BuildRequest, BuildState, BuildStatus, Image, ImageBuilder as _, LocalImageBuilder, Software, ami_id,
    find_image,
};
use tidegate::providers::objects::{Address, DirectoryObjects, Objects, Source};

use crate::local_support::{
    Arena, TIDEGATE, eventually, files_with, gone, kill, kill_if_there, processes_in, processes_with, tarball,
};
use crate::support::sandbox::sandbox;

const REGION: &str = "eu-central-1";
/// How many milliseconds of a build are swept by kills; this build takes about as long.
const KILL_POINTS: u64 = 25;

pub(crate) struct Workshop {
    pub(crate) arena: Arena,
    pub(crate) objects: DirectoryObjects,
    builder: LocalImageBuilder,
}

impl Workshop {
    pub(crate) fn new() -> Self {
        let arena = Arena::new();
        let objects = DirectoryObjects::open(&arena.path().join("objects")).unwrap();
        let builder = LocalImageBuilder {
            jobs: arena.path().join("jobs"),
            objects: Address::Directory(objects.root().to_owned()),
            worker: [TIDEGATE, "image-builder-worker"].map(str::to_owned).to_vec(),
            sandbox: sandbox(),
        };
        Self { arena, objects, builder }
    }

    pub(crate) async fn software(&self, files: &[(&str, u32, &str)]) -> Software {
        let packed = self.arena.path().join("software.tar.gz");
        let sha256 = tarball(&packed, files);
        let name = format!("software/{sha256}.tar.gz");
        let stored = self.objects.put_if_absent(&name, Source::File(&packed)).await.unwrap();
        Software { name: "webshop".to_owned(), uri: stored.uri, sha256, destination: "/opt/webshop".to_owned() }
    }

    pub(crate) async fn built(&self, request: &BuildRequest) -> BuildStatus {
        let handle = self.builder.start(request).await.unwrap();
        self.end_of(&handle).await
    }

    async fn end_of(&self, handle: &BuildHandle) -> BuildStatus {
        let status = eventually("the end of the build", async || {
            let status = self.builder.poll(handle).await.unwrap();
            status.state.is_final().then_some(status)
        })
        .await;
        gone(&self.job(handle)).await;
        status
    }

    async fn reason(&self, request: &BuildRequest) -> String {
        let status = self.built(request).await;
        let BuildState::Failed { reason } = status.state else { panic!("not failed: {status:?}") };
        reason
    }

    fn job(&self, handle: &BuildHandle) -> String {
        self.arena.path().join("jobs").join(&handle.0).display().to_string()
    }

    /// What is in an image: unpacked by the program that everybody has.
    async fn unpacked(&self, image: &Image) -> PathBuf {
        let tar = self.arena.path().join("image.tar");
        let packed = self.objects.get(&image.object).await.unwrap();
        fs::write(&tar, zstd::decode_all(packed.as_slice()).unwrap()).unwrap();
        let directory = self.arena.path().join("unpacked");
        fs::create_dir(&directory).unwrap();
        let status = std::process::Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(&directory).status();
        assert!(status.unwrap().success());
        directory
    }
}

pub(crate) fn request(token: &str, component: &str) -> BuildRequest {
    BuildRequest {
        token: token.to_owned(),
        name: "webshop".to_owned(),
        components: vec![("setup".to_owned(), component.to_owned())],
        software: Vec::new(),
        regions: vec![REGION.to_owned(), "us-east-1".to_owned()],
        parameters: BTreeMap::new(),
        requested_at: "2026-01-02T03:04:05Z".to_owned(),
        network: false,
        secrets: Vec::new(),
    }
}

/// A component with one step, which runs these commands in the phase build.
fn commands(commands: &str) -> String {
    let step = serde_json::json!({"name": "run", "action": "ExecuteBash", "inputs": {"commands": [commands]}});
    component(&serde_json::json!([{"name": "build", "steps": [step]}]))
}

fn component(phases: &serde_json::Value) -> String {
    serde_json::json!({"schemaVersion": 1.0, "phases": phases}).to_string()
}

const WEBSHOP: &str = r#"
name: webshop
schemaVersion: 1.0
parameters:
  - Greeting: { type: string, default: hello, description: what it says }
phases:
  - name: build
    steps:
      - name: folders
        action: CreateFolder
        inputs: [{ path: /etc/webshop }, { path: /var/empty, permissions: 0700 }]
      - name: version
        action: ExecuteBash
        inputs: { commands: ["cat opt/webshop/VERSION", "touch $ROOT/opt/webshop/installed"] }
      - name: config
        action: CreateFile
        inputs:
          - path: /etc/webshop/config
            content: "{{ Greeting }} {{ build.version.outputs.stdout }}"
            permissions: 0600
      - { name: link, action: CreateSymlink, inputs: [{ path: /opt/current, target: /opt/webshop }] }
      - { name: through, action: AppendFile, inputs: [{ path: /opt/current/VERSION, content: "!" }] }
      - { name: move, action: MoveFile, inputs: [{ source: /opt/webshop/run, destination: /usr/bin/run }] }
      - { name: copy, action: CopyFolder, inputs: [{ source: /opt/webshop, destination: /srv/copy }] }
      - { name: delete, action: DeleteFile, inputs: [{ path: /opt/webshop/installed }] }
  - name: validate
    steps:
      - { name: runs, action: ExecuteBinary, inputs: { path: /usr/bin/run, arguments: [well] } }
      - { name: says, action: ExecuteBash, inputs: { commands: ['test "{{ validate.runs.outputs.stdout }}" = "run well"'] } }
  - name: test
    steps:
      - { name: litter, action: CreateFile, inputs: [{ path: /litter, content: x }] }
"#;

#[tokio::test]
async fn an_image_is_made_of_software_and_components() {
    let workshop = Workshop::new();
    let software = workshop.software(&[("VERSION", 0o644, "1.2"), ("run", 0o755, "#!/bin/sh\necho run $1\n")]).await;
    let bake = |token: &str, at: &str| BuildRequest {
        software: vec![software.clone()],
        requested_at: at.to_owned(),
        ..request(token, WEBSHOP)
    };
    let first = workshop.built(&bake("first", "2026-01-02T03:04:05Z")).await;
    let BuildState::Available { images, digest } = &first.state else { panic!("{first:?}") };
    assert_eq!(images.keys().collect::<Vec<_>>(), [REGION, "us-east-1"]);
    assert_eq!(images[REGION], ami_id(REGION, digest));
    assert!(images[REGION].len() == 21 && images[REGION] != images["us-east-1"]);
    assert!(first.log.contains("component setup, phase test, step litter"), "{}", first.log);

    let image = find_image(&workshop.objects, &images[REGION]).await.unwrap();
    assert_eq!(image.software["webshop"], software.sha256);
    let root = workshop.unpacked(&image).await;
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    assert_eq!((read("etc/webshop/config").as_str(), read("opt/webshop/VERSION").as_str()), ("hello 1.2", "1.2!"));
    assert!(root.join("srv/copy/installed").exists() && !root.join("opt/webshop/installed").exists());
    assert!(!root.join("litter").exists(), "what tests leave is no part of the image");

    let second = workshop.built(&bake("second", "2027-01-01T00:00:00Z")).await;
    assert_eq!(first.state, second.state, "the same inputs give the same image");
    assert_eq!(find_image(&workshop.objects, &images[REGION]).await.unwrap(), image);
    let other = BuildRequest {
        parameters: BTreeMap::from([("Greeting".to_owned(), "goodbye".to_owned())]),
        ..bake("third", "")
    };
    assert_ne!(workshop.built(&other).await.state, first.state);
}

#[tokio::test]
async fn one_token_is_one_build() {
    let workshop = Workshop::new();
    let request = request("token", &commands("echo built; sleep 0.3"));
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let (builder, request) = (workshop.builder.clone(), request.clone());
            tokio::spawn(async move { builder.start(&request).await.unwrap() })
        })
        .collect();
    for start in starts {
        assert_eq!(start.await.unwrap(), BuildHandle("token".to_owned()));
    }
    let status = workshop.built(&BuildRequest { requested_at: "later".to_owned(), ..request.clone() }).await;
    assert_eq!(workshop.built(&request).await.state, status.state);
    assert_eq!(status.log.lines().filter(|line| *line == "built").count(), 1, "{}", status.log);

    let other = BuildRequest { name: "other".to_owned(), ..request };
    let fault = workshop.builder.start(&other).await.unwrap_err();
    assert!(fault.to_string().contains("the token token was used for another build"), "{fault}");
}

#[tokio::test]
async fn a_killed_worker_is_followed_by_another() {
    let mut workshop = Workshop::new();
    let mark = workshop.arena.path().join("mark");
    workshop.builder.sandbox.tools.push(mark.clone());
    let script = format!("test -e {} || {{ touch half-done; sleep 27.1828; }}", mark.display());
    let handle = workshop.builder.start(&request("token", &commands(&script))).await.unwrap();
    eventually("the step", async || (!processes_with("sleep 27.1828").is_empty()).then_some(())).await;
    assert_eq!(workshop.builder.poll(&handle).await.unwrap().state, BuildState::Building);
    let job = workshop.job(&handle);
    fs::write(mark, "").unwrap();
    processes_with(&format!("image-builder-worker {job}")).into_iter().for_each(kill);

    let status = workshop.end_of(&handle).await;
    let BuildState::Available { images, .. } = &status.state else { panic!("{status:?}") };
    gone("27.1828").await;
    let image = find_image(&workshop.objects, &images[REGION]).await.unwrap();
    let root = workshop.unpacked(&image).await;
    assert!(!root.join("half-done").exists(), "the second worker began with an empty root");
}

#[tokio::test]
async fn wherever_a_worker_dies_the_image_is_the_same() {
    let workshop = Workshop::new();
    let software = workshop.software(&[("VERSION", 0o644, "1.2"), ("run", 0o755, "#!/bin/sh\necho run $1\n")]).await;
    let bake = |token: String| BuildRequest { software: vec![software.clone()], ..request(&token, WEBSHOP) };
    let undisturbed = workshop.built(&bake("undisturbed".to_owned())).await.state;
    for delay_ms in 0..KILL_POINTS {
        let handle = workshop.builder.start(&bake(format!("killed-{delay_ms}"))).await.unwrap();
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        processes_with(&workshop.job(&handle)).into_iter().for_each(kill_if_there);
        assert_eq!(workshop.end_of(&handle).await.state, undisturbed, "killed after {delay_ms} ms");
    }
    assert_eq!(workshop.objects.list("images/").await.unwrap().len(), 3, "one image with two ids");
}

#[tokio::test]
async fn a_worker_that_always_dies_fails_the_build() {
    let workshop = Workshop::new();
    let handle = workshop.builder.start(&request("token", &commands("sleep 20"))).await.unwrap();
    let worker = format!("image-builder-worker {}", workshop.job(&handle));
    let state = eventually("the end of the build", async || {
        processes_with(&worker).into_iter().for_each(kill_if_there);
        Some(workshop.builder.poll(&handle).await.unwrap().state).filter(BuildState::is_final)
    })
    .await;
    let BuildState::Failed { reason } = state else { panic!("{state:?}") };
    assert!(reason.starts_with("the worker died 3 times without a result"), "{reason}");
    // The kernel ends what a killed worker leaves, a moment after it; but for what was killed in the few milliseconds in which
    // a box is made (docs/security.md), which ends by itself.
    eventually("the end of its processes", async || processes_in(workshop.arena.path()).is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_cancelled_build_leaves_nothing_running() {
    let workshop = Workshop::new();
    let handle = workshop.builder.start(&request("token", &commands("sleep 27.1829 & sleep 27.1829"))).await.unwrap();
    eventually("the step", async || (processes_with("sleep 27.1829").len() == 2).then_some(())).await;
    workshop.builder.cancel(&handle).await.unwrap();
    assert_eq!(workshop.builder.poll(&handle).await.unwrap().state, BuildState::Cancelled);
    assert!(processes_in(workshop.arena.path()).is_empty());
    workshop.builder.cancel(&handle).await.unwrap();
}

#[tokio::test]
async fn a_failed_step_ends_the_build_as_the_component_says() {
    let workshop = Workshop::new();
    let step = |name: &str, on_failure: &str, command: &str| {
        serde_json::json!({"name": name, "action": "ExecuteBash", "onFailure": on_failure, "maxAttempts": 2,
            "timeoutSeconds": 5, "inputs": {"commands": [command]}})
    };
    let build = |steps: serde_json::Value| component(&serde_json::json!([{"name": "build", "steps": steps}]));
    let ignored =
        build(serde_json::json!([step("a", "Ignore", "exit 1"), step("b", "Abort", "mkdir b || exit 0; exit 1")]));
    let status = workshop.built(&request("ignored", &ignored)).await;
    assert!(matches!(status.state, BuildState::Available { .. }), "{status:?}");
    assert!(status.log.contains("step a: ExecuteBash (attempt 2 of 2)"), "{}", status.log);

    let continued =
        build(serde_json::json!([step("a", "Continue", "echo why >&2; exit 7"), step("b", "Abort", "touch b")]));
    let reason = workshop.reason(&request("continued", &continued)).await;
    assert_eq!(reason, "component setup, phase build, step a: the command ended with exit code 7; it said: why");

    let aborted = component(&serde_json::json!([
        {"name": "test", "steps": [step("t", "Abort", "false")]}, {"name": "build", "steps": []}
    ]));
    let reason = workshop.reason(&request("aborted", &aborted)).await;
    assert!(reason.starts_with("component setup, phase test, step t"), "{reason}");
    assert!(workshop.objects.list("images/").await.unwrap().iter().filter(|name| name.ends_with("zst")).count() == 1);
}

#[tokio::test]
async fn an_image_cannot_be_built_from_what_was_not_pinned() {
    let workshop = Workshop::new();
    let software = Software { sha256: "0".repeat(64), ..workshop.software(&[("a", 0o644, "a")]).await };
    let pinned = BuildRequest { software: vec![software], ..request("sum", &commands("true")) };
    let reason = workshop.reason(&pinned).await;
    assert!(reason.contains("has the SHA-256") && reason.contains("correct the pin"), "{reason}");
    let software = Software { uri: "file:///etc/passwd".to_owned(), ..pinned.software[0].clone() };
    let reason =
        workshop.reason(&BuildRequest { token: "outside".to_owned(), software: vec![software], ..pinned }).await;
    assert!(reason.contains("file:///etc/passwd is not an object of the store"), "{reason}");
}

#[tokio::test]
async fn file_actions_stay_below_the_root() {
    let workshop = Workshop::new();
    let outside = workshop.arena.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let steps = serde_json::json!([
        {"name": "door", "action": "CreateSymlink", "inputs": [{"path": "/door", "target": outside}]},
        {"name": "through", "action": "CreateFile", "inputs": [{"path": "/door/a", "content": "a"}]},
        {"name": "up", "action": "CreateFile", "inputs": [{"path": "../../../../b", "content": "b"}]},
        {"name": "at", "action": "CreateSymlink", "inputs": [{"path": "/c", "target": outside.join("c")}]},
        {"name": "over", "action": "CreateFile", "inputs": [{"path": "/c", "content": "c"}]},
    ]);
    let status =
        workshop.built(&request("t", &component(&serde_json::json!([{"name": "build", "steps": steps}])))).await;
    assert!(matches!(status.state, BuildState::Available { .. }), "{status:?}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[tokio::test]
async fn what_cannot_be_built_here_is_refused_at_once() {
    let workshop = Workshop::new();
    let unsupported =
        component(&serde_json::json!([{"name": "build", "steps": [{"name": "u", "action": "UpdateOS"}]}]));
    let Err(Fault::Fail { error, .. }) = workshop.builder.start(&request("a", &unsupported)).await else {
        panic!("not refused")
    };
    assert!(error.contains("the action UpdateOS cannot be done on this machine, which can do AppendFile"), "{error}");
    let parameters = BTreeMap::from([("Nobody".to_owned(), "x".to_owned())]);
    let request = BuildRequest { parameters, ..request("b", &commands("true")) };
    let error = workshop.builder.start(&request).await.unwrap_err().to_string();
    assert!(error.contains("declares the parameter Nobody"), "{error}");
    let error = workshop.builder.poll(&BuildHandle("c".to_owned())).await.unwrap_err().to_string();
    assert!(error.contains("there is no build c"), "{error}");
}

#[tokio::test]
async fn a_build_gets_its_secrets_and_neither_its_log_nor_its_image_has_them() {
    let workshop = Workshop::new();
    let path = workshop.arena.path().join("npm-token");
    fs::write(&path, "npm_0123456789\n").unwrap();
    let (name, variable) = ("npm-token".to_owned(), "NPM_TOKEN_FILE".to_owned());
    let secrets = vec![SecretPlace { name, variable, path: path.clone() }];
    let uses = commands("echo token $(cat $NPM_TOKEN_FILE); wc -c < $NPM_TOKEN_FILE > length; cat length");
    let status = workshop.built(&BuildRequest { secrets: secrets.clone(), ..request("uses", &uses) }).await;
    assert!(matches!(status.state, BuildState::Available { .. }) && status.log.contains("token ***\n15"), "{status:?}");
    // It is the same build wherever the secret is by now.
    let moved = workshop.arena.path().join("moved");
    fs::rename(&path, &moved).unwrap();
    let mut elsewhere = secrets.clone();
    elsewhere[0].path = moved.clone();
    let again = workshop.built(&BuildRequest { secrets: elsewhere.clone(), ..request("uses", &uses) }).await;
    assert_eq!(again.state, status.state);

    let keeps = commands("mkdir -p root && echo \"_authToken=$(cat $NPM_TOKEN_FILE)\" > root/.npmrc");
    let reason = workshop.reason(&BuildRequest { secrets: elsewhere, ..request("keeps", &keeps) }).await;
    assert!(reason.contains("the image has one of the build's secrets in it, in /root/.npmrc"), "{reason}");
    let reason = workshop.reason(&BuildRequest { secrets, ..request("lacks", &uses) }).await;
    assert!(reason.contains("the secret `npm-token`: ") && reason.contains("cannot be read"), "{reason}");
    fs::remove_file(moved).unwrap();
    assert_eq!(files_with(workshop.arena.path(), "npm_0123456789"), Vec::<PathBuf>::new());
}
