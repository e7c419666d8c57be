//! Targets: what a run makes of how its target stands, what people see of a plan, and how a target lives.

use proptest::{prelude::*, sample::Index};
use serde_json::json;
use tidegate_engine::{
    engine::{
        Command, Effect, EffectKind, Event, Nudge, Observation, Outcome, Phase, Run, RunState, Standing, StepOutcome,
        StepState, TargetKey, TargetLife, target::diagram,
    },
    rules::{Operation, TargetName},
};

use super::support::{
    HOUR_MS, MINUTE_MS, World, abort, again, approve, failed, freeze, observe, operate, pause, pending, random_moves,
    retry, rules, stage, unlock,
};

const SHOP: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, main: { environment: Production } }
repositories: { infrastructure: { url: n.git } }
targets:
  shop: { queue: fifo, observe: 1h, approvals: { delete: { count: 1, from: [managers] } } }
  nightly: { kind: job, cancel_updates: true, queue: supersede }
rules:
  deliver:
    on: { push: infrastructure }
    target: shop
    steps:
      - synth: { template: template.yaml }
      - approve: { stages: { main: { count: 1, from: [managers] } } }
      - deploy: {}
      - verify: { http: 'https://{{stage}}.example' }
  clean:
    on: { manual: true, repository: infrastructure }
    target: nightly
    steps:
      - deploy: { command: [./clean], variables: { depth: 3, stage: '{{stage}}' } }
";

fn looks(world: &mut World, standing: Standing) {
    world.looks = Observation::of(standing);
}

fn moving() -> Standing {
    Standing::Moving { what: "an update is in progress".to_owned(), by_whom: Some("linus".to_owned()) }
}

fn stuck() -> Standing {
    Standing::Stuck { why: "UPDATE_ROLLBACK_FAILED".to_owned(), way_out: "`tidegate target recover shop`".to_owned() }
}

fn life(world: &World, at: &str) -> TargetLife {
    world.system.targets[&TargetKey::Target(TargetName::new("shop").unwrap(), stage(at))].life
}

/// A delivery to a stage has come to its deployment, and looks.
fn comes_to_deploy(at: &str) -> World {
    let mut world = World::new(SHOP);
    world.push("infrastructure", at);
    world.done("deliver-1", "synth");
    world
}

/// All of a run's steps by name.
fn steps(run: &Run) -> Vec<String> {
    run.steps.iter().map(|step| step.id.to_string()).collect()
}

#[test]
fn what_is_absent_is_created_and_what_is_there_is_updated() {
    let mut world = comes_to_deploy("dev");
    looks(&mut world, Standing::Absent);
    world.does("deliver-1", "deploy");
    assert_eq!(life(&world, "dev"), TargetLife::Provisioning);
    assert_eq!(steps(&world.run("deliver-1")), ["synth", "approve", "deploy/create", "deploy", "verify"]);
    assert_eq!(world.effect("deliver-1", "deploy").id.as_str(), "deliver-1/deploy/create.1#1");
    looks(&mut world, Standing::Stable);
    world.done("deliver-1", "deploy");
    world.done("deliver-1", "verify");
    assert_eq!((world.state("deliver-1"), life(&world, "dev")), (RunState::Done, TargetLife::Available));

    world.push("infrastructure", "dev");
    let next = world.newest("deliver");
    world.done(&next, "synth");
    world.does(&next, "deploy");
    assert_eq!(life(&world, "dev"), TargetLife::Busy);
    assert!(world.run(&next).steps.iter().any(|step| step.id.as_str() == "deploy/update"));
}

#[test]
fn a_run_waits_while_somebody_else_is_at_its_target_and_says_so() {
    let mut world = comes_to_deploy("dev");
    looks(&mut world, moving());
    world.does("deliver-1", "deploy");
    let waiting = world.waits_for("deliver-1");
    assert_eq!(waiting.for_what, "deploy: shop: an update is in progress, by linus");
    assert!(world.acts("deliver-1", "deploy").is_empty(), "nothing is done meanwhile");
    looks(&mut world, Standing::Undoing { what: "an update".to_owned() });
    world.does("deliver-1", "deploy");
    assert_eq!(world.waits_for("deliver-1").for_what, "deploy: shop: taken back: an update");
    looks(&mut world, Standing::Stable);
    world.done("deliver-1", "deploy");
    assert_eq!(world.step_state("deliver-1", "deploy"), StepState::Done);
}

