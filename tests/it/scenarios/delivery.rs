//! A small company: three repositories, rules, people, and a `tidegate serve` that is started, killed and asked things.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use tidegate::{
    engine::{self, Event, Principal, Run, RunState, System},
    house::House,
    providers::{
        image_builder::{BuildHandle, ImageBuilder as _, LocalImageBuilder},
        local_service::LocalService,
        objects::Address,
    },
    rules::SystemName,
};

use crate::support::{
    people::{os_user, without_grants},
    repo::{HERMETIC, TestRepo},
    sandbox,
};

/// How long anything may take. Most takes a second.
const DEADLINE: Duration = Duration::from_secs(60);
const RULES: &str = include_str!("../../../src/cli/demo/seed/webshop.yaml");
const TEMPLATE: &str = include_str!("../../../src/cli/demo/seed/template.yaml");
pub(super) const COMPONENT: &str = include_str!("../../../src/cli/demo/seed/component.yaml");
const SETTINGS: &str = include_str!("../../../src/cli/demo/seed/tidegate.toml");
const IMAGE: &str = r#"{
  "regions": ["eu-central-1"],
  "components": ["components/webshop.yaml"],
  "software": { "tag": "none yet", "uri": "", "sha256": "", "destination": "/opt/webshop" }
}
"#;
/// A second system: one repository, checked on each push, whose promotion Grace has to approve.
pub(super) const BILLING: &str = "
version: 1
system: billing
stages: { dev: { environment: Development }, qa: { environment: QA } }
repositories: { ledger: { url: ../repositories/ledger.git, poll: 1s } }
targets: { billing: {} }
rules:
  check:
    on: { push: ledger }
    target: billing
    steps: [{ verify: { command: ['true'] } }]
promotions:
  - { from: dev, to: qa, start: manual, requires: { approvals: { count: 1, from: [qa] } } }
";
const INFRASTRUCTURE: &str = "{\n  \"availability_zones\": [\"a\", \"b\"],\n  \"ami\": {}\n}\n";

pub(super) struct Delivery {
    folder: tempfile::TempDir,
    pub(super) software: TestRepo,
    pub(super) image: TestRepo,
    pub(super) infrastructure: TestRepo,
    server: Option<Child>,
    /// What the server prints, line by line.
    prints: Mutex<Option<mpsc::Receiver<String>>>,
    /// Variables for the program, besides those that make it hermetic.
    pub(super) environment: Vec<(String, String)>,
}

impl Delivery {
    /// The company with the demo's rules, changed as the test needs them.
    pub(super) fn with_rules(change: impl FnOnce(String) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let template = TEMPLATE.replace("@PROGRAM@", env!("CARGO_BIN_EXE_tidegate"));
        let repository = |name: &str, files: &[(&str, &str)]| {
            let repository = TestRepo::with(root.join(format!("repositories/{name}.git")), "dev", files);
            for branch in ["qa", "main"] {
                repository.set_branch(branch, &repository.head("dev").unwrap());
            }
            repository
        };
        std::fs::create_dir_all(root.join("repositories")).unwrap();
        std::fs::create_dir_all(root.join("promotion-rules")).unwrap();
        let delivery = Self {
            software: repository("software", &[("VERSION", "webshop 1.0\n")]),
            image: repository("image", &[("config.json", IMAGE), ("components/webshop.yaml", COMPONENT)]),
            infrastructure: repository(
                "infrastructure",
                &[("config.json", INFRASTRUCTURE), ("template.yaml", &template)],
            ),
            folder,
            server: None,
            prints: Mutex::default(),
            environment: Vec::new(),
        };
        delivery.write_rules(&change(RULES.to_owned()));
        std::fs::write(delivery.config(), format!("{}{}", sandbox::settings(), settings())).unwrap();
        delivery
    }

    /// The company with rules under which `dev` asks for an approval too, and nothing is promoted by itself.
    pub(super) fn careful() -> Self {
        Self::with_rules(|rules| {
            rules
                .replace(
                    "qa: { count: 1, from: [qa] }",
                    "dev: { count: 1, from: [qa] }\n            qa: { count: 1, from: [qa] }",
                )
                .replace("to: qa,", "to: qa, start: manual,")
        })
    }

