//! Fan-in: what is combined is of one origin, and what waits for that names the commit that it waits for.

mod parts;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_engine::engine::{Brings, PinnerId, RunId, RunState, StepOutcome, StepState, provenance::fan_in};

use super::support::{World, abort, approve, failed, promote, repository, retry, rules, run_rule, stage, unmoved};

const DIAMOND: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, qa: { environment: QA } }
repositories:
  { shared: { url: s.git }, app: { url: a.git }, tools: { url: t.git }, image: { url: i.git }, infrastructure: { url: n.git } }
targets: { shop: {} }
rules:
  release-app:
    on: { push: shared }
    steps:
      - package: {}
      - commit: { repository: app, file: pins.json, set: { /shared: '{{package.tag}}' } }
  release-tools:
    on: { push: shared }
    steps:
      - package: {}
      - commit: { repository: tools, file: pins.json, set: { /shared: '{{package.tag}}' } }
  package-app:
    on: { push: app }
    steps:
      - package: {}
      - commit: { repository: image, file: config.json, set: { /app: '{{package.tag}}' } }
  package-tools:
    on: { push: tools }
    steps:
      - package: {}
      - commit: { repository: image, file: config.json, set: { /tools: '{{package.tag}}' } }
  bake:
    on: { push: image }
    steps:
      - bake: {}
      - commit: { repository: infrastructure, file: config.json, set: { /ami: '{{bake.ami}}' } }
  deliver:
    on: { push: infrastructure }
    target: shop
    steps:
      - synth: { template: template.yaml }
      - approve: { stages: { dev: { count: 1 } } }
      - deploy: {}
promotions: [{ from: dev, to: qa }]
";

/// The run of a rule that goes on.
fn live(world: &World, rule: &str) -> String {
    let of_rule = |id: &&String| id.rsplit_once('-').is_some_and(|(name, _)| name == rule);
    let runs = world.live();
    runs.iter().find(of_rule).unwrap_or_else(|| panic!("no {rule} among {runs:?}")).clone()
}

/// A rule packs and pins.
fn flows(world: &mut World, rule: &str) -> String {
    let run = live(world, rule);
    world.done(&run, "package");
    world.done(&run, "commit");
    run
}

/// A rule packs, and finds its pin there already.
fn flows_unchanged(world: &mut World, rule: &str, into: &str) {
    let run = live(world, rule);
    world.done(&run, "package");
    let unchanged = unchanged(world, rule, into);
    world.answers(&run, "commit", unchanged);
}

fn unchanged(world: &World, rule: &str, into: &str) -> StepOutcome {
    let branch = &world.remotes[&(repository(into), stage("dev"))];
    let head = branch.last().unwrap().as_ref().unwrap();
    let pinned = head.pins[&PinnerId::new(format!("{rule}/commit"))].1.clone();
    unmoved(&head.commit, Brings { pinned, ..Brings::default() })
}

/// A push to shared has come to the image through the app, and not yet through the tools; the bake that waits.
fn half_way() -> (World, String) {
    let mut world = World::new(DIAMOND);
    world.push("shared", "dev");
    flows(&mut world, "release-app");
    flows(&mut world, "package-app");
    let bake = live(&world, "bake");
    // A watch that was asked for before our own commit says nothing of it; the next one does.
    world.watch(&repository("image"));
    (world, bake)
}

fn awaits(world: &World, run: &str) -> Vec<String> {
    let awaited = fan_in::awaited(&world.system, &world.run(run));
    awaited.iter().map(|awaited| format!("{} of {} {}", awaited.rule, awaited.ancestor, awaited.commit)).collect()
}

fn baking(world: &World, run: &str) -> bool {
    world.step_state(run, "bake") == StepState::Active
}

