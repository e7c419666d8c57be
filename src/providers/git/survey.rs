//! What a tree holds, before anything of it is written: whether its names are those of files, how much it is, which of its
//! entries are submodules, and whether its bytes depend on the commit (`export-subst`).

use super::bounds;
use super::fault::object_fault;
use super::paths;
use crate::providers::Fault;
use git2::{ErrorCode, ObjectType, Odb, Oid, Repository, Tree};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The longest line that git reads in a `.gitattributes` file (`ATTR_MAX_LINE_LENGTH`); it passes over longer ones.
const LONGEST_LINE: usize = 2_048;

/// What a tree holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// The tree's id, 40 hex digits.
    pub(super) tree: String,
    /// The commits of its submodules by their paths.
    pub(super) submodules: BTreeMap<Vec<u8>, String>,
    /// Whether attributes name `export-subst`, so that bytes may depend on the commit.
    pub(super) substitutes: bool,
    /// The file `.gitmodules` at its top.
    pub(super) gitmodules: Option<Oid>,
    /// The file `.lfsconfig` at its top.
    pub(super) lfsconfig: Option<Oid>,
    bytes: u64,
}

/// Surveys the tree of a commit.
pub(super) fn survey(repository: &Repository, commit: &str) -> Result<Survey, Fault> {
    let tree = paths::tree_of(repository, commit)?;
    let plain = |name: &str| {
        let entry = tree.get_name(name)?;
        matches!(entry.filemode(), 0o100_644 | 0o100_755 | 0o100_664).then(|| entry.id())
    };
    let (gitmodules, lfsconfig) = (plain(".gitmodules"), plain(".lfsconfig"));
    let mut survey = Survey { tree: tree.id().to_string(), gitmodules, lfsconfig, ..Survey::default() };
    let objects = repository.odb().map_err(|error| object_fault(&error))?;
    Walk { repository, objects, sizes: HashMap::new(), survey: &mut survey }.folder(&tree, &mut Vec::new())?;
    Ok(survey)
}

struct Walk<'walk> {
    repository: &'walk Repository,
    objects: Odb<'walk>,
    sizes: HashMap<Oid, u64>,
    survey: &'walk mut Survey,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Tree<'_>, path: &mut Vec<u8>) -> Result<(), Fault> {
        let above = path.len();
        for entry in folder {
            path.extend_from_slice(if above == 0 { b"" } else { b"/" });
            path.extend_from_slice(entry.name_bytes());
            paths::check_name(entry.name_bytes(), path)?;
            match entry.kind() {
                Some(ObjectType::Tree) => {
                    let below = self.repository.find_tree(entry.id()).map_err(|error| object_fault(&error))?;
                    self.folder(&below, path)?;
                }
                Some(ObjectType::Blob) => {
                    self.size(entry.id(), path)?;
                    if entry.name_bytes() == b".gitattributes" {
                        self.attributes(entry.id(), path)?;
                    }
                }
                _ => {
                    self.survey.submodules.insert(path.clone(), entry.id().to_string());
                }
            }
            path.truncate(above);
        }
        Ok(())
    }

    /// Counts a file, as often as it is in the tree.
    fn size(&mut self, blob: Oid, path: &[u8]) -> Result<(), Fault> {
        let size = match self.sizes.get(&blob) {
            Some(size) => *size,
            None => {
                let header = self.objects.read_header(blob);
                let (size, _) = header.map_err(|error| match error.code() {
                    ErrorCode::NotFound => {
                        Fault::retry(format!("'{}' ({blob}) is not in the mirror", path.escape_ascii()))
                    }
                    _ => object_fault(&error),
                })?;
                bounds::check_content(size).map_err(|fault| fault.while_trying(&shown(path)))?;
                self.sizes.insert(blob, size as u64);
                size as u64
            }
        };
        self.survey.bytes = self.survey.bytes.saturating_add(size);
        bounds::check_total(self.survey.bytes)
    }

    fn attributes(&mut self, blob: Oid, path: &[u8]) -> Result<(), Fault> {
        let text = bounds::document(self.repository, blob).map_err(|fault| fault.while_trying(&shown(path)))?;
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if line.len() >= LONGEST_LINE && !line.trim_ascii_start().starts_with(b"#") {
                return Err(Fault::fail(
                    format!("{}:{}: git passes over lines of {LONGEST_LINE} bytes and more", shown(path), number + 1),
                    "write a shorter pattern",
                ));
            }
        }
        const SUBSTITUTES: &[u8] = b"export-subst";
        self.survey.substitutes |= text.windows(SUBSTITUTES.len()).any(|window| window == SUBSTITUTES);
        Ok(())
    }
}

/// A path as it is shown in errors.
pub(super) fn shown(path: &[u8]) -> String {
    match std::str::from_utf8(path) {
        Ok(path) => path.escape_debug().to_string(),
        Err(_) => path.escape_ascii().to_string(),
    }
}

/// Bytes as a path of this machine.
pub(super) fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}
