//! The report itself: one document with all that an approval rests on. Its JSON is what approvals bind to, so it holds no
//! time and no machine's name, and the other formats are drawn from it.

use super::difference::TemplateDifference;
use super::finding::{Checked, FailOn, Finding, Findings, Verdict, tidy};
use super::sarif::Unreadable;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the document's shape.
pub const SCHEMA_VERSION: u32 = 1;

/// What a report is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The system.
    pub system: String,
    /// The stage.
    pub stage: String,
    /// The run's id.
    pub run: String,
    /// The infrastructure repository's commit, in full.
    pub commit: String,
    /// The template's file name.
    pub template: String,
    /// The template's digest, as in `sha256:…`.
    pub template_digest: String,
}

impl Subject {
    fn tidied(self) -> Self {
        let Self { system, stage, run, commit, template, template_digest } = self;
        let [system, stage, run, commit] = [system, stage, run, commit].map(|text| tidy(&text));
        Self { system, stage, run, commit, template: tidy(&template), template_digest: tidy(&template_digest) }
    }
}

/// A lint report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What it is about.
    pub subject: Subject,
    /// Whether the template passed.
    pub verdict: Verdict,
    /// What was checked, ordered by tool.
    pub checked: Vec<Checked>,
    /// What was found.
    pub findings: Findings,
    /// What deploying would change; absent when the template could not be parsed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<TemplateDifference>,
}

impl Report {
    /// A report over what was found, in whatever order it comes.
    pub fn new(
        subject: Subject,
        fail_on: FailOn,
        found: impl IntoIterator<Item = Finding>,
        checked: impl IntoIterator<Item = Checked>,
        difference: Option<TemplateDifference>,
    ) -> Self {
        let findings = Findings::new(found);
        let mut checked: Vec<Checked> = checked.into_iter().map(Checked::tidied).collect();
        checked.sort();
        let verdict = findings.verdict(fail_on);
        Self { schema_version: SCHEMA_VERSION, subject: subject.tidied(), verdict, checked, findings, difference }
    }

    /// The report as JSON, indented, with a line break at its end: the same report, the same bytes.
    pub fn to_json(&self) -> String {
        let json = serde_json::to_string_pretty(self).expect("the report is plain data with text keys");
        format!("{json}\n")
    }

    /// Reads a report back; one of another version, or with unknown fields, is an error.
    pub fn from_json(text: &str) -> Result<Self, Unreadable> {
        let not_ours = |error: String| Unreadable::NotTheFormat { format: "a lint report", error };
        let report: Self = serde_json::from_str(text).map_err(|error| not_ours(error.to_string()))?;
        match report.schema_version {
            SCHEMA_VERSION => Ok(report),
            other => Err(not_ours(format!("its schema version is {other}, and this program reads {SCHEMA_VERSION}"))),
        }
    }
}
