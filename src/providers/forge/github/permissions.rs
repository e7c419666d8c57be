//! What the App is allowed at GitHub, and what it is told of: the one list, from which the manifest, the docs and `doctor` come.
//! Documented at <https://docs.github.com/en/apps/creating-github-apps/registering-a-github-app/choosing-permissions-for-a-github-app>.

/// What the App needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// As the API names it: `pull_requests`.
    pub name: &'static str,
    /// How much of it.
    pub level: Level,
    /// What for.
    pub why: &'static str,
    /// The events that GitHub tells of to whoever has it, and that the App wants to be told.
    pub events: &'static [&'static str],
}

/// How much of a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// To look.
    Read,
    /// To look and to change.
    Write,
}

impl Level {
    /// As the API writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// All that the App needs. Of events only those that an App can choose: of its own installation it is always told.
pub const WANTED: [Wanted; 11] = [
    Wanted {
        name: "contents",
        level: Level::Write,
        why: "git: fetch, and push forward commits and merges",
        events: &["push", "create", "delete", "commit_comment"],
    },
    Wanted {
        name: "workflows",
        level: Level::Write,
        why: "push merges that bring changes of `.github/workflows`: GitHub refuses them otherwise",
        events: &[],
    },
    Wanted {
        name: "pull_requests",
        level: Level::Write,
        why: "see pull requests, and answer there",
        events: &["pull_request", "pull_request_review", "pull_request_review_comment"],
    },
    Wanted {
        name: "checks",
        level: Level::Write,
        why: "show on each commit what becomes of it, with buttons to approve",
        events: &["check_run", "check_suite"],
    },
    Wanted {
        name: "statuses",
        level: Level::Write,
        why: "wait for statuses of others, and show ours where checks cannot be",
        events: &["status"],
    },
    Wanted {
        name: "deployments",
        level: Level::Write,
        why: "show in environments what runs where",
        events: &["deployment_status"],
    },
    Wanted {
        name: "actions",
        level: Level::Read,
        why: "see at once that a workflow has ended",
        events: &["workflow_run"],
    },
    Wanted { name: "issues", level: Level::Write, why: "read and answer comments", events: &["issue_comment"] },
    Wanted {
        name: "metadata",
        level: Level::Read,
        why: "every App has it: names of repositories, rules of branches, roles of people",
        events: &["repository"],
    },
    Wanted {
        name: "administration",
        level: Level::Read,
        why: "`doctor` says which protection of a branch would stop a push",
        events: &[],
    },
    Wanted {
        name: "members",
        level: Level::Read,
        why: "teams as groups",
        events: &["member", "membership", "organization", "team", "team_add"],
    },
];

/// The events that the App is told of.
pub fn events() -> impl Iterator<Item = &'static str> {
    WANTED.iter().flat_map(|wanted| wanted.events).copied()
}
