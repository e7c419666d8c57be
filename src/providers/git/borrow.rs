//! Repositories that borrow the objects of others, to try things on: they cost the same whatever the size of what they
//! borrow from, and what is written goes to their own folder. The lenders are only read.

use super::fault::{disk_fault, object_fault};
use crate::providers::Fault;
use git2::{Commit, Oid, Repository, RepositoryInitOptions};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A bare repository that borrows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Borrowed {
    /// Where it is to be.
    pub directory: PathBuf,
    /// The folders of objects that it reads beside its own.
    pub lenders: Vec<PathBuf>,
    /// Its branches: name → commit, 40 hex digits.
    pub branches: BTreeMap<String, String>,
}

/// Makes the repository. `Fail` when no lender has the commit of a branch.
pub fn borrow(borrowed: &Borrowed) -> Result<(), Fault> {
    let Borrowed { directory, lenders, branches } = borrowed;
    let mut options = RepositoryInitOptions::new();
    options.bare(true).no_reinit(true).external_template(false).mkpath(true);
    Repository::init_opts(directory, &options).map_err(|error| object_fault(&error))?;
    let list: String = lenders.iter().map(|lender| format!("{}\n", lender.display())).collect();
    let alternates = directory.join("objects/info/alternates");
    let written = fs::create_dir_all(directory.join("objects/info")).and_then(|()| fs::write(&alternates, list));
    written.map_err(|error| disk_fault("writing", &alternates, &error))?;
    // Opened anew, so that the alternates are read.
    let repository = Repository::open_bare(directory).map_err(|error| object_fault(&error))?;
    for (branch, commit) in branches {
        let id = Oid::from_str(commit).and_then(|id| repository.find_commit(id)).map(|found| found.id());
        let id = id.map_err(|error| {
            Fault::fail(
                format!("commit {commit} of {branch} is not in the mirror: {}", error.message()),
                "`tidegate serve` fetches what is new; try again when it has",
            )
        })?;
        let name = format!("refs/heads/{branch}");
        repository.reference(&name, id, true, "borrowed").map_err(|error| object_fault(&error))?;
    }
    Ok(())
}

/// The commit that `revision` (a branch, a tag, a commit's first digits) names in the repository at or above `path`, and
/// the folder of that repository's objects.
pub fn commit_in(path: &Path, revision: &str) -> Result<(String, PathBuf), Fault> {
    let missing = |error: git2::Error| {
        Fault::fail(
            format!("`{revision}` in {}: {}", path.display(), error.message()),
            "name a branch, a tag or a commit that is there",
        )
    };
    let repository = Repository::discover(path).or_else(|_| Repository::open(path)).map_err(missing)?;
    let commit = repository.revparse_single(revision).and_then(|found| found.peel_to_commit()).map_err(missing)?;
    let objects = repository.commondir().join("objects");
    let objects = objects.canonicalize().map_err(|error| disk_fault("opening", &objects, &error))?;
    Ok((commit.id().to_string(), objects))
}

/// How a commit stands to the head of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// There is no such branch.
    NoBranch,
    /// It is the head.
    Head,
    /// It comes after this head, 40 hex digits: a plain push moves the branch.
    After(String),
    /// It is in the branch already, before this head.
    Before(String),
    /// It neither comes after this head nor before it: only a forced push moves the branch.
    Apart(String),
}

/// The commit that `revision` names in a borrowed repository, and how it stands to the head of a branch.
pub fn standing(directory: &Path, branch: &str, revision: &str) -> Result<(String, Standing), Fault> {
    let repository = Repository::open_bare(directory).map_err(|error| not_there(revision, &error))?;
    let commit = commit_of(&repository, revision)?.id();
    let Some(head) = repository.find_reference(&format!("refs/heads/{branch}")).ok().and_then(|found| found.target())
    else {
        return Ok((commit.to_string(), Standing::NoBranch));
    };
    let comes_after =
        |one, other| repository.graph_descendant_of(one, other).map_err(|error| not_there(revision, &error));
    let standing = match () {
        () if commit == head => Standing::Head,
        () if comes_after(commit, head)? => Standing::After(head.to_string()),
        () if comes_after(head, commit)? => Standing::Before(head.to_string()),
        () => Standing::Apart(head.to_string()),
    };
    Ok((commit.to_string(), standing))
}

/// Moves a branch of a borrowed repository to the commit that `revision` names in it; says which that is.
pub fn point(directory: &Path, branch: &str, revision: &str) -> Result<String, Fault> {
    let repository = Repository::open_bare(directory).map_err(|error| not_there(revision, &error))?;
    let commit = commit_of(&repository, revision)?.id();
    let moved = repository.reference(&format!("refs/heads/{branch}"), commit, true, "supposed");
    moved.map_err(|error| not_there(revision, &error))?;
    Ok(commit.to_string())
}

fn commit_of<'repository>(repository: &'repository Repository, revision: &str) -> Result<Commit<'repository>, Fault> {
    let found = repository.revparse_single(revision).and_then(|found| found.peel_to_commit());
    found.map_err(|error| not_there(revision, &error))
}

fn not_there(revision: &str, error: &git2::Error) -> Fault {
    let hint = "name a commit that has been fetched, or bring one from a clone";
    Fault::fail(format!("`{revision}`: {}", error.message()), hint)
}
