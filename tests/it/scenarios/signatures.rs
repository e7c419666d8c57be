//! Signatures through the real program: ours where branches demand them, and others' where the rules do.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use tidegate::engine::RunState;

use super::{NEW_VERSION, delivery::Delivery};
use crate::git_signing::{
    authority::Authority,
    gnupg::{Gnupg, gnupg_is_here},
    keys::ssh_key,
};
use crate::support::repo::{TestRepo, hermetic_git};

/// Makes a key, lists it in `allowed_signers`, and names both.
fn keys(delivery: &Delivery, name: &str) -> (PathBuf, PathBuf) {
    let key = ssh_key(delivery.root(), name, "");
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let allowed = delivery.root().join("allowed_signers");
    std::fs::write(&allowed, format!("* {public}")).unwrap();
    (key, allowed)
}

/// Signs what a branch's head says anew with a key of ssh, and puts that in its place.
fn sign_head(remote: &TestRepo, branch: &str, key: &std::path::Path) -> String {
    sign_head_with(remote, branch, &[("gpg.format", "ssh"), ("user.signingKey", key.to_str().unwrap())], None)
}

/// Signs what a branch's head says anew, as these settings of git say, and puts that in its place.
fn sign_head_with(remote: &TestRepo, branch: &str, settings: &[(&str, &str)], gnupg: Option<&Gnupg>) -> String {
    let [tree, parent, subject] = ["%T", "%P", "%s"]
        .map(|what| remote.git(&["log", "-1", &format!("--format={what}"), branch]).trim().to_owned());
    let mut git = hermetic_git(&remote.directory);
    git.envs(gnupg.map(|gnupg| ("GNUPGHOME", gnupg.home())));
    git.args(settings.iter().flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]));
    git.args(["commit-tree", "-S"]);
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "Ada").env(format!("GIT_{who}_EMAIL"), "ada@example.org");
    }
    for parent in parent.split(' ').filter(|parent| !parent.is_empty()) {
        git.args(["-p", parent]);
    }
    let made = git.args(["-m", &subject, &tree]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let commit = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    remote.set_branch(branch, &commit);
    commit
}