    /// The company with rules under which nothing is promoted by itself.
    pub(super) fn by_hand() -> Self {
        Self::with_rules(|rules| {
            rules.replace("to: qa,", "to: qa, start: manual,").replace("to: main,", "to: main, start: manual,")
        })
    }

    pub(super) fn write_rules(&self, rules: &str) {
        std::fs::write(self.root().join("promotion-rules/webshop.yaml"), rules).unwrap();
    }

    /// Adds to the settings. Grants take the place of those by which everybody may do everything.
    pub(super) fn add_settings(&self, text: &str) {
        let mut before = std::fs::read_to_string(self.config()).unwrap();
        if text.contains("[[grants]]") {
            before = without_grants(&before);
        }
        std::fs::write(self.config(), format!("{before}\n{text}")).unwrap();
    }

    pub(super) fn rules(&self) -> String {
        std::fs::read_to_string(self.root().join("promotion-rules/webshop.yaml")).unwrap()
    }

    pub(super) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn config(&self) -> PathBuf {
        self.root().join("tidegate.toml")
    }

    pub(super) fn tidegate(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.arg("--config").arg(self.config()).args(arguments);
        // No checkers from outside: what this machine has installed must not decide.
        command
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .envs(HERMETIC)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// Starts the server and waits until it has seen every repository that it can.
    pub(super) fn serve(&mut self) {
        self.serve_with(&[]);
    }

    /// Adds a second system, `billing`, and more settings; starts the server, and waits until it has seen both.
    pub(super) fn serve_with_billing(&mut self, settings: &str) -> TestRepo {
        let ledger = self.add_billing(settings);
        self.serve();
        self.wait_in("billing", "its first sight", |state| {
            state.repositories.values().all(|watched| !watched.seen.is_empty()).then_some(())
        });
        ledger
    }

    /// Adds a second system, `billing`, and more settings.
    pub(super) fn add_billing(&self, settings: &str) -> TestRepo {
        let ledger = TestRepo::with(self.root().join("repositories/ledger.git"), "dev", &[("rate", "1")]);
        ledger.set_branch("qa", &ledger.head("dev").unwrap());
        let billing = self.root().join("promotion-rules/billing.yaml");
        if !billing.exists() {
            std::fs::write(billing, BILLING).unwrap();
        }
        let alone = std::fs::read_to_string(self.config()).unwrap();
        let both = alone.replace("webshop.yaml\"", "webshop.yaml\", \"promotion-rules/billing.yaml\"");
        std::fs::write(self.config(), both).unwrap();
        self.add_settings(settings);
        ledger
    }

    /// Starts the server with these arguments besides, and waits as `serve` does.
    pub(super) fn serve_with(&mut self, arguments: &[&str]) {
        self.start(arguments);
        self.wait("the first sight of every repository", |state| {
            let known = |watched: &tidegate::engine::Watched| !watched.seen.is_empty() || watched.unreachable.is_some();
            (!state.repositories.is_empty() && state.repositories.values().all(known)).then_some(())
        });
    }

    /// Starts the server with these arguments besides, and waits for nothing.
    pub(super) fn start(&mut self, arguments: &[&str]) {
        let arguments: Vec<&str> = [&["serve"], arguments].concat();
        let log = std::fs::File::options().create(true).append(true).open(self.root().join("serve.log")).unwrap();
        // In a process group of its own: what ends the test by a signal to its group does not end it half.
        let mut serve = self.tidegate(&arguments);
        let mut server = serve.stdout(Stdio::piped()).stderr(log).process_group(0).spawn().unwrap();
        let (prints, printed) = mpsc::channel();
        let lines = BufReader::new(server.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| prints.send(line)));
        (self.server, self.prints) = (Some(server), Mutex::new(Some(printed)));
    }

    /// The next link to sign in with that the server prints.
    pub(super) fn link(&self) -> String {
        let prints = self.prints.lock().unwrap();
        let line = prints
            .as_ref()
            .unwrap()
            .recv_timeout(DEADLINE)
            .unwrap_or_else(|_| panic!("no link\n{}", self.server_log()));
        line.strip_prefix("Sign in, once: ").unwrap_or_else(|| panic!("{line}")).to_owned()
    }