#[test]
fn a_wait_for_somebody_else_ends_at_the_deadline_and_leaves_the_target_usable() {
    let mut world = comes_to_deploy("dev");
    looks(&mut world, moving());
    world.does("deliver-1", "deploy");
    world.later(2 * HOUR_MS);
    world.does("deliver-1", "deploy");
    assert_eq!(world.phase("deliver-1", "deploy"), Phase::Cancel);
    let effect = world.effect("deliver-1", "deploy").id;
    world.answer(&effect, Outcome::Step(StepOutcome::Cancelled));
    assert_eq!(world.state("deliver-1"), RunState::Failed);
    // The queue is `fifo`: it is an operator's business then.
    assert_eq!(life(&world, "dev"), TargetLife::Broken);
    world.asked("ada", unlock("shop", "dev"));
    assert_eq!(life(&world, "dev"), TargetLife::Available);
}

#[test]
fn what_is_stuck_fails_the_run_with_the_way_out() {
    let mut world = comes_to_deploy("dev");
    looks(&mut world, stuck());
    world.does("deliver-1", "deploy");
    let step = world.step("deliver-1", "deploy");
    assert_eq!(step.error.as_deref(), Some("shop is stuck: UPDATE_ROLLBACK_FAILED"));
    assert_eq!(step.hint.as_deref(), Some("`tidegate target recover shop`"));
    assert!(world.acts("deliver-1", "deploy").is_empty());
}

#[test]
fn what_moves_is_cancelled_where_the_target_says_so() {
    let mut world = World::new(SHOP);
    world.asked("ada", super::support::run_rule("clean", "dev"));
    looks(&mut world, moving());
    world.does("clean-1", "deploy");
    assert_eq!(steps(&world.run("clean-1")), ["deploy/cancel-job", "deploy"]);
    looks(&mut world, Standing::Stable);
    world.does("clean-1", "deploy/cancel-job");
    // It looks again, and only then plans what it came for.
    world.does("clean-1", "deploy");
    assert_eq!(steps(&world.run("clean-1")), ["deploy/cancel-job", "deploy/run", "deploy"]);
    world.done("clean-1", "deploy");
    assert_eq!(world.state("clean-1"), RunState::Done);
    // What is still moving then is waited for: it is cancelled once.
    world.asked("ada", super::support::run_rule("clean", "dev"));
    looks(&mut world, moving());
    world.does("clean-2", "deploy");
    world.does("clean-2", "deploy/cancel-job");
    world.does("clean-2", "deploy");
    assert_eq!(world.waits_for("clean-2").for_what, "deploy: nightly: an update is in progress, by linus");
}

#[test]
fn people_see_the_plan_before_they_are_asked() {
    let mut world = comes_to_deploy("main");
    let step = world.step("deliver-1", "deploy/plan");
    assert_eq!((step.state, &step.outputs["acts"]), (StepState::Done, &json!(["update"])));
    assert_eq!(world.step_state("deliver-1", "approve"), StepState::Active);
    assert!(world.acts("deliver-1", "deploy").is_empty(), "only a plan: nobody has the target");
    world.asked("grace@managers", approve("deliver-1"));
    world.done("deliver-1", "deploy");
    assert_eq!(world.step_state("deliver-1", "deploy"), StepState::Done);
    // Where nobody is asked, nothing is planned before.
    world.push("infrastructure", "dev");
    assert!(world.run(&world.newest("deliver")).steps.iter().all(|step| step.id.as_str() != "deploy/plan"));
}

