//! Releases that only some of their systems have, in words.

use crate::{
    cli::output::{Tone, paint},
    view::status::HalfReleased,
};

/// Who has it and who has not, and what ends that.
pub(in crate::cli) fn sentence(half: &HalfReleased) -> String {
    let and = |words: &[String]| words.join(" and ");
    let code = |commands: &[String]| and(&commands.iter().map(|command| format!("`{command}`")).collect::<Vec<_>>());
    format!(
        "{}: {} merged, {} ended before: {} finishes it, {} undoes it",
        paint("half-released", Tone::Bad),
        and(&half.with),
        and(&half.without),
        code(&half.finish),
        code(&half.undo)
    )
}

/// What people are told of them.
pub(super) fn lines(half: &[HalfReleased]) -> impl Iterator<Item = String> {
    half.iter().map(|half| format!("  {} {}", half.release, sentence(half)))
}
