//! A shop whose versions come one after the other from dev to qa.

use tidegate_engine::engine::{Deployed, RunId, TargetKey, Verified};

use super::{World, repository, stage};

pub(crate) const SHOP: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, qa: { environment: QA }, main: { environment: Production } }
repositories: { software: { url: s.git }, infrastructure: { url: n.git } }
targets: { shop: {} }
rules:
  package:
    on: { push: software }
    steps:
      - package: {}
      - commit: { repository: infrastructure, file: config.json, set: { /tag: '{{package.tag}}' } }
  deliver:
    on: { push: infrastructure }
    target: shop
    steps:
      - synth: { template: template.yaml }
      - deploy: {}
      - verify: { command: [smoke] }
promotions:
  - { from: dev, to: qa }
  - { from: qa, to: main, start: manual }
";

/// A change of Ada's is verified in dev; its promotion to qa has just begun.
pub(crate) fn verified_in(rules: &str) -> (World, String) {
    let mut world = World::new(rules);
    world.reproducible = true;
    world.deliver_in_dev();
    let promotion = world.newest("promote");
    (world, promotion)
}

/// Two versions have been verified in qa, the second is there: their runs.
pub(crate) fn two_versions() -> (World, [String; 2]) {
    two_versions_of(SHOP)
}

pub(crate) fn two_versions_of(rules: &str) -> (World, [String; 2]) {
    let mut world = World::new(rules);
    world.reproducible = true;
    let versions = [0, 1].map(|_| {
        world.deliver_in_dev();
        world.settle();
        world.deployed("qa").run.to_string()
    });
    assert_ne!(versions[0], versions[1]);
    (world, versions)
}

impl World {
    /// A push to software comes to be verified in dev; nothing that is in qa goes on meanwhile.
    pub(crate) fn deliver_in_dev(&mut self) {
        self.push("software", "dev");
        self.settle_until(|world| {
            let goes_on = world.system.live_runs().filter(|run| !run.waits_at_fan_in());
            goes_on.map(|run| run.subject.name()).eq(["promote"])
        });
    }

    /// Somebody pushes where a commit of ours was made: the first look may be older than that.
    pub(crate) fn push_after_ours(&mut self, to: &str, at: &str) {
        self.watch(&repository(to));
        self.push(to, at);
    }

    /// Lets steps succeed, the first that is pending first, until it is so.
    pub(crate) fn settle_until(&mut self, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..200 {
            if is_so(self) {
                return;
            }
            let effect = self.step_effects().into_iter().next().unwrap_or_else(|| panic!("{:?}", self.live()));
            let outcome = self.success(&effect);
            self.answer(&effect.id, outcome);
        }
        panic!("it never comes to that: {:?}", self.live());
    }

    /// The newest run of a subject.
    pub(crate) fn newest(&self, subject: &str) -> String {
        let known = self.system.runs.values().rev().find(|run| run.subject.name() == subject);
        known.unwrap_or_else(|| panic!("there is no {subject}")).id.to_string()
    }

    pub(crate) fn live_subjects(&self) -> Vec<&str> {
        self.system.live_runs().map(|run| run.subject.name()).collect()
    }

    /// Whether the newest run of a subject is at a step.
    pub(crate) fn at_step(&self, subject: &str, step: &str) -> bool {
        self.run(&self.newest(subject)).steps.iter().any(|found| found.id.as_str() == step && found.effect.is_some())
    }

    pub(crate) fn deployed(&self, at: &str) -> Deployed {
        self.system.targets[&format!("shop@{at}").parse::<TargetKey>().unwrap()].deployed.clone().unwrap()
    }

    pub(crate) fn version(&self, at: &str, run: &str) -> Verified {
        self.system.version(&stage(at), &RunId::new(run)).unwrap_or_else(|| panic!("{run}")).verified.clone()
    }

    /// The promotion that brought what was there before a rollback.
    pub(crate) fn promotion_of_second(&self) -> String {
        let promotions = self.ended.iter().filter(|run| run.subject.name() == "promote");
        promotions.map(|run| run.id.to_string()).nth(1).unwrap()
    }

    /// What the newest run of a rule made first.
    pub(crate) fn artifact_of_newest(&self, rule: &str) -> String {
        let runs = self.ended.iter().rev().filter(|run| run.subject.name() == rule && run.stage == stage("dev"));
        runs.flat_map(|run| &run.steps).find_map(|step| step.artifacts.first()).unwrap().name.to_string()
    }
}