#[test]
fn a_plan_that_became_harsher_voids_the_approval_and_says_why() {
    let mut world = comes_to_deploy("main");
    world.asked("grace@managers", approve("deliver-1"));
    // Somebody deleted it meanwhile: what was to be updated would be made anew.
    looks(&mut world, Standing::Absent);
    world.does("deliver-1", "deploy");
    let asks = world.step("deliver-1", "approve");
    assert_eq!((asks.state, asks.answers.len()), (StepState::Active, 0));
    assert_eq!(asks.void[0].because, "shop@main was seen otherwise since: now shop is created");
    assert_eq!(world.step("deliver-1", "deploy/plan").outputs["changes"], json!(["shop is created"]));
    assert_eq!(life(&world, "main"), TargetLife::Unprovisioned, "it is given back");
    world.asked("grace@managers", approve("deliver-1"));
    world.does("deliver-1", "deploy");
    looks(&mut world, Standing::Stable);
    world.done("deliver-1", "deploy");
    assert_eq!(world.step_state("deliver-1", "deploy"), StepState::Done);
}

#[test]
fn a_plan_that_became_milder_runs() {
    let mut world = World::new(SHOP);
    looks(&mut world, Standing::Absent);
    world.push("infrastructure", "main");
    world.done("deliver-1", "synth");
    assert_eq!(world.step("deliver-1", "deploy/plan").outputs["changes"], json!(["shop is created"]));
    world.asked("grace@managers", approve("deliver-1"));
    looks(&mut world, Standing::Stable);
    world.done("deliver-1", "deploy");
    assert_eq!(world.step_state("deliver-1", "deploy"), StepState::Done);
}

#[test]
fn the_target_is_seen_at_a_question_whoever_is_at_it() {
    let mut world = World::new(SHOP);
    looks(&mut world, moving());
    world.push("infrastructure", "main");
    world.done("deliver-1", "synth");
    assert_eq!(world.step_state("deliver-1", "approve"), StepState::Active, "the question does not wait for it");
}

#[test]
fn a_failed_act_fails_the_run_and_the_target_is_looked_at_once_more() {
    let mut world = comes_to_deploy("dev");
    world.does("deliver-1", "deploy");
    let act = world.effect("deliver-1", "deploy/update").id;
    world.answer(&act, Outcome::Step(failed("no capacity")));
    assert_eq!(world.state("deliver-1"), RunState::Ending, "how it stands is not known yet");
    assert_eq!(world.phase("deliver-1", "deploy"), Phase::Poll);
    world.does("deliver-1", "deploy");
    assert_eq!((world.state("deliver-1"), life(&world, "dev")), (RunState::Failed, TargetLife::Broken));
    assert_eq!(world.run("deliver-1").reason.as_deref(), Some("deploy/update failed: no capacity"));
    assert_eq!(world.step("deliver-1", "deploy").error.as_deref(), Some("no capacity"));

    world.asked("ada", unlock("shop", "dev"));
    world.asked("ada", retry("deliver-1"));
    assert_eq!(steps(&world.run("deliver-1")), ["synth", "approve", "deploy", "verify"], "it is planned anew");
    world.does("deliver-1", "deploy");
    let run = world.run("deliver-1");
    let key = run.key(&world.system.rules().unwrap().system, &world.step("deliver-1", "deploy/update"));
    assert!(key.as_str().ends_with("/deploy/update/2"), "{key}");
    assert_eq!(key.parts().unwrap().step.as_str(), "deploy/update");
    world.done("deliver-1", "deploy");
    assert_eq!(world.step_state("deliver-1", "deploy"), StepState::Done);
}

