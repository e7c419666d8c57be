//! Random histories: pushes seen late and twice, outcomes of every kind, answered late and out of order, commands of all
//! sorts by all sorts of people, clocks that jump, rules that change. What always holds, holds after every event.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use proptest::{prelude::*, sample::Index};
use tidegate_engine::{
    engine::{
        Attribution, Command, CommitId, Delivery, Effect, EffectId, EffectKind, Outcome, Pin, PinAt, RunState, StepKey,
        StepOutcome, StepState, TargetLife, plan::Task,
    },
    rules::{Action, RepositoryName, Rules, StageName},
};

use super::{
    explained::Told,
    nudges::nudge_any,
    support::{
        HOUR_MS, Made, World, abort, again, approve, failed, freeze, lift_veto, pause, pending, pin, promote,
        promote_version, random_moves, repository, retry, roll_back, rules, run_rule, stage, take_back, unlock, unpin,
        veto,
    },
};

const WEBSHOP: &str = include_str!("histories.yaml");
/// More events than any of these histories needs to come to rest.
const MOST_EVENTS_TO_REST: usize = 3_000;

/// The rules and what they become when they are loaded again.
static VARIANTS: LazyLock<Vec<Rules>> = LazyLock::new(|| {
    let variants = [
        WEBSHOP.to_owned(),
        WEBSHOP.replace("queue: supersede", "queue: fifo"),
        WEBSHOP.replace("queue: supersede", "queue: reject").replace("queue: parallel", "queue: fifo"),
        WEBSHOP.replace("queue: parallel", "queue: supersede").replace("soak: 2h", "soak: 3h"),
        WEBSHOP.replace("cron: 0 0 3 * * *", "cron: 0 0 4 * * *").replace("count: 2", "count: 1"),
        WEBSHOP
            .replace("queue: supersede", "queue: fifo, on_verify_failure: rollback")
            .replace("to: qa, requires: { soak: 2h }", "to: qa, on_failure: keep"),
        WEBSHOP.replace("  tools: { url: tools.git }\n", "").replace(": tools", ": image"),
    ];
    variants.iter().map(|text| rules(text)).collect()
});

#[derive(Debug, Clone)]
enum Move {
    Push { place: Index, author: Index, told: bool },
    Delete { place: Index },
    Watch { repository: Index, behind: usize },
    Step { which: Index, how: u8 },
    Late { which: Index },
    Fire { which: Index },
    Ask { by: Index, what: u8, run: Index },
    Clock { by_ms: i64 },
    Reload { variant: Index },
    Git { quick: bool },
    Nudge { which: Index },
}

fn moves() -> impl Strategy<Value = Move> {
    let index = any::<Index>;
    prop_oneof![
        7 => (index(), index(), any::<bool>()).prop_map(|(place, author, told)| Move::Push { place, author, told }),
        1 => index().prop_map(|place| Move::Delete { place }),
        4 => (index(), 0_usize..3).prop_map(|(repository, behind)| Move::Watch { repository, behind }),
        24 => (index(), 0_u8..18).prop_map(|(which, how)| Move::Step { which, how }),
        2 => index().prop_map(|which| Move::Late { which }),
        4 => index().prop_map(|which| Move::Fire { which }),
        9 => (index(), 0_u8..24, index()).prop_map(|(by, what, run)| Move::Ask { by, what, run }),
        2 => (-HOUR_MS..5 * HOUR_MS).prop_map(|by_ms| Move::Clock { by_ms }),
        1 => index().prop_map(|variant| Move::Reload { variant }),
        1 => any::<bool>().prop_map(|quick| Move::Git { quick }),
        2 => index().prop_map(|which| Move::Nudge { which }),
    ]
}

