//! How far a kind of step reaches: a kind that is made for nothing but itself is named where every kind is, and nowhere
//! else. What it means to freezes, approvals, explanations and figures comes from its row.

use std::{collections::BTreeSet, fs, path::Path};

use crate::house::sources;

/// Where every kind of the rules is named: its struct, its row, its fields and its step. A new kind is named there too.
const BY_EVERY_KIND: [&str; 4] = [
    "crates/engine/src/rules/actions.rs",
    "crates/engine/src/rules/check/fields.rs",
    "crates/engine/src/rules/kind.rs",
    "src/steps/mod.rs",
];
/// Kinds whose fields the engine itself uses, and where: the whole list, so that it does not grow unseen.
const BESIDES: [(&str, &[&str]); 4] = [
    (
        "Commit",
        &[
            "crates/engine/src/engine/explain/route.rs",
            "crates/engine/src/engine/leads.rs",
            "crates/engine/src/engine/obstacles.rs",
            "crates/engine/src/engine/outcome.rs",
            "crates/engine/src/engine/plan.rs",
            "crates/engine/src/engine/provenance/mod.rs",
            "crates/engine/src/engine/task.rs",
            "crates/engine/src/engine/work.rs",
            "crates/engine/src/rules/check/loops.rs",
            "crates/engine/src/rules/together.rs",
        ],
    ),
    (
        "Approve",
        &[
            "crates/engine/src/engine/gate/mod.rs",
            "crates/engine/src/engine/obstacles.rs",
            "crates/engine/src/engine/offered.rs",
            "crates/engine/src/rules/check/steps.rs",
        ],
    ),
    (
        "Deploy",
        &[
            "crates/engine/src/engine/gate/approval.rs",
            "crates/engine/src/engine/task.rs",
            "crates/engine/src/rules/check/steps.rs",
            "crates/engine/src/rules/check/targets.rs",
            "src/view/target.rs",
        ],
    ),
    (
        "Check",
        &[
            "crates/engine/src/engine/explain/ahead.rs",
            "crates/engine/src/engine/explain/chain.rs",
            "crates/engine/src/engine/explain/mod.rs",
            "crates/engine/src/engine/plan.rs",
            "src/forge/deliveries.rs",
        ],
    ),
];
/// Where the table is: the rows of the rules' kinds, and of the engine's own.
const TABLE: [&str; 2] = ["crates/engine/src/rules/kind.rs", "crates/engine/src/engine/kind.rs"];

/// The variants of the kinds that rules may name, as they are declared.
fn variants() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("crates/engine/src/rules/actions.rs")).unwrap();
    let body = text.split("pub enum Action {").nth(1).unwrap().split("\n}").next().unwrap();
    let lines = body.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    lines.filter_map(|line| line.split_once('(').map(|(name, _)| name.to_owned())).collect()
}

/// The files that name a variant.
fn named_in(variant: &str) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (elsewhere, declared) = (format!("Action::{variant}("), format!("    {variant}({variant}),"));
    let in_its_impl = format!("Self::{variant}(");
    let of_actions = |path: &str| BY_EVERY_KIND.contains(&path);
    let files = sources().into_iter().filter_map(|source| {
        let path = source.path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let own = of_actions(&path) && (source.code.contains(&declared) || source.code.contains(&in_its_impl));
        (own || source.code.contains(&elsewhere)).then_some(path)
    });
    files.collect()
}

#[test]
fn a_new_kind_of_step_is_named_in_four_files() {
    let of_every_kind: BTreeSet<String> = BY_EVERY_KIND.map(str::to_owned).into();
    let variants = variants();
    assert_eq!(variants.len(), 9, "{variants:?}");
    for variant in variants {
        let besides = BESIDES.iter().find(|(kind, _)| *kind == variant).map_or(&[] as &[&str], |(_, files)| files);
        let mut expected = of_every_kind.clone();
        expected.extend(besides.iter().map(|file| (*file).to_owned()));
        assert_eq!(named_in(&variant), expected, "the files that name `{variant}`");
    }
}

/// `matches!(…, Task::Merge(_))` and its like: what a kind is, asked by its name and not of the table.
#[test]
fn what_a_kind_is_is_asked_of_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for source in sources() {
        let path = source.path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        if TABLE.contains(&path.as_str()) {
            continue;
        }
        for question in source.code.split("matches!(").skip(1) {
            let question = question.split(';').next().unwrap_or_default();
            let of_a_kind = |of: &str| question.split(of).skip(1).any(names_only_its_kind);
            if of_a_kind("Action::") || of_a_kind("Task::") {
                wrong.push(format!("{path}: matches!({question}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Whether a pattern that begins here looks at nothing within the variant.
fn names_only_its_kind(pattern: &str) -> bool {
    let name = pattern.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let within = &pattern[name.len()..];
    ["(_)", " { .. }"].iter().any(|any| within.starts_with(any))
}

#[test]
fn questions_about_kinds_are_found() {
    assert!(names_only_its_kind("Deploy(_)) && other"));
    assert!(names_only_its_kind("Soak { .. } | more"));
    assert!(!names_only_its_kind("Approve(approve)) if approve.pass_if_unchanged)"));
}
