//! Bad input: what, where, what to do; nothing is lost, and the rest goes on.

use tidegate::engine::RunState;

use super::{NEW_VERSION, delivery::Delivery};

#[test]
fn check_notes_whom_the_rules_ask_and_nobody_is() {
    let delivery = Delivery::with_rules(|rules| rules.replace("from: [qa]", "from: [qa, night-watch]"));
    let said = delivery.granted(&["check"]);
    assert!(said.contains("note: `night-watch` is asked"), "{said}");
    assert!(!said.contains("`qa` is asked"), "{said}");
}

#[test]
fn broken_rules_are_refused_and_the_last_good_ones_stay() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let good = delivery.rules();
    delivery.write_rules(&good.replace("push: software", "pushes: softwear"));
    delivery.wait("the refusal", |state| state.refused_rules.as_ref().map(drop));
    let status = delivery.status();
    assert!(status.contains("the last good ones stay in force"), "{status}");
    assert!(status.contains("pushes"), "{status}");
    let mistakes = delivery.refused(&["check"], 4);
    assert!(mistakes.contains("in 1 file"), "{mistakes}");
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("deliver", "dev");
    delivery.write_rules(&good);
    delivery.wait("the good rules again", |state| state.refused_rules.is_none().then_some(()));
}

#[test]
fn a_repository_that_cannot_be_reached_is_said_and_the_others_go_on() {
    let mut delivery = Delivery::by_hand();
    let away = delivery.root().join("repositories/away.git");
    std::fs::rename(&delivery.infrastructure.directory, &away).unwrap();
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("package", "dev");
    let status = delivery.status();
    assert!(status.contains("infrastructure cannot be reached"), "{status}");
    std::fs::rename(&away, &delivery.infrastructure.directory).unwrap();
    delivery.wait("the repository to be back", |state| {
        state.repositories.values().all(|watched| watched.unreachable.is_none()).then_some(())
    });
    delivery.done("bake", "dev");
    assert!(delivery.infrastructure.read("dev", "config.json").contains("ami-"), "what waited was not lost");
}

#[test]
fn a_branch_that_is_missing_is_said_and_named() {
    let mut delivery = Delivery::by_hand();
    delivery.image.git(&["update-ref", "-d", "refs/heads/dev"]);
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let failed = delivery.ended("package", "dev");
    assert_eq!(failed.state, RunState::Failed);
    let reason = failed.reason.unwrap();
    assert!(reason.contains("dev") && reason.contains("image"), "{reason}");
    assert!(delivery.status().contains("no such branch"));
}

/// A config that cannot take the pin fails the run, and says where; mended, a retry brings it.
fn config_fails(config: Option<&str>, expected: &str) {
    let mut delivery = Delivery::by_hand();
    let good = delivery.image.read("dev", "config.json");
    match config {
        Some(text) => drop(delivery.image.commit("dev", "Spoil it", &[("config.json", text)])),
        None => {
            delivery.image.git(&["update-ref", "refs/heads/dev", &delivery.image.head("main").unwrap()]);
            let tree = delivery.image.tree(None, &[]);
            delivery.image.commit_tree("dev", "Remove it", &tree, &[delivery.image.head("dev").unwrap()]);
        }
    }
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let failed = delivery.ended("package", "dev");
    assert_eq!(failed.state, RunState::Failed);
    let reason = failed.reason.clone().unwrap();
    assert!(reason.contains("config.json") && reason.contains(expected), "{reason}");
    assert!(failed.steps.iter().any(|step| step.hint.is_some()), "it says what to do");
    delivery.image.commit(
        "dev",
        "Mend it",
        &[("config.json", &good), ("components/webshop.yaml", super::delivery::COMPONENT)],
    );
    delivery.granted(&["retry", failed.id.as_str(), "--as", "grace"]);
    delivery.wait("the pin", |_| delivery.image.read("dev", "config.json").contains("software-").then_some(()));
}

#[test]
fn a_config_that_is_absent_fails_the_run() {
    config_fails(None, "there is no file");
}

#[test]
fn a_config_that_is_not_json_fails_the_run() {
    config_fails(Some("{ \"software\": \n"), ":");
}

#[test]
fn a_list_where_an_object_is_expected_fails_the_run() {
    config_fails(Some("{ \"software\": [1, 2] }\n"), "list");
}

#[test]
fn a_command_that_never_ends_is_ended_and_one_that_prints_without_end_is_bounded() {
    let synth = "template: template.yaml\n          parameters: { ImageId: \"config.json#/ami/eu-central-1\", Zones: \"config.json#/availability_zones\" }";
    let endless = |command: &str| {
        let mut delivery = Delivery::with_rules(|rules| {
            assert!(rules.contains(synth));
            let step = format!("command: [sh, -c, \"{command}\"]\n        timeout: 2s");
            rules.replace(synth, &step).replace("to: qa,", "to: qa, start: manual,")
        });
        delivery.serve();
        delivery.infrastructure.commit("dev", "Try", &[("notes.md", "x\n")]);
        let failed = delivery.ended("deliver", "dev");
        assert_eq!(failed.state, RunState::Failed);
        failed.reason.unwrap()
    };
    let reason = endless("sleep 1000");
    assert!(reason.contains("did not end in time"), "{reason}");
    let reason = endless("yes | head -c 200000000; exit 3");
    assert!(reason.contains("exit code 3") || reason.contains("did not end in time"), "{reason}");
}

#[test]
fn a_second_server_says_who_drives_and_a_newer_database_is_refused() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let why = delivery.refused(&["serve"], 1);
    assert!(why.contains("drives this database already"), "{why}");
    delivery.kill();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use sqlx::{Connection as _, SqliteConnection};
        let database = delivery.root().join("data/tidegate.db");
        let mut connection = SqliteConnection::connect(&format!("sqlite://{}", database.display())).await.unwrap();
        sqlx::query("PRAGMA user_version = 999").execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
    let why = delivery.refused(&["status"], 1);
    assert!(why.contains("newer"), "{why}");
}