#[test]
fn what_an_aborted_run_leaves_is_seen_before_anybody_has_the_target() {
    for (standing, expected) in [
        (Standing::Stable, TargetLife::Available),
        (stuck(), TargetLife::Broken),
        (Standing::Absent, TargetLife::Unprovisioned),
    ] {
        let mut world = comes_to_deploy("dev");
        world.does("deliver-1", "deploy");
        world.answers("deliver-1", "deploy", pending(1_000));
        world.asked("ada", abort("deliver-1"));
        assert_eq!(world.phase("deliver-1", "deploy/update"), Phase::Cancel);
        assert!(world.step("deliver-1", "deploy").effect.is_none(), "it waits for its act");
        let cancelled = world.effect("deliver-1", "deploy/update").id;
        world.answer(&cancelled, Outcome::Step(StepOutcome::Cancelled));
        looks(&mut world, moving());
        world.does("deliver-1", "deploy");
        assert_eq!(world.state("deliver-1"), RunState::Ending, "something still moves");
        looks(&mut world, standing);
        world.does("deliver-1", "deploy");
        assert_eq!((world.state("deliver-1"), life(&world, "dev")), (RunState::Aborted, expected));
    }
}

#[test]
fn a_deployment_that_ends_stuck_or_absent_is_none() {
    for (standing, said) in
        [(stuck(), "shop@dev is stuck: UPDATE_ROLLBACK_FAILED"), (Standing::Absent, "shop@dev is not there")]
    {
        let mut world = comes_to_deploy("dev");
        world.does("deliver-1", "deploy");
        world.does("deliver-1", "deploy/update");
        looks(&mut world, standing);
        world.does("deliver-1", "deploy");
        assert_eq!(world.step("deliver-1", "deploy").error.as_deref(), Some(said));
        assert_eq!(world.state("deliver-1"), RunState::Failed);
    }
}

#[test]
fn what_was_begun_is_neither_paused_nor_frozen_half_way() {
    let mut world = comes_to_deploy("dev");
    world.asked("ada", pause());
    world.asked("ada", freeze(None, world.now_ms + HOUR_MS));
    world.done("deliver-1", "deploy");
    assert_eq!(world.step_state("deliver-1", "deploy"), StepState::Done);
}

#[test]
fn a_look_that_does_not_answer_is_tried_again() {
    let mut world = comes_to_deploy("dev");
    let look = world.effect("deliver-1", "deploy").id;
    world.answer(&look, Outcome::Step(again("no route to it")));
    let waiting = world.waits_for("deliver-1");
    assert!(waiting.for_what.contains("no route to it"), "{}", waiting.for_what);
    let look = world.effect("deliver-1", "deploy").id;
    world.answer(&look, Outcome::Step(StepOutcome::Observed(Observation::of(Standing::Stable))));
    assert_eq!(world.step_state("deliver-1", "deploy/update"), StepState::Active);
}

#[test]
fn a_target_is_provisioned_deleted_and_made_again() {
    let mut world = World::new(SHOP);
    looks(&mut world, Standing::Absent);
    world.asked("ada", operate(Operation::Provision, "shop", "dev"));
    world.does("provision-1", "provision");
    assert_eq!(life(&world, "dev"), TargetLife::Provisioning);
    looks(&mut world, Standing::Stable);
    world.done("provision-1", "provision");
    assert_eq!((world.state("provision-1"), life(&world, "dev")), (RunState::Done, TargetLife::Available));
    let refused = world.ask("ada", operate(Operation::Provision, "shop", "dev")).unwrap_err();
    assert!(refused.to_string().contains("shop@dev is AVAILABLE"), "{refused}");

    world.asked("ada", operate(Operation::Delete, "shop", "dev"));
    assert_eq!(life(&world, "dev"), TargetLife::DeleteScheduled, "it waits for people");
    assert_eq!(world.step("delete-2", "delete/plan").outputs["changes"], json!(["shop is removed"]));
    let refused = world.ask("ada", operate(Operation::Delete, "shop", "dev")).unwrap_err();
    assert!(refused.to_string().contains("delete-2 is on its way"), "{refused}");
    // Four eyes: whoever asks does not answer.
    let refused = world.ask("ada@managers", approve("delete-2")).unwrap_err();
    assert!(refused.to_string().contains("they wrote themselves"), "{refused}");
    // Somebody deploys meanwhile; the deletion still waits then.
    world.push("infrastructure", "dev");
    let deliver = world.newest("deliver");
    world.done(&deliver, "synth");
    world.done(&deliver, "deploy");
    world.done(&deliver, "verify");
    assert_eq!(life(&world, "dev"), TargetLife::DeleteScheduled);
    world.asked("grace@managers", approve("delete-2"));
    world.does("delete-2", "delete");
    assert_eq!(life(&world, "dev"), TargetLife::Deleting);
    looks(&mut world, Standing::Absent);
    world.done("delete-2", "delete");
    assert_eq!((world.state("delete-2"), life(&world, "dev")), (RunState::Done, TargetLife::Deleted));
    let key = TargetKey::Target(TargetName::new("shop").unwrap(), stage("dev"));
    assert!(world.system.targets[&key].deployed.is_none());
    let refused = world.ask("ada", operate(Operation::Delete, "shop", "dev")).unwrap_err();
    assert!(refused.to_string().contains("is deleted already"), "{refused}");
}

