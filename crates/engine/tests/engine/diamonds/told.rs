//! A diamond and what is true of it: what each commit holds, and of which commits everything was made that is pinned there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tidegate_engine::{
    engine::{
        Brings, CommitId, Effect, EffectKind, Outcome, PinnerId, Run, RunState, StepOutcome, StepState, Subject,
        explain::Waiting, plan::Task, provenance::fan_in,
    },
    rules::{Action, RepositoryName, RuleName},
};

use crate::support::{
    Made, World, again,
    bytes::{Artifacts, Bytes},
    failed, repository, retry, rules, run_rule, stage, unlock, unmoved,
};

/// A rules file, how its repositories follow one another, and the changes that are made to it.
type Variant = (&'static str, [&'static str; 5], &'static [(&'static str, &'static str)]);

/// The rules files.
pub(super) const VARIANTS: [Variant; 6] = [
    (ONE, OF_ONE, &[]),
    (ONE, OF_ONE, &[("queue: supersede", "queue: fifo")]),
    (ONE, OF_ONE, &[("queue: supersede", "queue: parallel")]),
    (
        ONE,
        OF_ONE,
        &[
            ("release-app:\n    on: { push: shared }", "release-app:\n    on: { push: shared, paths: [0/] }"),
            ("release-tools:\n    on: { push: shared }", "release-tools:\n    on: { push: shared, paths: [1/] }"),
        ],
    ),
    (THREE, OF_THREE, &[]),
    (
        THREE,
        OF_THREE,
        &[
            ("release-app:\n    on: { push: shared }", "release-app:\n    on: { push: shared, paths: [0/] }"),
            ("release-base:\n    on: { push: shared }", "release-base:\n    on: { push: shared, paths: [1/] }"),
            ("describe:\n    on: { push: shared }", "describe:\n    on: { push: shared, paths: [2/] }"),
        ],
    ),
];
const ONE: &str = include_str!("one.yaml");
const OF_ONE: [&str; 5] = ["shared", "app", "tools", "image", "infrastructure"];
const THREE: &str = include_str!("three_in_a_row.yaml");
const OF_THREE: [&str; 5] = ["shared", "base", "app", "image", "infrastructure"];
/// The rules that each make something of a part of `shared`, as its directories are named.
const OF_PARTS: [&[&str]; 3] = [&["release-app"], &["release-tools", "release-base"], &["describe"]];
/// More rounds than any of these histories needs to come to rest, each of which answers everything once.
const MOST_ROUNDS_TO_REST: usize = 40;

/// What happens in these histories, each of them often.
pub(super) const HAPPENS: [&str; 7] =
    [BY_HAND, REWRITTEN_SOURCE, REWRITTEN_PINS, TAKEN_BACK_SOURCE, TAKEN_BACK_PINS, SAME_BYTES, THREE_FAN_INS];
const BY_HAND: &str = "a pin is set by hand";
const REWRITTEN_SOURCE: &str = "the first branch is rewritten";
const REWRITTEN_PINS: &str = "a branch with pins is rewritten";
const TAKEN_BACK_SOURCE: &str = "a push is taken back before anybody looks";
const TAKEN_BACK_PINS: &str = "a pin is taken back before anybody looks";
const SAME_BYTES: &str = "the same bytes are made of another commit";
const THREE_FAN_INS: &str = "three fan-ins in a row wait";

/// What a commit holds of its own, beside its pins: for `shared` its parts, else one text.
type Content = [u64; 3];

/// One of many, as a share of them: the first at 0.0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Which(pub(super) f64);

impl Which {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "few")]
    fn index(self, of: usize) -> usize {
        ((self.0 * of as f64) as usize).min(of - 1)
    }

    fn get<T>(self, of: &[T]) -> &T {
        &of[self.index(of.len())]
    }
}

