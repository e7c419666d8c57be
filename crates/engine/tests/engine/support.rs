//! A world around one system: the log, the rows that a store would hold, the remotes that a watch would look at.
//! Every event is checked on its way in: the invariants hold, a refused event changes nothing, no effect is lost.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::{Map, Value, json};
use tidegate_engine::{
    engine::{
        self, Artifact, Brings, Command, CommitId, CommitSet, Decision, Digest, Effect, EffectId, EffectKind, Event,
        Fact, HeadSeen, Moved, Observation, Outcome, Phase, PinnerId, PinsSeen, Principal, Recorded, Refused, Run,
        RunId, RunState, Shared, Standing, StepKey, StepOutcome, StepRun, StepState, Subject, System, Unmoved, Work,
        explain::{self, Condition, Journey, Waiting},
        fold, invariants,
        plan::{Back, Merge, Restore, Task},
        stats::Whereabouts,
        step, work,
    },
    rules::{Action, Operation, RepositoryName, RuleName, Rules, StageName, StepId, TargetName, load},
};

pub(super) mod bytes;
mod contents;
pub(super) mod exact;
pub(super) mod verified;

/// 2026-11-20 12:00 UTC, a Friday.
pub(super) const NOON_MS: i64 = 1_795_176_000_000;
pub(super) const MINUTE_MS: i64 = 60_000;
pub(super) const HOUR_MS: i64 = 60 * MINUTE_MS;

/// A commit of a remote, as the remote knows it.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) commit: CommitId,
    author: String,
    pub(super) key: Option<StepKey>,
    pub(super) changed: Vec<String>,
    pub(super) forced: bool,
    /// The commits of ours that somebody merged with it.
    brought: Vec<StepKey>,
    /// What is pinned in it, by the step that pins there: file and values.
    pub(super) pins: BTreeMap<PinnerId, (String, BTreeMap<String, Value>)>,
    /// What a commit step of ours wrote, and of which commits it says that is.
    wrote: Option<(PinnerId, BTreeMap<String, Value>, CommitSet)>,
}

impl Made {
    /// What is pinned in it, as a look or a merge tells it; `before` is pinned in the head known before.
    fn pins_seen(&self, before: Option<&Self>, history: &[Option<Self>]) -> Vec<PinsSeen> {
        let seen = self.pins.iter().map(|(pinner, (file, values))| {
            let is_new = before.is_none_or(|before| before.pins.get(pinner) != Some(&(file.clone(), values.clone())));
            let wrote = |made: &&Self| made.wrote.as_ref().is_some_and(|(by, pins, _)| by == pinner && pins == values);
            let wrote = history.iter().rev().flatten().find(wrote).and_then(|made| made.wrote.as_ref());
            let of = wrote.filter(|_| is_new).map(|(_, _, of)| of.clone()).unwrap_or_default();
            PinsSeen { pinner: pinner.clone(), file: file.clone(), values: values.clone(), of }
        });
        seen.collect()
    }
}

/// A step is done: what it made, and the same as outputs, as a step says it for templates.
pub(super) fn done(made: engine::Made, artifacts: Vec<Artifact>) -> StepOutcome {
    let mut outputs = Map::new();
    let mut say = |name: &str, value: Value| drop(outputs.insert(name.to_owned(), value));
    if let Some(Brings { pinned, to, from, .. }) = made.brought() {
        say("pinned", json!(pinned));
        say("to", json!(to));
        say("from", json!(from));
    }
    match &made {
        engine::Made::Nothing => {}
        engine::Made::Moved(moved) => {
            say("commit", json!(moved.commit));
            say("parent", json!(moved.parent));
            say("paths", json!(moved.paths));
            say("back", json!(moved.back));
        }
        engine::Made::Unmoved(unmoved) => {
            say("changed", json!(false));
            say("head", json!(unmoved.head));
        }
        engine::Made::Deployed(service) => {
            say("address", json!(service.address));
            say("image", json!(service.image));
        }
        engine::Made::Planned(_) => {}
        engine::Made::Synthesised { template_digest } => say("template_digest", json!(template_digest)),
    }
    StepOutcome::Done { outputs: outputs.into(), artifacts: artifacts.into(), made }
}

/// A step finds that a head holds already what it would bring.
pub(super) fn unmoved(head: &CommitId, brought: Brings) -> StepOutcome {
    done(engine::Made::Unmoved(Shared::new(Unmoved { head: Some(head.clone()), brought })), Vec::new())
}

/// A template of this digest is made.
pub(super) fn synthesised(digest: &str) -> StepOutcome {
    done(engine::Made::Synthesised { template_digest: Digest::new(digest) }, Vec::new())
}

