//! The box around commands of repositories, through the whole program.

use std::os::unix::fs::PermissionsExt as _;

use super::{NEW_VERSION, delivery::Delivery, json};
use crate::{
    local_support::TIDEGATE,
    support::sandbox::{is_here, settings},
};

/// The demo's rules with a template that is made by a script of the repository.
fn with_a_script(rules: String) -> String {
    let template = "template: template.yaml\n          parameters: { ImageId: \"config.json#/ami/eu-central-1\", Zones: \"config.json#/availability_zones\" }";
    assert!(rules.contains(template));
    let script =
        template.replace("template: template.yaml", "command: [sh, make.sh]\n          template: template.yaml");
    rules
        .replace(template, &script)
        .replace(
            "qa: { count: 1, from: [qa] }",
            "dev: { count: 1, from: [qa] }\n            qa: { count: 1, from: [qa] }",
        )
        .replace("to: qa,", "to: qa, start: manual,")
}

/// All that the issue names: approve in anybody's name, read the server's secrets and the database, leave something behind.
const ATTACK: &str = r#"
exec >&2
echo it began
"@PROGRAM@" --config "@ROOT@/tidegate.toml" status && echo reached the house
"@PROGRAM@" --config "@ROOT@/tidegate.toml" approve deliver-1 --as grace && echo reached approval
cat "@ROOT@/data/tidegate.db" "@ROOT@"/scratch/*/tree/VERSION && echo reached data
cat /proc/*/environ; env
echo x > "@ROOT@/data/x" && echo reached writing
setsid sleep 57.721 < /dev/null > /dev/null 2>&1 &
echo it ended
"#;

#[test]
fn a_command_of_a_repository_reaches_nothing_of_the_server() {
    if !is_here() {
        println!("left out: this machine has no sandbox");
        return;
    }
    let mut delivery = Delivery::with_rules(with_a_script);
    delivery.environment.push(("SECRET_OF_THE_SERVER".to_owned(), "correct-horse".to_owned()));
    let attack = ATTACK.replace("@PROGRAM@", TIDEGATE).replace("@ROOT@", delivery.root().to_str().unwrap());
    delivery.infrastructure.commit("dev", "Make the template", &[("make.sh", &attack)]);
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let asked = delivery.asking("deliver", "dev").id.to_string();
    let log = delivery.granted(&["logs", &asked]);
    assert!(log.contains("it began") && log.contains("it ended"), "{log}");
    assert!(log.contains("cannot read"), "the program ran, and found no settings: {log}");
    for secret in ["reached", "correct-horse", "SQLite format", "webshop 2.0"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
    assert!(crate::local_support::processes_with("sleep 57.721").is_empty());
    assert!(!delivery.root().join("data/x").exists());
    for own in ["data", "scratch"] {
        let mode = delivery.root().join(own).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{own}");
    }
    let scratch = std::fs::read_dir(delivery.root().join("scratch")).unwrap().count();
    assert_eq!(scratch, 0, "nothing is left of the step");
}

#[test]
fn a_server_without_a_sandbox_says_so() {
    let mut delivery = Delivery::by_hand();
    let before = std::fs::read_to_string(delivery.config()).unwrap();
    let none = before.replace(&settings(), &format!("sandbox = \"none\"\ntools = [\"{TIDEGATE}\"]\n"));
    std::fs::write(delivery.config(), none).unwrap();
    delivery.serve();
    assert!(delivery.status().contains("`sandbox = \"none\"` in tidegate.toml"), "{}", delivery.status());
    assert_eq!(json(&delivery.granted(&["-o", "json", "status"]))[0]["unboxed"], true);
    assert!(
        std::fs::read_to_string(delivery.root().join("serve.log")).unwrap().contains("can do all that this server can")
    );
}

/// No `bwrap` on the search path: what runs commands fails with what to do, and all else goes on.
#[test]
fn a_missing_sandbox_fails_the_step_and_says_what_to_do() {
    if !is_here() {
        println!("left out: this machine has no sandbox");
        return;
    }
    let mut delivery = Delivery::with_rules(with_a_script);
    let programs = delivery.root().join("programs");
    std::fs::create_dir(&programs).unwrap();
    for entry in ["/usr/bin", "/bin"].into_iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).flatten() {
        if entry.file_name() != "bwrap" {
            // The same program in the other folder is there already.
            let _ = std::os::unix::fs::symlink(entry.path(), programs.join(entry.file_name()));
        }
    }
    delivery.environment.push(("PATH".to_owned(), programs.display().to_string()));
    delivery.infrastructure.commit("dev", "Make the template", &[("make.sh", "true")]);
    delivery.serve();
    let log = std::fs::read_to_string(delivery.root().join("serve.log")).unwrap();
    assert!(log.contains("steps that run commands will fail") && log.contains("apt-get install bubblewrap"), "{log}");
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    assert!(delivery.done("package", "dev").ended_ms.is_some(), "what runs no commands goes on");
    let failed = delivery.ended("bake", "dev");
    assert!(failed.reason.as_ref().unwrap().contains("no sandbox to run it in"), "{:?}", failed.reason);
}

