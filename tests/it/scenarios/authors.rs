//! Who wrote a change, from the push to the question.

use super::{NEW_VERSION, delivery::Delivery};

#[test]
fn whoever_writes_our_trailers_is_still_an_author_and_cannot_approve() {
    let mut delivery = Delivery::careful();
    delivery.serve();
    let message = "Sell more\n\nTidegate-System: webshop\nTidegate-Key: webshop/package-1/pin\n\
                   Co-authored-by: Grace <GRACE@webshop.example>";
    delivery.software.commit("dev", message, &[NEW_VERSION]);
    let asked = delivery.asking("deliver", "dev");
    let why = delivery.refused(&["approve", asked.id.as_str(), "--as", "grace"], 3);
    assert!(why.contains("it holds a change that they wrote themselves"), "{why}");
    let shown = delivery.granted(&["run", "show", asked.id.as_str()]);
    assert!(shown.contains("Ada <ada@example.org>") && shown.contains("Grace <GRACE@webshop.example>"), "{shown}");
    let message = delivery.image.git(&["log", "-1", "--format=%B", "dev"]);
    let lines: Vec<&str> = message.lines().collect();
    assert!(lines.iter().any(|line| line.starts_with("Tidegate-Key: webshop/package-1.")), "it was made: {message}");
    assert!(lines.last().is_some_and(|line| line.starts_with("Tidegate-Proof: ")), "{message}");
}

const LINUS: &str = "
[people.linus]
groups = [\"qa\"]
emails = [\"linus@example.org\"]
";

#[test]
fn a_merge_back_by_hand_is_approved_by_who_did_not_write_it_and_by_nobody_who_did() {
    let mut delivery = Delivery::careful();
    delivery.add_settings(LINUS);
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    for stage in ["dev", "qa"] {
        let asked = delivery.asking("deliver", stage).id.to_string();
        delivery.granted(&["approve", &asked, "--as", "grace"]);
        delivery.done("deliver", stage);
        if stage == "dev" {
            delivery.granted(&["promote", "dev", "qa", "--as", "grace"]);
        }
    }
    for _ in 0..10 {
        delivery.granted(&["run", "start", "package", "--stage", "dev", "--as", "grace"]);
        delivery.done("package", "dev");
    }
    // Linus mends qa, and Ada merges that back, with the merge that Tidegate made there.
    let software = &delivery.software;
    let (dev, qa) = (software.head("dev").unwrap(), software.head("qa").unwrap());
    let tree = software.tree(Some(&qa), &[("100644", "VERSION", "webshop 2.1\n")]);
    let commit = |who: &str, parents: &str, message: &str| {
        let who = format!("{who} <{}@example.org> 1767300000 +0000", who.to_lowercase());
        software.write_commit(&format!("tree {tree}\n{parents}author {who}\ncommitter {who}\n\n{message}\n"))
    };
    let mended = commit("Linus", &format!("parent {qa}\n"), "Mend it");
    let merged = commit("Ada", &format!("parent {dev}\nparent {mended}\n"), "Merge qa back");
    software.set_branch("dev", &merged);
    let asked = delivery.asking("deliver", "dev").id.to_string();
    let shown = delivery.granted(&["run", "show", &asked]);
    assert!(shown.contains("  by       Ada <ada@example.org>, Linus <linus@example.org>"), "{shown}");
    let why = delivery.refused(&["approve", &asked, "--as", "linus"], 3);
    assert!(why.contains("it holds a change that they wrote themselves"), "{why}");
    delivery.granted(&["approve", &asked, "--as", "grace"]);
    delivery.done("deliver", "dev");
    assert_eq!(delivery.health("dev").as_deref(), Some("webshop 2.1"));
}
