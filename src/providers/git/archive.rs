//! Archives of a tree, straight from git objects. The same tree, format and exclusions give the same bytes, whichever
//! commit they come from: entries in git's order, owner 0, one fixed time, modes 644 and 755, no directories of
//! their own, nothing about this machine. Files are stored as they are committed: no line-ending conversion, no
//! `export-subst`, no LFS download. Memory is bounded by the largest file.

use super::attributes::ExportRules;
use super::bounds;
use super::fault::{disk_fault, object_fault};
use super::glob;
use super::mirror::Mirror;
use super::paths;
use crate::providers::Fault;
use flate2::{Compression, GzBuilder};
use git2::{ObjectType, Repository, Tree};
use globset::GlobSet;
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The time of every entry, 1980-01-01: no tool calls it implausible.
const ENTRY_SECONDS: u64 = 315_532_800;
/// Raised whenever the same tree would give other bytes than before.
const BYTES_VERSION: u32 = 2;
const ZSTD_LEVEL: i32 = 9;

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// `tar.gz`
    TarGz,
    /// `tar.zst`
    TarZst,
}

impl ArchiveFormat {
    /// The file name's ending without a first dot: `tar.gz` or `tar.zst`.
    pub fn extension(self) -> &'static str {
        match self {
            Self::TarGz => "tar.gz",
            Self::TarZst => "tar.zst",
        }
    }
}

/// What goes into an archive, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveOptions {
    /// How it is packed.
    pub format: ArchiveFormat,
    /// What is left out, beside what `.gitattributes` marks `export-ignore`: files and folders by their path from
    /// the repository's top (`docs/`), or by pattern (`*.md` at the top, `**/*.md` everywhere).
    pub exclude: Vec<String>,
}

impl ArchiveOptions {
    /// What an archive of `tree` (40 hex digits) with these options is known by before it is made: 64 hex digits.
    /// Equal identities mean equal bytes.
    pub fn identity(&self, tree: &str) -> String {
        let mut exclude: Vec<_> = self.exclude.iter().map(String::as_str).collect();
        exclude.sort_unstable();
        exclude.dedup();
        let version = BYTES_VERSION.to_string();
        let fields = [&["archive", &version, self.format.extension(), tree], &exclude[..]].concat();
        hex(&Sha256::digest(fields.join("\0")))
    }
}

/// A finished archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveInfo {
    /// [`ArchiveOptions::identity`] of the tree that is in it.
    pub identity: String,
    /// The SHA-256 of its bytes, 64 hex digits.
    pub sha256: String,
    /// Its size in bytes.
    pub size_bytes: u64,
}

impl Mirror {
    /// Archives a commit's tree into the file `destination`, which appears whole or not at all.
    pub async fn archive(
        &self,
        commit: &str,
        options: &ArchiveOptions,
        destination: &Path,
    ) -> Result<ArchiveInfo, Fault> {
        let (commit, options, destination) = (commit.to_owned(), options.clone(), destination.to_owned());
        self.long_with_repository(move |repository| {
            let tree = paths::tree_of(repository, &commit)?;
            let partial = partial_path(&destination);
            let made = write_file(repository, &tree, &options, &partial);
            let finished = made.and_then(|info| {
                fs::rename(&partial, &destination).map_err(|error| disk_fault("writing", &destination, &error))?;
                Ok(info)
            });
            if finished.is_err() {
                // What is left of it is named after its process and in nobody's way.
                let _ = fs::remove_file(&partial);
            }
            finished
        })
        .await
    }
}

