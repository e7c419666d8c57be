//! Who does what in which stage, and where objects and logs are: as the settings say.

use std::{fs, os::unix::fs::PermissionsExt as _};

use tidegate::house::settings::Settings;

use super::{NEW_VERSION, delivery::Delivery};

#[test]
fn what_is_chosen_for_a_stage_holds_there_and_is_checked_before_a_run_needs_it() {
    let delivery = Delivery::by_hand();
    delivery.add_settings("[providers]\nimage = \"local\"\n[stages.main]\nimage = \"none\"\n");
    let checked = delivery.command(&["check"]);
    let said = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(4), "{said}");
    assert!(said.contains("nothing here builds images in main: tidegate.toml says `image = \"none\"`"), "{said}");
    assert!(
        said.contains("webshop.yaml:") && said.contains("name a provider: `image = \"local\"` in `[stages.main]`"),
        "{said}"
    );
}

#[test]
fn what_is_named_for_nothing_is_said_by_check_doctor_and_serve() {
    let mut delivery = Delivery::by_hand();
    delivery.add_settings("[providers]\njob = \"local\"\n[stages.man]\nstack = \"local\"\n");
    let said = delivery.granted(&["check"]);
    assert!(said.contains("`[providers]` names a `job`, and no step of any rule needs what runs jobs"), "{said}");
    assert!(said.contains("no rules have a stage `man`") && said.contains("did you mean `main`?"), "{said}");
    let found = String::from_utf8(delivery.command(&["doctor", "--all"]).stdout).unwrap();
    assert!(found.contains("main: stack = local, job = local, image = local"), "{found}");
    assert!(found.contains("no rules have a stage `man`"), "{found}");
    delivery.serve();
    delivery.wait("rules to be in force", |state| state.rules.as_ref().map(drop));
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("package", "dev");
    assert!(delivery.server_log().contains("no rules have a stage `man`"), "{}", delivery.server_log());
}

#[test]
fn a_mistake_in_the_settings_is_shown_in_its_place_with_what_was_meant() {
    for (text, wrong, meant, place) in [
        ("[providers]\nstak = \"local\"\n", "unknown field `stak`", "did you mean `stack`?", "1"),
        ("[providers]\nstack = \"lokal\"\n", "unknown variant `lokal`", "did you mean `local`?", "9"),
        ("[stages.main]\nimge = \"local\"\n", "unknown field `imge`", "did you mean `image`?", "1"),
        ("[providers]\nobjects = \"s4://bucket\"\n", "`s4://bucket` is no object store", "write `file:PATH`", "11"),
    ] {
        let delivery = Delivery::by_hand();
        let before = fs::read_to_string(delivery.config()).unwrap();
        let line = before.matches('\n').count() + 3;
        delivery.add_settings(text);
        let said = delivery.refused(&["status"], 1);
        assert!(said.contains(wrong) && said.contains(meant), "{said}");
        assert!(said.contains(&format!("tidegate.toml:{line}:{place}")), "{line}:{place}: {said}");
    }
}

#[test]
fn objects_and_logs_are_where_the_settings_say_and_logs_need_no_file_of_this_machine() {
    let mut delivery = Delivery::by_hand();
    delivery.add_settings("[providers]\nobjects = \"file:elsewhere\"\n");
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let run = delivery.done("package", "dev");
    assert!(run.steps[0].outputs["uri"].as_str().unwrap().contains("/elsewhere/packages/webshop/"));
    delivery.done("deliver", "dev");
    let names = |folder: &str| fs::read_dir(delivery.root().join(folder)).into_iter().flatten().count();
    assert_eq!((names("elsewhere/logs/webshop") > 2, names("data/objects")), (true, 0));
    let mode = fs::metadata(delivery.root().join("elsewhere")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "what is kept is not for others");
    let hidden = Settings::read(&delivery.config()).unwrap().sandbox().unwrap().hidden;
    assert!(hidden.iter().any(|path| path.ends_with("elsewhere")), "nor for commands: {hidden:?}");
    let printed = delivery.granted(&["logs", "package-1"]);
    assert!(
        printed.contains("==> package <==") && printed.contains("packed ") && printed.contains("==> pin <=="),
        "{printed}"
    );
    // As on a machine where none of it ran.
    drop(fs::remove_dir_all(delivery.root().join("data/logs")));
    assert_eq!(delivery.granted(&["logs", "package-1"]), printed);
    assert!(!delivery.granted(&["logs", "package-1", "pin"]).contains("==> package <=="));
    // What lies here and is not stored yet is told after it.
    let folder = delivery.root().join("data/logs/webshop").join(run.unique_name());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("pin.log"), "not stored yet\n").unwrap();
    assert!(delivery.granted(&["logs", "package-1", "pin"]).ends_with("done\nnot stored yet\n"));
}

#[test]
fn objects_that_commands_could_write_to_are_refused() {
    for folder in ["scratch/objects", "scratch", "."] {
        let delivery = Delivery::by_hand();
        delivery.add_settings(&format!("[providers]\nobjects = \"file:{folder}\"\n"));
        let said = delivery.refused(&["status"], 1);
        assert!(said.contains("`scratch` and `objects`") && said.contains("share a folder"), "{folder}: {said}");
    }
}
