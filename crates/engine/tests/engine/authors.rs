//! Whose change it is: for each target and stage by itself, however long ago and by whatever way it came there.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, sample::Index};
use tidegate_engine::engine::{Access, CommitId, Event, Grant, Person, Role, RunState};

use super::support::{
    World, abort, approve, failed, promote, promote_version, repository, retry, roll_back, run_rule, stage,
};

/// A canary without a question, production with one, and promotions that people begin.
const APP: &str = "
version: 1
system: app
stages: { dev: { environment: Development }, qa: { environment: QA }, main: { environment: Production } }
repositories: { app: { url: a.git } }
targets: { canary: {}, production: {} }
rules:
  canary:
    on: { push: app }
    stages: [dev]
    target: canary
    steps: [{ synth: { template: t.yaml } }, { deploy: {} }]
  production:
    on: { upstream: canary, repository: app }
    stages: [dev]
    target: production
    steps: [{ synth: { template: t.yaml } }, { approve: { stages: { dev: { count: 1 } } } }, { deploy: {} }]
  deliver:
    on: { push: app }
    stages: [qa, main]
    target: canary
    steps: [{ synth: { template: t.yaml } }, { deploy: {} }]
promotions:
  - { from: dev, to: qa }
  - { from: dev, to: main, start: manual, requires: { approvals: { count: 1 } } }
  - { from: qa, to: main, start: manual, requires: { approvals: { count: 1 } } }
";

fn authors(world: &World, run: &str) -> BTreeSet<String> {
    world.run(run).authors.iter().map(|author| author.split(' ').next().unwrap().to_owned()).collect()
}

fn refusal(world: &mut World, by: &str, run: &str) -> String {
    world.ask(by, approve(run)).map(drop).unwrap_err().to_string()
}

/// The newest live run of a subject.
fn live(world: &World, subject: &str) -> String {
    let newest = world.live().into_iter().rev().find(|run| run.starts_with(subject));
    newest.unwrap_or_else(|| panic!("no {subject} goes on: {:?}", world.live()))
}

/// Somebody's change is verified on the canary and in production, with Grace's approval, and goes to qa.
fn delivered(world: &mut World, by: &str) {
    world.push_by(by, "app", "dev");
    world.settle();
    let production = live(world, "production");
    world.asked("grace", approve(&production));
    world.settle();
}

#[test]
fn what_a_target_without_a_question_verified_is_still_its_authors_for_the_next() {
    let mut world = World::new(APP);
    delivered(&mut world, "linus");
    world.push_by("ada", "app", "dev");
    world.settle();
    let production = live(&world, "production");
    assert_eq!(authors(&world, &production), ["ada".to_owned()].into());
    assert!(refusal(&mut world, "ada", &production).contains("they wrote themselves"));
    world.asked("linus", approve(&production));
}

#[test]
fn a_delivery_that_is_asked_for_anew_has_the_authors_of_the_one_that_was_aborted() {
    let mut world = World::new(APP);
    delivered(&mut world, "linus");
    world.push_by("ada", "app", "dev");
    world.settle();
    let production = live(&world, "production");
    world.asked("grace", abort(&production));
    world.asked("grace", run_rule("production", "dev"));
    world.settle();
    let production = live(&world, "production");
    assert!(refusal(&mut world, "ada", &production).contains("they wrote themselves"));
}

#[test]
fn each_stage_asks_of_all_that_is_new_in_it_wherever_else_it_went() {
    let mut world = World::new(APP);
    for author in ["ada", "linus"] {
        delivered(&mut world, author);
    }
    assert!(world.system.promoted.contains_key(&stage("qa")), "it is in qa");
    world.asked("grace", promote("dev", "main"));
    let promotion = live(&world, "promote");
    assert!(authors(&world, &promotion).is_superset(&["ada".to_owned(), "linus".to_owned()].into()));
    assert!(refusal(&mut world, "ada", &promotion).contains("they wrote themselves"));
    world.asked("grace", approve(&promotion));
    world.settle();
    delivered(&mut world, "mary");
    world.asked("grace", promote("dev", "main"));
    let promotion = live(&world, "promote");
    assert_eq!(authors(&world, &promotion), ["mary".to_owned()].into(), "the others' are there");
    world.asked("ada", approve(&promotion));
}

#[test]
fn what_was_taken_away_is_its_authors_again_when_it_comes_back() {
    let mut world = World::new(APP);
    let mut versions = Vec::new();
    for author in ["linus", "ada"] {
        delivered(&mut world, author);
        versions.push(world.system.verified[&stage("dev")].run.to_string());
        world.asked("grace", promote("dev", "main"));
        let promotion = live(&world, "promote");
        world.asked("grace", approve(&promotion));
        world.settle();
    }
    world.asked("grace", roll_back("main", None));
    world.settle();
    world.asked("grace", promote_version("dev", "main", &versions[1]));
    let promotion = live(&world, "promote");
    assert_eq!(authors(&world, &promotion), ["ada".to_owned()].into());
    assert!(refusal(&mut world, "ada", &promotion).contains("they wrote themselves"));
    world.replays(20);
}

