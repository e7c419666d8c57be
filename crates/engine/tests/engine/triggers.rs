//! What starts a rule beside pushes, the clock and people: tags, ends of what runs outside, bundles that are brought.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, sample::Index};
use tidegate_engine::{
    engine::{
        Access, Bundle, Cause, Command, CommitId, Decision, Event, Grant, Nudge, Outcome, Principal, Refused, Role,
        StartOn, StepRun, StepState, TagIn, TagsSeen, Watched, Work, work,
    },
    rules::{RuleName, StageName},
};

use super::support::{World, repository, rules, run_rule, stage};

pub(super) const STACK: &str = r"
version: 1
system: stack
stages: { dev: { environment: Development }, main: { environment: Production } }
repositories: { stack: { url: s.git }, site: { url: t.git } }
targets: { awx: { kind: job }, site: { kind: job, queue: fifo } }
rules:
  whole:
    on: { tag: stack, pattern: '\d+\.\d+\.\d+' }
    target: awx
    steps:
      - deploy: { command: [./deploy], variables: { tag: '{{tag}}' } }
  built:
    on: { workflow: build.yaml, repository: stack }
    stages: [dev]
    steps:
      - package: {}
  publish:
    on: { release: true, repository: site }
    target: site
    steps:
      - approve: { stages: { main: { count: 1, from: [editors] } } }
      - deploy: { command: [./publish], variables: { sha256: '{{bundle.sha256}}' } }
promotions:
  - { from: dev, to: main }
";

/// A look at the tags: what there is by the patterns of the rules, and in which stages each is.
fn tags(world: &mut World, new: &[(&str, &CommitId)], within: &[(&str, &CommitId, &str)]) -> Decision {
    let stack = repository("stack");
    let Outcome::Heads { heads, unread, .. } = world.look(&stack, |_, len| len) else { unreachable!() };
    let asking = world.system.rules().unwrap().rules.values().filter(|rule| rule.on.tag.as_ref() == Some(&stack));
    let patterns = asking.map(|rule| rule.on.pattern.as_ref().map_or("", |pattern| pattern.as_str()).to_owned());
    let seen = TagsSeen {
        patterns: patterns.collect(),
        new: new.iter().map(|(tag, commit)| ((*tag).to_owned(), (*commit).clone())).collect(),
        within: within
            .iter()
            .map(|(tag, commit, at)| TagIn {
                tag: (*tag).to_owned(),
                stage: stage(at),
                commit: (*commit).clone(),
                author: "Ada <ada@example.com>".to_owned(),
                subject: "Sell more".to_owned(),
                pins: Vec::new(),
            })
            .collect(),
        error: None,
    };
    world.answer(&world.watch_of(&stack), Outcome::Heads { heads, unread, tags: Some(Box::new(seen)) })
}

fn watched(world: &World) -> &Watched {
    &world.system.repositories[&repository("stack")]
}

fn of_tag(rule: &str, at: &str, tag: &str) -> Command {
    Command::Run { rule: RuleName::new(rule).unwrap(), stage: stage(at), on: Some(StartOn::Tag(tag.to_owned())) }
}

pub(super) fn bundle(name: &str) -> Bundle {
    let sha256 = "ab".repeat(32);
    Bundle { name: name.to_owned(), uri: format!("file:objects/bundles/{sha256}/{name}"), sha256, bytes: 1_024 }
}

pub(super) fn bring(rule: &str, at: &str, name: &str) -> Command {
    let on = Some(StartOn::Bundle(bundle(name)));
    Command::Run { rule: RuleName::new(rule).unwrap(), stage: stage(at), on }
}

pub(super) fn ended(workflow: &str, at: &str, commit: Option<&CommitId>, succeeded: bool) -> Nudge {
    let (workflow, commit) = (workflow.to_owned(), commit.cloned());
    Nudge::Workflow { workflow, repository: repository("stack"), stage: stage(at), commit, succeeded }
}

fn told(what: Nudge, delivery: &str) -> Event {
    Event::Nudged { what, delivery: delivery.parse().unwrap(), by: None }
}

