//! The process that builds one image. It knows only its job directory: the request, and where the objects are. It
//! begins with an empty root every time, so that running it again after it died is harmless.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::Mode;

use super::component::{Component, OnFailure, Phase, Step, substitute};
use super::local::{Job, LOG, STATUS};
use super::{BuildState, Image, actions::Stage, ami_id, image_object, image_record};
use crate::providers::objects::{Objects, Source};
use crate::providers::{Fault, archive, files, given};

/// Builds the image of a job directory and leaves its state there. Returns when the build has ended, well or
/// badly; the fault is for a job that cannot be worked on at all.
///
/// For a process of its own: it sets the process's umask, so that images do not depend on who builds them.
pub async fn run_worker(job_directory: &Path) -> Result<(), Fault> {
    let Some(_lock) = files::try_lock(&job_directory.join("worker.lock"))? else {
        return Err(Fault::fail(format!("{} is being worked on already", job_directory.display()), "let it end"));
    };
    let job: Job = Job::read(job_directory)?
        .ok_or_else(|| Fault::fail(format!("{} is no job", job_directory.display()), "start it by its request"))?;
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    let mut worker = Worker::new(job_directory, &job)?;
    let state = match worker.build(&job).await {
        Ok(state) => state,
        Err(fault) => {
            let reason = match fault {
                Fault::Fail { error, hint } if !hint.is_empty() => format!("{error} ({hint})"),
                other => other.to_string(),
            };
            BuildState::Failed { reason }
        }
    };
    worker.log(&format!("the build ended: {state:?}"));
    // The state first: without it all would be done again; without the work directory nothing is missed.
    files::write_json(&job_directory.join(STATUS), &state)?;
    files::remove_directory(&worker.work)
}

struct Worker {
    job_directory: PathBuf,
    work: PathBuf,
    stage: Stage,
    objects: Arc<dyn Objects>,
    log: File,
    outputs: BTreeMap<String, String>,
}

impl Worker {
    fn new(job_directory: &Path, job: &Job) -> Result<Self, Fault> {
        let job_directory = std::path::absolute(job_directory)
            .map_err(|error| files::fault(&job_directory.display().to_string(), &error))?;
        let work = job_directory.join("work");
        files::remove_directory(&work)?;
        let stage = Stage {
            root: work.join("root"),
            scratch: work.join("scratch"),
            sandbox: job.sandbox.clone(),
            network: job.request.network,
            secrets: job.request.secrets.clone(),
        };
        files::create_directory(&stage.root)?;
        files::create_directory(&stage.scratch)?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(job_directory.join(LOG))
            .map_err(|error| files::fault("open the build's log", &error))?;
        let objects = job.objects.open()?;
        Ok(Self { job_directory, work, stage, objects, log, outputs: BTreeMap::new() })
    }

    async fn build(&mut self, job: &Job) -> Result<BuildState, Fault> {
        self.enter(&BuildState::Building)?;
        let components = job.components()?;
        self.install_software(job).await?;
        self.run_phase(Phase::Build, &components).await?;
        self.run_phase(Phase::Validate, &components).await?;
        self.keeps_no_secret().await?;
        // What is tested is what is kept: the tests may write into the root, not into the image.
        let packed = self.work.join("image.tar.zst");
        let (root, target) = (self.stage.root.clone(), packed.clone());
        let digest = files::blocking(move || archive::pack(&root, &target)).await?;
        self.log(&format!("the image has the digest {digest}"));
        self.enter(&BuildState::Testing)?;
        self.run_phase(Phase::Test, &components).await?;
        self.publish(job, &digest, &packed).await
    }

    /// An image is kept, and given to whoever runs it.
    async fn keeps_no_secret(&self) -> Result<(), Fault> {
        let (root, secrets) = (self.stage.root.clone(), self.stage.given()?);
        if let Some(file) = files::blocking(move || given::revealed_in(&root, &secrets)).await? {
            let file = file.strip_prefix(&self.stage.root).unwrap_or(&file).display().to_string();
            return Err(Fault::fail(
                format!("the image has one of the build's secrets in it, in /{file}"),
                "let the component remove it, or not write it: an image is stored, and given to whoever runs it",
            ));
        }
        Ok(())
    }

    fn enter(&mut self, state: &BuildState) -> Result<(), Fault> {
        files::write_json(&self.job_directory.join(STATUS), state)
    }

