//! The acts of plans, whatever they are: found by their key, started, polled and cancelled. Which provider does one, the kind of
//! its target and its name say.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{
    foresight::{Ahead, Certainty, Foreseen, NOT_MADE, Told, text},
    given::{needed, time_left},
    look::place,
    step::{Progress, Step, Try},
    verify::template_fault,
};
use crate::{
    engine::{
        Artifact, Digest, Made, Service, StepWork, TargetWork,
        plan::{self, Wanted},
    },
    providers::{
        Fault,
        act::{Act, ActState, Found},
        files::sha256_of_file,
        git::Taking,
        image_builder::find_image,
        local_job::JobRequest,
        local_service::{Deployment, read_template},
    },
    rules::{
        Deploy, Span, TargetKind, TemplateError,
        template::{render, render_value},
    },
};

/// How often an act that has just been started is looked at; the engine lets more time pass when it takes long.
const POLL_EVERY: Duration = Duration::from_millis(200);
/// How long a job that is cancelled may take to end by itself, unless its target says otherwise.
const GRACE: Span = Span::from_secs(10);

/// One act of a plan.
pub(super) struct ActStep<'plan>(pub(super) &'plan plan::Act);

#[async_trait]
impl Step for ActStep<'_> {
    /// Found or started: what an earlier try began is not begun again.
    async fn start(&self, on: &Try<'_>) -> Result<Progress, Fault> {
        let act = self.act(on).await?;
        let handle = match act.find().await? {
            Found::Here(handle) => {
                on.log.line(&format!("{} was begun already: {handle}", self.0.name)).await;
                handle
            }
            Found::Nothing => {
                self.check_out(on).await?;
                let handle = act.start().await?;
                on.log.line(&format!("{} is begun: {handle}", self.0.name)).await;
                handle
            }
        };
        Ok(Progress::Pending { handle, after: POLL_EVERY, progress: "it has begun".to_owned() })
    }

    async fn poll(&self, handle: &str, on: &Try<'_>) -> Result<Progress, Fault> {
        match self.act(on).await?.poll(handle).await? {
            ActState::Running(progress) => {
                Ok(Progress::Pending { handle: handle.to_owned(), after: POLL_EVERY, progress })
            }
            ActState::Done(outputs, log) => {
                on.log.output(&log).await;
                Ok(self.done(handle, outputs))
            }
            ActState::Failed { reason, hint, log } => {
                on.log.output(&log).await;
                Err(Fault::fail(reason, hint))
            }
            ActState::Cancelled => Ok(Progress::Cancelled),
        }
    }

    async fn cancel(&self, handle: &str, on: &Try<'_>) -> Result<Progress, Fault> {
        self.act(on).await?.cancel(handle).await?;
        Ok(Progress::Cancelled)
    }

    /// Nothing is done; all that a deployment checks before it begins is checked.
    async fn foresee(&self, ahead: Ahead<'_>) -> Foreseen {
        let foreseen = match (&self.0.wanted, kind(&ahead.work)) {
            (Wanted::Deploy(deploy), TargetKind::Stack) => foreseen_stack(deploy, &ahead).await,
            (Wanted::Deploy(_), TargetKind::Job) => {
                let outputs =
                    [("deployment", Value::from(ahead.work.key.to_string())), ("outputs", Value::Object(Map::new()))];
                Ok(Foreseen::done(Certainty::Foreseen, Made::Deployed(Service::default()), outputs, Vec::new()))
            }
            (Wanted::Operation(_), _) => Ok(Foreseen::done(Certainty::Foreseen, Made::Nothing, [], Vec::new())),
        };
        foreseen.unwrap_or_else(Foreseen::failed)
    }

    fn tell(&self, work: &StepWork, outputs: &Map<String, Value>) -> Told {
        match (&self.0.wanted, kind(work)) {
            (Wanted::Deploy(_), TargetKind::Stack) if outputs.contains_key("digest") => {
                let image = Some(text(outputs, "image").to_owned()).filter(|image| !image.is_empty());
                Told::Deployment { template_digest: text(outputs, "digest").to_owned(), image }
            }
            _ => {
                let target = work.target.as_ref().map_or("its target", |target| target.name.as_str());
                Told::Passes(format!("{} of {target}", self.0.name))
            }
        }
    }
}

fn kind(work: &StepWork) -> TargetKind {
    work.target.as_ref().map(|target| target.settings.kind).unwrap_or_default()
}

