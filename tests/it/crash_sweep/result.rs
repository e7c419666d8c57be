//! What a history left, in a form that must be the same however often it was killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use git2::{ObjectType, Repository, TreeWalkMode};
use tidegate::{
    house::House,
    rules::SystemName,
    store::{RunFilter, verify_log},
};

use super::debugger::History;

/// What must be the same.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Result {
    /// Repository, branch and path → content, with the folder's own path taken out.
    files: BTreeMap<String, String>,
    /// Repository and branch → how many commits.
    pub(super) commits: BTreeMap<String, usize>,
    /// The names of packages, images and templates, which are content; how many reports.
    artifacts: BTreeSet<String>,
    reports: usize,
    /// How many steps wait for a build, each under its key, which says when its run was made.
    builds: usize,
    /// Run, stage, state, who approved.
    pub(super) runs: Vec<(String, String, String, Vec<String>)>,
    /// Stage → how many releases were made.
    releases: BTreeMap<String, usize>,
}

/// Reads what a history left, and checks what must hold of it by itself.
pub(super) fn of(history: &History) -> Result {
    let mut result = Result::default();
    for repository in ["software", "image", "infrastructure"] {
        read_repository(&history.directory, repository, &mut result);
    }
    read_objects(&history.directory.join("data/objects"), &mut result);
    let environments = history.directory.join("data/environments/webshop");
    for stage in std::fs::read_dir(environments).unwrap() {
        let stage = stage.unwrap().path();
        let releases = std::fs::read_dir(stage.join("releases")).unwrap().count();
        result.releases.insert(stage.file_name().unwrap().to_string_lossy().into_owned(), releases);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(read_store(&history.directory, &mut result));
    assert_eq!(processes_of(&history.directory), Vec::<String>::new(), "processes are left behind");
    result
}

fn read_repository(directory: &Path, name: &str, result: &mut Result) {
    let repository = Repository::open_bare(directory.join(format!("repositories/{name}.git"))).unwrap();
    for branch in ["dev", "qa", "main"] {
        let head = repository.find_branch(branch, git2::BranchType::Local).unwrap().get().peel_to_commit().unwrap();
        let tree = head.tree().unwrap();
        tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
            if entry.kind() == Some(ObjectType::Blob) {
                let blob = repository.find_blob(entry.id()).unwrap();
                let text = String::from_utf8_lossy(blob.content()).replace(&*directory.to_string_lossy(), "FOLDER");
                result.files.insert(format!("{name} {branch} {folder}{}", entry.name().unwrap()), text);
            }
            git2::TreeWalkResult::Ok
        })
        .unwrap();
        let mut walk = repository.revwalk().unwrap();
        walk.push(head.id()).unwrap();
        let mut keys = BTreeSet::new();
        let mut count = 0;
        for id in walk {
            let commit = repository.find_commit(id.unwrap()).unwrap();
            count += 1;
            let message = commit.message().unwrap().to_owned();
            for key in message.lines().filter_map(|line| line.strip_prefix("Tidegate-Key: ")) {
                assert!(keys.insert(key.to_owned()), "{key} was committed twice to {name} {branch}");
            }
        }
        result.commits.insert(format!("{name} {branch}"), count);
    }
}

fn read_objects(root: &Path, result: &mut Result) {
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            match path.is_dir() {
                true => folders.push(path),
                // What another effect was writing when the kill came: it belongs to nobody, and goes when it is old.
                false if name.starts_with(".partial/") => {}
                false if name.starts_with("reports/") => result.reports += 1,
                false if name.starts_with("images/by-step/") => result.builds += 1,
                // The index by inputs names the inputs, and they hold the tarball's address in this folder.
                false if name.starts_with("images/by-inputs/") => {}
                // What was printed says how often a thing was tried.
                false if name.starts_with("logs/") => {}
                false => drop(result.artifacts.insert(name)),
            }
        }
    }
}

async fn read_store(directory: &Path, result: &mut Result) {
    let house = House::open(&directory.join("tidegate.toml")).await.unwrap();
    let system = SystemName::new("webshop").unwrap();
    let store = house.ledger.store();
    let check = verify_log(store.as_ref(), &system).await.unwrap();
    assert!(check.broken.is_none(), "the log is broken: {check:?}");
    let due = house.ledger.read(&system, |state| state.due.clone()).await.unwrap();
    assert_eq!(due, store.pending(&system).await.unwrap(), "I9: what is pending in the state is what is in the store");
    let mut runs = store.runs(&system, &RunFilter::newest(1_000)).await.unwrap();
    runs.sort_by_key(|run| run.number);
    for run in runs {
        let answers = run.steps.iter().flat_map(|step| &step.answers).map(|answer| answer.by.name.clone()).collect();
        result.runs.push((run.subject.name().to_owned(), run.stage.to_string(), format!("{:?}", run.state), answers));
    }
    result.runs.sort();
}

/// The command lines of processes that name the folder.
fn processes_of(directory: &Path) -> Vec<String> {
    let name = directory.to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let line = std::fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    processes.filter(|line| line.contains(&name)).collect()
}