#[test]
fn what_comes_from_different_commits_waits_and_what_comes_from_one_goes_on() {
    let (mut world, first) = half_way();
    let shared = world.system.head(&repository("shared"), &stage("dev")).unwrap().commit.clone();
    assert_eq!(awaits(&world, &first), [format!("package-tools of shared {shared}")]);
    let waiting = world.waits_for(&first);
    let said = format!("package-tools to bring an artifact of tools from shared {}", shared.short());
    assert_eq!(waiting.for_what, format!("{said}; image has one of before"));
    let release = live(&world, "release-tools");
    assert_eq!(waiting.ended_by, format!("{release}, which is under way, and then package-tools"));
    assert_eq!(world.state(&first), RunState::Queued);

    flows(&mut world, "release-tools");
    let package = live(&world, "package-tools");
    assert_eq!(world.waits_for(&first).ended_by, format!("{package}, which is under way"));
    flows(&mut world, "package-tools");
    assert_eq!(world.state(&first), RunState::Superseded, "its commit has the older tools");
    assert!(baking(&world, &live(&world, "bake")));
    world.replays(7);

    let before = shared;
    let after = world.push("shared", "dev");
    flows(&mut world, "release-tools");
    flows(&mut world, "package-tools");
    let waits = world.live().into_iter().rfind(|run| run.starts_with("bake")).unwrap();
    let said = world.waits_for(&waits).for_what;
    assert!(said.contains(after.short()) && said.ends_with(&format!("from shared {}", before.short())), "{said}");
}

#[test]
fn what_combines_nothing_has_no_fan_in() {
    let mut world = World::new(DIAMOND);
    world.push("app", "dev");
    world.push("infrastructure", "dev");
    for run in world.live() {
        assert!(world.run(&run).steps.iter().all(|step| step.id.as_str() != "fan-in"), "{run}");
    }
    world.push("image", "dev");
    let bake = live(&world, "bake");
    assert!(baking(&world, &bake), "a person's push of what is there already waits for nothing");
}

/// An artifact that is the same although its source moved is of the newer commit as well.
#[test]
fn a_pin_that_is_there_already_ends_the_wait() {
    let (mut world, bake) = half_way();
    flows(&mut world, "release-tools");
    flows_unchanged(&mut world, "package-tools", "image");
    assert!(baking(&world, &bake));
    let tools = world.system.head(&repository("tools"), &stage("dev")).unwrap().commit.clone();
    assert_eq!(world.run(&bake).set[&repository("tools")], tools, "what will be promoted with it");
}

/// The release of the tools moves no head, so nothing packs them again: what is pinned of them is as new all the same.
#[test]
fn a_pin_that_is_there_already_further_up_ends_the_wait_too() {
    let (mut world, bake) = half_way();
    flows_unchanged(&mut world, "release-tools", "tools");
    assert!(baking(&world, &bake), "{:?}", awaits(&world, &bake));
    assert!(!world.live().iter().any(|run| run.starts_with("package-tools")));
}

#[test]
fn a_pin_that_is_there_already_carries_on_to_a_run_that_packs_meanwhile() {
    let mut world = World::new(DIAMOND);
    world.push("tools", "dev");
    world.push("shared", "dev");
    flows_unchanged(&mut world, "release-tools", "tools");
    flows(&mut world, "package-tools");
    flows(&mut world, "release-app");
    flows(&mut world, "package-app");
    assert!(baking(&world, &live(&world, "bake")));
}

/// A pin is known by its value: whether a watch has shown the head that has it does not matter.
#[test]
fn a_pin_that_is_in_a_head_that_no_watch_has_shown_is_known_when_it_is_shown() {
    let (mut world, bake) = half_way();
    flows(&mut world, "release-tools");
    let run = live(&world, "package-tools");
    world.done(&run, "package");
    let image = repository("image");
    world.commit(&image, &stage("dev"), "linus", None);
    let there = unchanged(&world, "package-tools", "image");
    world.answers(&run, "commit", there);
    assert!(baking(&world, &bake), "what is pinned is whole, in the head that is known too");
    world.watch(&image);
    assert!(baking(&world, &live(&world, "bake")));
}

