//! A system and what happens to it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use proptest::sample::Index;
use tidegate_engine::{
    engine::{
        Brings, Cause, Command, CommitId, Effect, EffectKind, Outcome, PinnerId, Run, RunState, StepOutcome, StepState,
        Subject, TargetLife, plan::Task,
    },
    rules::{Action, RepositoryName, RuleName, StageName},
};

use crate::support::{
    Made, World, again,
    bytes::{Artifacts, Bytes},
    exact::number,
    failed, promote, promote_version, repository, retry, roll_back, rules, run_rule, stage, unlock, unmoved,
};

/// The rules files, and their repositories as they follow one another.
pub(super) const SYSTEMS: [(&str, &[&str]); 2] = [
    (include_str!("row.yaml"), &["software", "image", "infrastructure"]),
    (include_str!("diamond.yaml"), &["shared", "app", "tools", "image", "infrastructure"]),
];
/// What may become of the rules: none of it changes what anything is made of.
const EDITS: [(&str, &str); 5] = [
    ("version: 1", "version: 1"),
    ("queue: supersede", "queue: fifo"),
    ("bake: {}", "bake: { reuse: true }\n        timeout: 2h"),
    ("to: qa }", "to: qa, requires: { soak: 1h } }"),
    ("{ queue: supersede }", "{ queue: fifo, on_verify_failure: rollback }"),
];
const STAGES: [&str; 3] = ["dev", "qa", "main"];
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// More events than any of these histories needs to come to rest.
const MOST_EVENTS_TO_REST: usize = 1_000;

#[derive(Debug, Clone)]
pub(super) enum Move {
    /// Somebody pushes to a place, to its source or only to its documents; perhaps nobody looks yet.
    Push {
        place: Index,
        source: bool,
        told: bool,
    },
    /// Somebody merges a branch into another.
    Merge {
        of: Index,
        from: Index,
        to: Index,
    },
    Look {
        which: Index,
    },
    Step {
        which: Index,
        how: u8,
    },
    Fire {
        which: Index,
    },
    /// The schedule's instant comes.
    Night,
    Edit {
        edit: Index,
    },
    RollBack {
        at: Index,
        to: Index,
    },
    /// Somebody promotes what is verified, or an older version.
    Promote {
        from: Index,
        version: Index,
    },
    /// Somebody starts a rule by hand.
    Start {
        rule: Index,
        at: Index,
    },
    Retry {
        which: Index,
    },
    /// So many pushes to the first repository, each of which comes as far as it can.
    Deliver {
        times: usize,
    },
}

/// What runs in a stage.
pub(super) struct Running {
    pub(super) by: String,
    pub(super) commit: CommitId,
}

pub(super) struct Lattice {
    pub(super) world: World,
    pub(super) number: usize,
    pub(super) artifacts: Artifacts,
    /// The runs that made each artifact, or found it made.
    pub(super) made: BTreeMap<usize, BTreeSet<String>>,
    pub(super) running: BTreeMap<StageName, Running>,
    /// All that was ever in something that was verified in a stage.
    pub(super) verified: BTreeMap<StageName, BTreeSet<usize>>,
    /// The runs that have started to build or deploy.
    pub(super) begun: BTreeSet<String>,
    ended: usize,
    /// What rules make of commits, which never changes.
    known: RefCell<BTreeMap<(CommitId, RuleName), Bytes>>,
}

impl Lattice {
    pub(super) fn new(number: usize) -> Self {
        let mut world = World::new(SYSTEMS[number].0);
        world.is_exact = true;
        let (artifacts, made, running, verified, begun) = Default::default();
        let mut lattice =
            Self { world, number, artifacts, made, running, verified, begun, ended: 0, known: RefCell::default() };
        lattice.made_before();
        lattice
    }