    /// A line that the server has printed and nobody has read.
    pub(super) fn has_printed(&self) -> Option<String> {
        self.prints.lock().unwrap().as_ref().unwrap().try_recv().ok()
    }

    /// Tells the server to stop, and waits until it has.
    pub(super) fn stop(&mut self) {
        let pid = i32::try_from(self.server.as_ref().unwrap().id()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.died();
    }

    /// The number of the server's process.
    pub(super) fn server_id(&self) -> u32 {
        self.server.as_ref().unwrap().id()
    }

    /// Kills the server where it stands.
    pub(super) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            // One that has ended already cannot be killed, and need not be.
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Changes the database as no program of ours does.
    pub(super) fn change_database(&self, sql: &'static str) {
        use sqlx::{Connection as _, SqliteConnection};
        let database = format!("sqlite://{}", self.root().join("data/tidegate.db").display());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = SqliteConnection::connect(&database).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        });
    }

    /// Records the pause and its end as if the clock were ahead.
    pub(super) fn record_later(&self, system: &str, ahead_ms: i64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let house = House::open(&self.config()).await.unwrap();
            let by = Principal::named("tester");
            for command in [engine::Command::Pause { reason: "a look".to_owned() }, engine::Command::Resume] {
                let event = Event::Command { by: by.clone(), command, key: None };
                let (system, at_ms) = (SystemName::new(system).unwrap(), tidegate::driver::now_ms() + ahead_ms);
                house.ledger.record(&system, at_ms, event).await.unwrap();
            }
        });
    }

    /// Waits until the server has ended by itself.
    pub(super) fn died(&mut self) {
        let mut server = self.server.take().unwrap();
        let (told, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || told.send(server.wait()));
        ended.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("it lives\n{}", self.server_log())).unwrap();
    }

    /// Types a command.
    pub(super) fn command(&self, arguments: &[&str]) -> Output {
        self.tidegate(arguments).output().unwrap()
    }

    /// Somebody types a command.
    pub(super) fn command_as(&self, who: &str, arguments: &[&str]) -> Output {
        self.tidegate(arguments).env("TIDEGATE_AS", who).output().unwrap()
    }

    /// Somebody types a command that must be granted.
    pub(super) fn granted_as(&self, who: &str, arguments: &[&str]) -> String {
        let output = self.command_as(who, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Types a command that must be granted.
    pub(super) fn granted(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Types a command that must be refused, with that exit code; returns why.
    pub(super) fn refused(&self, arguments: &[&str], code: i32) -> String {
        let output = self.command(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    /// Waits until the state shows what is looked for.
    pub(super) fn wait<T>(&self, what: &str, look: impl Fn(&System) -> Option<T>) -> T {
        self.wait_in("webshop", what, look)
    }

    /// Waits until the state of a system shows what is looked for.
    pub(super) fn wait_in<T>(&self, system: &str, what: &str, look: impl Fn(&System) -> Option<T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let house = House::open(&self.config()).await.unwrap();
            let system = SystemName::new(system).unwrap();
            let mut changes = house.ledger.store().changes();
            let waited = tokio::time::timeout(DEADLINE, async {
                loop {
                    changes.mark_unchanged();
                    if let Some(found) = house.ledger.read(&system, &look).await.unwrap() {
                        return found;
                    }
                    changes.changed().await.unwrap();
                }
            });
            match waited.await {
                Ok(found) => found,
                Err(_) => panic!("waited in vain for {what}\n{}\n{}", self.status(), self.server_log()),
            }
        })
    }

    pub(super) fn status(&self) -> String {
        String::from_utf8(self.command(&["status"]).stdout).unwrap()
    }

    pub(super) fn server_log(&self) -> String {
        std::fs::read_to_string(self.root().join("serve.log")).unwrap_or_default()
    }

    /// Waits until the newest run of a rule at a stage has ended.
    pub(super) fn ended(&self, rule: &str, stage: &str) -> Run {
        self.wait(&format!("the end of {rule} in {stage}"), |state| {
            newest(state, rule, stage).filter(|run| run.state.is_ended()).cloned()
        })
    }

    /// Waits until the newest run of a rule on a commit has ended.
    pub(super) fn ended_on(&self, rule: &str, commit: &str) -> Run {
        self.wait(&format!("the end of {rule} on {commit}"), |state| {
            let on_it = |run: &&Run| run.source.as_ref().is_some_and(|source| source.commit.as_str() == commit);
            let mut runs = state.all_runs().rev().filter(|run| run.subject.name() == rule);
            runs.find(on_it).filter(|run| run.state.is_ended()).cloned()
        })
    }

    /// How many runs of a rule there have been on a commit, in the history too.
    pub(super) fn runs_on(&self, rule: &str, commit: &str) -> usize {
        let listed = self.granted(&["-o", "json", "runs", "--rule", rule]);
        let runs: Vec<serde_json::Value> = serde_json::from_str(&listed).unwrap();
        runs.iter().filter(|run| run["source"]["commit"] == commit).count()
    }

    /// Cancels a build as somebody does who has the builder's own console.
    pub(super) fn cancel_build(&self, handle: &str) {
        let builder = LocalImageBuilder {
            jobs: self.root().join("data/image-builder"),
            objects: Address::Directory(self.objects()),
            worker: Vec::new(),
            sandbox: sandbox::sandbox(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(builder.cancel(&BuildHandle(handle.to_owned()))).unwrap();
    }

    /// What is written of the present deployment of an environment.
    pub(super) fn current(&self, stage: &str) -> Option<Vec<u8>> {
        std::fs::read(
            self.root().join("data/environments/webshop").join(format!("webshop@{stage}")).join("current.json"),
        )
        .ok()
    }

    /// Waits until the newest run of a rule at a stage has ended well.
    pub(super) fn done(&self, rule: &str, stage: &str) -> Run {
        let run = self.ended(rule, stage);
        assert_eq!(run.state, RunState::Done, "{rule} in {stage}: {:?}\n{}", run.reason, self.status());
        run
    }

    /// Waits until a run asks for an approval.
    pub(super) fn asking(&self, rule: &str, stage: &str) -> Run {
        self.wait(&format!("{rule} in {stage} to ask"), |state| {
            newest(state, rule, stage).filter(|run| run.answerable().is_some()).cloned()
        })
    }

    /// Waits until nothing goes on.
    pub(super) fn quiet(&self) {
        self.wait("quiet", |state| state.live_runs().next().is_none().then_some(()));
    }

    /// Waits until nothing goes on in a stage.
    pub(super) fn quiet_in(&self, stage: &str) {
        self.wait("quiet in a stage", |state| state.live_runs().all(|run| run.stage.as_str() != stage).then_some(()));
    }

    /// What an environment answers.
    pub(super) fn health(&self, stage: &str) -> Option<String> {
        let current: serde_json::Value = serde_json::from_slice(&self.current(stage)?).unwrap();
        let address = current["address"].as_str().unwrap().trim_start_matches("http://").to_owned();
        let mut stream = std::net::TcpStream::connect(address).ok()?;
        use std::io::{Read as _, Write as _};
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.rsplit("\r\n\r\n").next().map(|body| body.trim().to_owned())
    }

    pub(super) fn objects(&self) -> PathBuf {
        self.root().join("data/objects")
    }
}

/// The demo's settings. Whoever runs the tests is `tester`, who may ask in everybody's name.
fn settings() -> String {
    SETTINGS
        .replace("@NAME@", "tester")
        .replace("@USER@", &os_user())
        .replace("\"ada@webshop.example\"", "\"ada@webshop.example\", \"ada@example.org\"")
}

fn newest<'state>(state: &'state System, rule: &str, stage: &str) -> Option<&'state Run> {
    state.all_runs().rev().find(|run| run.subject.name() == rule && run.stage.as_str() == stage)
}

impl Delivery {
    /// Ends the services that were deployed.
    pub(super) fn stop_services(&self) {
        let Ok(stages) = std::fs::read_dir(self.root().join("data/environments/webshop")) else { return };
        // The test may have failed already: what cannot be ended is left, and the test says what it has to say.
        let Ok(objects) = Address::Directory(self.objects()).open() else { return };
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        for stage in stages.flatten() {
            let service =
                LocalService { environment: stage.path(), objects: Arc::clone(&objects), sandbox: sandbox::sandbox() };
            drop(runtime.block_on(service.stop()));
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.kill();
        self.stop_services();
        crate::local_support::end_all_of(&self.root().join("data/jobs"));
    }
}
