//! A system for an example's rules: real repositories, real providers, real steps and the real store, driven under a clock
//! that the test sets, so that soak times, windows and nights pass in no time.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tidegate::{
    engine::{
        Access, Command, Delivery, Digest, Effect, EffectKind, Event, Outcome, Person, Principal, Run, StepOutcome,
        System, Timer, Work, work,
    },
    providers::{
        caches::Caches,
        commit_status::NoCommitStatuses,
        git::{GitOptions, Identity, Mirrors, Proofs},
        image_builder::{BuildRequest, BuildState},
        local_service::LocalService,
        objects::Address,
        quarantine::Quarantine,
    },
    rules::{RepositoryName, Rules, StageName, SystemName, load},
    simulate::{Originals, Question, Supposed, predict, report::Prediction},
    steps::{Choices, Local, Providers, Secrets, Tools, attribute, perform},
    store::{Ledger, SqliteStore},
    watch::{PlaceKind, Places, Watching, watch},
};

use super::made::Made;
use crate::{
    local_support::TIDEGATE,
    support::{
        repo::{HERMETIC, TestRepo},
        sandbox::sandbox,
    },
};

/// 2033-05-06 12:00 UTC, a Friday: later than any clock that the steps themselves look at.
pub(super) const NOON_MS: i64 = 1_998_993_600_000;
const DAY_MS: i64 = 86_400_000;
/// How long a system may really take to settle.
const PATIENCE: Duration = Duration::from_secs(120);

/// A repository to begin with: its name, branches, and files.
pub(super) type Seed<'seed> = (&'seed str, &'seed [&'seed str], &'seed [(&'seed str, &'seed str)]);

pub(super) struct Company {
    folder: tempfile::TempDir,
    pub(super) repositories: BTreeMap<String, TestRepo>,
    system: SystemName,
    ledger: Ledger,
    pub(super) tools: Tools,
    access: Access,
    pub(super) now_ms: i64,
    pub(super) made: Made,
    looks: Arc<Places>,
}

impl Company {
    /// A company by these rules; `@NAME@` in them is the repository of that name.
    pub(super) async fn new(rules: &str, repositories: &[Seed<'_>], people: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let made = repositories.iter().map(|(name, branches, files)| {
            let repository = TestRepo::with(root.join(format!("repositories/{name}.git")), branches[0], files);
            branches[1..]
                .iter()
                .for_each(|branch| repository.set_branch(branch, &repository.head(branches[0]).unwrap()));
            ((*name).to_owned(), repository)
        });
        let repositories: BTreeMap<String, TestRepo> = made.collect();
        let text = repositories
            .iter()
            .fold(rules.to_owned(), |text, (name, repository)| text.replace(&format!("@{name}@"), &repository.url()));
        let rules = load("rules.yaml", &text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let data = root.join("data");
        std::fs::create_dir_all(&data).unwrap();
        let store = SqliteStore::open(&data.join("tidegate.db")).await.unwrap();
        let person = |(name, group): &(&str, &str)| {
            let emails = [format!("{name}@example.org")].into();
            ((*name).to_owned(), Person { groups: [(*group).to_owned()].into(), emails, ..Person::default() })
        };
        let company = Self {
            system: rules.system.clone(),
            ledger: Ledger::open(Arc::new(store)),
            tools: tools(&data),
            access: Access { people: people.iter().map(person).collect(), ..Access::default() },
            now_ms: NOON_MS,
            made: Made::default(),
            looks: Arc::new(Places::new(PlaceKind::Looks, 1)),
            repositories,
            folder,
        };
        let access = company.access.clone();
        company.record(Event::AccessLoaded { access }).await;
        let (source, digest) = (root.join("rules.yaml").display().to_string(), Digest::of(text.as_bytes()));
        company.record(Event::RulesLoaded { source, digest, rules: Box::new(rules), origin: None, secret: None }).await;
        company.look().await;
        company
    }

    pub(super) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// An image that is in the store: its AMI id.
    pub(super) async fn image(&self, component: &str) -> String {
        let request = BuildRequest {
            token: "made before".to_owned(),
            name: "base".to_owned(),
            components: vec![("component.yaml".to_owned(), component.to_owned())],
            software: Vec::new(),
            regions: vec!["eu-central-1".to_owned()],
            parameters: BTreeMap::new(),
            requested_at: String::new(),
            network: false,
            secrets: Vec::new(),
        };
        let dev = StageName::new("dev").unwrap();
        let builder = self.tools.providers.images(&dev).unwrap();
        let handle = builder.start(&request).await.unwrap();
        crate::local_support::eventually("the image", async || match builder.poll(&handle).await.unwrap().state {
            BuildState::Available { images, .. } => images.into_values().next(),
            BuildState::Failed { reason } => panic!("{reason}"),
            _ => None,
        })
        .await
    }