#[test]
fn a_branch_that_demands_signatures_takes_our_signed_commits() {
    let mut delivery = Delivery::by_hand();
    let (key, allowed) = keys(&delivery, "bot");
    let settings = std::fs::read_to_string(delivery.config()).unwrap();
    let signing = format!(
        "[identity]\nsigning = {{ format = \"ssh\", key = \"{}\" }}",
        key.file_name().unwrap().to_str().unwrap()
    );
    std::fs::write(delivery.config(), settings.replace("[identity]", &signing)).unwrap();
    // What demands signatures looks at each pushed commit.
    let demand = format!(
        "while read -r old new ref; do git -c gpg.ssh.allowedSignersFile={} verify-commit \"$new\" || exit 1; done",
        allowed.display()
    );
    delivery.image.hook("pre-receive", &format!("#!/bin/sh\n{demand}\n"));
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("package", "dev");
    let text = delivery.granted(&["doctor"]);
    assert!(text.contains("✓ signing        commits can be signed with the key "), "{text}");
    delivery.kill();
    std::fs::remove_file(&key).unwrap();
    let output = delivery.command(&["doctor"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(1) && text.contains("✗ signing        a commit cannot be signed"), "{text}");
    delivery.start(&[]);
    let begun = Instant::now();
    while !delivery.server_log().contains("commits will fail until they can be signed: ") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", delivery.server_log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_is_not_signed_is_not_carried_where_the_rules_require_it() {
    let mut delivery = Delivery::with_rules(|rules| {
        rules
            .replace("software.git, poll: 1s", "software.git, poll: 1s, require_signatures: [dev, qa]")
            .replace("to: qa,", "to: qa, start: manual,")
            .replace("to: main,", "to: main, start: manual,")
    });
    let (key, _) = keys(&delivery, "ada");
    delivery.add_settings("[signers]\nssh = \"allowed_signers\"\n");
    let begin = sign_head(&delivery.software, "dev", &key);
    for stage in ["qa", "main"] {
        delivery.software.set_branch(stage, &begin);
    }
    delivery.serve();
    let unread = |stage: &str| {
        delivery.wait(&format!("{stage} to be refused"), |state| {
            let watched = state.repositories.values().flat_map(|watched| &watched.unread);
            watched.into_iter().find(|(at, _)| at.as_str() == stage).map(|(_, unread)| unread.clone())
        })
    };
    let pushed = delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let why = unread("dev").error;
    let expected = format!(
        "commit {} on dev of software by Ada <ada@example.org> (\"Sell more\") is not carried: it has no signature",
        &pushed[..12]
    );
    assert!(why.contains(&expected), "{why}");
    let status = delivery.status();
    assert!(status.contains("is not carried: it has no signature"), "{status}");
    assert!(delivery.wait("no run", |state| Some(state.runs.is_empty())), "nothing began");
    let signed = sign_head(&delivery.software, "dev", &key);
    delivery.ended_on("package", &signed);
    let deliver = delivery.done("deliver", "dev");
    assert_eq!(deliver.state, RunState::Done);

    // What would be refused is foreseen to be.
    delivery.software.set_branch("trial", &signed);
    let trial = delivery.software.commit("trial", "Try", &[("TRIAL", "1")]);
    let from = delivery.software.url();
    let foreseen = delivery.granted(&["simulate", "push", "software", "dev", "--from", &from, "--commit", &trial]);
    assert!(foreseen.contains("is not taken: commit ") && foreseen.contains("it has no signature"), "{foreseen}");

    // A promotion goes onto nothing that is not signed either.
    let unsigned = delivery.software.commit("qa", "Sneak in", &[("SNEAK", "1")]);
    unread("qa");
    delivery.granted(&["promote", "dev", "qa"]);
    let failed = delivery.wait("the promotion to end", |state| {
        let mut runs = state.all_runs().rev().filter(|run| run.id.as_str().starts_with("promote-"));
        runs.find(|run| run.state.is_ended()).cloned()
    });
    let reason = failed.reason.unwrap_or_default();
    assert!(failed.state == RunState::Failed && reason.contains("(\"Sneak in\") is not carried"), "{reason}");
    assert_eq!(delivery.software.head("qa"), Some(unsigned), "nothing was merged onto it");
}

/// Lists a key as Grace's.
fn graces_key(delivery: &Delivery, fingerprint: &str) {
    let settings = std::fs::read_to_string(delivery.config()).unwrap();
    let graces = format!("[people.grace]\nkeys = [\"{fingerprint}\"]\n");
    std::fs::write(delivery.config(), settings.replace("[people.grace]\n", &graces)).unwrap();
}

/// Lists whose signatures count; Grace and Linus may approve.
fn may_approve(delivery: &Delivery, signers: &str) {
    delivery.add_settings(&format!(
        "[signers]\n{signers}\n\n[people.linus]\ngroups = [\"qa\"]\n\n\
         [[grants]]\nrole = \"approver\"\nto = [\"grace\", \"linus\"]\n\n\
         [[grants]]\nrole = \"admin\"\nto = [\"ada\"]\n\n[[grants]]\nrole = \"impersonator\"\nto = [\"tester\"]\n",
    ));
}

/// Grace signs a change and writes Ada's name: both are its authors. Returns the run that asks.
fn grace_may_not(delivery: &Delivery, sign: impl Fn(&str) -> String) -> String {
    delivery.software.set_branch("work", &delivery.software.head("dev").unwrap());
    delivery.software.commit("work", "Sell more", &[NEW_VERSION]);
    delivery.software.set_branch("dev", &sign("work"));
    let run = delivery.asking("deliver", "dev").id.to_string();
    let why = delivery.refused(&["approve", &run, "--as", "grace"], 3);
    assert!(why.contains("it holds a change that they wrote themselves"), "{why}");
    run
}

/// The delivery after that one, once it is known who wrote what it asks about.
fn asking_after(delivery: &Delivery, run: &str) -> String {
    delivery.wait("the next question", |state| {
        let later = state.all_runs().rev().filter(|run| run.subject.name() == "deliver");
        let mut asking = later.filter(|run| run.asking().is_some_and(|step| step.written().is_some()));
        asking.find(|other| other.id.as_str() != run).map(|run| run.id.to_string())
    })
}

/// A delivery of what Grace has signed, and another after her key was revoked, which then says nothing of who wrote it.
fn a_revoked_key_says_nothing(
    (format, key): (&str, &str),
    signers: &str,
    (gnupg, environment): (&Gnupg, &str),
    revoke: impl FnOnce(),
) {
    let mut delivery = Delivery::careful();
    let url = "software.git, poll: 1s";
    delivery.write_rules(&delivery.rules().replace(url, &format!("{url}, identity: signature")));
    graces_key(&delivery, key);
    may_approve(&delivery, signers);
    delivery.add_settings(environment);
    delivery.serve();
    let how = [("gpg.format", format), ("user.signingKey", key)];
    let sign = |branch: &str| sign_head_with(&delivery.software, branch, &how, Some(gnupg));
    let run = grace_may_not(&delivery, sign);
    let shown = delivery.granted(&["run", "show", &run]);
    assert!(shown.contains("known    by the signatures of grace; of the names in the commits: Ada"), "{shown}");
    delivery.software.set_branch("work", &delivery.software.head("dev").unwrap());
    delivery.software.commit("work", "Sell most", &[("VERSION", "webshop 3.0\n")]);
    let signed = sign("work");
    revoke();
    delivery.granted(&["approve", &run, "--as", "linus"]);
    delivery.done("deliver", "dev");
    delivery.software.set_branch("dev", &signed);
    let why = delivery.refused(&["approve", &asking_after(&delivery, &run), "--as", "linus"], 3);
    let said = format!("software: commit {} by Ada <ada@example.org>: it is signed with the key {key}", &signed[..12]);
    assert!(why.contains(&said) && why.contains("which was revoked") && why.contains("`override`"), "{why}");
}

#[test]
fn a_revoked_key_of_openpgp_says_nothing_of_who_wrote_a_change() {
    if !gnupg_is_here("gpg") {
        return;
    }
    let (all, ring) = (Gnupg::empty(), Gnupg::empty());
    let grace = all.generate("Grace <grace@home.example>", "never", "20200101T000000");
    ring.import(&all, &[&grace]);
    let revoke = || drop(ring.run("gpg", &["--batch", "--import"], &all.revocation(&grace)));
    a_revoked_key_says_nothing(("openpgp", &grace), &format!("openpgp = '{}'", ring.home()), (&all, ""), revoke);
}

#[test]
fn a_revoked_certificate_says_nothing_of_who_wrote_a_change() {
    let Some(authority) = Authority::new("Authority") else { return };
    let grace = authority.vouch(("Grace", "grace@home.example"), 7, ("2020-01-01", "2089-01-01"));
    let environment = format!("[git_environment]\nGNUPGHOME = '{}'\n", authority.gnupg.home());
    let signers = format!("x509 = ['{grace}']");
    let by = (&authority.gnupg, environment.as_str());
    a_revoked_key_says_nothing(("x509", &grace), &signers, by, || authority.revoke(&[7]));
}

#[test]
fn where_signatures_are_the_identity_whoever_signed_it_wrote_it() {
    let mut delivery = Delivery::careful();
    let rules = delivery.rules();
    let url = "software.git, poll: 1s";
    assert!(rules.contains(url), "{rules}");
    delivery.write_rules(&rules.replace(url, &format!("{url}, identity: forge")));
    let checked = delivery.command(&["check"]);
    assert_eq!(checked.status.code(), Some(4));
    let mistakes = String::from_utf8(checked.stdout).unwrap();
    assert!(mistakes.contains("this repository is at no forge that [forges] of tidegate.toml names"), "{mistakes}");
    delivery.write_rules(&rules.replace(url, &format!("{url}, identity: signature")));
    let (key, _) = keys(&delivery, "grace");
    let said = std::process::Command::new("ssh-keygen").arg("-lf").arg(key.with_extension("pub")).output().unwrap();
    let fingerprint = String::from_utf8(said.stdout).unwrap().split(' ').nth(1).unwrap().to_owned();
    graces_key(&delivery, &fingerprint);
    let why = delivery.refused(&["status"], 1);
    assert!(why.contains("grace lists keys, and `signers` lists none that would count"), "{why}");
    may_approve(&delivery, "ssh = \"allowed_signers\"");
    delivery.serve();
    let run = grace_may_not(&delivery, |branch| sign_head(&delivery.software, branch, &key));
    let shown = delivery.granted(&["run", "show", &run]);
    let known = "by the signatures of grace; of the names in the commits: Ada <ada@example.org>";
    assert!(shown.contains(&format!("known    {known}")), "{shown}");
    let explained = delivery.granted(&["explain", &run]);
    assert!(explained.contains(&format!("who wrote it is known {known}")), "{explained}");
    delivery.granted(&["approve", &run, "--as", "linus"]);
    delivery.done("deliver", "dev");

    let pushed = delivery.software.commit("dev", "Sell most", &[("VERSION", "webshop 3.0\n")]);
    let unsigned = asking_after(&delivery, &run);
    let why = delivery.refused(&["approve", &unsigned, "--as", "linus"], 3);
    let said = format!(
        "software: commit {} by Ada <ada@example.org>: it has no signature, and `identity: signature` demands one",
        &pushed[..12]
    );
    assert!(why.contains(&said) && why.contains("`override`"), "{why}");
    assert!(delivery.status().contains(&said), "{}", delivery.status());
    let shown = delivery.granted(&["run", "show", &unsigned]);
    assert!(shown.contains("known    by the names in the commits, which anybody can write"), "{shown}");
}
