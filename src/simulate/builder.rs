//! The builds of a simulation: none is made, and each comes out as a placeholder. What else would come of a step, the steps
//! themselves say (`steps/foresight.rs`).

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;

use crate::{
    providers::{
        Fault,
        image_builder::{BuildHandle, BuildRequest, BuildState, BuildStatus, ImageBuilder, LocalImageBuilder},
    },
    steps::foresight::{NOT_MADE, Placeholders, placeholder_digest},
};

/// Builds nothing: every build is available at once, under ids that are plainly placeholders and the same for the same
/// inputs. What can be known to fail before a build begins fails.
pub(super) struct ForeseenBuilder {
    pub(super) placeholders: Placeholders,
    requests: Mutex<BTreeMap<String, BuildRequest>>,
}

impl ForeseenBuilder {
    pub(super) fn new(placeholders: Placeholders) -> Self {
        Self { placeholders, requests: Mutex::default() }
    }
}

#[async_trait]
impl ImageBuilder for ForeseenBuilder {
    async fn start(&self, request: &BuildRequest) -> Result<BuildHandle, Fault> {
        LocalImageBuilder::check(request)?;
        let handle = format!("{NOT_MADE}{}", request.token);
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).insert(handle.clone(), request.clone());
        Ok(BuildHandle(handle))
    }

    async fn poll(&self, handle: &BuildHandle) -> Result<BuildStatus, Fault> {
        let request = self.requests.lock().unwrap_or_else(PoisonError::into_inner).get(&handle.0).cloned();
        let request = request.ok_or_else(|| Fault::fail("there is no such build", "this is a mistake in Tidegate"))?;
        let (token, requested_at) = (String::new(), String::new());
        let inputs = BuildRequest { token, requested_at, secrets: Vec::new(), ..request.clone() };
        let inputs = serde_json::to_string(&inputs).expect("plain values always serialise");
        let mut placeholders = self.placeholders.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, mut images) = (&request.name, BTreeMap::new());
        for region in &request.regions {
            // The form of a real id, so that what checks the form is content: 17 digits, the first eight of them noughts.
            let digest = placeholder_digest(&format!("{region}\n{inputs}"));
            let ami = format!("ami-00000000{}", &digest[digest.len() - 9..]);
            placeholders.insert(ami.clone(), format!("the image of {name} in {region} that is yet to be baked"));
            images.insert(region.clone(), ami);
        }
        let digest = placeholder_digest(&inputs);
        placeholders.insert(digest.clone(), format!("the digest of the image of {name} that is yet to be baked"));
        let digest = digest.trim_start_matches("sha256:").to_owned();
        Ok(BuildStatus { state: BuildState::Available { images, digest }, log: String::new() })
    }

    async fn ended(&self, _: &str) -> Result<Option<BuildState>, Fault> {
        Ok(None)
    }

    async fn cancel(&self, _: &BuildHandle) -> Result<(), Fault> {
        Ok(())
    }
}
