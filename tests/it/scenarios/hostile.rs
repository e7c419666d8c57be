//! What somebody pushes who means harm hurts at most its own branch: the others, and the other systems, go on.

use tidegate::engine::{Run, RunState, Unread};

use super::{NEW_VERSION, delivery::Delivery};

/// Waits until the branch of a stage cannot be read, and returns why.
fn unread(delivery: &Delivery, repository: &str, stage: &str) -> Unread {
    delivery.wait(&format!("{repository} {stage} to be unreadable"), |state| {
        let (_, watched) = state.repositories.iter().find(|(name, _)| name.as_str() == repository)?;
        watched.unread.iter().find(|(at, _)| at.as_str() == stage).map(|(_, unread)| unread.clone())
    })
}

#[test]
fn a_tree_of_a_billion_files_hides_no_other_branch() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let bomb = delivery.software.bomb(9);
    let pushed = delivery.software.commit_tree("qa", "Boom", &bomb, &[delivery.software.head("qa").unwrap()]);
    let why = unread(&delivery, "software", "qa");
    assert_eq!(why.commit.as_str(), pushed);
    assert!(why.error.contains("more than 1000000 files and folders"), "{}", why.error);
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("package", "dev");
    let status = delivery.status();
    assert!(status.contains(&format!("software {} cannot be read: ", &pushed[..7])), "{status}");
    let deep = delivery.software.deep(300);
    delivery.software.commit_tree("qa", "Dig", &deep, &[delivery.software.head("main").unwrap()]);
    delivery.wait("the other reason", |state| {
        let mut unread = state.repositories.values().flat_map(|watched| watched.unread.values());
        unread.any(|unread| unread.error.contains("more than 200 folders deep")).then_some(())
    });
    delivery.software.set_branch("qa", &delivery.software.head("main").unwrap());
    delivery.software.commit("qa", "Mend it", &[NEW_VERSION]);
    delivery.done("package", "qa");
    delivery.wait("the branch to be readable", |state| {
        state.repositories.values().all(|watched| watched.unread.is_empty()).then_some(())
    });
}

#[test]
fn a_link_where_a_file_is_pinned_hides_no_other_branch() {
    let mut delivery = Delivery::by_hand();
    let image = &delivery.image;
    let tree = image.tree(Some(&image.head("dev").unwrap()), &[("120000", "config.json", "/etc/passwd")]);
    let linked = image.commit_tree("dev", "Link it", &tree, &[image.head("dev").unwrap()]);
    delivery.serve();
    delivery.software.commit("qa", "Sell more", &[NEW_VERSION]);
    delivery.done("bake", "qa");
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let failed = delivery.ended("package", "dev");
    assert_eq!(failed.state, RunState::Failed);
    assert!(failed.reason.unwrap().contains("'config.json' is a symbolic link"));
    assert_eq!(delivery.image.head("dev").unwrap(), linked, "nothing was written through it");
}

#[test]
fn a_step_that_ends_the_program_is_left_alone_after_three_times() {
    let synth = "template: template.yaml\n          parameters: { ImageId: \"config.json#/ami/eu-central-1\", Zones: \"config.json#/availability_zones\" }";
    let mut delivery = Delivery::with_rules(|rules| {
        assert!(rules.contains(synth));
        rules.replace(synth, "command: [sh, -c, \"kill -9 $PPID\"]").replace("to: qa,", "to: qa, start: manual,")
    });
    // In the box it could not.
    let settings = std::fs::read_to_string(delivery.config()).unwrap();
    let boxless = format!("sandbox = \"none\"\n{}", settings.replace("sandbox = \"none\"\n", ""));
    std::fs::write(delivery.config(), boxless).unwrap();
    delivery.serve();
    delivery.infrastructure.commit("dev", "Try", &[("notes.md", "x\n")]);
    delivery.died();
    for _ in 0..2 {
        delivery.serve();
        delivery.died();
    }
    delivery.serve();
    let failed = delivery.ended("deliver", "dev");
    assert_eq!(failed.state, RunState::Failed);
    let reason = failed.reason.unwrap();
    assert!(reason.contains("tidegate ended 3 times while it did this"), "{reason}");
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("package", "dev");
    delivery.granted(&["retry", failed.id.as_str(), "--as", "grace"]);
    delivery.died();
}

#[test]
fn a_mirror_that_is_taken_away_while_serving_comes_back() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let mirrors = delivery.root().join("data/mirrors");
    for entry in std::fs::read_dir(&mirrors).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("package", "dev");
    delivery.done("bake", "dev");
    let image = std::fs::read_dir(&mirrors).unwrap().map(|entry| entry.unwrap().path());
    let image = image.filter(|path| path.is_dir()).find(|path| path.display().to_string().contains("image")).unwrap();
    std::fs::remove_dir_all(image.join("objects")).unwrap();
    delivery.software.commit("dev", "Sell even more", &[("VERSION", "webshop 3.0\n")]);
    let runs = delivery.done("package", "dev");
    assert_eq!(runs.state, RunState::Done);
    let log = delivery.server_log();
    assert!(log.contains("is made anew") && !log.contains("cannot be run"), "{log}");
}

