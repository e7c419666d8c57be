//! Rules from a repository: a commit comes into force as a whole or not at all, and what goes wrong leaves the last good one.

use serde_json::Value;
use tidegate::engine::System;

use super::{
    NEW_VERSION,
    delivery::{BILLING, Delivery},
};
use crate::support::repo::TestRepo;

const WEBSHOP: &str = "promotion-rules/webshop.yaml";
const SECOND: &str = "promotion-rules/billing.yaml";

/// The company, whose rules are in a repository, and the ledger of its second system.
struct Devops {
    delivery: Delivery,
    rules: TestRepo,
    webshop: String,
    billing: String,
}

impl Devops {
    fn new() -> Self {
        let delivery = Delivery::by_hand();
        drop(delivery.add_billing(""));
        let absolute = format!("{}/repositories/", delivery.root().display());
        let from_root = |text: &str| text.replace("../repositories/", &absolute);
        let (webshop, billing) = (from_root(&delivery.rules()), from_root(BILLING));
        let files = [(WEBSHOP, webshop.as_str()), ("README.md", "Rules."), ("promotion-rules/notes.md", "None.")];
        let rules = TestRepo::with(delivery.root().join("repositories/devops.git"), "main", &files);
        let settings = std::fs::read_to_string(delivery.config()).unwrap();
        let (list, _) = settings.split_once("\ndata").unwrap();
        let list = list.lines().last().unwrap();
        let table =
            format!("{}\n[rules]\nrepository = \"{}\"\npoll = \"1s\"\n", settings.replace(list, ""), rules.url());
        std::fs::write(delivery.config(), table).unwrap();
        std::fs::remove_dir_all(delivery.root().join("promotion-rules")).unwrap();
        Self { delivery, rules, webshop, billing }
    }

    fn push(&self, message: &str, files: &[(&str, &str)]) -> String {
        self.rules.commit("main", message, files)
    }

    /// Waits until the rules of a system are those of a commit.
    fn in_force(&self, system: &str, commit: &str) {
        self.delivery.wait_in(system, "the rules of a commit", |state| {
            (commit_of(state)? == commit && state.refused_rules.is_none()).then_some(())
        });
    }

    fn refused(&self, system: &str, said: &str) -> String {
        self.delivery.wait_in(system, &format!("`{said}` to be refused"), |state| {
            let refused = state.refused_rules.as_ref()?;
            refused.mistakes.contains(said).then(|| refused.mistakes.clone())
        })
    }

    fn status(&self) -> Vec<Value> {
        serde_json::from_str(&self.delivery.granted(&["-o", "json", "status"])).unwrap()
    }

    fn report(&self, system: &str) -> Value {
        self.status().into_iter().find(|report| report["system"] == system).unwrap()
    }

    /// Waits until status says something.
    fn told(&self, said: &str) -> String {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let status = self.delivery.status();
            if status.contains(said) {
                return status;
            }
            assert!(std::time::Instant::now() < deadline, "waited in vain for `{said}`\n{status}");
        }
    }
}

fn commit_of(state: &System) -> Option<&str> {
    Some(state.rules.as_ref()?.origin.as_ref()?.commit.as_str())
}

