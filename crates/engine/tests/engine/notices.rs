//! Notices: who is told of what, in which words, and what becomes of a notice that nobody takes.

use std::collections::BTreeSet;

use tidegate_engine::{
    engine::{
        Command, Delivery, Digest, Effect, EffectKind, Event, MOST_GIVEN_UP, MOST_UNDELIVERED, MOST_UNTRIED, Message,
        NOTICE_ATTEMPTS, Outcome, RunId, RunState, StepState, Work, work,
    },
    rules::{Notice, SystemName},
};

use super::support::{
    HOUR_MS, NOON_MS, World, abort, again, approve, failed, observe, promote, retry, roll_back, unlock, veto,
};

const SHOP: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, qa: { environment: QA } }
repositories: { infrastructure: { url: n.git } }
targets: { shop: { queue: fifo } }
rules:
  deliver:
    on: { push: infrastructure }
    target: shop
    steps:
      - synth: { template: template.yaml }
      - lint: {}
      - approve: { stages: { dev: { count: 2, from: [managers] } } }
      - deploy: {}
  archive:
    on: { push: infrastructure }
    stages: [dev]
    steps: [package: {}]
promotions:
  - { from: dev, to: qa, start: manual }
hotfix: { skips: [soak] }
";

/// What people decide is told besides.
const DECISIONS: &str = "
  - on: [resumed, thawed, overridden, hotfix, approved, rejected, withdrawn]
    via: hook
";

/// Everything is told to a webhook.
const ALL: &str = "
notifications:
  - on: [approval_wanted, run_done, run_failed, deployed, promoted, target_broken, paused, frozen, rolled_back, vetoed, rules_refused, target_drifted]
    via: hook
";

fn told(notifications: &str) -> World {
    World::new(&format!("{SHOP}{notifications}"))
}

/// The notices that are pending, as (notice, rule or nothing, subject).
fn pending(world: &World) -> Vec<(Notice, String)> {
    let undelivered = world.system.notices.undelivered.values();
    undelivered.map(|undelivered| (undelivered.message.notice, undelivered.message.subject.clone())).collect()
}

fn message(world: &World, notice: Notice) -> Message {
    let mut found = world.system.notices.undelivered.values().map(|undelivered| &undelivered.message);
    found.find(|message| message.notice == notice).unwrap_or_else(|| panic!("{:?}", pending(world))).clone()
}

fn effect_of(world: &World, number: u64) -> Effect {
    world.system.due[&world.system.notices.undelivered[&number].effect].clone()
}

fn tried(world: &mut World, number: u64, delivery: Delivery) {
    let effect = effect_of(world, number);
    world.now_ms = world.now_ms.max(effect.due_ms);
    world.answer(&effect.id, Outcome::Notice(delivery));
}

fn busy(after_ms: Option<i64>) -> Delivery {
    Delivery::Retry { error: "421 busy".to_owned(), after_ms }
}

fn refused() -> Delivery {
    Delivery::Failed { error: "550 no such user".to_owned(), hint: "correct it".to_owned() }
}

fn freeze(at: Option<&str>) -> Command {
    Command::Freeze { stage: at.map(super::support::stage), until_ms: NOON_MS + HOUR_MS, reason: "holidays".to_owned() }
}

fn pause() -> Command {
    Command::Pause { reason: "the network is down".to_owned() }
}

/// Comes as far as the question whether to deploy.
fn asked(notifications: &str) -> World {
    let mut world = told(notifications);
    world.push("infrastructure", "dev");
    world.done("deliver-1", "synth");
    world.done("deliver-1", "lint");
    world
}

