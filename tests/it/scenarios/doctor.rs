//! `tidegate doctor` through the real program: what is well, what is wrong with its remedy, and that nothing is changed.

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Output,
    time::{Duration, Instant},
};

use serde_json::Value;
use tidegate::providers::git::mirrors_on_disk;

use super::{delivery::Delivery, json};
use crate::git_upkeep::plant;

const DEADLINE: Duration = Duration::from_secs(60);

/// What a look found, as facts.
fn doctor(delivery: &Delivery) -> (Value, Output) {
    let output = delivery.command(&["-o", "json", "doctor"]);
    let diagnosis = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (diagnosis, output)
}

/// The findings about something at a level, as `which: what → remedy`.
fn findings(diagnosis: &Value, about: &str, level: &str) -> Vec<String> {
    let all = diagnosis["findings"].as_array().unwrap().iter();
    let these = all.filter(|finding| finding["about"] == about && finding["level"] == level);
    let said = these.map(|finding| {
        let of = finding["of"].as_str().map_or_else(String::new, |of| format!("{of}: "));
        let remedy = finding["remedy"].as_str().map_or_else(String::new, |remedy| format!(" → {remedy}"));
        format!("{of}{}{remedy}", finding["what"].as_str().unwrap())
    });
    said.collect()
}

/// Every file below a folder and what is in it.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut files, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.clone(), std::fs::read(path).unwrap_or_default());
            }
        }
    }
    files
}

#[test]
fn a_doctor_finds_a_driven_installation_well() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let (diagnosis, output) = doctor(&delivery);
    assert!(output.status.success(), "{diagnosis:#}");
    assert_ne!(diagnosis["worst"], "problem");
    for (about, expected) in [
        ("settings", "3 people, 2 grants"),
        ("rules", "webshop has 3 rules over 3 stages, and no mistakes"),
        ("server", " drives"),
        ("database", ", whole"),
        ("clock", "not behind the last event of the log"),
        ("disk", "in use: database "),
        ("git", "git 2."),
        ("mirrors", "loose objects, "),
        ("repositories", "webshop image: reached in "),
    ] {
        let well = findings(&diagnosis, about, "ok");
        assert!(well.iter().any(|finding| finding.contains(expected)), "{about}: {well:?}");
    }
    assert_eq!(findings(&diagnosis, "repositories", "ok").len(), 3);
    let mirrors = diagnosis["mirrors"].as_array().unwrap();
    assert!(
        mirrors.len() == 3 && mirrors.iter().all(|mirror| mirror["used_by"] == json("[\"webshop\"]")),
        "{mirrors:?}"
    );
    let text = delivery.granted(&["doctor"]);
    assert!(text.contains("✓ repositories   3 are well\n"), "{text}");
    assert!(delivery.granted(&["doctor", "--all"]).contains("webshop software: reached in "));
    assert!(delivery.granted(&["doctor", "--help"]).contains("Example: tidegate doctor"));
}

#[test]
fn a_doctor_changes_nothing_and_needs_nothing_to_be_there() {
    let mut delivery = Delivery::by_hand();
    let before = content(delivery.root());
    let (diagnosis, _) = doctor(&delivery);
    let new = findings(&diagnosis, "database", "warning");
    assert!(new.len() == 1 && new[0].ends_with("→ `tidegate serve` makes it"), "{new:?}");
    assert_eq!(before, content(delivery.root()), "nothing was made");
    delivery.serve();
    delivery.kill();
    // What a killed server left in the log of the database is taken in by whoever opens it next.
    delivery.change_database("PRAGMA wal_checkpoint(TRUNCATE)");
    let before = content(delivery.root());
    let (diagnosis, output) = doctor(&delivery);
    assert!(output.status.success(), "{diagnosis:#}");
    let warned = findings(&diagnosis, "server", "warning");
    assert!(warned.len() == 1 && warned[0].ends_with("→ start `tidegate serve`"), "{warned:?}");
    let after = content(delivery.root());
    let changed: Vec<_> = after.iter().filter(|(path, bytes)| before.get(*path) != Some(*bytes)).collect();
    assert!(
        changed.is_empty() && after.len() == before.len(),
        "{:?}",
        changed.iter().map(|it| it.0).collect::<Vec<_>>()
    );
}