/// How long each branch was when a watch was asked for: what it may have seen, at the least.
struct History {
    world: World,
    lengths: BTreeMap<EffectId, BTreeMap<(RepositoryName, StageName), usize>>,
    pins: BTreeMap<PinAt, Pin>,
    told: Told,
    /// Per repository, another, and stage: what a set that moved both last brought to the one, and with it what is pinned
    /// from it in the other.
    moved: BTreeMap<(RepositoryName, RepositoryName, StageName), CommitId>,
    /// What commits of steps have brought: they are made once, and watches may show them before their steps are answered.
    committed: BTreeMap<StepKey, Outcome>,
}

impl History {
    fn new(variant: usize) -> Self {
        let mut world = World::empty();
        for name in ["software", "image", "infrastructure", "tools"] {
            for at in ["dev", "qa", "main"] {
                world.commit(&repository(name), &stage(at), "ada", None);
            }
        }
        world.load(VARIANTS[variant].clone());
        let mut history = Self {
            world,
            lengths: BTreeMap::new(),
            pins: BTreeMap::new(),
            moved: BTreeMap::new(),
            committed: BTreeMap::new(),
            told: Told::default(),
        };
        history.look();
        history
    }

    /// Versions to go back to: so many pushes that came as far as they could.
    fn deliver(&mut self, times: usize) {
        let known: Vec<RepositoryName> = self.world.system.repositories.keys().cloned().collect();
        for _ in 0..times {
            for repository in &known {
                self.world.watch(repository);
            }
            self.world.push("software", "dev");
            self.rests();
        }
    }

    /// After every event: what the watches may have seen, and that no pin went back (I3): a way back is a new commit, whose
    /// pins are newer.
    fn look(&mut self) {
        let lengths: BTreeMap<_, _> =
            self.world.remotes.iter().map(|(place, commits)| (place.clone(), commits.len())).collect();
        for effect in self.world.system.due.values().filter(|effect| matches!(effect.kind, EffectKind::Watch { .. })) {
            self.lengths.entry(effect.id.clone()).or_insert_with(|| lengths.clone());
        }
        for (key, pin) in &self.world.system.pins {
            if let Some(before) = self.pins.get(key).filter(|before| before.source != pin.source) {
                let (then, now) = (self.position(&before.source), self.position(&pin.source));
                assert!(then < now, "I3: {key} went back from {then:?} to {now:?}");
            }
        }
        self.pins.clone_from(&self.world.system.pins);
        self.nothing_newer_is_left_out();
        self.told.look(&self.world);
        super::obstacles::look(&self.world);
    }

    /// A run that gives way to what a newer commit set is of an older commit, or of the same one and older itself.
    fn nothing_newer_is_left_out(&self) {
        for run in self.world.system.runs.values().filter(|run| run.state == RunState::Superseded) {
            let (Some(source), Some(reason)) = (&run.source, &run.reason) else { continue };
            let Some((_, by)) = reason.split_once(" was already set by ") else { continue };
            let by = by.split(' ').next().unwrap();
            let branch = &self.world.remotes[&(source.repository.clone(), run.stage.clone())];
            let of_branch = |pin: &&Pin| branch.iter().flatten().any(|made| made.commit == pin.source);
            let mut pins = self.world.system.pins.values().filter(|pin| pin.by.run.as_str() == by);
            let Some(newer) = pins.find(of_branch) else { continue };
            let theirs = (self.position(&newer.source), newer.run_number);
            assert!((self.position(&source.commit), run.number) < theirs, "{} was left out: {reason}", run.id);
        }
    }

    /// Where a commit is in the life of its branch; all branches of these histories only grow.
    fn position(&self, commit: &CommitId) -> Option<usize> {
        self.world.remotes.values().find_map(|commits| {
            commits.iter().position(|made| made.as_ref().is_some_and(|made| made.commit == *commit))
        })
    }

    /// Where pushes go: to the beginning of the lattice more often than elsewhere.
    fn places(&self) -> Vec<(RepositoryName, StageName)> {
        let first = (repository("software"), stage("dev"));
        self.world.remotes.keys().cloned().chain(std::iter::repeat_n(first, 12)).collect()
    }