#[test]
fn a_deletion_that_nobody_approves_leaves_the_target_as_it_was() {
    let mut world = comes_to_deploy("dev");
    world.done("deliver-1", "deploy");
    world.done("deliver-1", "verify");
    world.asked("ada", operate(Operation::Delete, "shop", "dev"));
    let delete = world.newest("delete");
    world.asked(
        "grace@managers",
        Command::Reject { run: tidegate_engine::engine::RunId::new(delete), reason: "no".to_owned() },
    );
    assert_eq!(life(&world, "dev"), TargetLife::Available);
}

#[test]
fn what_is_still_there_was_not_deleted() {
    let mut world = comes_to_deploy("dev");
    world.done("deliver-1", "deploy");
    world.done("deliver-1", "verify");
    world.asked("ada", operate(Operation::Delete, "shop", "dev"));
    let delete = world.newest("delete");
    world.asked("grace@managers", approve(&delete));
    world.does(&delete, "delete");
    world.does(&delete, "delete/delete");
    world.does(&delete, "delete");
    assert_eq!(world.step(&delete, "delete").error.as_deref(), Some("shop@dev is still there"));
    assert_eq!(life(&world, "dev"), TargetLife::Broken, "its queue is `fifo`");
}

#[test]
fn what_is_stuck_and_broken_is_recovered() {
    let mut world = comes_to_deploy("dev");
    looks(&mut world, stuck());
    world.does("deliver-1", "deploy");
    assert_eq!(life(&world, "dev"), TargetLife::Broken);
    world.asked("ada", operate(Operation::Recover, "shop", "dev"));
    let recover = world.newest("recover");
    world.does(&recover, "recover");
    looks(&mut world, Standing::Stable);
    world.done(&recover, "recover");
    assert_eq!((world.state(&recover), life(&world, "dev")), (RunState::Done, TargetLife::Available));
    world.asked("ada", operate(Operation::Recover, "shop", "dev"));
    let recover = world.newest("recover");
    world.does(&recover, "recover");
    assert_eq!(world.step(&recover, "recover").error.as_deref(), Some("shop is stable, not stuck"));
}

#[test]
fn a_job_stands_nowhere() {
    let mut world = World::new(SHOP);
    for operation in [Operation::Provision, Operation::Delete, Operation::Recover] {
        world.asked("ada", operate(operation, "nightly", "dev"));
        let run = world.newest(operation.name());
        world.does(&run, operation.name());
        let error = world.step(&run, operation.name()).error.unwrap();
        assert!(error.starts_with("nightly is a job, of which nothing stands"), "{error}");
    }
}

