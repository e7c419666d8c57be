//! This machine: room on its disks, git, the key that signs, and the sandbox.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::statvfs;

use super::finding::{About, Findings, RoomTaken};
use crate::{
    cli::{progress::Progress, settings::Settings, signing::try_it, words},
    providers::git::{GitVersion, Proofs, git_version},
};

/// What works only with a git that is newer than is needed.
const GIT_WANTED: [((u32, u32), &str); 1] = [((2, 46), "credentials of `https` that are sent without being asked for")];
/// How long the sandbox may take to be tried.
const SANDBOX_DEADLINE: Duration = Duration::from_secs(30);
/// Less free room than this is a problem: an append, a fetch or a checkout will fail.
const TOO_LITTLE_BYTES: u64 = 256 << 20;
/// Less than this is worth knowing.
const LITTLE_BYTES: u64 = 2 << 30;
/// How long sizes are counted.
const COUNTING: Duration = Duration::from_secs(60);
/// The folders in the data folder, and what they are for.
const FOLDERS: [(&str, &str); 6] = [
    ("mirrors", "mirrors"),
    ("objects", "artifacts"),
    ("logs", "logs"),
    ("image-builder", "builds"),
    ("environments", "environments"),
    ("jobs", "jobs"),
];

/// How much room there is, and what takes how much of it.
pub(super) async fn disk(settings: &Settings, progress: &Progress, findings: &mut Findings) -> Vec<RoomTaken> {
    let elsewhere = settings.objects_elsewhere();
    for (name, folder) in [("data", &*settings.data), ("scratch", &settings.scratch)] {
        free_room(name, folder, findings);
    }
    elsewhere.iter().for_each(|folder| free_room("objects", folder, findings));
    let data = &settings.data;
    let mut places: Vec<(&str, PathBuf)> = FOLDERS.map(|(folder, of)| (of, data.join(folder))).into();
    places.extend([("scratch", settings.scratch.clone()), ("caches", settings.caches.clone())]);
    places.extend(elsewhere.map(|folder| ("artifacts", folder)));
    let until = Instant::now() + COUNTING;
    let mut taken = vec![database(settings)];
    let count = places.len() as u64;
    for (done, (of, path)) in places.into_iter().enumerate() {
        progress.tell(done as u64, count);
        if !path.is_dir() {
            continue;
        }
        let counted = tokio::task::spawn_blocking({
            let path = path.clone();
            move || size_of(&path, until)
        });
        let (bytes, counted) = counted.await.unwrap_or((0, false));
        taken.push(RoomTaken { of: of.to_owned(), path: path.display().to_string(), bytes, counted });
    }
    let listed: Vec<String> = taken
        .iter()
        .map(|it| format!("{} {}{}", it.of, if it.counted { "" } else { "more than " }, words::bytes(it.bytes)))
        .collect();
    findings.good(About::Disk, None, format!("in use: {}", listed.join(", ")));
    taken
}

fn free_room(name: &str, folder: &Path, findings: &mut Findings) {
    // A folder that is not there yet will be made in the nearest one that is.
    let Some(there) = folder.ancestors().find(|folder| folder.is_dir()) else { return };
    let Ok(disk) = statvfs(there) else { return };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let files_left = disk.f_files == 0 || disk.f_favail > disk.f_files / 100;
    let place = format!("`{name}` ({})", folder.display());
    let said = format!("{} free for {place}", words::bytes(free));
    let remedy = "free some disk space, or let the settings name a folder on another disk";
    match () {
        () if free < TOO_LITTLE_BYTES => findings.bad(About::Disk, None, format!("only {said}"), remedy),
        () if free < LITTLE_BYTES => findings.warn(About::Disk, None, format!("only {said}"), remedy),
        () if !files_left => {
            let what = format!("less than 1 % of the files that its disk can have are left for {place}");
            findings.warn(About::Disk, None, what, "remove small files from this disk");
        }
        () => findings.good(About::Disk, None, said),
    }
}

fn database(settings: &Settings) -> RoomTaken {
    let path = settings.database();
    let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
    let size = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    let bytes = size(&path) + size(&beside("-wal"));
    RoomTaken { of: "database".to_owned(), path: path.display().to_string(), bytes, counted: true }
}

/// The size of all files below a folder, and whether all were counted in time.
fn size_of(folder: &Path, until: Instant) -> (u64, bool) {
    let (mut bytes, mut folders) = (0, vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        if Instant::now() > until {
            return (bytes, false);
        }
        // What goes away while it is counted takes no room.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) => bytes += metadata.len(),
                Err(_) => {}
            }
        }
    }
    (bytes, true)
}

/// Whether there is a git that is new enough.
pub(super) async fn git(settings: &Settings, findings: &mut Findings) {
    let program = settings.git_options(Proofs::none()).program;
    let asked = tokio::task::spawn_blocking(move || git_version(&program)).await;
    let GitVersion { numbers, text } = match asked.expect("asking for a version does not panic") {
        Ok(version) => version,
        Err(fault) => {
            let (error, hint) = super::repositories::parted(fault);
            return findings.bad(About::Git, None, error, hint);
        }
    };
    findings.good(About::Git, None, format!("git {text}"));
    for ((major, minor), what) in GIT_WANTED.into_iter().filter(|(needed, _)| numbers < *needed) {
        let said = format!("git {text} does without {what}, for which it takes {major}.{minor}");
        findings.warn(About::Git, None, said, format!("install git {major}.{minor} or newer where that is needed"));
    }
}

/// Whether commits can be signed.
pub(super) async fn signing(settings: &Settings, findings: &mut Findings) {
    let Some(signer) = settings.signer() else { return };
    match try_it(&signer).await {
        Ok(()) => findings.good(About::Signing, None, format!("commits can be signed with the key {}", signer.key)),
        Err(fault) => {
            let (error, hint) = super::repositories::parted(fault);
            findings.bad(About::Signing, None, error, hint);
        }
    }
}

/// Whether commands can be put into a box.
pub(super) async fn sandbox(settings: &Settings, findings: &mut Findings) {
    let sandbox = match settings.sandbox() {
        Ok(sandbox) => sandbox,
        Err(error) => return findings.bad(About::Sandbox, None, format!("{error:#}"), "start the program by its path"),
    };
    if !sandbox.is_on() {
        let what = "`sandbox = \"none\"`: commands of repositories can do all that Tidegate can";
        return findings.warn(
            About::Sandbox,
            None,
            what,
            "install bubblewrap and take the line out (docs/security.md)",
        );
    }
    let probe = tokio::task::spawn_blocking(move || sandbox.probe());
    match tokio::time::timeout(SANDBOX_DEADLINE, probe).await {
        Ok(Ok(Ok(lacking))) => {
            findings.good(About::Sandbox, None, "commands of repositories run in it");
            for it in lacking {
                let what = format!("it has less than it could: {it}");
                findings.warn(About::Sandbox, None, what, "run a newer kernel where that matters (docs/security.md)");
            }
        }
        Ok(Ok(Err(missing))) => {
            let (what, remedy) = missing.split_once("; ").unwrap_or((&missing, ""));
            findings.bad(About::Sandbox, None, what, remedy);
        }
        _ => findings.bad(About::Sandbox, None, "trying it did not end", "run `bwrap --ro-bind / / true` by hand"),
    }
}
