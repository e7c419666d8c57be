//! Targets through the whole program: what people see of a plan, what another hand does meanwhile, and jobs that outlive us.

use tidegate::engine::{RunState, StepState};

use super::{NEW_VERSION, delivery::Delivery, json};

/// A second target, a job, which a person starts and which says what it made.
const JOB: &str = "
  reindex:
    on: { manual: true, repository: software }
    target: reindex
    stages: [dev]
    steps:
      - deploy: { command: [sh, reindex.sh, '{{stage}}'], variables: { depth: 3, commit: '{{commit}}' } }
      - verify: { command: [test, '{{deploy.outputs.indexed}}', '=', '3'] }
";

fn with_a_job(rules: String) -> String {
    let rules = rules
        .replace("to: qa,", "to: qa, start: manual,")
        .replace("targets:\n", "targets:\n  reindex: { kind: job, grace: 1s }\n");
    rules.replace("\npromotions:", &format!("{JOB}\npromotions:"))
}

fn target(delivery: &Delivery) -> serde_json::Value {
    json(&delivery.granted(&["-o", "json", "target", "show", "webshop", "--stage", "dev"]))
}

#[test]
fn people_see_the_plan_and_what_another_hand_does_is_seen() {
    let mut delivery = Delivery::careful();
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let asked = delivery.asking("deliver", "dev");
    let shown = delivery.granted(&["run", "show", asked.id.as_str()]);
    assert!(shown.contains("deploy/plan") && shown.contains("webshop is created"), "{shown}");
    assert_eq!(target(&delivery)["plan"]["acts"], json(r#"["create"]"#));
    delivery.granted(&["approve", asked.id.as_str(), "--as", "grace"]);
    let deliver = delivery.done("deliver", "dev");
    assert!(deliver.steps.iter().any(|step| step.id.as_str() == "deploy/create" && step.state == StepState::Done));
    let log = delivery.granted(&["logs", deliver.id.as_str()]);
    assert!(log.contains("webshop is absent") && log.contains("webshop is stable"), "{log}");
    let list = delivery.granted(&["target", "list"]);
    assert!(list.contains("AVAILABLE (STABLE)") && list.contains("seen stable"), "{list}");

    // Somebody deploys past us: told where it is looked at.
    let current = delivery.root().join("data/environments/webshop/webshop@dev/current.json");
    let before = std::fs::read_to_string(&current).unwrap();
    let image = json(&before)["image"].as_str().unwrap().to_owned();
    std::fs::write(&current, before.replace(&image, "ami-00000000000000000")).unwrap();
    delivery.granted(&["target", "observe", "webshop", "--stage", "dev", "--as", "grace"]);
    delivery.wait("what changed", |state| {
        state.targets.values().any(|it| it.outside.as_ref().is_some_and(|it| !it.drift.is_empty())).then_some(())
    });
    assert_eq!(target(&delivery)["drift"][0]["is"], "ami-00000000000000000");
    assert!(delivery.status().contains("changed by another hand: image"), "{}", delivery.status());
    std::fs::write(&current, &before).unwrap();

    // Somebody deletes it while a deployment waits for people: what they approved is void.
    delivery.software.commit("dev", "Sell less", &[("VERSION", "webshop 3.0\n")]);
    let asked = delivery.wait("the second question", |state| {
        let run = state.live_runs().find(|run| run.answerable().is_some() && run.id != asked.id)?;
        Some(run.id.to_string())
    });
    let shown = delivery.granted(&["run", "show", &asked]);
    assert!(!shown.contains("webshop is created"), "{shown}");
    delivery.stop_services();
    std::fs::remove_dir_all(delivery.root().join("data/environments/webshop/webshop@dev")).unwrap();
    delivery.granted(&["approve", &asked, "--as", "grace"]);
    delivery.wait("the question again", |state| {
        let run = state.live_runs().find(|run| run.id.as_str() == asked)?;
        run.answerable().filter(|step| !step.void.is_empty()).map(drop)
    });
    let shown = delivery.granted(&["run", "show", &asked]);
    assert!(shown.contains("webshop@dev was seen otherwise since: now webshop is created"), "{shown}");
    delivery.granted(&["approve", &asked, "--as", "grace"]);
    delivery.done("deliver", "dev");
    assert_eq!(delivery.health("dev").as_deref(), Some("webshop 3.0"));
}

#[test]
fn a_target_is_provisioned_and_deleted_by_its_name() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let made =
        json(&delivery.granted(&["-o", "json", "target", "provision", "webshop", "--stage", "dev", "--as", "grace"]));
    assert_eq!(made["run"], "provision-1");
    delivery.wait("the target", |state| state.targets.values().any(|it| it.life.name() == "AVAILABLE").then_some(()));
    let why = delivery.refused(&["target", "provision", "webshop", "--stage", "dev", "--as", "grace"], 3);
    assert!(why.contains("webshop@dev is AVAILABLE"), "{why}");
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("deliver", "dev");
    let why = delivery.refused(&["target", "delete", "webshop", "--stage", "dev", "--as", "grace"], 1);
    assert!(why.contains("nothing was deleted: write `--confirm webshop`"), "{why}");
    let why =
        delivery.refused(&["target", "delete", "webshop", "--stage", "dev", "--confirm", "shop", "--as", "grace"], 1);
    assert!(why.contains("`shop` is not the name of the target"), "{why}");
    delivery.quiet_in("dev");
    delivery.granted(&["target", "delete", "webshop", "--stage", "dev", "--confirm", "webshop", "--as", "grace"]);
    delivery.wait("its end", |state| state.targets.values().any(|it| it.life.name() == "DELETED").then_some(()));
    assert_eq!(delivery.health("dev"), None);
    assert!(!delivery.root().join("data/environments/webshop/webshop@dev").exists());
    let why = delivery.refused(&["target", "show", "shop", "--stage", "dev"], 1);
    assert!(why.contains("there is no target `shop` in dev; there are: webshop@dev"), "{why}");
}

#[test]
fn a_job_gets_its_variables_outlives_the_server_and_gives_outputs() {
    let mut delivery = Delivery::with_rules(with_a_job);
    let script = "set -e\necho \"reindexing $1\"\ncat \"$TIDEGATE_VARIABLES\"\ntouch \"$HOME/begun\"\nwhile [ ! -e \"$HOME/go\" ]; do sleep 0.05; done\n\
                  printf '{\"indexed\":\"3\"}' > \"$TIDEGATE_OUTPUTS\"\n";
    delivery.software.commit("dev", "Reindex", &[("reindex.sh", script)]);
    delivery.serve();
    delivery.granted(&["run", "start", "reindex", "--stage", "dev", "--as", "grace"]);
    let jobs = delivery.root().join("data/jobs/webshop/reindex@dev");
    let home = crate::local_support::wait_for("the job", || {
        let job = std::fs::read_dir(&jobs).ok()?.flatten().find(|entry| entry.path().join("home/begun").exists())?;
        Some(job.path().join("home"))
    });
    delivery.wait("that status says so", |_| delivery.status().contains("deploy/run: the job runs").then_some(()));
    delivery.kill();
    delivery.serve();
    std::fs::write(home.join("go"), "").unwrap();
    let run = delivery.done("reindex", "dev");
    let deploy = run.steps.iter().find(|step| step.id.as_str() == "deploy").unwrap();
    assert_eq!(deploy.outputs["outputs"], json(r#"{ "indexed": "3" }"#));
    let log = delivery.granted(&["logs", run.id.as_str()]);
    assert!(log.contains("reindexing dev") && log.contains("\"depth\": 3"), "{log}");
    assert_eq!(
        std::fs::read_dir(&jobs).unwrap().flatten().filter(|it| it.path().join("job.json").exists()).count(),
        1,
        "it ran once"
    );

    // One that goes on is ended with its run.
    delivery.granted(&["run", "start", "reindex", "--stage", "dev", "--as", "grace"]);
    let second = delivery.wait("that it runs", |state| {
        let run = state.live_runs().find(|run| run.subject.name() == "reindex")?;
        let act = run.steps.iter().find(|step| step.id.as_str() == "deploy/run")?;
        act.handle.as_ref().map(|_| run.id.to_string())
    });
    delivery.granted(&["abort", &second, "--as", "grace"]);
    let aborted = delivery.wait("its end", |state| {
        let run = state.all_runs().find(|run| run.id.as_str() == second)?;
        run.state.is_ended().then_some(run.state)
    });
    assert_eq!(aborted, RunState::Aborted);
    let jobs = jobs.display().to_string();
    assert!(crate::local_support::processes_with(&jobs).is_empty(), "it is ended with its run");
    assert!(delivery.granted(&["target", "list"]).contains("AVAILABLE (idle)"));
}

#[test]
fn a_kind_with_the_fields_of_another_is_a_mistake_with_its_place() {
    let delivery = Delivery::with_rules(with_a_job);
    let rules = delivery.rules();
    for (change, said) in [
        (("kind: job, grace: 1s", "kind: stack, grace: 1s"), "`grace` is of a job, and `reindex` is a stack"),
        (
            ("deploy: { parameters: { Stage: \"{{stage}}\" } }", "deploy: { command: [ls] }"),
            "`command` is for a job, and the rule's target is a stack",
        ),
        (("command: [sh, reindex.sh, '{{stage}}'], ", ""), "a job cannot be deployed to without `command`"),
        (("target: reindex\n", "target: webshop\n"), "no step deploys to `reindex`"),
        (("kind: job,", "kind: jub,"), "did you mean `job`"),
        (("kind: job,", "kind: job, was: webshop,"), "`webshop` is still a target here"),
    ] {
        assert!(rules.contains(change.0), "{}", change.0);
        delivery.write_rules(&rules.replace(change.0, change.1));
        let checked = delivery.command(&["check"]);
        assert_eq!(checked.status.code(), Some(4), "{}", change.1);
        let mistakes = String::from_utf8(checked.stdout).unwrap();
        assert!(mistakes.contains(said), "{}: {mistakes}", change.1);
        assert!(mistakes.contains("webshop.yaml:"), "{mistakes}");
    }
}

#[test]
fn a_prediction_shows_the_plan_from_the_last_look_and_touches_nothing() {
    let mut delivery = Delivery::careful();
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.asking("deliver", "dev");
    let clone = delivery.root().join("clone");
    let clone = clone.to_str().unwrap();
    delivery.software.git(&[
        "clone",
        "--quiet",
        "--branch",
        "dev",
        delivery.software.directory.to_str().unwrap(),
        clone,
    ]);
    std::fs::write(format!("{clone}/VERSION"), "webshop 4.0\n").unwrap();
    delivery.software.git(&["-C", clone, "commit", "--quiet", "--all", "-m", "Sell all"]);
    let said = delivery.granted(&["simulate", "push", "software", "dev", "--from", clone]);
    assert!(said.contains("the plan for webshop, as it was seen at"), "{said}");
    // The delivery that is under way would have made it.
    assert!(said.contains("UTC: update"), "{said}");
    assert!(!delivery.root().join("data/environments/webshop/webshop@dev").exists(), "nothing was made");
}