#[test]
fn a_push_that_the_paths_of_a_rule_leave_out_is_not_waited_for() {
    let text = DIAMOND.replace(
        "release-tools:\n    on: { push: shared }",
        "release-tools:\n    on: { push: shared, paths: [tools/] }",
    );
    let mut world = World::new(&text);
    world.push_of("shared", "dev", &["tools/x", "src/x"], false);
    for rule in ["release-app", "release-tools", "package-app", "package-tools"] {
        flows(&mut world, rule);
    }
    world.settle();
    world.push_of("shared", "dev", &["src/x"], false);
    flows(&mut world, "release-app");
    flows(&mut world, "package-app");
    assert!(baking(&world, &live(&world, "bake")), "the tools of before are the right ones");
    world.settle();
    world.push_of("shared", "dev", &["tools/x"], false);
    let pushed = world.system.head(&repository("shared"), &stage("dev")).unwrap().commit.clone();
    flows(&mut world, "release-app");
    flows(&mut world, "package-app");
    let bake = live(&world, "bake");
    assert_eq!(awaits(&world, &bake), [format!("package-tools of shared {pushed}")]);
    world.push_of("shared", "dev", &["src/x"], false);
    flows(&mut world, "release-app");
    flows(&mut world, "package-app");
    let bake = live(&world, "bake");
    assert_eq!(awaits(&world, &bake), [format!("package-tools of shared {pushed}")], "the push that concerned them");
}

#[test]
fn a_failure_on_the_way_is_said_and_its_retry_ends_the_wait() {
    let (mut world, bake) = half_way();
    flows(&mut world, "release-tools");
    let package = live(&world, "package-tools");
    world.answers(&package, "package", failed("no space"));
    let ended_by = world.waits_for(&bake).ended_by;
    assert!(ended_by.starts_with(&format!("`tidegate retry {package}` (package failed: no space)")), "{ended_by}");
    world.asked("grace", retry(&package));
    flows(&mut world, "package-tools");
    assert!(baking(&world, &live(&world, "bake")));
}

#[test]
fn a_wait_can_be_ended_and_begun_again_by_hand() {
    let (mut world, bake) = half_way();
    world.asked("grace", abort(&bake));
    assert_eq!(world.state(&bake), RunState::Aborted);
    flows(&mut world, "release-tools");
    world.asked("grace", retry(&bake));
    assert_eq!(awaits(&world, &bake).len(), 1);
    flows_unchanged(&mut world, "package-tools", "image");
    assert!(baking(&world, &bake));
    world.replays(11);
}

/// While it waits it holds nothing, so no policy of the queue can lock out what it waits for.
#[test]
fn a_newer_run_replaces_one_that_waits_whatever_the_queue() {
    for queue in ["fifo", "parallel", "supersede"] {
        let text = DIAMOND.replace(
            "bake:\n    on: { push: image }",
            &format!("bake:\n    on: {{ push: image }}\n    queue: {queue}"),
        );
        let mut world = World::new(&text);
        world.push("shared", "dev");
        for rule in ["release-app", "package-app", "release-tools", "package-tools"] {
            flows(&mut world, rule);
        }
        assert!(baking(&world, &live(&world, "bake")), "{queue}");
    }
}

/// Shared → image → infrastructure, and shared → infrastructure directly, with a target that refuses a second run.
fn shortcut() -> World {
    World::new(&shortcut_rules())
}

fn shortcut_rules() -> String {
    let configure = "  configure:\n    on: { push: shared }\n    steps:\n      - package: {}\n      - commit: { repository: infrastructure, file: config.json, set: { /config: '{{package.tag}}' } }\n  deliver:";
    DIAMOND.replace("  deliver:", configure).replace("shop: {}", "shop: { queue: reject }")
}

#[test]
fn a_shortcut_waits_for_the_long_way() {
    let mut world = shortcut();
    let pushed = world.push("shared", "dev");
    flows(&mut world, "configure");
    let deliver = live(&world, "deliver");
    assert_eq!(awaits(&world, &deliver), [format!("bake of shared {pushed}")]);
    for rule in ["release-app", "package-app", "release-tools", "package-tools"] {
        flows(&mut world, rule);
        assert_eq!(awaits(&world, &deliver).len(), 1);
    }
    let bake = live(&world, "bake");
    assert_eq!(world.waits_for(&deliver).ended_by, format!("{bake}, which is under way"));
    world.done(&bake, "bake");
    world.done(&bake, "commit");
    assert_eq!(world.state(&deliver), RunState::Superseded);
    let deliver = live(&world, "deliver");
    world.done(&deliver, "synth");
    world.asked("grace", approve(&deliver));
    world.done(&deliver, "deploy");
    assert_eq!(world.state(&deliver), RunState::Done, "and the target did not refuse it");
}

