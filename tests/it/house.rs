//! The house rules that a machine can hold: which folder may import which, that pure folders are pure, and that files stay
//! readable.

mod circles;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use circles::House;

/// Folder → what it may import of ours. `lib.rs` imports nothing.
const ALLOWED: [(&str, &[&str]); 17] = [
    ("rules", &[]),
    ("engine", &["rules"]),
    ("report", &[]),
    ("providers", &[]),
    ("store", &["engine", "rules"]),
    ("steps", &["engine", "rules", "providers", "report"]),
    ("watch", &["engine", "rules", "store", "providers"]),
    ("driver", &["engine", "rules", "store", "steps", "watch"]),
    ("simulate", &["engine", "rules", "providers", "steps", "watch"]),
    ("view", &["engine", "rules"]),
    ("forge", &["engine", "house", "providers", "rules", "store", "view"]),
    ("house", &["driver", "engine", "providers", "rules", "simulate", "steps", "store", "view"]),
    ("web", &["engine", "rules", "store", "view", "house"]),
    (
        "cli",
        &[
            "driver",
            "engine",
            "forge",
            "house",
            "providers",
            "report",
            "rules",
            "simulate",
            "steps",
            "store",
            "watch",
            "telemetry",
            "view",
            "web",
        ],
    ),
    ("telemetry", &["rules"]),
    ("fuzzed", &["engine", "providers", "report", "rules"]),
    ("main", &["cli", "telemetry"]),
];
/// What a folder that decides may not touch.
const IMPURE: [&str; 10] = [
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "tokio",
    "SystemTime",
    "Instant",
    "Utc::now",
    "rand::",
    "HashMap",
];
/// Where the sources of the program and of the crate that decides begin.
const ROOTS: [&str; 2] = ["src", "crates/engine/src"];
const PURE: [&str; 4] = ["rules", "engine", "report", "view"];
/// A file should fit in one reading.
const MOST_LINES: usize = 500;

pub(crate) struct Source {
    pub(crate) path: PathBuf,
    folder: String,
    pub(crate) code: String,
}

/// Every source file, without its tests and comments.
pub(crate) fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    let mut folders = ROOTS.map(|of| (root.join(of), root.join(of))).to_vec();
    while let Some((folder, root)) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push((path, root.clone()));
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
                let name = path.strip_prefix(&root).unwrap().iter().next().unwrap().to_string_lossy().into_owned();
                let folder = name.trim_end_matches(".rs").to_owned();
                sources.push(Source { folder, code: lines.collect::<Vec<_>>().join("\n"), path });
            }
        }
    }
    assert!(sources.len() > 50, "the sources were found");
    sources
}

/// The folders that the code names after `crate::` (or, in the program, `tidegate::`), within braces too.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for prefix in ["crate::", "tidegate::"] {
        for (position, _) in code.match_indices(prefix) {
            let after = code[position + prefix.len()..].trim_start();
            match after.strip_prefix('{') {
                Some(list) => found.extend(first_names(list)),
                None => found.extend(after.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned)),
            }
        }
    }
    found
}

/// The first name of each item of a brace list.
fn first_names(list: &str) -> Vec<String> {
    let (mut depth, mut names, mut name) = (0, Vec::new(), String::new());
    for character in list.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(std::mem::take(&mut name)),
            character if depth == 0 => name.push(character),
            _ => {}
        }
    }
    names.push(name);
    let first = |name: String| name.trim().split("::").next().map(str::to_owned);
    names.into_iter().filter_map(first).filter(|name| !name.is_empty()).collect()
}