fn runs_of(world: &World, rule: &str) -> Vec<String> {
    let of = |id: &str| id.rsplit_once('-').is_some_and(|(name, _)| name == rule);
    world.system.runs.values().map(|run| run.id.to_string()).filter(|id| of(id)).collect()
}

/// A system whose tags have been looked at once.
pub(super) fn tagged() -> World {
    let mut world = World::new(STACK);
    let first = world.push("stack", "dev");
    tags(&mut world, &[("0.9.0", &first)], &[]);
    world
}

/// Everything here happens once.
pub(super) fn starts_all(world: &mut World) {
    let commit = world.push("stack", "dev");
    tags(world, &[("1.0.0", &commit)], &[("1.0.0", &commit, "dev")]);
    let stack = repository("stack");
    let error = Some("10,001 tags of stack match".to_owned());
    let seen = TagsSeen { error, ..TagsSeen::default() };
    let heads = Outcome::Heads { heads: BTreeMap::new(), unread: BTreeMap::new(), tags: Some(Box::new(seen)) };
    world.answer(&world.watch_of(&stack), heads);
    let pushed = world.commit(&stack, &stage("dev"), "ada", None);
    world.record(told(ended("build.yaml", "dev", Some(&pushed), true), "build-1"));
    world.watch(&stack);
    world.push("site", "dev");
    world.asked("ada", bring("publish", "dev", "site.zip"));
    world.settle();
}

#[test]
fn tags_that_were_there_before_anybody_looked_start_nothing() {
    let mut world = World::new(STACK);
    let first = world.push("stack", "dev");
    tags(&mut world, &[("1.0.0", &first)], &[("1.0.0", &first, "dev")]);
    assert_eq!(world.live(), Vec::<String>::new());
    assert!(watched(&world).tags.as_ref().unwrap().known.contains_key("1.0.0"));
}

#[test]
fn a_tag_starts_its_rules_in_each_stage_once_its_branch_has_the_commit() {
    let mut world = tagged();
    let commit = world.push("stack", "dev");
    tags(&mut world, &[("1.0.0", &commit)], &[("1.0.0", &commit, "dev")]);
    let [run] = world.live().try_into().unwrap();
    assert_eq!(world.run(&run).cause, Cause::Tag { tag: "1.0.0".to_owned() });
    assert_eq!(world.run(&run).source.unwrap().commit, commit);
    // The same look again, and an answer that is late, are no news.
    tags(&mut world, &[("1.0.0", &commit)], &[("1.0.0", &commit, "dev")]);
    assert_eq!(runs_of(&world, "whole"), [run.as_str()]);
    let awaited = watched(&world).tags.as_ref().unwrap().awaited.clone();
    assert_eq!(awaited.len(), 1);
    assert_eq!(awaited[0].stages, BTreeSet::from([stage("main")]));
    tags(&mut world, &[], &[("1.0.0", &commit, "main")]);
    let [_, second] = runs_of(&world, "whole").try_into().unwrap();
    assert_eq!(world.run(&second).stage, stage("main"));
    assert_eq!(watched(&world).tags.as_ref().unwrap().awaited, []);
}

#[test]
fn a_tag_of_a_commit_that_the_stage_has_left_behind_deploys_that_and_verifies_nothing() {
    let mut world = tagged();
    let old = world.push("stack", "dev");
    let new = world.push("stack", "dev");
    tags(&mut world, &[("1.0.0", &old)], &[("1.0.0", &old, "dev")]);
    let run = runs_of(&world, "whole").pop().unwrap();
    assert_eq!(world.run(&run).source.unwrap().commit, old);
    assert_eq!(world.run(&run).set[&repository("stack")], old);
    world.settle();
    assert!(!world.system.verified.contains_key(&stage("dev")), "what dev is at was not verified");
    tags(&mut world, &[("1.0.1", &new)], &[("1.0.1", &new, "dev")]);
    world.settle();
    assert_eq!(world.system.verified[&stage("dev")].set[&repository("stack")], new);
}