#[derive(Debug, Clone)]
pub(super) enum Move {
    /// Changes parts of shared, or none of them; perhaps nobody looks yet.
    Shared {
        parts: Vec<bool>,
        told: bool,
    },
    Other {
        which: Which,
        told: bool,
    },
    /// Takes shared back to an earlier content, by a commit on top.
    Revert {
        to: Which,
        told: bool,
    },
    /// Takes a branch back to an earlier commit's content, by force.
    Rewrite {
        which: Which,
        to: Which,
        told: bool,
    },
    /// Somebody sets a pin by hand, to what was pinned before or to what nobody knows.
    ByHand {
        which: Which,
        to: Which,
        told: bool,
    },
    Look {
        which: Which,
    },
    Step {
        which: Which,
        how: u8,
    },
    Retry {
        which: Which,
    },
    /// The rules become another variant of the same repositories.
    Reload {
        variant: Which,
    },
}

pub(super) struct Diamond {
    pub(super) world: World,
    repositories: [&'static str; 5],
    contents: BTreeMap<CommitId, Content>,
    artifacts: Artifacts,
    /// What somebody chose, of which nothing is known.
    chosen: BTreeSet<usize>,
    texts: u64,
    /// How often what these histories are meant to have happened in this one.
    pub(super) happened: BTreeMap<&'static str, usize>,
    /// The commits of which each artifact was made.
    made_by: BTreeMap<usize, BTreeSet<CommitId>>,
    /// The runs that have started to build.
    pub(super) begun: BTreeSet<String>,
    pub(super) waited: BTreeSet<String>,
}

fn text_of(number: usize) -> String {
    let (text, _, changes) = VARIANTS[number];
    changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

impl Diamond {
    pub(super) fn new(number: usize) -> Self {
        let world = World::new(&text_of(number));
        let contents = world.remotes.values().flatten().flatten().map(|made| (made.commit.clone(), Content::default()));
        let contents = contents.collect();
        let (artifacts, chosen, happened, made_by, begun, waited) = Default::default();
        let (repositories, texts) = (VARIANTS[number].1, 0);
        let mut diamond =
            Self { world, repositories, contents, artifacts, chosen, texts, happened, made_by, begun, waited };
        diamond.made_before();
        diamond
    }

    /// What is pinned before Tidegate comes was made of what is there.
    fn made_before(&mut self) {
        for from in self.repositories {
            let head = self.last(from).clone();
            for (rule, pinner, pointer) in self.pinned_from(from) {
                let artifact = self.made_of(&repository(from), &head, &rule);
                self.artifacts.is(&pinner, &format!("{pointer} of before"), artifact);
            }
        }
    }

    /// Who pins what is made of a repository, and where.
    fn pinned_from(&self, from: &str) -> Vec<(RuleName, PinnerId, String)> {
        let rules = self.world.system.rules().unwrap();
        let of_it = rules.rules.iter().filter(|(_, rule)| rule.repository() == Some(&repository(from)));
        let steps = of_it.flat_map(|(name, rule)| rule.steps.iter().map(move |step| (name, step)));
        let commits = steps.filter_map(|(name, step)| match &step.action {
            Action::Commit(commit) => {
                Some((name.clone(), PinnerId::of(name, &step.id()), commit.set.keys().next()?.clone()))
            }
            _ => None,
        });
        commits.collect()
    }

    fn branch(&self, name: &str) -> &[Option<Made>] {
        &self.world.remotes[&(repository(name), stage("dev"))]
    }

    fn last(&self, name: &str) -> &Made {
        self.branch(name).last().unwrap().as_ref().unwrap()
    }

    /// What a rule makes of a commit.
    fn made_of(&mut self, from: &RepositoryName, made: &Made, rule: &RuleName) -> usize {
        let part = OF_PARTS.iter().position(|rules| rules.contains(&rule.as_str())).unwrap_or(0);
        let own = BTreeSet::from([self.contents[&made.commit][part]]);
        let pins = self.pins_in(made);
        self.artifacts.number(Bytes { rule: rule.clone(), from: from.clone(), own, pins, night: None })
    }

    fn pins_in(&self, made: &Made) -> BTreeMap<PinnerId, usize> {
        let value = |values: &BTreeMap<String, Value>| values.values().next().cloned();
        let pins = made.pins.iter().filter_map(|(pinner, (_, values))| {
            Some((pinner.clone(), self.artifacts.of_value(pinner, &value(values)?)?))
        });
        pins.collect()
    }

    pub(super) fn plays(&mut self, moves: &[Move]) {
        let waits = self.comes_to(moves);
        assert!(waits.is_empty(), "nothing waits for ever: {waits:#?}");
    }

    /// Plays, and returns what waits in the end though people did what they were told.
    pub(super) fn comes_to(&mut self, moves: &[Move]) -> Vec<(Waiting, String)> {
        for step in moves {
            self.play(step);
            self.check();
        }
        self.rests()
    }

    /// How often everything happened that is to happen.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = self.happened.clone();
        let waits = |rule: &str| self.waited.iter().any(|run| run.starts_with(rule));
        counts.insert(THREE_FAN_INS, usize::from(["package-app-", "bake-", "deliver-"].into_iter().all(waits)));
        counts
    }

    fn push(&mut self, name: &str, content: Content, paths: &[&str], told: bool) {
        let commit = self.world.commit(&repository(name), &stage("dev"), "ada", None);
        self.world.shape_last(&repository(name), &stage("dev"), paths, false);
        self.contents.insert(commit, content);
        if told {
            self.look(name);
        }
    }

    fn content(&self, name: &str) -> Content {
        self.contents[&self.last(name).commit]
    }

    fn play(&mut self, step: &Move) {
        const ALL: [&str; 4] = ["docs/x", "0/x", "1/x", "2/x"];
        match step {
            Move::Shared { parts, told } => {
                let mut content = self.content("shared");
                self.texts += 1;
                let changed: Vec<usize> = (0..3).filter(|part| parts[*part]).collect();
                changed.iter().for_each(|part| content[*part] = self.texts);
                let paths: Vec<&str> = changed.iter().map(|part| ALL[part + 1]).chain(["docs/x"]).collect();
                self.push("shared", content, &paths, *told);
            }
            Move::Other { which, told } => {
                let name = *which.get(&self.repositories[1..]);
                self.texts += 1;
                self.push(name, [self.texts; 3], &["src/x"], *told);
            }
            Move::Revert { to, told } => {
                let commit = to.get(self.branch("shared")).as_ref().unwrap().commit.clone();
                self.push("shared", self.contents[&commit], &ALL, *told);
            }
            Move::Rewrite { which, to, told } => self.rewrite(which, to, *told),
            Move::ByHand { which, to, told } => self.pin_by_hand(which, to, *told),
            Move::Look { which } => self.look(self.repositories[which.index(5)]),
            Move::Step { which, how } => {
                let effects = self.world.step_effects();
                if !effects.is_empty() {
                    self.answer(which.get(&effects), *how);
                }
            }
            Move::Retry { which } => {
                let failed = self.world.system.runs.values().filter(|run| run.state == RunState::Failed);
                let failed: Vec<String> = failed.map(|run| run.id.to_string()).collect();
                if !failed.is_empty() {
                    drop(self.world.ask("grace", retry(&failed[which.index(failed.len())])));
                }
            }
            Move::Reload { variant } => {
                let same: Vec<usize> = (0..VARIANTS.len()).filter(|at| VARIANTS[*at].1 == self.repositories).collect();
                self.world.load(rules(&text_of(*variant.get(&same))));
            }
        }
    }

    fn rewrite(&mut self, which: &Which, to: &Which, told: bool) {
        let name = ["shared"; 3].into_iter().chain(self.repositories).nth(which.index(8)).unwrap();
        let made = to.get(self.branch(name)).clone().unwrap();
        self.push(name, self.contents[&made.commit], &["docs/x", "0/x", "1/x", "2/x", "src/x", "pins.json"], false);
        let place = (repository(name), stage("dev"));
        let branch = self.world.remotes.get_mut(&place).unwrap();
        let last = branch.last_mut().unwrap().as_mut().unwrap();
        (last.pins, last.forced) = (made.pins, true);
        self.happens(if name == "shared" { REWRITTEN_SOURCE } else { REWRITTEN_PINS });
        if told {
            self.look(name);
        }
    }

    fn pin_by_hand(&mut self, which: &Which, to: &Which, told: bool) {
        let places: Vec<_> = self.repositories[2..]
            .iter()
            .flat_map(|into| self.last(into).pins.keys().map(|pinner| (*into, pinner.clone())))
            .collect();
        let (into, pinner) = which.get(&places).clone();
        let known = self.branch(into).iter().flatten().map(|made| made.pins[&pinner].1.clone());
        let mut known: Vec<BTreeMap<String, Value>> = known.collect();
        known.dedup();
        let place = to.index(known.len() + 1);
        let values = known.get(place).cloned().unwrap_or_else(|| self.choose(into, &pinner));
        self.push(into, self.content(into), &["pins.json"], false);
        self.world.pin_last(&repository(into), &stage("dev"), pinner.as_str(), &values);
        self.happens(BY_HAND);
        if told {
            self.look(into);
        }
    }

    /// Values that nobody knows.
    fn choose(&mut self, into: &str, pinner: &PinnerId) -> BTreeMap<String, Value> {
        self.texts += 1;
        let (rule, from) = (RuleName::new("ada").unwrap(), repository(into));
        let (own, pins) = (BTreeSet::from([self.texts]), BTreeMap::new());
        let chosen = self.artifacts.number(Bytes { rule, from, own, pins, night: None });
        self.chosen.insert(chosen);
        let value = format!("chosen {}", self.texts);
        self.artifacts.is(pinner, &value, chosen);
        let pointers = self.last(into).pins[pinner].1.keys();
        pointers.map(|pointer| (pointer.clone(), json!(value))).collect()
    }

    fn happens(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
    }

    /// Whether somebody changed a branch and took it back before anybody looked.
    fn was_taken_back(&self, name: &str) -> bool {
        let known = self.world.system.head(&repository(name), &stage("dev")).map(|head| &head.commit);
        let branch: Vec<&Made> = self.branch(name).iter().flatten().collect();
        let Some(at) = branch.iter().position(|made| Some(&made.commit) == known) else { return false };
        let holds = |made: &Made| (self.contents[&made.commit], made.pins.clone());
        let (before, now) = (holds(branch[at]), holds(branch[branch.len() - 1]));
        before == now && branch[at..].iter().any(|made| holds(made) != before)
    }

    fn look(&mut self, name: &str) {
        if self.was_taken_back(name) {
            self.happens(if name == "shared" { TAKEN_BACK_SOURCE } else { TAKEN_BACK_PINS });
        }
        self.world.watch(&repository(name));
    }

    fn answer(&mut self, effect: &Effect, how: u8) {
        let outcome = match how {
            0 => Outcome::Step(failed("no")),
            1 => Outcome::Step(again("busy")),
            2 => Outcome::Step(StepOutcome::Cancelled),
            _ => self.success(effect),
        };
        self.world.answer(&effect.id, outcome);
    }

    /// A commit sets a pin, or finds it there; whatever else a step does, it does.
    fn success(&mut self, effect: &Effect) -> Outcome {
        let EffectKind::Step { run, step, .. } = &effect.kind else { unreachable!() };
        let run = self.world.run(run.as_str());
        let step = run.step(step).unwrap();
        let (Subject::Rule(rule), Some(into)) = (&run.subject, step.task.writes_to().cloned()) else {
            return self.world.success(effect);
        };
        let source = self.source(&run);
        let artifact = self.made_of(&run.source.as_ref().unwrap().repository, &source, rule);
        let of = self.made_by.entry(artifact).or_default();
        if of.insert(source.commit.clone()) && of.len() > 1 {
            self.happens(SAME_BYTES);
        }
        let (pinner, head) = (PinnerId::of(rule, &step.id), self.last(into.as_str()).clone());
        let value = self.artifacts.value(&pinner, artifact);
        let pinned = &head.pins[&pinner].1;
        if pinned.values().all(|pinned| *pinned == value) {
            return Outcome::Step(unmoved(&head.commit, Brings { pinned: pinned.clone(), ..Brings::default() }));
        }
        self.world.values.insert(run.id.clone(), value);
        let outcome = self.world.success(effect);
        let Outcome::Step(StepOutcome::Done { made, .. }) = &outcome else { unreachable!() };
        let made = made.moved().unwrap().commit.clone();
        self.world.shape_last(&into, &stage("dev"), &["pins.json"], false);
        self.contents.insert(made, self.contents[&head.commit]);
        outcome
    }

    /// The commit that a run works on.
    fn source(&self, run: &Run) -> Made {
        let source = run.source.as_ref().unwrap();
        let mut branch = self.branch(source.repository.as_str()).iter().flatten();
        branch.find(|made| made.commit == source.commit).unwrap().clone()
    }

    /// I12, and that what waits says for which commit it waits.
    fn check(&mut self) {
        let live: Vec<Run> = self.world.system.live_runs().cloned().collect();
        for run in live {
            if run.steps.iter().any(|step| *step.task == Task::FanIn && step.state == StepState::Active) {
                let awaited = fan_in::awaited(&self.world.system, &run);
                assert!(awaited.iter().all(|awaited| !awaited.commit.as_str().is_empty()));
                assert!(!awaited.is_empty(), "{} waits for nothing", run.id);
                self.waited.insert(run.id.to_string());
            }
            let begins =
                |step: &tidegate_engine::engine::StepRun| *step.task != Task::FanIn && step.started_ms.is_some();
            if run.steps.iter().any(begins) && self.begun.insert(run.id.to_string()) {
                self.combines_what_one_commit_gave(&run);
            }
        }
    }

    /// I12: of every repository there is one commit of which all is made that came from there.
    fn combines_what_one_commit_gave(&mut self, run: &Run) {
        let pins = self.pins_in(&self.source(run));
        let all = self.artifacts.closure(pins.into_values());
        for name in self.repositories {
            let of_it = all.iter().filter(|artifact| !self.chosen.contains(*artifact));
            let of_it = of_it.filter(|artifact| self.artifacts.get(**artifact).from.as_str() == name);
            let of_it: Vec<usize> = of_it.copied().collect();
            let made: Vec<Made> = self.branch(name).iter().flatten().cloned().collect();
            let gave = |diamond: &mut Self, made: &Made, artifact: usize| {
                let rule = diamond.artifacts.get(artifact).rule.clone();
                diamond.made_of(&repository(name), made, &rule) == artifact
            };
            let one = made.iter().any(|made| of_it.iter().all(|artifact| gave(self, made, *artifact)));
            let parts: Vec<&Bytes> = of_it.iter().map(|artifact| self.artifacts.get(*artifact)).collect();
            assert!(one, "I12: {} combines {parts:#?}, which no commit of {name} gave", run.id);
        }
    }

    /// Everything goes well from here on, and people do what they are told. Says what waits all the same.
    fn rests(&mut self) -> Vec<(Waiting, String)> {
        for _ in 0..MOST_ROUNDS_TO_REST {
            for name in self.repositories {
                self.look(name);
                self.look(name);
                self.check();
            }
            while let Some(effect) = self.world.step_effects().into_iter().next() {
                let outcome = self.success(&effect);
                self.world.answer(&effect.id, outcome);
                self.check();
            }
            self.people_do_what_they_are_told();
        }
        let live = self.world.live().into_iter();
        live.map(|run| (self.world.waits_for(&run), run)).collect()
    }

    /// Of what is told to whoever waits, the commands.
    fn people_do_what_they_are_told(&mut self) {
        for run in self.world.live() {
            if self.world.state(&run).is_ended() {
                continue;
            }
            let told = self.world.waits_for(&run).ended_by;
            let words: Vec<&str> = told.split(['`', ' ']).collect();
            let after = |word: &str| words.iter().position(|other| *other == word).map(|at| words[at + 1]);
            let command = match (after("start"), after("retry"), after("unlock")) {
                (Some(rule), ..) => run_rule(rule, "dev"),
                (None, Some(run), _) => retry(run),
                (None, None, Some(target)) => unlock(target, "dev"),
                (None, None, None) => continue,
            };
            drop(self.world.ask("grace", command));
        }
    }
}