#[test]
fn scratch_is_not_within_the_data() {
    let delivery = Delivery::by_hand();
    let before = std::fs::read_to_string(delivery.config()).unwrap();
    std::fs::write(delivery.config(), format!("scratch = \"data/scratch\"\n{before}")).unwrap();
    let why = delivery.refused(&["status"], 1);
    assert!(why.contains("`scratch` is within `data`"), "{why}");
}

/// A script that shows its secret in every way that it can think of, and makes a good template.
const CARELESS: &str = "
set -x
TOKEN=$(cat \"$NPM_TOKEN_FILE\")
echo \"//registry.example/:_authToken=$TOKEN\" >&2
cat $NPM_TOKEN_FILE >&2
";

#[test]
fn a_step_gets_the_secrets_that_its_rule_names_and_shows_none_of_them() {
    let named =
        |rules: String| with_a_script(rules).replace("[sh, make.sh]", "[sh, make.sh]\n          secrets: [npm-token]");
    let mut delivery = Delivery::with_rules(named);
    std::fs::write(delivery.root().join("npm-token"), "npm_0123456789\n").unwrap();
    let mistakes = || String::from_utf8(delivery.command(&["check"]).stdout).unwrap();
    let why = mistakes();
    assert!(why.contains("tidegate.toml has no secret `npm-token`"), "{why}");
    delivery.add_settings("[secrets.npm-token]\nfile = \"npm-token\"\nsystems = [\"billing\"]\n");
    let why = mistakes();
    assert!(why.contains("the secret `npm-token` is not for `webshop`"), "{why}");
    let settings = std::fs::read_to_string(delivery.config()).unwrap();
    std::fs::write(delivery.config(), settings.replace("[\"billing\"]", "[\"webshop\"]")).unwrap();
    delivery.infrastructure.commit("dev", "Make the template", &[("make.sh", CARELESS)]);
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let asked = delivery.asking("deliver", "dev").id.to_string();
    let log = delivery.granted(&["logs", &asked]);
    assert!(log.contains("_authToken=***") && log.contains("+ TOKEN=***"), "{log}");
    delivery.granted(&["reject", &asked, "--as", "grace", "--reason", "it is careless"]);

    let shown = format!("{CARELESS}\nsed -i \"s/^Resources:/# $TOKEN\\nResources:/\" template.yaml");
    let pushed = delivery.infrastructure.commit("dev", "Put it into the template", &[("make.sh", &shown)]);
    let failed = delivery.ended_on("deliver", &pushed);
    assert!(failed.reason.as_ref().unwrap().contains("has one of the step's secrets in it"), "{:?}", failed.reason);
    std::fs::write(delivery.root().join("npm-token"), "short\n").unwrap();
    delivery.granted(&["retry", failed.id.as_str(), "--as", "grace"]);
    let why = delivery.wait("another reason", |state| {
        let reason = state.run(&failed.id)?.reason.clone()?;
        reason.contains("fewer than 6 bytes").then_some(reason)
    });
    assert!(why.contains("the secret `npm-token`"), "{why}");
    for entry in walk(&delivery.root().join("data")) {
        let bytes = std::fs::read(&entry).unwrap();
        assert!(!bytes.windows(14).any(|window| window == b"npm_0123456789"), "{}", entry.display());
    }
}

/// All files below a folder.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            files.extend(walk(&entry.path()));
        } else if entry.file_type().unwrap().is_file() {
            files.push(entry.path());
        }
    }
    files
}
