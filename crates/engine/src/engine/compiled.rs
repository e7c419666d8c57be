//! The rules in force with what follows from them alone: worked out once, when the engine first decides by them, and shared
//! by all that decides. Folding facts never works it out.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
    sync::OnceLock,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    ids::PinnerId,
    leads::{self, Pinner, pinners},
    plan,
    step_run::Steps,
};
use crate::rules::{Commit, RepositoryName, Rule, RuleName, Rules, StageName, StepId};

/// The rules in force. As JSON, and where they are compared, they are the rules alone.
#[derive(Debug, Clone)]
pub struct Compiled {
    rules: Rules,
    at: OnceLock<BTreeMap<RuleName, BTreeMap<StageName, RuleAt>>>,
}

/// What follows from the rules for one rule at one stage.
#[derive(Debug, Clone)]
pub(super) struct RuleAt {
    /// The places whose pins its runs take in, in the order of the rules.
    pub(super) pinners: Vec<Pinner>,
    /// The repositories whose pushes come through any of these.
    pub(super) roots: BTreeSet<RepositoryName>,
    /// Where its commit steps pin: the repository, and the step.
    pub(super) pins: Vec<(RepositoryName, PinnerId)>,
    /// The steps of its runs, none of them begun.
    pub(super) steps: Steps,
}

impl Compiled {
    /// Takes rules into force.
    #[must_use]
    pub const fn new(rules: Rules) -> Self {
        Self { rules, at: OnceLock::new() }
    }

    /// What follows for a rule at a stage; nothing for those that the rules do not have.
    pub(super) fn at(&self, rule: &RuleName, stage: &StageName) -> Option<&RuleAt> {
        self.at.get_or_init(|| all(&self.rules)).get(rule)?.get(stage)
    }
}

fn all(rules: &Rules) -> BTreeMap<RuleName, BTreeMap<StageName, RuleAt>> {
    let at_stages =
        |name, rule| rules.stages.keys().map(move |stage| (stage.clone(), at(rules, (name, rule), stage))).collect();
    rules.rules.iter().map(|(name, rule)| (name.clone(), at_stages(name, rule))).collect()
}

fn at(rules: &Rules, (name, rule): (&RuleName, &Rule), stage: &StageName) -> RuleAt {
    let pinners = pinners(rules, stage, rule);
    let roots = pinners.iter().flat_map(Pinner::roots).cloned().collect();
    let pin = |(step, commit): (StepId, &Commit)| (commit.repository.clone(), PinnerId::of(name, &step));
    let pins = leads::commits(rule, stage).map(pin).collect();
    let steps = plan::of_rule(rules, rule, stage, combines(&pinners)).into();
    RuleAt { pinners, roots, pins, steps }
}

/// Whether what a rule combines can be of different origin at all: two pins that have a repository in common.
fn combines(pinners: &[Pinner]) -> bool {
    let roots: Vec<BTreeSet<&RepositoryName>> = pinners.iter().map(|pinner| pinner.roots().collect()).collect();
    let mut pairs = roots.iter().enumerate().flat_map(|(at, one)| roots[..at].iter().map(move |other| (one, other)));
    pairs.any(|(one, other)| one.intersection(other).next().is_some())
}

impl Deref for Compiled {
    type Target = Rules;

    fn deref(&self) -> &Rules {
        &self.rules
    }
}

impl PartialEq for Compiled {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

impl Serialize for Compiled {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rules.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Compiled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Rules::deserialize(deserializer).map(Self::new)
    }
}
