//! What keeps a step from starting: one list, in one order. A step starts exactly when its list is empty; until then the
//! first obstacle decides what becomes of it, and `explain` puts the list into words (I7). Nothing here changes the state.

use super::{
    gate::approval::unseen,
    ids::{PinAt, TargetKey},
    run::{Run, RunState, Subject},
    state::{Freeze, Pause, Pinned, Policy, System},
    step_run::{StepRun, StepState},
    task::Task,
};
use crate::rules::{Action, HotfixLane, Moves, RepositoryName, StepId, TargetLife, Window};

/// One thing that keeps a step from starting or, where it has started, a gate from passing.
#[derive(Debug, Clone, PartialEq)]
pub enum Obstacle<'a> {
    /// The pause.
    Pause(&'a Pause),
    /// A freeze, by its name.
    Freeze(&'a str, &'a Freeze),
    /// The window of its promotion is shut.
    Window(Shut<'a>),
    /// Its stage is pinned at another version.
    Pin(&'a Pinned),
    /// What it would move is vetoed, for this reason.
    Veto(String),
    /// What the first step made would be deployed, and was not shown to those who approved at the second.
    Unseen(&'a StepId, &'a StepId),
    /// What its run combines is not yet made from the same commits.
    FanIn,
    /// The other systems of its release.
    Members,
    /// Its target is broken, for this reason.
    Broken(&'a TargetKey, &'a str),
    /// Its run does not have the lane yet: it is another run's turn, or its own.
    Lane(&'a TargetKey, Option<&'a Run>),
    /// These gates passed unasked because nothing differed, and now something does.
    Unasked(Vec<StepId>),
    /// A run that moves the repositories of the stage as one set.
    Mover(&'a Run),
    /// A run that commits to the same repository.
    Writer(&'a Run, &'a RepositoryName),
    /// A pin that it would set is of a newer commit already, as this says (I3).
    NewerPin(String),
    /// Its run is of a hotfix, which skips it.
    Hotfix,
    /// It is a gate, and waits for the clock or for people.
    Gate,
}

/// A window that is shut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shut<'a> {
    /// As the rules write it.
    pub window: &'a str,
    /// Whether holidays keep it shut.
    pub has_holidays: bool,
    /// When it was open last: milliseconds since 1970, UTC.
    pub since_ms: Option<i64>,
    /// When it opens: milliseconds since 1970, UTC. Or why it never does.
    pub opens_ms: Result<i64, String>,
}

/// What an obstacle means for a run whose step has come to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Means {
    /// The step waits.
    Wait,
    /// It waits as the newest of its kind: older runs give way to its run, which keeps nobody from the lane.
    StandAside,
    /// Its run takes the lane, or its place in the queue.
    Queue,
    /// It is skipped.
    Skip,
    /// These gates ask people, and what comes after them is done again.
    AskAgain(Vec<StepId>),
    /// It fails, with this error and this hint.
    Fail(String, String),
    /// Its run ends so, for this reason.
    End(RunState, String),
}

/// All that keeps a step from starting at this moment: what is asked first comes first. Of a step that has started, what
/// keeps it from passing; empty for one that works or has ended.
#[must_use]
pub fn obstacles<'a>(system: &'a System, run: &'a Run, step: &'a StepRun, now_ms: i64) -> Vec<Obstacle<'a>> {
    let kind = step.task.kind();
    match step.state {
        StepState::Done | StepState::Failed | StepState::Cancelled => Vec::new(),
        StepState::Active if *step.task == Task::FanIn => vec![Obstacle::FanIn],
        StepState::Active if kind.is_gate() => vec![Obstacle::Gate],
        StepState::Active if kind.moves == Moves::Others => {
            holds(system, run, step, now_ms).chain([Obstacle::Members]).collect()
        }
        StepState::Active => Vec::new(),
        // Nothing of it has begun: it waits for its lane, whatever else is held.
        StepState::Blocked | StepState::Ready if run.state == RunState::Queued => {
            lane(system, run).into_iter().collect()
        }
        StepState::Blocked | StepState::Ready => before_start(system, run, step, now_ms).collect(),
    }
}

/// What keeps a step of a run that goes on from starting, each looked for when it is asked for.
pub(super) fn before_start<'a>(
    system: &'a System,
    run: &'a Run,
    step: &'a StepRun,
    now_ms: i64,
) -> impl Iterator<Item = Obstacle<'a>> {
    let one = |obstacle: fn(&'a System, &'a Run, &'a StepRun) -> Option<Obstacle<'a>>| {
        std::iter::once_with(move || obstacle(system, run, step)).flatten()
    };
    holds(system, run, step, now_ms)
        .chain(one(|system, run, step| {
            let moves = step.task.kind().moves_something();
            moves.then(|| system.vetoed_run(run)).flatten().map(Obstacle::Veto)
        }))
        .chain(one(|_, run, step| unseen(run, step).map(|(made, asked)| Obstacle::Unseen(&made.id, &asked.id))))
        .chain(one(|system, run, step| {
            let holds = step.task.kind().holds_target;
            holds.then(|| lane(system, run).or_else(|| unasked(system, run))).flatten()
        }))
        .chain(one(mover_before))
        .chain(one(writer_before))
        .chain(one(newer_pin))
        .chain((run.hotfix.is_some() && step.skippable).then_some(Obstacle::Hotfix))
}

