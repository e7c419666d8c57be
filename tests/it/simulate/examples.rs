//! For every example in `promotion-rules/`: what is predicted is what then happens.

use tidegate::{
    engine::{Command, RunState},
    rules::{Quorum, StageName},
    simulate::{
        Supposed,
        report::{Certainty, Gate, Prediction, Stopped, What},
    },
};

use super::{
    company::{Company, NOON_MS, promotion, push},
    made::{Made, Thing, assert_came_true},
};
use crate::local_support::TIDEGATE;

const WEBSHOP: &str = include_str!("../../../promotion-rules/webshop.yaml");
const GUESTBOOK: &str = include_str!("../../../promotion-rules/static-template.yaml");
const NIGHTLY: &str = include_str!("../../../promotion-rules/nightly.yaml");
const STAGES: &[&str] = &["dev", "qa", "main"];
const HOUR_MS: i64 = 3_600_000;

const COMPONENT: &str = include_str!("../../../src/cli/demo/seed/component.yaml");
/// Makes an image with the file that the service reads, from nothing.
const BASE: &str = r#"schemaVersion: 1.0
phases:
  - name: build
    steps:
      - { name: Make, action: ExecuteBash, inputs: { commands: [mkdir -p srv/webshop, "echo ok > srv/webshop/VERSION"] } }
"#;
const IMAGE: &str = r#"{
  "regions": ["eu-central-1"],
  "components": ["components/webshop.yaml"],
  "software": { "tag": "none yet", "uri": "", "sha256": "", "destination": "/opt/webshop" }
}
"#;
const INFRASTRUCTURE: &str = "{\n  \"availability_zones\": [\"a\", \"b\"],\n  \"ami\": {}\n}\n";
/// In the place of `cdk synth`: writes the pinned image into the template.
const SYNTH: &str = r#"FNR == NR { if (match($0, /ami-[0-9a-f]+/)) ami = substr($0, RSTART, RLENGTH); next }
{ gsub(/@AMI@/, ami); print }
"#;
const GUARD: &str = "rule services_have_properties {\n  Resources.* { Properties exists }\n}\n";

/// A template with one service on this machine.
fn template(ami: &str) -> String {
    format!(
        "Resources:\n  Service:\n    Type: Tidegate::Local::Service\n    \
         Metadata: {{ cfn-lint: {{ config: {{ ignore_checks: [E3006] }} }} }}\n    Properties:\n      \
         ImageId: \"{ami}\"\n      Command: [\"{TIDEGATE}\", demo-service, srv/webshop/VERSION]\n"
    )
}

/// Replaces what must be there.
fn with(rules: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(rules.to_owned(), |rules, (from, to)| {
        assert!(rules.contains(from), "the example has {from}");
        rules.replace(from, to)
    })
}

async fn webshop() -> Company {
    let rules = with(
        WEBSHOP,
        &[
            ("https://github.com/acme/webshop.git", "@software@"),
            ("https://github.com/acme/webshop-image.git", "@image@"),
            ("https://github.com/acme/webshop-infrastructure.git", "@infrastructure@"),
            ("[npx, cdk, synth, --quiet]", "[awk, -f, synth.awk, config.json, template.yaml]"),
            (
                "https://{{stage}}.webshop.example/health\", contains: ok",
                "{{deploy.address}}/health\", contains: webshop",
            ),
        ],
    );
    let template = template("@AMI@");
    Company::new(
        &rules,
        &[
            ("software", STAGES, &[("VERSION", "webshop 1.0\n"), ("docs/notes.md", "not packed\n")]),
            ("image", STAGES, &[("config.json", IMAGE), ("components/webshop.yaml", COMPONENT)]),
            (
                "infrastructure",
                STAGES,
                &[("config.json", INFRASTRUCTURE), ("template.yaml", &template), ("synth.awk", SYNTH)],
            ),
        ],
        &[("ada", "developers"), ("grace", "qa"), ("max", "release-managers"), ("rosa", "release-managers")],
    )
    .await
}

fn gates(prediction: &Prediction) -> Vec<&Gate> {
    let gates = prediction.events.iter().map(|event| match &event.what {
        What::Gate(gate) => Some(gate),
        _ => None,
    });
    gates.flatten().collect()
}

