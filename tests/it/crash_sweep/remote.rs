//! The sweep over a remote that answers late, not at all, and with what was true a minute ago: whatever it does, and however often
//! the process is killed meanwhile, what is left is the same.

use std::collections::BTreeSet;

use super::{
    debugger::{self, History, Verdict},
    same_as_undisturbed,
};
use crate::support::http_git::{HttpGit, Trouble};

/// A history whose repositories are behind a server with this trouble at every push. It is killed the first time that it comes to
/// each of the points that begin with `moment`, and right at its beginning, so that its rules lead to the server.
fn behind(trouble: Trouble, moment: Option<&str>) -> (History, HttpGit) {
    let folder = tempfile::tempdir().unwrap().keep();
    let directory = folder.join("demo");
    let server = HttpGit::start(&directory.join("repositories"), None);
    server.set_trouble(trouble);
    let (mut met, mut leads_there) = (BTreeSet::new(), false);
    let history = debugger::run(&directory, |point| {
        if !leads_there {
            leads_there = true;
            let rules = directory.join("promotion-rules/webshop.yaml");
            let text = std::fs::read_to_string(&rules).unwrap();
            let led = text.replace("../repositories/", &server.url("", ""));
            assert_ne!(led, text);
            std::fs::write(&rules, led).unwrap();
            return Verdict::Kill;
        }
        let new = met.insert(point.clone());
        if moment.is_some_and(|moment| new && point.starts_with(moment)) { Verdict::Kill } else { Verdict::Go }
    });
    assert!(server.count("POST /image.git/git-receive-pack") >= 3, "{:?}", server.requests());
    same_as_undisturbed(&history);
    std::fs::remove_dir_all(folder).unwrap();
    (history, server)
}

#[test]
fn what_is_read_late_after_every_push_changes_nothing() {
    drop(behind(Trouble::Late { reads: 5, answered: true }, None));
}

#[test]
fn pushes_that_are_never_answered_and_read_late_are_made_once() {
    drop(behind(Trouble::Late { reads: 5, answered: false }, None));
}

#[test]
fn killed_after_every_effect_beside_a_late_remote_nothing_is_done_twice() {
    let (history, _) = behind(Trouble::Late { reads: 5, answered: false }, Some("after "));
    println!("killed {} times beside a remote that answers late", history.kills);
    assert!(history.kills >= 20, "only {} effects were met", history.kills);
}
