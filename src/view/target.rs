//! What is told of a target, for people and programs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    engine::{
        Observation, Standing, System, TargetKey, TargetLife, TargetState,
        plan::Wanted,
        target::{Seen, plan_of},
    },
    rules::{Action, Deploy, TargetKind},
};

/// A target at its stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetReport {
    /// The target.
    pub target: String,
    /// Its stage.
    pub stage: String,
    /// Its kind, as rules write it.
    pub kind: String,
    /// Where it is in its life, as `AVAILABLE`.
    pub life: String,
    /// What the users of its kind call that.
    pub called: String,
    /// How it stood when it was last looked at: `absent`, `stable`, `moving`, `undoing` or `stuck`; `null` when it never was.
    pub standing: Option<String>,
    /// What moves there, or why it is stuck, with the way out.
    pub because: Option<String>,
    /// When it was last looked at: milliseconds since 1970, UTC.
    pub seen_ms: Option<i64>,
    /// Why it could not be looked at when that was last tried.
    pub unseen: Option<String>,
    /// The run that holds it.
    pub held_by: Option<String>,
    /// The runs that wait for it, first first.
    pub queue: Vec<String>,
    /// The run that deployed what is there.
    pub deployed_by: Option<String>,
    /// Where it answers.
    pub address: Option<String>,
    /// Why it is broken.
    pub broken: Option<String>,
    /// What another hand changed since the last run left it.
    pub drift: Vec<Drift>,
    /// Whether the rules have it.
    pub in_rules: bool,
    /// The plan that a deployment now would make, of the target as it was last seen; `null` where it was never looked at.
    pub plan: Option<PlanReport>,
}

/// Something that another hand changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// What.
    pub name: String,
    /// As it was left.
    pub was: Value,
    /// As it is.
    pub is: Value,
}

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanReport {
    /// The acts, in order.
    pub acts: Vec<String>,
    /// What is created, taken out of service, replaced or removed, in words.
    pub changes: Vec<String>,
    /// Why there is no plan.
    pub refused: Option<String>,
}

impl TargetReport {
    /// All targets: those of the rules, then those that the rules do not have any more.
    #[must_use]
    pub fn all(state: &System) -> Vec<Self> {
        let rules = state.rules().into_iter();
        let named = rules.flat_map(|rules| {
            let stages = rules.stages.keys();
            rules.targets.keys().flat_map(move |target| {
                stages.clone().map(move |stage| TargetKey::Target(target.clone(), stage.clone()))
            })
        });
        let mut keys: Vec<TargetKey> = named.collect();
        let kept = state.targets.iter().filter(|(key, target)| {
            let is_there = target.deployed.is_some() || target.life != TargetLife::Unprovisioned;
            key.target().is_some() && is_there && !keys.contains(key)
        });
        let kept: Vec<TargetKey> = kept.map(|(key, _)| key.clone()).collect();
        keys.extend(kept);
        keys.iter().filter_map(|key| Self::of(state, key)).collect()
    }

    /// One target; `None` where nobody knows it.
    #[must_use]
    pub fn of(state: &System, key: &TargetKey) -> Option<Self> {
        let ((_, settings), (name, stage)) = (state.target_settings(key)?, key.target()?);
        let target = state.targets.get(key);
        let life = target.map_or(TargetLife::Unprovisioned, |target| target.life);
        let outside = target.and_then(|target| target.outside.as_ref());
        let seen = outside.and_then(|outside| outside.seen.as_ref());
        let deployed = target.and_then(|target| target.deployed.as_ref());
        let run = |number: &u64| state.runs.get(number).map(|run| run.id.to_string());
        let drift = outside.into_iter().flat_map(|outside| &outside.drift);
        Some(Self {
            target: name.to_string(),
            stage: stage.to_string(),
            kind: settings.kind.shape().name.to_owned(),
            life: life.name().to_owned(),
            called: settings.kind.calls(life).to_owned(),
            standing: seen.map(|seen| seen.observation.standing.name().to_owned()),
            because: seen.and_then(|seen| because(&seen.observation.standing)),
            seen_ms: seen.map(|seen| seen.at_ms),
            unseen: outside.and_then(|outside| outside.unseen.clone()),
            held_by: target.and_then(|target| target.holder).as_ref().and_then(run),
            queue: target.into_iter().flat_map(|target| target.queue.iter().filter_map(run)).collect(),
            deployed_by: deployed.map(|deployed| deployed.run.to_string()),
            address: deployed.and_then(|deployed| deployed.address.clone()),
            broken: target.and_then(|target: &TargetState| target.broken.clone()),
            drift: drift
                .map(|change| Drift { name: change.name.clone(), was: change.was.clone(), is: change.is.clone() })
                .collect(),
            in_rules: state.rules().is_some_and(|rules| rules.targets.contains_key(name)),
            plan: seen.and_then(|seen| plan(state, key, seen)),
        })
    }
}

fn because(standing: &Standing) -> Option<String> {
    match standing {
        Standing::Stuck { why, way_out } => Some(format!("{why}; the way out: {way_out}")),
        standing => standing.in_the_way(),
    }
}

/// The plan that a deployment now would make.
fn plan(state: &System, key: &TargetKey, seen: &Seen) -> Option<PlanReport> {
    let (name, settings) = state.target_settings(key)?;
    let deploys = state.rules().into_iter().flat_map(|rules| rules.rules.values());
    let deploys = deploys.filter(|rule| rule.target.as_ref() == Some(&name)).flat_map(|rule| &rule.steps);
    let deploy = deploys.filter_map(|step| match &step.action {
        Action::Deploy(deploy) => Some(deploy.clone()),
        _ => None,
    });
    let wanted = Wanted::Deploy(deploy.last().unwrap_or_else(Deploy::default));
    let refused = |why: String| PlanReport { acts: Vec::new(), changes: Vec::new(), refused: Some(why) };
    if let Some(moves) = seen.observation.standing.in_the_way() {
        return Some(refused(format!("it waits while something moves: {moves}")));
    }
    if let Standing::Stuck { why, .. } = &seen.observation.standing {
        return Some(refused(format!("it is stuck: {why}")));
    }
    let observation = Observation { standing: seen.observation.standing.clone(), saw: seen.observation.saw.clone() };
    Some(match plan_of((&name, &settings), &observation, &wanted) {
        Err(unplannable) => refused(unplannable.why),
        Ok(plan) => PlanReport {
            acts: plan.acts.iter().map(|act| act.name.clone()).collect(),
            changes: plan.class().into_iter().map(|(to, change)| format!("{to} {}", change.said())).collect(),
            refused: None,
        },
    })
}

/// What is said where something is shown of a kind that has names of its own.
pub(crate) fn life_said(report: &TargetReport) -> String {
    let is_own = TargetKind::ALL.iter().any(|kind| kind.shape().name == report.kind) && report.called != report.life;
    if is_own { format!("{} ({})", report.life, report.called) } else { report.life.clone() }
}