#[test]
fn two_pins_of_one_rule_belong_together() {
    let second = "{{package.tag}}' } }\n      - id: also\n        commit: { repository: image, file: more.json, set: { /app: '{{package.tag}}' } }\n  package-tools:";
    let text = DIAMOND.replacen("{{package.tag}}' } }\n  package-tools:", second, 1);
    let mut world = World::new(&text);
    world.push("app", "dev");
    let package = flows(&mut world, "package-app");
    let bake = live(&world, "bake");
    assert_eq!(world.waits_for(&bake).ended_by, format!("{package}, which is under way"));
    world.done(&package, "also");
    assert_eq!(world.state(&bake), RunState::Superseded);
    assert!(baking(&world, &live(&world, "bake")));
}

/// Somebody pins something in the image by hand, perhaps by force, and perhaps something that nobody knows.
fn by_hand(world: &mut World, pinner: &str, values: &BTreeMap<String, Value>, forced: bool) {
    let (image, dev) = (repository("image"), stage("dev"));
    world.commit(&image, &dev, "ada", None);
    world.shape_last(&image, &dev, &["config.json"], forced);
    world.pin_last(&image, &dev, pinner, values);
    world.watch(&image);
}

/// What nobody knows, as somebody pins it by hand.
fn unheard_of() -> BTreeMap<String, Value> {
    BTreeMap::from([("/app".to_owned(), json!("app-of-ada"))])
}

/// Two commits of shared have come to the image whole. Says what of the app was pinned for each.
fn twice_whole() -> (World, [BTreeMap<String, Value>; 2]) {
    let (mut world, _) = half_way();
    flows(&mut world, "release-tools");
    flows(&mut world, "package-tools");
    world.watch(&repository("image"));
    world.settle();
    world.push("shared", "dev");
    world.settle();
    world.watch(&repository("image"));
    world.settle();
    assert!(world.live().iter().all(|run| run.starts_with("deliver")), "{:?}", world.live());
    let values = world.values("image", "dev", "package-app/commit").try_into().unwrap();
    (world, values)
}

#[test]
fn a_head_is_made_of_nothing_that_only_a_pin_of_before_said() {
    let (mut world, [_, newest]) = twice_whole();
    let set = |world: &World| world.system.head(&repository("image"), &stage("dev")).unwrap().set.clone();
    let whole = set(&world);
    by_hand(&mut world, "package-app/commit", &unheard_of(), false);
    let chosen = set(&world);
    assert!(whole.contains_key(&repository("app")) && !chosen.contains_key(&repository("app")), "{chosen:?}");
    assert_eq!(chosen.get(&repository("shared")), whole.get(&repository("shared")), "the tools are still of it");
    by_hand(&mut world, "package-app/commit", &newest, false);
    assert_eq!(set(&world).get(&repository("app")), whole.get(&repository("app")), "its value is known");
}

#[test]
fn a_pin_that_is_set_back_by_hand_is_of_what_it_was_of() {
    let (mut world, [before, now]) = twice_whole();
    by_hand(&mut world, "package-app/commit", &before, false);
    let bake = live(&world, "bake");
    assert_eq!(awaits(&world, &bake).len(), 1, "the tools are of the newer commit");
    let ended_by = world.waits_for(&bake).ended_by;
    assert!(ended_by.starts_with("`tidegate run start package-app --stage dev`"), "{ended_by}");
    // Both of one commit, or both of the other, go on.
    let tools = world.values("image", "dev", "package-tools/commit");
    by_hand(&mut world, "package-tools/commit", &tools[0], false);
    let bake = live(&world, "bake");
    assert!(baking(&world, &bake));
    let shared = |world: &World, run: &str| world.run(run).set[&repository("shared")].clone();
    let older = shared(&world, &bake);
    world.settle();
    by_hand(&mut world, "package-app/commit", &now, false);
    by_hand(&mut world, "package-tools/commit", &tools[1], true);
    let bake = live(&world, "bake");
    assert!(baking(&world, &bake) && shared(&world, &bake) != older);
    world.replays(40);
}

#[test]
fn a_pin_that_is_set_by_hand_to_what_nobody_knows_is_of_nothing() {
    let (mut world, _) = twice_whole();
    by_hand(&mut world, "package-app/commit", &unheard_of(), false);
    let bake = live(&world, "bake");
    assert_eq!(awaits(&world, &bake).len(), 1);
    world.asked("grace", run_rule("package-app", "dev"));
    world.settle();
    assert!(world.live().iter().all(|run| run.starts_with("deliver")), "{:?}", world.live());
}

