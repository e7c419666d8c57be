//! Images from components, as EC2 Image Builder makes them, on this machine: the same component documents, the same
//! order of phases, the same states. What differs is said plainly: the image is a directory tree, not a disk;
//! commands run in a box on this machine with that tree as their working directory, and in no chroot; so a component
//! may only rely on what `ROOT` holds and on what this machine has.

mod actions;
mod component;
mod local;
mod worker;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use local::LocalImageBuilder;
pub use worker::run_worker;

use crate::providers::given::SecretPlace;
use crate::providers::objects::Objects;
use crate::providers::{Fault, files};

/// An image to build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRequest {
    /// The identity of this build: the same token again is the same build.
    pub token: String,
    /// What the image is called.
    pub name: String,
    /// Component names and documents (YAML or JSON), in the order of the recipe.
    pub components: Vec<(String, String)>,
    /// What is unpacked into the image before the first component runs.
    pub software: Vec<Software>,
    /// The regions that get an AMI id each.
    pub regions: Vec<String>,
    /// Values for the parameters that the components declare.
    pub parameters: BTreeMap<String, String>,
    /// When it was asked for (RFC 3339); kept with the image, and no part of its identity.
    pub requested_at: String,
    /// Whether the commands of its components may use the network.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub network: bool,
    /// The secrets that these commands are given. They are no part of the build's identity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretPlace>,
}

/// A tarball that goes into an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Software {
    /// What it is called in logs.
    pub name: String,
    /// Its name or URI in the object store: a tar, tar.gz or tar.zst.
    pub uri: String,
    /// What the SHA-256 of the tarball must be, in hex.
    pub sha256: String,
    /// The folder of the image that it is unpacked to, like `/opt/webshop`.
    pub destination: String,
}

/// What builds images. A build is started, then looked at by its handle until it has ended.
#[async_trait]
pub trait ImageBuilder: Send + Sync {
    /// Starts a build, or finds the one that was started with this token. What cannot be built, and a token that was
    /// used for another build, fail. A build that ended stays as it ended.
    async fn start(&self, request: &BuildRequest) -> Result<BuildHandle, Fault>;

    /// How a build is doing.
    async fn poll(&self, handle: &BuildHandle) -> Result<BuildStatus, Fault>;

    /// How the build of a token ended, if there is one and it has ended.
    async fn ended(&self, token: &str) -> Result<Option<BuildState>, Fault>;

    /// Ends a build with all that it does. One that has ended stays as it ended.
    async fn cancel(&self, handle: &BuildHandle) -> Result<(), Fault>;
}

/// A build that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BuildHandle(pub String);

/// How a build is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildStatus {
    /// Where it is.
    pub state: BuildState,
    /// The end of its log.
    pub log: String,
}

/// The states of a build, named as EC2 Image Builder names them (API `ImageState`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BuildState {
    /// Its process has not begun yet.
    Pending,
    /// Software, and the phases build and validate.
    Building,
    /// The phase test.
    Testing,
    /// The image is in the store.
    Available {
        /// The AMI id in each region.
        images: BTreeMap<String, String>,
        /// SHA-256 of the image's tar, in hex.
        digest: String,
    },
    /// It will give no image.
    Failed {
        /// What failed and what to do.
        reason: String,
    },
    /// It was cancelled.
    Cancelled,
}

impl BuildState {
    /// Whether nothing will change any more.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Pending | Self::Building | Self::Testing => false,
            Self::Available { .. } | Self::Failed { .. } | Self::Cancelled => true,
        }
    }
}

/// What is kept of an image, as `images/<AMI id>.json` in the object store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its AMI id.
    pub ami: String,
    /// What it was called when it was first built.
    pub name: String,
    /// The region of this id.
    pub region: String,
    /// SHA-256 of its tar, in hex.
    pub digest: String,
    /// The name of its tar.zst in the object store.
    pub object: String,
    /// The software in it: name and SHA-256 of the tarball.
    pub software: BTreeMap<String, String>,
    /// The names of the components, in order.
    pub components: Vec<String>,
    /// When it was first asked for (RFC 3339).
    pub requested_at: String,
}

/// The image of an AMI id.
pub async fn find_image(objects: &dyn Objects, ami: &str) -> Result<Image, Fault> {
    let name = image_record(ami);
    if !objects.exists(&name).await? {
        return Err(Fault::fail(
            format!("there is no image {ami} in the object store"),
            "bake it, or check that the AMI id and the store are those of this machine",
        ));
    }
    serde_json::from_slice(&objects.get(&name).await?).map_err(|error| {
        Fault::fail(format!("read {name}: {error}"), "the file was changed by hand; bake the image again")
    })
}

/// The AMI id that an image of this digest has in a region.
pub fn ami_id(region: &str, digest: &str) -> String {
    format!("ami-{}", &files::sha256_hex(format!("{region}\n{digest}").as_bytes())[..17])
}

fn image_record(ami: &str) -> String {
    format!("images/{ami}.json")
}

fn image_object(digest: &str) -> String {
    format!("images/{digest}.tar.zst")
}

/// Reads a component, as a build does before anything of it is done.
pub(crate) fn read_component(text: &str) {
    if let Ok(component) = component::Component::parse("component", text, &BTreeMap::new()) {
        let inputs = component.phases.values().flatten().map(|step| &step.inputs);
        inputs.for_each(|inputs| drop(component::substitute(inputs, &component.values)));
    }
}