#[test]
fn what_another_hand_changed_is_told_until_it_is_back() {
    let mut world = comes_to_deploy("dev");
    world.looks.saw.insert("image".to_owned(), json!("ami-1"));
    world.done("deliver-1", "deploy");
    world.done("deliver-1", "verify");
    let drift = |world: &World| {
        let target = &world.system.targets[&TargetKey::Target(TargetName::new("shop").unwrap(), stage("dev"))];
        target.outside.as_ref().unwrap().drift.clone()
    };
    world.is_looked_at("shop@dev");
    assert!(drift(&world).is_empty());
    world.looks.saw.insert("image".to_owned(), json!("ami-2"));
    world.is_looked_at("shop@dev");
    let found = drift(&world);
    assert_eq!((found[0].name.as_str(), &found[0].was, &found[0].is), ("image", &json!("ami-1"), &json!("ami-2")));
    let seq = world.facts.last().unwrap().len();
    world.is_looked_at("shop@dev");
    assert!(world.facts.last().unwrap().len() < seq, "once for each difference");
    world.looks.saw.insert("image".to_owned(), json!("ami-1"));
    world.is_looked_at("shop@dev");
    assert!(drift(&world).is_empty());
    looks(&mut world, Standing::Absent);
    world.is_looked_at("shop@dev");
    assert_eq!(life(&world, "dev"), TargetLife::Unprovisioned, "somebody deleted it");
}

#[test]
fn nobody_looks_at_rest_while_a_run_has_the_target() {
    let mut world = comes_to_deploy("dev");
    world.does("deliver-1", "deploy");
    let refused = world.ask("ada", observe("shop", "dev")).unwrap_err();
    assert!(refused.to_string().contains("deliver-1 has shop@dev"), "{refused}");
    looks(&mut world, Standing::Absent);
    world.is_looked_at("shop@dev");
    assert_eq!(life(&world, "dev"), TargetLife::Busy);
}

#[test]
fn a_nudge_has_a_target_at_rest_looked_at_now() {
    let mut world = comes_to_deploy("dev");
    world.done("deliver-1", "deploy");
    world.done("deliver-1", "verify");
    let look = |world: &World| {
        let looks = |effect: &&Effect| matches!(&effect.kind, EffectKind::Observe { target } if target.to_string() == "shop@dev");
        world.system.due.values().find(looks).unwrap().due_ms
    };
    assert!(look(&world) > world.now_ms);
    let what = Nudge::Target { target: TargetName::new("shop").unwrap(), stage: stage("dev") };
    world.record(Event::Nudged { what, delivery: "1".parse().unwrap(), by: None });
    assert_eq!(look(&world), world.now_ms);
}

#[test]
fn a_target_that_cannot_be_looked_at_says_so_and_is_tried_again() {
    let mut world = World::new(SHOP);
    world.asked("ada", observe("nightly", "main"));
    let looks = |effect: &&Effect| matches!(&effect.kind, EffectKind::Observe { target } if target.to_string() == "nightly@main");
    let look = world.system.due.values().find(looks).unwrap().id.clone();
    world.answer(&look, Outcome::Unobserved { error: "no route".to_owned() });
    let target = &world.system.targets[&TargetKey::Target(TargetName::new("nightly").unwrap(), stage("main"))];
    assert_eq!(target.outside.as_ref().unwrap().unseen.as_deref(), Some("no route"));
    assert_eq!(world.system.due.values().find(looks).unwrap().due_ms, world.now_ms + MINUTE_MS);
}

#[test]
fn a_target_that_is_renamed_keeps_its_life_and_one_that_is_taken_out_is_kept() {
    let mut world = comes_to_deploy("dev");
    world.done("deliver-1", "deploy");
    world.done("deliver-1", "verify");
    let renamed = SHOP.replace("  shop: {", "  store: { was: shop,").replace("target: shop", "target: store");
    world.load(rules(&renamed));
    let key = |name: &str| TargetKey::Target(TargetName::new(name).unwrap(), stage("dev"));
    assert!(!world.system.targets.contains_key(&key("shop")));
    assert!(world.system.targets[&key("store")].deployed.is_some());
    let without = SHOP.replace(
        "  shop: { queue: fifo, observe: 1h, approvals: { delete: { count: 1, from: [managers] } } }\n",
        "  other: {}\n",
    );
    world.load(rules(&without.replace("target: shop", "target: other")));
    assert!(world.system.targets[&key("store")].deployed.is_some(), "it exists outside");
    world.asked("ada", operate(Operation::Delete, "store", "dev"));
    let delete = world.newest("delete");
    world.does(&delete, "delete");
    looks(&mut world, Standing::Absent);
    world.done(&delete, "delete");
    assert_eq!(world.system.targets[&key("store")].life, TargetLife::Deleted);
}

