//! I7 on random histories: every waiting thing names what it waits for and who or what can end it; since when does not
//! depend on when it is asked; nothing passes before the moment that was said; and the commands that are named are
//! granted, and move it on.

use std::collections::BTreeMap;

use tidegate_engine::{
    engine::{
        Command, CommitId, EffectId, Event, Outcome, Principal, Recorded, Refused, RunId, StepState, System,
        explain::{self, Condition, Verdict},
        step,
    },
    rules::{RepositoryName, RuleName, StageName, TargetName},
};

use super::support::{HOUR_MS, World, person, repository, stage};

/// After how many events the commands are tried that somebody is told to give: each is tried on a copy of the state.
const TRIES_EVERY: usize = 9;

/// What was said so far.
#[derive(Default)]
pub(super) struct Told {
    /// The steps that were said not to pass before a moment.
    steps: BTreeMap<(RunId, String), i64>,
    /// The commits that were said not to be in a stage before a moment.
    commits: BTreeMap<(RepositoryName, CommitId, &'static str), i64>,
    /// When each pending effect is due.
    due: BTreeMap<EffectId, i64>,
    seen: usize,
    /// Whether a recorded time was before another, which no store does, or a timer fired before its time, which moves the
    /// time of what comes of it on: then nothing can be said of times.
    went_back: bool,
}

impl Told {
    /// After every event.
    pub(super) fn look(&mut self, world: &World) {
        let news = &world.log[self.seen..];
        let begin = self.seen.saturating_sub(1);
        self.went_back |= world.log[begin..].windows(2).any(|pair| pair[1].at_ms < pair[0].at_ms);
        let fired = |recorded: &&Recorded<Event>| {
            matches!(&recorded.event, Event::Outcome { outcome: Outcome::Fired, .. }) && !self.is_in_time(recorded)
        };
        self.went_back |= news.iter().any(|recorded| fired(&recorded));
        if news.iter().any(|recorded| !self.is_in_time(recorded)) {
            (self.steps, self.commits) = (BTreeMap::new(), BTreeMap::new());
        }
        self.seen = world.log.len();
        self.runs(world);
        self.journeys(world);
        self.due = world.system.due.iter().map(|(id, effect)| (id.clone(), effect.due_ms)).collect();
        if world.log.len().is_multiple_of(TRIES_EVERY) {
            commands_help(world);
        }
    }

    /// Whether only the world outside and the clock had a say: commands and rules may make anything earlier, and a driver
    /// does nothing before it is due.
    fn is_in_time(&self, recorded: &Recorded<Event>) -> bool {
        match &recorded.event {
            Event::Outcome { outcome: Outcome::Heads { .. } | Outcome::Unreachable { .. }, .. } => true,
            Event::Outcome { effect, .. } => self.due.get(effect).is_none_or(|due_ms| *due_ms <= recorded.at_ms),
            _ => false,
        }
    }

    fn runs(&mut self, world: &World) {
        let now_ms = world.system.at_ms;
        for ((run, name), earliest_ms) in std::mem::take(&mut self.steps) {
            let step = world.run(run.as_str()).steps.iter().find(|step| step.id.as_str() == name).cloned();
            let is_done = step.is_some_and(|step| step.state == StepState::Done);
            let in_time = self.went_back || !is_done || earliest_ms <= now_ms;
            assert!(in_time, "I7: {run} {name} was not to pass before {earliest_ms}, and has at {now_ms}");
        }
        for run in world.system.live_runs() {
            let chain = world.chain(run.id.as_str());
            assert!(chain.iter().any(|condition| condition.verdict == Verdict::Waiting), "I7: {}: {chain:#?}", run.id);
            assert_explained(&chain);
            let known = run.created_ms..=now_ms;
            let in_life = chain.iter().all(|condition| known.contains(&condition.since_ms));
            assert!(self.went_back || in_life, "I7: since before {}, or to come: {chain:#?}", run.id);
            let later = explain::chain(&after(&world.system), run);
            assert_eq!(since(&chain), since(&later), "I7: {}: time alone changes since when", run.id);
            let said = chain.into_iter().filter_map(|said| Some(((run.id.clone(), said.name), said.earliest_ms?)));
            self.steps.extend(said);
        }
    }

