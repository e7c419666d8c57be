//! What was decided about versions, in lines.

use crate::{
    cli::{
        output::{Tone, paint},
        words,
    },
    view::status::{Decided, StageVersions, VersionsStatus, VetoStatus},
};

/// As lines for people, as it is seen at `now_ms`, and those that are trouble.
pub(super) fn lines(versions: &VersionsStatus, stages: usize, now_ms: i64) -> (Vec<String>, Vec<String>) {
    let (mut said, mut trouble) = (Vec::new(), Vec::new());
    for StageVersions { stage, pinned, rolled_back, half_way, .. } in &versions.stages {
        let since = |at_ms: i64| words::before(now_ms, at_ms);
        said.extend(pinned.iter().map(|Decided { version, by, reason, at_ms }| {
            let since = since(*at_ms);
            format!(
                "  {stage:<stages$} pinned at {version} by {by}, {since}: {reason} (`tidegate unpin {stage}` ends it)"
            )
        }));
        said.extend(rolled_back.iter().map(|Decided { version, by, reason, at_ms }| {
            format!("  {stage:<stages$} rolled back to {version} by {by}, {}: {reason}", since(*at_ms))
        }));
        trouble
            .extend(half_way.iter().map(|text| format!("  {stage:<stages$} {} {text}", paint("half-way:", Tone::Bad))));
    }
    for VetoStatus { what, by, reason, at_ms } in &versions.vetoes {
        let vetoed = paint("vetoed", Tone::Bad);
        said.push(format!("  {what} {vetoed} by {by}, {}: {reason}", words::before(now_ms, *at_ms)));
    }
    (said, trouble)
}