#[test]
fn who_wants_to_be_told_that_approval_is_wanted_is_told_what_to_type() {
    let mut world = asked(ALL);
    let message = message(&world, Notice::ApprovalWanted);
    assert_eq!(message.subject, "[shop] deliver-1 in dev waits for approval");
    assert_eq!(message.at_ms, NOON_MS);
    let fact = |name: &str| message.facts[name].as_str().unwrap();
    assert_eq!((fact("asked"), fact("needed"), fact("environment")), ("managers", "2", "Development"));
    assert_eq!(fact("authors"), "ada <ada@example.com>");
    let digits = fact("command").strip_prefix("tidegate approve deliver-1 --digest ").unwrap();
    let digits = digits.strip_suffix(" --system shop").unwrap().to_owned();
    assert!(
        message.text.contains(&format!("To approve it:  tidegate approve deliver-1 --digest {digits} --system shop\n"))
    );
    // What it says to type is granted, and is of just what was shown.
    let command = Command::Approve { run: RunId::new("deliver-1"), digest: Some(Digest::new(digits)) };
    world.asked("grace@managers", command);
    world.asked("heidi@managers", approve("deliver-1"));
    assert_eq!(world.step_state("deliver-1", "deploy"), StepState::Active);
}

#[test]
fn a_delivery_is_told_and_then_its_run_and_its_promotion() {
    let mut world = asked(ALL);
    world.done("archive-2", "package");
    for who in ["grace@managers", "heidi@managers"] {
        world.asked(who, approve("deliver-1"));
    }
    world.done("deliver-1", "deploy");
    world.asked("ada", promote("dev", "qa"));
    world.settle();
    let subjects: Vec<String> = pending(&world).into_iter().map(|(_, subject)| subject).collect();
    let expected = [
        "[shop] deliver-1 in dev waits for approval",
        "[shop] archive-2 is done in dev",
        "[shop] deliver-1 was deployed to shop in dev",
        "[shop] deliver-1 is done in dev",
        "[shop] promote-3 promoted dev to qa",
        "[shop] deliver-4 was deployed to shop in qa",
        "[shop] deliver-4 is done in qa",
    ];
    assert_eq!(subjects, expected);
    assert_eq!(message(&world, Notice::Promoted).facts["from"], "dev");
}

#[test]
fn a_failure_is_told_with_its_reason_and_a_broken_target_with_the_way_out() {
    let mut world = asked(ALL);
    for who in ["grace@managers", "heidi@managers"] {
        world.asked(who, approve("deliver-1"));
    }
    world.answers("deliver-1", "deploy", failed("no capacity"));
    let run_failed = message(&world, Notice::RunFailed);
    assert!(run_failed.text.contains("Why:     deploy/update failed: no capacity"), "{}", run_failed.text);
    assert!(run_failed.text.contains("Next:    mend it"), "{}", run_failed.text);
    let broken = message(&world, Notice::TargetBroken);
    assert_eq!(broken.subject, "[shop] shop in dev is broken: deliver-1 failed on it");
    assert_eq!(broken.facts["command"], "tidegate unlock shop --stage dev --system shop");
    world.asked("ada", unlock("shop", "dev"));
}

#[test]
fn refused_rules_are_told_by_the_good_ones() {
    let mut world = told(ALL);
    let (source, digest) = ("rules.yaml".to_owned(), Digest::of(b"bad"));
    world.record(Event::RulesRefused { source, digest, mistakes: "there is no stage `prod`".to_owned(), origin: None });
    let message = message(&world, Notice::RulesRefused);
    assert!(message.text.contains("there is no stage `prod`"), "{}", message.text);
    assert_eq!(message.facts["source"], "rules.yaml");
}

#[test]
fn nobody_is_told_of_what_somebody_ended_or_nobody_wants_to_know() {
    let mut world = asked(
        "
notifications:
  - { on: [run_failed, run_done], stages: [qa], via: hook }
  - { on: [run_failed, run_done, approval_wanted], rules: [archive], via: hook }
",
    );
    assert_eq!(pending(&world), []);
    world.asked("ada", abort("deliver-1"));
    assert_eq!((world.state("deliver-1"), pending(&world)), (RunState::Aborted, Vec::new()));
    world.answers("archive-2", "package", failed("no space"));
    assert_eq!(pending(&world), [(Notice::RunFailed, "[shop] archive-2 failed in dev".to_owned())]);
}

