//! The API as its own description says it, tried by a program that nobody here wrote: every answer is one that the description
//! knows, and none is the server's fault, for whoever asks.

use std::process::Command;

use super::{caller, token};
use crate::{
    scenarios::{NEW_VERSION, delivery::Delivery},
    support::{repo::TestRepo, tool},
};

/// A third system.
const SHOP: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, qa: { environment: QA } }
repositories: { till: { url: ../repositories/till.git, poll: 1s } }
targets: { shop: {} }
rules:
  check: { on: { push: till }, target: shop, steps: [{ verify: { command: ['true'] } }] }
promotions:
  - { from: dev, to: qa, start: manual }
";

/// What names what is there. Texts have rules that no schema can say (a moment, the `next` of a page), so that 400 and 422 are
/// answers to what fits a schema, too.
const SETTINGS: &str = r#"
[parameters]
"path.system" = "webshop"
"path.run" = "deliver-1"
"path.stage" = "dev"
"path.target" = "webshop"

[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 400, 401, 403, 404, 409, 412, 413, 416, 422, 429]
"#;

#[test]
fn every_answer_is_one_that_the_description_knows() {
    let Some(program) = tool("schemathesis-4.32.5/bin/st") else { return };
    let mut delivery = Delivery::careful();
    let till = TestRepo::with(delivery.root().join("repositories/till.git"), "dev", &[("rate", "1")]);
    till.set_branch("qa", &till.head("dev").unwrap());
    std::fs::write(delivery.root().join("promotion-rules/shop.yaml"), SHOP).unwrap();
    let settings = std::fs::read_to_string(delivery.config()).unwrap();
    let settings = settings.replace("webshop.yaml\"", "webshop.yaml\", \"promotion-rules/shop.yaml\"");
    // All are asked as fast as they answer.
    std::fs::write(delivery.config(), format!("{settings}\n[server]\ncalls_per_second = 100000\n")).unwrap();
    delivery.serve_with_billing("");
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.asking("deliver", "dev");
    let nobody = caller(&delivery);
    let url = format!("http://{}", nobody.host);
    let (admin, viewer) = (token(&delivery, "admin", "admin", &[]), token(&delivery, "looks", "viewer", &["billing"]));
    std::fs::write(delivery.root().join("schemathesis.toml"), SETTINGS).unwrap();
    // All at once: they wait for one another's answers most of the time.
    let runs = [("admin", Some(admin)), ("viewer", Some(viewer)), ("nobody", None)].map(|(who, token)| {
        let mut run = Command::new(&program);
        // A stream has no end; its own tests read it.
        run.args(["run", &format!("{url}/api"), "--checks", "all", "--continue-on-failure", "--no-color"])
            .args(["--exclude-operation-id", "changes"])
            // Only what a secret signed is taken there, and nothing is where there is none: its own tests sign.
            .args(["--exclude-operation-id", "github_webhook"])
            .args([
                "--max-examples",
                EXAMPLES,
                "--request-timeout",
                "30",
                "--seed",
                "1",
                "--generation-database",
                "none",
            ])
            .current_dir(delivery.root());
        if let Some(token) = token {
            run.args(["-H", &format!("Authorization: Bearer {token}")]);
        }
        (who, std::thread::spawn(move || run.output().unwrap()))
    });
    for (who, run) in runs {
        let output = run.join().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "as {who}: {said}{}", String::from_utf8_lossy(&output.stderr));
    }
    let log = delivery.server_log();
    assert!(!log.contains("panicked") && !log.contains("broke off"), "{log}");
    delivery.granted(&["verify-log"]);
}

/// How many examples are made for each operation, besides those at the bounds of what the description says.
const EXAMPLES: &str = "5";
