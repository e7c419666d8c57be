//! A database that was restored from a backup, or changed: what was lost is said, and nothing is taken for something else.

use std::path::Path;

use tidegate::engine::RunState;

use super::{NEW_VERSION, delivery::Delivery};

/// Copies the files of the database, while nothing has it open.
fn copy_database(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if name.to_string_lossy().starts_with("tidegate.db") {
            std::fs::copy(path, to.join(name)).unwrap();
        }
    }
}

fn remove_database(from: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("tidegate.db") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
}

#[test]
fn a_restored_backup_is_said_and_its_numbers_are_not_given_again() {
    let mut delivery = Delivery::by_hand();
    let (data, backup) = (delivery.root().join("data"), delivery.root().join("backup"));
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("deliver", "dev");
    delivery.quiet();
    delivery.kill();
    copy_database(&data, &backup);

    delivery.serve();
    delivery.software.commit("dev", "Sell even more", &[("VERSION", "webshop 3.0\n")]);
    let lost = delivery.ended_on("package", &delivery.software.head("dev").unwrap());
    let last = delivery.wait("the delivery that is lost later", |state| {
        let mut runs = state.runs.values().filter(|run| run.subject.name() == "deliver" && run.number > lost.number);
        runs.find(|run| run.state == RunState::Done).cloned()
    });
    delivery.granted(&["freeze", "--stage", "qa", "--for", "2d", "--reason", "Christmas", "--as", "grace"]);
    delivery.kill();
    remove_database(&data);
    copy_database(&backup, &data);

    delivery.serve();
    let paused = delivery.wait("the pause", |state| state.paused.clone());
    assert!(paused.reason.contains("the database is older than what the repositories prove"), "{}", paused.reason);
    assert!(delivery.status().contains("the database is older than what the repositories prove"), "status says it");
    assert!(delivery.refused(&["pause", "--reason", "x", "--as", "grace"], 3).contains("paused already, by Tidegate"));
    delivery.granted(&["resume", "--as", "grace"]);
    let pushed = delivery.software.commit("dev", "Sell most", &[("VERSION", "webshop 4.0\n")]);
    let package = delivery.ended_on("package", &pushed);
    assert_eq!(package.state, RunState::Done, "{:?}", package.reason);
    assert!(package.number > lost.number, "{} after {}", package.id, last.id);
    let deliver = delivery.wait("what was pushed since to be delivered", |state| {
        let of_it = |run: &&tidegate::engine::Run| run.set.values().any(|commit| commit.as_str() == pushed);
        let mut runs = state.runs.values().filter(|run| run.subject.name() == "deliver" && run.state.is_ended());
        runs.rfind(of_it).cloned()
    });
    assert_eq!(deliver.state, RunState::Done, "{:?}", deliver.reason);
    assert_eq!(delivery.health("dev").as_deref(), Some("webshop 4.0"), "{}", delivery.status());
    delivery.granted(&["verify-log"]);
}

#[test]
fn an_exchanged_secret_is_said() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    delivery.kill();
    delivery.serve();
    assert_eq!(delivery.wait("the state", |state| Some(state.paused.clone())), None, "it is the same secret");
    delivery.kill();
    delivery.change_database("UPDATE installation SET secret = randomblob(32)");
    delivery.serve();
    let paused = delivery.wait("the pause", |state| state.paused.clone());
    assert!(paused.reason.contains("the secret of this installation was exchanged"), "{}", paused.reason);
    delivery.granted(&["resume", "--as", "grace"]);
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("package", "dev");
}