#[test]
fn who_follows_one_stage_is_told_of_what_holds_it() {
    let mut world = told(
        "
notifications:
  - { on: [frozen, paused], stages: [dev], via: hook }
",
    );
    for stages in [Some("qa"), Some("dev"), None] {
        world.asked("ada", freeze(stages));
    }
    world.asked("ada", pause());
    let subjects: Vec<String> = pending(&world).into_iter().map(|(_, subject)| subject).collect();
    let expected = ["[shop] ada froze dev", "[shop] ada froze every stage", "[shop] ada paused the system"];
    assert_eq!(subjects, expected);
    assert_eq!(message(&world, Notice::Frozen).facts["command"], "tidegate thaw freeze-2 --system shop");
}

#[test]
fn words_of_ones_own_are_filled_in_and_the_subject_stays_one_line() {
    let own = "
notifications:
  - on: [run_failed]
    via: mail
    to: [ada@example.com, ops@example.com]
    subject: '{{rule}} in {{environment}}: {{reason}}'
    text: 'See {{run}} at {{at}}. {{#if hint}}{{hint}}{{/if}}'
";
    let mut world = told(own);
    world.push("infrastructure", "dev");
    world.answers("deliver-1", "synth", failed("line one\r\nBcc: everybody@example.com"));
    let messages: Vec<&Message> = world.system.notices.undelivered.values().map(|notice| &notice.message).collect();
    let to: Vec<&str> = messages.iter().map(|message| message.to.as_deref().unwrap()).collect();
    assert_eq!(to, ["ada@example.com", "ops@example.com"], "each has a notice of its own");
    let subject = "deliver in Development: synth failed: line one Bcc: everybody@example.com";
    assert_eq!(messages[0].subject, subject, "a subject cannot become another header");
    assert_eq!(messages[0].text, "See deliver-1 at 2026-11-20 12:00:00 UTC. mend it");
}

#[test]
fn no_notice_holds_up_a_run_and_none_is_lost_when_the_rules_change() {
    let mut world = asked(ALL);
    for who in ["grace@managers", "heidi@managers"] {
        world.asked(who, approve("deliver-1"));
    }
    world.settle();
    assert_eq!(world.state("deliver-1"), RunState::Done, "with four notices undelivered");
    let before = pending(&world);
    assert_eq!(before.len(), 4);
    world.load(super::support::rules(SHOP));
    assert_eq!(pending(&world), before, "what happened is told, whatever the rules say by now");
    tried(&mut world, 1, Delivery::Delivered);
    assert_eq!(pending(&world).len(), 3);
}

#[test]
fn every_try_of_a_notice_is_the_same_message_and_no_two_messages_are() {
    let mut world = asked(ALL);
    world.done("archive-2", "package");
    let sent = |world: &World, number: u64| match work(&world.system, &effect_of(world, number)) {
        Ok(Work::Notice(work)) => *work,
        other => panic!("{other:?}"),
    };
    let (first, other) = (sent(&world, 1), sent(&world, 2));
    assert_ne!(first.id, other.id);
    assert!(first.id.len() == 36 && first.id.starts_with("msg_"), "{}", first.id);
    tried(&mut world, 1, busy(None));
    assert_eq!(sent(&world, 1), first);
    assert_eq!(effect_of(&world, 1).id.as_str(), "notice/1#2", "another try is another effect");
    let system = SystemName::new("shop").unwrap();
    let anew = Message { at_ms: first.message.at_ms + 1, ..first.message.clone() };
    assert_ne!(anew.id(&system, 1), first.id, "a system that was begun anew does not repeat old ones");
}

