//! The files of a commit in a folder, as a `git clone` on Linux gives them, and single files of it. Nothing is written outside
//! of the folder: every folder and file is made anew, and a link that could lead out is refused.

use super::fault::disk_fault;
use super::gather::{Taker, Wanted};
use super::mirror::{Mirror, Mirrors};
use super::survey::{as_path, shown};
use super::taking::Taking;
use crate::providers::Fault;
use globset::GlobSet;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Component, Path};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

impl Mirrors {
    /// Writes the files of a commit that is in the mirror below `directory`, which is created and must be empty. A symbolic
    /// link that leads out of the tree is refused. Says what git complained of.
    ///
    /// # Errors
    /// `Fail`, with the paths, for what is refused and what cannot be fetched; `Retry` for what may pass.
    pub async fn checkout(
        &self,
        mirror: &Arc<Mirror>,
        commit: &str,
        directory: &Path,
        taking: Taking,
        deadline: Duration,
    ) -> Result<String, Fault> {
        let wanted = whole(taking, deadline);
        let gathered = self.gather(mirror, commit, directory, wanted).await?;
        let directory = directory.to_owned();
        let written = tokio::task::spawn_blocking(move || {
            fs::create_dir_all(&directory).map_err(|error| disk_fault("creating", &directory, &error))?;
            gathered.hand_over(&mut Files { root: &directory })?;
            Ok(gathered.warnings.clone())
        });
        written.await.map_err(|error| Fault::retry(format!("checking out broke off: {error}")))?
    }

    /// The paths of what a checkout would fetch. `place` is where it may work.
    ///
    /// # Errors
    /// As [`Mirrors::checkout`].
    pub async fn checkout_fetches(
        &self,
        mirror: &Arc<Mirror>,
        commit: &str,
        taking: Taking,
        (place, deadline): (&Path, Duration),
    ) -> Result<Vec<String>, Fault> {
        self.elsewhere(mirror, commit, place, whole(taking, deadline)).await
    }
}

fn whole(taking: Taking, deadline: Duration) -> Wanted {
    Wanted { taking, exclude: GlobSet::empty(), exported: false, deadline: Instant::now() + deadline }
}

/// Writes files below a folder.
struct Files<'root> {
    root: &'root Path,
}

impl Taker for Files<'_> {
    fn folder(&mut self, path: &[u8]) -> Result<(), Fault> {
        let target = self.root.join(as_path(path));
        fs::create_dir(&target).map_err(|error| disk_fault("creating", &target, &error))
    }

    fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), Fault> {
        let (inside, link) = (as_path(path), as_path(target));
        if leaves(inside.parent().unwrap_or(Path::new("")), link) {
            return Err(Fault::fail(
                format!("the symbolic link '{}' leads to '{}', outside of the repository", shown(path), shown(target)),
                "let it lead to a file of the repository, or remove it",
            ));
        }
        let place = self.root.join(inside);
        symlink(link, &place).map_err(|error| disk_fault("writing", &place, &error))
    }

    fn file(&mut self, path: &[u8], executable: bool, size_bytes: u64, content: &mut dyn Read) -> Result<(), Fault> {
        let target = self.root.join(as_path(path));
        let permissions = if executable { 0o755 } else { 0o644 };
        let written = (|| {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(permissions).open(&target)?;
            match io::copy(content, &mut file)? {
                whole if whole == size_bytes => Ok(()),
                part => Err(io::Error::other(format!("{part} of {size_bytes} bytes came"))),
            }
        })();
        written.map_err(|error| disk_fault("writing", &target, &error))
    }
}

/// Whether a link in the folder `below` could lead out of the tree. `..` counts only at its beginning, where the
/// folders are known to be real; after a name it could be that of another link's target, and is refused.
fn leaves(below: &Path, link: &Path) -> bool {
    let mut depth = below.components().count();
    let mut named = false;
    for component in link.components() {
        match component {
            Component::Normal(_) => named = true,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 && !named => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return true,
        }
    }
    false
}
