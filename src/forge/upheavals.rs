//! What happens to repositories and to the App as a whole, and what somebody has to do then.

use crate::rules::{RepositoryName, SystemName};

/// Something that happened, and whether somebody has to do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Upheaval {
    /// What happened, and what to do.
    pub(super) says: String,
    /// Whether that matters here.
    pub(super) matters: bool,
}

/// A repository is not what or where it was; `ours` is what systems call it.
pub(super) fn repository(
    now: &str,
    was: Option<&str>,
    action: &str,
    ours: &[(SystemName, RepositoryName)],
) -> Upheaval {
    let of = names(ours);
    let says = match (action, was) {
        ("renamed" | "transferred", Some(was)) => format!(
            "the repository {was} is called {now} now: write that in its `url` in the rules ({of}); until then it is looked at in \
             its turn, for GitHub leads there from the old name"
        ),
        ("archived", _) => format!(
            "the repository {now} was archived: nothing can be pushed to it until somebody unarchives it in its settings ({of})"
        ),
        ("deleted", _) => format!(
            "the repository {now} was deleted: restore it in the settings of its owner, or take it out of the rules ({of})"
        ),
        (action, _) => format!("the repository {now} was {action} ({of})"),
    };
    Upheaval { says, matters: !ours.is_empty() && matches!(action, "renamed" | "transferred" | "archived" | "deleted") }
}

/// The App may do other things, or elsewhere; `ours` is what systems call those repositories that it may not reach any more.
pub(super) fn installation(
    account: &str,
    action: &str,
    lost: &[String],
    ours: &[(SystemName, RepositoryName)],
) -> Upheaval {
    let (says, matters) = match action {
        "suspend" => (
            format!(
                "the App is suspended for {account}: nothing is shown there, and no private repository is read, until somebody \
                 who owns {account} lifts that in GitHub's settings of installed Apps"
            ),
            true,
        ),
        "deleted" => (
            format!(
                "the App was uninstalled from {account}: nothing is shown there, and no private repository is read; install it \
                 again, or take `[forges.github]` out of tidegate.toml"
            ),
            true,
        ),
        "removed" if !ours.is_empty() => (
            format!(
                "the App may not reach {} any more ({}): add it to the repositories of the App in GitHub's settings of {account}",
                lost.join(", "),
                names(ours)
            ),
            true,
        ),
        "new_permissions_accepted" => (format!("{account} has accepted the permissions that the App asks for"), false),
        "unsuspend" => (format!("the App is suspended for {account} no more"), false),
        action => (format!("the installation of the App for {account}: {action}"), false),
    };
    Upheaval { says, matters }
}

fn names(ours: &[(SystemName, RepositoryName)]) -> String {
    if ours.is_empty() {
        return "no system has it".to_owned();
    }
    ours.iter().map(|(system, repository)| format!("{repository} of {system}")).collect::<Vec<_>>().join(", ")
}