#[test]
fn a_notice_is_tried_further_and_further_apart_and_given_up_in_the_end() {
    let mut world = asked(ALL);
    tried(&mut world, 1, busy(None));
    assert_eq!(effect_of(&world, 1).due_ms, NOON_MS + 5_000);
    tried(&mut world, 1, busy(Some(60_000)));
    assert_eq!(effect_of(&world, 1).due_ms, world.now_ms + 60_000, "the receiver may ask for longer");
    tried(&mut world, 1, busy(Some(i64::MAX)));
    assert_eq!(effect_of(&world, 1).due_ms, world.now_ms + 6 * HOUR_MS, "but not for ever");
    for _ in 4..NOTICE_ATTEMPTS {
        tried(&mut world, 1, busy(None));
    }
    assert_eq!(pending(&world).len(), 1, "one try is left");
    tried(&mut world, 1, busy(None));
    assert_eq!(pending(&world), []);
    let given_up = world.system.notices.given_up.front().unwrap();
    assert_eq!(given_up.error, "gave up after 20 tries: 421 busy");
    assert!(!given_up.hint.is_empty());
    assert_eq!(world.live(), ["deliver-1", "archive-2"], "and the run waits on, for people");
}

#[test]
fn what_was_given_up_is_remembered_until_something_gets_through_the_same_way() {
    let mut world = told(
        "
notifications:
  - { on: [run_failed], via: mail, to: [ada@example.com, gone@example.com] }
",
    );
    for round in 0..MOST_GIVEN_UP as u64 + 2 {
        world.push("infrastructure", "dev");
        let run = world.live().into_iter().find(|run| run.starts_with("deliver")).unwrap();
        world.answers(&run, "synth", failed("no npx"));
        tried(&mut world, 2 * round + 1, Delivery::Delivered);
        tried(&mut world, 2 * round + 2, refused());
    }
    assert_eq!(world.system.notices.given_up.len(), MOST_GIVEN_UP, "the last ones");
    assert!(world.system.notices.given_up.iter().all(|given_up| given_up.to.as_deref() == Some("gone@example.com")));
    world.push("infrastructure", "dev");
    let run = world.live().into_iter().find(|run| run.starts_with("deliver")).unwrap();
    world.answers(&run, "synth", again("npx is slow"));
    world.answers(&run, "synth", failed("no npx"));
    let last = *world.system.notices.undelivered.last_key_value().unwrap().0;
    tried(&mut world, last, Delivery::Delivered);
    assert!(world.system.notices.given_up.is_empty());
}

/// What can be decided of a run that asks, and of what holds it.
fn decided(world: &mut World) {
    world.asked("ada", Command::Resume);
    world.asked("ada", Command::Thaw { freeze: "freeze-1".to_owned() });
    world.push("infrastructure", "dev");
    let asks = world.live().into_iter().rfind(|run| run.starts_with("deliver")).unwrap();
    // A run that a way back started may ask already.
    if world.step_state(&asks, "approve") != StepState::Active {
        world.done(&asks, "synth");
        world.done(&asks, "lint");
    }
    let run = RunId::new(asks.as_str());
    world.asked("ada", freeze(Some("dev")));
    let (freeze, reason) = ("freeze-2".to_owned(), "it cannot wait".to_owned());
    world.asked("ada", Command::Override { freeze, run: run.clone(), reason: reason.clone() });
    world.asked("ada", Command::Hotfix { what: asks.clone(), reason });
    world.asked("grace@managers", approve(&asks));
    world.asked("grace@managers", Command::Withdraw { run: run.clone() });
    world.asked("grace@managers", Command::Reject { run, reason: "it is not tested".to_owned() });
}

