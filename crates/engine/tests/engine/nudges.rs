//! Something outside may be news: what looks for it is due now, once for each delivery.

use proptest::sample::Index;
use tidegate_engine::{
    engine::{Access, DeliveryId, EffectKind, Event, Fact, Grant, Nudge, Principal, Refused, Role, RunId},
    rules::{StepId, TargetName},
};

use super::support::{HOUR_MS, MINUTE_MS, NOON_MS, World, pending, repository, stage};

const SHOP: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, main: { environment: Production } }
repositories: { software: { url: s.git, poll: 1h }, tools: { url: t.git } }
targets: { shop: { queue: fifo } }
rules:
  deliver:
    on: { push: software }
    target: shop
    steps:
      - synth: { template: template.yaml }
      - deploy: {}
";

fn nudge(what: Nudge, delivery: &str) -> Event {
    Event::Nudged { what, delivery: delivery.parse().unwrap(), by: None }
}

fn software() -> Nudge {
    Nudge::Repository { repository: repository("software") }
}

fn step_of(run: &str, step: Option<&str>) -> Nudge {
    Nudge::Run { run: RunId::new(run), step: step.map(|step| StepId::new(step).unwrap()) }
}

/// Somebody says that there may be news of something that is pending.
pub(super) fn nudge_any(world: &mut World, which: &Index) {
    let due = world.system.due.values().filter_map(|effect| match &effect.kind {
        EffectKind::Watch { repository } => Some(Nudge::Repository { repository: repository.clone() }),
        EffectKind::Step { run, step, .. } => Some(Nudge::Run { run: run.clone(), step: Some(step.clone()) }),
        _ => None,
    });
    let due: Vec<Nudge> = due.collect();
    if !due.is_empty() {
        let delivery = format!("nudge-{}", world.system.seq);
        world.record(nudge(which.get(&due).clone(), &delivery));
    }
}

/// A run whose deployment is polled again in five minutes.
fn polled(world: &mut World) -> String {
    world.push("software", "dev");
    let run = world.live().pop().unwrap();
    world.done(&run, "synth");
    world.answers(&run, "deploy", pending(5 * MINUTE_MS));
    assert_eq!(world.effect(&run, "deploy").due_ms, world.now_ms + 5 * MINUTE_MS);
    run
}

#[test]
fn a_repository_is_looked_at_now_by_the_watch_that_is_at_it() {
    let mut world = World::new(SHOP);
    let watch = world.watch_of(&repository("software"));
    assert_eq!(world.rows[&watch].due_ms, NOON_MS + HOUR_MS);
    world.later(MINUTE_MS);
    let decision = world.record(nudge(software(), "push-1"));
    assert_eq!(world.rows[&watch].due_ms, NOON_MS + MINUTE_MS, "the same watch, so that nobody begins anew");
    assert_eq!((decision.due.len(), decision.dropped.len()), (1, 0), "and of no other repository");
}

#[test]
fn news_of_a_look_that_began_before_the_nudge_is_followed_by_another_look() {
    let mut world = World::new(SHOP);
    let (software, dev) = (repository("software"), stage("dev"));
    world.commit(&software, &dev, "ada", None);
    let seen = world.look(&software, |_, length| length);
    world.commit(&software, &dev, "ada", None);
    world.record(nudge(Nudge::Repository { repository: software.clone() }, "push-2"));
    world.answer(&world.watch_of(&software), seen);
    assert_eq!(world.rows[&world.watch_of(&software)].due_ms, world.now_ms, "what was pushed since is seen at once");
    world.watch(&software);
    assert_eq!(world.rows[&world.watch_of(&software)].due_ms, world.now_ms + HOUR_MS, "one nudge, one more look");
    assert_eq!(world.live().len(), 2);
}

#[test]
fn a_delivery_counts_once() {
    let mut world = World::new(SHOP);
    world.record(nudge(software(), "push-1"));
    let (seq, delivery) = (world.system.seq, "push-1".parse::<DeliveryId>().unwrap());
    assert_eq!(world.offer(nudge(software(), "push-1")), Err(Refused::Delivered { delivery }));
    assert_eq!(world.system.seq, seq, "it is not in the log");
    world.record(nudge(software(), "push-2"));
    for number in 0..256 {
        world.record(nudge(software(), &format!("other-{number}")));
    }
    assert_eq!(world.system.deliveries.len(), 256, "a bounded memory");
    world.record(nudge(software(), "push-1"));
}