#[test]
fn the_document_draws_the_life_that_targets_have() {
    let document = include_str!("../../../../docs/targets.md");
    assert!(document.contains(&diagram()), "docs/targets.md is to have:\n{}", diagram());
}

/// What may happen next in a random history.
#[derive(Debug, Clone)]
enum Move {
    Push(bool),
    Stands(Standing),
    Answer(Index, u8),
    Ask(Index, u8),
    Later(i64),
}

fn any_move() -> impl Strategy<Value = Move> {
    let standing = prop_oneof![
        4 => Just(Standing::Stable),
        2 => Just(Standing::Absent),
        1 => Just(moving()),
        1 => Just(Standing::Undoing { what: "an update".to_owned() }),
        1 => Just(stuck()),
    ];
    prop_oneof![
        2 => any::<bool>().prop_map(Move::Push),
        4 => standing.prop_map(Move::Stands),
        12 => (any::<Index>(), 0_u8..10).prop_map(|(which, how)| Move::Answer(which, how)),
        5 => (any::<Index>(), 0_u8..9).prop_map(|(which, what)| Move::Ask(which, what)),
        1 => (1_i64..90).prop_map(|minutes| Move::Later(minutes * MINUTE_MS)),
    ]
}

fn carry_out(world: &mut World, step: &Move) {
    match step {
        Move::Push(to_main) => drop(world.push("infrastructure", if *to_main { "main" } else { "dev" })),
        Move::Stands(standing) => looks(world, standing.clone()),
        Move::Later(by_ms) => world.later(*by_ms),
        Move::Answer(which, how) => {
            let due: Vec<Effect> = world
                .system
                .due
                .values()
                .filter(|effect| matches!(effect.kind, EffectKind::Step { .. } | EffectKind::Observe { .. }))
                .cloned()
                .collect();
            if due.is_empty() {
                return;
            }
            let effect = which.get(&due).clone();
            world.now_ms = world.now_ms.max(effect.due_ms);
            let outcome = match (&effect.kind, how) {
                (EffectKind::Observe { .. }, 0) => Outcome::Unobserved { error: "no route".to_owned() },
                (EffectKind::Observe { .. }, _) => Outcome::Observed(world.looks.clone()),
                (EffectKind::Step { phase: Phase::Cancel, .. }, 0..=6) => Outcome::Step(StepOutcome::Cancelled),
                (_, 0) => Outcome::Step(failed("no capacity")),
                (_, 1) => Outcome::Step(again("throttled")),
                (_, 2) => Outcome::Step(pending(1_000)),
                _ => world.success(&effect),
            };
            world.answer(&effect.id, outcome);
        }
        Move::Ask(which, what) => {
            let runs: Vec<String> = world.system.runs.values().map(|run| run.id.to_string()).collect();
            let run = if runs.is_empty() { "deliver-1".to_owned() } else { which.get(&runs).clone() };
            let command = match what {
                0 => abort(&run),
                1 => retry(&run),
                2 | 3 => approve(&run),
                4 => operate(Operation::Provision, "shop", "main"),
                5 => operate(Operation::Delete, "shop", "main"),
                6 => operate(Operation::Recover, "shop", "main"),
                7 => unlock("shop", "main"),
                _ => observe("shop", "main"),
            };
            let by = if matches!(what, 2 | 3) { "grace@managers" } else { "ada" };
            // What is refused changes nothing, which the world looks at.
            drop(world.ask(by, command));
        }
    }
}

/// I1 to I11 hold after every event, whatever stands how, whoever fails and whoever asks: the world looks at them.
#[test]
fn whatever_stands_how_nothing_acts_unseen_and_nothing_harsher_than_approved() {
    let histories = super::support::cases();
    for history in random_moves(histories, prop::collection::vec(any_move(), 20..120)) {
        let mut world = World::new(SHOP);
        for step in &history {
            carry_out(&mut world, step);
        }
        world.replays(world.log.len() / 2);
    }
}
