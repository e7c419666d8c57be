//! What pushes start: what the watches see, what our own commits make, and what neither may start twice.

use tidegate_engine::engine::{
    Cause, Command, Digest, EffectKind, Event, Outcome, Phase, RunState, StepKey, StepState, Unread,
};

use super::support::{World, approve, pause, repository, rules, run_rule, stage};

const SHOP: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, qa: { environment: QA } }
repositories: { software: { url: s.git, poll: 30s }, image: { url: i.git }, infrastructure: { url: n.git } }
targets: { shop: {} }
rules:
  package:
    on: { push: software }
    steps:
      - package: {}
      - commit: { repository: image, file: config.json, set: { /tag: '{{package.tag}}' } }
  bake:
    on: { push: image }
    steps:
      - bake: {}
      - commit: { repository: infrastructure, file: config.json, set: { /ami: '{{bake.amis}}' } }
  check:
    on: { push: image, paths: [components/] }
    steps: [{ package: {} }]
  deliver:
    on: { push: infrastructure }
    target: shop
    steps:
      - synth: { template: template.yaml }
      - approve: { stages: { dev: { count: 1 } } }
      - deploy: {}
  announce:
    on: { upstream: deliver, repository: software }
    steps: [{ package: {} }]
";

#[test]
fn the_first_sight_starts_nothing_and_a_push_flows_to_its_deployment() {
    let mut world = World::new(SHOP);
    assert_eq!(world.system.runs_made, 0);
    let pushed = world.push("software", "dev");
    world.settle();
    assert_eq!(world.live(), ["deliver-3"]);
    world.asked("grace", approve("deliver-3"));
    world.done("deliver-3", "deploy");
    let deployed = world.system.targets.values().find_map(|target| target.deployed.clone()).unwrap();
    assert_eq!(deployed.set[&repository("software")], pushed, "what is deployed knows where it came from");
    assert_eq!(
        deployed.approved,
        world.step("deliver-3", "approve").answers.first().map(|answer| answer.digest.clone())
    );
    assert_eq!(world.run("announce-4").cause, Cause::Upstream { run: world.run("deliver-3").id });
    assert_eq!(world.run("announce-4").source.unwrap().commit, pushed);
    world.settle();
    for name in ["software", "image", "infrastructure"] {
        world.watch(&repository(name));
    }
    assert_eq!((world.system.runs_made, world.live().len()), (4, 0), "nothing of it is seen twice; qa is untouched");
    world.replays(9);
}

/// Scenario 7.
#[test]
fn the_same_push_seen_twice_is_one_run() {
    let mut world = World::new(SHOP);
    let software = repository("software");
    world.commit(&software, &stage("dev"), "ada", None);
    let (watch, heads) = (world.watch_of(&software), world.look(&software, |_, len| len));
    world.answer(&watch, heads.clone());
    world.answer(&watch, heads.clone());
    let next = world.watch_of(&software);
    world.answer(&next, heads);
    assert_eq!(world.system.runs_made, 1);
}

#[test]
fn a_watch_that_looked_before_our_own_commit_does_not_take_the_head_back() {
    let mut world = World::new(SHOP);
    let image = repository("image");
    world.push("software", "dev");
    world.done("package-1", "package");
    let (watch, before) = (world.watch_of(&image), world.look(&image, |_, len| len));
    world.commit(&image, &stage("qa"), "ada", None);
    world.done("package-1", "commit");
    let made = world.system.head(&image, &stage("dev")).unwrap().clone();
    let Outcome::Heads { heads: mut stale, .. } = world.look(&image, |_, len| len) else { unreachable!() };
    let Outcome::Heads { heads: before, .. } = before else { unreachable!() };
    stale.insert(stage("dev"), before[&stage("dev")].clone());
    world.answer(&watch, Outcome::Heads { heads: stale, unread: Default::default(), tags: None });
    assert_eq!(world.system.head(&image, &stage("dev")), Some(&made));
    assert_eq!(world.live(), ["bake-2", "bake-3"], "what it saw of qa counts");
    let again = world.system.due[&world.watch_of(&image)].due_ms;
    assert_eq!(again, world.now_ms, "and another looks at once");
    world.settle();
    world.watch(&image);
    assert_eq!(world.system.runs_made, 6);
}

