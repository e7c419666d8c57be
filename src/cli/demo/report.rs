//! What the demo leaves: one document that says what is where. Its schema is in `schemas/`.

use std::{collections::BTreeMap, path::Path, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    cli::House,
    engine::{RunState, System, TargetKey},
    rules::{RepositoryName, StageName, SystemName, TargetName},
    store::RunFilter,
};

/// More runs than the demo ever makes.
const MOST_RUNS: u32 = 1_000;

/// What the demo left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DemoReport {
    /// The demo's folder.
    pub directory: String,
    /// The settings file, for `tidegate --config`.
    pub config: String,
    /// Whether it was done before this was typed, so that nothing happened.
    pub was_done: bool,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How many events the log holds.
    pub events: u64,
    /// The stages in promotion order.
    pub stages: Vec<StageReport>,
    /// Every run, oldest first.
    pub runs: Vec<RunReport>,
}

/// What is in a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageReport {
    /// The stage.
    pub stage: String,
    /// The head of each repository.
    pub heads: BTreeMap<String, String>,
    /// What was deployed: kind → the artifacts' names.
    pub artifacts: BTreeMap<String, Vec<String>>,
    /// The run that deployed it.
    pub deployed_by: Option<String>,
    /// The digest that was approved, where somebody was asked.
    pub approved: Option<String>,
    /// Where it answered.
    pub address: Option<String>,
    /// Whether it was verified.
    pub verified: bool,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunReport {
    /// Its identity.
    pub run: String,
    /// Its stage.
    pub stage: String,
    /// How it ended.
    pub state: String,
    /// Who approved it.
    pub approved_by: Vec<String>,
    /// Whether its steps found what they would have made already made.
    pub changed_nothing: bool,
}

impl DemoReport {
    /// Reads it from the store.
    pub(super) async fn of(
        house: &House,
        system: &SystemName,
        folder: &Path,
        was_done: bool,
        took: Duration,
    ) -> anyhow::Result<Self> {
        let runs = house.ledger.store().runs(system, &RunFilter::newest(MOST_RUNS)).await?;
        let mut runs: Vec<(u64, RunReport)> = runs
            .into_iter()
            .map(|run| {
                let changed = |name: &str, value: bool| {
                    run.steps.iter().any(|step| step.outputs.get(name) == Some(&Value::Bool(value)))
                };
                let approved_by = run.steps.iter().flat_map(|step| &step.answers).map(|answer| answer.by.name.clone());
                let report = RunReport {
                    run: run.id.to_string(),
                    stage: run.stage.to_string(),
                    state: state_name(run.state),
                    approved_by: approved_by.collect(),
                    changed_nothing: changed("changed", false) && !changed("changed", true),
                };
                (run.number, report)
            })
            .collect();
        runs.sort_by_key(|(number, _)| *number);
        let (events, stages) = house.ledger.read(system, |state| (state.seq, stages(state))).await?;
        Ok(Self {
            directory: folder.display().to_string(),
            config: folder.join("tidegate.toml").display().to_string(),
            was_done,
            seconds: (took.as_secs_f64() * 10.0).round() / 10.0,
            events,
            stages,
            runs: runs.into_iter().map(|(_, run)| run).collect(),
        })
    }

    /// The report for people: what is where, and where to look.
    ///
    /// `program` is how the program is started; the services go on where they were to be kept.
    #[must_use]
    pub fn text(&self, program: &str, kept: bool) -> String {
        let mut text = String::from("\n");
        let first = |stage: &StageReport, kind: &str| {
            let name = stage.artifacts.get(kind).and_then(|names| names.first()).cloned().unwrap_or_default();
            name.trim_start_matches("sha256:").get(..12).unwrap_or(&name).to_owned()
        };
        text.push_str(&format!(
            "{:<7}{:<14}{:<14}{:<14}{:<23}{}\n",
            "", "software", "image", "infra", "AMI", "template"
        ));
        for stage in &self.stages {
            let head = |name: &str| stage.heads.get(name).and_then(|head| head.get(..10)).unwrap_or("–").to_owned();
            let ami = stage.artifacts.get("ami").and_then(|names| names.first()).cloned().unwrap_or_default();
            text.push_str(&format!(
                "{:<7}{:<14}{:<14}{:<14}{:<23}{}\n",
                stage.stage,
                head("software"),
                head("image"),
                head("infrastructure"),
                ami,
                first(stage, "template"),
            ));
        }
        let (runs, events, config, folder) = (self.runs.len(), self.events, &self.config, &self.directory);
        let when = if self.was_done {
            "It was done before; nothing was changed.".to_owned()
        } else {
            format!("Done in {} s.", self.seconds)
        };
        text.push_str(&format!(
            "\n{when} {runs} runs, {events} events in the log.\n\nWhere to look:\n\
             \x20 the lattice   {program} --config {config} status\n\
             \x20 every run     {program} --config {config} runs\n\
             \x20 a commit      git -C {folder}/repositories/infrastructure.git log dev\n\
             \x20 the reports   {folder}/data/objects/reports\n\
             \x20 the rules     {folder}/promotion-rules/webshop.yaml"
        ));
        if !kept {
            text.push_str("\n\nThe three services were stopped; `--keep` leaves them running.");
        }
        text
    }
}

fn state_name(state: RunState) -> String {
    serde_json::to_value(state).ok().and_then(|state| state.as_str().map(str::to_owned)).unwrap_or_default()
}

fn stages(state: &System) -> Vec<StageReport> {
    let Some(rules) = state.rules() else { return Vec::new() };
    let target = |stage: &StageName| {
        let name = rules.targets.keys().next().map(|name: &TargetName| TargetKey::Target(name.clone(), stage.clone()));
        name.and_then(|key| state.targets.get(&key)?.deployed.as_ref())
    };
    let report = |stage: &StageName| {
        let head = |name: &RepositoryName| Some((name.to_string(), state.head(name, stage)?.commit.to_string()));
        let deployed = target(stage);
        let mut artifacts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let shown = deployed.map(|deployed| deployed.artifacts.as_slice()).unwrap_or_default();
        for artifact in shown {
            artifacts.entry(artifact.kind.to_string()).or_default().push(artifact.name.to_string());
        }
        StageReport {
            stage: stage.to_string(),
            heads: rules.repositories.keys().filter_map(head).collect(),
            artifacts,
            deployed_by: deployed.map(|deployed| deployed.run.to_string()),
            approved: deployed.and_then(|deployed| deployed.approved.as_ref()).map(ToString::to_string),
            address: deployed.and_then(|deployed| deployed.address.clone()),
            verified: state.verified.contains_key(stage),
        }
    };
    rules.stages.keys().map(report).collect()
}
