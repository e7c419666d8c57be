//! What the steps that commit to a repository say of what they made: the commit, what is pinned in it, and for which rules
//! it is the same as what was to be brought.

use serde_json::Value;

use super::step::Progress;
use crate::{
    engine::{Artifact, CommitId, Made, Moved, PinsSeen, StepWork, plan::Maker},
    providers::{Fault, git::Mirror},
    rules::{RepositoryName, RuleName},
};

/// A commit of ours is on the branch: said to the engine by its type, and the same to templates and people, with more.
pub(super) fn committed<const N: usize>(
    repository: &RepositoryName,
    moved: Moved,
    more: [(&str, Value); N],
) -> Progress {
    let artifact = Artifact::commit(repository, &moved.commit);
    let parent = moved.parent.as_ref().map_or("", CommitId::as_str);
    let outputs = [
        ("commit", Value::from(moved.commit.as_str())),
        ("changed", Value::from(true)),
        ("parent", Value::from(parent)),
        ("subject", Value::from(moved.subject.as_str())),
    ];
    let outputs = outputs.into_iter().chain(more).map(|(name, value)| (name.to_owned(), value)).collect();
    Progress::Done { outputs, artifacts: vec![artifact], made: Made::Moved(moved.into()) }
}

/// The rules that see the same in two commits or trees: nothing differs that they are for.
pub(super) async fn carried(makers: &[Maker], mirror: &Mirror, one: &str, other: &str) -> Result<Vec<RuleName>, Fault> {
    if makers.is_empty() {
        return Ok(Vec::new());
    }
    let differ = mirror.differing_paths(one, other).await?;
    let same = makers.iter().filter(|maker| differ.is_empty() || !maker.paths.match_any(&differ));
    Ok(same.map(|maker| maker.rule.clone()).collect())
}

/// All that rules pin in a commit of the repository that the step moves.
pub(super) async fn pins(work: &StepWork, mirror: &Mirror, commit: &str) -> Result<Vec<PinsSeen>, Fault> {
    let mut pins = Vec::new();
    for place in &work.pin_places {
        let values = mirror.values(commit, &place.file, &place.pointers).await?;
        let (pinner, file) = (place.pinner.clone(), place.file.clone());
        pins.push(PinsSeen { pinner, file, values, of: Default::default() });
    }
    Ok(pins)
}
