//! A database that was restored from a backup, or changed: what was lost is said, and nothing is taken for something else.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixListener,
    path::Path,
    time::Duration,
};

use tidegate::engine::{RunState, StepState};

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
        let mut runs = state.all_runs().filter(|run| run.subject.name() == "deliver" && run.number > lost.number);
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
        let mut runs = state.all_runs().filter(|run| run.subject.name() == "deliver" && run.state.is_ended());
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

/// Lets the server go on from point to point, until it says that it is before this one.
fn stop_before(delivery: &Delivery, listener: &UnixListener, point: &str) {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut answers = stream.try_clone().unwrap();
    for line in BufReader::new(stream).lines() {
        match line {
            Ok(line) if line.contains(point) => return,
            Ok(_) => answers.write_all(b"go\n").unwrap(),
            Err(error) => panic!("it never came to {point}: {error}\n{}", delivery.server_log()),
        }
    }
    panic!("it ended before it came to {point}\n{}", delivery.server_log());
}

#[test]
fn what_is_due_when_a_backup_is_restored_starts_only_when_a_person_says_so() {
    let mut delivery = Delivery::by_hand();
    let (data, backup) = (delivery.root().join("data"), delivery.root().join("backup"));
    delivery.serve();
    delivery.kill();
    // The backup is made when the tarball is about to be made.
    let pushed = delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let socket = delivery.root().join("breakpoints");
    let listener = UnixListener::bind(&socket).unwrap();
    delivery.start(&["--breakpoints", socket.to_str().unwrap()]);
    stop_before(&delivery, &listener, "before webshop package-1/package");
    delivery.kill();
    copy_database(&data, &backup);

    delivery.serve();
    delivery.done("deliver", "dev");
    delivery.kill();
    remove_database(&data);
    copy_database(&backup, &data);

    delivery.serve();
    let paused = delivery.wait("the pause", |state| state.paused.clone());
    assert!(paused.reason.contains("the database is older than what the repositories prove"), "{}", paused.reason);
    let step = delivery.wait("the run", |state| {
        let mut runs = state.all_runs().filter(|run| run.id.as_str() == "package-1");
        runs.next().map(|run| run.steps[0].clone())
    });
    assert_eq!((step.state, step.outputs.len()), (StepState::Ready, 0), "it did not begin");
    let status = delivery.status();
    assert!(status.contains("for the end of the pause by Tidegate"), "{status}");
    delivery.granted(&["resume", "--as", "grace"]);
    let package = delivery.ended_on("package", &pushed);
    assert_eq!(package.state, RunState::Done, "{:?}", package.reason);
    delivery.granted(&["verify-log"]);
}