    fn play(&mut self, step: &Move) {
        match step {
            Move::Push { place, author, told } => {
                let (repository, stage) = place.get(&self.places()).clone();
                self.world.commit(&repository, &stage, ["ada", "grace", "linus"][author.index(3)], None);
                if *told && self.world.system.repositories.contains_key(&repository) {
                    self.world.watch(&repository);
                }
            }
            Move::Delete { place } => {
                let places: Vec<_> = self.world.remotes.keys().cloned().collect();
                self.world.remotes.get_mut(place.get(&places)).unwrap().push(None);
            }
            Move::Watch { repository, behind } => self.watch(repository, *behind),
            Move::Step { which, how } => self.step(which, *how),
            Move::Late { which } => {
                let known: Vec<Effect> = self.world.effects.values().cloned().collect();
                let effect = which.get(&known);
                if !self.world.system.due.contains_key(&effect.id) {
                    let before = self.world.system.clone();
                    self.world.answer(&effect.id, Outcome::Step(failed("late")));
                    let mut after = self.world.system.clone();
                    (after.seq, after.at_ms) = (before.seq, before.at_ms);
                    assert_eq!(after, before, "a late outcome changes nothing");
                }
            }
            Move::Fire { which } => self.fire(which),
            Move::Ask { by, what, run } => self.ask(by, *what, run),
            Move::Clock { by_ms } => self.world.now_ms += by_ms,
            Move::Reload { variant } => self.world.load(variant.get(&VARIANTS).clone()),
            Move::Git { quick } => self.world.git_is_quick = *quick,
            Move::Nudge { which } => nudge_any(&mut self.world, which),
        }
        self.look();
    }

    fn watch(&mut self, which: &Index, behind: usize) {
        let known: Vec<RepositoryName> = self.world.system.repositories.keys().cloned().collect();
        let repository = which.get(&known).clone();
        let effect = self.world.watch_of(&repository);
        let least = self.lengths[&effect].clone();
        let heads = self.world.look(&repository, |stage, len| {
            len.saturating_sub(behind).max(least[&(repository.clone(), stage.clone())])
        });
        let unreachable = Outcome::Unreachable { error: "no route".to_owned() };
        self.world.answer(&effect, if behind == 2 && which.index(3) == 0 { unreachable } else { heads });
    }

    fn step(&mut self, which: &Index, how: u8) {
        let done_by_a_driver = |effect: &&Effect| {
            matches!(effect.kind, EffectKind::Step { .. } | EffectKind::Notify { .. } | EffectKind::Authors { .. })
        };
        let effects: Vec<Effect> = self.world.system.due.values().filter(done_by_a_driver).cloned().collect();
        if effects.is_empty() {
            return;
        }
        let effect = which.get(&effects).clone();
        if matches!(effect.kind, EffectKind::Authors { .. }) {
            let retry = Attribution::Retry { error: "no route".to_owned(), after_ms: None };
            return match how {
                0..=4 => drop(self.world.answer(&effect.id, Outcome::Authors(retry))),
                _ => drop(self.world.git_answers(&effect)),
            };
        }
        if matches!(effect.kind, EffectKind::Notify { .. }) {
            let delivery = match how {
                0 | 1 => Delivery::Retry { error: "busy".to_owned(), after_ms: None },
                2 => Delivery::Failed { error: "no such user".to_owned(), hint: "correct it".to_owned() },
                _ => Delivery::Delivered,
            };
            self.world.answer(&effect.id, Outcome::Notice(delivery));
            return;
        }
        let outcome = match how {
            0 => Outcome::Step(again("busy")),
            1 => Outcome::Step(StepOutcome::Retry { error: "slow".to_owned(), after_ms: Some(HOUR_MS * 2) }),
            2 => Outcome::Step(failed("no")),
            3 | 4 => Outcome::Step(pending(10_000)),
            5 => Outcome::Step(StepOutcome::Cancelled),
            6 => Outcome::Fired,
            7 | 8 => return drop(self.done_by(&effect)),
            _ => return self.succeeds(&effect),
        };
        self.world.answer(&effect.id, outcome);
    }