#[test]
fn who_turns_out_to_have_written_some_of_it_has_not_approved_it() {
    let two = "{ from: dev, to: main, start: manual, requires: { approvals: { count: 2 } } }";
    let mut world = World::new(&APP.replace(&two.replace('2', "1"), two));
    for author in ["linus", "ada", "mary"] {
        delivered(&mut world, author);
        world.asked("grace", promote("dev", "main"));
        if author == "mary" {
            continue;
        }
        for by in ["grace", "otto"] {
            let promotion = live(&world, "promote");
            world.asked(by, approve(&promotion));
        }
        world.settle();
    }
    let promotion = live(&world, "promote");
    world.asked("ada", approve(&promotion));
    world.asked("grace", roll_back("main", None));
    world.settle();
    let step = world.run(&promotion).asking().unwrap().clone();
    let because = &step.void.last().unwrap().because;
    assert!(because.starts_with("it is known now who wrote it: ada may not, it holds a change"), "{because}");
    assert!(step.answers.is_empty());
    assert_eq!(authors(&world, &promotion), ["ada".to_owned(), "mary".to_owned()].into());
}

#[test]
fn where_not_all_authors_are_known_it_takes_somebody_who_may_override() {
    let mut world = World::new(APP);
    let grants = [(Role::Approver, "linus"), (Role::Admin, "grace")];
    let grants = grants.map(|(role, to)| Grant { role, to: vec![to.to_owned()], systems: vec![], stages: vec![] });
    let people = ["ada", "grace", "linus"].map(|name| (name.to_owned(), Person::default()));
    let (people, grants) = (BTreeMap::from(people), grants.into());
    world.record(Event::AccessLoaded { access: Access { people, grants, ..Access::default() } });
    world.contents.unknown = vec!["app: more than 500 people wrote it".to_owned()];
    world.push("app", "dev");
    world.settle();
    let production = live(&world, "production");
    let refused = refusal(&mut world, "linus", &production);
    assert!(
        refused.contains("not all who wrote it are known (app: more than 500 people wrote it)")
            && refused.contains("`override`"),
        "{refused}"
    );
    assert!(world.waits_for(&production).ended_by.starts_with("grace: "), "{}", world.waits_for(&production).ended_by);
    assert!(world.run(&production).others_wrote);
    world.asked("grace", approve(&production));
    world.settle();
    world.contents.unknown.clear();
    world.push_by("ada", "app", "dev");
    world.settle();
    let production = live(&world, "production");
    world.asked("linus", approve(&production));
}

#[test]
fn a_merge_back_by_hand_is_of_those_who_wrote_what_it_brings_however_long_ago_it_was_promoted() {
    let mut world = World::new(APP);
    delivered(&mut world, "peter");
    world.push_by("linus", "app", "qa");
    world.settle();
    for _ in 0..40 {
        delivered(&mut world, "mary");
    }
    world.merge_by("mary", "app", "qa", "dev");
    world.settle();
    let production = live(&world, "production");
    let run = world.run(&production);
    assert!(!run.others_wrote);
    let wrote = ["ada", "linus", "mary"].map(str::to_owned);
    assert_eq!(authors(&world, &production), wrote.into(), "and whose the first of qa was");
    for author in ["linus", "mary"] {
        assert!(refusal(&mut world, author, &production).contains("they wrote themselves"));
    }
    world.asked("peter", approve(&production));
}

#[test]
fn nobody_is_forgotten_however_many_push() {
    let mut world = World::new(APP);
    for number in 0..150 {
        world.push_by(&format!("p{number}"), "app", "dev");
    }
    world.settle();
    let production = live(&world, "production");
    assert_eq!(authors(&world, &production).len(), 151, "and whose the first was");
    assert!(!world.run(&production).others_wrote);
    world.asked("grace", approve(&production));
    world.settle();
    world.push_by("p0", "app", "dev");
    world.settle();
    assert_eq!(authors(&world, &live(&world, "production")), ["p0".to_owned()].into());
}

#[test]
fn an_address_is_the_same_in_whatever_case() {
    let mut world = World::new(APP);
    let app = repository("app");
    world.commit(&app, &stage("dev"), "ADA", None);
    world.watch(&app);
    world.settle();
    let production = live(&world, "production");
    assert!(refusal(&mut world, "ada", &production).contains("they wrote themselves"));
}