#[test]
fn what_people_decide_is_told_with_who_and_why() {
    let mut world = asked(&format!("notifications:{DECISIONS}"));
    world.asked("ada", freeze(None));
    world.asked("ada", pause());
    world.asked("ada", abort("deliver-1"));
    decided(&mut world);
    let subjects: Vec<String> = pending(&world).into_iter().map(|(_, subject)| subject).collect();
    let expected = [
        "[shop] ada ended the pause by ada",
        "[shop] ada ended freeze-1, the freeze of every stage",
        "[shop] ada let deliver-3 pass freeze-2 in dev",
        "[shop] ada marked deliver-3 as a hotfix",
        "[shop] grace approved deliver-3 in dev",
        "[shop] grace took back the approval of deliver-3 in dev",
        "[shop] grace rejected deliver-3 in dev",
    ];
    assert_eq!(subjects, expected);
    let approved = message(&world, Notice::Approved);
    assert!(approved.text.contains("Approvals: 1 of 2"), "{}", approved.text);
    assert!(message(&world, Notice::Rejected).text.contains("Why:     it is not tested"));
}

#[test]
fn what_others_write_is_made_harmless_in_a_notice() {
    let mut world = told(ALL);
    let (source, digest) = ("rules.yaml".to_owned(), Digest::of(b"bad"));
    let mistakes = "line one\r\n\tline \u{1b}[2Jtwo \u{202e}eslaf".to_owned();
    world.record(Event::RulesRefused { source, digest, mistakes, origin: None });
    let facts = message(&world, Notice::RulesRefused).facts;
    assert_eq!(facts["mistakes"], "line one\n\tline \u{fffd}[2Jtwo \u{fffd}eslaf");
}

/// As many addresses as rules may have, told of every pause.
fn crowd() -> World {
    let addresses: Vec<String> = (0..20).map(|number| format!("a{number}@example.com")).collect();
    let wish = format!("  - {{ on: [paused], via: mail, to: [{}] }}\n", addresses.join(", "));
    told(&format!("notifications:\n{}", wish.repeat(100)))
}

#[test]
fn what_was_never_tried_is_not_given_up_for_what_is_newer() {
    let mut world = crowd();
    for _ in 0..2 {
        world.asked("ada", pause());
        world.asked("ada", Command::Resume);
    }
    assert_eq!(world.system.notices.undelivered.len(), 2 * MOST_UNDELIVERED, "none was tried yet");
    assert!(world.system.notices.given_up.is_empty());
    for (number, tries) in [(7, 1), (9, 2)] {
        (0..tries).for_each(|_| tried(&mut world, number, busy(None)));
    }
    world.asked("ada", pause());
    let notices = &world.system.notices;
    assert_eq!(notices.undelivered.len(), 3 * MOST_UNDELIVERED - 2);
    let given_up: Vec<u64> = notices.given_up.iter().map(|given_up| given_up.number).collect();
    assert_eq!(given_up, [9, 7], "what failed the most gave way first");
    assert!(notices.given_up[0].error.contains("421 busy"), "{}", notices.given_up[0].error);
}

#[test]
fn all_that_were_given_up_are_counted_until_something_gets_through() {
    let mut world = crowd();
    world.asked("ada", pause());
    for number in 1..=MOST_GIVEN_UP as u64 + 5 {
        tried(&mut world, number, refused());
    }
    let notices = &world.system.notices;
    assert_eq!((notices.given_up.len(), notices.more_given_up), (MOST_GIVEN_UP, 5));
    for number in 21..=40 {
        tried(&mut world, number, Delivery::Delivered);
    }
    let notices = &world.system.notices;
    assert_eq!((notices.given_up.len(), notices.more_given_up), (0, 0));
}