    async fn install_software(&mut self, job: &Job) -> Result<(), Fault> {
        for software in &job.request.software {
            let doing = format!("software {}", software.name);
            let (packed, tarball) = (self.stage.scratch.join("software"), self.stage.scratch.join("software"));
            self.objects.fetch_to(&software.uri, &packed).await.map_err(|fault| fault.while_trying(&doing))?;
            let destination = files::below_followed(&self.stage.root, &software.destination)?;
            let sha256 = files::blocking(move || archive::sha256_of(&tarball)).await?;
            if sha256 != software.sha256.to_ascii_lowercase() {
                return Err(Fault::fail(
                    format!("{doing}: {} has the SHA-256 {sha256}, expected {}", software.uri, software.sha256),
                    "the tarball is not the one that was pinned; package it again or correct the pin",
                ));
            }
            let unpacked = files::blocking(move || archive::unpack(&packed, &destination)).await;
            unpacked.map_err(|fault| fault.while_trying(&doing))?;
            self.log(&format!("{doing} ({sha256}) is in {}", software.destination));
        }
        Ok(())
    }

    async fn run_phase(&mut self, phase: Phase, components: &[Component]) -> Result<(), Fault> {
        for component in components {
            let mut failures = Vec::new();
            for step in component.phases.get(&phase).into_iter().flatten() {
                let name = format!("component {}, phase {}, step {}", component.name, phase.name(), step.name);
                let Err(fault) = self.run_step(&name, phase, component, step).await else { continue };
                let failure = format!("{name}: {fault}");
                self.log(&format!("{failure} (on failure: {:?})", step.on_failure));
                match step.on_failure {
                    OnFailure::Abort => return Err(Fault::fail(failure, "")),
                    OnFailure::Continue => failures.push(failure),
                    OnFailure::Ignore => {}
                }
            }
            if !failures.is_empty() {
                return Err(Fault::fail(failures.join("; "), ""));
            }
        }
        Ok(())
    }

    async fn run_step(&mut self, name: &str, phase: Phase, component: &Component, step: &Step) -> Result<(), Fault> {
        let mut values = component.values.clone();
        let of_component = format!("{}/", component.name);
        values.extend(
            self.outputs
                .iter()
                .filter_map(|(name, value)| Some((name.strip_prefix(&of_component)?.to_owned(), value.clone()))),
        );
        let inputs = substitute(&step.inputs, &values)?;
        let mut attempt = 1;
        let outcome = loop {
            self.log(&format!("{name}: {} (attempt {attempt} of {})", step.action, step.max_attempts));
            match self.stage.act(&step.action, &inputs, step.timeout).await {
                Ok(outcome) => break outcome,
                Err(fault) if attempt == step.max_attempts => return Err(fault),
                Err(fault) => self.log(&format!("{name}: {fault}")),
            }
            attempt += 1;
        };
        if !outcome.log.is_empty() {
            self.log(&outcome.log);
        }
        for (field, value) in outcome.outputs {
            let output = format!("{of_component}{}.{}.outputs.{field}", phase.name(), step.name);
            self.outputs.insert(output, value);
        }
        Ok(())
    }

    /// The image first, then its ids, so that an id never names an image that is not there. The name of an image is
    /// its content, so one that is there already is this one.
    async fn publish(&mut self, job: &Job, digest: &str, packed: &Path) -> Result<BuildState, Fault> {
        let request = &job.request;
        let object = image_object(digest);
        if !self.objects.exists(&object).await? {
            self.objects.put(&object, Source::File(packed)).await?;
        }
        let mut images = BTreeMap::new();
        for region in &request.regions {
            let ami = ami_id(region, digest);
            let image = Image {
                ami: ami.clone(),
                name: request.name.clone(),
                region: region.clone(),
                digest: digest.to_owned(),
                object: object.clone(),
                software: request.software.iter().map(|it| (it.name.clone(), it.sha256.clone())).collect(),
                components: request.components.iter().map(|(name, _)| name.clone()).collect(),
                requested_at: request.requested_at.clone(),
            };
            let record = image_record(&ami);
            if !self.objects.exists(&record).await? {
                let bytes = serde_json::to_vec_pretty(&image)
                    .map_err(|error| Fault::fail(format!("write {record}: {error}"), ""))?;
                self.objects.put(&record, Source::Bytes(&bytes)).await?;
            }
            images.insert(region.clone(), ami);
        }
        let _ = fs::remove_file(packed);
        Ok(BuildState::Available { images, digest: digest.to_owned() })
    }

    fn log(&mut self, line: &str) {
        // A log that cannot be written does not fail the build.
        let _ = writeln!(self.log, "{line}");
    }
}
