//! The folders that outlive steps. Each belongs to one system, stage and repository: what is written by commits of `dev` is not
//! there when those of `main` are built.

use std::{collections::BTreeMap, path::PathBuf};

use super::Tools;
use crate::{
    engine::StepWork,
    providers::{Fault, caches::GivenCache},
    rules::{CacheName, RepositoryName},
};

/// Tools that find their caches by variables of their own: each with the part of the cache that it says.
const KNOWN: &[(&str, &[(&str, &str)])] = &[
    ("cargo", &[("CARGO_HOME", "")]),
    ("go", &[("GOMODCACHE", "mod"), ("GOCACHE", "build")]),
    ("gradle", &[("GRADLE_USER_HOME", "")]),
    ("npm", &[("npm_config_cache", "")]),
    ("pip", &[("PIP_CACHE_DIR", "")]),
    ("uv", &[("UV_CACHE_DIR", "")]),
    ("yarn", &[("YARN_CACHE_FOLDER", "")]),
];

impl Tools {
    /// The caches that a step names, for commands on commits of a repository.
    pub(super) async fn given_caches(
        &self,
        work: &StepWork,
        repository: &RepositoryName,
        names: &[CacheName],
    ) -> Result<Vec<GivenCache>, Fault> {
        // A promotion runs commits of the stage before: what they leave is not for those of its own.
        let stage = match &work.source {
            Some(_) => work.stage.to_string(),
            None => format!("{}~promotion", work.stage),
        };
        let mut given = Vec::new();
        for name in names {
            let known = KNOWN.iter().find(|(known, _)| *known == name.as_str()).map_or(&[][..], |(_, known)| known);
            let known = known.iter().map(|(variable, part)| ((*variable).to_owned(), PathBuf::from(part)));
            let variables: BTreeMap<_, _> = known.chain([(name.variable(), PathBuf::new())]).collect();
            let whose = [work.system.as_str(), stage.as_str(), repository.as_str(), name.as_str()];
            given.push(self.caches.open(whose, variables).await?);
        }
        Ok(given)
    }

    /// The same, on the run's commit.
    pub(super) async fn own_caches(&self, work: &StepWork, names: &[CacheName]) -> Result<Vec<GivenCache>, Fault> {
        match &work.source {
            Some(source) => self.given_caches(work, &source.repository, names).await,
            None => Ok(Vec::new()),
        }
    }
}
