//! What a step made, as far as the engine goes by it: typed, beside the free outputs that templates use. The engine reads no
//! output by its name; only logs from before there was a type are read so, here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    event::StepOutcome,
    ids::{CommitId, Digest},
    plan::Task,
    run::Run,
    system::System,
};
use crate::rules::Moves;

/// What a step made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Made {
    /// Nothing that the engine goes by.
    #[default]
    Nothing,
    /// A commit on top of a stage's branch.
    Moved(Box<Moved>),
    /// No commit: the branch held all of it already.
    Unmoved(Box<Unmoved>),
    /// A deployment.
    Deployed(Service),
    /// A template.
    Synthesised {
        /// The digest of its bytes.
        template_digest: Digest,
    },
}

/// A commit of ours on top of a stage's branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// The commit.
    pub commit: CommitId,
    /// The commit that it was made on.
    pub parent: Option<CommitId>,
    /// The first line of its message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// The paths that it changed; none when they are too many to list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Of a merge: that it brings an older version back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub back: bool,
    /// What the step brought.
    #[serde(flatten)]
    pub brought: Brings,
}

/// A branch that held all of it already.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Unmoved {
    /// Its head; none when what was to be undone was never there.
    pub head: Option<CommitId>,
    /// What the step would have brought.
    #[serde(flatten)]
    pub brought: Brings,
}

/// What a step brings to a branch, whether or not that takes a commit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Brings {
    /// Pins: JSON pointer → value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pinned: BTreeMap<String, Value>,
    /// The commit whose content comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<CommitId>,
    /// The commit whose content goes away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<CommitId>,
}

/// What was deployed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Where it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The image that it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

impl Made {
    /// Whether it is nothing that the engine goes by.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// The commit of ours.
    #[must_use]
    pub fn moved(&self) -> Option<&Moved> {
        match self {
            Self::Moved(moved) => Some(moved),
            Self::Nothing | Self::Unmoved(_) | Self::Deployed(_) | Self::Synthesised { .. } => None,
        }
    }

    /// The commit that the branch was at when the step was done: its own, or the head that held all of it already.
    #[must_use]
    pub fn head(&self) -> Option<&CommitId> {
        match self {
            Self::Moved(moved) => Some(&moved.commit),
            Self::Unmoved(unmoved) => unmoved.head.as_ref(),
            Self::Nothing | Self::Deployed(_) | Self::Synthesised { .. } => None,
        }
    }

    /// What the step brought to its branch, or found there.
    #[must_use]
    pub fn brought(&self) -> Option<&Brings> {
        match self {
            Self::Moved(moved) => Some(&moved.brought),
            Self::Unmoved(unmoved) => Some(&unmoved.brought),
            Self::Nothing | Self::Deployed(_) | Self::Synthesised { .. } => None,
        }
    }

    /// What was deployed.
    #[must_use]
    pub const fn deployed(&self) -> Option<&Service> {
        match self {
            Self::Deployed(service) => Some(service),
            Self::Nothing | Self::Moved(_) | Self::Unmoved(_) | Self::Synthesised { .. } => None,
        }
    }

    /// The digest of the template.
    #[must_use]
    pub const fn template_digest(&self) -> Option<&Digest> {
        match self {
            Self::Synthesised { template_digest } => Some(template_digest),
            Self::Nothing | Self::Moved(_) | Self::Unmoved(_) | Self::Deployed(_) => None,
        }
    }

    /// The head in which a step of this task found its pins as it would have set them.
    #[must_use]
    pub fn pins_found_in(&self, task: &Task) -> Option<&CommitId> {
        let pins = task.kind().moves == Moves::Pins;
        self.head().filter(|_| pins && matches!(self, Self::Unmoved(_)))
    }
}

impl Run {
    /// The run for people and programs: without what only the engine goes by, which the outputs say as well.
    #[must_use]
    pub fn as_shown(mut self) -> Self {
        for step in &mut self.steps {
            step.made = Made::Nothing;
        }
        self
    }
}

impl System {
    /// Reads what steps made out of their outputs, in a snapshot that is older than the type.
    pub fn type_what_was_made(&mut self) {
        let steps = self.runs.values_mut().flat_map(|run| &mut run.steps);
        for step in steps.filter(|step| step.made.is_nothing()) {
            step.made = of_outputs(&step.task, &step.outputs);
        }
    }
}

/// The outcome with what was made read out of its outputs, where it is from a log that is older than the type.
pub(super) fn typed(task: &Task, outcome: &StepOutcome) -> Option<StepOutcome> {
    let StepOutcome::Done { outputs, artifacts, made: Made::Nothing } = outcome else { return None };
    let made = of_outputs(task, outputs);
    let (outputs, artifacts) = (outputs.clone(), artifacts.clone());
    (!made.is_nothing()).then_some(StepOutcome::Done { outputs, artifacts, made })
}

fn of_outputs(task: &Task, outputs: &Map<String, Value>) -> Made {
    let text = |name: &str| outputs.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let commit = |name: &str| text(name).map(CommitId::new);
    if task.kind().deploys() {
        return Made::Deployed(Service {
            address: text("address").map(str::to_owned),
            image: text("image").map(str::to_owned),
        });
    }
    if task.kind().makes_template() {
        let digest = text("template_digest").map(Digest::new);
        return digest.map_or(Made::Nothing, |template_digest| Made::Synthesised { template_digest });
    }
    if !task.kind().writes() {
        return Made::Nothing;
    }
    let pinned = outputs.get("pinned").and_then(Value::as_object).into_iter().flatten();
    let pinned = pinned.map(|(pointer, value)| (pointer.clone(), value.clone())).collect();
    let brought = Brings { pinned, to: commit("to"), from: commit("from") };
    if outputs.get("changed") == Some(&Value::Bool(false)) {
        let head = commit("head").or_else(|| commit("commit"));
        return Made::Unmoved(Box::new(Unmoved { head, brought }));
    }
    let paths = outputs.get("paths").and_then(Value::as_array);
    let paths = paths.map(|paths| paths.iter().filter_map(|path| path.as_str().map(str::to_owned)).collect());
    let back = outputs.get("back") == Some(&Value::Bool(true));
    let (parent, subject) = (commit("parent"), text("subject").unwrap_or_default().to_owned());
    commit("commit")
        .map_or(Made::Nothing, |commit| Made::Moved(Box::new(Moved { commit, parent, subject, paths, back, brought })))
}