    /// Some commits, each time others, so that all of them are asked about in time.
    fn journeys(&mut self, world: &World) {
        let known: Vec<_> =
            world.remotes.iter().flat_map(|(place, made)| made.iter().map(move |made| (place, made))).collect();
        let ((of, _), made) = known[world.log.len() % known.len()];
        let Some(made) = made else { return };
        let later = after(&world.system);
        for to in ["dev", "qa", "main"] {
            let journey = world.journey(of.as_str(), &made.commit, to);
            assert!(!journey.summary.is_empty() && !journey.conditions.is_empty(), "I7: {journey:#?}");
            assert_explained(&journey.conditions);
            let again = explain::journey(&later, &world.ancestry(of, &made.commit), of, &made.commit, &stage(to));
            assert_eq!(
                (journey.since_ms, since(&journey.conditions)),
                (again.since_ms, since(&again.conditions)),
                "I7"
            );
            let place = (repository(of.as_str()), made.commit.clone(), to);
            let said = self.commits.remove(&place).filter(|_| journey.verdict == Verdict::Passed && !self.went_back);
            let in_time = said.is_none_or(|earliest_ms| earliest_ms <= world.system.at_ms);
            assert!(in_time, "I7: not to be in {to} before {said:?}: {journey:#?}");
            self.commits.extend(journey.earliest_ms.map(|earliest_ms| (place, earliest_ms)));
        }
    }
}

fn assert_explained(conditions: &[Condition]) {
    for condition in conditions {
        let named = !condition.name.is_empty() && !condition.what.is_empty();
        let ended_by = condition.verdict == Verdict::Passed || !condition.ended_by.is_empty();
        assert!(named && ended_by, "I7: {condition:#?}");
    }
}

fn since(conditions: &[Condition]) -> Vec<(&str, i64)> {
    conditions.iter().map(|condition| (condition.name.as_str(), condition.since_ms)).collect()
}

/// The same state, an hour later.
fn after(system: &System) -> System {
    let mut later = system.clone();
    later.at_ms += HOUR_MS;
    later
}

/// Who waits is told commands: each of them is granted to somebody who may, and what it is to end moves on.
fn commands_help(world: &World) {
    for run in world.system.live_runs() {
        for condition in world.chain(run.id.as_str()) {
            let later = ["when it has ended", "git"];
            let at_once = Some(&condition.ended_by).filter(|by| !later.iter().any(|then| by.starts_with(then)));
            for command in at_once.into_iter().flat_map(|by| by.split('`').skip(1).step_by(2)) {
                let Some(told) = command_of(command) else { continue };
                let mut system = world.system.clone();
                if let Err(refused) = give(&mut system, &told) {
                    let nobodys = matches!(refused, Refused::NotAllowed { .. });
                    assert!(nobodys, "I7: {} {}: {command}: {refused}", run.id, condition.name);
                    continue;
                }
                let ends_a_hold = ["thaw", "override", "resume", "unpin", "unlock"];
                if !ends_a_hold.iter().any(|verb| command.starts_with(&format!("tidegate {verb}"))) {
                    continue;
                }
                let live = system.run(&run.id).filter(|run| !run.state.is_ended());
                let now = live.map(|run| explain::chain(&system, run)).unwrap_or_default();
                let stays = now.iter().any(|now| {
                    now.verdict == Verdict::Waiting && (&now.name, &now.what) == (&condition.name, &condition.what)
                });
                assert!(!stays, "I7: {} {}: {command} changes nothing", run.id, condition.name);
            }
        }
    }
}

/// Somebody gives it who may.
pub(super) fn give(system: &mut System, command: &Command) -> Result<(), Refused> {
    let people = ["zoe@release-managers", "kim@qa"].map(person);
    let mut offer = |by: Principal| {
        let event = Event::Command { by, command: command.clone(), key: None };
        step(system, &Recorded { seq: system.seq + 1, at_ms: system.at_ms, event }).map(drop)
    };
    let [zoe, kim] = people;
    offer(zoe).or_else(|_| offer(kim))
}

/// The command that is meant by what a person would type, where the engine decides it.
fn command_of(typed: &str) -> Option<Command> {
    let words: Vec<&str> = typed.split(' ').collect();
    let run = |id: &str| RunId::new(id);
    let at = |name: &str| StageName::new(name).unwrap();
    let reason = || "it must".to_owned();
    Some(match words.as_slice() {
        ["tidegate", "approve", id] => Command::Approve { run: run(id), digest: None },
        ["tidegate", "reject", id, "--reason", "…"] => Command::Reject { run: run(id), reason: reason() },
        ["tidegate", "abort", id] => Command::Abort { run: run(id), reason: reason() },
        ["tidegate", "resume"] => Command::Resume,
        ["tidegate", "thaw", freeze] => Command::Thaw { freeze: (*freeze).to_owned() },
        ["tidegate", "override", freeze, id, "--reason", "…"] => {
            Command::Override { freeze: (*freeze).to_owned(), run: run(id), reason: reason() }
        }
        ["tidegate", "unpin", stage] => Command::Unpin { stage: at(stage) },
        ["tidegate", "unlock", target, "--stage", stage] => {
            Command::Unlock { target: TargetName::new(target).unwrap(), stage: at(stage) }
        }
        ["tidegate", "run", "start", rule, "--stage", stage] => {
            Command::Run { rule: RuleName::new(rule).unwrap(), stage: at(stage), on: None }
        }
        ["tidegate", "retry", id] => Command::Retry { run: run(id) },
        _ => return None,
    })
}
