//! `deploy`: the template that was approved, byte for byte, to the stage's environment on this machine.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{Progress, StepLog, Tools, needed, time_left};
use crate::{
    engine::{Artifact, Digest, Made, Phase, Service, StepWork},
    providers::{
        Fault,
        local_service::{DeployHandle, DeployStatus, Deployment, LocalService},
        objects::Objects as _,
    },
    rules::{Deploy, template::render},
};

/// How often a service that has just been started is looked at; the engine lets more time pass when it takes long.
const POLL_EVERY: Duration = Duration::from_millis(200);

pub(super) async fn start_or_poll(
    deploy: &Deploy,
    work: &StepWork,
    tools: &Tools,
    log: &StepLog,
) -> Result<Progress, Fault> {
    match (work.phase, &work.handle) {
        (Phase::Poll, Some(handle)) => poll(handle, work, tools, log).await,
        _ => start(deploy, work, tools, log).await,
    }
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
    let context = work.context();
    let mut parameters = BTreeMap::new();
    for (name, value) in &deploy.parameters {
        let value = render(value, &context)
            .map_err(|error| Fault::fail(error.to_string(), "correct the template in the rules"))?;
        parameters.insert(name.clone(), value);
    }
    let deployment = Deployment { key: work.key.to_string(), template, parameters, deadline: time_left(work) };
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

pub(super) async fn cancel(handle: &str, work: &StepWork, tools: &Tools) -> Result<Progress, Fault> {
    service(work, tools).cancel(&DeployHandle(handle.to_owned())).await?;
    Ok(Progress::Cancelled)
}

fn service(work: &StepWork, tools: &Tools) -> LocalService {
    let environment = tools.environments.join(work.system.as_str()).join(work.stage.as_str());
    LocalService { environment, objects: tools.objects.clone() }
}
