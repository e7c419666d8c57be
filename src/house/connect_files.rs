//! The files of an App: a folder with its key and secrets, which appears whole or not at all, and its lines in the settings file.
//! What is there is never overwritten.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};

use super::{forges::GITHUB_COM, private, settings::Settings};
use crate::{
    engine::explain,
    house::now_ms,
    providers::{
        files::{read_bounded, sync_directory},
        forge::github::manifest::NewApp,
    },
};

/// What only the owner may read and write.
const OWNER_ONLY: u32 = 0o600;
/// How long the settings file may be, in bytes, to be written by us.
const LONGEST_SETTINGS: u64 = 1024 * 1024;
/// What the name of a folder begins with that is not finished.
const PARTIAL: &str = ".new-";
/// After so long nobody finishes one.
const ABANDONED_AFTER: Duration = Duration::from_secs(3_600);
/// How many folders of Apps are looked at.
const MOST_FOLDERS: usize = 64;
const KEY: &str = "private-key.pem";
const WEBHOOK_SECRET: &str = "webhook-secret";
const CLIENT_SECRET: &str = "client-secret";
/// The lines of an App, beside its secrets.
const LINES: &str = "lines.toml";

/// The lines of an App for the settings file.
#[derive(Debug, Clone)]
pub(super) struct Lines(pub(super) String);

/// A folder for an App that is not known yet. It goes away with this.
pub(super) struct Folder {
    apps: PathBuf,
    partial: PathBuf,
}

/// The folder of an App.
pub(super) struct Kept {
    pub(super) lines: Lines,
    id: u64,
}

impl Folder {
    /// Makes it: where there is no room or right for it, nothing is asked of GitHub.
    pub(super) fn prepare(data: &Path) -> anyhow::Result<Self> {
        let apps = data.join("github");
        let partial = apps.join(format!("{PARTIAL}{}-{}", std::process::id(), now_ms()));
        let of = || format!("cannot make {} for the App's secrets", partial.display());
        private::folder(&apps).with_context(of)?;
        remove_abandoned(&apps);
        fs::create_dir(&partial).with_context(of)?;
        let folder = Self { apps: apps.clone(), partial: partial.clone() };
        private::folder(&folder.partial).and_then(|()| sync_directory(&folder.apps)).with_context(of)?;
        // As much room as the secrets take.
        let trial = folder.partial.join(KEY);
        write_new(&trial, &"x".repeat(16 * 1_024)).and_then(|()| Ok(fs::remove_file(&trial)?)).with_context(of)?;
        Ok(folder)
    }

    /// Writes the secrets down. They are durable when this returns.
    pub(super) fn keep(&self, app: &NewApp, host: &str, url: &str, by: &str, settings: &Path) -> anyhow::Result<Kept> {
        // The numbers of two GitHubs may be the same.
        let folder = self.apps.join(format!("{}-{}", host.replace(|it: char| !is_plain(it), "-"), app.id));
        let of = || format!("cannot write the App's secrets to {}", folder.display());
        let lines = lines(app, &folder, url, by, settings).with_context(of)?;
        let write = |name: &str, text: &str| write_new(&self.partial.join(name), text).with_context(of);
        write(KEY, app.key.expose())?;
        if let Some(secret) = &app.webhook_secret {
            write(WEBHOOK_SECRET, &format!("{}\n", secret.expose()))?;
        }
        write(CLIENT_SECRET, &format!("{}\n", app.client_secret.expose()))?;
        write(LINES, &lines.0)?;
        sync_directory(&self.partial).with_context(of)?;
        // A folder with something in it is not replaced.
        fs::rename(&self.partial, &folder).with_context(of)?;
        sync_directory(&self.apps).with_context(of)?;
        Ok(Kept { lines, id: app.id })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Where it became an App's, there is none of this name.
        drop(fs::remove_dir_all(&self.partial));
    }
}

