//! Who types a command, as the operating system tells, and in whose name it is asked.

use std::process::Command;

use super::{NEW_VERSION, delivery::Delivery};
use crate::support::{people::os_user, repo::HERMETIC};

/// Everybody may do everything, and nobody may ask in another's name.
const NO_IMPERSONATOR: &str = "
[[grants]]
role = \"admin\"
to = [\"ada\", \"grace\", \"tester\"]
";

/// Changes the settings.
fn replace(delivery: &Delivery, from: &str, to: &str) {
    let settings = std::fs::read_to_string(delivery.config()).unwrap();
    assert!(settings.contains(from), "{settings}");
    std::fs::write(delivery.config(), settings.replace(from, to)).unwrap();
}

#[test]
fn what_is_asked_in_anothers_name_takes_the_permission_and_is_said() {
    let mut delivery = Delivery::careful();
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let run = delivery.asking("deliver", "dev").id.to_string();
    replace(&delivery, "role = \"impersonator\"", "role = \"viewer\"");
    let why = delivery.refused(&["approve", &run, "--as", "grace"], 3);
    assert!(why.contains("tester may not approve") && why.contains("in the name of grace"), "{why}");
    assert!(why.contains("the permission `impersonate`, which these have: nobody"), "{why}");
    // No variable says who somebody is.
    let spoofed = delivery.tidegate(&["approve", &run]).env("USER", "grace").env("LOGNAME", "grace").output().unwrap();
    let why = String::from_utf8_lossy(&spoofed.stderr).into_owned();
    assert!(why.contains("tester may not approve") && why.contains("it asks qa"), "{why}");
    let why = String::from_utf8_lossy(&delivery.command_as("grace", &["approve", &run]).stderr).into_owned();
    assert!(why.contains("in the name of grace"), "{why}");
    let why = delivery.refused(&["status", "--as", "grace"], 3);
    assert!(why.contains("tester may not look in the name of grace"), "{why}");

    replace(&delivery, "role = \"viewer\"", "role = \"impersonator\"");
    let said = delivery.granted(&["approve", &run, "--as", "grace"]);
    assert!(said.contains(&format!("grace, asked by tester approved {run}")), "{said}");
    delivery.done("deliver", "dev");
    let history = delivery.granted(&["history", "--limit", "500"]);
    assert!(history.contains(&format!("grace, asked by tester, approved {run}")), "{history}");
    let shown = delivery.granted(&["run", "show", &run]);
    assert!(shown.contains("grace, asked by tester approved sha256:"), "{shown}");
}

#[test]
fn a_user_who_is_none_of_the_people_asks_for_nothing() {
    let mut delivery = Delivery::careful();
    delivery.add_settings(NO_IMPERSONATOR);
    delivery.serve();
    replace(&delivery, &format!("os = [\"{}\"]", os_user()), "os = [\"somebody-else\"]");
    for arguments in [vec!["pause", "--reason", "no"], vec!["pause", "--reason", "no", "--as", "grace"], vec!["status"]]
    {
        let why = delivery.refused(&arguments, 3);
        let expected = format!("add `os = [\"{}\"]` to one of: ada, grace, tester", os_user());
        assert!(why.contains(&expected), "{arguments:?}: {why}");
    }
}

#[test]
fn a_stranger_s_change_is_said_and_takes_somebody_who_may_override() {
    let mut delivery = Delivery::careful();
    delivery.add_settings(&format!(
        "{}[[grants]]\nrole = \"approver\"\nto = [\"ada\", \"grace\"]\n\n[people.mary]\ngroups = [\"qa\"]\n",
        NO_IMPERSONATOR.replace("\"ada\", \"grace\", \"tester\"", "\"mary\"")
    ));
    delivery.serve();
    let (software, head) = (&delivery.software, delivery.software.head("dev").unwrap());
    let tree = software.tree(Some(&head), &[("100644", NEW_VERSION.0, NEW_VERSION.1)]);
    let tidegate = "Tidegate <tidegate@webshop.example> 1767300000 +0000";
    let message = "Sell more\n\nCo-authored-by: Bob <bob@x.example>\n\nAt last.";
    let commit = format!("tree {tree}\nparent {head}\nauthor {tidegate}\ncommitter {tidegate}\n\n{message}\n");
    software.set_branch("dev", &software.write_commit(&commit));
    let run = delivery.asking("deliver", "dev").id.to_string();
    let both = "Bob <bob@x.example> and Tidegate <tidegate@webshop.example>, who are none of the people";
    let why = delivery.refused(&["approve", &run, "--as", "grace"], 3);
    assert!(why.contains(both) && why.contains("`override`"), "{why}");
    let shown = delivery.granted(&["run", "show", &run]);
    assert!(shown.contains("Bob <bob@x.example> (none of the people)") && shown.contains(both), "{shown}");
    let status = delivery.status();
    assert!(status.contains(both) && status.contains("ended by mary"), "{status}");
    let log = std::fs::read_to_string(delivery.root().join("serve.log")).unwrap();
    assert!(log.contains("a commit is in our name and cannot prove that it is ours"), "{log}");
    delivery.granted(&["approve", &run, "--as", "mary"]);
    delivery.done("deliver", "dev");
}

#[test]
fn status_says_that_everything_is_one_persons_where_nobody_is_listed() {
    let mut delivery = Delivery::careful();
    let settings = std::fs::read_to_string(delivery.config()).unwrap();
    std::fs::write(delivery.config(), settings.split("# Ada writes").next().unwrap()).unwrap();
    delivery.serve();
    let status = delivery.granted(&["status", "--as", "anybody"]);
    assert!(status.contains("tidegate.toml lists no people: everything here is one person's"), "{status}");
    delivery.granted(&["pause", "--reason", "lunch", "--as", "anybody"]);
    assert!(delivery.status().contains("anybody: lunch"));
}

#[test]
fn init_writes_a_person_and_a_grant_for_whoever_types_it() {
    let delivery = Delivery::by_hand();
    let folder = delivery.root().join("new");
    let mut init = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    init.args(["init", folder.to_str().unwrap()]).envs(HERMETIC);
    init.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "user.email").env("GIT_CONFIG_VALUE_0", "me@x.example");
    for (name, url) in [
        ("--software", delivery.software.url()),
        ("--image", delivery.image.url()),
        ("--infrastructure", delivery.infrastructure.url()),
    ] {
        init.args([name, &url]);
    }
    let done = init.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = std::fs::read_to_string(folder.join("tidegate.toml")).unwrap();
    let settings: toml::Table = text.parse().unwrap();
    let (user, person) = (os_user(), settings["people"].as_table().unwrap().iter().next().unwrap());
    assert_eq!((person.0, &person.1["os"]), (&user, &toml::Value::from(vec![user.clone()])));
    assert_eq!(person.1["emails"], toml::Value::from(vec!["me@x.example"]));
    let grants = settings["grants"].as_array().unwrap();
    assert_eq!((grants.len(), grants[0]["role"].as_str()), (1, Some("admin")));
    assert_eq!(grants[0]["to"], toml::Value::from(vec![user]));
    let config = folder.join("tidegate.toml");
    let check =
        Command::new(env!("CARGO_BIN_EXE_tidegate")).arg("--config").arg(&config).arg("check").output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}
