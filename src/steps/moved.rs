//! What the steps that move a repository say of what they made: what is pinned in it, and for which rules it is the same as
//! what was to be brought.

use crate::{
    engine::{PinsSeen, StepWork, plan::Maker},
    providers::{Fault, git::Mirror},
    rules::RuleName,
};

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