#[test]
fn folders_import_only_what_they_may() {
    let folders: BTreeSet<&str> = ALLOWED.iter().map(|(folder, _)| *folder).collect();
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.folder != "lib") {
        let allowed = ALLOWED.iter().find(|(folder, _)| *folder == source.folder);
        let (_, allowed) =
            allowed.unwrap_or_else(|| panic!("{} is in a folder that the house does not have", source.folder));
        for import in imports(&source.code) {
            if folders.contains(import.as_str()) && import != source.folder && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{} imports {import}", source.path.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn imports_are_found_wherever_they_stand() {
    let code = "use crate::{engine::{self, System}, rules::Rules};\nlet x = crate::store::open();";
    let expected = ["engine", "rules", "store"].map(str::to_owned);
    assert_eq!(imports(code), BTreeSet::from(expected));
}

#[test]
fn what_decides_has_no_input_or_output() {
    let pure = sources().into_iter().filter(|source| PURE.contains(&source.folder.as_str()));
    let mut wrong = Vec::new();
    for source in pure {
        let touches = IMPURE.iter().filter(|name| source.code.contains(*name));
        wrong.extend(touches.map(|name| format!("{} touches {name}", source.path.display())));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// An empty script ends well, too: what lands is tested only where this file says so.
#[test]
fn what_runs_before_a_change_lands_is_the_test_command_of_the_readme() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let commands = fs::read_to_string(root.join(".ci/run")).unwrap();
    assert!(
        commands.lines().any(|line| line == "exec bash scripts/test"),
        ".ci/run does not run scripts/test: {commands}"
    );
    assert!(fs::read_to_string(root.join("README.md")).unwrap().contains("scripts/test"));
}

#[test]
fn files_say_why_they_exist_and_fit_in_one_reading() {
    let mut wrong = Vec::new();
    for source in sources() {
        let text = fs::read_to_string(&source.path).unwrap();
        let lines = text.lines().count();
        if !text.starts_with("//!") {
            wrong.push(format!("{} does not say why it exists", source.path.display()));
        }
        if lines > MOST_LINES {
            wrong.push(format!("{} has {lines} lines", source.path.display()));
        }
        if source.code.contains("#[allow(") {
            wrong.push(format!("{} allows a lint instead of expecting it with a reason", source.path.display()));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// What folds the log decides nothing: a log loads whatever becomes of these.
#[test]
fn what_folds_facts_knows_no_rules_clock_or_bounds() {
    const DECIDES: [&str; 12] = [
        "chrono", "cron", "template", "Window", "Rules,", "Rules::", "rules()", "load(", "MOST_", "RECENT_", "unwrap",
        "expect(",
    ];
    let mut wrong = Vec::new();
    for source in sources() {
        let path = source.path.display();
        if source.path.parent().is_some_and(|folder| folder.ends_with("engine/apply")) {
            let names = DECIDES.iter().filter(|name| source.code.contains(*name));
            wrong.extend(names.map(|name| format!("{path} names {name}")));
        } else if source.folder == "engine" && source.code.contains("mut System") {
            let may = ["step.rs", "decision.rs"].iter().any(|file| source.path.ends_with(format!("engine/{file}")));
            wrong.extend((!may).then(|| format!("{path} can change the state without a fact")));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// A file can be understood with what it stands upon, and nothing that stands upon it.
#[test]
fn no_files_import_one_another_in_a_circle() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = sources();
    let mut circles = Vec::new();
    for root in ROOTS {
        let mut house = House::default();
        for source in &sources {
            if let Ok(path) = source.path.strip_prefix(top.join(root)) {
                house.add(&path.to_string_lossy(), &source.code);
            }
        }
        circles.extend(house.circles());
    }
    assert_eq!(circles, Vec::<String>::new());
}

#[test]
fn a_circle_is_found_and_named() {
    let circles = |files: &[(&str, &str)]| {
        let mut house = House::default();
        files.iter().for_each(|(path, code)| house.add(path, code));
        house.circles()
    };
    let face =
        ("git/mod.rs", "mod mirror;\nmod history;\npub use mirror::{Mirror, fault as failure};\npub use history::*;");
    let mirror = ("git/mirror.rs", "use super::history;\npub struct Mirror;\nfn log() { history::read(); }");
    let history = |code: &'static str| ("git/history.rs", code);
    let stands = [("lib.rs", "pub mod git;"), face, mirror, history("use std::fs;\npub fn read() {}")];
    assert_eq!(circles(&stands), Vec::<String>::new(), "the face only hands names on");
    let arrow = "git/history.rs takes NAME from git/mirror.rs; git/mirror.rs takes read from git/history.rs";
    for (code, name) in [
        ("use super::mirror::{self, Mirror};", "Mirror"),
        ("use crate::git::{Mirror as Of};", "Mirror"),
        ("fn read() { super::failure() }", "fault"),
        ("use crate::{git::{mirror::{fault}}, other};", "fault"),
    ] {
        assert_eq!(circles(&[face, mirror, history(code)]), [arrow.replace("NAME", name)], "{code}");
    }
    let through = [("a.rs", "use crate::b::B;"), ("b.rs", "use crate::c::C;"), ("c.rs", "type C = crate::a::A;")];
    assert_eq!(circles(&through), ["a.rs takes B from b.rs; b.rs takes C from c.rs; c.rs takes A from a.rs"]);
    let own = ("git/mod.rs", "mod mirror;\nmod history;\npub use mirror::Mirror;\nstruct Own;\nfn of(_: Mirror) {}");
    let upward = ("git/mirror.rs", "use super::Own;\npub struct Mirror;");
    let told = "git/mod.rs takes Mirror from git/mirror.rs; git/mirror.rs takes Own from git/mod.rs";
    assert_eq!(circles(&[own, upward]), [told]);
}