#[test]
fn a_tag_that_moves_starts_its_rules_again_and_one_that_moves_back_does_not() {
    let mut world = World::new(&STACK.replace(r", pattern: '\d+\.\d+\.\d+'", ""));
    let first = world.push("stack", "dev");
    tags(&mut world, &[("latest", &first)], &[]);
    let second = world.push("stack", "dev");
    tags(&mut world, &[("latest", &second)], &[("latest", &second, "dev")]);
    world.settle();
    let ran = runs_of(&world, "whole").len();
    // A replica that lags behind says what was true a minute ago.
    tags(&mut world, &[("latest", &first)], &[("latest", &first, "dev")]);
    tags(&mut world, &[("latest", &second)], &[("latest", &second, "dev")]);
    assert_eq!(runs_of(&world, "whole").len(), ran);
}

#[test]
fn a_new_pattern_makes_no_old_tag_new() {
    let mut world = tagged();
    let commit = world.push("stack", "dev");
    let wider = STACK.replace(r"'\d+\.\d+\.\d+'", "'v.*|[0-9.]+'");
    world.load(rules(&wider));
    tags(&mut world, &[("v2", &commit)], &[("v2", &commit, "dev")]);
    assert_eq!(runs_of(&world, "whole"), Vec::<String>::new());
    tags(&mut world, &[("v3", &commit)], &[("v3", &commit, "dev")]);
    assert_eq!(runs_of(&world, "whole").len(), 1, "it came after the pattern");
    // Where no rule asks for tags nothing is remembered of them.
    world.load(rules(
        &STACK
            .replace(r"tag: stack, pattern: '\d+\.\d+\.\d+'", "manual: true, repository: stack")
            .replace("{{tag}}", "x"),
    ));
    assert_eq!(watched(&world).tags, None);
}

#[test]
fn what_a_tag_started_can_be_started_again_by_name() {
    let mut world = tagged();
    let commit = world.push("stack", "dev");
    let refused = |world: &mut World, command: Command| world.ask("ada", command).unwrap_err().to_string();
    let said = refused(&mut world, of_tag("whole", "dev", "1.0.0"));
    assert!(said.contains("stack has no tag `1.0.0` that has been seen"), "{said}");
    let said = refused(&mut world, run_rule("whole", "dev"));
    assert!(said.contains("whole runs for a tag, and none is named"), "{said}");
    let said = refused(&mut world, of_tag("whole", "dev", "next"));
    assert!(said.contains("`next` does not match"), "{said}");
    let said = refused(&mut world, of_tag("built", "dev", "1.0.0"));
    assert!(said.contains("no tag starts built"), "{said}");
    tags(&mut world, &[("1.0.0", &commit)], &[("1.0.0", &commit, "dev")]);
    world.settle();
    world.push("stack", "dev");
    world.asked("ada", of_tag("whole", "dev", "1.0.0"));
    let run = runs_of(&world, "whole").pop().unwrap();
    assert_eq!(world.run(&run).source.unwrap().commit, commit);
    assert_eq!(world.run(&run).cause, Cause::Tag { tag: "1.0.0".to_owned() });
}

#[test]
fn steps_know_the_tag() {
    let mut world = tagged();
    let commit = world.push("stack", "dev");
    tags(&mut world, &[("1.0.0", &commit)], &[("1.0.0", &commit, "dev")]);
    let effect = world.effect(&world.newest("whole"), "deploy");
    let Ok(Work::Step(work)) = work(&world.system, &effect) else { panic!("a step is due") };
    assert_eq!(work.context()["tag"], "1.0.0");
}

#[test]
fn too_many_tags_are_said_and_keep_what_is_known() {
    let mut world = tagged();
    let stack = repository("stack");
    let error = Some("10,001 tags match".to_owned());
    let seen = TagsSeen { error: error.clone(), ..TagsSeen::default() };
    let heads = Outcome::Heads { heads: BTreeMap::new(), unread: BTreeMap::new(), tags: Some(Box::new(seen)) };
    world.answer(&world.watch_of(&stack), heads);
    let known = watched(&world).tags.as_ref().unwrap();
    assert_eq!((known.error.clone(), known.known.len()), (error, 1));
    tags(&mut world, &[], &[]);
    assert_eq!(watched(&world).tags.as_ref().unwrap().error, None);
}