/// What is done next in a random history.
#[derive(Debug, Clone)]
enum Next {
    Push(usize, bool),
    Merge(usize, bool),
    Settle,
    Approve(Index),
    Promote(bool),
    Version(Index),
    RollBack(bool),
    Fail,
    Run,
    Retry,
}

fn next() -> impl Strategy<Value = Next> {
    prop_oneof![
        4 => (0..4_usize, any::<bool>()).prop_map(|(who, qa)| Next::Push(who, qa)),
        1 => (0..4_usize, any::<bool>()).prop_map(|(who, main)| Next::Merge(who, main)),
        6 => Just(Next::Settle),
        5 => any::<Index>().prop_map(Next::Approve),
        2 => any::<bool>().prop_map(Next::Promote),
        1 => any::<Index>().prop_map(Next::Version),
        1 => any::<bool>().prop_map(Next::RollBack),
        1 => Just(Next::Fail),
        1 => Just(Next::Run),
        1 => Just(Next::Retry),
    ]
}

const PEOPLE: [&str; 4] = ["ada", "grace", "linus", "mary"];

/// Who wrote each pushed commit, and what was last verified in production and promoted into main.
#[derive(Default)]
struct Model {
    wrote: BTreeMap<CommitId, String>,
    production: Option<CommitId>,
    main: Option<CommitId>,
}

impl Model {
    /// Who wrote what is in a commit and not in what was there before.
    fn news(&self, world: &World, commit: &CommitId, before: Option<&CommitId>) -> BTreeSet<String> {
        let before = before.map(|before| world.contents.of(before)).unwrap_or_default();
        world.contents.of(commit).difference(&before).filter_map(|commit| self.wrote.get(commit).cloned()).collect()
    }
}

fn play(world: &mut World, model: &mut Model, next: &Next) -> Result<(), TestCaseError> {
    match next {
        Next::Push(who, qa) => {
            let at = if *qa { "qa" } else { "dev" };
            let commit = world.push_by(PEOPLE[*who], "app", at);
            model.wrote.insert(commit, PEOPLE[*who].to_owned());
        }
        Next::Merge(who, main) => {
            let commit = world.merge_by(PEOPLE[*who], "app", if *main { "main" } else { "qa" }, "dev");
            model.wrote.insert(commit, PEOPLE[*who].to_owned());
        }
        Next::Settle => world.settle(),
        Next::Approve(index) => {
            let asking: Vec<String> =
                world.system.live_runs().filter(|run| run.asking().is_some()).map(|run| run.id.to_string()).collect();
            if asking.is_empty() {
                return Ok(());
            }
            let run = world.run(index.get(asking.as_slice()).as_str());
            let before = if run.stage == stage("dev") { &model.production } else { &model.main };
            let new = model.news(world, &run.set[&repository("app")], before.as_ref());
            for who in PEOPLE {
                let granted = world.ask(who, approve(run.id.as_str())).is_ok();
                prop_assert!(!granted || !new.contains(who), "{who} wrote some of {}", run.id);
                if granted {
                    break;
                }
            }
        }
        Next::Promote(qa) => drop(world.ask("grace", promote(if *qa { "qa" } else { "dev" }, "main"))),
        Next::Version(index) => {
            let known = world.system.versions_of(&stage("dev"));
            if !known.is_empty() {
                let run = index.get(known).verified.run.to_string();
                drop(world.ask("grace", promote_version("dev", "main", &run)));
            }
        }
        Next::RollBack(qa) => drop(world.ask("grace", roll_back(if *qa { "qa" } else { "main" }, None))),
        Next::Fail => {
            if let Some(run) = world.live().into_iter().find(|run| run.starts_with("canary"))
                && world.run(&run).steps.iter().any(|step| step.id.as_str() == "synth" && step.effect.is_some())
            {
                world.answers(&run, "synth", failed("no"));
            }
        }
        Next::Run => drop(world.ask("grace", run_rule("production", "dev"))),
        Next::Retry => {
            let failed = world.system.runs.values().rev().find(|run| run.state == RunState::Failed);
            if let Some(run) = failed.map(|run| run.id.to_string()) {
                drop(world.ask("grace", retry(&run)));
            }
        }
    }
    let done = |of: &str| world.ended.iter().rev().find(|run| run.subject.name() == of && run.state == RunState::Done);
    model.production = done("production").map(|run| run.set[&repository("app")].clone());
    let promoted = world.system.promoted.get(&stage("main"));
    model.main = promoted.map(|promoted| promoted.set[&repository("app")].clone());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_author_of_what_is_new_ever_approves_it(history in prop::collection::vec(next(), 1..60)) {
        let mut world = World::new(APP);
        let mut model = Model::default();
        for next in &history {
            play(&mut world, &mut model, next)?;
        }
        world.replays(history.len());
    }
}