impl ActStep<'_> {
    /// The act, with the key and request of this step.
    async fn act(&self, on: &Try<'_>) -> Result<Box<dyn Act>, Fault> {
        let (work, tools) = (on.work, on.tools);
        let target =
            work.target.as_ref().ok_or_else(|| Fault::fail("its target is not known", "name it in the rules"))?;
        let (place, ours) = (place(target), target.ours.iter().map(ToString::to_string).collect());
        match (target.settings.kind, self.0.name.as_str(), &self.0.wanted) {
            (TargetKind::Stack, "create" | "update", Wanted::Deploy(deploy)) => {
                let saw = target.seen.as_ref().and_then(|seen| seen.observation.saw.get("deployment")?.as_str());
                let deployment = deployment(deploy, on).await?;
                Ok(tools.providers.stacks(&work.stage)?.deploy(&place, deployment, saw.unwrap_or_default()))
            }
            (TargetKind::Stack, "create-empty", _) => Ok(tools.providers.stacks(&work.stage)?.create_empty(&place)),
            (TargetKind::Stack, "delete", _) => Ok(tools.providers.stacks(&work.stage)?.delete(&place)),
            (TargetKind::Stack, "recover", _) => Ok(tools.providers.stacks(&work.stage)?.recover(&place)),
            (TargetKind::Stack, "cancel-update", _) => {
                Ok(tools.providers.stacks(&work.stage)?.cancel_update(&place, ours))
            }
            (TargetKind::Job, "run", Wanted::Deploy(deploy)) => {
                Ok(tools.providers.jobs(&work.stage)?.run(&place, job(deploy, target, on)?))
            }
            (TargetKind::Job, "cancel-job", _) => Ok(tools.providers.jobs(&work.stage)?.cancel_others(&place, ours)),
            (kind, name, _) => Err(Fault::fail(
                format!("{} has no act `{name}` here", kind.shape().a),
                "another version planned it: start anew with `tidegate retry`",
            )),
        }
    }

    /// The tree that a job runs in, where it takes it.
    async fn check_out(&self, on: &Try<'_>) -> Result<(), Fault> {
        let (Some(target), "run") = (&on.work.target, self.0.name.as_str()) else { return Ok(()) };
        if target.settings.kind != TargetKind::Job {
            return Ok(());
        }
        let tree = on.tools.providers.jobs(&on.work.stage)?.tree(&place(target), on.work.key.as_str());
        let fault = |error: std::io::Error| Fault::retry(format!("making {}: {error}", tree.display()));
        if tree.exists() {
            std::fs::remove_dir_all(&tree).map_err(fault)?;
        }
        tree.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(fault)?;
        let (mirror, commit) = on.tools.source(on.work).await?;
        let deadline = time_left(on.work);
        let said = on.tools.mirrors.checkout(&mirror, commit.as_str(), &tree, Taking::PLAIN, deadline).await?;
        on.log.output(said.as_bytes()).await;
        self.bring(on, target).await
    }

    /// What somebody brought for a job, byte for byte.
    async fn bring(&self, on: &Try<'_>, target: &TargetWork) -> Result<(), Fault> {
        let Some((uri, sha256)) = brought(on.work) else { return Ok(()) };
        let file = on.tools.providers.jobs(&on.work.stage)?.bundle(&place(target), on.work.key.as_str());
        on.tools.objects.fetch_to(uri, &file).await?;
        let (found, _) = sha256_of_file(&file).await?;
        if found != sha256 {
            return Err(Fault::fail(
                format!("the stored bundle {uri} has the SHA-256 {found}, and {sha256} was brought"),
                "it was changed since; find out by whom, then bring it again with `tidegate deploy`",
            ));
        }
        Ok(())
    }

    fn done(&self, handle: &str, mut outputs: Map<String, Value>) -> Progress {
        if !matches!(self.0.wanted, Wanted::Deploy(_)) || self.0.name.starts_with("cancel") {
            return Progress::Done { outputs, artifacts: Vec::new(), made: Made::Nothing };
        }
        outputs.entry("deployment").or_insert_with(|| Value::from(handle));
        outputs.entry("outputs").or_insert_with(|| Value::Object(Map::new()));
        let said = |name: &str| outputs.get(name).and_then(Value::as_str).map(str::to_owned);
        let service = Service { address: said("address"), image: said("image") };
        let uri = service.address.clone().unwrap_or_default();
        let artifact = Artifact { kind: "deployment".into(), name: handle.into(), uri: uri.into() };
        Progress::Done { outputs, artifacts: vec![artifact], made: Made::Deployed(service) }
    }
}