fn partial_path(destination: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut name = destination.as_os_str().to_owned();
    name.push(format!(".partial-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
    PathBuf::from(name)
}

fn write_file(
    repository: &Repository,
    tree: &Tree<'_>,
    options: &ArchiveOptions,
    path: &Path,
) -> Result<ArchiveInfo, Fault> {
    let disk = |error: io::Error| disk_fault("writing", path, &error);
    let file = File::create(path).map_err(disk)?;
    let output = Measured { inner: BufWriter::new(file), digest: Sha256::new(), size_bytes: 0 };
    let output = match options.format {
        ArchiveFormat::TarGz => {
            // No file name, no time, no operating system in the header.
            let packer = GzBuilder::new().mtime(0).operating_system(255).write(output, Compression::default());
            Contents::new(repository, options, packer)?.write_all(tree, path)?.finish().map_err(disk)?
        }
        ArchiveFormat::TarZst => {
            let packer = zstd::Encoder::new(output, ZSTD_LEVEL).map_err(disk)?;
            Contents::new(repository, options, packer)?.write_all(tree, path)?.finish().map_err(disk)?
        }
    };
    let Measured { inner, digest, size_bytes } = output;
    let file = inner.into_inner().map_err(|error| disk(error.into_error()))?;
    file.sync_all().map_err(disk)?;
    let identity = options.identity(&tree.id().to_string());
    Ok(ArchiveInfo { identity, sha256: hex(&digest.finalize()), size_bytes })
}

/// The entries of an archive on their way into a packer.
struct Contents<'a, W: Write> {
    repository: &'a Repository,
    exclude: GlobSet,
    builder: tar::Builder<W>,
}

impl<'a, W: Write> Contents<'a, W> {
    fn new(repository: &'a Repository, options: &ArchiveOptions, packer: W) -> Result<Self, Fault> {
        let glob = |pattern: &String| {
            let malformed = || format!("`exclude`: `{pattern}` is not a pattern");
            let hint = "close every `[`, or write `\\[`";
            glob::path(pattern.trim_matches('/')).ok_or_else(|| Fault::fail(malformed(), hint))
        };
        let exclude = options.exclude.iter().map(glob).collect::<Result<Vec<_>, _>>()?;
        let exclude = glob::set(&exclude, "`exclude`")?;
        Ok(Self { repository, exclude, builder: tar::Builder::new(packer) })
    }

    fn write_all(mut self, tree: &Tree<'_>, path: &Path) -> Result<W, Fault> {
        self.folder(tree, "", &ExportRules::default(), path)?;
        self.builder.into_inner().map_err(|error| disk_fault("writing", path, &error))
    }

    fn folder(&mut self, tree: &Tree<'_>, below: &str, rules: &ExportRules, path: &Path) -> Result<(), Fault> {
        let rules = match tree.get_name(".gitattributes").filter(|entry| entry.kind() == Some(ObjectType::Blob)) {
            Some(entry) => {
                let text = bounds::document(self.repository, entry.id())?;
                rules.with(below, &String::from_utf8_lossy(&text))?
            }
            None => rules.clone(),
        };
        for entry in tree {
            let name = String::from_utf8_lossy(entry.name_bytes());
            let shown = if below.is_empty() { name.into_owned() } else { format!("{below}/{name}") };
            let is_folder = entry.kind() == Some(ObjectType::Tree);
            if rules.ignores(&shown, is_folder) || self.exclude.is_match(&shown) {
                continue;
            }
            match entry.kind() {
                Some(ObjectType::Tree) => {
                    let folder = self.repository.find_tree(entry.id()).map_err(|error| object_fault(&error))?;
                    self.folder(&folder, &shown, &rules, path)?;
                }
                Some(ObjectType::Blob) => {
                    let content = bounds::content(self.repository, entry.id())?;
                    self.file(Path::new(&shown), entry.filemode(), &content)
                        .map_err(|error| disk_fault("writing", path, &error))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn file(&mut self, name: &Path, mode: i32, content: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(ENTRY_SECONDS);
        if mode == 0o120_000 {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            return self.builder.append_link(&mut header, name, OsStr::from_bytes(content));
        }
        header.set_mode(if mode == 0o100_755 { 0o755 } else { 0o644 });
        header.set_size(content.len() as u64);
        self.builder.append_data(&mut header, name, content)
    }
}

/// Counts and digests what passes.
struct Measured<W> {
    inner: W,
    digest: Sha256,
    size_bytes: u64,
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.size_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
