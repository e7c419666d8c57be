//! `deploy`: the template that was approved, byte for byte, to the stage's environment on this machine.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{
    StepLog, Tools,
    foresight::{Ahead, Certainty, Foreseen, NOT_MADE, Told, text},
    given::{needed, time_left},
    step::{Act, Progress, Step},
};
use crate::{
    engine::{Artifact, Digest, Made, Service, StepWork},
    providers::{
        Fault,
        image_builder::find_image,
        local_service::{DeployHandle, DeployStatus, Deployment, LocalService, read_template},
    },
    rules::{Deploy, TemplateError, template::render},
};

/// How often a service that has just been started is looked at; the engine lets more time pass when it takes long.
const POLL_EVERY: Duration = Duration::from_millis(200);

/// Deploys the template.
pub(super) struct DeployStep<'rule>(pub(super) &'rule Deploy);

#[async_trait]
impl Step for DeployStep<'_> {
    async fn start(&self, on: &Act<'_>) -> Result<Progress, Fault> {
        start(self.0, on.work, on.tools, on.log).await
    }

    async fn poll(&self, handle: &str, on: &Act<'_>) -> Result<Progress, Fault> {
        poll(handle, on.work, on.tools, on.log).await
    }

    async fn cancel(&self, handle: &str, on: &Act<'_>) -> Result<Progress, Fault> {
        service(on.work, on.tools).cancel(&DeployHandle(handle.to_owned())).await?;
        Ok(Progress::Cancelled)
    }

    /// All that a deployment checks before it begins is checked; that the service becomes healthy is supposed.
    async fn foresee(&self, ahead: Ahead<'_>) -> Foreseen {
        foreseen(self.0, &ahead).await.unwrap_or_else(Foreseen::failed)
    }

    fn tell(&self, _: &StepWork, outputs: &Map<String, Value>) -> Told {
        let image = Some(text(outputs, "image").to_owned()).filter(|image| !image.is_empty());
        Told::Deployment { template_digest: text(outputs, "digest").to_owned(), image }
    }
}

async fn foreseen(deploy: &Deploy, ahead: &Ahead<'_>) -> Result<Foreseen, Fault> {
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
    let artifact = Artifact { kind: "deployment".to_owned(), name: name.clone(), uri: address.clone() };
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

/// The parameters of the template, rendered.
fn parameters(deploy: &Deploy, work: &StepWork) -> Result<BTreeMap<String, String>, Fault> {
    let context = work.context();
    let rendered = |(name, value): (&String, &String)| Ok((name.clone(), render(value, &context)?));
    let rendered: Result<_, TemplateError> = deploy.parameters.iter().map(rendered).collect();
    rendered.map_err(|error| Fault::fail(error.to_string(), "correct the template in the rules"))
}

async fn start(deploy: &Deploy, work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Progress, Fault> {
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
    let key = work.key.to_string();
    let deployment = Deployment { key, template, parameters, secrets, deadline: time_left(work) };
    let DeployHandle(handle) = service(work, tools).start(&deployment).await?;
    log.line(&format!("started {handle} beside what runs")).await;
    Ok(Progress::Pending { handle, after: POLL_EVERY, progress: "the new service starts".to_owned() })
}

async fn poll(handle: &str, work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Progress, Fault> {
    match service(work, tools).poll(&DeployHandle(handle.to_owned())).await? {
        DeployStatus::InProgress { waiting_for } => {
            Ok(Progress::Pending { handle: handle.to_owned(), after: POLL_EVERY, progress: waiting_for })
        }
        DeployStatus::Failed { reason, log: output } => {
            log.output(output.as_bytes()).await;
            Err(Fault::fail(reason, "what ran before still runs; mend it and push, or `tidegate retry`"))
        }
        DeployStatus::Done(current) => {
            let digest = format!("sha256:{}", current.template_digest);
            log.line(&format!("it serves at {}", current.address)).await;
            let artifact =
                Artifact { kind: "deployment".to_owned(), name: handle.to_owned(), uri: current.address.clone() };
            let service = Service { address: Some(current.address.clone()), image: Some(current.image.clone()) };
            Ok(Progress::made(
                Made::Deployed(service),
                [
                    ("deployment", Value::from(handle)),
                    ("digest", Value::from(digest)),
                    ("address", Value::from(current.address)),
                    ("image", Value::from(current.image)),
                ],
                vec![artifact],
            ))
        }
    }
}

fn service(work: &StepWork, tools: &Tools) -> LocalService {
    let environment = tools.environments.join(work.system.as_str()).join(work.stage.as_str());
    LocalService { environment, objects: Arc::clone(&tools.objects), sandbox: tools.sandbox.clone() }
}
