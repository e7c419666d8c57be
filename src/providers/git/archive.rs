//! Archives of a tree as `git archive` makes them: what `.gitattributes` says of them, line ends and encodings are git's own
//! business. The packing is ours, so that the same tree, options and fetched files give the same bytes: entries in git's order,
//! owner 0, one fixed time, modes 644 and 755, no folders of their own but empty ones, nothing about this machine.

use super::fault::disk_fault;
use super::gather::{Gathered, Taker, Wanted, own_attributes};
use super::glob;
use super::mirror::{Mirror, Mirrors};
use super::survey::{Survey, survey};
use super::taking::Taking;
use crate::providers::Fault;
use flate2::{Compression, GzBuilder};
use globset::GlobSet;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The time of every entry, 1980-01-01: no tool calls it implausible.
const ENTRY_SECONDS: u64 = 315_532_800;
/// Raised whenever the same tree would give other bytes than before.
const BYTES_VERSION: u32 = 3;
const ZSTD_LEVEL: i32 = 9;
/// The longest name or link that fits into a header.
const LONGEST_SHORT: usize = 100;

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
    /// What becomes of what the tree says but does not hold.
    pub taking: Taking,
}

impl ArchiveOptions {
    /// What an archive is known by before it is made: 64 hex digits. Equal identities mean equal bytes. The tree names all
    /// that is in it, also the digests of LFS objects and the commits of submodules; the commit counts only where files are
    /// filled in with it (`export-subst`), and the mirror's own attributes where somebody wrote some.
    fn identity(&self, commit: &str, survey: &Survey, attributes: &[u8]) -> String {
        let mut exclude: Vec<_> = self.exclude.iter().map(String::as_str).collect();
        exclude.sort_unstable();
        exclude.dedup();
        let (version, attributes) = (BYTES_VERSION.to_string(), attributes.escape_ascii().to_string());
        let substituted = survey.substitutes || attributes.contains("export-subst");
        let commit = if substituted { commit } else { "" };
        let own = ["archive", &version, self.format.extension(), &survey.tree, self.taking.name(), commit, &attributes];
        hex(&Sha256::digest([&own, &exclude[..]].concat().join("\0")))
    }

    fn wanted(&self, deadline: Instant) -> Result<Wanted, Fault> {
        Ok(Wanted { taking: self.taking, exclude: self.excluded()?, exported: true, deadline })
    }

    fn excluded(&self) -> Result<GlobSet, Fault> {
        let glob = |pattern: &String| {
            let malformed = || format!("`exclude`: `{pattern}` is not a pattern");
            let hint = "close every `[`, or write `\\[`";
            glob::path(pattern.trim_matches('/')).ok_or_else(|| Fault::fail(malformed(), hint))
        };
        let exclude = self.exclude.iter().map(glob).collect::<Result<Vec<_>, _>>()?;
        glob::set(&exclude, "`exclude`")
    }
}

/// A finished archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveInfo {
    /// What it is known by, as [`Mirror::archive_identity`] says.
    pub identity: String,
    /// The SHA-256 of its bytes, 64 hex digits.
    pub sha256: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// What git had to say while it read the tree: of attributes that it does not understand, say. Mostly empty.
    pub warnings: String,
}

impl Mirror {
    /// What an archive of a commit's tree with these options is known by before it is made: 64 hex digits. Equal identities
    /// mean equal bytes.
    ///
    /// # Errors
    /// When the commit is not there, and when its tree cannot be packed.
    pub async fn archive_identity(&self, commit: &str, options: &ArchiveOptions) -> Result<String, Fault> {
        let (id, options, attributes) = (commit.to_owned(), options.clone(), own_attributes(self)?);
        self.long_with_repository(move |repository| Ok(options.identity(&id, &survey(repository, &id)?, &attributes)))
            .await
    }
}

impl Mirrors {
    /// Archives the tree of a commit that is in the mirror into the file `destination`, which appears whole or not at all.
    ///
    /// # Errors
    /// `Fail`, with the paths, for what is refused and what cannot be fetched; `Retry` for what may pass.
    pub async fn archive(
        &self,
        mirror: &Arc<Mirror>,
        commit: &str,
        options: &ArchiveOptions,
        destination: &Path,
        deadline: Duration,
    ) -> Result<ArchiveInfo, Fault> {
        let attributes = own_attributes(mirror)?;
        let wanted = options.wanted(Instant::now() + deadline)?;
        let gathered = self.gather(mirror, commit, destination, wanted).await?;
        let identity = options.identity(commit, gathered.survey(), &attributes);
        let (format, destination) = (options.format, destination.to_owned());
        let packed = tokio::task::spawn_blocking(move || {
            let partial = partial_path(&destination);
            let made = write_file(&gathered, format, &partial);
            let finished = made.and_then(|(sha256, size_bytes)| {
                fs::rename(&partial, &destination).map_err(|error| disk_fault("writing", &destination, &error))?;
                Ok(ArchiveInfo { identity, sha256, size_bytes, warnings: gathered.warnings.clone() })
            });
            if finished.is_err() {
                // What is left of it is named after its process and in nobody's way.
                let _ = fs::remove_file(&partial);
            }
            finished
        });
        packed.await.map_err(|error| Fault::retry(format!("packing broke off: {error}")))?
    }

