//! Statuses of commits: those that others give, and ours where there is no App. Documented at
//! <https://docs.github.com/en/rest/commits/statuses>.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{
    call::Ask,
    client::{GitHub, part, path},
    verdict::Refused,
};
use crate::providers::{
    Fault,
    commit_status::CommitStatus,
    forge::values::{Check, CheckState, RepositoryAt},
};

/// How many pages of the statuses and check runs of a commit are read. One of a name is sought; GitHub shows 1,000 of each.
const MOST_PAGES: usize = 10;
/// How long the description of a status may be, in characters.
const LONGEST: usize = 140;

#[derive(Deserialize)]
struct Status {
    id: u64,
    context: String,
    state: String,
    description: Option<String>,
    updated_at: String,
}

/// A check run, as far as it tells how it stands.
#[derive(Deserialize)]
struct Run {
    status: String,
    conclusion: Option<String>,
    started_at: Option<String>,
    completed_at: Option<String>,
    output: Option<Output>,
}

#[derive(Deserialize)]
struct Output {
    title: Option<String>,
}

#[derive(Deserialize)]
struct Made {
    id: u64,
}

impl GitHub {
    /// The newest of the status and the check run of this name; whoever gives them is asked for neither.
    pub(super) async fn newest_status(
        &self,
        at: &RepositoryAt,
        commit: &str,
        name: &str,
    ) -> Result<CommitStatus, Refused> {
        let status = self.status_of(at, commit, name).await?;
        let rest = format!("/commits/{}/check-runs?check_name={}&filter=latest&per_page=100", part(commit), part(name));
        let runs = self.pages_of(at, &rest, Some("check_runs"), MOST_PAGES).await?;
        let read = runs.iter().map(Run::deserialize).collect::<Result<Vec<_>, _>>();
        let runs = read.map_err(|error| Refused::unheard(&format!("GitHub, checks of {at}"), &error.to_string()))?;
        // Times are of one form, in UTC: they compare as texts. What is not over has only begun.
        let time = |run: &Run| run.completed_at.clone().or_else(|| run.started_at.clone()).unwrap_or_default();
        let run = runs.into_iter().max_by_key(time);
        Ok(match (status, run) {
            (None, None) => CommitStatus::Missing,
            (Some(status), Some(run)) if status.updated_at > time(&run) => status.standing(),
            (_, Some(run)) => run.standing(),
            (Some(status), None) => status.standing(),
        })
    }

    /// Shows a check as a status of the commit: one for each state, and never the same twice in a row.
    pub(super) async fn show_status(&self, at: &RepositoryAt, check: &Check) -> Result<u64, Fault> {
        let state = match check.state {
            CheckState::Queued | CheckState::Running | CheckState::Asks => "pending",
            CheckState::Success | CheckState::Skipped => "success",
            CheckState::Failure => "failure",
            CheckState::Cancelled => "error",
        };
        let newest = self.status_of(at, &check.commit, &check.name).await?;
        if let Some(status) = newest.filter(|status| status.state == state) {
            return Ok(status.id);
        }
        let description: String = check.title.chars().take(LONGEST).collect();
        let body = json!({
            "state": state, "context": check.name, "description": description, "target_url": check.link,
        });
        let made = self.of(at, Ask::post(path(at, &format!("/statuses/{}", part(&check.commit))), body)).await;
        let made = made.map_err(|refused| match refused.message.contains("maximum number of statuses") {
            true => {
                let error =
                    format!("commit {} of {at} has 1,000 statuses `{}`, and takes no more", check.commit, check.name);
                Refused {
                    fault: Fault::fail(error, "with an App there are checks, which are brought up to date"),
                    ..refused
                }
            }
            false => refused,
        })?;
        Ok(made.read::<Made>()?.id)
    }

    /// The newest status of this name.
    async fn status_of(&self, at: &RepositoryAt, commit: &str, name: &str) -> Result<Option<Status>, Refused> {
        let rest = format!("/commits/{}/status?per_page=100", part(commit));
        let items = match self.pages_of(at, &rest, Some("statuses"), MOST_PAGES).await {
            // A commit that was pushed a moment ago is not known everywhere.
            Err(refused) if refused.is(StatusCode::UNPROCESSABLE_ENTITY) => {
                let fault = Fault::retry(refused.fault.whole());
                return Err(Refused { fault, ..refused });
            }
            other => other?,
        };
        let read = items.iter().map(Status::deserialize).collect::<Result<Vec<_>, _>>();
        let read = read.map_err(|error| Refused::unheard(&format!("GitHub, statuses of {at}"), &error.to_string()))?;
        // Names of statuses are the same in capitals.
        Ok(read.into_iter().find(|status| status.context.eq_ignore_ascii_case(name)))
    }
}

impl Status {
    fn standing(self) -> CommitStatus {
        let said = self.description.unwrap_or_default();
        match self.state.as_str() {
            "success" => CommitStatus::Success(said),
            "pending" => CommitStatus::Pending(said),
            _ => CommitStatus::Failure(said),
        }
    }
}

impl Run {
    fn standing(self) -> CommitStatus {
        let title = self.output.and_then(|output| output.title).unwrap_or_default();
        match (self.status.as_str(), self.conclusion.as_deref()) {
            // As GitHub itself takes them where a check is required.
            ("completed", Some("success" | "neutral" | "skipped")) => CommitStatus::Success(title),
            ("completed", conclusion) => {
                let conclusion = conclusion.unwrap_or("no conclusion");
                CommitStatus::Failure(if title.is_empty() {
                    conclusion.to_owned()
                } else {
                    format!("{conclusion}: {title}")
                })
            }
            _ => CommitStatus::Pending(title),
        }
    }
}
