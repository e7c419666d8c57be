//! Check runs: what a commit shows of a run. Documented at <https://docs.github.com/en/rest/checks/runs>. GitHub shows the newest
//! run of a name, and keeps completed what is completed: what asked and proceeds again is a new run under the same key.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    call::Ask,
    client::{GitHub, part, path},
    verdict::Refused,
};
use crate::providers::{
    Fault,
    forge::values::{Check, CheckState, RepositoryAt},
};

/// How many pages of the runs of a commit and name are looked through for a key.
const MOST_PAGES: usize = 10;
/// How long a summary may be, in characters.
const LONGEST_SUMMARY: usize = 65_000;
/// When it is looked again after a doubtful answer: GitHub may show what it took in only after a moment.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// The most that GitHub takes of what a button says and does, in characters, and of buttons.
const BUTTON: (usize, usize, usize) = (20, 40, 3);

#[derive(Deserialize)]
struct Run {
    id: u64,
    external_id: Option<String>,
    status: String,
}

impl GitHub {
    pub(super) async fn show_check(&self, at: &RepositoryAt, check: &Check, known: Option<u64>) -> Result<u64, Fault> {
        let standing = Standing::of(check);
        let known = match known {
            Some(id) if !standing.is_completed() => self.run(at, id).await?,
            // What completes it is told without a look.
            Some(id) => match self.update(at, id, check, &standing).await {
                Err(refused) if refused.is(StatusCode::NOT_FOUND) => None,
                updated => return updated.map_err(doubtful),
            },
            None => None,
        };
        let open = |run: &Run| standing.is_completed() || run.status != "completed";
        let run = match known.filter(open) {
            Some(run) => Some(run),
            None => self.newest_with_key(at, check).await?.filter(open),
        };
        match run {
            Some(run) => self.update(at, run.id, check, &standing).await.map_err(doubtful),
            None => self.create(at, check, &standing).await.map_err(doubtful),
        }
    }

    async fn run(&self, at: &RepositoryAt, id: u64) -> Result<Option<Run>, Refused> {
        match self.of(at, Ask::get(path(at, &format!("/check-runs/{id}")))).await {
            Ok(answer) => Ok(Some(answer.read()?)),
            Err(refused) if refused.is(StatusCode::NOT_FOUND) => Ok(None),
            Err(refused) => Err(refused),
        }
    }

    async fn newest_with_key(&self, at: &RepositoryAt, check: &Check) -> Result<Option<Run>, Refused> {
        let rest = format!(
            "/commits/{}/check-runs?check_name={}&filter=all&per_page=100",
            part(&check.commit),
            part(&check.name)
        );
        let items = self.pages_of(at, &rest, Some("check_runs"), MOST_PAGES).await?;
        let read = items.iter().map(Run::deserialize).collect::<Result<Vec<_>, _>>();
        let read = read.map_err(|error| Refused::unheard(&format!("GitHub, checks of {at}"), &error.to_string()))?;
        let ours = read.into_iter().filter(|run| run.external_id.as_ref() == Some(&check.key));
        Ok(ours.max_by_key(|run| run.id))
    }

    async fn create(&self, at: &RepositoryAt, check: &Check, standing: &Standing) -> Result<u64, Refused> {
        let mut body = standing.body(check);
        body["head_sha"] = check.commit.clone().into();
        let made = self.of(at, Ask::post(path(at, "/check-runs"), body)).await?;
        Ok(made.read::<Run>()?.id)
    }

    async fn update(&self, at: &RepositoryAt, id: u64, check: &Check, standing: &Standing) -> Result<u64, Refused> {
        let made = self.of(at, Ask::patch(path(at, &format!("/check-runs/{id}")), standing.body(check))).await?;
        Ok(made.read::<Run>()?.id)
    }
}

/// After a doubtful answer, GitHub is given a moment to show what it may have taken in.
pub(super) fn doubtful(refused: Refused) -> Fault {
    match refused.fault {
        Fault::Retry { error, after: None } if refused.in_doubt => Fault::Retry { error, after: Some(LOOK_AGAIN) },
        fault => fault,
    }
}

/// How a check stands, in GitHub's words.
struct Standing {
    status: &'static str,
    conclusion: Option<&'static str>,
}

impl Standing {
    fn of(check: &Check) -> Self {
        let completed = |conclusion| Self { status: "completed", conclusion: Some(conclusion) };
        match check.state {
            CheckState::Queued => Self { status: "queued", conclusion: None },
            CheckState::Running => Self { status: "in_progress", conclusion: None },
            // Its buttons are shown only then.
            CheckState::Asks => completed("action_required"),
            CheckState::Success => completed("success"),
            CheckState::Failure => completed("failure"),
            CheckState::Cancelled => completed("cancelled"),
            CheckState::Skipped => completed("skipped"),
        }
    }

    const fn is_completed(&self) -> bool {
        self.conclusion.is_some()
    }

    fn body(&self, check: &Check) -> Value {
        let most = |text: &str, most: usize| text.chars().take(most).collect::<String>();
        let buttons = check.buttons.iter().take(BUTTON.2).map(|button| {
            json!({
                "label": most(&button.label, BUTTON.0), "description": most(&button.description, BUTTON.1),
                "identifier": most(&button.says, BUTTON.0),
            })
        });
        let mut body = json!({
            "name": check.name, "external_id": check.key, "status": self.status, "started_at": time(check.began_ms),
            "output": { "title": check.title, "summary": most(&check.summary, LONGEST_SUMMARY) },
            "actions": buttons.collect::<Value>(),
        });
        if let Some(conclusion) = self.conclusion {
            body["conclusion"] = conclusion.into();
            body["completed_at"] = time(check.ended_ms.unwrap_or(check.began_ms)).into();
        }
        if let Some(link) = &check.link {
            body["details_url"] = link.clone().into();
        }
        body
    }
}

fn time(ms: i64) -> String {
    DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}