/// One system and what is around it.
pub(super) struct World {
    pub(super) system: System,
    pub(super) log: Vec<Recorded<Event>>,
    /// What was decided because of each of these events.
    pub(super) facts: Vec<Vec<Fact>>,
    pub(super) now_ms: i64,
    /// What a store would hold of effects.
    pub(super) rows: BTreeMap<EffectId, Effect>,
    /// Every effect that there has ever been.
    pub(super) effects: BTreeMap<EffectId, Effect>,
    /// Every run that has ended, as it ended.
    pub(super) ended: Vec<Run>,
    /// What the figures are counted from.
    pub(super) whereabouts: Whereabouts,
    /// The commits of every branch, oldest first; `None` at its end when the branch was deleted.
    pub(super) remotes: BTreeMap<(RepositoryName, StageName), Vec<Option<Made>>>,
    /// Whether what is built is the same wherever it is built: then only `dev` has anything to pin.
    pub(super) reproducible: bool,
    /// What is in every commit.
    pub(super) contents: contents::Contents,
    /// Whether git answers at once when it is asked.
    pub(super) git_is_quick: bool,
    /// How every target stands.
    pub(super) looks: Observation,
    /// Whether targets are looked at at once before people are asked.
    pub(super) looks_are_quick: bool,
    /// Whether what a move carries is told by what is really in the commits, or by who pushed to the stage.
    pub(super) is_exact: bool,
    /// What runs pin that make what was made before.
    pub(super) values: BTreeMap<RunId, Value>,
    commits: u64,
}

/// How many long histories a test tells: enough for each run of the tests; `PROPTEST_CASES` says more.
pub(super) fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(60)
}

/// So many values of a strategy, the same in every run.
pub(super) fn random_moves<T>(count: u32, of: impl Strategy<Value = T>) -> impl Iterator<Item = T> {
    let mut runner = TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() });
    (0..count).map(move |_| of.new_tree(&mut runner).unwrap().current())
}