    /// What an effect has done, a commit only once; it may be answered later, or never.
    fn done_by(&mut self, effect: &Effect) -> Outcome {
        let EffectKind::Step { run, step, .. } = &effect.kind else { panic!("{effect:?}") };
        let run = self.world.run(run.as_str());
        let key = run.key(&self.world.system.rules().unwrap().system, run.step(step).unwrap());
        if let Some(done) = self.committed.get(&key) {
            return done.clone();
        }
        let outcome = self.world.success(effect);
        if matches!(&outcome, Outcome::Step(StepOutcome::Done { made, .. }) if made.moved().is_some()) {
            self.committed.insert(key, outcome.clone());
        }
        outcome
    }

    /// A step succeeds. I3, also for what merges and ways back bring: what was in flight on a commit that a set has replaced
    /// pins nothing over what came with the set.
    fn succeeds(&mut self, effect: &Effect) {
        let EffectKind::Step { run: id, step, .. } = &effect.kind else { panic!("{effect:?}") };
        let run = self.world.run(id.as_str());
        if let (Task::Action(Action::Commit(commit)), Some(source)) = (&*run.step(step).unwrap().task, &run.source) {
            let moved = self.moved.get(&(source.repository.clone(), commit.repository.clone(), run.stage.clone()));
            let is_older = moved.is_some_and(|moved| self.position(&source.commit) < self.position(moved));
            assert!(!is_older, "I3: {id} pins what a set replaced: {run:#?}");
        }
        let outcome = self.done_by(effect);
        self.world.answer(&effect.id, outcome);
        let run = self.world.run(id.as_str());
        let made: BTreeMap<&RepositoryName, CommitId> = run
            .steps
            .iter()
            .filter(|step| matches!(*step.task, Task::Merge(_) | Task::Restore(_)) && step.state == StepState::Done)
            .filter_map(|step| Some((step.task.moves()?, step.made.head()?.clone())))
            .collect();
        for (one, commit) in &made {
            for other in made.keys().filter(|other| *other != one) {
                self.moved.insert(((*one).clone(), (*other).clone(), run.stage.clone()), commit.clone());
            }
        }
    }

    fn fire(&mut self, which: &Index) {
        let of_clock = |effect: &&Effect| matches!(effect.kind, EffectKind::Timer(_));
        let timers: Vec<Effect> = self.world.system.due.values().filter(of_clock).cloned().collect();
        if timers.is_empty() {
            return;
        }
        let timer = which.get(&timers);
        // Seldom is it fired too early, by somebody whose clock goes before ours.
        if which.index(8) > 0 {
            self.world.now_ms = self.world.now_ms.max(timer.due_ms);
        }
        self.world.answer(&timer.id, Outcome::Fired);
    }

    fn ask(&mut self, by: &Index, what: u8, run: &Index) {
        let by = by.get(&["ada@qa", "grace@release-managers", "linus@release-managers", "mallory@nobody"]);
        let runs: Vec<String> = self.world.system.runs.values().map(|run| run.id.to_string()).collect();
        let at = *run.get(&["dev", "qa", "main"]);
        let id = if runs.is_empty() { "deliver-99" } else { run.get(&runs).as_str() };
        let command = match what {
            0..=2 => approve(id),
            3 => Command::Reject { run: tidegate_engine::engine::RunId::new(id), reason: "no".to_owned() },
            4 => retry(id),
            5 => abort(id),
            6 => unlock("webshop", at),
            7 => promote(at, "main"),
            8 => Command::Withdraw { run: tidegate_engine::engine::RunId::new(id) },
            9 => pause(),
            10 => Command::Resume,
            11 => freeze((run.index(4) > 0).then_some(at), self.world.now_ms + HOUR_MS),
            12 => Command::Thaw { freeze: format!("freeze-{}", run.index(4)) },
            13 => Command::Override {
                freeze: format!("freeze-{}", run.index(4)),
                run: tidegate_engine::engine::RunId::new(id),
                reason: "it must".to_owned(),
            },
            14 => Command::Hotfix { what: id.to_owned(), reason: "it must".to_owned() },
            15..=22 => self.of_versions(what, at, id, run),
            _ => run_rule(["package", "bake", "deliver", "report", "nothing"][run.index(5)], at),
        };
        drop(self.world.ask(by, command));
    }

