//! The demo's folder: three real repositories, a rules file and a settings file. Made once; a killed demo finds what is
//! there and makes the rest.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::cli::asker::OsUser;
use anyhow::Context;
use git2::{Repository, Signature, Time, build::TreeUpdateBuilder};

use crate::cli::unboxed;

/// When the demo's own commits say that they were made: a fixed time, so that they are always the same commits.
const COMMITTED_AT_SECONDS: i64 = 1_767_225_600;
/// The stages' branches.
const BRANCHES: [&str; 3] = ["dev", "qa", "main"];
/// The version that Ada's change brings.
pub(super) const NEW_VERSION: &str = "webshop 2.0\n";

/// The demo's folder.
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes what is missing of the folder.
    pub(super) fn prepare(root: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(root.join("repositories")).with_context(|| format!("cannot make {}", root.display()))?;
        fs::create_dir_all(root.join("promotion-rules"))?;
        let root = root.canonicalize()?;
        let folder = Self { root };
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let template = include_str!("seed/template.yaml").replace("@PROGRAM@", &program.display().to_string());
        folder.repository(
            "software",
            &[
                ("VERSION", "webshop 1.0\n"),
                ("README.md", "# The webshop\n"),
                ("docs/notes.md", "Not in the package: the rules exclude `docs/`.\n"),
                (".gitattributes", "tests/ export-ignore\n"),
                ("tests/smoke.sh", "#!/bin/sh\ntrue\n"),
            ],
        )?;
        folder.repository(
            "image",
            &[("config.json", IMAGE_CONFIG), ("components/webshop.yaml", include_str!("seed/component.yaml"))],
        )?;
        folder.repository("infrastructure", &[("config.json", INFRASTRUCTURE_CONFIG), ("template.yaml", &template)])?;
        folder.file("promotion-rules/webshop.yaml", include_str!("seed/webshop.yaml"))?;
        if !folder.config().exists() {
            let (unboxed, text) = unboxed::settings(settings(&OsUser::current().to_string()));
            folder.file("tidegate.toml", &text)?;
            if let Some(missing) = unboxed {
                tracing::warn!("the demo runs with `sandbox = \"none\"`: {missing}");
            }
        }
        Ok(folder)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn config(&self) -> PathBuf {
        self.root.join("tidegate.toml")
    }

    pub(super) fn repository_path(&self, name: &str) -> PathBuf {
        self.root.join("repositories").join(format!("{name}.git"))
    }

    /// Writes a file unless it is there; whole or not at all.
    fn file(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.root.join(name);
        if path.exists() {
            return Ok(());
        }
        let partial = path.with_extension("partial");
        fs::write(&partial, text).with_context(|| format!("cannot write {}", path.display()))?;
        fs::rename(&partial, &path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Makes a bare repository with one commit on every stage's branch, unless it is there; whole or not at all.
    fn repository(&self, name: &str, files: &[(&str, &str)]) -> anyhow::Result<()> {
        let path = self.repository_path(name);
        if path.exists() {
            return Ok(());
        }
        let partial = path.with_extension("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        let repository = Repository::init_bare(&partial)?;
        let empty = repository.find_tree(repository.treebuilder(None)?.write()?)?;
        let commit = commit(&repository, &empty, files, "Begin\n", &[])?;
        for branch in BRANCHES {
            repository.reference(&format!("refs/heads/{branch}"), commit, false, "begin")?;
        }
        repository.set_head("refs/heads/main")?;
        fs::rename(&partial, &path).with_context(|| format!("cannot make {}", path.display()))
    }

    /// Ada's change: a new version, committed to software `dev`. Made once: returns the commit, and whether it was there.
    pub(super) fn push_change(&self) -> anyhow::Result<(String, bool)> {
        let repository = Repository::open_bare(self.repository_path("software"))?;
        let reference = repository.find_reference("refs/heads/dev")?;
        let head = reference.peel_to_commit()?;
        let version = head.tree()?.get_path(Path::new("VERSION"))?.to_object(&repository)?.peel_to_blob()?;
        if version.content() == NEW_VERSION.as_bytes() {
            return Ok((head.id().to_string(), true));
        }
        let change = commit(&repository, &head.tree()?, &[("VERSION", NEW_VERSION)], "Sell more\n", &[&head])?;
        repository.reference_matching("refs/heads/dev", change, true, head.id(), "push by ada")?;
        Ok((change.to_string(), false))
    }
}

/// The settings, with whoever runs the demo among the people.
fn settings(user: &str) -> String {
    // Ada and Grace are people of the demo, whoever else is called that.
    let name = if ["ada", "grace"].contains(&user) { "you" } else { user };
    let quoted = |text: &str| toml::Value::from(text).to_string();
    include_str!("seed/tidegate.toml").replace(r#""@NAME@""#, &quoted(name)).replace(r#""@USER@""#, &quoted(user))
}

fn commit(
    repository: &Repository,
    tree: &git2::Tree<'_>,
    files: &[(&str, &str)],
    message: &str,
    parents: &[&git2::Commit<'_>],
) -> anyhow::Result<git2::Oid> {
    let mut update = TreeUpdateBuilder::new();
    for (path, text) in files {
        update.upsert(*path, repository.blob(text.as_bytes())?, git2::FileMode::Blob);
    }
    let tree = repository.find_tree(update.create_updated(repository, tree)?)?;
    let ada = Signature::new("Ada", "ada@webshop.example", &Time::new(COMMITTED_AT_SECONDS, 0))?;
    Ok(repository.commit(None, &ada, &ada, message, &tree, parents)?)
}

const IMAGE_CONFIG: &str = r#"{
  "name": "webshop",
  "regions": ["eu-central-1"],
  "components": ["components/webshop.yaml"],
  "software": {
    "tag": "none yet",
    "uri": "",
    "sha256": "",
    "destination": "/opt/webshop"
  }
}
"#;

const INFRASTRUCTURE_CONFIG: &str = r#"{
  "availability_zones": ["eu-central-1a", "eu-central-1b"],
  "ami": {}
}
"#;