#[test]
fn a_commit_comes_into_force_as_a_whole_and_a_bad_one_leaves_the_last_good_one() {
    let mut devops = Devops::new();
    let first = devops.rules.head("main").unwrap();
    devops.delivery.serve();
    devops.in_force("webshop", &first);
    devops.delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    devops.delivery.done("package", "dev");

    let changed = devops.webshop.replace("format: tar.gz", "format: tar.zst");
    assert_ne!(changed, devops.webshop);
    let misspelt = devops.billing.replace("push: ledger", "push: legder");
    let bad = devops.push("Pack and bill", &[(WEBSHOP, &changed), (SECOND, &misspelt)]);
    let said = devops.refused("webshop", "refused as a whole");
    assert!(said.contains(&bad[..10]) && said.contains("mistakes in promotion-rules/billing.yaml"), "{said}");
    let status = devops.delivery.status();
    assert!(status.contains("billing is not there yet") && status.contains("no repository `legder`"), "{status}");
    assert!(status.contains("promotion-rules/billing.yaml:"), "with the place: {status}");
    let all = devops.status();
    assert_eq!(all[0]["rules"]["commit"]["commit"], first.as_str(), "the last good commit stays");
    assert_eq!((&all[1]["system"], &all[1]["rules"]["since_ms"]), (&Value::from("billing"), &Value::Null));

    devops.delivery.kill();
    devops.delivery.serve();
    devops.refused("webshop", "refused as a whole");
    assert_eq!(devops.status()[0]["rules"]["commit"]["commit"], first.as_str(), "over a restart too");
    let history = devops.delivery.granted(&["history", "--system", "webshop", "--limit", "500"]);
    assert_eq!(history.matches("rules were refused").count(), 1, "{history}");
    assert!(
        history.contains(&format!("rules came into force: {WEBSHOP} at {} \"Begin\" by Ada", &first[..10])),
        "{history}"
    );

    let good = devops.push("Bill", &[(SECOND, &devops.billing)]);
    devops.in_force("webshop", &good);
    devops.in_force("billing", &good);
    let status = devops.delivery.status();
    assert!(status.contains(&format!("rules: {WEBSHOP} at {} \"Bill\" by Ada", &good[..10])), "{status}");
    let said = devops.delivery.granted(&["check"]);
    assert!(said.contains("webshop has") && said.contains("billing has"), "{said}");
    let found = String::from_utf8(devops.delivery.command(&["doctor", "--all"]).stdout).unwrap();
    assert!(found.contains("main: stack = local, job = local, image = local"), "{found}");

    // What takes a file away leaves its system as it is, and is no news to the others.
    devops.delivery.quiet();
    let before = devops.report("webshop")["events"].clone();
    let tree = devops.rules.tree(None, &[("100644", WEBSHOP, &changed), ("100644", "main.tf", "x")]);
    devops.rules.commit_tree("main", "Bill no more", &tree, std::slice::from_ref(&good));
    let said = devops.refused("billing", "any more");
    assert!(said.contains("stays on its last good rules") && said.contains("tidegate pause"), "{said}");
    let webshop = devops.report("webshop");
    assert_eq!((&webshop["events"], &webshop["rules"]["commit"]["commit"]), (&before, &Value::from(good)));
}

#[test]
fn whatever_is_committed_in_the_place_of_rules_is_refused_and_said() {
    let mut devops = Devops::new();
    let first = devops.rules.head("main").unwrap();
    devops.delivery.serve();
    devops.in_force("webshop", &first);
    let refused = |entries: &[(&str, &str, &str)], said: &str| {
        let tree = devops.rules.tree(Some(&first), entries);
        devops.rules.commit_tree("main", said, &tree, std::slice::from_ref(&first));
        devops.refused("webshop", said)
    };
    refused(&[("120000", WEBSHOP, "/etc/passwd")], "it is a symbolic link");
    refused(&[("160000", WEBSHOP, &first)], "it is a submodule");
    refused(&[("100644", WEBSHOP, &format!("# {}\n", "x".repeat(1 << 20)))], "more than 1048576");
    refused(&[("100644", WEBSHOP, "system: webshop\n")], "webshop.yaml:1:1");
    let bytes = devops.delivery.root().join("bytes");
    std::fs::write(&bytes, b"system: \xff\xfe\n").unwrap();
    let blob = devops.rules.git(&["hash-object", "-w", bytes.to_str().unwrap()]);
    let committed = |entries: &str| {
        let folder = devops.rules.git_with(&["mktree"], "", entries);
        let tree = devops.rules.git_with(&["mktree"], "", &format!("040000 tree {folder}\tpromotion-rules\n"));
        devops.rules.commit_tree("main", "Other files", &tree, &[]);
    };
    committed(&format!("100644 blob {blob}\twebshop.yaml\n"));
    devops.refused("webshop", "this file is not UTF-8");
    let relative = devops.webshop.replace(&format!("{}/repositories/", devops.delivery.root().display()), "../");
    refused(&[("100644", WEBSHOP, &relative)], "this path is from the file's folder");
    let twice = "has the rules of `webshop` already";
    let said =
        refused(&[("100644", "promotion-rules/zzz.yaml", &devops.webshop)], "mistakes in promotion-rules/zzz.yaml");
    assert!(!said.contains(twice), "another file's mistakes are not webshop's: {said}");
    devops.told(twice);
    let many: Vec<String> = (0..501).map(|number| format!("100644 blob {blob}\t{number:03}.yaml\n")).collect();
    committed(&many.concat());
    devops.refused("webshop", "more than 500 files");

    let empty = devops.rules.tree(None, &[("100644", "README.md", "Nothing.")]);
    devops.rules.commit_tree("main", "Empty", &empty, &[]);
    devops.refused("webshop", "there is no folder promotion-rules/");
    let file = devops.rules.tree(None, &[("100644", "promotion-rules", "a file")]);
    devops.rules.commit_tree("main", "A file", &file, &[]);
    devops.refused("webshop", "is not a folder");
    // Forced back to what was good, it is good again.
    devops.rules.set_branch("main", &first);
    devops.in_force("webshop", &first);
}

