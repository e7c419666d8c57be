//! Where artifacts, images, templates and reports are kept: named byte strings. One interface for every store.

mod directory;

use std::path::Path;

use async_trait::async_trait;

pub use directory::DirectoryObjects;

use crate::providers::Fault;

/// Where the bytes of an object come from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// The whole of a file.
    File(&'a Path),
    /// These bytes.
    Bytes(&'a [u8]),
}

/// An object that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its full address, which [`Objects::get`] and others take as well as its name.
    pub uri: String,
    /// Whether this call put it there; `false`: it was there already, with the same bytes.
    pub created: bool,
}

/// What an object held when it was read. Only the store that gave it understands it: a digest here, an entity tag elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(Vec<u8>);

/// How often [`update`] tries. Each time that one writer loses, another has won, so this is the number of writers at one
/// moment that all succeed.
const MOST_TRIES: u32 = 100;

/// A store of objects. A *name* is a relative path of visible ASCII parts (`images/2f1c….tar.zst`), the same in
/// every store; a *URI* is a name's full address in this store. Every write is whole or absent, however it ends.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Puts an object unless there is one of that name. The same bytes again are a success that is not
    /// `created`; other bytes under the same name fail, and what is there stays.
    async fn put_if_absent(&self, name: &str, source: Source<'_>) -> Result<Stored, Fault>;

    /// Puts an object in the place of one that may be there.
    async fn put(&self, name: &str, source: Source<'_>) -> Result<Stored, Fault>;

    /// Puts an object where there is still the one of this version, or still none, and says whether it did: `false` means
    /// that somebody else was quicker. The comparison and the write are one, whoever else calls this from whatever
    /// process. An object that is put in this way is put in no other.
    async fn put_if_unchanged(&self, name: &str, seen: Option<&Version>, bytes: &[u8]) -> Result<bool, Fault>;

    /// The bytes of an object with their version; `None` when there is no such object.
    async fn get_version(&self, name: &str) -> Result<Option<(Vec<u8>, Version)>, Fault>;

    /// The bytes of an object, which must fit in memory.
    async fn get(&self, name_or_uri: &str) -> Result<Vec<u8>, Fault>;

    /// Copies an object to a file, which is replaced when it exists.
    async fn fetch_to(&self, name_or_uri: &str, path: &Path) -> Result<(), Fault>;

    /// Whether there is such an object.
    async fn exists(&self, name_or_uri: &str) -> Result<bool, Fault>;

    /// The names that begin with `prefix`, in order.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, Fault>;

    /// The URI that an object of this name has or would have.
    fn uri(&self, name: &str) -> Result<String, Fault>;
}

/// Replaces an object by what `change` makes of its bytes, or of `None` where there is none. `change` is called again when
/// somebody else was quicker, so that no change is lost.
///
/// # Errors
/// Those of the store and of `change`; to be tried again when others were quicker too often.
pub async fn update(
    objects: &dyn Objects,
    name: &str,
    change: impl Fn(Option<&[u8]>) -> Result<Vec<u8>, Fault> + Send,
) -> Result<(), Fault> {
    for _ in 0..MOST_TRIES {
        let seen = objects.get_version(name).await?;
        let bytes = change(seen.as_ref().map(|(bytes, _)| bytes.as_slice()))?;
        if objects.put_if_unchanged(name, seen.as_ref().map(|(_, version)| version), &bytes).await? {
            return Ok(());
        }
    }
    Err(Fault::retry(format!("update the object {name}: others changed it {MOST_TRIES} times meanwhile")))
}