    /// A command about versions.
    fn of_versions(&self, what: u8, at: &str, id: &str, which: &Index) -> Command {
        match what {
            15 | 16 => roll_back(at, self.version(at, which).as_deref()),
            17 if which.index(2) == 0 => pin(at, self.version(at, which).as_deref()),
            17 | 18 => unpin(at),
            19 => self.vetoed(which),
            20 => lift_veto(self.world.system.versions.vetoes.keys().next().map_or("none", String::as_str)),
            21 => take_back(id),
            _ => match self.version(at, which) {
                Some(version) => promote_version(at, if at == "dev" { "qa" } else { "main" }, &version),
                None => roll_back(at, None),
            },
        }
    }

    /// A version of a stage, or none.
    fn version(&self, at: &str, which: &Index) -> Option<String> {
        let known = self.world.system.versions_of(&stage(at));
        let place = which.index(known.len() + 1);
        known.get(place).map(|version| version.verified.run.to_string())
    }

    /// A veto of a commit or artifact that there is.
    fn vetoed(&self, which: &Index) -> Command {
        let runs = self.world.system.runs.values();
        let commits = runs.clone().flat_map(|run| run.set.values().map(ToString::to_string));
        let artifacts = runs.flat_map(|run| &run.steps).flat_map(|step| step.artifacts.iter());
        let names: Vec<String> = commits.chain(artifacts.map(|artifact| artifact.name.to_string())).collect();
        veto(if names.is_empty() { "sha256:none" } else { which.get(&names).as_str() })
    }

    /// Every watch looks that has something to tell: another head, or none where a set was moved to.
    fn watches_look(&mut self) -> bool {
        let system = &self.world.system;
        let rules = system.rules().unwrap();
        let is_news = |(place, commits): (&(RepositoryName, StageName), &Vec<Option<Made>>)| {
            let is_known = rules.repositories.contains_key(&place.0) && rules.stages.contains_key(&place.1);
            let head = system.head(&place.0, &place.1);
            let moved = system.moved.get(&place.1).and_then(|moved| moved.get(&place.0));
            let is_behind = head.zip(moved).is_some_and(|(head, moved)| moved.order > head.order);
            let there = commits.last().and_then(Option::as_ref).map(|made| &made.commit);
            let differs = head.map(|head| &head.commit) != there;
            (is_known && (is_behind || differs)).then(|| place.0.clone())
        };
        let news: BTreeSet<RepositoryName> = self.world.remotes.iter().filter_map(is_news).collect();
        for repository in &news {
            self.world.watch(repository);
        }
        !news.is_empty()
    }

    /// People do what a run says that waits at its fan-in; of several the one that is furthest up.
    fn people_start_what_is_awaited(&mut self) -> bool {
        let Some(waiting) = self.world.system.live_runs().filter(|run| run.waits_at_fan_in()).last() else {
            return false;
        };
        let (told, at) = (self.world.waits_for(waiting.id.as_str()).ended_by, waiting.stage.to_string());
        let words: Vec<&str> = told.split(['`', ' ']).collect();
        let after = |word: &str| words.iter().position(|other| *other == word).map(|at| words[at + 1]);
        let command = match (after("start"), after("retry")) {
            (Some(rule), _) => run_rule(rule, &at),
            (None, Some(run)) => retry(run),
            (None, None) => return false,
        };
        self.world.ask("zoe@release-managers", command).is_ok()
    }