#[test]
fn rules_of_several_systems_that_start_one_another_without_end_are_refused() {
    let mut devops = Devops::new();
    devops.delivery.serve();
    devops.in_force("webshop", &devops.rules.head("main").unwrap());
    let folder = devops.delivery.root().join("repositories").display().to_string();
    let back = format!(
        "version: 1\nsystem: back\nstages: {{ dev: {{ environment: D }} }}\nrepositories:\n  baked: {{ url: {folder}/image.git/ }}\n  \
         made: {{ url: 'file://{folder}//software/' }}\nrules:\n  again:\n    on: {{ push: baked }}\n    steps:\n      - commit: {{ \
         repository: made, file: seen.json, set: {{ /seen: \"{{{{commit}}}}\" }} }}\n"
    );
    devops.push("Go round", &[("promotion-rules/back.yaml", &back)]);
    let said = devops.refused("webshop", "without end, by the rules of other systems");
    assert!(said.contains("back again: commits to made in dev"), "{said}");
    assert!(said.contains("webshop package: commits to image in dev"), "{said}");
    let clone = devops.delivery.root().join("clone/promotion-rules");
    std::fs::create_dir_all(&clone).unwrap();
    std::fs::write(clone.join("webshop.yaml"), &devops.webshop).unwrap();
    let folder = clone.to_str().unwrap();
    devops.delivery.granted(&["check", folder]);
    std::fs::write(clone.join("back.yaml"), &back).unwrap();
    let told = devops.delivery.refused(&["check", folder], 4);
    assert!(told.contains("2 mistakes in 2 files"), "{told}");
    let told = devops.delivery.refused(&["check"], 4);
    assert!(told.contains("2 mistakes in 2 files"), "the head of the branch: {told}");
    devops.push(
        "Go no more",
        &[("promotion-rules/back.yaml", &back.replace("push: baked", "push: made, paths: [src/]"))],
    );
    devops.delivery.wait_in("back", "its rules", |state| state.rules.as_ref().map(drop));
}

#[test]
fn a_repository_that_cannot_be_reached_leaves_the_rules_as_they_are() {
    let mut devops = Devops::new();
    let away = devops.delivery.root().join("repositories/away.git");
    let (move_away, come_back) = (
        || std::fs::rename(&devops.rules.directory, &away).unwrap(),
        || std::fs::rename(&away, &devops.rules.directory).unwrap(),
    );
    move_away();
    devops.delivery.start(&[]);
    let status = devops.told("the repository of the rules gives no system its rules");
    assert!(status.contains("devops.git"), "{status}");
    come_back();
    let first = devops.rules.head("main").unwrap();
    devops.in_force("webshop", &first);

    move_away();
    devops.told("the rules cannot be looked at; those in force stay");
    assert!(devops.report("webshop")["rules"]["trouble"].as_str().unwrap().contains("devops.git"));
    devops.delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    devops.delivery.done("package", "dev");
    devops.delivery.kill();
    devops.delivery.serve();
    devops.told("the rules cannot be looked at");
    come_back();
    devops.rules.git(&["update-ref", "-d", "refs/heads/main"]);
    devops.told("has no branch main");
    devops.rules.set_branch("main", &first);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !devops.report("webshop")["rules"]["trouble"].is_null() {
        assert!(std::time::Instant::now() < deadline, "it can be looked at again");
    }
    assert_eq!(devops.report("webshop")["rules"]["commit"]["commit"], first.as_str());
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let delivery = Delivery::by_hand();
    let settings = std::fs::read_to_string(delivery.config()).unwrap();
    let list = settings.lines().find(|line| line.starts_with("rules")).unwrap();
    let wrong = |table: &str, said: &str| {
        std::fs::write(delivery.config(), format!("{}\n[rules]\n{table}\n", settings.replace(list, ""))).unwrap();
        let why = delivery.refused(&["status"], 1);
        assert!(why.contains(said), "{table}: {why}");
    };
    wrong("branch = \"main\"", "repository");
    wrong("repository = \"x.git\"\nfolder = \"rules\"", "folder");
    wrong("repository = \"https://token@git.example/x.git\"", "credentials");
    wrong("repository = \"x.git\"\nbranch = \"a..b\"", "branch");
    wrong("repository = \"x.git\"\npath = \"../rules\"", "leads out");
    wrong("repository = \"x.git\"\npoll = \"10ms\"", "every second");
}