/// The template that was made, byte for byte, with the parameters of the rule.
async fn deployment(deploy: &Deploy, on: &Try<'_>) -> Result<Deployment, Fault> {
    let (work, tools) = (on.work, on.tools);
    let (uri, digest) = (needed(work, "synth", "template")?, needed(work, "synth", "template_digest")?);
    let bytes = tools.objects.get(uri).await?;
    let found = Digest::of(&bytes);
    if found.as_str() != digest {
        return Err(Fault::fail(
            format!("the stored template {uri} is {found}, and {digest} was to be deployed"),
            "it was changed after it was made; find out by whom, then start anew with `tidegate run start`",
        ));
    }
    let template = String::from_utf8(bytes)
        .map_err(|_| Fault::fail(format!("{uri} is not UTF-8"), "it was changed after it was made"))?;
    let parameters = parameters(deploy, work)?;
    let secrets = tools.secrets.places(work, &deploy.secrets)?;
    Ok(Deployment { key: work.key.to_string(), template, parameters, secrets, deadline: time_left(work) })
}

/// The parameters of the template, rendered.
fn parameters(deploy: &Deploy, work: &StepWork) -> Result<BTreeMap<String, String>, Fault> {
    let context = work.context();
    let rendered = |(name, value): (&String, &String)| Ok((name.clone(), render(value, &context)?));
    let rendered: Result<_, TemplateError> = deploy.parameters.iter().map(rendered).collect();
    rendered.map_err(template_fault)
}

/// The command with its variables, in a tree of the run's commit.
fn job(deploy: &Deploy, target: &TargetWork, on: &Try<'_>) -> Result<JobRequest, Fault> {
    let (work, context) = (on.work, on.work.context());
    let words = deploy.command.iter().map(|word| render(word, &context).map_err(template_fault));
    let variables = deploy
        .variables
        .iter()
        .map(|(name, value)| Ok((name.clone(), render_value(value, &context).map_err(template_fault)?)));
    let grace = target.settings.grace.unwrap_or(GRACE).as_ms();
    Ok(JobRequest {
        key: work.key.to_string(),
        command: words.collect::<Result<_, _>>()?,
        variables: variables.collect::<Result<_, Fault>>()?,
        network: deploy.network,
        commit: work.source.as_ref().map_or_else(String::new, |source| source.commit.to_string()),
        tree: on.tools.providers.jobs(&work.stage)?.tree(&place(target), work.key.as_str()),
        bundle: match brought(work) {
            Some((_, sha256)) => {
                let file = on.tools.providers.jobs(&work.stage)?.bundle(&place(target), work.key.as_str());
                Some((file, sha256.to_owned()))
            }
            None => None,
        },
        grace: Duration::from_millis(u64::try_from(grace).unwrap_or(0)),
    })
}

/// Where what somebody brought is, and its SHA-256.
fn brought(work: &StepWork) -> Option<(&str, &str)> {
    let output = |name: &str| work.input("bundle", name).and_then(Value::as_str);
    Some((output("uri")?, output("sha256")?))
}

async fn foreseen_stack(deploy: &Deploy, ahead: &Ahead<'_>) -> Result<Foreseen, Fault> {
    let work = &ahead.work;
    let (uri, digest) = (needed(work, "synth", "template")?, needed(work, "synth", "template_digest")?);
    let mut image = String::new();
    if !uri.starts_with(NOT_MADE) {
        let template = String::from_utf8_lossy(&ahead.tools.objects.get(uri).await?).into_owned();
        image = read_template(&template, &parameters(deploy, work)?)?.image;
        if !ahead.is_placeholder(&image) {
            find_image(&*ahead.tools.objects, &image).await?;
        }
    }
    let address = format!("http://{}.placeholder.invalid", work.stage);
    let address = ahead.stands_for(address, format!("the address in {}", work.environment));
    let name = work.key.to_string();
    let artifact = Artifact { kind: "deployment".into(), name: name.as_str().into(), uri: address.as_str().into() };
    let known = Some(image.clone()).filter(|image| !image.is_empty());
    let made = Made::Deployed(Service { address: Some(address.clone()), image: known });
    let outputs = [
        ("deployment", Value::from(name)),
        ("digest", Value::from(digest)),
        ("address", Value::from(address)),
        ("image", Value::from(image)),
    ];
    Ok(Foreseen::done(Certainty::Foreseen, made, outputs, vec![artifact]))
}
