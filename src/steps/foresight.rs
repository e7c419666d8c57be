//! What a simulation asks of a step: what would come of it, how that is known, and what it says. A step is done for real on
//! copies; where the world would answer, the answer is foreseen or assumed, and placeholders stand for what is not made.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Tools;
use crate::{
    engine::{Artifact, Digest, Made, StepOutcome, StepWork},
    providers::Fault,
    rules::RepositoryName,
};

/// How addresses of templates and services begin that are not there.
pub const NOT_MADE: &str = "placeholder:";
/// How something in a prediction is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// It was done, on copies: so it would be, to the byte (but for placeholders).
    Done,
    /// It was not done; that it would be is certain, what it makes is not.
    Foreseen,
    /// It was supposed: that a check passes, that a person agrees.
    Assumed,
}

/// What was foreseen of a step.
pub struct Foreseen {
    /// What came of it.
    pub outcome: StepOutcome,
    /// How that is known.
    pub certainty: Certainty,
    /// What was not done, for the reader.
    pub note: Option<String>,
}

/// What a prediction says of a step that is done.
pub enum Told {
    /// The tree is packed.
    Package {
        /// The package's tag.
        tag: String,
        /// Of its bytes.
        sha256: String,
        /// Whether it was there already.
        reused: bool,
    },
    /// An image is built.
    Image {
        /// Region → id.
        amis: BTreeMap<String, String>,
        /// Whether it was there already.
        reused: bool,
    },
    /// A commit is made, if there was anything to commit.
    Commit {
        /// The repository.
        repository: RepositoryName,
        /// Whether it is a promotion's merge.
        merge: bool,
    },
    /// The template is made.
    Template {
        /// Of its bytes.
        digest: String,
    },
    /// The template is checked.
    Lint {
        /// `passed`.
        verdict: String,
        /// How many errors were found.
        errors: u64,
        /// How many warnings were found.
        warnings: u64,
    },
    /// The template is deployed.
    Deployment {
        /// Of the template's bytes.
        template_digest: String,
        /// The image; none where the template is not known.
        image: Option<String>,
    },
    /// It passes, in words.
    Passes(String),
}

/// What stands for what: the placeholders of a simulation.
pub type Placeholders = Arc<Mutex<BTreeMap<String, String>>>;

/// How a simulation foresees steps.
pub struct Foresight {
    /// The placeholders that have been made.
    pub placeholders: Placeholders,
    /// Whether the rules' commands are run, on copies, rather than supposed to succeed.
    pub run_commands: bool,
}

/// A step that is to be foreseen.
pub(super) struct Ahead<'copies> {
    pub(super) work: StepWork,
    pub(super) tools: &'copies Tools,
    pub(super) foresight: &'copies Foresight,
    pub(super) now_ms: i64,
}

impl Ahead<'_> {
    /// Notes what a name stands for.
    pub(super) fn stands_for(&self, name: String, what: String) -> String {
        let mut placeholders = self.foresight.placeholders.lock().unwrap_or_else(PoisonError::into_inner);
        placeholders.insert(name.clone(), what);
        name
    }

    pub(super) fn is_placeholder(&self, name: &str) -> bool {
        self.foresight.placeholders.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }
}

impl Foreseen {
    /// It is supposed to be done.
    pub(super) fn done<const N: usize>(
        certainty: Certainty,
        made: Made,
        outputs: [(&str, Value); N],
        artifacts: Vec<Artifact>,
    ) -> Self {
        let outputs = outputs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { outcome: StepOutcome::Done { outputs, artifacts: artifacts.into(), made }, certainty, note: None }
    }

    /// It is supposed to pass.
    pub(super) fn assumed<const N: usize>(outputs: [(&str, Value); N]) -> Self {
        Self::done(Certainty::Assumed, Made::Nothing, outputs, Vec::new())
    }

    /// It surely fails.
    pub(super) fn failed(fault: Fault) -> Self {
        let (error, hint) = match fault {
            Fault::Retry { error, .. } => (error, "the real run tries it again".to_owned()),
            Fault::Fail { error, hint } => (error, hint),
        };
        Self { outcome: StepOutcome::Failed { error, hint }, certainty: Certainty::Done, note: None }
    }
}

/// An output that is a text; empty when there is none.
#[must_use]
pub fn text<'outputs>(outputs: &'outputs Map<String, Value>, name: &str) -> &'outputs str {
    outputs.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A digest that is plainly none: of its right length, and mostly noughts.
#[must_use]
pub fn placeholder_digest(of: &str) -> String {
    let whole = Digest::of(of.as_bytes()).to_string();
    format!("sha256:{}{}", "0".repeat(52), &whole[whole.len() - 12..])
}
