//! The documents say what is: their examples load, their tables name what the types have, and their links lead somewhere.

use std::{collections::BTreeSet, fs, path::Path};

use tidegate::{
    house::channels::{SmtpSettings, WebhookSettings},
    rules::{self, Action, Notice},
};

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
    let mut shown = BTreeSet::new();
    for block in whole {
        let rules = rules::load("docs/rules.md", block).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        shown.extend(rules.rules.values().flat_map(|rule| &rule.steps).map(|step| step.action.kind().name));
    }
    let rows: BTreeSet<&str> = steps(&text).map(|(kind, _)| kind).collect();
    assert_eq!(shown, rows, "the examples show every kind that the table has");
}

#[test]
fn every_example_of_rules_and_settings_loads() {
    for document in ["gates", "git", "github", "notifications", "rules", "security", "server", "signing", "targets"] {
        let document = &format!("docs/{document}.md");
        let text = read(document);
        for block in blocks(&text, "yaml").into_iter().filter(|block| block.contains("version: 1")) {
            rules::load(document, block).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        }
        for block in blocks(&text, "toml") {
            let files = if block.contains("[rules]") { "" } else { "rules = []\n" };
            let settings = format!("{files}{block}");
            toml::from_str::<tidegate::house::settings::Settings>(&settings).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

#[test]
fn every_threat_names_tests_that_there_are() {
    let (text, server) = (read("docs/security.md"), read("docs/server.md"));
    let rows = table(&text, "| a command tries to");
    assert!(rows.len() > 10);
    let others = [&text, &server].map(|text| code(text).into_iter().filter(|it| it.contains("::")).collect::<Vec<_>>());
    let named = rows.iter().flat_map(|row| code(row[2])).chain(others.concat());
    for test in named {
        let (module, name) = test.rsplit_once("::").unwrap();
        let source = read(&format!("tests/it/{}.rs", module.replace("::", "/")));
        assert!(source.contains(&format!("fn {name}()")), "there is no test {test}");
    }
}

#[test]
fn the_tables_of_routes_are_those_of_the_server() {
    use tidegate::web::routes::ROUTES;
    let text = read("docs/server.md");
    let rows = ["| question |", "| command |"].map(|beginning| table(&text, beginning)).concat();
    let told: BTreeSet<String> = rows.iter().map(|row| format!("{} {}", one(row[0]), row[1])).collect();
    let row =
        |route: &&tidegate::web::routes::Route| format!("{} {} {}", route.method.name(), route.path, route.summary);
    assert_eq!(told, ROUTES.iter().map(row).collect());
}

#[test]
fn the_table_of_permissions_at_github_is_what_the_app_asks_for() {
    use tidegate::providers::forge::github::permissions::WANTED;
    let text = read("docs/github.md");
    let rows = table(&text, "| permission | level |");
    let told: Vec<(&str, &str, &str, Vec<&str>)> = rows
        .iter()
        .map(|row| (one(row[0]), row[1], row[2], row[3].split(", ").map(one).filter(|name| *name != "–").collect()))
        .collect();
    let asked = WANTED.map(|wanted| (wanted.name, wanted.level.name(), wanted.why, wanted.events.to_vec()));
    assert_eq!(told, asked);
}

#[test]
fn the_table_of_conditions_names_every_one_in_the_order_in_which_they_hold() {
    let text = read("docs/gates.md");
    let table = text.split("| condition |").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows: Vec<&str> = table.lines().skip(2).filter_map(|row| row.split('`').nth(1)).collect();
    let schema = rules::schema();
    let conditions = schema["$defs"]["Conditions"]["properties"].as_object().unwrap();
    let there: BTreeSet<&str> = conditions.keys().map(String::as_str).collect();
    assert_eq!(rows.iter().copied().collect::<BTreeSet<_>>(), there);
    let planned = ["soak", "checks", "approvals", "window"].map(|name| rows.iter().position(|row| *row == name));
    assert!(planned.is_sorted(), "{rows:?}");
}

#[test]
fn the_table_of_permissions_says_what_each_role_gives() {
    use tidegate::engine::{Permission, Role};
    let text = read("docs/gates.md");
    let table = text.split("| permission |").nth(1).unwrap().split("\n\n").next().unwrap();
    let all = Permission::ALL;
    assert_eq!(table.lines().skip(2).count(), all.len());
    for (row, permission) in table.lines().skip(2).zip(all) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells[1].trim_matches('`'), permission.name());
        for (cell, role) in
            cells[3..].iter().zip([Role::Viewer, Role::Operator, Role::Approver, Role::Admin, Role::Impersonator])
        {
            assert_eq!(*cell == "✓", role.gives(permission), "{} {role:?}", permission.name());
        }
    }
}

#[test]
fn every_row_of_who_is_who_is_held_by_a_test_of_that_name() {
    let text = read("docs/gates.md");
    let tests: String = [
        "crates/engine/tests/engine/strangers.rs",
        "crates/engine/tests/engine/asked_by.rs",
        "src/providers/git/authorship.rs",
        "src/house/settings/tests.rs",
        "tests/it/git_proof.rs",
        "tests/it/scenarios/socket.rs",
        "tests/it/scenarios/who.rs",
    ]
    .map(read)
    .concat();
    for beginning in ["| what is written |", "| who types it |"] {
        let rows = table(&text, beginning);
        assert!(rows.len() > 5);
        for row in rows {
            let name = one(row[2]);
            assert!(tests.contains(&format!("fn {name}()")), "no test is called {name}");
        }
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
        let action = actions.iter().find(|action| action.kind().name == kind).unwrap();
        assert_eq!(outputs, action.kind().output_names().collect(), "the outputs of `{kind}`");
    }
}

/// The rows of the table that begins with this, as cells.
fn table<'text>(text: &'text str, beginning: &str) -> Vec<Vec<&'text str>> {
    let rest = text.split(beginning).nth(1).unwrap_or_else(|| panic!("there is no table {beginning}"));
    let rows = rest.split("\n\n").next().unwrap().lines().skip(2);
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect()).collect()
}

