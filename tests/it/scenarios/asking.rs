//! Who asks, what they may see, and what reaches their terminal.

use super::{NEW_VERSION, delivery::Delivery, json};

/// The second system is Grace's alone.
const ROLES: &str = r#"
[people.mallory]

[[grants]]
role = "admin"
to = ["grace"]

[[grants]]
role = "viewer"
to = ["ada"]
systems = ["webshop"]
"#;

/// The careful company with a second system, and roles.
fn two_systems() -> Delivery {
    let mut delivery = Delivery::careful();
    delivery.serve_with_billing(ROLES);
    delivery
}

#[test]
fn who_asks_decides_what_is_shown_and_nothing_else_is_named() {
    let delivery = two_systems();
    let shown = delivery.granted(&["status", "--as", "ada"]);
    assert!(shown.contains("webshop") && !shown.contains("billing"), "{shown}");
    let all = delivery.granted(&["status", "--as", "grace"]);
    assert!(all.contains("webshop") && all.contains("billing"), "{all}");
    let why = delivery.refused(&["status", "--as", "mallory"], 3);
    assert!(why.contains("mallory may not look at any system"), "{why}");

    for arguments in [
        vec!["pause", "--reason", "no", "--as", "ada"],
        vec!["pause", "--all", "--reason", "no", "--as", "ada"],
        vec!["release", "fair", "--systems", "webshop,shop", "--from", "dev", "--to", "qa", "--as", "ada"],
        vec!["runs", "--system", "shop", "--as", "ada"],
    ] {
        let output = delivery.command(&arguments);
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && !why.contains("billing"), "{arguments:?}: {why}");
    }
    for looking in [["history"], ["runs"], ["replay"], ["verify-log"]] {
        let seq: &[&str] = if looking == ["replay"] { &["--seq", "1"] } else { &[] };
        delivery.granted(&[&looking[..], seq, &["--system", "billing", "--as", "grace"]].concat());
        let why = delivery.refused(&[&looking[..], seq, &["--system", "billing", "--as", "ada"]].concat(), 3);
        assert!(why.contains("ada may not look at billing"), "{why}");
    }
    let why = delivery.refused(&["simulate", "promote", "dev", "qa", "--system", "billing", "--as", "ada"], 3);
    assert!(why.contains("ada may not look at billing"), "{why}");
}

#[test]
fn commands_to_copy_work_where_there_are_several_systems() {
    let delivery = two_systems();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let run = delivery.asking("deliver", "dev").id.to_string();
    let show = ["run", "show", &run, "--system", "webshop", "--as", "grace"];
    let shown = delivery.granted(&show);
    let command = shown.lines().find(|line| line.trim_start().starts_with("tidegate approve ")).unwrap();
    for text in [
        delivery.granted(&["status", "--as", "grace"]),
        delivery.granted(&["explain", &run, "-s", "webshop", "--as", "grace"]),
    ] {
        assert!(text.contains(&format!("`tidegate approve {run} --system webshop`")), "{text}");
    }
    let alone = delivery.granted(&["status", "--as", "ada"]);
    assert!(alone.contains(&format!("`tidegate approve {run}`")), "Ada knows of one system: {alone}");
    let typed: Vec<&str> = command.split_whitespace().skip(1).collect();
    delivery.granted_as("grace", &typed);
}

#[test]
fn a_release_is_asked_in_the_name_of_whoever_asks_by_the_roles_of_now() {
    let delivery = two_systems();
    let ask = ["release", "fair", "--systems", "billing,webshop", "--from", "dev", "--to", "qa"];
    let refused = delivery.command_as("mallory", &ask);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(3) && why.contains("mallory may not"), "{why}");

    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let run = delivery.asking("deliver", "dev").id.to_string();
    delivery.granted(&["approve", &run, "--system", "webshop", "--as", "grace"]);
    delivery.done("deliver", "dev");
    delivery.granted(&["run", "start", "check", "--stage", "dev", "--system", "billing", "--as", "grace"]);
    delivery.wait_in("billing", "a verified set", |state| state.verified.values().next().map(drop));
    // What the settings say by now, which no command has brought into force yet.
    let settings = std::fs::read_to_string(delivery.config()).unwrap();
    let less = settings
        .replace("role = \"admin\"\nto = [\"grace\"]", "role = \"admin\"\nto = [\"grace\"]\nsystems = [\"billing\"]");
    assert_ne!(less, settings);
    std::fs::write(delivery.config(), less).unwrap();
    let refused = delivery.command_as("grace", &ask);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(why.contains("webshop does not grant it, so that nothing was asked"), "{why}");
    let history = json(&delivery.granted(&["-o", "json", "history", "--system", "billing", "--as", "grace"]));
    assert!(!history.to_string().contains("\"promote\""), "{history}");
}

#[test]
fn what_a_pusher_writes_cannot_rewrite_what_an_approver_reads() {
    let mut delivery = Delivery::careful();
    delivery.serve();
    let (tree, parent) = (delivery.software.git(&["rev-parse", "dev^{tree}"]), delivery.software.head("dev").unwrap());
    let commit = format!(
        "alias.eve=!GIT_AUTHOR_NAME=\"$(printf 'Eve\\033[31m')\" git commit-tree {tree} -p {parent} \
         -m \"$(printf 'sub\\033[2Jject \\342\\200\\256eslaf')\""
    );
    let commit = delivery.software.git(&["-c", &commit, "eve"]);
    delivery.software.set_branch("dev", &commit);
    let package = delivery.ended_on("package", &commit).id.to_string();
    for arguments in [vec!["run", "show", &package], vec!["runs"], vec!["history"], vec!["status"]] {
        let shown = delivery.granted(&arguments);
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{arguments:?}: {shown}");
    }
    let shown = delivery.granted(&["run", "show", &package]);
    assert!(shown.contains("sub\u{fffd}[2Jject \u{fffd}eslaf") && shown.contains("Eve\u{fffd}[31m"), "{shown}");
}