pub(super) fn rules(text: &str) -> Rules {
    load("rules.yaml", text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

pub(super) fn stage(name: &str) -> StageName {
    StageName::new(name).unwrap()
}

pub(super) fn repository(name: &str) -> RepositoryName {
    RepositoryName::new(name).unwrap()
}

/// A person: `grace@release-managers` is Grace, of that group.
pub(super) fn person(text: &str) -> Principal {
    let (name, group) = text.split_once('@').unwrap_or((text, ""));
    Principal {
        name: name.to_owned(),
        groups: BTreeSet::from([group.to_owned()]),
        emails: BTreeSet::from([format!("{name}@example.com")]),
        asked_by: None,
    }
}

pub(super) fn approve(run: &str) -> Command {
    Command::Approve { run: RunId::new(run), digest: None }
}

pub(super) fn retry(run: &str) -> Command {
    Command::Retry { run: RunId::new(run) }
}

pub(super) fn abort(run: &str) -> Command {
    Command::Abort { run: RunId::new(run), reason: "enough".to_owned() }
}

pub(super) fn promote(from: &str, to: &str) -> Command {
    Command::Promote { from: stage(from), to: stage(to), version: None, release: None }
}

/// Promotes an older version.
pub(super) fn promote_version(from: &str, to: &str, run: &str) -> Command {
    Command::Promote { from: stage(from), to: stage(to), version: Some(RunId::new(run)), release: None }
}

pub(super) fn roll_back(at: &str, to: Option<&str>) -> Command {
    Command::Rollback { stage: stage(at), to: to.map(RunId::new), reason: "it leaks memory".to_owned() }
}

pub(super) fn take_back(run: &str) -> Command {
    Command::TakeBack { run: RunId::new(run), reason: "enough".to_owned() }
}

pub(super) fn veto(what: &str) -> Command {
    Command::Veto { what: what.to_owned(), reason: "it leaks memory".to_owned() }
}

pub(super) fn lift_veto(what: &str) -> Command {
    Command::LiftVeto { what: what.to_owned(), reason: "it was the probe".to_owned() }
}

pub(super) fn pin(at: &str, version: Option<&str>) -> Command {
    Command::Pin { stage: stage(at), version: version.map(RunId::new), reason: "the fair is on".to_owned() }
}

pub(super) fn unpin(at: &str) -> Command {
    Command::Unpin { stage: stage(at) }
}

pub(super) fn run_rule(rule: &str, at: &str) -> Command {
    Command::Run { rule: RuleName::new(rule).unwrap(), stage: stage(at), on: None }
}

pub(super) fn unlock(target: &str, at: &str) -> Command {
    Command::Unlock { target: TargetName::new(target).unwrap(), stage: stage(at) }
}

pub(super) fn operate(operation: Operation, target: &str, at: &str) -> Command {
    Command::Operate { operation, target: TargetName::new(target).unwrap(), stage: stage(at) }
}

pub(super) fn observe(target: &str, at: &str) -> Command {
    Command::Observe { target: TargetName::new(target).unwrap(), stage: stage(at) }
}

pub(super) fn pause() -> Command {
    Command::Pause { reason: "the cloud is down".to_owned() }
}

pub(super) fn freeze(at: Option<&str>, until_ms: i64) -> Command {
    Command::Freeze { stage: at.map(stage), until_ms, reason: "Christmas".to_owned() }
}

pub(super) fn failed(error: &str) -> StepOutcome {
    StepOutcome::Failed { error: error.to_owned(), hint: "mend it".to_owned() }
}

pub(super) fn again(error: &str) -> StepOutcome {
    StepOutcome::Retry { error: error.to_owned(), after_ms: None }
}

pub(super) fn pending(after_ms: i64) -> StepOutcome {
    StepOutcome::Pending { handle: "job-1".to_owned(), after_ms, progress: None }
}

impl World {
    /// A system without rules.
    pub(super) fn empty() -> Self {
        Self {
            system: System::default(),
            log: Vec::new(),
            facts: Vec::new(),
            now_ms: NOON_MS,
            rows: BTreeMap::new(),
            effects: BTreeMap::new(),
            ended: Vec::new(),
            whereabouts: Whereabouts::default(),
            remotes: BTreeMap::new(),
            reproducible: false,
            contents: contents::Contents::default(),
            git_is_quick: true,
            looks: Observation::of(Standing::Stable),
            looks_are_quick: true,
            is_exact: false,
            values: BTreeMap::new(),
            commits: 0,
        }
    }

    /// A system with these rules whose branches all exist and have been seen.
    pub(super) fn new(text: &str) -> Self {
        let mut world = Self::empty();
        let rules = rules(text);
        for repository in rules.repositories.keys() {
            for stage in rules.stages.keys() {
                world.commit(repository, stage, "ada", None);
            }
        }
        world.pins_of_before(&rules);
        let repositories: Vec<RepositoryName> = rules.repositories.keys().cloned().collect();
        world.load(rules);
        for repository in repositories {
            world.watch(&repository);
        }
        world
    }

    /// Something is pinned everywhere before Tidegate comes.
    fn pins_of_before(&mut self, rules: &Rules) {
        for (name, rule) in &rules.rules {
            for step in &rule.steps {
                let Action::Commit(commit) = &step.action else { continue };
                let values = commit.set.keys().map(|pointer| (pointer.clone(), json!(format!("{pointer} of before"))));
                let pins = (commit.file.clone(), values.collect::<BTreeMap<String, Value>>());
                for ((repository, _), branch) in &mut self.remotes {
                    if *repository == commit.repository {
                        let made = branch.last_mut().unwrap().as_mut().unwrap();
                        made.pins.insert(PinnerId::of(name, &step.id()), pins.clone());
                    }
                }
            }
        }
    }

    pub(super) fn load(&mut self, rules: Rules) {
        let digest = Digest::of(&serde_json::to_vec(&rules).unwrap());
        self.record(Event::RulesLoaded {
            source: "rules.yaml".to_owned(),
            digest,
            rules: Box::new(rules),
            origin: None,
            secret: None,
        });
    }

    /// Offers an event, as a store would.
    pub(super) fn offer(&mut self, event: Event) -> Result<Decision, Refused> {
        let recorded = Recorded { seq: self.system.seq + 1, at_ms: self.now_ms, event };
        let before = self.system.clone();
        match step(&mut self.system, &recorded) {
            Err(refused) => {
                assert_eq!(self.system, before, "I8: {refused}");
                Err(refused)
            }
            Ok(decision) => {
                for id in &decision.dropped {
                    assert!(self.rows.remove(id).is_some(), "I9: {id} was no row");
                }
                for effect in &decision.due {
                    // What is pending can become due at another time; what was settled is never asked for again.
                    let pending = self.rows.get(&effect.id).map(|pending| &pending.kind);
                    let before = self.effects.insert(effect.id.clone(), effect.clone());
                    assert!(before.is_none() || pending == Some(&effect.kind), "{} again", effect.id);
                    self.rows.insert(effect.id.clone(), effect.clone());
                }
                assert_eq!(self.rows, self.system.due, "I9");
                assert_eq!(invariants::broken(&self.system), Vec::<String>::new());
                self.ended.extend(decision.ended.iter().map(|run| Run::clone(run)));
                let mut folded = before;
                let again = fold(&mut folded, recorded.seq, recorded.at_ms, decision.facts.clone());
                assert_eq!((&again, &folded), (&decision, &self.system), "I6: the facts are all that was decided");
                self.whereabouts.take(&recorded, &decision, &self.system);
                self.log.push(recorded);
                self.facts.push(decision.facts.clone());
                self.looks_for_people();
                let asked = self.asks_git().into_iter().find(|effect| effect.due_ms <= self.now_ms);
                if let Some(asked) = asked.filter(|_| self.git_is_quick) {
                    self.git_answers(&asked);
                }
                Ok(decision)
            }
        }
    }

    pub(super) fn record(&mut self, event: Event) -> Decision {
        self.offer(event).unwrap_or_else(|refused| panic!("{refused}"))
    }

    pub(super) fn answer(&mut self, effect: &EffectId, outcome: Outcome) -> Decision {
        self.record(Event::Outcome { effect: effect.clone(), outcome, waited_ms: 0 })
    }

    /// A step answers after its effect has waited so long for a place.
    pub(super) fn answers_late(&mut self, run: &str, step: &str, waited_ms: i64, outcome: StepOutcome) -> Decision {
        let effect = self.effect(run, step).id;
        self.record(Event::Outcome { effect, outcome: Outcome::Step(outcome), waited_ms })
    }

    pub(super) fn ask(&mut self, by: &str, command: Command) -> Result<Decision, Refused> {
        self.offer(Event::Command { by: person(by), command, key: None })
    }

    pub(super) fn asked(&mut self, by: &str, command: Command) {
        self.ask(by, command).unwrap_or_else(|refused| panic!("{refused}"));
    }

    pub(super) fn later(&mut self, by_ms: i64) {
        self.now_ms += by_ms;
    }

    // What happens outside.

    /// A commit on a branch that nobody has been told of yet.
    pub(super) fn commit(
        &mut self,
        repository: &RepositoryName,
        stage: &StageName,
        author: &str,
        key: Option<StepKey>,
    ) -> CommitId {
        self.commits += 1;
        let commit = CommitId::new(format!("{:040x}", self.commits));
        let signed = if author.contains('<') { author.to_owned() } else { format!("{author} <{author}@example.com>") };
        let (author, changed) = (signed, vec!["src/main".to_owned()]);
        let branch = self.remotes.entry((repository.clone(), stage.clone())).or_default();
        let before = branch.iter().flatten().next_back();
        let by = key.as_ref().and_then(|key| Some(key.parts()?.run));
        self.contents.push((&commit, self.now_ms, by), before.map(|before| &before.commit));
        let pins = before.map(|before| before.pins.clone()).unwrap_or_default();
        branch.push(Some(Made {
            commit: commit.clone(),
            author,
            key,
            changed,
            forced: false,
            brought: Vec::new(),
            pins,
            wrote: None,
        }));
        commit
    }

    /// The heads that a watch sees which looked when each branch had `len(branch)` commits.
    pub(super) fn look(&self, watched: &RepositoryName, len: impl Fn(&StageName, usize) -> usize) -> Outcome {
        let mut heads = BTreeMap::new();
        for ((repository, stage), commits) in &self.remotes {
            if repository != watched {
                continue;
            }
            let seen = &commits[..len(stage, commits.len()).min(commits.len())];
            let known = self.system.head(repository, stage).map(|head| &head.commit);
            let since = seen.iter().rposition(|made| made.as_ref().map(|made| &made.commit) == known);
            let new: Vec<&Made> = seen[since.map_or(0, |since| since + 1)..].iter().flatten().collect();
            let before = since.and_then(|since| seen[since].as_ref());
            let head = seen.last().cloned().flatten().map(|head| HeadSeen {
                pins: head.pins_seen(before, seen),
                commit: head.commit,
                author: head.author,
                authors: new.iter().filter(|made| made.key.is_none()).map(|made| made.author.clone()).collect(),
                others_wrote: false,
                subject: "Change".to_owned(),
                changed: known.map(|_| new.iter().flat_map(|made| made.changed.clone()).collect()),
                forced: head.forced,
                keys: new.iter().flat_map(|made| made.brought.iter().chain(&made.key).cloned()).collect(),
            });
            heads.insert(stage.clone(), head);
        }
        Outcome::Heads { heads, unread: BTreeMap::new(), tags: None }
    }

    pub(super) fn watch_of(&self, repository: &RepositoryName) -> EffectId {
        let watch = |effect: &&Effect| matches!(&effect.kind, EffectKind::Watch { repository: of } if of == repository);
        self.system.due.values().find(watch).expect("a known repository is watched").id.clone()
    }

    /// The watch of a repository sees the present heads.
    pub(super) fn watch(&mut self, repository: &RepositoryName) -> Decision {
        let (effect, heads) = (self.watch_of(repository), self.look(repository, |_, len| len));
        self.answer(&effect, heads)
    }

    /// Somebody pushes, and the watch sees it.
    pub(super) fn push_by(&mut self, author: &str, to: &str, at: &str) -> CommitId {
        let repository = repository(to);
        let commit = self.commit(&repository, &stage(at), author, None);
        self.watch(&repository);
        commit
    }

    pub(super) fn push(&mut self, to: &str, at: &str) -> CommitId {
        self.push_by("ada", to, at)
    }

    /// A push that changes only these paths, or rewrites the branch.
    pub(super) fn push_of(&mut self, to: &str, at: &str, changed: &[&str], forced: bool) {
        let repository = repository(to);
        self.commit(&repository, &stage(at), "ada", None);
        self.shape_last(&repository, &stage(at), changed, forced);
        self.watch(&repository);
    }

    /// Says of the last commit of a branch what it changed, and whether it rewrote the branch.
    pub(super) fn shape_last(&mut self, repository: &RepositoryName, at: &StageName, changed: &[&str], forced: bool) {
        let branch = self.remotes.get_mut(&(repository.clone(), at.clone())).unwrap();
        let made = branch.last_mut().unwrap().as_mut().unwrap();
        (made.changed, made.forced) = (changed.iter().map(|path| (*path).to_owned()).collect(), forced);
        if forced {
            self.contents.rewrite(&made.commit);
        }
    }

    /// Says of the last commit of a branch what is pinned in it by a step.
    pub(super) fn pin_last(
        &mut self,
        repository: &RepositoryName,
        at: &StageName,
        pinner: &str,
        values: &BTreeMap<String, Value>,
    ) {
        let branch = self.remotes.get_mut(&(repository.clone(), at.clone())).unwrap();
        let pins = &mut branch.last_mut().unwrap().as_mut().unwrap().pins;
        let file = pins.get(&PinnerId::new(pinner)).map_or_else(|| "config.json".to_owned(), |(file, _)| file.clone());
        pins.insert(PinnerId::new(pinner), (file, values.clone()));
    }

    /// What a step pinned the last times, newest last.
    pub(super) fn values(&self, into: &str, at: &str, pinner: &str) -> Vec<BTreeMap<String, Value>> {
        let history = self.remotes[&(repository(into), stage(at))].iter().flatten();
        let wrote = history.filter_map(|made| made.wrote.as_ref()).filter(|(by, ..)| by.as_str() == pinner);
        wrote.map(|(_, values, _)| values.clone()).collect()
    }

    // What steps answer.

    pub(super) fn run(&self, id: &str) -> Run {
        let known =
            self.system.run(&RunId::new(id)).or_else(|| self.ended.iter().rev().find(|run| run.id.as_str() == id));
        known.unwrap_or_else(|| panic!("there is no run {id}, but {:?}", self.live())).clone()
    }

    pub(super) fn state(&self, run: &str) -> RunState {
        self.run(run).state
    }

    pub(super) fn step(&self, run: &str, step: &str) -> StepRun {
        let run = self.run(run);
        run.step(&StepId::new(step).unwrap()).unwrap_or_else(|| panic!("{} has no step {step}", run.id)).clone()
    }

    pub(super) fn step_state(&self, run: &str, step: &str) -> StepState {
        self.step(run, step).state
    }

    pub(super) fn waits_for(&self, run: &str) -> Waiting {
        explain::run(&self.system, &self.run(run)).unwrap_or_else(|| panic!("{run} has ended"))
    }

    /// The conditions of a run.
    pub(super) fn chain(&self, run: &str) -> Vec<Condition> {
        explain::chain(&self.system, &self.run(run))
    }

    /// A commit on its way to a stage.
    pub(super) fn journey(&self, of: &str, commit: &CommitId, to: &str) -> Journey {
        let of = repository(of);
        explain::journey(&self.system, &self.ancestry(&of, commit), &of, commit, &stage(to))
    }

    pub(super) fn live(&self) -> Vec<String> {
        self.system.live_runs().map(|run| run.id.to_string()).collect()
    }

    /// The effect that is pending for a step; of one that waits for an act, that of the act.
    pub(super) fn effect(&self, run: &str, step: &str) -> Effect {
        let mut found = self.step(run, step);
        if found.effect.is_none() && found.planned.is_some() {
            let active = self.acts(run, step).into_iter().find(|act| act.state == StepState::Active);
            found = active.unwrap_or(found);
        }
        let id = found.effect.unwrap_or_else(|| panic!("{run} {step} is {:?} and has no effect", found.state));
        self.system.due[&id].clone()
    }

    pub(super) fn phase(&self, run: &str, step: &str) -> Phase {
        match self.effect(run, step).kind {
            EffectKind::Step { phase, .. } => phase,
            kind => panic!("{kind:?}"),
        }
    }

    /// A step answers; of one that plans, the act that it planned, and the looks before and after it show nothing new.
    pub(super) fn answers(&mut self, run: &str, step: &str, outcome: StepOutcome) -> Decision {
        let found = self.step(run, step);
        if found.task.plans() && found.planned.is_none() && self.phase(run, step) == Phase::Start {
            self.does(run, step);
        }
        let effect = self.effect(run, step).id;
        let mut decision = self.answer(&effect, Outcome::Step(outcome));
        let by = StepId::new(step).unwrap();
        let looks = |world: &Self| {
            let found = world.system.run(&RunId::new(run)).and_then(|run| run.step(&by)).cloned();
            found.is_some_and(|step| step.task.plans() && step.planned.is_some() && step.effect.is_some())
        };
        while looks(self) && self.phase(run, step) == Phase::Poll {
            decision = self.does(run, step);
        }
        decision
    }

    /// A step is done, with what such a step makes; of one that plans, also what it planned.
    pub(super) fn done(&mut self, run: &str, step: &str) -> Decision {
        let mut decision = self.does(run, step);
        if self.run(run).step(&StepId::new(step).unwrap()).is_some_and(|step| step.task.plans()) {
            while self.step_state(run, step) == StepState::Active {
                let next = self.acts(run, step).into_iter().find(|act| act.state == StepState::Active);
                decision = self.does(run, next.map_or_else(|| step.to_owned(), |act| act.id.to_string()).as_str());
            }
        }
        decision
    }

    /// One effect of a step has the outcome that it has when all goes well.
    pub(super) fn does(&mut self, run: &str, step: &str) -> Decision {
        let effect = self.effect(run, step);
        let outcome = self.success(&effect);
        self.answer(&effect.id, outcome)
    }

    /// The acts that a step planned.
    pub(super) fn acts(&self, run: &str, step: &str) -> Vec<StepRun> {
        let (run, by) = (self.run(run), StepId::new(step).unwrap());
        run.acts(&by).cloned().collect()
    }

    /// A target that nobody holds is looked at.
    pub(super) fn is_looked_at(&mut self, target: &str) -> Decision {
        let looks =
            |effect: &&Effect| matches!(&effect.kind, EffectKind::Observe { target: at } if at.to_string() == target);
        let effect =
            self.system.due.values().find(looks).unwrap_or_else(|| panic!("{target} is not looked at")).clone();
        self.now_ms = self.now_ms.max(effect.due_ms);
        self.answer(&effect.id, Outcome::Observed(self.looks.clone()))
    }

    /// Looks at targets before people are asked, as soon as that is wanted.
    fn looks_for_people(&mut self) {
        let looks = |effect: &Effect| match &effect.kind {
            EffectKind::Step { run, step, .. } => {
                let step = self.system.run(run).and_then(|run| run.step(step)).map(|step| &step.task);
                step.is_some_and(|task| matches!(**task, Task::Plan(_))) && effect.due_ms <= self.now_ms
            }
            _ => false,
        };
        let look = self.system.due.values().find(|effect| self.looks_are_quick && looks(effect)).cloned();
        if let Some(look) = look {
            let outcome = self.success(&look);
            self.answer(&look.id, outcome);
        }
    }

    pub(super) fn fires(&mut self, run: &str, step: &str) -> Decision {
        let effect = self.effect(run, step);
        self.now_ms = self.now_ms.max(effect.due_ms);
        self.answer(&effect.id, Outcome::Fired)
    }

    /// A timer whose identity begins so fires at its time.
    pub(super) fn fires_timer(&mut self, start: &str) -> Decision {
        let due = self.system.due.values().find(|effect| effect.id.as_str().starts_with(start));
        let effect = due.unwrap_or_else(|| panic!("no timer begins with {start}")).clone();
        self.now_ms = self.now_ms.max(effect.due_ms);
        self.answer(&effect.id, Outcome::Fired)
    }

    /// What a step effect answers when all goes well; commits and merges land on the remote.
    pub(super) fn success(&mut self, effect: &Effect) -> Outcome {
        let EffectKind::Step { run, step, .. } = &effect.kind else { panic!("{effect:?}") };
        let run = self.run(run.as_str());
        let step = run.step(step).unwrap();
        if step.task.plans() || matches!(*step.task, Task::Plan(_)) {
            return Outcome::Step(StepOutcome::Observed(self.looks.clone()));
        }
        let mut made = engine::Made::Nothing;
        let kind = step.task.kind().name;
        let mut artifact = Artifact { kind: kind.into(), name: format!("{}/{kind}", run.id).into(), uri: "".into() };
        let moves = step.task.moves().and_then(|repository| self.last(repository, &run.stage));
        let carried = self.carried(&run, &step.task, moves.map(|made| &made.commit));
        if matches!(*step.task, Task::CheckMerge(_)) {
            let brought = Brings { carried, ..Brings::default() };
            return Outcome::Step(done(
                engine::Made::Unmoved(Shared::new(Unmoved { head: None, brought })),
                vec![artifact],
            ));
        }
        if let Some(repository) = step.task.writes_to() {
            let mut brought = Brings { carried, ..Brings::default() };
            if let Task::Restore(restore) = &*step.task {
                let Some(back) = self.way_back(&run, restore) else {
                    return Outcome::Step(done(engine::Made::Unmoved(Shared::default()), Vec::new()));
                };
                brought = Brings { carried: brought.carried, ..back };
            }
            if self.reproducible && run.source.is_some() && run.stage != stage("dev") {
                let Subject::Rule(rule) = &run.subject else { unreachable!() };
                let head = self.last(repository, &run.stage).unwrap();
                let pinned = head.pins[&PinnerId::of(rule, &step.id)].1.clone();
                return Outcome::Step(unmoved(&head.commit, Brings { pinned, ..Brings::default() }));
            }
            let parent = self.last(repository, &run.stage).map(|made| made.commit.clone());
            let key = run.key(&self.system.rules().unwrap().system, step);
            let commit = self.commit(repository, &run.stage, "tidegate", Some(key));
            self.contents.made(&run, step, &commit, parent.as_ref());
            self.contents.went_back(&commit, parent.as_ref(), &brought);
            let pins = self.pin(&run, step, &mut brought);
            artifact = Artifact::commit(repository, &commit);
            let subject = String::new();
            made = engine::Made::Moved(Shared::new(Moved {
                commit,
                parent,
                subject,
                paths: None,
                back: false,
                pins,
                brought,
            }));
        }
        let mut outcome = done(made, vec![artifact]);
        if let StepOutcome::Done { outputs, .. } = &mut outcome {
            outputs.insert("made".to_owned(), json!({ "by": run.id.to_string(), "share": 0.1 }));
        }
        Outcome::Step(outcome)
    }

    /// The last commit of a branch gets the pins that a step brings there; all of them, where it moves a set.
    fn pin(&mut self, run: &Run, step: &StepRun, brought: &mut Brings) -> Option<Vec<PinsSeen>> {
        let of = |commit: &CommitId| {
            let mut all = self.remotes.values().flatten().flatten();
            all.find(|made| made.commit == *commit).map(|made| made.pins.clone())
        };
        let mut wrote = None;
        let pins = match (&*step.task, &run.subject) {
            (Task::Merge(merge), _) => of(&merge.commit).map(|pins| self.taken(merge, pins)),
            (Task::Restore(_), _) => brought.to.as_ref().and_then(of),
            (Task::Action(Action::Commit(commit)), Subject::Rule(rule)) => {
                let known = self.values.get(&run.id);
                let new = |pointer: &String| json!(format!("{pointer} of {}", run.id));
                let value = |pointer: &String| (pointer.clone(), known.cloned().unwrap_or_else(|| new(pointer)));
                let values: BTreeMap<String, Value> = commit.set.keys().map(value).collect();
                brought.pinned.clone_from(&values);
                let pinner = PinnerId::of(rule, &step.id);
                let of = match work(&self.system, &self.effect(run.id.as_str(), step.id.as_str())) {
                    Ok(Work::Step(work)) => work.made_from,
                    other => panic!("{other:?}"),
                };
                wrote = Some((pinner.clone(), values.clone(), of));
                Some(BTreeMap::from([(pinner, (commit.file.clone(), values))]))
            }
            _ => None,
        };
        let repository = step.task.writes_to().unwrap();
        let branch = self.remotes.get_mut(&(repository.clone(), run.stage.clone())).unwrap();
        let made = branch.last_mut().unwrap().as_mut().unwrap();
        made.pins.extend(pins.into_iter().flatten());
        made.wrote = wrote;
        step.task.moves().map(|_| made.pins_seen(None, &[]))
    }

    /// The rules that see the same after a move as in what it brings: all of them, but where people pushed to the stage.
    fn carried(&self, run: &Run, task: &Task, parent: Option<&CommitId>) -> Vec<RuleName> {
        if self.is_exact {
            return parent.map_or_else(Vec::new, |parent| self.carried_exactly(run, task, parent));
        }
        let makers = match task {
            Task::Merge(merge) | Task::CheckMerge(merge) => {
                let branch = &self.remotes[&(merge.repository.clone(), run.stage.clone())];
                let by_people = branch.iter().skip(1).flatten().any(|made| made.key.is_none());
                let kept = by_people || self.made_here(merge, run);
                if kept { return Vec::new() } else { &merge.makers }
            }
            Task::Restore(restore) => match &restore.back {
                Back::ToVersion { from, .. } if from.as_ref() != parent => return Vec::new(),
                _ => &restore.makers,
            },
            _ => return Vec::new(),
        };
        makers.iter().map(|maker| maker.rule.clone()).collect()
    }

    fn last(&self, repository: &RepositoryName, at: &StageName) -> Option<&Made> {
        self.remotes.get(&(repository.clone(), at.clone()))?.last()?.as_ref()
    }

    /// Whether the stage pins something of its own there, which its source does not have.
    fn made_here(&self, merge: &Merge, run: &Run) -> bool {
        self.last(&merge.repository, &run.stage).is_some_and(|made| made.wrote.is_some())
    }

    /// The pins of a merge's source, without those that the stage keeps.
    fn taken(
        &self,
        merge: &Merge,
        pins: BTreeMap<PinnerId, (String, BTreeMap<String, Value>)>,
    ) -> BTreeMap<PinnerId, (String, BTreeMap<String, Value>)> {
        let kept = |(file, values): &(String, BTreeMap<String, Value>)| {
            values.keys().all(|pointer| merge.kept.contains(&(file.clone(), pointer.clone())))
        };
        pins.into_iter().filter(|(_, pins)| !kept(pins)).collect()
    }

    /// What a way back brings; nothing when what it undoes is not on the branch.
    fn way_back(&self, run: &Run, restore: &Restore) -> Option<Brings> {
        let (to, from) = match &restore.back {
            Back::ToVersion { to, from } => (to.clone(), from.clone()?),
            Back::Undo { key } => {
                let branch = self.remotes.get(&(restore.repository.clone(), run.stage.clone()))?;
                let position =
                    branch.iter().rposition(|made| made.as_ref().and_then(|made| made.key.as_ref()) == Some(key))?;
                (
                    branch.get(position.checked_sub(1)?)?.as_ref()?.commit.clone(),
                    branch[position].as_ref()?.commit.clone(),
                )
            }
        };
        Some(Brings { to: Some(to), from: Some(from), ..Brings::default() })
    }

    /// Answers every pending effect of a step with success until only people, clocks and watches are left.
    pub(super) fn settle(&mut self) {
        for _ in 0..1_000 {
            let Some(effect) = self.step_effects().into_iter().next() else { return };
            let outcome = self.success(&effect);
            self.answer(&effect.id, outcome);
        }
        panic!("it never settles: {:?}", self.live());
    }

    pub(super) fn step_effects(&self) -> Vec<Effect> {
        let of_step = |effect: &&Effect| matches!(effect.kind, EffectKind::Step { .. });
        self.system.due.values().filter(of_step).cloned().collect()
    }

    /// I6: the facts of the log give the same state, byte for byte, from the beginning and from a snapshot after `at`
    /// events, whatever the rules say by now; and decided anew, the events give the same facts.
    pub(super) fn replays(&self, at: usize) {
        let bytes = serde_json::to_vec(&self.system).unwrap();
        let (mut folded, mut decided, mut without_rules) = (System::default(), System::default(), System::default());
        for (taken, (recorded, facts)) in self.log.iter().zip(&self.facts).enumerate() {
            if taken == at {
                folded = serde_json::from_slice(&serde_json::to_vec(&folded).unwrap()).unwrap();
            }
            let written = serde_json::to_vec(facts).unwrap();
            let read = || -> Vec<Fact> { serde_json::from_slice(&written).unwrap() };
            let (seq, at_ms) = (recorded.seq, recorded.at_ms);
            let again = fold(&mut folded, seq, at_ms, read());
            assert_eq!(step(&mut decided, recorded).unwrap(), again, "event {seq}");
            let no_rules = read().into_iter().filter(|fact| !matches!(fact, Fact::RulesInForce(_)));
            drop(fold(&mut without_rules, seq, at_ms, no_rules.collect()));
        }
        let is_same = serde_json::to_vec(&folded).unwrap() == bytes;
        assert!(is_same, "I6: {folded:#?} is not {:#?}", self.system);
        without_rules.rules.clone_from(&folded.rules);
        without_rules.refused_rules.clone_from(&folded.refused_rules);
        without_rules.offered.clone_from(&folded.offered);
        assert_eq!(without_rules, folded, "what facts come to is not told by rules");
    }
}