    pub(super) fn repositories(&self) -> &'static [&'static str] {
        SYSTEMS[self.number].1
    }

    fn made_before(&mut self) {
        let rules = self.world.system.rules().unwrap().clone();
        for from in self.repositories() {
            let of_it = rules.rules.iter().filter(|(_, rule)| rule.repository() == Some(&repository(from)));
            for (name, step) in of_it.flat_map(|(name, rule)| rule.steps.iter().map(move |step| (name, step))) {
                let Action::Commit(commit) = &step.action else { continue };
                let head = self.last(&repository(from), &stage("dev")).clone();
                let artifact = self.made_of(&repository(from), &head, name);
                let artifact = self.artifacts.number(artifact);
                for pointer in commit.set.keys() {
                    self.artifacts.is(&PinnerId::of(name, &step.id()), &format!("{pointer} of before"), artifact);
                }
            }
        }
    }

    pub(super) fn last(&self, of: &RepositoryName, at: &StageName) -> &Made {
        self.world.remotes[&(of.clone(), at.clone())].last().unwrap().as_ref().unwrap()
    }

    /// What a rule makes of a commit, on no night.
    pub(super) fn made_of(&self, from: &RepositoryName, made: &Made, rule: &RuleName) -> Bytes {
        let make = || {
            let held = self.world.contents.of(&made.commit);
            let paths = &self.world.system.rules().unwrap().rules[rule].on.paths;
            let own = self.world.pushes(&held, |changed| paths.match_any(changed));
            Bytes { rule: rule.clone(), from: from.clone(), own, pins: self.pins_in(made), night: None }
        };
        self.known.borrow_mut().entry((made.commit.clone(), rule.clone())).or_insert_with(make).clone()
    }

    pub(super) fn pins_in(&self, made: &Made) -> BTreeMap<PinnerId, usize> {
        let pins = made.pins.iter().filter_map(|(pinner, (_, values))| {
            Some((pinner.clone(), self.artifacts.of_value(pinner, values.values().next()?)?))
        });
        pins.collect()
    }

    pub(super) fn play(&mut self, step: &Move) {
        match step {
            Move::Push { place, source, told } => {
                let places: Vec<_> = self.world.remotes.keys().cloned().collect();
                let first = (repository(self.repositories()[0]), stage("dev"));
                let places: Vec<_> = places.into_iter().chain(std::iter::repeat_n(first, 6)).collect();
                let (of, at) = place.get(&places).clone();
                self.world.commit(&of, &at, "ada", None);
                self.world.shape_last(&of, &at, if *source { &["src/x"] } else { &["docs/x"] }, false);
                if *told {
                    self.world.watch(&of);
                }
            }
            Move::Merge { of, from, to } => {
                let (from, to) = (STAGES[from.index(3)], STAGES[to.index(3)]);
                if from != to {
                    self.world.merge_by("linus", of.get::<&str>(self.repositories()), from, to);
                }
            }
            Move::Look { which } => drop(self.world.watch(&repository(which.get::<&str>(self.repositories())))),
            Move::Step { which, how } => {
                let effects = self.world.step_effects();
                if !effects.is_empty() {
                    self.answer(which.get(&effects), *how);
                }
            }
            Move::Fire { which } => self.fire(which),
            Move::Night => self.night(),
            Move::Edit { edit } => {
                let (from, to) = *edit.get(&EDITS);
                self.world.load(rules(&SYSTEMS[self.number].0.replace(from, to)));
            }
            Move::Deliver { times } => self.deliver(*times),
            _ => self.ask(step),
        }
        self.look();
    }

    fn ask(&mut self, step: &Move) {
        let command = match step {
            Move::RollBack { at, to } => {
                let at = STAGES[at.index(3)];
                roll_back(at, self.version(at, to).as_deref())
            }
            Move::Promote { from, version } => {
                let [from, to] = [["dev", "qa"], ["qa", "main"]][from.index(2)];
                match self.version(from, version) {
                    Some(version) => promote_version(from, to, &version),
                    None => promote(from, to),
                }
            }
            Move::Start { rule, at } => {
                let rules = self.world.system.rules().unwrap().rules.keys();
                run_rule(rule.get(&rules.collect::<Vec<_>>()).as_str(), STAGES[at.index(3)])
            }
            Move::Retry { which } => {
                let failed = self.world.system.runs.values().filter(|run| run.state == RunState::Failed);
                let failed: Vec<&str> = failed.map(|run| run.id.as_str()).collect();
                if failed.is_empty() {
                    return;
                }
                retry(which.get::<&str>(&failed))
            }
            _ => unreachable!("{step:?}"),
        };
        drop(self.world.ask("grace", command));
    }

    /// A version of a stage, or none.
    fn version(&self, at: &str, which: &Index) -> Option<String> {
        let known = self.world.system.versions_of(&stage(at));
        known.get(which.index(known.len() + 1)).map(|version| version.verified.run.to_string())
    }

    fn deliver(&mut self, times: usize) {
        for _ in 0..times {
            let first = repository(self.repositories()[0]);
            self.world.commit(&first, &stage("dev"), "ada", None);
            self.world.shape_last(&first, &stage("dev"), &["src/x"], false);
            self.world.watch(&first);
            self.rests();
        }
    }

    fn fire(&mut self, which: &Index) {
        let of_clock = |effect: &&Effect| matches!(effect.kind, EffectKind::Timer(_));
        let timers: Vec<Effect> = self.world.system.due.values().filter(of_clock).cloned().collect();
        if !timers.is_empty() {
            self.fires(which.get(&timers));
        }
    }

    fn fires(&mut self, timer: &Effect) {
        self.world.now_ms = self.world.now_ms.max(timer.due_ms);
        self.world.answer(&timer.id, Outcome::Fired);
    }

    fn night(&mut self) {
        let nightly = |effect: &&Effect| effect.id.as_str().starts_with("schedule");
        let timer = self
            .world
            .system
            .due
            .values()
            .find(nightly)
            .cloned()
            .unwrap_or_else(|| panic!("no night among {:?}", self.world.system.due.keys().collect::<Vec<_>>()));
        assert!(timer.due_ms <= self.world.now_ms + DAY_MS);
        self.fires(&timer);
    }

    fn answer(&mut self, effect: &Effect, how: u8) {
        match how {
            0 => drop(self.world.answer(&effect.id, Outcome::Step(failed("no")))),
            1 => drop(self.world.answer(&effect.id, Outcome::Step(again("busy")))),
            2 => drop(self.world.answer(&effect.id, Outcome::Step(StepOutcome::Cancelled))),
            _ => self.succeeds(effect),
        }
    }

    /// A step succeeds: what it makes is what it would really make.
    fn succeeds(&mut self, effect: &Effect) {
        let EffectKind::Step { run: id, step, .. } = &effect.kind else { unreachable!() };
        let run = self.world.run(id.as_str());
        let step = run.step(step).unwrap();
        let outcome = match (&run.subject, &*step.task) {
            (Subject::Rule(rule), Task::Action(Action::Commit(commit))) => {
                self.commits(&run, (rule, &PinnerId::of(rule, &step.id)), &commit.repository, effect)
            }
            _ => self.world.success(effect),
        };
        self.world.answer(&effect.id, outcome);
        let is_done = self.world.run(id.as_str()).step(&step.id).unwrap().state == StepState::Done;
        if step.task.kind().deploys() && is_done {
            let commit = run.source.as_ref().unwrap().commit.clone();
            self.running.insert(run.stage.clone(), Running { by: run.id.to_string(), commit });
            self.comes_from_where_it_may(&run);
        }
    }

    /// A commit pins what its run made, if that is not pinned yet.
    fn commits(
        &mut self,
        run: &Run,
        (rule, pinner): (&RuleName, &PinnerId),
        into: &RepositoryName,
        effect: &Effect,
    ) -> Outcome {
        let source = run.source.as_ref().unwrap();
        let bytes = self.made_of(&source.repository, self.world.made(&source.commit), rule);
        let head = self.last(into, &run.stage).clone();
        let artifact = match &run.cause {
            Cause::Schedule { .. } => self.artifacts.number(Bytes { night: Some(run.id.clone()), ..bytes }),
            _ => {
                let pinned = self.pins_in(&head).get(pinner).copied();
                let known = pinned.into_iter().chain((0..self.artifacts.len()).rev());
                let built = self.artifacts.built_before(&bytes, known);
                built.unwrap_or_else(|| self.artifacts.number(bytes))
            }
        };
        self.made.entry(artifact).or_default().insert(run.id.to_string());
        let (value, pinned) = (self.artifacts.value(pinner, artifact), head.pins[pinner].1.clone());
        if pinned.values().all(|pinned| *pinned == value) {
            return Outcome::Step(unmoved(&head.commit, Brings { pinned, ..Brings::default() }));
        }
        self.world.values.insert(run.id.clone(), value);
        let outcome = self.world.success(effect);
        self.world.shape_last(into, &run.stage, &["config.json"], false);
        outcome
    }

    /// After every event: what is verified, and what is built.
    fn look(&mut self) {
        let ended = self.world.ended[self.ended..].to_vec();
        self.ended = self.world.ended.len();
        let delivered =
            |run: &&Run| run.state == RunState::Done && run.steps.iter().any(|step| step.task.kind().deploys());
        for run in ended.iter().filter(delivered) {
            let pins = self.pins_in(self.world.made(&run.source.as_ref().unwrap().commit));
            let all = self.artifacts.closure(pins.into_values());
            self.verified.entry(run.stage.clone()).or_default().extend(all);
        }
        self.nothing_is_built_of_what_no_commit_gave();
        let known: Vec<CommitId> =
            self.world.remotes.values().flatten().flatten().map(|made| made.commit.clone()).collect();
        let one = &known[self.world.log.len() % known.len()];
        for at in STAGES {
            self.is_explained(one, &stage(at));
        }
        self.versions_are_those_of_the_model(one);
    }

    /// Everything goes well from here on, and people do what they are told.
    pub(super) fn rests(&mut self) {
        for _ in 0..MOST_EVENTS_TO_REST {
            self.look();
            if let Some(effect) = self.world.step_effects().into_iter().next() {
                self.succeeds(&effect);
            } else if !self.watches_look() && !self.gates_open() && !self.people_do_what_they_are_told() {
                let waits = self.world.live().into_iter().map(|run| (self.world.waits_for(&run), run));
                let waits: Vec<_> = waits.collect();
                assert!(waits.is_empty(), "nothing can end {waits:#?}");
                return;
            }
        }
        let waits: Vec<_> = self.world.live().into_iter().map(|run| (self.world.waits_for(&run), run)).collect();
        panic!("it never comes to rest: {waits:#?}, after {:#?}", self.story());
    }

    fn watches_look(&mut self) -> bool {
        let system = &self.world.system;
        let is_news = |((of, at), branch): (&(RepositoryName, StageName), &Vec<Option<Made>>)| {
            let head = system.head(of, at);
            let moved = system.moved.get(at).and_then(|moved| moved.get(of));
            let is_behind = head.zip(moved).is_some_and(|(head, moved)| moved.order > head.order);
            let there = branch.last().and_then(Option::as_ref).map(|made| &made.commit);
            (is_behind || head.map(|head| &head.commit) != there).then(|| of.clone())
        };
        let news: BTreeSet<RepositoryName> = self.world.remotes.iter().filter_map(is_news).collect();
        news.iter().for_each(|of| drop(self.world.watch(of)));
        !news.is_empty()
    }

    fn gates_open(&mut self) -> bool {
        let gates = self.world.system.due.values().filter(|effect| effect.id.as_str().starts_with("gate/"));
        let Some(effect) = gates.min_by_key(|effect| effect.due_ms).cloned() else { return false };
        self.fires(&effect);
        true
    }

    fn people_do_what_they_are_told(&mut self) -> bool {
        let mut commands: Vec<Command> = Vec::new();
        for (key, target) in &self.world.system.targets {
            if target.life == TargetLife::Broken {
                let (name, at) = key.target().unwrap();
                commands.push(unlock(name.as_str(), at.as_str()));
            }
        }
        for run in self.world.system.live_runs() {
            let told = self.world.waits_for(run.id.as_str()).ended_by;
            let words: Vec<&str> = told.split(['`', ' ']).collect();
            let after = |word: &str| words.iter().position(|other| *other == word).map(|at| words[at + 1]);
            commands.extend(after("retry").map(retry));
            commands.extend(after("start").map(|rule| run_rule(rule, run.stage.as_str())));
        }
        commands.into_iter().filter(|command| self.world.ask("grace", command.clone()).is_ok()).count() > 0
    }
}

/// Whether a commit was pushed to a stage by somebody.
pub(super) fn pushed_to(world: &World, commit: u64, at: &StageName) -> bool {
    let of_stage = world.remotes.iter().filter(|((_, stage), _)| stage == at);
    of_stage.flat_map(|(_, branch)| branch).flatten().any(|made| number(&made.commit) == commit)
}