#[test]
fn only_a_hundred_tags_are_waited_for() {
    let mut world = tagged();
    let commit = CommitId::new("e".repeat(40));
    let names: Vec<String> = (0..120).map(|number| format!("2.0.{number}")).collect();
    let new: Vec<(&str, &CommitId)> = names.iter().map(|name| (name.as_str(), &commit)).collect();
    tags(&mut world, &new, &[]);
    assert_eq!(watched(&world).tags.as_ref().unwrap().awaited.len(), 100);
    assert_eq!(watched(&world).tags.as_ref().unwrap().known.len(), 121);
}

#[test]
fn the_end_of_something_outside_starts_what_is_for_it_on_its_commit() {
    let mut world = World::new(STACK);
    let commit = world.push("stack", "dev");
    world.record(told(ended("build.yaml", "dev", Some(&commit), false), "build-1"));
    assert_eq!(world.live(), Vec::<String>::new(), "it failed");
    world.record(told(ended("build.yaml", "dev", Some(&commit), true), "build-2"));
    let [run] = world.live().try_into().unwrap();
    assert_eq!(world.run(&run).cause, Cause::Workflow { workflow: "build.yaml".to_owned() });
    let twice = world.offer(told(ended("build.yaml", "dev", Some(&commit), true), "build-2"));
    assert!(matches!(twice, Err(Refused::Delivered { .. })));
    let unknown = world.offer(told(ended("test.yaml", "dev", None, true), "build-3")).unwrap_err().to_string();
    assert!(unknown.contains("no rule waits for `test.yaml` of stack in dev; rules wait for: build.yaml"), "{unknown}");
    let unknown = world.offer(told(ended("build.yaml", "main", None, true), "build-4")).unwrap_err().to_string();
    assert!(unknown.contains("in main"), "{unknown}");
}

#[test]
fn an_end_that_is_told_before_its_commit_is_seen_waits_for_it_and_one_that_was_passed_starts_nothing() {
    let mut world = World::new(STACK);
    world.push("stack", "dev");
    let (stack, dev) = (repository("stack"), stage("dev"));
    let pushed = world.commit(&stack, &dev, "ada", None);
    world.record(told(ended("build.yaml", "dev", Some(&pushed), true), "build-1"));
    assert_eq!(world.live(), Vec::<String>::new());
    assert_eq!(world.rows[&world.watch_of(&stack)].due_ms, world.now_ms, "it is looked for at once");
    world.watch(&stack);
    assert_eq!(world.live(), ["built-1"]);
    world.settle();
    let before = runs_of(&world, "built").len();
    let passed = CommitId::new("d".repeat(40));
    for number in 0..60 {
        let commit = CommitId::new(format!("a{number:039}"));
        world.record(told(ended("build.yaml", "dev", Some(&commit), true), &format!("old-{number}")));
    }
    world.record(told(ended("build.yaml", "dev", Some(&passed), true), "old"));
    assert_eq!(runs_of(&world, "built").len(), before);
    assert_eq!(watched(&world).ahead.len(), 50, "the oldest are given up");
}

#[test]
fn who_says_that_something_ended_must_be_allowed_to_start_it() {
    let mut world = World::new(STACK);
    world.push("stack", "dev");
    let grant = |role, to: &str| Grant { role, to: vec![to.to_owned()], systems: Vec::new(), stages: Vec::new() };
    let grants = vec![grant(Role::Viewer, "ada"), grant(Role::Operator, "grace")];
    let access = Access { grants, ..Access::default() };
    world.record(Event::AccessLoaded { access });
    let says = |by: &str, delivery: &str| Event::Nudged {
        what: ended("build.yaml", "dev", None, true),
        delivery: delivery.parse().unwrap(),
        by: Some(Principal::named(by)),
    };
    assert!(matches!(world.offer(says("ada", "one")), Err(Refused::NotAllowed { .. })));
    world.record(says("grace", "two"));
    assert_eq!(world.live().len(), 1);
}

