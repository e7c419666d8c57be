//! Notifications: which events notify whom, and in which words. What a channel is, a mail server or a web address, is not
//! in the rules: `tidegate.toml` says so.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::{ChannelName, RuleName, StageName};

/// One wish to be told of something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notification {
    /// What it tells of.
    pub on: Vec<Notice>,
    /// Only of these stages, and what is of no stage; of all unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<Vec<StageName>>,
    /// Only of runs of these rules; of all, and of promotions, unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<RuleName>>,
    /// The channel, one of those in `tidegate.toml`.
    pub via: ChannelName,
    /// For mail: the addresses. Each is sent a mail of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// The subject, a template of one line; each notice has one of its own unless it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The text, a template; each notice has one of its own unless it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// A run or promotion waits for people to approve it.
    ApprovalWanted,
    /// A run of a rule, or a way back, succeeded.
    RunDone,
    /// A run or promotion failed.
    RunFailed,
    /// A deploy step put something on its target.
    Deployed,
    /// A promotion moved all of its set.
    Promoted,
    /// A run failed on a target, which takes no other until an operator unlocks it.
    TargetBroken,
    /// Somebody paused the system: nothing new starts.
    Paused,
    /// Somebody froze a stage, or all of them.
    Frozen,
    /// A stage went back to an earlier version, or what a promotion had half made was taken back.
    RolledBack,
    /// Somebody vetoed a version or an artifact: it never moves again.
    Vetoed,
    /// Somebody ended the pause.
    Resumed,
    /// Somebody ended a freeze before its time.
    Thawed,
    /// Somebody let a run, and what comes of it, pass a freeze.
    Overridden,
    /// Somebody marked a run or commit as a hotfix, which skips the gates that the rules name.
    Hotfix,
    /// Somebody approved what a run shows; others may still be asked.
    Approved,
    /// Somebody rejected what a run shows.
    Rejected,
    /// Somebody took their approval back.
    Withdrawn,
    /// A changed rules file has mistakes, and the last good rules stay in force.
    RulesRefused,
    /// Somebody else changed a target since the last run left it.
    TargetDrifted,
}

/// The names that a template may use whatever is told of.
const ALWAYS: [&str; 4] = ["system", "event", "summary", "at"];
/// The names that it may use besides when a run is told of.
const OF_A_RUN: [&str; 8] = ["stage", "environment", "rule", "run", "repository", "commit", "commits", "authors"];