/// What holds a step whatever else is free: people and the clock end it. A pause holds everything that is new; a freeze, a
/// window and a pin hold what would move something in their stage.
pub fn holds<'a>(system: &'a System, run: &'a Run, step: &StepRun, now_ms: i64) -> impl Iterator<Item = Obstacle<'a>> {
    let moves = step.task.kind().moves_something();
    let lane = system.rules().and_then(|rules| rules.hotfix.as_ref()).filter(|_| run.hotfix.is_some());
    // No freeze keeps half of a set where it is.
    let half_made = run.subject == Subject::TakeBack || run.steps.iter().any(StepRun::is_begun_move);
    let heeds_freezes = moves && !half_made && !lane.is_some_and(HotfixLane::skips_freezes);
    let freezes = system.freezes.iter().filter(move |(_, freeze)| {
        heeds_freezes && freeze.is_of(&run.stage) && !freeze.overrides.contains_key(&run.id)
    });
    // A plan that was begun is not left half-way.
    let heeds_pause = step.task.planned_by().is_none();
    let pause = system.paused.iter().filter(move |_| heeds_pause).map(Obstacle::Pause);
    let freezes = freezes.map(|(name, freeze)| Obstacle::Freeze(name, freeze));
    let window = shut(system, run, step, now_ms).map(Obstacle::Window);
    let pin = moves.then(|| kept_out(system, run)).flatten().map(Obstacle::Pin);
    pause.chain(freezes).chain(window).chain(pin)
}

/// The step of a promotion that stands for the window which this step heeds: the promotion comes to it before its merges
/// are checked, and it must be open when the first of them begins.
pub(super) fn heeded_window<'a>(run: &'a Run, step: &StepRun) -> Option<&'a StepRun> {
    let is_window = |step: &StepRun| step.task.is_window();
    let heeds = is_window(step) || matches!(step.task.kind().moves, Moves::Merge | Moves::Others);
    let window = run.steps.iter().find(|step| heeds && is_window(step))?;
    let is_skipped = window.skipped.is_some() || (run.hotfix.is_some() && window.skippable);
    let has_begun = run.steps.iter().any(StepRun::is_begun_merge);
    (!is_skipped && !has_begun).then_some(window)
}

/// The window that this step heeds, while it is shut: until its alarm rings, if one is set.
pub(super) fn shut<'a>(system: &System, run: &'a Run, step: &StepRun, now_ms: i64) -> Option<Shut<'a>> {
    let gate = heeded_window(run, step)?;
    let Task::Window { window, holidays } = &*gate.task else { return None };
    let alarm_ms = gate.effect.as_ref().and_then(|id| system.due.get(id)).map(|effect| effect.due_ms);
    let shut = |since_ms, opens_ms| Shut { window, has_holidays: !holidays.is_empty(), since_ms, opens_ms };
    let parsed = match window.parse::<Window>() {
        Ok(window) => window.except(holidays.clone()),
        Err(error) => return Some(shut(None, Err(error.to_string()))),
    };
    match alarm_ms.or_else(|| parsed.next_opening(now_ms)) {
        Some(opens_ms) if alarm_ms.is_none() && opens_ms <= now_ms => None,
        Some(opens_ms) => Some(shut(parsed.shut_since(opens_ms), Ok(opens_ms))),
        None => Some(shut(None, Err(format!("`{window}` never opens again")))),
    }
}

/// The pin that keeps a run from moving anything: its stage is held at another version.
fn kept_out<'a>(system: &'a System, run: &Run) -> Option<&'a Pinned> {
    let pinned = system.versions.pinned.get(&run.stage)?;
    let has_begun = || run.steps.iter().any(StepRun::is_begun_move);
    let allowed = match &run.subject {
        // A pin is of what a stage runs, and whoever operates a target by hand says so.
        Subject::TakeBack | Subject::Rules | Subject::Operation(_) => true,
        Subject::Rollback => has_begun() || system.same_content(&run.set, &pinned.version.verified.set),
        Subject::Rule(_) => system.is_of_version(run, &pinned.version),
        // Never half of a set: what was begun before the pin is finished, and then goes back.
        Subject::Promotion { .. } => has_begun(),
    };
    (!allowed).then_some(pinned)
}

