//! `tidegate nudge`: something outside may be news, so look now. For people, and for the hooks of repositories.

use std::collections::BTreeMap;

use anyhow::bail;
use clap::Args;

use super::{Answers, Asking, Source, output::Output};
use crate::{
    driver::now_ms,
    engine::{CommitId, DeliveryId, Nudge, RunId},
    house::asker::Asked,
    rules::{RepositoryName, StageName, StepId, SystemName, TargetName, repository_key},
};

const AFTER_HELP: &str = "Examples: tidegate nudge software; tidegate nudge deliver-7; tidegate nudge webshop --stage dev\n\
At the end of a build elsewhere: tidegate nudge stack --workflow build.yaml --stage dev --commit \"$SHA\" --delivery \"build-$NUMBER\"\n\
In the hook `post-receive` of a repository: tidegate --config /srv/delivery/tidegate.toml nudge \"$PWD\"";

/// Look now whether there is news of something, rather than when its turn comes.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Nudges {
    /// A repository by its name, or by its URL in every system; a run; a target with `--stage`; or, with `--handle`, what
    /// proceeds outside
    what: String,
    /// Only what this step of the run waits for
    #[arg(long, conflicts_with_all = ["stage", "handle"])]
    step: Option<StepId>,
    /// The stage of a target, or of what a workflow worked on
    #[arg(long, conflicts_with = "handle")]
    stage: Option<StageName>,
    /// Of the repository that is named: this ended there, with success unless `--failed` says otherwise. Rules that are `on` it
    /// start
    #[arg(long, value_name = "NAME", requires = "stage", conflicts_with_all = ["step", "handle"])]
    workflow: Option<String>,
    /// The commit that the workflow worked on; the head that is known unless it is said
    #[arg(long, requires = "workflow", value_parser = parse_commit)]
    commit: Option<CommitId>,
    /// The workflow failed: nothing is started
    #[arg(long, requires = "workflow")]
    failed: bool,
    /// It is the handle of something outside, like the number of a build
    #[arg(long)]
    handle: bool,
    /// What names this nudge: said again, it does nothing
    #[arg(long, value_name = "ID")]
    delivery: Option<DeliveryId>,
    #[command(flatten)]
    asking: Asking,
}

/// One thing of one system to look at.
type Meant = (SystemName, Nudge);

impl Nudges {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let answers = source.open().await?;
        let asked = self.asking.asked();
        let meant = if self.is_url() { self.everywhere(&answers).await? } else { vec![self.here(&answers).await?] };
        let delivery = match &self.delivery {
            Some(delivery) => delivery.clone(),
            None => by_hand()?,
        };
        let (mut said, mut taken) = (Vec::new(), BTreeMap::new());
        for (system, what) in meant {
            let clause = what.clause();
            let seq = answers.nudge(&asked, &system, what, delivery.clone()).await?;
            said.push(match seq {
                Some(_) if self.workflow.is_some() => format!("{system}: asked to {clause}"),
                Some(_) => format!("{system}: asked to {clause} now"),
                None => format!("{system}: {delivery} was taken in before"),
            });
            taken.insert(system.to_string(), seq);
        }
        output.done(&said.join("\n"), &serde_json::json!({ "delivery": delivery, "systems": taken }))
    }

    fn is_url(&self) -> bool {
        !self.handle && self.workflow.is_none() && self.what.contains(['/', ':'])
    }

    /// The repositories of this URL, in all systems.
    async fn everywhere(&self, answers: &Answers<'_>) -> anyhow::Result<Vec<Meant>> {
        let (mut meant, place) = (Vec::new(), place(&self.what));
        let everywhere = Asked { system: None, who: self.asking.who.asker() };
        for system in answers.visible_systems(&everywhere).await? {
            if self.asking.system.as_ref().is_some_and(|only| *only != system) {
                continue;
            }
            let repositories = answers.repositories(&system).await?;
            let of_url =
                repositories.into_iter().filter(|(_, url)| url.as_deref().map(self::place) == Some(place.clone()));
            let nudges = of_url.map(|(repository, _)| (system.clone(), Nudge::Repository { repository }));
            meant.extend(nudges);
        }
        if meant.is_empty() {
            bail!("no system has a repository at {}; `tidegate status` shows those that there are", self.what);
        }
        Ok(meant)
    }

    /// What is named, in one system.
    async fn here(&self, answers: &Answers<'_>) -> anyhow::Result<Meant> {
        let system = answers.find_system(&self.asking.asked()).await?;
        let what = self.named(answers, &system).await?;
        Ok((system, what))
    }

    async fn named(&self, answers: &Answers<'_>, system: &SystemName) -> anyhow::Result<Nudge> {
        if self.handle {
            return Ok(Nudge::Handle { handle: self.what.clone() });
        }
        if let (Some(workflow), Some(stage)) = (&self.workflow, &self.stage) {
            return Ok(Nudge::Workflow {
                workflow: workflow.clone(),
                repository: RepositoryName::new(&self.what)?,
                stage: stage.clone(),
                commit: self.commit.clone(),
                succeeded: !self.failed,
            });
        }
        if let Some(stage) = &self.stage {
            return Ok(Nudge::Target { target: TargetName::new(&self.what)?, stage: stage.clone() });
        }
        let repositories = answers.repositories(system).await?;
        if let Some(repository) = repositories.keys().find(|name| name.as_str() == self.what) {
            return Ok(Nudge::Repository { repository: repository.clone() });
        }
        let run = RunId::new(self.what.as_str());
        if run.number().is_some() {
            return Ok(Nudge::Run { run, step: self.step.clone() });
        }
        let known: Vec<&str> = repositories.keys().map(|name| name.as_str()).collect();
        bail!("there is no repository or run `{}`; the repositories are {}", self.what, known.join(", "))
    }
}

/// A whole commit: only the head that it is starts something.
fn parse_commit(text: &str) -> Result<CommitId, String> {
    let is_whole = text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    is_whole.then(|| CommitId::new(text)).ok_or_else(|| "a whole commit has 40 hexadecimal digits".to_owned())
}

/// Where a repository is, however that is written: on this machine also through links and `..`.
fn place(url: &str) -> String {
    let path = url.strip_prefix("file://").unwrap_or(url);
    match std::fs::canonicalize(path) {
        Ok(path) => repository_key(&path.display().to_string()),
        Err(_) => repository_key(url),
    }
}

/// A name for what somebody asks once.
fn by_hand() -> anyhow::Result<DeliveryId> {
    format!("by-hand-{}-{}", now_ms(), std::process::id()).parse().map_err(anyhow::Error::msg)
}