    pub(super) async fn state(&self) -> System {
        self.ledger.read(&self.system, System::clone).await.unwrap()
    }

    async fn record(&self, event: Event) {
        self.ledger.record(&self.system, self.now_ms, event).await.unwrap();
    }

    /// Asks for something in somebody's name; says whether it was granted.
    pub(super) async fn ask(&self, who: &str, command: Command) -> bool {
        let by =
            self.access.principal(who).unwrap_or_else(|| Principal { name: who.to_owned(), ..Principal::default() });
        self.ledger.record(&self.system, self.now_ms, Event::Command { by, command, key: None }).await.is_ok()
    }

    /// Lets every watch look, and take in what it finds. A watch that was asked for before a commit of ours says nothing
    /// of its branch, so each looks twice.
    pub(super) async fn look(&self) {
        self.look_once().await;
        self.look_once().await;
    }

    async fn look_once(&self) {
        let state = self.state().await;
        for effect in state.due.values().filter(|effect| matches!(effect.kind, EffectKind::Watch { .. })) {
            let Ok(Work::Watch(look)) = work(&state, effect) else { continue };
            let heads = |stage: &StageName, branch: &str| {
                let head = self.repositories[look.repository.as_str()].head(branch);
                head.as_deref() != look.known.get(stage).map(|commit| commit.as_str())
            };
            if look.branches.iter().any(|(stage, branch)| heads(stage, branch)) {
                let Tools { mirrors, quarantine, .. } = &self.tools;
                let (looks, nudged) = (&self.looks, &tokio::sync::Notify::new());
                let outcome =
                    watch(&look, Watching { mirrors, looks, fetches: looks, quarantine, nudged, no_news: &|| {} })
                        .await;
                self.record(Event::Outcome { effect: effect.id.clone(), outcome, waited_ms: 0 }).await;
            }
        }
    }

    /// Predicts from the state as it is.
    pub(super) async fn predict(&self, supposed: Supposed, change: impl FnOnce(&mut Question)) -> Prediction {
        let horizon_ms = match supposed {
            Supposed::Until { until_ms } => until_ms,
            _ => self.now_ms + 30 * DAY_MS,
        };
        let mut question = Question {
            supposed,
            system: self.state().await,
            rules: None,
            now_ms: self.now_ms,
            horizon_ms,
            by: self.access.principal("ada").unwrap(),
            access: self.access.clone(),
            run_commands: false,
            originals: Originals {
                mirrors: self.root().join("data/mirrors"),
                objects: Arc::clone(&self.tools.objects),
                providers: self.tools.providers.clone(),
                git: git_options(),
                sandbox: sandbox(),
                secrets: Secrets::default(),
                brought: None,
            },
        };
        change(&mut question);
        predict(question).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Other rules, for a question.
    pub(super) async fn rules(&self, change: impl FnOnce(&mut Rules)) -> (String, Digest, Rules) {
        let mut rules = Rules::clone(self.state().await.rules().unwrap());
        change(&mut rules);
        ("changed.yaml".to_owned(), Digest::of(b"changed"), rules)
    }

    /// Drives until nothing goes on, and people who may have approved what asks.
    pub(super) async fn settle(&mut self) {
        self.drive(self.now_ms + 30 * DAY_MS, false, true).await;
    }

    /// Drives until that moment, or until people are waited for: nobody approves anything.
    pub(super) async fn work_until(&mut self, until_ms: i64) {
        self.drive(until_ms, false, false).await;
    }

    /// Drives until that moment, through the nights.
    pub(super) async fn wait_until(&mut self, until_ms: i64) {
        self.drive(until_ms, true, true).await;
        self.now_ms = until_ms;
    }

    async fn drive(&mut self, until_ms: i64, nights: bool, approvals: bool) {
        let started = Instant::now();
        loop {
            assert!(started.elapsed() < PATIENCE, "it does not settle");
            let state = self.state().await;
            self.made.note_gates(&state, self.now_ms);
            let due = state.due.values().filter(|effect| !matches!(effect.kind, EffectKind::Watch { .. }));
            let Some(next) = due.min_by_key(|effect| (effect.due_ms, effect.id.clone())).cloned() else {
                if approvals && self.approve_one(&state).await {
                    continue;
                } else {
                    return;
                };
            };
            if next.due_ms <= self.now_ms {
                self.carry_out(&state, &next).await;
            } else if approvals && self.approve_one(&state).await {
            } else if next.due_ms <= until_ms && (nights || is_awaited(&state, &next)) {
                self.now_ms = next.due_ms;
            } else {
                return;
            }
        }
    }

    /// Whoever may approves the first run that asks.
    async fn approve_one(&self, state: &System) -> bool {
        for run in state.live_runs().filter(|run| run.asking().is_some()) {
            for name in self.access.people.keys() {
                if self.ask(name, Command::Approve { run: run.id.clone(), digest: None }).await {
                    return true;
                }
            }
        }
        false
    }

    async fn carry_out(&mut self, state: &System, effect: &Effect) {
        let outcome = match work(state, effect).unwrap() {
            Work::Timer(_) => Outcome::Fired,
            Work::Step(work) => {
                let outcome = perform(&work, &self.tools).await;
                if let StepOutcome::Pending { .. } = outcome {
                    // A process works: it is given the processor.
                    tokio::task::yield_now().await;
                }
                self.made.note(state, &work, &outcome, &self.tools).await;
                Outcome::Step(outcome)
            }
            Work::Authors(work) => Outcome::Authors(attribute(&work, &self.tools.mirrors, None).await),
            Work::Notice(_) => Outcome::Notice(Delivery::Delivered),
            Work::Observe(_) => unreachable!("nobody asks for looks at rest"),
            Work::Watch(_) => unreachable!("watches look when they are told to"),
        };
        self.record(Event::Outcome { effect: effect.id.clone(), outcome, waited_ms: 0 }).await;
    }

    /// The newest run of a rule.
    pub(super) async fn newest(&self, rule: &str) -> Run {
        let state = self.state().await;
        state.all_runs().rev().find(|run| run.subject.name() == rule).cloned().unwrap()
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        let Ok(stages) = std::fs::read_dir(self.root().join("data/environments").join(self.system.as_str())) else {
            return;
        };
        let objects = self.tools.objects.clone();
        let stages: Vec<PathBuf> = stages.map(|stage| stage.unwrap().path()).collect();
        // A runtime of its own, on a thread of its own: this one may be in the middle of something.
        let stopping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            for environment in stages {
                runtime
                    .block_on(LocalService { environment, objects: objects.clone(), sandbox: sandbox() }.stop())
                    .unwrap();
            }
        });
        stopping.join().unwrap();
    }
}

