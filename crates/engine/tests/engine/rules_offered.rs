//! Rules that are offered: people are asked, and what they said yes to comes into force.

use tidegate_engine::{
    engine::{Command, CommitId, Digest, Event, Refused, RulesOrigin, RunId, RunState, Written},
    rules::{self, Quorum},
};

use super::support::{World, approve, retry};

const SHOP: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, qa: { environment: QA }, main: { environment: Production } }
repositories: { software: { url: s.git }, infrastructure: { url: i.git } }
targets: { shop: {} }
rules:
  package:
    on: { push: software }
    steps: [{ package: {} }]
  deliver:
    on: { push: infrastructure }
    target: shop
    steps:
      - synth: { template: template.yaml }
      - lint: {}
      - approve: { stages: { qa: { count: 1, from: [qa] }, main: { count: 2, from: [managers, qa] } } }
      - deploy: {}
promotions:
  - { from: dev, to: qa }
  - { from: qa, to: main, requires: { soak: 1d, approvals: { count: 1, from: [managers] } } }
";

const ADA: &str = "Ada <ada@example.com>";

/// The offer of rules that these people wrote.
pub(super) fn offer(before: &str, after: &str, authors: &[&str]) -> Event {
    let (before, now) = (super::support::rules(before), super::support::rules(after));
    let origin = RulesOrigin {
        repository: "devops.git".to_owned(),
        branch: "main".to_owned(),
        commit: CommitId::new(format!("{:040x}", after.len())),
        author: authors[0].to_owned(),
        subject: "Ask fewer people".to_owned(),
    };
    Event::RulesOffered {
        source: "promotion-rules/shop.yaml".to_owned(),
        digest: Digest::of(after.as_bytes()),
        meaning: rules::meaning(&before, &now),
        rules: Box::new(now),
        origin,
        secret: Digest::of(b"secret"),
        quorum: Quorum { count: 1, from: vec!["managers".to_owned()], expires: None, author_may_approve: false },
        written: Written { authors: authors.iter().map(|author| (*author).to_owned()).collect(), ..Written::default() },
    }
}

fn looser() -> String {
    SHOP.replace("count: 2, from: [managers, qa]", "count: 1, from: [qa]")
}

#[test]
fn rules_wait_for_people_and_their_author_is_none_of_them() {
    let mut world = World::new(SHOP);
    let in_force = world.system.rules.clone().unwrap().digest;
    world.record(offer(SHOP, &looser(), &[ADA]));
    let asks = world.newest("rules");
    let offered = world.system.offered_by(&RunId::new(asks.as_str())).unwrap();
    assert_eq!(offered.meaning, ["deliver in main asks 1 instead of 2", "deliver in main no longer asks managers"]);
    assert_eq!(world.run(&asks).stage.as_str(), "main");
    let waits = world.waits_for(&asks);
    assert!(waits.for_what.contains("approval by managers (0 of 1)"), "{}", waits.for_what);
    let refused = world.ask("ada@managers", approve(&asks)).unwrap_err();
    assert!(matches!(&refused, Refused::NotAllowed { reason, .. } if reason.contains("wrote themselves")), "{refused}");
    assert!(world.ask("eve@qa", approve(&asks)).is_err());
    world.push("software", "dev");
    assert_eq!(world.system.rules.as_ref().unwrap().digest, in_force, "nothing changes meanwhile");
    world.asked("grace@managers", approve(&asks));
    let now = world.system.rules.clone().unwrap();
    assert_eq!(now.digest, Digest::of(looser().as_bytes()));
    assert_eq!(now.origin.unwrap().subject, "Ask fewer people");
    assert_eq!((world.state(&asks), &world.system.offered), (RunState::Done, &None));
    world.replays(world.log.len() / 2);
}

#[test]
fn what_is_refused_stays_out_until_somebody_asks_again() {
    let mut world = World::new(SHOP);
    world.record(offer(SHOP, &looser(), &[ADA]));
    let asks = world.newest("rules");
    let reject = Command::Reject { run: RunId::new(asks.as_str()), reason: "two are not too many".to_owned() };
    world.asked("grace@managers", reject);
    assert_eq!(world.state(&asks), RunState::Failed);
    assert!(world.system.offered.is_some(), "so that it is not asked about at every look");
    world.asked("ada", retry(&asks));
    world.asked("grace@managers", approve(&asks));
    assert_eq!(world.system.rules.as_ref().unwrap().digest, Digest::of(looser().as_bytes()));
}