#[test]
fn a_system_whose_log_is_damaged_stops_no_other() {
    let mut delivery = Delivery::by_hand();
    drop(delivery.serve_with_billing(""));
    delivery.kill();
    delivery.change_database("UPDATE events SET facts = '[' WHERE system = 'billing' AND seq = 2");
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("package", "dev");
    let status = delivery.status();
    assert!(status.contains("billing\n  cannot be read: billing: event 2 of the log cannot be taken in"), "{status}");
    assert!(status.contains("software"), "the other is shown: {status}");
    let log = delivery.server_log();
    assert!(log.contains("a system cannot be read and is left alone; the others are driven"), "{log}");
}

#[test]
fn a_clock_that_was_ahead_makes_nothing_wait_and_is_said() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    delivery.kill();
    let year_ms = 365 * 86_400_000;
    delivery.record_later("webshop", year_ms);
    delivery.serve();
    assert!(delivery.status().contains("the clock was ahead: the last event is of "));
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("package", "dev");
    delivery.done("bake", "dev");
}

#[test]
fn slow_steps_of_one_system_leave_places_for_the_others_and_say_that_they_wait() {
    let rule = |number: usize| {
        format!(
            "  slow-{number}: {{ on: {{ push: ledger }}, steps: [{{ check: {{ command: [sleep, '30'], every: 1m, within: 2h }} }}] }}\n"
        )
    };
    let greedy = format!(
        "version: 1\nsystem: billing\nstages: {{ dev: {{ environment: Development }}, qa: {{ environment: QA }} }}\n\
         repositories: {{ ledger: {{ url: ../repositories/ledger.git, poll: 1s }} }}\nrules:\n{}",
        (0..24).map(rule).collect::<String>()
    );
    let mut delivery = Delivery::by_hand();
    std::fs::write(delivery.root().join("promotion-rules/billing.yaml"), greedy).unwrap();
    let ledger = delivery.serve_with_billing("");
    ledger.commit("dev", "Go slow", &[("rate", "2")]);
    delivery.wait_in("billing", "24 runs", |state| (state.live_runs().count() == 24).then_some(()));
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("package", "dev");
    let told = "6 steps wait for a place: 18 of 18 steps of billing are running";
    let status = told_in(&delivery, &["status", "--system", "billing"], &[told]);
    let reason = "a place for check: 18 of 18 steps of billing are running, since ";
    let line = status.lines().find(|line| line.contains(reason)).unwrap_or_else(|| panic!("{status}"));
    let run = line.split_whitespace().nth(1).unwrap();
    let explained = delivery.granted(&["explain", run, "--system", "billing"]);
    assert!(explained.contains(reason) && explained.contains("the end of one of them"), "{explained}");
    let shown = delivery.granted(&["run", "show", run, "--system", "billing"]);
    assert!(shown.contains(&format!("It waits for {reason}")), "{shown}");
    assert!(!delivery.granted(&["status", "--system", "webshop"]).contains("for a place"));
}

/// Asks until the answer has all of this.
fn told_in(delivery: &Delivery, question: &[&str], parts: &[&str]) -> String {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let told = delivery.granted(question);
        if parts.iter().all(|part| told.contains(part)) {
            return told;
        }
        assert!(std::time::Instant::now() < deadline, "waited in vain for {parts:?}\n{told}");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

/// Many steps of one system that may take twenty seconds each and take eight: the last begin when their time would be over.
#[test]
fn a_step_that_waits_for_a_place_uses_up_none_of_its_time() {
    let rule = |number: usize| {
        format!(
            "  slow-{number}: {{ on: {{ push: ledger }}, steps: [{{ check: {{ command: [sleep, '8'], every: 1m, within: 20s }} }}] }}\n"
        )
    };
    let greedy = format!(
        "version: 1\nsystem: billing\nstages: {{ dev: {{ environment: Development }}, qa: {{ environment: QA }} }}\n\
         repositories: {{ ledger: {{ url: ../repositories/ledger.git, poll: 1s }} }}\nrules:\n{}",
        (0..72).map(rule).collect::<String>()
    );
    let mut delivery = Delivery::by_hand();
    std::fs::write(delivery.root().join("promotion-rules/billing.yaml"), greedy).unwrap();
    let ledger = delivery.serve_with_billing("");
    ledger.commit("dev", "Go slow", &[("rate", "2")]);
    let runs = delivery.wait_in("billing", "72 runs to end", |state| {
        let ended: Vec<Run> = state.all_runs().filter(|run| run.state.is_ended()).cloned().collect();
        (ended.len() == 72).then_some(ended)
    });
    let failed: Vec<_> = runs.iter().filter(|run| run.state != RunState::Done).map(|run| &run.reason).collect();
    assert_eq!(failed, Vec::<&Option<String>>::new());
    let waited = runs.iter().filter(|run| run.steps[0].waited_ms > 20_000).count();
    assert!(waited > 0, "those that came last waited for longer than they may take");
    let last = runs.iter().max_by_key(|run| run.steps[0].waited_ms).unwrap();
    let shown = delivery.granted(&["run", "show", last.id.as_str(), "--system", "billing"]);
    assert!(shown.contains(" of it waiting for a place"), "{shown}");
}
