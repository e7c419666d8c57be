//! Where rules require signatures, a promotion or rollback goes onto no commit that lacks one: what the branch holds since its
//! known head is asked before anything is merged, and again of what was merged, for somebody may have pushed in between.

use super::{given::time_left, tools::commit_place};
use crate::{
    engine::StepWork,
    providers::{
        Fault,
        git::{CommitPlace, Mirror},
    },
    rules::RepositoryName,
};

/// Refuses a commit of the stage's branch beneath which one is not signed.
///
/// # Errors
/// `Fail` names that commit, its author, and what to do.
pub(super) async fn demand(
    work: &StepWork,
    mirror: &Mirror,
    repository: &RepositoryName,
    commit: &str,
) -> Result<(), Fault> {
    let Some(known) = work.signed_since.get(repository) else { return Ok(()) };
    let others = work.branches.iter().filter(|branch| **branch != work.branch);
    let place = commit_place(work, repository);
    let others = others.map(|branch| CommitPlace { branch: branch.clone(), ..place.clone() });
    let places: Vec<_> = [place.clone()].into_iter().chain(others).collect();
    match mirror.unsigned(&places, &[known.to_string()], commit, time_left(work)).await? {
        None => Ok(()),
        Some(unsigned) => Err(unsigned.refused(repository.as_str(), &work.branch)),
    }
}