/// Nobody waits for a night: a schedule alone does not let it go on.
fn is_awaited(state: &System, next: &Effect) -> bool {
    !matches!(next.kind, EffectKind::Timer(Timer::Schedule { .. })) || state.live_runs().next().is_some()
}

fn git_options() -> GitOptions {
    let identity = Identity { name: "Tidegate".to_owned(), email: "tidegate@example.org".to_owned() };
    let mut options = GitOptions::new(identity, Proofs::with(&[7; 32]));
    options.environment = HERMETIC.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    options
}

fn providers(data: &Path) -> Providers {
    let store = Address::Directory(data.join("objects"));
    let (objects, program) = (store.open().unwrap(), TIDEGATE.into());
    Providers::new(Choices::default(), Local { data: data.to_owned(), sandbox: sandbox(), program, store, objects })
}

fn tools(data: &Path) -> Tools {
    Tools {
        mirrors: Mirrors::open(data.join("mirrors"), git_options()).unwrap(),
        objects: Address::Directory(data.join("objects")).open().unwrap(),
        channels: BTreeMap::new(),
        secrets: Secrets::default(),
        caches: Caches { folder: data.with_file_name("caches"), most_mib: 1024 },
        statuses: Arc::new(NoCommitStatuses),
        forge: None,
        releases: Arc::new(tidegate::steps::NoReleases),
        providers: providers(data),
        places: data.join("places.json"),
        quarantine: Quarantine::open(data.join("begun")).unwrap(),
        sandbox: sandbox(),
        scratch: data.with_file_name("scratch"),
        logs: data.join("logs"),
    }
}

pub(super) fn push(repository: &str, stage: &str, commit: &str) -> Supposed {
    Supposed::Push {
        repository: RepositoryName::new(repository).unwrap(),
        stage: StageName::new(stage).unwrap(),
        commit: Some(commit.to_owned()),
        force: false,
    }
}

pub(super) fn promotion(from: &str, to: &str) -> (Supposed, Command) {
    let (from, to) = (StageName::new(from).unwrap(), StageName::new(to).unwrap());
    let command = Command::Promote { from, to, version: None, release: None };
    (Supposed::Asked { command: command.clone() }, command)
}
