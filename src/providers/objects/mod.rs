//! Where artifacts, images, templates and reports are kept: named byte strings. One interface for every store.

mod address;
mod compare;
mod directory;
mod name;
mod overlay;

use std::{fmt, path::Path};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt as _};

pub use address::Address;
pub use directory::DirectoryObjects;
pub use overlay::Overlay;

use crate::providers::{Fault, files};

/// As much as is read of an object at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Where the bytes of an object come from. A file of any size is read in pieces.
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

/// An object that is read from its beginning, in pieces.
pub struct Reader {
    /// How many bytes it has.
    pub length_bytes: u64,
    /// The bytes.
    pub bytes: Box<dyn AsyncRead + Send + Unpin>,
}

/// How often [`update`] tries. Each time that one writer loses, another has won, so this is the number of writers at one
/// moment that all succeed.
const MOST_TRIES: u32 = 100;

/// A store of objects. A *name* is a relative path of visible ASCII parts (`images/2f1c….tar.zst`), the same in
/// every store; no object's name is a folder of another's. A *URI* is a name's full address in this store. Every write is
/// whole or absent, however it ends, and whoever else writes from whatever process.
#[async_trait]
pub trait Objects: fmt::Debug + Send + Sync {
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

    /// Opens an object for reading it in pieces. What is read is one whole object, even when it is replaced meanwhile.
    async fn open(&self, name_or_uri: &str) -> Result<Reader, Fault>;

    /// Whether there is such an object.
    async fn exists(&self, name_or_uri: &str) -> Result<bool, Fault>;

    /// The names that begin with `prefix`, in the order of their bytes.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, Fault>;

    /// The name of an object that is given by its name or its URI. Names that no store could keep, and URIs of other
    /// stores, fail.
    fn name(&self, name_or_uri: &str) -> Result<String, Fault>;

    /// The URI that an object of this name has or would have.
    fn uri(&self, name: &str) -> Result<String, Fault>;

    /// The bytes of an object, which must fit in memory.
    async fn get(&self, name_or_uri: &str) -> Result<Vec<u8>, Fault> {
        let mut reader = self.open(name_or_uri).await?;
        let mut bytes = Vec::new();
        let read = reader.bytes.read_to_end(&mut bytes).await;
        read.map_err(|error| files::fault(&format!("read the object {name_or_uri}"), &error))?;
        Ok(bytes)
    }

    /// Copies an object to a file, which is replaced when it exists.
    async fn fetch_to(&self, name_or_uri: &str, path: &Path) -> Result<(), Fault> {
        let mut reader = self.open(name_or_uri).await?;
        let copied = async {
            let mut file = tokio::fs::File::create(path).await?;
            tokio::io::copy(&mut reader.bytes, &mut file).await?;
            // A file that is dropped may still be at work.
            tokio::io::AsyncWriteExt::flush(&mut file).await
        };
        let tried = format!("copy the object {name_or_uri} to {}", path.display());
        copied.await.map_err(|error| files::fault(&tried, &error))
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reader").field("length_bytes", &self.length_bytes).finish_non_exhaustive()
    }
}

/// The SHA-256 of an object, in lower-case hex, and its length in bytes. It is read in pieces.
///
/// # Errors
/// Those of the store.
pub async fn sha256_of(objects: &dyn Objects, name_or_uri: &str) -> Result<(String, u64), Fault> {
    let reader = objects.open(name_or_uri).await?;
    let read = files::sha256_of_bytes(reader.bytes).await;
    read.map_err(|error| files::fault(&format!("read the object {name_or_uri}"), &error))
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