#[test]
fn a_branch_that_is_rewritten_is_taken_as_it_is_and_what_comes_after_agrees_again() {
    let (mut world, _) = half_way();
    by_hand(&mut world, "elsewhere/commit", &BTreeMap::new(), true);
    let bake = live(&world, "bake");
    assert!(!baking(&world, &bake), "the same is pinned as before");
    by_hand(&mut world, "package-app/commit", &unheard_of(), true);
    let bake = live(&world, "bake");
    assert!(baking(&world, &bake), "somebody chose this combination");
    flows(&mut world, "release-tools");
    flows(&mut world, "package-tools");
    let bake = world.live().into_iter().rfind(|run| run.starts_with("bake")).unwrap();
    assert_eq!(awaits(&world, &bake).len(), 1, "the app of this commit was thrown away");
    let ended_by = world.waits_for(&bake).ended_by;
    assert!(ended_by.starts_with("`tidegate run start package-app --stage dev`"), "{ended_by}");
    world.asked("grace", run_rule("package-app", "dev"));
    flows(&mut world, "package-app");
    world.settle();
    assert!(world.live().iter().all(|run| !run.starts_with("bake")));
}

#[test]
fn rules_without_what_is_awaited_let_it_go_on() {
    let (mut world, bake) = half_way();
    let without = DIAMOND.replace("release-tools:\n", "release-tools:\n    stages: [qa]\n");
    world.load(rules(&without));
    assert!(baking(&world, &bake));
}

#[test]
fn what_is_promoted_was_verified_together_and_what_follows_has_to_agree() {
    let mut world = World::new(DIAMOND);
    world.push("shared", "dev");
    world.settle();
    let deliver = live(&world, "deliver");
    world.asked("grace", approve(&deliver));
    world.done(&deliver, "deploy");
    let promotion = live(&world, "promote");
    for name in ["app", "image", "infrastructure", "shared", "tools"] {
        world.done(&promotion, &format!("check-{name}"));
    }
    for name in ["app", "image", "infrastructure", "shared", "tools"] {
        world.done(&promotion, &format!("merge-{name}"));
    }
    assert_eq!(world.live().len(), 1, "what was verified came along, and nothing makes it anew: {:?}", world.live());
    live(&world, "deliver");
    world.settle();
    assert!(world.ask("ada", promote("dev", "qa")).is_err(), "nothing newer");

    world.watch(&repository("shared"));
    let hotfix = world.push("shared", "qa");
    flows(&mut world, "release-app");
    flows(&mut world, "package-app");
    let bake = live(&world, "bake");
    assert_eq!(awaits(&world, &bake), [format!("package-tools of shared {hotfix}")]);
}

/// The commit of a run is seen only when eight later runs have driven it out of the state.
#[test]
fn what_an_unseen_commit_brings_is_kept_until_it_is_seen() {
    let mut world = World::new(DIAMOND);
    let pushed = world.push_by("linus", "infrastructure", "qa");
    world.push_by("linus", "app", "dev");
    let app = world.system.head(&repository("app"), &stage("dev")).unwrap().commit.clone();
    let package = live(&world, "package-app");
    world.done(&package, "package");
    world.commit(&repository("image"), &stage("dev"), "ada", None);
    world.done(&package, "commit");
    for _ in 0..12 {
        world.push("app", "dev");
        let run = live(&world, "package-app");
        world.answers(&run, "package", failed("no"));
    }
    assert!(world.system.run(&RunId::new(package.as_str())).is_none(), "it has left the state");
    world.watch(&repository("image"));
    let head = world.system.head(&repository("image"), &stage("dev")).unwrap();
    assert_eq!(head.set[&repository("app")], app);
    let started = world.system.live_runs().last().unwrap();
    assert_eq!(started.set[&repository("app")], app);
    assert_ne!(pushed, app);
    world.replays(9);
}

/// A bake whose head is found, while it waits, to be of what the run needs.
pub(super) fn combined() -> World {
    let (mut world, _) = half_way();
    flows(&mut world, "release-tools");
    flows_unchanged(&mut world, "package-tools", "image");
    world
}
