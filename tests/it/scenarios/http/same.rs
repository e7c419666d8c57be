//! What is asked in three ways is answered in one: of the store here, over HTTP, and by `--server`.

use std::process::Output;

use serde_json::{Value, json};

use super::{Caller, caller, token};
use crate::scenarios::{NEW_VERSION, delivery::Delivery};

/// Holds an answer to what the description of the API says of it.
fn fits(description: &Value, name: &str, document: &Value) {
    let operations =
        description["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    let operation = operations.into_iter().find(|operation| operation["operationId"] == name).unwrap();
    let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
    let whole = json!({ "components": description["components"], "allOf": [schema] });
    let validator = jsonschema::validator_for(&whole).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert_eq!(errors, Vec::<String>::new(), "{name}");
}

struct Ways<'delivery> {
    delivery: &'delivery Delivery,
    server: String,
    token: String,
    caller: Caller,
}

impl<'delivery> Ways<'delivery> {
    fn of(delivery: &'delivery Delivery) -> Self {
        let nobody = caller(delivery);
        let token = token(delivery, "all", "admin", &[]);
        Self { delivery, server: format!("http://{}", nobody.host), caller: nobody.with_token(&token), token }
    }

    fn by_server(&self, arguments: &[&str]) -> Output {
        let mut command = self.delivery.tidegate(&[&["--server", &self.server], arguments].concat());
        command.env("TIDEGATE_TOKEN", &self.token).output().unwrap()
    }

    fn by_store(&self, arguments: &[&str]) -> Output {
        self.delivery.command(arguments)
    }

    /// The same command prints the same here and there.
    fn same(&self, arguments: &[&str]) -> String {
        let (here, there) = (self.by_store(arguments), self.by_server(arguments));
        let text = |bytes: &[u8]| ages_out(&String::from_utf8_lossy(bytes));
        assert_eq!(text(&here.stderr), text(&there.stderr), "{arguments:?}");
        assert_eq!(text(&here.stdout), text(&there.stdout), "{arguments:?}");
        assert_eq!(here.status.code(), there.status.code(), "{arguments:?}");
        String::from_utf8(here.stdout).unwrap()
    }
}

