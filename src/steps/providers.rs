//! Who does which kind of work: in every stage, or in one. The one place that makes providers from settings; a simulation
//! wraps what is made here.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    providers::{
        Fault,
        image_builder::{ImageBuilder, LocalImageBuilder},
        local_job::LocalJobs,
        local_service::LocalStacks,
        objects::{Address, Objects},
        sandbox::Sandbox,
    },
    rules::{Provided, Provisions, StageName},
};

/// Who does each kind of work, in every stage that does not say otherwise; and where things are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderSettings {
    /// Where stacks are deployed to; `local` unless it says otherwise.
    pub stack: Option<Stacks>,
    /// Who runs jobs; `local` unless it says otherwise.
    pub job: Option<Jobs>,
    /// Who builds images; `local` unless it says otherwise.
    pub image: Option<Images>,
    /// Where artifacts, templates, reports and logs are kept, by all stages: what one made is promoted to the next.
    /// `file:PATH` is a folder; the folder `objects` in `data` unless it says otherwise.
    pub objects: Option<Address>,
}

/// What is otherwise in one stage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StageSettings {
    /// Where stacks are deployed to.
    pub stack: Option<Stacks>,
    /// Who runs jobs.
    pub job: Option<Jobs>,
    /// Who builds images.
    pub image: Option<Images>,
}

/// Where stacks are deployed to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stacks {
    /// This machine: the service of the template runs on it.
    #[default]
    Local,
    /// Nowhere.
    None,
}

/// Who runs jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Jobs {
    /// This machine: a job is a command.
    #[default]
    Local,
    /// Nobody.
    None,
}

/// Who builds images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Images {
    /// This machine, in a process for each build.
    #[default]
    Local,
    /// Nobody.
    None,
}

/// What is chosen for a stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Chosen {
    /// Where stacks are deployed to.
    pub stack: Stacks,
    /// Who runs jobs.
    pub job: Jobs,
    /// Who builds images.
    pub image: Images,
}

impl Chosen {
    /// Whether a kind of work has a provider.
    #[must_use]
    pub fn has(self, what: Provided) -> bool {
        match what {
            Provided::Stack => self.stack != Stacks::None,
            Provided::Job => self.job != Jobs::None,
            Provided::Image => self.image != Images::None,
        }
    }
}

impl fmt::Display for Chosen {
    /// As the settings would say it: `stack = local, job = local, image = none`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stack, job, image } = self;
        let names = [serde_json::json!(stack), serde_json::json!(job), serde_json::json!(image)];
        let said = Provided::ALL
            .iter()
            .zip(&names)
            .map(|(what, name)| format!("{} = {}", what.name(), name.as_str().unwrap_or_default()));
        formatter.write_str(&said.collect::<Vec<_>>().join(", "))
    }
}

/// What is chosen for every stage, and for those that say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    everywhere: Chosen,
    stages: BTreeMap<StageName, Chosen>,
}

impl Choices {
    /// What the settings choose.
    #[must_use]
    pub fn of(providers: &ProviderSettings, stages: &BTreeMap<StageName, StageSettings>) -> Self {
        let ProviderSettings { stack, job, image, objects: _ } = providers;
        let (stack, job, image) = (stack.unwrap_or_default(), job.unwrap_or_default(), image.unwrap_or_default());
        let of_stage = |StageSettings { stack: at, job: by, image: from }: &StageSettings| Chosen {
            stack: at.unwrap_or(stack),
            job: by.unwrap_or(job),
            image: from.unwrap_or(image),
        };
        let stages = stages.iter().map(|(stage, settings)| (stage.clone(), of_stage(settings))).collect();
        Self { everywhere: Chosen { stack, job, image }, stages }
    }

    /// What is chosen for a stage.
    #[must_use]
    pub fn at(&self, stage: &StageName) -> Chosen {
        self.stages.get(stage).copied().unwrap_or(self.everywhere)
    }

