//! `verify`: whether what was deployed works. Until it does, it is asked again, as often as the step's retry allows.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{
    StepLog, Tools,
    foresight::{Ahead, Foreseen, Told},
    given::time_left,
    step::{Progress, Step, Try, nothing_proceeds},
    synth::last_lines,
};
use crate::{
    engine::{CommitId, StepWork},
    providers::{
        Fault,
        caches::GivenCache,
        git::{Mirror, Taking},
        http_check::{self, Check},
        process,
    },
    rules::{SecretName, TemplateError, Verify, template::render},
};

/// How long one answer may take.
const ANSWER_DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);
/// As much of a command's output as is kept.
const OUTPUT_LIMIT_BYTES: usize = 256 * 1024;

/// Checks what was deployed.
pub(super) struct VerifyStep<'rule>(pub(super) &'rule Verify);

#[async_trait]
impl Step for VerifyStep<'_> {
    async fn start(&self, on: &Try<'_>) -> Result<Progress, Fault> {
        check(self.0, on.work, on.tools, on.log).await
    }

    async fn cancel(&self, _: &str, _: &Try<'_>) -> Result<Progress, Fault> {
        nothing_proceeds()
    }

    async fn foresee(&self, _: Ahead<'_>) -> Foreseen {
        Foreseen::assumed([("status", Value::from("assumed"))])
    }

    fn tell(&self, _: &StepWork, _: &Map<String, Value>) -> Told {
        Told::Passes("what was deployed works".to_owned())
    }
}

async fn check(verify: &Verify, work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Progress, Fault> {
    let context = work.context();
    let rendered = |template: &str| render(template, &context).map_err(template_fault);
    if let Some(url) = &verify.http {
        let check = Check {
            url: rendered(url)?,
            status: Some(verify.status),
            contains: verify.contains.as_deref().map(rendered).transpose()?,
            follow_redirects: false,
            deadline: time_left(work).min(ANSWER_DEADLINE),
        };
        let passed = http_check::check(&check).await?;
        log.line(&format!("GET {} answers {}: {}", check.url, passed.status, passed.excerpt)).await;
        return Ok(Progress::done([("status", Value::from(passed.status))], Vec::new()));
    }
    let arguments: Vec<String> = verify.command.iter().map(|word| rendered(word)).collect::<Result<_, _>>()?;
    let (mirror, commit) = tools.source(work).await?;
    let name = arguments.join(" ");
    let command = InTree {
        arguments,
        network: verify.network,
        secrets: &verify.secrets,
        caches: tools.own_caches(work, &verify.caches).await?,
        deadline: time_left(work),
    };
    let finished = command.run((&mirror, &commit), work, tools, log).await?;
    if finished.succeeded() {
        return Ok(Progress::done([("status", Value::from(0))], Vec::new()));
    }
    let how =
        if finished.timed_out { "did not end in time".to_owned() } else { format!("ended with {}", finished.exit) };
    Err(Fault::fail(
        format!("`{name}` {how}{}", last_lines(&finished.stderr)),
        format!("`tidegate logs {} {}` shows all of its output", work.run, work.step),
    ))
}

/// A command that runs in the tree of a commit.
pub(super) struct InTree<'rule> {
    pub(super) arguments: Vec<String>,
    /// Whether it may use the network.
    pub(super) network: bool,
    /// The secrets that it is given.
    pub(super) secrets: &'rule [SecretName],
    /// The folders that it is given, and that outlive it.
    pub(super) caches: Vec<GivenCache>,
    pub(super) deadline: std::time::Duration,
}

impl InTree<'_> {
    /// Runs it to its end.
    pub(super) async fn run(
        self,
        (mirror, commit): (&Arc<Mirror>, &CommitId),
        work: &StepWork,
        tools: &Tools,
        log: &StepLog,
    ) -> Result<process::Finished, Fault> {
        let Self { arguments, network, secrets, caches, deadline } = self;
        let secrets = tools.secrets.given(work, secrets)?;
        let scratch = tools.scratch(work)?;
        let (tree, home) = (scratch.path().join("tree"), scratch.path().join("home"));
        std::fs::create_dir_all(&home).map_err(|error| Fault::retry(format!("making {}: {error}", home.display())))?;
        let said = tools.mirrors.checkout(mirror, commit.as_str(), &tree, Taking::PLAIN, time_left(work)).await?;
        log.output(said.as_bytes()).await;
        log.line(&format!("$ {}", arguments.join(" "))).await;
        let finished = process::run(&process::Command {
            arguments,
            sandbox: tools.sandbox.clone(),
            network,
            secrets,
            caches,
            directory: tree,
            home,
            environment: std::collections::BTreeMap::new(),
            stdin: None,
            deadline,
            output_limit_bytes: OUTPUT_LIMIT_BYTES,
        })
        .await?;
        log.output(&finished.stdout).await;
        log.output(&finished.stderr).await;
        Ok(finished)
    }
}

pub(super) fn template_fault(error: TemplateError) -> Fault {
    Fault::fail(error.to_string(), "correct the template in the rules")
}
