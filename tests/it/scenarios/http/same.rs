//! What is asked in three ways is answered in one: of the store here, over HTTP, and by `--server`.

use std::{
    process::Output,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use super::{Caller, caller, token};
use crate::scenarios::{NEW_VERSION, delivery::Delivery};

/// How often those who are asked of a system at rest are asked until they agree.
const MOST_LOOKS: u32 = 5;

/// Holds an answer to what the description of the API says of it.
pub(super) fn fits(description: &Value, name: &str, document: &Value) {
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
        let ask = || (self.by_store(arguments), self.by_server(arguments));
        let text = |bytes: &[u8]| ages_out(&String::from_utf8_lossy(bytes));
        let (here, there) = settled(ask, |(here, there)| text(&here.stdout) == text(&there.stdout));
        assert_eq!(text(&here.stderr), text(&there.stderr), "{arguments:?}");
        assert_eq!(text(&here.stdout), text(&there.stdout), "{arguments:?}");
        assert_eq!(here.status.code(), there.status.code(), "{arguments:?}");
        String::from_utf8(here.stdout).unwrap()
    }
}

/// What is told of a system in which nothing moves: a look that goes on while only one of two is asked is over soon. Where they
/// never agree, what was told last.
fn settled<T>(ask: impl Fn() -> T, agree: impl Fn(&T) -> bool) -> T {
    (1..MOST_LOOKS).map(|_| ask()).find(agree).unwrap_or_else(ask)
}

