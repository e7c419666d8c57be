//! A store that lies over another: it has what the other has, under the same names and URIs, and keeps what is put in a
//! store of its own. The one below is only read, whatever kind of store it is.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Objects, Reader, Source, Stored, Version, compare};
use crate::providers::Fault;

/// Two stores that look like one.
#[derive(Debug, Clone)]
pub struct Overlay {
    below: Arc<dyn Objects>,
    above: Arc<dyn Objects>,
}

impl Overlay {
    /// What is in `below`, and what is put, which goes to `above`.
    #[must_use]
    pub fn new(below: Arc<dyn Objects>, above: Arc<dyn Objects>) -> Self {
        Self { below, above }
    }

    /// Puts it above, under the URI that it would have below.
    async fn put_above(&self, name: &str, source: Source<'_>, replace: bool) -> Result<Stored, Fault> {
        let stored = match replace {
            true => self.above.put(name, source).await?,
            false => self.above.put_if_absent(name, source).await?,
        };
        Ok(Stored { uri: self.below.uri(name)?, ..stored })
    }
}

#[async_trait]
impl Objects for Overlay {
    async fn put_if_absent(&self, name: &str, source: Source<'_>) -> Result<Stored, Fault> {
        let name = &self.name(name)?;
        if self.above.exists(name).await? || !self.below.exists(name).await? {
            return self.put_above(name, source, false).await;
        }
        compare::same_or_refused(source, self.below.open(name).await?, &format!("store {name}")).await?;
        Ok(Stored { uri: self.below.uri(name)?, created: false })
    }

    async fn put(&self, name: &str, source: Source<'_>) -> Result<Stored, Fault> {
        self.put_above(&self.name(name)?, source, true).await
    }

    /// An object that is only below is what was seen below; the write above then has nothing to replace.
    async fn put_if_unchanged(&self, name: &str, seen: Option<&Version>, bytes: &[u8]) -> Result<bool, Fault> {
        let name = &self.name(name)?;
        if self.above.exists(name).await? {
            return self.above.put_if_unchanged(name, seen, bytes).await;
        }
        let below = self.below.get_version(name).await?;
        if below.as_ref().map(|(_, version)| version) != seen {
            return Ok(false);
        }
        self.above.put_if_unchanged(name, None, bytes).await
    }

    async fn get_version(&self, name: &str) -> Result<Option<(Vec<u8>, Version)>, Fault> {
        let name = &self.name(name)?;
        match self.above.get_version(name).await? {
            Some(found) => Ok(Some(found)),
            None => self.below.get_version(name).await,
        }
    }

    async fn open(&self, name_or_uri: &str) -> Result<Reader, Fault> {
        let name = &self.name(name_or_uri)?;
        let holder = if self.above.exists(name).await? { &self.above } else { &self.below };
        holder.open(name).await
    }

    async fn exists(&self, name_or_uri: &str) -> Result<bool, Fault> {
        let name = &self.name(name_or_uri)?;
        Ok(self.above.exists(name).await? || self.below.exists(name).await?)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, Fault> {
        let mut names = self.below.list(prefix).await?;
        names.extend(self.above.list(prefix).await?);
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn name(&self, name_or_uri: &str) -> Result<String, Fault> {
        self.below.name(name_or_uri)
    }

    fn uri(&self, name: &str) -> Result<String, Fault> {
        self.below.uri(name)
    }
}
