//! Two ways of which each sees a part of `shared`, combined with a short one that sees all of it.

use super::{awaits, flows, flows_unchanged, live, shortcut_rules};
use crate::support::{World, repository, stage};

/// What the rules of two ways see of `shared` differs, and the deliveries combine both ways with the short one.
fn shortcut_of_parts() -> World {
    let mut text = shortcut_rules().replace("queue: reject", "queue: fifo");
    for (rule, path) in [("release-app", "app/"), ("release-tools", "tools/")] {
        let on = |paths: &str| format!("{rule}:\n    on: {{ push: shared{paths} }}");
        text = text.replace(&on(""), &on(&format!(", paths: [{path}]")));
    }
    World::new(&text)
}

/// The release of the app of the first push ends when there is a second one, which the tools see, and the app does not.
#[test]
fn what_is_made_of_a_commit_is_not_of_what_others_see_of_a_newer_one() {
    let mut world = shortcut_of_parts();
    world.push_of("shared", "dev", &["app/x", "tools/x"], false);
    for rule in ["release-tools", "package-tools", "configure"] {
        flows(&mut world, rule);
    }
    world.push_of("shared", "dev", &["tools/x"], false);
    let pushed = world.system.head(&repository("shared"), &stage("dev")).unwrap().commit.clone();
    for rule in ["release-app", "package-app", "bake", "configure"] {
        let run = world.live().into_iter().rfind(|run| run.starts_with(rule)).unwrap();
        let first = if rule == "bake" { "bake" } else { "package" };
        world.done(&run, first);
        world.done(&run, "commit");
    }
    let deliver = world.live().into_iter().rfind(|run| run.starts_with("deliver")).unwrap();
    assert_eq!(awaits(&world, &deliver), [format!("bake of shared {pushed}")], "the image has the tools of before");
}

/// While the image is baked of what was there before Tidegate came, its tools turn out to be of a newer commit as well.
#[test]
fn what_was_made_of_pins_of_before_is_of_no_newer_commit_before_all_of_them_are() {
    let mut world = shortcut_of_parts();
    world.push("image", "dev");
    let bake = live(&world, "bake");
    world.push_of("shared", "dev", &["app/x", "tools/x"], false);
    let pushed = world.system.head(&repository("shared"), &stage("dev")).unwrap().commit.clone();
    flows(&mut world, "release-tools");
    flows_unchanged(&mut world, "package-tools", "image");
    world.done(&bake, "bake");
    world.done(&bake, "commit");
    flows(&mut world, "configure");
    let deliver = world.live().into_iter().rfind(|run| run.starts_with("deliver")).unwrap();
    assert_eq!(awaits(&world, &deliver), [format!("bake of shared {pushed}")], "the image has the app of before");
}
