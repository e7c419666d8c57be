//! Which names objects may have: those that every store can keep, so that a name means the same whatever keeps it.

use std::path::{Component, Path};

use crate::providers::Fault;

/// The longest name. S3 takes 1,024 bytes.
const LONGEST_NAME_BYTES: usize = 1_024;
/// The longest part of a name. A file system takes 255 bytes.
const LONGEST_PART_BYTES: usize = 255;

/// The name, if an object may be called so.
pub(super) fn checked(name: &str) -> Result<&str, Fault> {
    let fits = |part: &str| !part.is_empty() && part.len() <= LONGEST_PART_BYTES;
    let visible = |part: &str| !part.starts_with('.') && part.bytes().all(|b| b.is_ascii_graphic());
    let normal = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    let parts = name.split('/').all(|part| fits(part) && visible(part));
    if normal && parts && !name.contains('\\') && !is_uri(name) && name.len() <= LONGEST_NAME_BYTES {
        return Ok(name);
    }
    Err(Fault::fail(
        format!("{name:?} is not an object's name"),
        format!(
            "use a relative path of at most {LONGEST_NAME_BYTES} bytes, whose parts have at most {LONGEST_PART_BYTES}, have no \
             spaces or control characters and begin with no dot"
        ),
    ))
}

/// Whether a text is the URI of an object, in whatever store.
pub(super) fn is_uri(name_or_uri: &str) -> bool {
    name_or_uri.starts_with("file:") || name_or_uri.contains("://")
}

/// That a URI is not of the store that it was given to.
pub(super) fn of_another(uri: &str, store: &str) -> Fault {
    Fault::fail(format!("{uri} is not an object of the store {store}"), "give the URI that the store gave")
}