#[test]
fn a_doctor_says_what_is_wrong_and_what_to_do() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    delivery.kill();
    delivery.record_later("webshop", 3_600_000);
    // A repository that is gone, a branch that is gone, a mirror that nobody names, and one that is no repository.
    std::fs::rename(&delivery.image.directory, delivery.root().join("repositories/moved.git")).unwrap();
    delivery.software.git(&["update-ref", "-d", "refs/heads/qa"]);
    let mirrors = delivery.root().join("data/mirrors");
    git2::Repository::init_bare(mirrors.join("other-0000.git")).unwrap();
    std::fs::write(mirrors.join("other-0000.unused"), "1768000000000 no rules name this mirror since then\n").unwrap();
    std::fs::create_dir(mirrors.join("broken-0000.git")).unwrap();
    std::fs::set_permissions(delivery.config(), PermissionsExt::from_mode(0o666)).unwrap();
    delivery.write_rules(&delivery.rules().replace("on: { push: software }", "on: { push: softwere }"));
    let key = delivery.root().join("secret");
    std::fs::write(&key, "whsec_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx").unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    delivery
        .add_settings("[channels.hook]\nkind = \"webhook\"\nurl = \"https://x.example/\"\nsecret_file = \"secret\"\n");
    let old = delivery.root().join("old");
    std::fs::create_dir(&old).unwrap();
    std::fs::write(
        old.join("git"),
        "#!/bin/sh\ntest \"$1\" = --version && echo git version 2.20.1 && exit\nexec /usr/bin/git \"$@\"\n",
    )
    .unwrap();
    std::fs::set_permissions(old.join("git"), PermissionsExt::from_mode(0o755)).unwrap();
    delivery.environment.push(("PATH".to_owned(), format!("{}:/usr/local/bin:/usr/bin:/bin", old.display())));

    let (diagnosis, output) = doctor(&delivery);
    assert_eq!((output.status.code(), &diagnosis["worst"]), (Some(1), &json("\"problem\"")));
    assert!(String::from_utf8_lossy(&output.stderr).contains("problems"), "{output:?}");
    for (about, level, expected) in [
        ("settings", "warning", "others can write to it, and so give themselves any right → chmod go-w "),
        ("settings", "warning", "others can read the secret of the channel `hook` → chmod go-rwx "),
        ("rules", "problem", "1 mistake; the first: there is no repository `softwere`"),
        ("clock", "warning", "webshop: the clock was ahead: the last event is of "),
        ("git", "problem", "git 2.20.1 is too old: "),
        ("mirrors", "warning", "broken-0000.git: git cannot open it → `tidegate serve` makes it anew"),
        ("mirrors", "ok", "no rules name it; it is removed on 2026-01-16"),
        ("repositories", "problem", "webshop image: "),
        ("repositories", "warning", "webshop software: it has no branch qa → push a first commit to it"),
    ] {
        let found = findings(&diagnosis, about, level);
        assert!(found.iter().any(|finding| finding.contains(expected)), "{about}: {found:?}");
    }
    let unreachable = findings(&diagnosis, "repositories", "problem");
    assert!(
        unreachable[0].contains("→ correct the repository's URL in the rules, or create the repository"),
        "{unreachable:?}"
    );
    let text = String::from_utf8(delivery.command(&["doctor"]).stdout).unwrap();
    assert!(
        text.contains("! repositories   webshop software: it has no branch qa\n                 → push a first"),
        "{text}"
    );
}

#[test]
fn a_doctor_finds_a_damaged_database_and_settings_that_cannot_be_read() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    delivery.kill();
    delivery.change_database("UPDATE events SET facts = 'no facts' WHERE seq = 2; DELETE FROM snapshots");
    let (diagnosis, output) = doctor(&delivery);
    let found = findings(&diagnosis, "database", "problem");
    assert_eq!(output.status.code(), Some(1));
    assert!(found.iter().any(|finding| finding.starts_with("webshop: its log cannot be read: ")), "{found:?}");
    let database = delivery.root().join("data/tidegate.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let middle = bytes.len() / 2;
    bytes[4096..middle].fill(0xAA);
    std::fs::write(&database, &bytes).unwrap();
    let (diagnosis, _) = doctor(&delivery);
    assert!(!findings(&diagnosis, "database", "problem").is_empty(), "{diagnosis:#}");
    std::fs::write(delivery.config(), "rules = 7\n").unwrap();
    let (diagnosis, output) = doctor(&delivery);
    let found = findings(&diagnosis, "settings", "problem");
    assert!(output.status.code() == Some(1) && found[0].contains("is not as it should be"), "{found:?}");
}

#[test]
fn a_server_packs_its_mirrors_while_it_drives() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    delivery.kill();
    let mirrors = mirrors_on_disk(&delivery.root().join("data/mirrors")).unwrap();
    assert!(mirrors.iter().all(|mirror| mirror.packed_at_ms.is_none()));
    plant(&mirrors[0].directory, 1_000);
    delivery.serve();
    let begun = Instant::now();
    while mirrors_on_disk(&delivery.root().join("data/mirrors")).unwrap()[0].packed_at_ms.is_none() {
        assert!(begun.elapsed() < DEADLINE, "it was not packed\n{}", delivery.server_log());
        std::thread::sleep(Duration::from_millis(10));
    }
    delivery.software.commit("dev", "Sell more", &[super::NEW_VERSION]);
    delivery.done("package", "dev");
}
