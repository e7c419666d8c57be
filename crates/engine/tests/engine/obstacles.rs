//! One list of obstacles: it decides and it explains. In random histories, a step whose list is empty has started, the first
//! obstacle is the one that is shown and the one whose removal changes what happens, and what is ended is in the list no more.

use tidegate_engine::engine::{
    Command, Event, Outcome, Recorded, Run, RunState, StepRun, StepState, System, TargetKey, explain,
    obstacles::{Obstacle, Shut, obstacles},
    plan::Task,
    step as engine_step,
};

use super::{
    explained::give,
    support::{HOUR_MS, NOON_MS, World, freeze, lift_veto, pause, person, pin, stage, unlock, unpin, verified::SHOP},
};

/// After how many events obstacles are ended, each on a copy of the state.
const ENDS_EVERY: usize = 7;

/// After every event.
pub(super) fn look(world: &World) {
    let system = &world.system;
    for run in system.live_runs().filter(|run| run.state == RunState::Running) {
        for step in run.steps.iter().filter(|step| step.state == StepState::Ready) {
            let list = listed(system, run, step);
            let Some(first) = list.first() else { panic!("{} {} is kept by nothing: {run:#?}", run.id, step.id) };
            let shown = explain::step(system, run, step).unwrap();
            let waits = first.waiting(system, run, step).unwrap_or_else(|| panic!("{first:?} was to be decided"));
            assert!(shown.for_what.starts_with(&waits.for_what), "{waits:?} is first, and shown is {shown:?}");
            if world.log.len().is_multiple_of(ENDS_EVERY) {
                (0..list.len()).for_each(|at| ends(system, run, step, at));
            }
        }
    }
}

fn listed<'system>(system: &'system System, run: &'system Run, step: &'system StepRun) -> Vec<Obstacle<'system>> {
    obstacles(system, run, step, system.at_ms)
}

/// What ends an obstacle, if that is simple: a command, or its alarm.
fn end_of(system: &System, run: &Run, obstacle: &Obstacle<'_>) -> Option<Event> {
    let command = match obstacle {
        Obstacle::Pause(_) => Command::Resume,
        Obstacle::Freeze(name, _) => Command::Thaw { freeze: (*name).to_owned() },
        Obstacle::Window(_) => {
            let window = run.steps.iter().find(|step| matches!(*step.task, Task::Window { .. }))?;
            let effect = window.effect.clone().filter(|effect| system.due.contains_key(effect))?;
            return Some(Event::Outcome { effect, outcome: Outcome::Fired, waited_ms: 0 });
        }
        Obstacle::Pin(_) => unpin(run.stage.as_str()),
        Obstacle::Veto(reason) => lift_veto(reason.split_once(" is vetoed by ").unwrap().0),
        Obstacle::Broken(key, _) => {
            let (target, at) = key.target().unwrap();
            unlock(target.as_str(), at.as_str())
        }
        _ => return None,
    };
    Some(Event::Command { by: person("grace"), command, key: None })
}

/// An obstacle is ended, on a copy. The first one: the step starts, or another is the first. Another one: all stays as it is,
/// and the list does not have it any more.
fn ends(system: &System, run: &Run, step: &StepRun, at: usize) {
    let list = listed(system, run, step);
    let obstacle = &list[at];
    let Some(event) = end_of(system, run, obstacle) else { return };
    let mut ended = system.clone();
    match event {
        Event::Command { command, .. } => give(&mut ended, &command).unwrap(),
        event => {
            let Obstacle::Window(Shut { opens_ms: Ok(opens_ms), .. }) = obstacle else { return };
            let at_ms = system.at_ms.max(*opens_ms);
            drop(engine_step(&mut ended, &Recorded { seq: system.seq + 1, at_ms, event }).unwrap());
        }
    }
    let now = ended.run(&run.id).and_then(|run| Some((run, run.step(&step.id)?)));
    let now = now.filter(|(run, now)| run.state == RunState::Running && now.state == step.state);
    let left = now.map(|(run, step)| listed(&ended, run, step)).unwrap_or_default();
    let stays = left.iter().any(|other| is_same(obstacle, other));
    assert!(!stays, "{} {}: the end of {obstacle:?} leaves it", run.id, step.id);
    let first = left.first();
    if at == 0 {
        assert!(now.is_none() || first.is_some(), "{} {} is kept by nothing after {obstacle:?}", run.id, step.id);
        return;
    }
    let stays = first.is_some_and(|first| is_same(&list[0], first));
    assert!(stays, "{} {}: the end of {obstacle:?} changes what happens, and {:?} was first", run.id, step.id, list[0]);
}

fn is_same(one: &Obstacle<'_>, other: &Obstacle<'_>) -> bool {
    match (one, other) {
        (Obstacle::Freeze(one, _), Obstacle::Freeze(other, _)) => one == other,
        (Obstacle::Veto(one), Obstacle::Veto(other)) => one == other,
        _ => std::mem::discriminant(one) == std::mem::discriminant(other),
    }
}

#[test]
fn all_that_holds_a_merge_is_said_in_one_order_and_each_is_ended_by_its_own() {
    let window = "to: qa, requires: { window: 'daily 12:00-13:00 UTC' } }";
    let mut world = World::new(&SHOP.replace("to: qa }", window));
    world.reproducible = true;
    world.deliver_in_dev();
    world.settle();
    world.deliver_in_dev();
    let run = world.newest("promote");
    world.asked("grace", pin("qa", None));
    world.asked("grace", freeze(Some("qa"), NOON_MS + 3 * HOUR_MS));
    world.later(HOUR_MS);
    world.settle();
    world.asked("grace", pause());
    let waits = |world: &World| {
        let (run, merge) = (world.run(&run), world.step(&run, "merge-software"));
        assert_eq!(merge.state, StepState::Ready);
        let shown = explain::step(&world.system, &run, &merge).unwrap();
        assert!(matches!(listed(&world.system, &run, &merge).last(), Some(Obstacle::Lane(_, None))));
        let named = ["the pause", "freeze-1", "the window", "the pin of qa"];
        let parts: Vec<String> = shown.for_what.split("; and ").map(str::to_owned).collect();
        let named = named.into_iter().filter(|name| parts.iter().any(|part| part.contains(name)));
        assert!(parts.iter().zip(named.clone()).all(|(part, name)| part.contains(name)), "{parts:?}");
        named.collect::<Vec<_>>()
    };
    assert_eq!(waits(&world), ["the pause", "freeze-1", "the window", "the pin of qa"]);
    world.asked("grace", Command::Resume);
    assert_eq!(waits(&world), ["freeze-1", "the window", "the pin of qa"]);
    world.asked("grace", unpin("qa"));
    assert_eq!(waits(&world), ["freeze-1", "the window"]);
    world.fires_timer("freeze-1#");
    assert_eq!(waits(&world), ["the window"]);
    assert_eq!(world.system.targets[&TargetKey::Promotions(stage("qa"))].holder, None);
    world.fires(&run, "window");
    assert_eq!(world.step_state(&run, "merge-software"), StepState::Blocked, "what was checked is checked again");
    world.settle();
    assert_eq!(world.step_state(&run, "merge-software"), StepState::Done);
}
