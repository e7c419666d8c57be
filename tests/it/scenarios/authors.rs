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
    assert!(lines.iter().any(|line| line.starts_with("Tidegate-Key: webshop/package-1/")), "it was made: {message}");
    assert!(lines.last().is_some_and(|line| line.starts_with("Tidegate-Proof: ")), "{message}");
}