#[test]
fn a_bundle_is_what_a_step_made_for_those_after_it_and_for_who_approves() {
    let mut world = World::new(STACK);
    world.push("site", "main");
    let said = world.ask("ada", run_rule("publish", "main")).unwrap_err().to_string();
    assert!(said.contains("publish deploys a bundle, and none is given"), "{said}");
    let said = world.ask("ada", bring("whole", "dev", "site.zip")).unwrap_err().to_string();
    assert!(said.contains("whole takes no bundle") || said.contains("branch"), "{said}");
    for wrong in ["", "\u{1b}[2J.zip", &"x".repeat(5_000)] {
        let said = world.ask("ada", bring("publish", "main", wrong)).unwrap_err().to_string();
        assert!(said.contains("the bundle is not as `tidegate deploy` says it"), "{said}");
    }
    let sha256 = bundle("").sha256;
    let elsewhere =
        ["file:objects/templates/x".to_owned(), format!("file:objects/bundles/{}/site.zip", "0".repeat(64))];
    let out = [format!("file:objects/bundles/{sha256}/../x"), format!("file:objects/../bundles/{sha256}/site.zip")];
    for uri in elsewhere.into_iter().chain(out) {
        let on = Some(StartOn::Bundle(Bundle { uri, ..bundle("site.zip") }));
        let said = world.ask("ada", Command::Run { rule: RuleName::new("publish").unwrap(), stage: stage("main"), on });
        assert!(said.unwrap_err().to_string().contains("the bundle is not as `tidegate deploy` says it"));
    }
    world.asked("ada", bring("publish", "main", "site.zip"));
    let run = world.newest("publish");
    assert!(matches!(world.run(&run).cause, Cause::Release { .. }));
    let brought = world.step(&run, "bundle");
    assert_eq!(
        (brought.state, brought.outputs["sha256"].as_str()),
        (StepState::Done, Some(bundle("").sha256.as_str()))
    );
    assert_eq!(world.step_state(&run, "approve"), StepState::Active);
    let asks = |world: &World| {
        let run = world.run(&run);
        run.digest(run.asking().unwrap())
    };
    let before = asks(&world);
    let mut other = world.run(&run);
    let mut steps: Vec<StepRun> = other.steps.iter().cloned().collect();
    steps[0].outputs.insert("sha256".to_owned(), "cd".repeat(32).into());
    other.steps = steps.into();
    assert_ne!(before, other.digest(other.asking().unwrap()), "an approval is of these bytes");
    // In dev nobody is asked.
    world.push("site", "dev");
    world.asked("ada", bring("publish", "dev", "site.zip"));
    let run = world.newest("publish");
    world.settle();
    assert_eq!(world.run(&run).state, tidegate_engine::engine::RunState::Done);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// However looks repeat themselves, come late and out of order: each tag starts its rule once for each commit and stage.
    #[test]
    fn a_tag_starts_a_rule_once_for_each_commit_and_stage(
        moves in prop::collection::vec((any::<Index>(), any::<Index>(), any::<bool>(), any::<bool>()), 1..40),
    ) {
        let mut world = tagged();
        let commits: Vec<CommitId> = (0..3).map(|_| world.push("stack", "dev")).collect();
        let mut started: BTreeMap<(String, CommitId, StageName), u32> = BTreeMap::new();
        for (tag, commit, dev, main) in moves {
            let tag = format!("1.0.{}", tag.index(3));
            let commit = &commits[commit.index(commits.len())];
            let stages = [("dev", dev), ("main", main)].into_iter().filter(|(_, there)| *there);
            let within: Vec<_> = stages.map(|(at, _)| (tag.as_str(), commit, at)).collect();
            let made = world.system.runs_made;
            tags(&mut world, &[(tag.as_str(), commit)], &within);
            for run in world.system.runs.values().filter(|run| run.number > made) {
                let Cause::Tag { tag } = &run.cause else { continue };
                let of = (tag.clone(), run.source.clone().unwrap().commit, run.stage.clone());
                *started.entry(of).or_default() += 1;
            }
            world.settle();
        }
        prop_assert!(started.values().all(|count| *count == 1), "{started:?}");
    }
}