#[test]
fn what_proceeds_outside_is_polled_now_by_whatever_name_it_goes() {
    let target = Nudge::Target { target: TargetName::new("shop").unwrap(), stage: stage("dev") };
    let handle = Nudge::Handle { handle: "job-1".to_owned() };
    let names: [fn(&str) -> Nudge; 2] = [|run| step_of(run, None), |run| step_of(run, Some("deploy"))];
    let nudges = |run: &str| [names[0](run), names[1](run), target.clone(), handle.clone()];
    for number in 0..4 {
        let mut world = World::new(SHOP);
        let run = polled(&mut world);
        world.later(MINUTE_MS);
        world.record(nudge(nudges(&run)[number].clone(), "ended"));
        assert_eq!(world.effect(&run, "deploy").due_ms, NOON_MS + MINUTE_MS, "{number}");
        // The poll may have been on its way already, so another follows; and then it is as it was.
        world.answers(&run, "deploy", pending(5 * MINUTE_MS));
        assert_eq!(world.effect(&run, "deploy").due_ms, world.now_ms);
        world.answers(&run, "deploy", pending(5 * MINUTE_MS));
        assert_eq!(world.effect(&run, "deploy").due_ms, world.now_ms + 5 * MINUTE_MS);
        world.settle();
        assert_eq!(world.live(), Vec::<String>::new());
    }
}

#[test]
fn what_waits_for_nothing_outside_is_left_alone() {
    let mut world = World::new(SHOP);
    world.push("software", "dev");
    let run = world.live().pop().unwrap();
    // It is about to start: there is nothing to poll.
    for (number, what) in
        [step_of(&run, None), Nudge::Handle { handle: "of somebody else".to_owned() }].into_iter().enumerate()
    {
        let decision = world.record(nudge(what, &format!("early-{number}")));
        let facts = decision.facts.iter().filter(|fact| !matches!(fact, Fact::Delivered { .. })).count();
        assert_eq!(facts, 0);
    }
}

#[test]
fn a_nudge_about_what_is_not_there_is_refused_and_can_be_sent_again() {
    let mut world = World::new(SHOP);
    let unknown = [
        (
            Nudge::Repository { repository: repository("sofware") },
            "there is no repository `sofware`; there are: software, tools",
        ),
        (step_of("deliver-9", None), "there is no run `deliver-9`"),
        (
            Nudge::Target { target: TargetName::new("bank").unwrap(), stage: stage("dev") },
            "there is no target `bank` in dev",
        ),
    ];
    for (what, why) in unknown {
        let refused = world.offer(nudge(what, "early")).unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
    let run = polled(&mut world);
    let refused = world.offer(nudge(step_of(&run, Some("bake")), "early")).unwrap_err();
    assert!(refused.to_string().contains("has no step `bake`; its steps are synth, deploy"), "{refused}");
    world.record(nudge(software(), "early"));
}

#[test]
fn who_may_not_look_may_not_have_looked() {
    let mut world = World::new(SHOP);
    let grants = vec![Grant { role: Role::Admin, to: vec!["ada".to_owned()], systems: Vec::new(), stages: Vec::new() }];
    world.record(Event::AccessLoaded { access: Access { grants, ..Access::default() } });
    let by = |name: &str| Event::Nudged {
        what: software(),
        delivery: "by-hand".parse().unwrap(),
        by: Some(Principal::named(name)),
    };
    let refused = world.offer(by("otto")).unwrap_err();
    assert!(
        refused.to_string().starts_with("otto may not look at software: it needs the permission `view`"),
        "{refused}"
    );
    world.record(by("ada"));
    assert!(
        "".parse::<DeliveryId>().is_err()
            && "a b".parse::<DeliveryId>().is_err()
            && "x".repeat(201).parse::<DeliveryId>().is_err()
    );
}