/// A text without how long ago something was: that goes on.
fn ages_out(text: &str) -> String {
    let is_age = |word: &str| {
        let word = word.trim_end_matches([',', ';', ')']);
        word.ends_with(['s', 'm', 'h']) && word.starts_with(|first: char| first.is_ascii_digit())
    };
    text.split_whitespace().filter(|word| !is_age(word)).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_question_has_one_answer() {
    let mut delivery = Delivery::careful();
    delivery.serve();
    let commit = delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let run = delivery.asking("deliver", "dev").id.to_string();
    delivery.quiet_in("qa");
    let ami = delivery.done("bake", "dev").steps[0].outputs["ami"].as_str().unwrap().to_owned();
    let ways = Ways::of(&delivery);
    let description = ways.caller.told("/api");
    let of = "/api/v1/systems/webshop";
    for (arguments, name, path) in [
        (vec!["status"], "status", "/api/v1/status".to_owned()),
        (vec!["run", "show", &run], "run", format!("{of}/runs/{run}")),
        (vec!["explain", &run], "run_explained", format!("{of}/runs/{run}/explanation")),
        (vec!["explain", &commit, "--stage", "qa"], "journey", format!("{of}/journey?what={commit}&stage=qa")),
        (vec!["trace", &ami], "trace", format!("{of}/trace?name={ami}")),
        (vec!["target", "list"], "targets", format!("{of}/targets")),
        (vec!["target", "show", "webshop", "--stage", "dev"], "target", format!("{of}/targets/webshop/stages/dev")),
        (vec!["runs"], "runs", format!("{of}/runs?limit=20")),
        (vec!["history", "--since", "1", "--limit", "7"], "events_of_system", format!("{of}/events?from=1&limit=7")),
        (vec!["stats", "--stage", "dev"], "stats", format!("{of}/stats?stage=dev")),
        (vec!["replay", "--seq", "12"], "system_status", format!("{of}/status?seq=12")),
    ] {
        let json = [&["-o", "json"], &arguments[..]].concat();
        // Figures are until now, which goes on.
        let typed = if name == "stats" { delivery.granted(&json) } else { ways.same(&json) };
        let mut told = ways.caller.told(&path);
        fits(&description, name, &told);
        if let Some(items) = told.get_mut("items") {
            // A page has what is listed, and each event its words.
            let mut items = items.take();
            for item in items.as_array_mut().unwrap().iter_mut().filter(|item| item.get("words").is_some()) {
                let item = item.as_object_mut().unwrap();
                assert!(item.remove("words").is_some() && item.remove("system").is_some());
            }
            told = items;
        }
        let typed: Value = serde_json::from_str(&typed).unwrap();
        // Of one system, the command line lists it.
        let typed = if typed.is_array() && !told.is_array() { typed[0].clone() } else { typed };
        if name == "stats" {
            let figures = |stats: &Value| stats["stages"][0]["deployments"].clone();
            assert_eq!((figures(&typed), &typed["stages"][0]["stage"]), (figures(&told), &"dev".into()), "{name}");
        } else {
            assert_eq!(typed, told, "{name}");
        }
        // Of every question the text is the same too.
        ways.same(&arguments);
    }
    for (name, path) in [
        ("me", "/api/v1/me".to_owned()),
        ("systems", "/api/v1/systems".to_owned()),
        ("rules", format!("{of}/rules")),
        ("logs", format!("{of}/runs/{run}/logs")),
        ("system_status", format!("{of}/status")),
    ] {
        fits(&description, name, &ways.caller.told(&path));
    }
    let log = ways.same(&["logs", &run]);
    let step = ways.caller.get(&format!("{of}/runs/{run}/steps/synth/log"));
    assert!(log.contains(step.text().trim_end()) && !step.body.is_empty(), "{log}");
    let part = ways.caller.with("Range", "bytes=2-4").get(&format!("{of}/runs/{run}/steps/synth/log"));
    assert_eq!((part.status, part.body.as_slice()), (206, &step.body[2..5]));
    // Pages lead from the first to the last, and have each run once.
    let (mut runs, mut path) = (Vec::new(), format!("{of}/runs?limit=1"));
    loop {
        let page = ways.caller.told(&path);
        runs.extend(page["items"].as_array().unwrap().iter().map(|run| run["id"].clone()));
        let Some(next) = page.get("next").and_then(Value::as_str) else { break };
        path = format!("{of}/runs?limit=1&cursor={next}");
    }
    let all = ways.caller.told(&format!("{of}/runs"));
    let all: Vec<Value> = all["items"].as_array().unwrap().iter().map(|run| run["id"].clone()).collect();
    assert!(runs.len() > 2 && runs == all, "{runs:?} {all:?}");
}

#[test]
fn every_refusal_has_the_same_words_and_exit_code() {
    let mut delivery = Delivery::careful();
    delivery.serve();
    let ways = Ways::of(&delivery);
    for arguments in [
        vec!["run", "show", "deliver-99"],
        vec!["explain", "deliver-99"],
        vec!["explain", "ffffffff", "--stage", "dev"],
        vec!["explain", "ffffffff", "--stage", "moon"],
        vec!["logs", "deliver-99"],
        vec!["trace", "nothing"],
        vec!["target", "show", "webshop", "--stage", "moon"],
        vec!["replay", "--seq", "4000000"],
        vec!["replay", "--at", "2001-01-01"],
        vec!["stats", "--stage", "moon"],
        vec!["approve", "deliver-99"],
        vec!["abort", "deliver-99", "--reason", "r"],
        vec!["promote", "dev", "moon"],
        vec!["unpin", "dev"],
        vec!["unlock", "webshop", "--stage", "dev"],
        vec!["thaw", "freeze-9"],
        vec!["runs", "--rule", "none"],
    ] {
        ways.same(&arguments);
    }
    let said = String::from_utf8(ways.by_server(&["pause", "--reason", "a look"]).stdout).unwrap();
    assert_eq!(said, "webshop is paused\n");
    assert_eq!(String::from_utf8(ways.by_store(&["resume"]).stdout).unwrap(), "webshop goes on\n");
    let why = |arguments: &[&str]| {
        let output = ways.by_server(arguments);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = why(&["status", "--as", "grace"]);
    assert!(code == Some(1) && said.contains("nobody asks in the name of grace"), "{said}");
    let (code, said) = why(&["simulate", "until", "3d"]);
    assert!(code == Some(1) && said.contains("cannot be asked of http://"), "{said}");
    let no_token = delivery.tidegate(&["--server", &ways.server, "status"]).output().unwrap();
    let said = String::from_utf8(no_token.stderr).unwrap();
    assert!(said.contains("there is no token to show"), "{said}");
    let wrong =
        delivery.tidegate(&["--server", &ways.server, "status"]).env("TIDEGATE_TOKEN", "tide_x").output().unwrap();
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(said.contains("this token is not good"), "{said}");
    let file = delivery.root().join("token");
    std::fs::write(&file, format!("{}\n", ways.token)).unwrap();
    let by_file = ["--server", &ways.server, "--token-file", file.to_str().unwrap(), "status"];
    assert!(delivery.granted(&by_file).contains("webshop"));
}