/// Without what goes on while it is told, and without who asked: a token is nobody here.
fn without_moments(document: &mut Value) {
    match document {
        Value::Object(object) => {
            object.retain(|name, _| !name.ends_with("_ms") && name != "claims" && name != "why");
            object.values_mut().for_each(without_moments);
        }
        Value::Array(items) => {
            items.retain(|item| !item.as_str().is_some_and(|text| text.ends_with(" UTC")));
            items.iter_mut().for_each(without_moments);
        }
        _ => {}
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
        let ask = || {
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
            (typed, told)
        };
        let (typed, told) = settled(ask, |(typed, told)| name == "stats" || typed == told);
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

/// What is refused, in each way, in the same words.
const REFUSED: [&[&str]; 40] = [
    &["run", "show", "deliver-99"],
    &["run", "start", "none", "--stage", "dev"],
    &["explain", "deliver-99"],
    &["explain", "ffffffff", "--stage", "dev"],
    &["explain", "ffffffff", "--stage", "moon"],
    &["logs", "deliver-99"],
    &["trace", "nothing"],
    &["target", "show", "webshop", "--stage", "moon"],
    &["target", "recover", "webshop", "--stage", "moon", "--reason", "r"],
    &["replay", "--seq", "4000000"],
    &["replay", "--at", "2001-01-01"],
    &["stats", "--stage", "moon"],
    &["status", "--system", "moon"],
    &["history", "--system", "moon"],
    &["approve", "deliver-99"],
    &["reject", "deliver-99", "--reason", "r"],
    &["withdraw", "deliver-99"],
    &["retry", "deliver-99"],
    &["abort", "deliver-99", "--reason", "r"],
    &["promote", "dev", "moon"],
    &["rollback", "moon", "--reason", "r"],
    &["take-back", "promote-99", "--reason", "r"],
    &["veto", "", "--reason", "r"],
    &["pin", "moon", "--reason", "r"],
    &["unpin", "dev"],
    &["unlock", "webshop", "--stage", "dev"],
    &["pause", "--reason", ""],
    &["resume"],
    &["freeze", "--until", "2001-01-01", "--reason", "r"],
    &["thaw", "freeze-9"],
    &["override", "freeze-9", "deliver-99", "--reason", "r"],
    &["hotfix", "deliver-99", "--reason", "r"],
    &["runs", "--rule", "none"],
    &["nudge", "nothing"],
    &["nudge", "/srv/git/other.git"],
    &["release", "fair"],
    &["release", "fair", "--systems", "webshop,moon", "--from", "dev", "--to", "qa"],
    &["release", "fair", "--systems", "webshop", "--from", "dev", "--to", "moon"],
    &["simulate", "promote", "dev", "moon"],
    &["verify-log", "--system", "moon"],
];

/// What is asked where the store is, with what it needs; and why.
const ONLY_HERE: [(&[&str], &str); 11] = [
    (&["demo"], "files of whoever types it"),
    (&["init", "--software", "a", "--image", "b", "--infrastructure", "c", "folder"], "files of whoever types it"),
    (&["check"], "files of whoever types it"),
    (&["deploy", "bundle.zip", "--target", "webshop", "--stage", "dev"], "a file of whoever types it"),
    (&["simulate", "until", "3d", "--run-commands"], "runs commands"),
    (&["simulate", "push", "software", "dev", "--from", "."], "a clone on this machine"),
    (&["serve"], "a server itself"),
    (&["doctor"], "the whole machine"),
    (&["github", "connect"], "files of the server's machine"),
    (&["token", "list"], "whoever can open the database"),
    (&["token", "revoke", "x"], "whoever can open the database"),
];

#[test]
fn every_command_is_asked_in_every_way_or_says_where_it_is() {
    use clap::CommandFactory as _;
    let asked = REFUSED.iter().copied().chain(ONLY_HERE.iter().map(|(arguments, _)| *arguments));
    let asked: std::collections::BTreeSet<&str> = asked.map(|arguments| arguments[0]).collect();
    let program = tidegate::cli::Cli::command();
    let known = program.get_subcommands().filter(|command| !command.is_hide_set()).map(clap::Command::get_name);
    assert_eq!(asked, known.filter(|name| *name != "help").collect());
}

#[test]
fn every_refusal_has_the_same_words_and_exit_code() {
    let mut delivery = Delivery::careful();
    delivery.serve();
    let ways = Ways::of(&delivery);
    for arguments in REFUSED {
        ways.same(arguments);
    }
    let why = |arguments: &[&str]| {
        let output = ways.by_server(arguments);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (arguments, reason) in ONLY_HERE {
        let (code, said) = why(arguments);
        assert!(code == Some(1) && said.contains("cannot be asked of http://") && said.contains(reason), "{said}");
    }
    let said = String::from_utf8(ways.by_server(&["pause", "--reason", "a look"]).stdout).unwrap();
    assert_eq!(said, "webshop is paused\n");
    assert_eq!(String::from_utf8(ways.by_store(&["resume"]).stdout).unwrap(), "webshop goes on\n");
    let (code, said) = why(&["status", "--as", "grace"]);
    assert!(code == Some(1) && said.contains("nobody asks in the name of grace"), "{said}");
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

#[test]
fn predictions_checks_nudges_and_releases_are_the_same_from_any_machine() {
    let mut delivery = Delivery::by_hand();
    delivery.serve_with_billing("");
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("deliver", "dev");
    delivery.quiet();
    let ways = Ways::of(&delivery);
    let commit = delivery.software.head("dev").unwrap();
    let rules = delivery.root().join("promotion-rules/webshop.yaml");
    let changed = delivery.root().join("changed.yaml");
    std::fs::write(&changed, delivery.rules().replace("poll: 1s", "poll: 2s")).unwrap();
    let wrong = delivery.root().join("wrong.yaml");
    std::fs::write(&wrong, std::fs::read_to_string(rules).unwrap().replace("stages:", "stagess:")).unwrap();
    let (changed, wrong) = (changed.to_str().unwrap(), wrong.to_str().unwrap());
    // The same moment, however long the one who is asked first takes.
    let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_hours(72);
    let soon = &tidegate::engine::explain::time(soon.as_millis().try_into().unwrap());
    for arguments in [
        &["simulate", "promote", "dev", "qa", "--system", "webshop"][..],
        &["simulate", "run", "package", "--stage", "dev", "--system", "webshop"],
        &["simulate", "push", "software", "dev", "--commit", &commit, "--system", "webshop"],
        &["simulate", "until", soon, "--system", "webshop", "--rules", changed],
        &["simulate", "until", soon, "--system", "webshop", "--rules", wrong],
        &["simulate", "until", soon],
        &["verify-log"],
        &["verify-log", "--system", "billing"],
    ] {
        let json = [&["-o", "json"], arguments].concat();
        let (here, there) = (ways.by_store(&json), ways.by_server(&json));
        let document = |output: &Output| {
            let mut document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            without_moments(&mut document);
            document
        };
        assert_eq!(document(&here), document(&there), "{arguments:?}");
        assert_eq!(here.status.code(), there.status.code(), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&here.stderr), String::from_utf8_lossy(&there.stderr), "{arguments:?}");
    }
    let mistaken = ways.by_server(&["simulate", "until", soon, "--system", "webshop", "--rules", wrong]);
    assert_eq!(mistaken.status.code(), Some(4), "{mistaken:?}");
    assert_eq!(
        mistaken.stdout,
        ways.by_store(&["simulate", "until", soon, "--system", "webshop", "--rules", wrong]).stdout
    );

    // Asked there, it is known here.
    let said = |output: Output| {
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let nudge = ["nudge", "ledger", "--system", "billing", "--delivery", "push-17"];
    assert_eq!(said(ways.by_server(&nudge)), "billing: asked to look at ledger now\n");
    assert_eq!(said(ways.by_server(&nudge)), said(ways.by_store(&nudge)), "it was taken in before");
    let url = delivery.software.url();
    assert_eq!(said(ways.by_server(&["nudge", &url])), "webshop: asked to look at software now\n");
    let ask = ["release", "fair", "--systems", "webshop", "--from", "dev", "--to", "qa"];
    let begun = said(ways.by_server(&ask));
    assert_eq!(begun, "fair is on its way: `tidegate release fair` shows how far\n");
    delivery.wait("its promotion", |state| {
        state.all_runs().any(|run| run.release().is_some() && run.state.is_ended()).then_some(())
    });
    ways.same(&["release", "fair"]);
    ways.same(&["-o", "json", "release", "fair"]);
    let viewer = token(&delivery, "looks", "viewer", &[]);
    let refused = delivery
        .tidegate(&[&["--server", &ways.server][..], &ask].concat())
        .env("TIDEGATE_TOKEN", viewer)
        .output()
        .unwrap();
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(3) && why.contains("so that nothing was asked"), "{why}");
}