/// What is between a run and its target: one run at a time has it (I1).
pub(super) fn lane<'a>(system: &'a System, run: &'a Run) -> Option<Obstacle<'a>> {
    let key = run.target.as_ref()?;
    let target = system.targets.get(key)?;
    if target.policy == Policy::Parallel || target.holder == Some(run.number) {
        return None;
    }
    // What is broken is recovered or deleted all the same.
    if target.life == TargetLife::Broken && !matches!(run.subject, Subject::Operation(_)) {
        return Some(Obstacle::Broken(key, target.broken.as_deref().unwrap_or("a run failed on it")));
    }
    let first = target.queue.front().and_then(|first| system.numbered(*first));
    let first = first.filter(|first| first.place_in_queue() < run.place_in_queue());
    Some(Obstacle::Lane(key, target.holder.and_then(|holder| system.numbered(holder)).or(first)))
}

/// The gates that nobody was asked at because nothing differed, where something differs now that the run has the target:
/// before, another run could still change what is deployed.
fn unasked<'a>(system: &System, run: &Run) -> Option<Obstacle<'a>> {
    let passed_unasked = |step: &&StepRun| {
        let passes = matches!(&*step.task, Task::Action(Action::Approve(approve)) if approve.pass_if_unchanged);
        passes && step.state == StepState::Done && step.answers.is_empty() && step.task.quorum(&run.stage).is_some()
    };
    let passed = run.steps.iter().filter(passed_unasked).filter(|_| !run.has_begun_on_target());
    let differs = passed.filter(|step| !system.nothing_differs(run, step)).map(|step| step.id.clone());
    Some(differs.collect::<Vec<StepId>>()).filter(|gates| !gates.is_empty()).map(Obstacle::Unasked)
}

/// The promotion or way back that moves the stage's repositories as one set, and that a commit step therefore waits for.
fn mover_before<'a>(system: &'a System, run: &'a Run, step: &'a StepRun) -> Option<Obstacle<'a>> {
    let commits = step.task.kind().moves == Moves::Pins;
    let lane = system.targets.get(&TargetKey::Promotions(run.stage.clone())).filter(|_| commits)?;
    let mover = system.numbered(lane.holder?)?;
    mover.steps.iter().any(StepRun::is_begun_move).then_some(Obstacle::Mover(mover))
}

/// The run whose active step writes to the place that this step is to write to.
fn writer_before<'a>(system: &'a System, run: &'a Run, step: &'a StepRun) -> Option<Obstacle<'a>> {
    let place = step.task.writes_to()?;
    let writes = |other: &StepRun| other.state == StepState::Active && other.task.writes_to() == Some(place);
    let mut of_stage = system.live_runs().filter(|other| other.stage == run.stage);
    Some(Obstacle::Writer(of_stage.find(|other| other.steps.iter().any(writes))?, place))
}

/// A commit step has nothing to say any more: a pin that it would set is of a newer commit (I3).
fn newer_pin<'a>(system: &'a System, run: &'a Run, step: &'a StepRun) -> Option<Obstacle<'a>> {
    let Task::Action(Action::Commit(commit)) = &*step.task else { return None };
    let order = (run.source.as_ref()?.order, run.number);
    commit.set.keys().find_map(|pointer| {
        let key = PinAt::of(commit, &run.stage, pointer);
        let pin = system.pins.get(&key).filter(|pin| (pin.order, pin.run_number) > order)?;
        let (place, by, source) = (&commit.repository, &pin.by.run, pin.source.short());
        let said =
            format!("`{pointer}` in {place} {} was already set by {by} from the newer commit {source}", run.stage);
        Some(Obstacle::NewerPin(said))
    })
}

impl Obstacle<'_> {
    /// What it means for the run of a step that is ready.
    pub(super) fn means(&self) -> Means {
        match self {
            Self::Window(Shut { opens_ms: Err(error), .. }) => {
                Means::Fail(error.clone(), "mend the window in the rules".to_owned())
            }
            Self::Freeze(..) | Self::Window(_) | Self::Pin(_) => Means::StandAside,
            Self::Veto(reason) => Means::End(RunState::Failed, reason.clone()),
            Self::Unseen(made, asked) => Means::Fail(
                format!("what {made} made was not shown to those who approved at {asked}"),
                format!("move `{made}` before `{asked}` in the rules, then start anew"),
            ),
            Self::Broken(..) | Self::Lane(..) => Means::Queue,
            Self::Unasked(gates) => Means::AskAgain(gates.clone()),
            Self::NewerPin(reason) => Means::End(RunState::Superseded, reason.clone()),
            Self::Hotfix => Means::Skip,
            Self::Pause(_) | Self::FanIn | Self::Members | Self::Mover(_) | Self::Writer(..) | Self::Gate => {
                Means::Wait
            }
        }
    }
}
