//! A living system, driven by itself: somebody pushes, watches look, steps are done, people say yes. The benches share it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};
use tidegate_engine::{
    engine::{
        Artifact, Attribution, Brings, Command, CommitId, Delivery, Digest, Effect, EffectKind, Event, Fact, HeadSeen,
        Made, Moved, Observation, Outcome, Phase, Principal, Recorded, Run, Service, Shared, Standing, StepKey,
        StepOutcome, StepRun, System, Unmoved, Written,
        plan::{Maker, Task},
        step,
    },
    rules::{Action, AtTarget, RepositoryName, Rules, StageName},
};

/// A system and the branches that it watches.
pub(crate) struct World {
    pub(crate) system: System,
    branches: BTreeMap<(RepositoryName, StageName), HeadSeen>,
    /// What no look has shown yet.
    news: Vec<RepositoryName>,
    commits: u64,
    pub(crate) events: u64,
    pub(crate) busy: Duration,
    /// Every event, where they are kept.
    pub(crate) log: Option<Vec<Event>>,
    /// The facts of every event, where they are kept.
    pub(crate) facts: Option<Vec<Vec<Fact>>>,
}

impl World {
    /// One that has begun, and keeps what it is to keep.
    pub(crate) fn new(rules: Rules, log: Option<Vec<Event>>, facts: Option<Vec<Vec<Fact>>>) -> Self {
        let mut world = Self {
            system: System::default(),
            branches: BTreeMap::new(),
            news: Vec::new(),
            commits: 0,
            events: 0,
            busy: Duration::ZERO,
            log,
            facts,
        };
        for repository in rules.repositories.keys() {
            for stage in rules.stages.keys() {
                world.commit(repository, stage, None);
            }
        }
        let digest = Digest::of(b"rules");
        world.record(Event::RulesLoaded {
            source: "bench".to_owned(),
            digest,
            rules: Box::new(rules),
            origin: None,
            secret: None,
        });
        world
    }

    fn record(&mut self, event: Event) {
        self.events += 1;
        let recorded = Recorded { seq: self.events, at_ms: i64::try_from(self.events).unwrap(), event };
        let started = Instant::now();
        let decision = step(&mut self.system, &recorded).unwrap();
        self.busy += started.elapsed();
        if let Some(log) = &mut self.log {
            log.push(recorded.event);
        }
        if let Some(facts) = &mut self.facts {
            facts.push(decision.facts);
        }
    }

    /// A commit on top of a branch: by a person, or by a step.
    fn commit(&mut self, repository: &RepositoryName, stage: &StageName, by: Option<StepKey>) -> CommitId {
        self.commits += 1;
        let commit = CommitId::new(format!("{:040x}", self.commits));
        let (author, subject) = ("Ada <ada@example.com>".to_owned(), "Sell more".to_owned());
        let authors = if by.is_some() { [].into() } else { [author.clone()].into() };
        let keys = by.into_iter().collect();
        let changed = Some(vec!["VERSION".to_owned(), "config.json".to_owned()]);
        let head = HeadSeen {
            commit: commit.clone(),
            author,
            authors,
            others_wrote: false,
            subject,
            changed,
            forced: false,
            keys,
            pins: Vec::new(),
        };
        self.branches.insert((repository.clone(), stage.clone()), head);
        self.news.push(repository.clone());
        commit
    }

    /// The next thing that happens: what is due is done, people say yes, watches look, or somebody pushes.
    pub(crate) fn goes_on(&mut self) {
        let is_driven = |effect: &&Effect| !matches!(effect.kind, EffectKind::Watch { .. } | EffectKind::Timer(_));
        if let Some(effect) = self.system.due.values().find(is_driven).cloned() {
            let outcome = self.outcome(&effect);
            return self.record(Event::Outcome { effect: effect.id, outcome, waited_ms: 0 });
        }
        let asking = self.system.live_runs().find(|run| run.asking().is_some()).map(|run| run.id.clone());
        if let Some(run) = asking {
            let by = Principal {
                name: "zoe".to_owned(),
                groups: ["release-managers".to_owned(), "qa".to_owned()].into(),
                emails: [].into(),
                asked_by: None,
            };
            return self.record(Event::Command { by, command: Command::Approve { run, digest: None }, key: None });
        }
        if self.news.is_empty() {
            let (software, dev) = (RepositoryName::new("software").unwrap(), StageName::new("dev").unwrap());
            self.commit(&software, &dev, None);
        }
        let seen = self.news.pop().unwrap();
        self.news.retain(|other| *other != seen);
        let of_it = |effect: &&Effect| matches!(&effect.kind, EffectKind::Watch { repository } if *repository == seen);
        let effect = self.system.due.values().find(of_it).unwrap().id.clone();
        let heads = self.branches.iter().filter(|((repository, _), _)| *repository == seen);
        let heads = heads.map(|((_, stage), head)| (stage.clone(), Some(head.clone()))).collect();
        self.record(Event::Outcome {
            effect,
            outcome: Outcome::Heads { heads, unread: BTreeMap::new(), tags: None },
            waited_ms: 0,
        });
    }

