//! Rules that are started by a tag, by the end of something elsewhere, and by a file that somebody brings.

use tidegate::engine::{Cause, Run, RunState, System};

use super::{delivery::Delivery, json};

const RULES: &str = r#"
  announce:
    on: { tag: software, pattern: '\d+\.\d+\.\d+' }
    stages: [dev, qa]
    target: board
    steps:
      - deploy: { command: [sh, announce.sh], variables: { tag: "{{tag}}" } }
  checked:
    on: { workflow: build.yaml, repository: software }
    stages: [dev]
    steps:
      - package: {}
  bring:
    on: { release: true, repository: software }
    stages: [dev]
    target: board
    steps:
      - deploy: { command: [sh, announce.sh], variables: { tag: "{{bundle.name}}" } }
"#;
const SCRIPT: &str =
    "set -e\ncat \"$TIDEGATE_VARIABLES\"\nif [ -n \"$TIDEGATE_BUNDLE\" ]; then cat \"$TIDEGATE_BUNDLE\"; fi\n";

fn with_triggers(rules: String) -> String {
    let rules = rules
        .replace("to: qa,", "to: qa, start: manual,")
        .replace("targets:\n", "targets:\n  board: { kind: job, queue: fifo }\n");
    rules.replace("\npromotions:", &format!("{RULES}\npromotions:"))
}

fn delivery() -> Delivery {
    let delivery = Delivery::with_rules(with_triggers);
    delivery.software.commit("dev", "Announce what is new", &[("announce.sh", SCRIPT)]);
    delivery
}

fn runs(state: &System, rule: &str, stage: &str) -> Vec<Run> {
    let is_of = |run: &Run| run.subject.name() == rule && run.stage.as_str() == stage;
    state.runs.values().filter(|run| is_of(run)).map(|run| Run::clone(run)).collect()
}

/// The only run of a rule in a stage, once it has ended.
fn only(delivery: &Delivery, rule: &str, stage: &str) -> Run {
    let ended = |state: &System| runs(state, rule, stage).pop().filter(|run| run.state.is_ended());
    let run = delivery.wait(&format!("{rule} in {stage}"), ended);
    assert_eq!(run.state, RunState::Done, "{:?}", run.reason);
    delivery.wait("", |state| {
        assert_eq!(runs(state, rule, stage).len(), 1, "once");
        Some(())
    });
    run
}

#[test]
fn a_tag_deploys_in_each_stage_that_has_its_commit_once() {
    let mut delivery = delivery();
    let old = delivery.software.head("dev").unwrap();
    delivery.software.git(&["tag", "0.9.0", &old]);
    delivery.serve();
    delivery.wait("the first look", |state| state.repositories.values().any(|it| it.tags.is_some()).then_some(()));

    // The tag is there before its branch is: nothing is deployed that dev does not have.
    delivery.software.set_branch("later", &delivery.software.head("dev").unwrap());
    let pushed = delivery.software.commit("later", "Sell more", &[("announce.sh", SCRIPT)]);
    delivery.software.git(&["tag", "--annotate", "-m", "The first", "1.0.0", &pushed]);
    delivery.software.git(&["tag", "1.0.0-rc.1", &pushed]);
    delivery.wait("the tag", |state| {
        let tags = state.repositories.values().find_map(|it| it.tags.as_ref())?;
        tags.awaited.iter().any(|awaited| awaited.tag == "1.0.0").then_some(())
    });
    assert_eq!(delivery.wait("", |state| Some(runs(state, "announce", "dev").len())), 0);
    delivery.kill();
    delivery.software.set_branch("dev", &pushed);
    delivery.serve();
    let run = only(&delivery, "announce", "dev");
    assert_eq!(run.cause, Cause::Tag { tag: "1.0.0".to_owned() });
    assert_eq!(run.source.unwrap().commit.as_str(), pushed);
    assert!(delivery.granted(&["logs", run.id.as_str()]).contains("\"tag\": \"1.0.0\""));
    let shown = delivery.granted(&["run", "show", run.id.as_str()]);
    assert!(shown.contains("because  tag 1.0.0"), "{shown}");
    let history = delivery.granted(&["history", "--limit", "500"]);
    assert!(history.contains("dev has tag 1.0.0"), "{history}");

    // The promotion brings it to qa, by a commit of our own.
    delivery.done("deliver", "dev");
    delivery.granted(&["promote", "dev", "qa", "--as", "grace"]);
    let run = only(&delivery, "announce", "qa");
    assert_eq!(run.source.unwrap().commit.as_str(), pushed);

    // Once more, by its name.
    let why = delivery.refused(&["run", "start", "announce", "--stage", "dev", "--as", "grace"], 3);
    assert!(why.contains("announce runs for a tag, and none is named"), "{why}");
    delivery.granted(&["run", "start", "announce", "--stage", "dev", "--tag", "1.0.0", "--as", "grace"]);
    delivery.wait("the second run", |state| {
        let again = runs(state, "announce", "dev").pop()?;
        (again.number > run.number && again.state == RunState::Done).then_some(())
    });
}