/// Waits for the question about rules, and returns the run that asks and what they mean.
fn asked(devops: &Devops) -> (String, String) {
    devops.delivery.wait("the question about rules", |state| {
        let offered = state.offered.as_ref()?;
        state.run(&offered.run)?.answerable()?;
        Some((offered.run.to_string(), offered.meaning.join("; ")))
    })
}

#[test]
fn a_change_of_the_rules_is_a_question_that_its_author_does_not_answer() {
    let mut devops = Devops::new();
    devops.delivery.add_settings("approvals = { count = 1, from = [\"developers\", \"release-managers\"] }\n");
    let first = devops.rules.head("main").unwrap();
    devops.delivery.serve();
    devops.in_force("webshop", &first);

    // What says the same needs nobody.
    let noted = format!("# The same.\n{}", devops.webshop);
    let same = devops.push("Say the same", &[(WEBSHOP, &noted)]);
    devops.in_force("webshop", &same);

    let easy = noted.replace("qa: { count: 1, from: [qa] }", "qa: { count: 1 }");
    assert_ne!(easy, noted);
    let pushed = devops.push("Ask fewer people", &[(WEBSHOP, &easy), ("other.txt", "x")]);
    let (asks, meaning) = asked(&devops);
    assert_eq!(meaning, "deliver in qa asks anybody instead of qa");
    let status = devops.delivery.status();
    assert!(status.contains(&format!("- {meaning}")), "{status}");
    let shown = devops.delivery.granted(&["run", "show", &asks]);
    assert!(shown.contains("What the rules change") && shown.contains("Ada <ada@example.org>"), "{shown}");
    assert!(devops.delivery.refused(&["approve", &asks, "--as", "ada"], 3).contains("wrote themselves"));
    devops.delivery.kill();
    devops.delivery.serve();
    assert_eq!(commit_of(&devops.delivery.wait("the state", |state| Some(state.clone()))), Some(same.as_str()));
    devops.delivery.granted(&["reject", &asks, "--reason", "ask as many as before", "--as", "grace"]);
    devops.delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    devops.delivery.done("package", "dev");
    assert_eq!(asked_at_all(&devops), 1, "it is not asked again at every look");
    devops.delivery.granted(&["retry", &asks, "--as", "ada"]);
    asked(&devops);
    devops.delivery.granted(&["approve", &asks, "--as", "grace"]);
    devops.in_force("webshop", &pushed);
    let history = devops.delivery.granted(&["history", "--limit", "500"]);
    assert!(history.contains(&format!("rules wait for people: {WEBSHOP} at {}", &pushed[..10])), "{history}");

    // What is taken back before anybody answered is asked about no more.
    devops.push("Check less", &[(WEBSHOP, &easy.replace("fail_on: error", "fail_on: never"))]);
    let (last, _) = asked(&devops);
    devops.push("Check as before", &[(WEBSHOP, &easy)]);
    devops.delivery.wait("no question", |state| state.offered.is_none().then_some(()));
    let shown: Value = serde_json::from_str(&devops.delivery.granted(&["-o", "json", "run", "show", &last])).unwrap();
    assert_eq!(shown["run"]["state"], "SUPERSEDED");
    devops.delivery.refused(&["approve", &last, "--as", "grace"], 3);
    devops.delivery.granted(&["verify-log"]);
}

/// How many questions about rules there have been.
fn asked_at_all(devops: &Devops) -> usize {
    let history = devops.delivery.granted(&["history", "--limit", "500"]);
    history.matches("rules wait for people").count()
}