#[test]
fn a_receiver_that_is_gone_does_not_fill_the_state() {
    let mut world = crowd();
    let rounds = MOST_UNTRIED / MOST_UNDELIVERED + 1;
    for _ in 0..rounds {
        world.asked("ada", pause());
        world.asked("ada", Command::Resume);
    }
    let undelivered = &world.system.notices.undelivered;
    assert_eq!(undelivered.len(), MOST_UNTRIED);
    assert!(!undelivered.contains_key(&(MOST_UNDELIVERED as u64)), "the oldest gave way");
    let given_up = world.system.notices.given_up.len() as u64 + world.system.notices.more_given_up;
    assert_eq!(given_up, MOST_UNDELIVERED as u64, "and were counted");
    let late = Effect::notice(1, 1, NOON_MS);
    let decision = world.answer(&late.id, Outcome::Notice(Delivery::Delivered));
    assert_eq!(decision, tidegate_engine::engine::Decision::default(), "what was under way meanwhile is late");
}

#[test]
fn an_answer_of_another_kind_settles_no_notice() {
    let mut world = asked(ALL);
    let effect = effect_of(&world, 1);
    assert_eq!(world.answer(&effect.id, Outcome::Fired), tidegate_engine::engine::Decision::default());
    assert!(matches!(world.system.due[&effect.id].kind, EffectKind::Notify { notice: 1 }));
}

#[test]
fn what_is_undelivered_survives_a_replay_and_an_asked_again_question_is_told_again() {
    let mut world = asked(ALL);
    tried(&mut world, 1, busy(None));
    world.asked("ada", abort("deliver-1"));
    world.asked("ada", retry("deliver-1"));
    assert_eq!(pending(&world).len(), 2, "the question is asked anew, of what may have changed");
    tried(&mut world, 2, refused());
    for at in 0..world.log.len() {
        world.replays(at);
    }
}

/// Every notice has the names that it promises, no others, and words of its own in which all of them are there.
#[test]
fn every_notice_has_just_the_names_that_templates_may_use() {
    let mut world = asked(&format!("{ALL}{DECISIONS}"));
    for who in ["grace@managers", "heidi@managers"] {
        world.asked(who, approve("deliver-1"));
    }
    world.done("deliver-1", "deploy");
    world.looks.saw.insert("image".to_owned(), "ami-1".into());
    world.asked("ada", observe("shop", "dev"));
    world.is_looked_at("shop@dev");
    world.looks.saw.clear();
    world.asked("ada", promote("dev", "qa"));
    while world.live().iter().any(|run| run.starts_with("promote")) {
        let effect = world.step_effects().into_iter().find(|effect| effect.id.as_str().starts_with("promote")).unwrap();
        let outcome = world.success(&effect);
        world.answer(&effect.id, outcome);
    }
    let deliver = world.live().into_iter().rfind(|run| run.starts_with("deliver")).unwrap();
    world.done(&deliver, "synth");
    world.done(&deliver, "lint");
    world.answers(&deliver, "deploy", failed("no capacity"));
    world.record(Event::RulesRefused {
        source: "rules.yaml".to_owned(),
        digest: Digest::of(b"bad"),
        mistakes: "bad".to_owned(),
        origin: None,
    });
    world.push("infrastructure", "dev");
    let second = world.live().into_iter().rfind(|run| run.starts_with("deliver")).unwrap();
    world.done(&second, "synth");
    world.done(&second, "lint");
    for who in ["grace@managers", "heidi@managers"] {
        world.asked(who, approve(&second));
    }
    world.done(&second, "deploy");
    world.asked("ada", roll_back("dev", None));
    world.settle();
    world.asked("ada", veto("abcdef0"));
    world.asked("ada", freeze(None));
    world.asked("ada", pause());
    decided(&mut world);
    for notice in Notice::ALL {
        let message = message(&world, notice);
        let facts: BTreeSet<&str> = message.facts.keys().map(String::as_str).collect();
        assert_eq!(facts, notice.names().collect(), "{}", notice.name());
        assert!(message.facts.values().all(serde_json::Value::is_string));
        assert_eq!(serde_json::to_value(notice).unwrap(), notice.name(), "as rules write it");
        assert!(message.text.len() > 20 && !message.text.contains("nothing is named"), "{}", message.text);
    }
}