    /// Everything outside goes well from here on, people say yes, and clocks go on: every run ends.
    fn rests(&mut self) {
        self.world.git_is_quick = true;
        for _ in 0..MOST_EVENTS_TO_REST {
            self.look();
            if self.world.live().is_empty() {
                return;
            }
            if let Some(effect) = self.world.step_effects().into_iter().next() {
                self.succeeds(&effect);
            } else if let Some(asked) = self.world.asks_git().into_iter().next() {
                self.world.now_ms = self.world.now_ms.max(asked.due_ms);
                self.world.git_answers(&asked);
            } else if !self.people_say_yes()
                && !self.gates_open()
                && !self.watches_look()
                && !self.people_start_what_is_awaited()
            {
                let waits = self.world.live().into_iter().map(|run| (self.world.waits_for(&run), run));
                panic!("nothing can end {:#?}", waits.collect::<Vec<_>>());
            }
        }
        let waits: Vec<_> = self.world.live().into_iter().map(|run| (self.world.waits_for(&run), run)).collect();
        let ended = self.world.ended.iter().rev().take(3).map(|run| (&run.id, &run.stage, run.state, &run.reason));
        panic!("it never comes to rest: {waits:#?}, after {:#?}", ended.collect::<Vec<_>>());
    }

    fn people_say_yes(&mut self) -> bool {
        let mut commands = Vec::new();
        if self.world.system.paused.is_some() {
            commands.push(Command::Resume);
        }
        for run in self.world.system.live_runs().filter(|run| run.asking().is_some()) {
            commands.push(approve(run.id.as_str()));
        }
        commands.extend(self.world.system.versions.pinned.keys().map(|at| unpin(at.as_str())));
        for (key, target) in &self.world.system.targets {
            if target.life == TargetLife::Broken {
                let (name, at) = key.target().unwrap();
                commands.push(unlock(name.as_str(), at.as_str()));
            }
        }
        let asks = commands.into_iter().flat_map(|command| {
            ["zoe@release-managers", "yan@release-managers", "kim@qa"].map(|by| (by, command.clone()))
        });
        let mut any = false;
        for (by, command) in asks.collect::<Vec<_>>() {
            any |= self.world.ask(by, command).is_ok();
        }
        any
    }

    fn gates_open(&mut self) -> bool {
        let gate = |effect: &&Effect| ["gate/", "freeze-"].iter().any(|start| effect.id.as_str().starts_with(start));
        let Some(effect) = self.world.system.due.values().filter(gate).min_by_key(|effect| effect.due_ms).cloned()
        else {
            return false;
        };
        self.world.now_ms = self.world.now_ms.max(effect.due_ms);
        self.world.answer(&effect.id, Outcome::Fired);
        true
    }
}

/// So many histories, for who asks something else of them.
pub(super) fn random(count: u32) -> impl Iterator<Item = World> {
    random_moves(count, (0..VARIANTS.len(), prop::collection::vec(moves(), 1..90))).map(|(variant, moves)| {
        let mut history = History::new(variant);
        moves.iter().for_each(|step| history.play(step));
        history.world
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: super::support::cases(), ..ProptestConfig::default() })]

    #[test]
    fn what_always_holds_holds_after_every_event(
        variant in 0..VARIANTS.len(), deliveries in prop_oneof![3 => Just(0), 1 => 2_usize..4], moves in prop::collection::vec(moves(), 1..120), at in any::<Index>(),
    ) {
        let mut history = History::new(variant);
        history.deliver(deliveries);
        for step in &moves {
            history.play(step);
        }
        history.rests();
        let world = &history.world;
        world.replays(at.index(world.log.len()));
        prop_assert!(world.ended.iter().all(|run| run.state.is_ended() && run.state != RunState::Ending));
    }
}