#[test]
fn a_build_elsewhere_starts_what_waits_for_its_success() {
    let mut delivery = delivery();
    delivery.serve();
    let commit = delivery.software.commit("dev", "Sell more", &[("VERSION", "webshop 2.0\n")]);
    let nudge = |more: &[&str]| {
        let all =
            [&["nudge", "software", "--workflow", "build.yaml", "--stage", "dev", "--as", "grace"], more].concat();
        delivery.command(&all)
    };
    assert!(nudge(&["--commit", &commit, "--failed", "--delivery", "b-1"]).status.success());
    assert!(nudge(&["--commit", &commit, "--delivery", "b-2"]).status.success());
    let again = nudge(&["--commit", &commit, "--delivery", "b-2"]);
    assert!(String::from_utf8_lossy(&again.stdout).contains("b-2 was taken in before"));
    let run = only(&delivery, "checked", "dev");
    assert_eq!(run.source.unwrap().commit.as_str(), commit, "whenever the look came");
    let why = delivery.refused(&["nudge", "software", "--workflow", "test.yaml", "--stage", "dev", "--as", "grace"], 3);
    assert!(why.contains("no rule waits for `test.yaml` of software in dev; rules wait for: build.yaml"), "{why}");
    let wrong =
        delivery.command(&["nudge", "software", "--workflow", "build.yaml", "--stage", "dev", "--commit", "abc"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn a_file_that_was_built_elsewhere_is_deployed_as_it_is() {
    let mut delivery = delivery();
    delivery.serve();
    let file = delivery.root().join("Board 1.4.txt");
    std::fs::write(&file, "brought by hand\n").unwrap();
    let file = file.to_str().unwrap();
    let why = delivery.refused(&["deploy", file, "--target", "bord", "--stage", "dev", "--as", "grace"], 1);
    assert!(why.contains("there is no target `bord`; did you mean `board`"), "{why}");
    let why = delivery.refused(&["deploy", file, "--target", "webshop", "--stage", "dev", "--as", "grace"], 1);
    assert!(why.contains("no rule takes a file for webshop: write `release: true`"), "{why}");
    let why = delivery.refused(&["deploy", "/", "--target", "board", "--stage", "dev", "--as", "grace"], 1);
    assert!(why.contains("/ is no file"), "{why}");
    let why = delivery.refused(&["deploy", file, "--target", "board", "--stage", "qa", "--as", "grace"], 3);
    assert!(why.contains("there is no stage for that rule `qa`"), "{why}");
    let why = delivery.refused(&["run", "start", "bring", "--stage", "dev", "--as", "grace"], 3);
    assert!(why.contains("bring deploys a bundle, and none is given"), "{why}");

    let said = delivery.granted(&["deploy", file, "--target", "board", "--stage", "dev", "--as", "grace"]);
    assert!(said.contains("Board 1.4.txt (sha256"), "{said}");
    let run = only(&delivery, "bring", "dev");
    let log = delivery.granted(&["logs", run.id.as_str()]);
    assert!(log.contains("brought by hand") && log.contains("\"tag\": \"Board 1.4.txt\""), "{log}");
    let shown = json(&delivery.granted(&["-o", "json", "run", "show", run.id.as_str()]));
    assert_eq!(shown["run"]["steps"][0]["id"], "bundle");

    // The stored bytes are those that were brought, or nothing is deployed.
    let uri = run.steps[0].outputs["uri"].as_str().unwrap().to_owned();
    let stored = delivery.objects().join(uri.split_once("/objects/").unwrap().1);
    std::fs::write(&stored, "another hand\n").unwrap();
    let again = delivery.command(&["deploy", file, "--target", "board", "--stage", "dev", "--as", "grace"]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && said.contains("bundles/"), "{said}");
}

#[test]
fn more_tags_than_are_followed_are_said_and_hide_no_branch() {
    let mut delivery = delivery();
    let head = delivery.software.head("dev").unwrap();
    let packed = delivery.software.directory.join("packed-refs");
    let has = |count: usize| {
        let tags: String = (0..count).map(|number| format!("{head} refs/tags/0.0.{number}\n")).collect();
        std::fs::write(&packed, format!("# pack-refs with: peeled fully-peeled \n{tags}")).unwrap();
    };
    has(10_001);
    delivery.serve();
    delivery.wait("what is wrong", |_| {
        let said =
            "software tags are not taken in: 10001 tags of software match, and 10000 are the most: narrow `pattern`";
        delivery.status().contains(said).then_some(())
    });
    let pushed = delivery.software.commit("dev", "Sell more", &[("VERSION", "webshop 2.0\n")]);
    assert_eq!(delivery.ended_on("package", &pushed).state, RunState::Done);
    // Those that are left are as old as before: none of them starts anything, however many looks there are.
    has(9_000);
    delivery.wait("that it is mended", |_| (!delivery.status().contains("tags are not taken in")).then_some(()));
    delivery.software.git(&["tag", "1.0.0", &pushed]);
    let run = only(&delivery, "announce", "dev");
    assert_eq!(run.cause, Cause::Tag { tag: "1.0.0".to_owned() });
}

#[test]
fn mistakes_in_what_starts_a_rule_are_said_with_their_place() {
    let delivery = Delivery::with_rules(with_triggers);
    let rules = delivery.rules();
    for (change, said) in [
        (("tag: software,", "tag: softwar,"), "did you mean `software`"),
        ((r"'\d+\.\d+\.\d+'", "'('"), "`(` is not a regular expression for tags: unclosed group"),
        (("tag: software, pattern", "push: software, pattern"), "`pattern` narrows a `tag`, and there is none"),
        (("tag: software,", "tag: software, push: image,"), "the rule works on `image`, whose pushes start it"),
        (("tag: software,", "tag: software, repository: image,"), "the rule works on `software`, whose tags start it"),
        (("tag: software,", "tag: software, upstream: bake,"), "this rule is also started by `upstream`"),
        (("{{bundle.name}}", "{{bundle.nam}}"), "a bundle has no `nam`"),
        (("{{bundle.name}}", "{{bundle}}"), "name one of name, uri, sha256, bytes"),
        (("{{bundle.name}}", "{{tag}}"), "`{{tag}}` is known where `tag` starts the rule"),
        (("{{tag}}", "{{tag.name}}"), "`{{tag}}` is a text, and has no `name`"),
        (("workflow: build.yaml, repository: software", "workflow: build.yaml"), "add `repository: NAME`"),
        (("workflow: build.yaml", "workflow: ''"), "a workflow has a name of 1 to 200 characters"),
        (("on: { release: true, repository: software }", "on: { repository: software }"), "nothing starts this rule"),
    ] {
        assert!(rules.contains(change.0), "{}", change.0);
        delivery.write_rules(&rules.replacen(change.0, change.1, 1));
        let checked = delivery.command(&["check"]);
        assert_eq!(checked.status.code(), Some(4), "{}", change.1);
        let mistakes = String::from_utf8(checked.stdout).unwrap();
        assert!(mistakes.contains(said), "{}: {mistakes}", change.1);
    }
}