    fn outcome(&mut self, effect: &Effect) -> Outcome {
        match &effect.kind {
            EffectKind::Authors { .. } => {
                let authors = ["Ada <ada@example.com>".to_owned()].into();
                Outcome::Authors(Attribution::Told(Written { authors, ..Written::default() }))
            }
            EffectKind::Notify { .. } => Outcome::Notice(Delivery::Delivered),
            EffectKind::Step { run, step, phase } => {
                let run = self.system.run(run).unwrap().clone();
                let step = run.step(step).unwrap();
                if matches!(step.task.kind().at_target, AtTarget::Plans | AtTarget::Shows) {
                    return Outcome::Step(StepOutcome::Observed(Observation::of(Standing::Stable)));
                }
                let long = step.task.kind().is_long();
                if long && (*phase == Phase::Start || step.ticks < 4) {
                    let progress = Some("BUILDING".to_owned());
                    return Outcome::Step(StepOutcome::Pending { handle: "job".to_owned(), after_ms: 300, progress });
                }
                Outcome::Step(self.done(&run, step))
            }
            EffectKind::Watch { .. } | EffectKind::Observe { .. } | EffectKind::Timer(_) => {
                unreachable!("nobody drives these")
            }
        }
    }

    fn done(&mut self, run: &Run, step: &StepRun) -> StepOutcome {
        let mut outputs = Map::new();
        let mut say = |name: &str, value: Value| drop(outputs.insert(name.to_owned(), value));
        let digest = format!("sha256:{:064x}", run.number);
        let carried = |makers: &[Maker]| makers.iter().map(|maker| maker.rule.clone()).collect();
        let mut brought = match &*step.task {
            Task::CheckMerge(merge) | Task::Merge(merge) => {
                Brings { carried: carried(&merge.makers), ..Brings::default() }
            }
            _ => Brings::default(),
        };
        if let Task::Action(Action::Commit(commit)) = &*step.task {
            let value = json!(format!("software-{}", run.number));
            brought.pinned = commit.set.keys().map(|pointer| (pointer.clone(), value.clone())).collect();
        }
        let kind = step.task.kind().name;
        let mut artifact =
            Artifact { kind: kind.into(), name: digest.as_str().into(), uri: "file:///somewhere".into() };
        let made = if let Some(repository) = step.task.writes_to() {
            let key = run.key(&self.system.rules().unwrap().system, step);
            let parent = self.branches[&(repository.clone(), run.stage.clone())].commit.clone();
            let commit = self.commit(repository, &run.stage, Some(key));
            say("commit", json!(commit));
            say("changed", json!(true));
            say("parent", json!(parent));
            say("pinned", json!(brought.pinned));
            artifact = Artifact::commit(repository, &commit);
            let (parent, subject) = (Some(parent), "Pin".to_owned());
            Made::Moved(Shared::new(Moved { commit, parent, subject, paths: None, back: false, pins: None, brought }))
        } else if matches!(*step.task, Task::CheckMerge(_)) {
            Made::Unmoved(Shared::new(Unmoved { head: None, brought }))
        } else if step.task.planned_by().is_some() {
            say("address", json!("http://127.0.0.1"));
            Made::Deployed(Service { address: Some("http://127.0.0.1".to_owned()), image: None })
        } else {
            say("uri", json!("file:///somewhere"));
            Made::Nothing
        };
        StepOutcome::Done { outputs: outputs.into(), artifacts: vec![artifact].into(), made }
    }
}
