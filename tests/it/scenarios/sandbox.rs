//! The box around commands of repositories, through the whole program.

use std::os::unix::fs::PermissionsExt as _;

use tidegate::engine::Run;

use super::{
    NEW_VERSION,
    delivery::{COMPONENT, Delivery},
    json,
};
use crate::{
    local_support::{TIDEGATE, eventually, files_with},
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
    assert_eq!(files_with(&delivery.root().join("data"), "npm_0123456789"), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_build_and_a_service_get_the_secrets_that_their_rules_name_and_show_none_of_them() {
    let named = |rules: String| {
        let rules = rules
            .replace("- bake: { reuse: true }", "- bake: { reuse: true, secrets: [npm-token] }")
            .replace("Stage: \"{{stage}}\" } }", "Stage: \"{{stage}}\" }, secrets: [db-password] }")
            .replace("to: qa,", "to: qa, start: manual,");
        assert!(rules.contains("[npm-token]") && rules.contains("[db-password]"));
        rules
    };
    let mut delivery = Delivery::with_rules(named);
    let mistakes = String::from_utf8(delivery.command(&["check"]).stdout).unwrap();
    for name in ["npm-token", "db-password"] {
        assert!(mistakes.contains(&format!("tidegate.toml has no secret `{name}`")), "{mistakes}");
        std::fs::write(delivery.root().join(name), format!("{name}_0123456789\n")).unwrap();
        delivery.add_settings(&format!("[secrets.{name}]\nfile = \"{name}\"\nsystems = [\"webshop\"]\n"));
    }
    let component =
        COMPONENT.replace("- mkdir -p srv", "- echo with $(cat $NPM_TOKEN_FILE)\n            - mkdir -p srv");
    delivery.image.commit("dev", "Use the token", &[("components/webshop.yaml", &component)]);
    let template = delivery.infrastructure.read("dev", "template.yaml");
    let command = format!("[\"{TIDEGATE}\", demo-service, srv/webshop/VERSION]");
    assert!(template.contains(&command), "{template}");
    let careless = format!("[sh, -c, 'cat $DB_PASSWORD_FILE; exec {TIDEGATE} demo-service srv/webshop/VERSION']");
    let template = template.replace(&command, &careless);
    delivery.infrastructure.commit("dev", "Use the password", &[("template.yaml", &template)]);
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("deliver", "dev");
    let baked = delivery.done("bake", "dev").id.to_string();
    let log = delivery.granted(&["logs", &baked]);
    assert!(log.contains("with ***"), "{log}");
    let environments = delivery.root().join("data/environments/webshop/webshop@dev/releases");
    let log = || {
        let release = std::fs::read_dir(&environments).unwrap().next().unwrap().unwrap();
        std::fs::read_to_string(release.path().join("log.txt")).unwrap()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(eventually("the service's log", async || log().contains("***").then_some(())));
    assert_eq!(files_with(&delivery.root().join("data"), "_0123456789"), Vec::<std::path::PathBuf>::new());
}

/// A command that says what its cache has, and puts something in.
const FETCHES: &str = "
exec >&2
echo \"has: $(ls $TIDEGATE_CACHE_NPM | tr '\\n' ' ')of npm at $npm_config_cache\"
echo x > $TIDEGATE_CACHE_NPM/of-$TIDEGATE_STAGE-$(date +%s%N)
ls -d /cache/* $TIDEGATE_CACHE_NPM/../../..
";

#[test]
fn a_cache_outlives_its_step_and_never_leaves_its_stage() {
    let named = |rules: String| with_a_script(rules).replace("[sh, make.sh]", "[sh, make.sh]\n          caches: [npm]");
    let mut delivery = Delivery::with_rules(named);
    delivery.infrastructure.commit("dev", "Fetch", &[("make.sh", FETCHES)]);
    delivery.serve();
    let has = |run: &str| {
        let log = delivery.granted(&["logs", run]);
        log.split("has: ").nth(1).unwrap_or_else(|| panic!("{log}")).lines().next().unwrap().to_owned()
    };
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let before = delivery.asking("deliver", "dev").id.to_string();
    let kept =
        || std::fs::read_dir(delivery.root().join("caches/webshop/dev/infrastructure/npm/files")).unwrap().count();
    let had = kept();
    assert!(had > 0, "{}", has(&before));
    delivery.granted(&["simulate", "run", "deliver", "--stage", "dev", "--run-commands"]);
    assert_eq!(kept(), had, "a simulation has caches of its own");
    let again = delivery.infrastructure.commit("dev", "Build again", &[("README", "two")]);
    let asked = delivery.wait("the next question", |state| {
        let on_it = |run: &&Run| run.source.as_ref().is_some_and(|source| source.commit.as_str() == again);
        state.all_runs().find(on_it).filter(|run| run.answerable().is_some()).map(|run| run.id.clone())
    });
    assert!(has(asked.as_str()).contains("of-dev-"), "{}", has(asked.as_str()));
    if is_here() {
        assert!(has(asked.as_str()).ends_with("of npm at /cache/npm"), "{}", has(asked.as_str()));
    }
    delivery.granted(&["approve", asked.as_str(), "--as", "grace"]);
    delivery.wait("the delivery", |state| state.run(&asked)?.state.is_ended().then_some(()));
    delivery.granted(&["promote", "dev", "qa"]);
    let promoted = delivery.asking("deliver", "qa").id.to_string();
    assert!(!has(&promoted).contains("of-dev-"), "{}", has(&promoted));
    assert!(delivery.root().join("caches/webshop/qa/infrastructure/npm/files").is_dir());
}