#[test]
fn a_push_between_our_read_and_our_commit_is_taken_in_by_the_watch_with_what_we_brought() {
    let mut world = World::new(SHOP);
    let image = repository("image");
    let software = world.push("software", "dev");
    world.done("package-1", "package");
    world.commit(&image, &stage("dev"), "linus", None);
    world.done("package-1", "commit");
    assert!(world.live().is_empty(), "the order is not known yet");
    world.watch(&image);
    let head = world.system.head(&image, &stage("dev")).unwrap();
    assert_eq!(head.set[&repository("software")], software);
    assert_eq!(world.live(), ["bake-2"]);
    assert_eq!(world.run("bake-2").set, head.set);
}

#[test]
fn every_author_of_a_push_counts_and_none_of_them_may_approve() {
    let mut world = World::new(SHOP);
    let infrastructure = repository("infrastructure");
    world.commit(&infrastructure, &stage("dev"), "ada", None);
    world.commit(&infrastructure, &stage("dev"), "linus", None);
    world.watch(&infrastructure);
    world.settle();
    for author in ["ada", "linus"] {
        let refused = world.ask(author, approve("deliver-1")).unwrap_err().to_string();
        assert!(refused.contains("a change that they wrote themselves"), "{refused}");
    }
    world.asked("grace", approve("deliver-1"));
}

#[test]
fn paths_decide_which_pushes_count_and_our_own_commits_have_paths_too() {
    let mut world = World::new(SHOP);
    world.push_of("image", "qa", &["components/base.yaml"], false);
    assert_eq!(world.live(), ["bake-1", "check-2"]);
    world.push("software", "dev");
    world.done("package-3", "package");
    world.done("package-3", "commit");
    assert_eq!(world.live(), ["bake-1", "check-2", "bake-4"], "a commit to config.json is none to components/");
}

#[test]
fn a_rewritten_branch_starts_its_rules_and_is_said_to_be_rewritten() {
    let mut world = World::new(SHOP);
    world.push_of("software", "dev", &["src/main"], true);
    assert!(world.system.head(&repository("software"), &stage("dev")).unwrap().forced);
    assert_eq!(world.live(), ["package-1"]);
}

#[test]
fn a_deleted_branch_has_no_head_and_one_that_is_made_starts_its_rules() {
    let mut world = World::new(SHOP);
    let software = repository("software");
    world.remotes.get_mut(&(software.clone(), stage("qa"))).unwrap().push(None);
    world.watch(&software);
    assert_eq!(world.system.head(&software, &stage("qa")), None);
    let refused = world.ask("ada", run_rule("package", "qa")).unwrap_err().to_string();
    assert!(refused.contains("software has no branch `qa` that has been seen"), "{refused}");
    world.push("software", "qa");
    assert_eq!(world.live(), ["package-1"]);
}

#[test]
fn a_stage_that_the_rules_did_not_have_is_seen_for_the_first_time() {
    let mut world = World::new(SHOP);
    world.load(rules(&SHOP.replace("qa: { environment: QA }", "qa: { environment: QA }, main: { environment: Live }")));
    world.commit(&repository("software"), &stage("main"), "ada", None);
    world.watch(&repository("software"));
    assert!(world.system.head(&repository("software"), &stage("main")).is_some());
    assert_eq!(world.system.runs_made, 0);
    world.push("software", "main");
    assert_eq!(world.live(), ["package-1"]);
}

#[test]
fn a_repository_that_cannot_be_reached_says_so_until_it_can() {
    let mut world = World::new(SHOP);
    let software = repository("software");
    let unreachable = Outcome::Unreachable { error: "ssh: connection refused".to_owned() };
    for _ in 0..2 {
        let watch = world.watch_of(&software);
        world.answer(&watch, unreachable.clone());
        world.later(30_000);
        assert_eq!(world.system.due[&world.watch_of(&software)].due_ms, world.now_ms, "as often as the rules say");
    }
    let said = world.system.repositories[&software].unreachable.clone().unwrap();
    assert_eq!((said.error.as_str(), said.since_ms), ("ssh: connection refused", world.now_ms - 60_000));
    world.push("software", "dev");
    assert_eq!(world.system.repositories[&software].unreachable, None);
    assert_eq!(world.state("package-1"), RunState::Running);
}