impl Kept {
    /// Adds the lines to the settings file, at its end: what is there stays as it is, byte for byte.
    ///
    /// # Errors
    /// Why it is not written. Nothing of it has changed then.
    pub(super) fn add_to(&self, settings: &Path) -> anyhow::Result<()> {
        let file = fs::canonicalize(settings).with_context(|| format!("where is {}?", settings.display()))?;
        let shown = file.display();
        let folder = file.parent().unwrap_or(Path::new("/"));
        if let Some(repository) = folder.ancestors().find(|folder| folder.join(".git").exists()) {
            bail!("{shown} is in the git repository {}, where changes are committed", repository.display());
        }
        let of = || format!("cannot write {shown}");
        let before = read_bounded(&file, LONGEST_SETTINGS).with_context(of)?;
        let text = String::from_utf8(before.clone()).with_context(of)?;
        let gap = if text.is_empty() || text.ends_with("\n\n") { "" } else { "\n" };
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let text = format!("{text}{end}{gap}{}", self.lines.0);
        let partial = Partial(folder.join(format!(".tidegate.toml.{}", std::process::id())));
        partial.write(&file, &text).with_context(of)?;
        // Whatever would be wrong with the file is known before it is there.
        let read = Settings::read(&partial.0)?;
        if read.forges.github.and_then(|github| github.app_id) != Some(self.id) {
            bail!("{shown} has another App by now");
        }
        if read_bounded(&file, LONGEST_SETTINGS).with_context(of)? != before {
            bail!("{shown} was changed by somebody else at this moment");
        }
        fs::rename(&partial.0, &file).and_then(|()| sync_directory(folder)).with_context(of)
    }
}

/// A file on its way. It goes away with this.
struct Partial(PathBuf);

impl Partial {
    /// As the other is in owner and mode.
    fn write(&self, like: &Path, text: &str) -> anyhow::Result<()> {
        let like = fs::metadata(like)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(&self.0)?;
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
            fchown(&file, Some(like.uid()), Some(like.gid())).context("it belongs to another user")?;
        }
        file.set_permissions(like.permissions())?;
        file.write_all(text.as_bytes())?;
        Ok(file.sync_all()?)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

/// Removes folders that nobody has finished, and nobody will: their code is good no more.
fn remove_abandoned(apps: &Path) {
    let Ok(all) = fs::read_dir(apps) else { return };
    for entry in all.filter_map(Result::ok).filter(|entry| is_partial(&entry.file_name())) {
        let made = entry.metadata().and_then(|metadata| metadata.modified());
        if made.is_ok_and(|made| made.elapsed().is_ok_and(|ago| ago > ABANDONED_AFTER)) {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

fn is_partial(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PARTIAL.as_bytes())
}

/// The newest App that was made, and its folder.
pub(super) fn unfinished(data: &Path) -> Option<(String, String)> {
    let folders = fs::read_dir(data.join("github")).ok()?.take(MOST_FOLDERS).filter_map(Result::ok);
    let folders = folders.filter(|entry| !is_partial(&entry.file_name()));
    let lines = folders.filter_map(|entry| {
        let lines = entry.path().join(LINES);
        let written = lines.metadata().ok()?.modified().ok()?;
        let text = String::from_utf8(read_bounded(&lines, LONGEST_SETTINGS).ok()?).ok()?;
        Some((written, text, entry.path().display().to_string()))
    });
    lines.max().map(|(_, text, folder)| (text, folder))
}

fn lines(app: &NewApp, folder: &Path, url: &str, by: &str, settings: &Path) -> anyhow::Result<Lines> {
    let beside = settings.parent().unwrap_or(Path::new("/"));
    let folder = folder.strip_prefix(beside).unwrap_or(folder);
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let file = |name: &str| {
        let path = folder.join(name);
        path.to_str().map(quoted).with_context(|| format!("the path {} is not UTF-8", path.display()))
    };
    let by: String = by.chars().filter(|it| !it.is_control()).collect();
    let mut text =
        format!("# The App {} at GitHub, made by {by} at {}.\n[forges.github]\n", app.page, explain::time(now_ms()));
    if url != GITHUB_COM {
        text.push_str(&format!("url = {}\n", quoted(url)));
    }
    text.push_str(&format!("app_id = {}\nprivate_key_file = {}\n", app.id, file(KEY)?));
    if app.webhook_secret.is_some() {
        text.push_str(&format!("webhook_secret_file = {}\n", file(WEBHOOK_SECRET)?));
    }
    text.push_str(&format!("client_id = {}\nclient_secret_file = {}\n", quoted(&app.client_id), file(CLIENT_SECRET)?));
    Ok(Lines(text))
}

fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(file.sync_all()?)
}

const fn is_plain(it: char) -> bool {
    it.is_ascii_alphanumeric() || matches!(it, '.' | '-')
}