fn reasons(prediction: &Prediction) -> Vec<String> {
    let reason = |what: &What| match what {
        What::End { state, reason, .. } if state == "FAILED" => reason.clone(),
        _ => None,
    };
    prediction.events.iter().filter_map(|event| reason(&event.what)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn webshop_a_push_goes_through_all_stages_as_predicted() {
    let mut company = webshop().await;
    let software = &company.repositories["software"];
    let head = software.head("dev").unwrap();
    let commit = software.commit("dev", "Sell more", &[("VERSION", "webshop 2.0\n")]);
    // The mirror does not know it yet: it is brought from the repository that has it.
    let objects = software.directory.join("objects");
    let by_commit = |question: &mut tidegate::simulate::Question| {
        question.originals.brought = Some(("software".parse().unwrap(), objects.clone()));
    };
    let prediction = company.predict(push("software", "dev", &commit), by_commit).await;
    assert_eq!(prediction.stopped, Stopped::Settled, "{prediction:#?}");
    let run = company.predict(push("software", "dev", &commit), |question| {
        by_commit(question);
        question.run_commands = true;
    });
    let with_commands = run.await;
    assert_ne!(head, commit);
    company.look().await;
    company.settle().await;
    assert_came_true(&prediction, &company.made);
    assert_came_true(&with_commands, &company.made);
    assert_eq!(company.newest("deliver").await.state, RunState::Done);
    let deployed = company.made.things.iter().filter(|(_, thing)| matches!(thing, Thing::Deployment { .. }));
    assert_eq!(deployed.count(), 3, "all stages were reached");

    let asked: Vec<(&str, &[String], Option<i64>)> = gates(&prediction)
        .iter()
        .map(|gate| (gate.step.as_str(), gate.approved_by.as_slice(), gate.passes_ms))
        .collect();
    let two = ["max".to_owned(), "rosa".to_owned()];
    // Monday, 09:00 in Berlin.
    let opening_ms = NOON_MS + (2 * 24 + 19) * HOUR_MS;
    let after = |ms: i64| asked.iter().any(|(_, _, passes_ms)| *passes_ms == Some(ms));
    assert_eq!(asked[0], ("soak", &[][..], Some(prediction.from_ms + 2 * HOUR_MS + 300)), "{asked:?}");
    assert!(asked.iter().any(|(step, by, _)| *step == "approve" && *by == two), "{asked:?}");
    assert!(after(opening_ms), "{asked:?}");
    assert_eq!(prediction.summary.people, ["grace", "max", "rosa"]);
    let synth = |prediction: &Prediction| {
        let is_template = |what: &What| matches!(what, What::Template { .. });
        prediction.events.iter().find(|event| is_template(&event.what)).unwrap().certainty
    };
    assert_eq!((synth(&prediction), synth(&with_commands)), (Certainty::Foreseen, Certainty::Done));
}

#[tokio::test(flavor = "multi_thread")]
async fn webshop_what_blocks_it_is_predicted() {
    let mut company = webshop().await;
    company.repositories["software"].commit("dev", "Sell more", &[("VERSION", "webshop 2.0\n")]);
    company.look().await;
    company.settle().await;

    // One zone: the promotion to main is refused, in all repositories.
    let config = company.repositories["infrastructure"].read("qa", "config.json").replace("[\"a\", \"b\"]", "[\"a\"]");
    company.repositories["infrastructure"].commit("qa", "Save a zone", &[("config.json", &config)]);
    company.look().await;
    company.made = Made::default();
    let prediction = company.predict(Supposed::Until { until_ms: company.now_ms + 96 * HOUR_MS }, |_| {}).await;
    company.wait_until(company.now_ms + 96 * HOUR_MS).await;
    assert_came_true(&prediction, &company.made);
    let reasons = reasons(&prediction);
    assert!(reasons.iter().any(|reason| reason.contains("Production demands at least 2")), "{prediction:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn webshop_gates_that_are_open_at_the_start_are_told() {
    let mut company = webshop().await;
    company.repositories["software"].commit("dev", "Sell more", &[("VERSION", "webshop 2.0\n")]);
    company.look().await;

    // A soak time that has begun.
    company.work_until(company.now_ms + HOUR_MS).await;
    company.made = Made::default();
    let until_ms = company.now_ms + 3 * HOUR_MS;
    let prediction = company.predict(Supposed::Until { until_ms }, |_| {}).await;
    assert_eq!(gates(&prediction)[0].for_what, "the soak time after its verification");

    // An approval that is waited for, before anybody else would be.
    company.work_until(until_ms).await;
    let open = company.predict(Supposed::Until { until_ms: company.now_ms + HOUR_MS }, |_| {}).await;
    assert_eq!(open.summary.people[0], "grace", "{:?}", open.summary);
    assert!(gates(&open)[0].for_what.starts_with("approval by"), "{:?}", gates(&open));
    company.wait_until(until_ms).await;
    assert_came_true(&prediction, &company.made);
}

#[tokio::test(flavor = "multi_thread")]
async fn webshop_a_conflict_and_a_gate_that_nobody_can_pass_are_predicted() {
    let mut company = webshop().await;
    company.repositories["software"].commit("qa", "Hurry", &[("VERSION", "webshop 1.1\n")]);
    company.look().await;
    company.settle().await;
    company.made = Made::default();
    company.repositories["software"].commit("dev", "Sell more", &[("VERSION", "webshop 2.0\n")]);
    let prediction = {
        // Seen, but nothing done yet: what is under way is predicted like what is supposed.
        company.look().await;
        company.predict(Supposed::Until { until_ms: company.now_ms + 3 * HOUR_MS }, |_| {}).await
    };
    // A rules file under which nobody could approve in dev.
    let rules = company.rules(|rules| {
        let rule = rules.rules.values_mut().find(|rule| rule.target.is_some()).unwrap();
        for step in &mut rule.steps {
            if let tidegate::rules::Action::Approve(approve) = &mut step.action {
                let from = vec!["developers".to_owned()];
                let quorum = Quorum { count: 1, from, expires: None, author_may_approve: false };
                approve.stages.insert("dev".parse::<StageName>().unwrap(), quorum);
            }
        }
    });
    let rules = rules.await;
    let until = Supposed::Until { until_ms: company.now_ms + 3 * HOUR_MS };
    let changed = company.predict(until, |question| question.rules = Some(rules)).await;
    company.wait_until(company.now_ms + 3 * HOUR_MS).await;
    assert_came_true(&prediction, &company.made);
    let reasons = reasons(&prediction);
    assert!(reasons.iter().any(|reason| reason.contains("changed the same lines of VERSION")), "{reasons:?}");

    assert!(changed.rules.changed);
    let gate = gates(&changed).into_iter().find(|gate| gate.stuck.is_some()).expect("a gate that nobody can pass");
    assert_eq!(gate.stuck.as_deref(), Some("1 must approve, and nobody could"));
    assert!(gate.may_not_approve["ada"].contains("wrote themselves"), "{gate:?}");
    assert_eq!(changed.summary.deployments, 0);
    assert!(changed.waiting.iter().any(|waiting| waiting.for_what.contains("approval by developers")));
}

#[tokio::test(flavor = "multi_thread")]
async fn guestbook_a_push_goes_through_as_predicted() {
    let wishes =
        "notifications:\n  - { on: [approval_wanted], stages: [main], via: mail, to: [release@example.com] }\n";
    let rules = with(GUESTBOOK, &[("../guestbook", "@guestbook@")]) + wishes;
    let files = [("template.yaml", "Resources: {}\n")];
    let people = [("ada", "developers"), ("grace", "developers")];
    let mut company = Company::new(&rules, &[("guestbook", &["dev", "main"], &files)], &people).await;
    let template = template(&company.image(BASE).await);
    company.repositories["guestbook"].commit("dev", "Open", &[("template.yaml", &template)]);
    company.look().await;
    company.settle().await;
    company.made = Made::default();

    let text = format!("{template}      Environment: {{ NAME: guests }}\n");
    let clone = &company.repositories["guestbook"];
    let before = clone.head("dev").unwrap();
    let commit = clone.commit("dev", "Name it", &[("template.yaml", &text)]);
    clone.set_branch("dev", &before);
    let objects = clone.directory.join("objects");
    let prediction = company.predict(push("guestbook", "dev", &commit), |question| {
        question.originals.brought = Some(("guestbook".parse().unwrap(), objects));
    });
    let prediction = prediction.await;
    company.repositories["guestbook"].set_branch("dev", &commit);
    company.look().await;
    company.settle().await;
    assert_came_true(&prediction, &company.made);
    assert!(prediction.placeholders.keys().all(|name| name.starts_with("http://")), "all else is exact");
    assert_eq!(prediction.summary.deployments, 2);
    assert_eq!(gates(&prediction)[0].could_approve, ["grace"], "anybody, but not the author");

    let told = prediction.events.iter().filter_map(|event| match &event.what {
        What::Notice { of, via, to, .. } => Some((event.certainty, of.as_str(), via.as_str(), to.as_deref().unwrap())),
        _ => None,
    });
    let wanted = (Certainty::Foreseen, "approval_wanted", "mail", "release@example.com");
    assert_eq!(told.collect::<Vec<_>>(), [wanted], "a notice is listed, not sent");

    // Main is frozen: the next change gets there when it is over.
    let until_ms = company.now_ms + 5 * HOUR_MS;
    let freeze = Command::Freeze { stage: Some("main".parse().unwrap()), until_ms, reason: "a fair".to_owned() };
    assert!(company.ask("grace", freeze).await);
    company.made = Made::default();
    let text = text.replace("guests", "friends");
    company.repositories["guestbook"].commit("dev", "Rename it", &[("template.yaml", &text)]);
    company.look().await;
    let prediction = company.predict(Supposed::Until { until_ms: until_ms + HOUR_MS }, |_| {}).await;
    company.wait_until(until_ms + HOUR_MS).await;
    assert_came_true(&prediction, &company.made);
    let deployed = prediction.events.iter().filter(|event| matches!(event.what, What::Deployment { .. }));
    assert_eq!(deployed.map(|event| event.at_ms >= until_ms).collect::<Vec<_>>(), [false, true]);
    let held =
        gates(&prediction).into_iter().find(|gate| gate.for_what.contains("a fair")).expect("the freeze is told");
    assert_eq!(held.passes_ms, Some(until_ms));

    // The way back.
    company.made = Made::default();
    let stage = "dev".parse().unwrap();
    let command = Command::Rollback { stage, to: None, reason: "they are no friends".to_owned() };
    let prediction = company.predict(Supposed::Asked { command: command.clone() }, |_| {}).await;
    assert_eq!(prediction.supposed, "dev were rolled back to the version before");
    assert!(company.ask("ada", command).await);
    company.settle().await;
    assert_came_true(&prediction, &company.made);
    assert!(prediction.summary.commits >= 1, "{:?}", prediction.summary);
}

#[tokio::test(flavor = "multi_thread")]
async fn nightly_pushes_nights_and_promotions_come_as_predicted() {
    let sarif = "[printf, \"%s\", '{\"version\": \"2.1.0\", \"runs\": []}']";
    let rules = with(
        NIGHTLY,
        &[
            ("git@git.weather.example:models.git", "@models@"),
            ("git@git.weather.example:station.git", "@station@"),
            ("[company-lint, --sarif, \"{{template}}\"]", sarif),
            ("[bin/check-station, \"{{environment}}\", \"{{deploy.address}}\"]", "[test, -n, \"{{deploy.address}}\"]"),
        ],
    );
    let branches: &[&str] = &["dev", "release"];
    let station = [
        ("pins/models.toml", "[models]\nuri = \"\"\n"),
        ("template.yaml", "Resources: {}\n"),
        ("checks/network.guard", GUARD),
        ("image/config.yaml", "name: station\nregions: [eu-central-1]\n"),
    ];
    let models = [("src/wind.txt", "1\n"), ("README.md", "Models.\n")];
    let people = [("ada", "developers"), ("olga", "on-call")];
    let mut company =
        Company::new(&rules, &[("models", branches, &models), ("station", branches, &station)], &people).await;
    let template = template(&company.image(BASE).await);
    company.repositories["station"].commit("dev", "Begin to serve", &[("template.yaml", &template)]);
    company.look().await;
    company.settle().await;
    assert_eq!(company.newest("deliver").await.state, RunState::Done);

    // A push to models; documentation alone makes nothing.
    for (file, expected) in [("README.md", 0), ("src/wind.txt", 1)] {
        company.made = Made::default();
        let models = &company.repositories["models"];
        let before = models.head("dev").unwrap();
        let commit = models.commit("dev", "Better", &[(file, "2\n")]);
        models.set_branch("dev", &before);
        let objects = models.directory.join("objects");
        let bring = |question: &mut tidegate::simulate::Question| {
            question.originals.brought = Some(("models".parse().unwrap(), objects));
        };
        let prediction = company.predict(push("models", "dev", &commit), bring).await;
        company.repositories["models"].set_branch("dev", &commit);
        company.look().await;
        company.settle().await;
        assert_eq!(prediction.summary.commits, expected, "{file}");
        if expected > 0 {
            assert_came_true(&prediction, &company.made);
            assert!(prediction.notes.iter().any(|note| note.contains("`printf")), "{:?}", prediction.notes);
        }
    }

    // The night of Monday.
    company.made = Made::default();
    let until_ms = company.now_ms + 72 * HOUR_MS;
    let prediction = company.predict(Supposed::Until { until_ms }, |_| {}).await;
    company.wait_until(until_ms).await;
    assert_came_true(&prediction, &company.made);
    assert_eq!((prediction.summary.runs, prediction.summary.builds), (1, 1), "one night, one image");

    // The promotion, which waits for its window, and for Olga.
    company.made = Made::default();
    let (supposed, command) = promotion("dev", "main");
    let prediction = company.predict(supposed, |_| {}).await;
    assert!(company.ask("ada", command).await);
    company.settle().await;
    assert_came_true(&prediction, &company.made);
    assert_eq!(prediction.summary.people, ["olga"]);
    let window = gates(&prediction).into_iter().find(|gate| gate.step == "window").unwrap();
    assert!(window.passes_ms.unwrap() > prediction.from_ms, "{window:?}");
}