impl Notice {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::ApprovalWanted,
        Self::RunDone,
        Self::RunFailed,
        Self::Deployed,
        Self::Promoted,
        Self::TargetBroken,
        Self::Paused,
        Self::Frozen,
        Self::RolledBack,
        Self::Vetoed,
        Self::Resumed,
        Self::Thawed,
        Self::Overridden,
        Self::Hotfix,
        Self::Approved,
        Self::Rejected,
        Self::Withdrawn,
        Self::RulesRefused,
        Self::TargetDrifted,
    ];

    /// Its name, as rules write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApprovalWanted => "approval_wanted",
            Self::RunDone => "run_done",
            Self::RunFailed => "run_failed",
            Self::Deployed => "deployed",
            Self::Promoted => "promoted",
            Self::TargetBroken => "target_broken",
            Self::Paused => "paused",
            Self::Frozen => "frozen",
            Self::RolledBack => "rolled_back",
            Self::Vetoed => "vetoed",
            Self::Resumed => "resumed",
            Self::Thawed => "thawed",
            Self::Overridden => "overridden",
            Self::Hotfix => "hotfix",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::RulesRefused => "rules_refused",
            Self::TargetDrifted => "target_drifted",
        }
    }

    /// Whether it is of a run, and so of a stage.
    #[must_use]
    pub const fn is_of_a_run(self) -> bool {
        match self {
            Self::ApprovalWanted | Self::Approved | Self::Rejected | Self::Withdrawn | Self::Overridden => true,
            Self::RunDone | Self::RunFailed | Self::Deployed | Self::Promoted | Self::TargetBroken => true,
            Self::RolledBack => true,
            Self::Paused | Self::Resumed | Self::Frozen | Self::Thawed | Self::Hotfix | Self::Vetoed => false,
            Self::RulesRefused | Self::TargetDrifted => false,
        }
    }

    /// Whether it can be of a rule's run.
    #[must_use]
    pub const fn is_of_a_rule(self) -> bool {
        self.is_of_a_run() && !matches!(self, Self::Promoted | Self::RolledBack)
    }

    /// The names that its templates may use, all of which are texts; those of every notice come first.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        let of_a_run: &'static [&'static str] = if self.is_of_a_run() { &OF_A_RUN } else { &[] };
        ALWAYS.into_iter().chain(of_a_run.iter().copied()).chain(self.own_names().iter().copied())
    }

    /// The names that only this notice has, or few others.
    #[must_use]
    pub const fn own_names(self) -> &'static [&'static str] {
        match self {
            Self::ApprovalWanted => &["step", "asked", "needed", "digest", "verdict", "report", "expires", "command"],
            Self::RunDone => &[],
            Self::RunFailed => &["reason", "hint", "command"],
            Self::Deployed => &["target", "address", "image"],
            Self::Promoted => &["from"],
            Self::TargetBroken => &["target", "reason", "command"],
            Self::Paused => &["by", "reason", "command"],
            Self::Frozen => &["freeze", "frozen", "until", "by", "reason", "command"],
            Self::RolledBack => &["by", "reason"],
            Self::Vetoed => &["vetoed", "by", "reason", "command"],
            Self::Resumed => &["by", "reason"],
            Self::Thawed => &["freeze", "frozen", "until", "by", "reason"],
            Self::Overridden => &["freeze", "by", "reason"],
            Self::Hotfix => &["marked", "by", "reason"],
            Self::Approved => &["step", "by", "in_place_of", "given", "needed", "digest"],
            Self::Rejected => &["step", "by", "reason"],
            Self::Withdrawn => &["step", "by"],
            Self::RulesRefused => &["source", "mistakes"],
            Self::TargetDrifted => &["target", "changes", "command"],
        }
    }

    /// The subject where a notification gives none, a template.
    #[must_use]
    pub const fn default_subject(self) -> &'static str {
        "[{{system}}] {{summary}}"
    }

    /// The text where a notification gives none, a template.
    #[must_use]
    pub const fn default_text(self) -> &'static str {
        match self {
            Self::ApprovalWanted => {
                "{{summary}}.\n\n\
                 Asked:   {{asked}}; approvals needed: {{needed}}\n\
                 Commits: {{commits}}\n\
                 Authors: {{authors}}\n\
                 {{#if report}}Report:  {{verdict}}, {{report}}\n{{/if}}\
                 Digest:  {{digest}}\n\n\
                 To look at it:  tidegate run show {{run}} --system {{system}}\n\
                 To approve it:  {{command}}\n\
                 To refuse it:   tidegate reject {{run}} --reason WHY --system {{system}}\n"
            }
            Self::RunDone => "{{summary}}.\n\nCommits: {{commits}}\nAuthors: {{authors}}\n",
            Self::RunFailed => {
                "{{summary}}.\n\n\
                 Why:     {{reason}}\n\
                 {{#if hint}}Next:    {{hint}}\n{{/if}}\
                 Commits: {{commits}}\n\
                 Authors: {{authors}}\n\n\
                 To do it again:  {{command}}\n"
            }
            Self::Deployed => {
                "{{summary}}.\n\n\
                 {{#if address}}Address: {{address}}\n{{/if}}\
                 {{#if image}}Image:   {{image}}\n{{/if}}\
                 Commits: {{commits}}\n\
                 Authors: {{authors}}\n"
            }
            Self::Promoted => "{{summary}}.\n\nCommits: {{commits}}\nAuthors: {{authors}}\n",
            Self::TargetBroken => {
                "{{summary}}. It takes no other run until it is unlocked.\n\n\
                 Why: {{reason}}\n\n\
                 When it is mended:  {{command}}\n"
            }
            Self::Paused => "{{summary}}. Nothing new starts.\n\nWhy: {{reason}}\n\nTo go on:  {{command}}\n",
            Self::Frozen => "{{summary}} until {{until}}.\n\nWhy: {{reason}}\n\nTo end it before:  {{command}}\n",
            Self::RolledBack => "{{summary}}.\n\nWhy: {{reason}}\n\nCommits: {{commits}}\n",
            Self::Vetoed => "{{summary}}. It never moves again.\n\nWhy: {{reason}}\n\nTo lift it:  {{command}}\n",
            Self::Resumed => "{{summary}}. What waited goes on.\n\nIt was paused because: {{reason}}\n",
            Self::Thawed => {
                "{{summary}}, before its time. What it held goes on.\n\n\
                 It was to last until {{until}} because: {{reason}}\n"
            }
            Self::Overridden => {
                "{{summary}}, and what comes of it.\n\n\
                 Why:     {{reason}}\n\
                 Commits: {{commits}}\n\
                 Authors: {{authors}}\n"
            }
            Self::Hotfix => "{{summary}}. It skips the gates that the rules name.\n\nWhy: {{reason}}\n",
            Self::Approved => {
                "{{summary}}{{#if in_place_of}}, in the place of {{in_place_of}}{{/if}}.\n\n\
                 Approvals: {{given}} of {{needed}}\n\
                 Digest:    {{digest}}\n\
                 Commits:   {{commits}}\n\
                 Authors:   {{authors}}\n"
            }
            Self::Rejected => {
                "{{summary}}.\n\n\
                 Why:     {{reason}}\n\
                 Commits: {{commits}}\n\
                 Authors: {{authors}}\n"
            }
            Self::Withdrawn => "{{summary}}. It asks as before.\n\nCommits: {{commits}}\nAuthors: {{authors}}\n",
            Self::RulesRefused => "{{summary}}. The last good rules stay in force.\n\n{{mistakes}}\n",
            Self::TargetDrifted => "{{summary}}.\n\n{{changes}}\n\nTo look at it:  {{command}}\n",
        }
    }
}

impl Notification {
    /// Whether it tells of this notice of this stage and rule. What is of no stage concerns all of them, and is told
    /// whatever the stages; what is of no rule is not of those that are wished for.
    #[must_use]
    pub fn tells_of(&self, notice: Notice, stage: Option<&StageName>, rule: Option<&RuleName>) -> bool {
        let of_stage = |stages: &Vec<StageName>| stage.is_none_or(|stage| stages.contains(stage));
        let of_rule = |rules: &Vec<RuleName>| rule.is_some_and(|rule| rules.contains(rule));
        self.on.contains(&notice)
            && self.stages.as_ref().is_none_or(of_stage)
            && self.rules.as_ref().is_none_or(of_rule)
    }
}

/// What a channel is, as far as rules must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelKind {
    /// Mail; it goes to addresses.
    Mail,
    /// A web address of its own; it goes nowhere else.
    Webhook,
}

/// The channels that `tidegate.toml` has.
pub type Channels = BTreeMap<ChannelName, ChannelKind>;