    /// The paths of what an archive with these options would fetch. `place` is where it may work.
    ///
    /// # Errors
    /// As [`Mirrors::archive`].
    pub async fn archive_fetches(
        &self,
        mirror: &Arc<Mirror>,
        commit: &str,
        options: &ArchiveOptions,
        (place, deadline): (&Path, Duration),
    ) -> Result<Vec<String>, Fault> {
        self.elsewhere(mirror, commit, place, options.wanted(Instant::now() + deadline)?).await
    }
}

fn partial_path(destination: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut name = destination.as_os_str().to_owned();
    name.push(format!(".partial-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
    PathBuf::from(name)
}

/// Says the SHA-256 of what was written, and its size in bytes.
fn write_file(gathered: &Gathered, format: ArchiveFormat, path: &Path) -> Result<(String, u64), Fault> {
    let disk = |error: io::Error| disk_fault("writing", path, &error);
    let file = File::create(path).map_err(disk)?;
    let output = Measured { inner: BufWriter::new(file), digest: Sha256::new(), size_bytes: 0 };
    let output = match format {
        ArchiveFormat::TarGz => {
            // No file name, no time, no operating system in the header.
            let packer = GzBuilder::new().mtime(0).operating_system(255).write(output, Compression::default());
            Tar::filled(gathered, packer, path)?.finish().map_err(disk)?
        }
        ArchiveFormat::TarZst => {
            let packer = zstd::Encoder::new(output, ZSTD_LEVEL).map_err(disk)?;
            Tar::filled(gathered, packer, path)?.finish().map_err(disk)?
        }
    };
    let Measured { inner, digest, size_bytes } = output;
    let file = inner.into_inner().map_err(|error| disk(error.into_error()))?;
    file.sync_all().map_err(disk)?;
    Ok((hex(&digest.finalize()), size_bytes))
}

/// The entries of an archive on their way into a packer.
struct Tar<'path, W: Write> {
    builder: tar::Builder<W>,
    /// A folder that nothing in it has followed yet: only empty ones have entries.
    folder: Option<Vec<u8>>,
    path: &'path Path,
}

impl<'path, W: Write> Tar<'path, W> {
    fn filled(gathered: &Gathered, packer: W, path: &'path Path) -> Result<W, Fault> {
        let mut tar = Self { builder: tar::Builder::new(packer), folder: None, path };
        gathered.hand_over(&mut tar)?;
        tar.follow(b"")?;
        tar.builder.into_inner().map_err(|error| disk_fault("writing", path, &error))
    }

    /// Appends the folder before, when what follows is not in it.
    fn follow(&mut self, path: &[u8]) -> Result<(), Fault> {
        match self.folder.take().filter(|folder| !path.starts_with(folder)) {
            Some(folder) => self.append(tar::EntryType::Directory, 0o755, (&folder, b""), (0, &mut io::empty())),
            None => Ok(()),
        }
    }

    /// Names are bytes, so they are written as they are; the builder's own ways would make paths of them.
    fn append(
        &mut self,
        kind: tar::EntryType,
        mode: u32,
        (path, link): (&[u8], &[u8]),
        (size_bytes, content): (u64, &mut dyn Read),
    ) -> Result<(), Fault> {
        let written = (|| {
            self.append_long(tar::EntryType::GNULongLink, link)?;
            self.append_long(tar::EntryType::GNULongName, path)?;
            let mut header = plain_header(kind, mode, size_bytes);
            let old = header.as_old_mut();
            let (path, link) = (&path[..path.len().min(LONGEST_SHORT)], &link[..link.len().min(LONGEST_SHORT)]);
            old.name[..path.len()].copy_from_slice(path);
            old.linkname[..link.len()].copy_from_slice(link);
            header.set_cksum();
            let mut content = content.take(size_bytes);
            self.builder.append(&header, &mut content)?;
            match content.limit() {
                0 => Ok(()),
                left => {
                    Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{left} bytes of a file are missing")))
                }
            }
        })();
        written.map_err(|error| disk_fault("writing", self.path, &error))
    }

    /// A name that is too long for a header has an entry of its own before it.
    fn append_long(&mut self, kind: tar::EntryType, name: &[u8]) -> io::Result<()> {
        if name.len() <= LONGEST_SHORT {
            return Ok(());
        }
        const LONG: &[u8] = b"././@LongLink";
        let mut header = plain_header(kind, 0o644, name.len() as u64 + 1);
        header.as_old_mut().name[..LONG.len()].copy_from_slice(LONG);
        header.set_mtime(0);
        header.set_cksum();
        self.builder.append(&header, [name, &[0]].concat().as_slice())
    }
}

impl<W: Write> Taker for Tar<'_, W> {
    fn folder(&mut self, path: &[u8]) -> Result<(), Fault> {
        self.follow(path)?;
        self.folder = Some([path, b"/"].concat());
        Ok(())
    }

    fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), Fault> {
        self.follow(path)?;
        self.append(tar::EntryType::Symlink, 0o777, (path, target), (0, &mut io::empty()))
    }

    fn file(&mut self, path: &[u8], executable: bool, size_bytes: u64, content: &mut dyn Read) -> Result<(), Fault> {
        self.follow(path)?;
        let mode = if executable { 0o755 } else { 0o644 };
        self.append(tar::EntryType::Regular, mode, (path, b""), (size_bytes, content))
    }
}

fn plain_header(kind: tar::EntryType, mode: u32, size_bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(ENTRY_SECONDS);
    header.set_mode(mode);
    header.set_size(size_bytes);
    header
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
