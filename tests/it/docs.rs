//! The documents say what is: their examples load, their tables name what the types have, and their links lead somewhere.

use std::{collections::BTreeSet, fs, path::Path};

use tidegate::rules::{self, Action};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

/// The code blocks of a language.
fn blocks<'text>(text: &'text str, language: &str) -> Vec<&'text str> {
    let opening = format!("```{language}\n");
    text.split(&opening).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect()
}

/// What stands in backticks.
fn code(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_rules_by_example_load() {
    let text = read("docs/rules.md");
    let whole: Vec<_> = blocks(&text, "yaml").into_iter().filter(|block| block.contains("version: 1")).collect();
    assert!(!whole.is_empty());
    for block in whole {
        let rules = rules::load("docs/rules.md", block).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let shown: BTreeSet<&str> =
            rules.rules.values().flat_map(|rule| &rule.steps).map(|step| step.action.kind()).collect();
        let rows: BTreeSet<&str> = steps(&text).map(|(kind, _)| kind).collect();
        assert_eq!(shown, rows, "the example shows every kind that the table has");
    }
}

/// The rows of the table of step kinds: kind and outputs.
fn steps(text: &str) -> impl Iterator<Item = (&str, BTreeSet<&str>)> {
    let table = text.split("| kind | fields").nth(1).unwrap().split("\n\n").next().unwrap();
    table.lines().skip(2).map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        (cells[0].trim_matches(|c| c == '|' || c == '`' || c == ' '), code(cells[2]))
    })
}

#[test]
fn the_table_of_steps_names_their_outputs() {
    let text = read("docs/rules.md");
    let example = blocks(&text, "yaml").into_iter().find(|block| block.contains("version: 1")).unwrap();
    let rules = rules::load("docs/rules.md", example).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let actions: Vec<&Action> = rules.rules.values().flat_map(|rule| &rule.steps).map(|step| &step.action).collect();
    for (kind, outputs) in steps(&text) {
        let action = actions.iter().find(|action| action.kind() == kind).unwrap();
        assert_eq!(outputs, action.outputs().iter().copied().collect(), "the outputs of `{kind}`");
    }
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let text = read("docs/dependencies.md");
    let said: BTreeSet<&str> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|row| code(row.split(" | ").next().unwrap()))
        .collect();
    let tables = ["dependencies", "dev-dependencies"].map(|table| manifest[table].as_table().unwrap());
    let there: BTreeSet<&str> = tables.iter().flat_map(|table| table.keys()).map(String::as_str).collect();
    assert_eq!(said, there);
}

#[test]
fn links_and_paths_lead_somewhere() {
    let mut wrong = Vec::new();
    let documents = fs::read_dir(Path::new(ROOT).join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let documents = documents.chain([Path::new(ROOT).join("README.md")]);
    for document in documents.filter(|path| path.extension().is_some_and(|ending| ending == "md")) {
        let text = fs::read_to_string(&document).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let path = link.split('#').next().unwrap();
            if !document.parent().unwrap().join(path).exists() {
                wrong.push(format!("{}: {link}", document.display()));
            }
        }
        for path in code(&text).into_iter().filter(|code| is_source(code)) {
            let there = ["", "src", "tests/it"].iter().any(|folder| Path::new(ROOT).join(folder).join(path).exists());
            if !there {
                wrong.push(format!("{}: `{path}`", document.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Whether this is written as a file of this repository's code.
fn is_source(code: &str) -> bool {
    let plain = code.chars().all(|c| c.is_ascii_alphanumeric() || "/_.-".contains(c));
    plain && code.contains('/') && (code.ends_with(".rs") || code.ends_with('/')) && !code.starts_with("data/")
}
