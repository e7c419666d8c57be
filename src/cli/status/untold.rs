//! What people and programs were to be told and could not be, in lines.

use crate::{
    cli::output::{Tone, paint},
    engine::{MOST_GIVEN_UP, explain},
    view::status::UntoldNotice,
};

/// How many of them people are shown: all that were given up and are remembered, and a few that are tried again.
const MOST_SHOWN: usize = MOST_GIVEN_UP + 4;

/// Those that were tried, as people read them, and how many more there are.
pub(super) fn lines(untold: &[UntoldNotice], more_given_up: u64) -> Vec<String> {
    let tried: Vec<&UntoldNotice> = untold.iter().filter(|untold| !untold.error.is_empty()).collect();
    let mut lines: Vec<String> = tried.iter().take(MOST_SHOWN).map(|untold| line(untold)).collect();
    let again = tried.len().saturating_sub(MOST_SHOWN);
    if again > 0 {
        lines.push(format!("  and {again} more that are tried again; `tidegate status -o json` has them all"));
    }
    if more_given_up > 0 {
        lines.push(format!("  and {more_given_up} more that were given up before; `tidegate history` has them"));
    }
    lines
}

fn line(untold: &UntoldNotice) -> String {
    let UntoldNotice { notice, via, to, error, hint, again_ms, .. } = untold;
    let to = to.as_ref().map_or_else(String::new, |to| format!(" to {to}"));
    let (state, next) = match again_ms {
        Some(again_ms) => ("was not told yet", format!("again at {}", explain::time(*again_ms))),
        None => ("was not told", hint.clone()),
    };
    let next = if next.is_empty() { next } else { format!("\n{:<23}{next}", "") };
    format!("  {notice} by {via}{to} {}: {error}{next}", paint(state, Tone::Bad))
}