#[test]
fn a_branch_that_cannot_be_read_says_so_and_hides_no_other() {
    let mut world = World::new(SHOP);
    let (software, dev) = (repository("software"), stage("dev"));
    let known = world.system.head(&software, &dev).map(|head| head.commit.clone());
    let bad = world.commit(&software, &dev, "ada", None);
    let good = world.commit(&software, &stage("qa"), "ada", None);
    let Outcome::Heads { mut heads, .. } = world.look(&software, |_, len| len) else { unreachable!() };
    heads.remove(&dev);
    let unread = Unread { commit: bad, error: "a tree of a billion files".to_owned() };
    let watch = world.watch_of(&software);
    world.answer(&watch, Outcome::Heads { heads, unread: [(dev.clone(), unread.clone())].into(), tags: None });
    assert_eq!(world.system.repositories[&software].unread[&dev], unread);
    let head = |world: &World, at: &str| world.system.head(&software, &stage(at)).map(|head| head.commit.clone());
    assert_eq!(head(&world, "dev"), known, "what was known of it stays");
    assert_eq!(head(&world, "qa"), Some(good));
    let mended = world.push("software", "dev");
    assert!(world.system.repositories[&software].unread.is_empty());
    assert_eq!(head(&world, "dev"), Some(mended));
}

#[test]
fn an_outcome_of_another_kind_settles_nothing() {
    let mut world = World::new(SHOP);
    let watch = world.watch_of(&repository("software"));
    assert_eq!(world.answer(&watch, Outcome::Fired), tidegate_engine::engine::Decision::default());
    assert!(matches!(world.system.due[&watch].kind, EffectKind::Watch { .. }));
}

#[test]
fn what_a_repository_proves_and_the_log_does_not_have_pauses_the_system() {
    let mut world = World::new(SHOP);
    world.push("software", "dev");
    let made_ms = world.run("package-1").created_ms;
    let (image, dev) = (repository("image"), stage("dev"));
    let mut sees = |key: &str| {
        world.commit(&image, &dev, "Tidegate", Some(StepKey::new(key)));
        world.watch(&image);
        (world.system.paused.clone(), world.system.runs_made, world.system.runs_lost)
    };
    let own = format!("shop/package-1.{made_ms:x}/pin");
    for known in [own.as_str(), "shop/package-1/pin", "billing/package-90.1/pin", "not a key"] {
        assert_eq!(sees(known).0, None, "{known}");
    }
    let (paused, made, lost) = sees("shop/package-31.19ac9d1e2f0/pin");
    let paused = paused.expect("it is not in the log");
    assert_eq!((paused.by.as_str(), lost), ("Tidegate", 31));
    assert!(paused.reason.contains("image has in dev a commit of package-31, begun 2025-"), "{}", paused.reason);
    assert_eq!(made, 32, "the push that showed it starts the next run");
    // A number that was given again before the first of the other life was seen.
    let (again, ..) = sees("shop/bake-32.5/pin");
    assert_eq!(again, Some(paused), "once is enough");

    assert_eq!(world.step_state("package-1", "package"), StepState::Ready, "what was due to start is put back");
    assert!(world.waits_for("package-1").for_what.contains("the end of the pause by Tidegate"));
    world.asked("ada", Command::Resume);
    assert_eq!(world.phase("package-1", "package"), Phase::Start);
    assert_eq!(world.step("package-1", "package").round, 1, "it starts under the same key");
    let mut sees = |key: &str| {
        world.commit(&image, &dev, "Tidegate", Some(StepKey::new(key)));
        world.watch(&image);
        world.system.paused.clone()
    };
    assert_eq!(sees("shop/package-31.19ac9d1e2f0/pin"), None, "somebody has said that it is known");
    world.asked("ada", pause());
    let both = {
        world.commit(&image, &dev, "Tidegate", Some(StepKey::new("shop/package-90.1/pin")));
        world.watch(&image);
        world.system.paused.clone().expect("it stays paused")
    };
    assert!(both.reason.contains("It was paused before, by ada: "), "{}", both.reason);
    world.replays(world.log.len());
}

#[test]
fn another_secret_than_before_pauses_the_system() {
    let mut world = World::new(SHOP);
    let mut load = |secret: Option<&str>| {
        let secret = secret.map(|secret| Digest::of(secret.as_bytes()));
        let (source, digest) = ("rules.yaml".to_owned(), Digest::of(b"rules"));
        let rules = Box::new(rules(SHOP));
        world.record(Event::RulesLoaded { source, digest, rules, origin: None, secret });
        world.system.paused.clone().map(|paused| paused.reason)
    };
    assert_eq!((load(Some("one")), load(Some("one"))), (None, None), "early logs do not say it");
    let said = load(Some("other")).expect("it is another");
    assert!(said.starts_with("the secret of this installation was exchanged (its fingerprint was "), "{said}");
    assert_eq!(load(Some("third")), Some(said), "once is enough");
}
