//! A plan: what a run is going to do to a target, as acts with needs. It follows from what the rule says and what was seen, and
//! from nothing else, so that the same log gives the same plan.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::standing::Observation;
use crate::engine::task::Wanted;
use crate::rules::TargetName;

/// What an act does to something, mildest first. What only changes in place is not said: it is what deployments are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is made.
    Created,
    /// It does not serve for a while.
    OutOfService,
    /// It is removed and made anew.
    Replaced,
    /// It is removed.
    Removed,
}

/// What a plan does, by what it is done to: what people approve beside the change itself.
pub type Class = BTreeMap<String, Change>;

/// One act of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedAct {
    /// What it is, among the acts of its target's kind; with its run and step, its identity: `update`, `instance-2/attach`.
    pub name: String,
    /// The acts that come before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// What it does, to what.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changes: Class,
}

/// What a run is going to do to a target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActPlan {
    /// The acts, each after those that it needs.
    pub acts: Vec<PlannedAct>,
    /// Whether what comes after them is planned when they are done, and it was looked again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub then_again: bool,
}

/// What a planner is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planning<'a> {
    pub(super) name: &'a TargetName,
    pub(super) seen: &'a Observation,
    pub(super) wanted: &'a Wanted,
}

/// Why no plan can be made, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unplannable {
    /// Why.
    pub why: String,
    /// What to do.
    pub hint: String,
}

impl PlannedAct {
    /// An act that changes in place, and needs no other.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), needs: Vec::new(), changes: Class::new() }
    }

    /// The same with something that it does.
    #[must_use]
    pub fn that(mut self, change: Change, to: impl Into<String>) -> Self {
        self.changes.insert(to.into(), change);
        self
    }
}

impl ActPlan {
    /// A plan of one act.
    #[must_use]
    pub fn of(act: PlannedAct) -> Self {
        Self { acts: vec![act], then_again: false }
    }

    /// What the whole of it does; of two changes to one thing, the harsher.
    #[must_use]
    pub fn class(&self) -> Class {
        let mut class = Class::new();
        for (to, change) in self.acts.iter().flat_map(|act| &act.changes) {
            let known = class.entry(to.clone()).or_insert(*change);
            *known = (*known).max(*change);
        }
        class
    }

    /// The plan, if it can be carried out: every act has its own name, and needs only acts that come before it.
    ///
    /// # Errors
    /// Which act cannot be reached, and why.
    pub(super) fn checked(self) -> Result<Self, Unplannable> {
        let mut before: BTreeSet<&str> = BTreeSet::new();
        for act in &self.acts {
            let missing = act.needs.iter().find(|need| !before.contains(need.as_str()));
            let why = match missing {
                Some(need) if self.acts.iter().any(|other| other.name == *need) => {
                    format!("`{}` waits for `{need}`, which comes after it or waits for it", act.name)
                }
                Some(need) => format!("`{}` waits for `{need}`, which the plan does not have", act.name),
                None if before.contains(act.name.as_str()) => format!("the plan has `{}` twice", act.name),
                None => {
                    before.insert(&act.name);
                    continue;
                }
            };
            let hint = "this is a fault of the planner of the target's kind: please report it".to_owned();
            return Err(Unplannable { why: format!("no plan can be made: {why}"), hint });
        }
        Ok(self)
    }
}

/// What of a plan is harsher than what was approved, in words; nothing where all of it is the same or milder.
#[must_use]
pub fn harsher(now: &Class, approved: &Class) -> Vec<String> {
    let is_harsher = |(to, change): &(&String, &Change)| approved.get(*to).is_none_or(|said| said < change);
    now.iter().filter(is_harsher).map(|(to, change)| format!("{to} {}", change.said())).collect()
}

impl Change {
    /// What is said of that to which it is done: "webshop is created".
    #[must_use]
    pub const fn said(self) -> &'static str {
        match self {
            Self::Created => "is created",
            Self::OutOfService => "is out of service meanwhile",
            Self::Replaced => "is replaced",
            Self::Removed => "is removed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(name: &str, needs: &[&str]) -> PlannedAct {
        PlannedAct { needs: needs.iter().map(ToString::to_string).collect(), ..PlannedAct::named(name) }
    }

    #[test]
    fn a_plan_with_a_circle_or_a_gap_is_refused() {
        let plan = |acts: &[PlannedAct]| ActPlan { acts: acts.to_vec(), then_again: false }.checked();
        assert!(plan(&[act("down", &[]), act("up", &["down"])]).is_ok());
        let why = |acts: &[PlannedAct]| plan(acts).expect_err("it cannot be carried out").why;
        let circle = [act("down", &["up"]), act("up", &["down"])];
        assert_eq!(why(&circle), "no plan can be made: `down` waits for `up`, which comes after it or waits for it");
        assert_eq!(
            why(&[act("up", &["down"])]),
            "no plan can be made: `up` waits for `down`, which the plan does not have"
        );
        assert_eq!(why(&[act("up", &[]), act("up", &[])]), "no plan can be made: the plan has `up` twice");
    }

    #[test]
    fn what_is_the_same_or_milder_is_not_harsher() {
        let class =
            |of: &[(&str, Change)]| -> Class { of.iter().map(|(to, change)| ((*to).to_owned(), *change)).collect() };
        let approved = class(&[("orders", Change::Replaced), ("shop", Change::Created)]);
        assert!(harsher(&class(&[("orders", Change::OutOfService)]), &approved).is_empty());
        let now = class(&[("orders", Change::Removed), ("shop", Change::Created), ("vpc", Change::Created)]);
        assert_eq!(harsher(&now, &approved), ["orders is removed", "vpc is created"]);
    }
}