    /// The same, as far as rules must know it.
    #[must_use]
    pub fn provisions(&self) -> Provisions {
        let mut provisions = Provisions::default();
        let everywhere = [(None, self.everywhere)].into_iter();
        for (stage, chosen) in everywhere.chain(self.stages.iter().map(|(stage, chosen)| (Some(stage), *chosen))) {
            for what in Provided::ALL {
                provisions.say(stage, what, chosen.has(what));
            }
        }
        provisions
    }
}

/// What the providers on this machine work with.
#[derive(Debug, Clone)]
pub struct Local {
    /// The folder for what they keep: builds and environments.
    pub data: PathBuf,
    /// The box that commands run in.
    pub sandbox: Sandbox,
    /// This program, which builds images in processes of its own.
    pub program: PathBuf,
    /// Where the object store is, for those processes.
    pub store: Address,
    /// The object store.
    pub objects: Arc<dyn Objects>,
}

/// The providers, by stage.
#[derive(Clone)]
pub struct Providers {
    choices: Choices,
    local_stacks: LocalStacks,
    local_jobs: LocalJobs,
    local_images: Arc<dyn ImageBuilder>,
}

impl Providers {
    /// Makes the providers that are chosen. None of them does anything yet.
    #[must_use]
    pub fn new(choices: Choices, local: Local) -> Self {
        let Local { data, sandbox, program, store, objects } = local;
        let local_images = LocalImageBuilder {
            jobs: data.join("image-builder"),
            objects: store,
            worker: vec![program.display().to_string(), "image-builder-worker".to_owned()],
            sandbox: sandbox.clone(),
        };
        let local_jobs = LocalJobs { jobs: data.join("jobs"), sandbox: sandbox.clone() };
        let local_stacks = LocalStacks { environments: data.join("environments"), objects, sandbox };
        Self { choices, local_stacks, local_jobs, local_images: Arc::new(local_images) }
    }

    /// The same for a simulation: stages have the providers that they have, and none of them touches anything outside.
    /// What is looked at or kept is below `folder` and in `objects`; `images` foresees what would be built.
    #[must_use]
    pub fn foreseen(self, folder: &Path, objects: Arc<dyn Objects>, images: Arc<dyn ImageBuilder>) -> Self {
        let Self { choices, local_stacks, local_jobs, local_images: _ } = self;
        let local_jobs = LocalJobs { jobs: folder.join("jobs"), ..local_jobs };
        let local_stacks = LocalStacks { environments: folder.join("environments"), objects, ..local_stacks };
        Self { choices, local_stacks, local_jobs, local_images: images }
    }

    /// Where a stage's stacks are.
    ///
    /// # Errors
    /// When nothing deploys stacks in that stage here.
    pub fn stacks(&self, stage: &StageName) -> Result<&LocalStacks, Fault> {
        match self.choices.at(stage).stack {
            Stacks::Local => Ok(&self.local_stacks),
            Stacks::None => Err(nobody(Provided::Stack, stage)),
        }
    }

    /// Who runs a stage's jobs.
    ///
    /// # Errors
    /// When nobody does here.
    pub fn jobs(&self, stage: &StageName) -> Result<&LocalJobs, Fault> {
        match self.choices.at(stage).job {
            Jobs::Local => Ok(&self.local_jobs),
            Jobs::None => Err(nobody(Provided::Job, stage)),
        }
    }

    /// Who builds a stage's images.
    ///
    /// # Errors
    /// When nobody does here.
    pub fn images(&self, stage: &StageName) -> Result<&dyn ImageBuilder, Fault> {
        match self.choices.at(stage).image {
            Images::Local => Ok(&*self.local_images),
            Images::None => Err(nobody(Provided::Image, stage)),
        }
    }
}

/// Rules are checked for this; they may have been loaded under other settings.
fn nobody(what: Provided, stage: &StageName) -> Fault {
    let name = what.name();
    Fault::fail(
        format!("nothing here {} in {stage}: tidegate.toml says `{name} = \"none\"`", what.work()),
        format!("name a provider in `[stages.{stage}]` or `[providers]` of tidegate.toml, and start the server anew"),
    )
}