#[test]
fn a_newer_offer_or_other_rules_end_the_question() {
    let mut world = World::new(SHOP);
    world.record(offer(SHOP, &looser(), &[ADA]));
    let first = world.newest("rules");
    world.record(offer(SHOP, &SHOP.replace("soak: 1d", "soak: 2h"), &[ADA, "Grace <grace@example.com>"]));
    let second = world.newest("rules");
    assert_eq!((world.state(&first), world.state(&second)), (RunState::Superseded, RunState::Running));
    world.load(super::support::rules(SHOP));
    assert_eq!((world.state(&second), &world.system.offered), (RunState::Superseded, &None));
    assert!(world.ask("linus@managers", approve(&second)).is_err());
    world.replays(world.log.len());
}

#[test]
fn what_a_change_means_is_said_in_words_with_what_loosens_first() {
    let means = |good: &str, other: &str| {
        assert!(SHOP.contains(good), "{good}");
        rules::meaning(&super::support::rules(SHOP), &super::support::rules(&SHOP.replace(good, other)))
    };
    assert_eq!(means("system: shop", "system: shop # the same"), Vec::<String>::new());
    assert_eq!(means("      - lint: {}\n", ""), ["deliver has fewer `lint` steps"]);
    assert_eq!(
        means(", main: { count: 2, from: [managers, qa] }", ""),
        ["deliver in main no longer asks managers, qa"]
    );
    assert_eq!(means("qa: { count: 1, from: [qa] }", "qa: { count: 1 }"), ["deliver in qa asks anybody instead of qa"]);
    assert_eq!(
        means("count: 1, from: [qa] }", "count: 1, from: [qa], author_may_approve: true }"),
        ["authors may approve their own change in deliver in qa"]
    );
    assert_eq!(
        means("soak: 1d", "soak: 1h"),
        ["the promotion from qa to main waits 1h instead of 1d after the verification"]
    );
    assert_eq!(
        means(", approvals: { count: 1, from: [managers] }", ""),
        ["the promotion from qa to main no longer asks managers"]
    );
    assert_eq!(means("  - { from: dev, to: qa }\n", ""), ["the promotion from dev to qa is gone"]);
    assert_eq!(
        means("url: s.git", "url: mine.git"),
        ["software is mine.git instead of s.git"],
        "another repository is another source of everything"
    );
    let of = |before: &str, after: &str| {
        let with = |more: &str| super::support::rules(&SHOP.replace("url: s.git", &format!("url: s.git{more}")));
        rules::meaning(&with(before), &with(after))
    };
    let (signature, names) = (", identity: signature", ", identity: names");
    assert_eq!(of(signature, names), ["who wrote commits of software is known by the names in them alone"]);
    assert_eq!(
        of(names, ""),
        ["who wrote commits of software is known by signatures where there are any, else by names"]
    );
    assert_eq!(
        of(", require_signatures: [qa], poll: 1m", ", require_signatures: [main]"),
        ["qa takes commits of software that nobody has signed", "software is looked at otherwise"]
    );
    assert_eq!(of("", ", require_signatures: [qa]"), ["software is looked at otherwise"]);
    assert_eq!(means("template: template.yaml", "template: other.yaml"), ["deliver does `synth` otherwise (template)"]);
    assert_eq!(means("environment: QA }", "environment: Quality }"), ["qa is called Quality instead of QA"]);
    let several = means("- lint: {}", "- lint: { fail_on: never }\n      - verify: { command: [x] }");
    assert_eq!(several, ["deliver has another `verify` step", "deliver does `lint` otherwise (fail_on)"]);
    let more = means(
        "      - deploy: {}\n",
        "      - deploy: {}\n  other:\n    on: { push: software }\n    steps: [{ package: {} }]\n",
    );
    assert_eq!(more, ["there is a new rule, `other`"]);
}