fn one(cell: &str) -> &str {
    cell.trim_matches('`')
}

#[test]
fn the_tables_of_notices_name_what_templates_may_use() {
    let text = read("docs/notifications.md");
    let notices = table(&text, "| notice | when");
    let named: Vec<&str> = notices.iter().map(|row| one(row[0])).collect();
    assert_eq!(named, Notice::ALL.map(Notice::name));
    for (row, notice) in notices.iter().zip(Notice::ALL) {
        let own = row.get(2).map(|cell| code(cell)).unwrap_or_default();
        assert_eq!(own, notice.own_names().iter().copied().collect(), "the names of `{}`", notice.name());
    }
    let names = table(&text, "| name | of");
    for notice in Notice::ALL {
        let of = |cell: &str| match cell {
            "all" => true,
            "runs" => notice.is_of_a_run(),
            cell => code(cell).contains(notice.name()),
        };
        let said: BTreeSet<&str> = names.iter().filter(|row| of(row[1])).map(|row| one(row[0])).collect();
        assert_eq!(said, notice.names().collect(), "the names of `{}`", notice.name());
    }
}

#[test]
fn the_examples_of_notifications_load() {
    let text = read("docs/notifications.md");
    let whole = read("promotion-rules/webshop.yaml");
    let examples: Vec<&str> = blocks(&text, "yaml");
    assert!(examples.len() >= 2);
    for example in examples {
        rules::load("docs/notifications.md", &format!("{whole}\n{example}"))
            .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    }
}

#[test]
fn the_table_of_channels_names_their_settings() {
    let properties = |schema: schemars::Schema| -> BTreeSet<String> {
        schema.to_value()["properties"].as_object().unwrap().keys().cloned().collect()
    };
    let kinds = [("smtp", schemars::schema_for!(SmtpSettings)), ("webhook", schemars::schema_for!(WebhookSettings))];
    let text = read("docs/notifications.md");
    let rows = table(&text, "| `kind` | setting");
    for (kind, schema) in kinds {
        let rows = rows.iter().filter(|row| one(row[0]) == kind);
        let said: BTreeSet<String> = rows.map(|row| one(row[1]).to_owned()).collect();
        assert_eq!(said, properties(schema), "the settings of `{kind}`");
    }
    let said: BTreeSet<String> = table(&text, "| field |").iter().map(|row| one(row[0]).to_owned()).collect();
    assert_eq!(said, properties(schemars::schema_for!(rules::Notification)));
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let manifests = ["Cargo.toml", "crates/engine/Cargo.toml"].map(|path| read(path).parse::<toml::Table>().unwrap());
    let text = read("docs/dependencies.md");
    let said: BTreeSet<&str> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|row| code(row.split(" | ").next().unwrap()))
        .collect();
    let tables = manifests.iter().flat_map(|manifest| [&manifest["dependencies"], &manifest["dev-dependencies"]]);
    let names = tables.flat_map(|table| table.as_table().unwrap().keys()).map(String::as_str);
    let there: BTreeSet<&str> = names.filter(|name| *name != "tidegate-engine").collect();
    assert_eq!(said, there);
}

/// Each record of a decision is short and whole, and the list of them names each in its order.
#[test]
fn the_list_of_decisions_names_every_record() {
    let folder = Path::new(ROOT).join("docs/decisions");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut records: Vec<(String, String)> = Vec::new();
    for name in names.filter(|name| name != "README.md") {
        let text = read(&format!("docs/decisions/{name}"));
        let (number, title) = text.lines().next().unwrap().strip_prefix("# ").unwrap().split_once(". ").unwrap();
        assert_eq!(name[..5], format!("{:04}-", number.parse::<u32>().unwrap()), "{name}");
        let parts: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(parts, ["Context", "Decision", "Turned down"], "{name}");
        assert!((10..=25).contains(&text.lines().count()), "{name}");
        records.push((format!("[{}]({name})", &name[..4]), title.to_owned()));
    }
    records.sort();
    let list = read("docs/decisions/README.md");
    let rows = table(&list, "| | decision |").into_iter().map(|row| (row[0].to_owned(), row[1].to_owned()));
    assert_eq!(rows.collect::<Vec<_>>(), records);
}

#[test]
fn links_and_paths_lead_somewhere() {
    let mut wrong = Vec::new();
    let documents = ["docs", "docs/decisions"].map(|folder| fs::read_dir(Path::new(ROOT).join(folder)).unwrap());
    let documents = documents.into_iter().flatten().map(|entry| entry.unwrap().path());
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
            let there = ["", "src", "crates/engine/src", "crates/engine/tests", "tests/it"]
                .iter()
                .any(|folder| Path::new(ROOT).join(folder).join(path).exists());
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
