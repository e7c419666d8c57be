//! How commands print: for people, or one JSON document. Colours only on a terminal.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::OnceLock,
};

use clap::ValueEnum;
use serde::Serialize;

pub(super) use crate::view::words::Tone;
use crate::{house::NOTHING_YET, rules::printable};

/// How a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// One JSON document
    Json,
}

impl Output {
    /// Says that something was done: a sentence, or its facts as JSON.
    pub(super) fn done(self, sentence: &str, facts: &impl Serialize) -> anyhow::Result<()> {
        match self {
            Self::Text => say(sentence),
            Self::Json => self.json(facts),
        }
    }

    /// Says that no system has been started yet, or lists none.
    pub(super) fn nothing_yet(self) -> anyhow::Result<()> {
        match self {
            Self::Text => say(NOTHING_YET),
            Self::Json => say("[]"),
        }
    }

    /// Prints one JSON document.
    pub(super) fn json(self, facts: &impl Serialize) -> anyhow::Result<()> {
        say(&serde_json::to_string_pretty(facts)?)
    }
}

/// Prints a line, without what would control the terminal but our own colours. A reader that went away (`| head`) ends the
/// command quietly.
pub(super) fn say(line: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{}", shown(line, colours())) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => Ok(other?),
    }
}

/// A text as it may go out to a person: colours stay where they may be used, and no other sequence does. The colours are
/// few, and none of them hides what it colours.
pub(super) fn shown(text: &str, colours: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        let (before, sequence) = rest.split_at(at);
        shown.push_str(&printable(before));
        let colour = if colours { colour(sequence) } else { None };
        let taken = colour.unwrap_or_else(|| '\u{1b}'.len_utf8());
        shown.push_str(&if colour.is_some() { sequence[..taken].to_owned() } else { printable(&sequence[..taken]) });
        rest = &sequence[taken..];
    }
    shown.push_str(&printable(rest));
    shown
}

/// How long the colour is with which a text begins, if it is one.
fn colour(sequence: &str) -> Option<usize> {
    let (codes, _) = sequence.strip_prefix("\u{1b}[")?.split_once('m')?;
    let is_known = |code: &str| {
        matches!(code, "0" | "1" | "2" | "31" | "32" | "33" | "34" | "35" | "36")
            || matches!(code, "91" | "92" | "93" | "94" | "95" | "96")
    };
    codes.split(';').all(is_known).then_some("\u{1b}[".len() + codes.len() + "m".len())
}

/// For whose terminal this process prints, where that is not its own: whether it has colours, and how many columns.
static ELSEWHERE: OnceLock<(bool, Option<usize>)> = OnceLock::new();

/// From here on this process prints for a terminal elsewhere.
pub(super) fn is_for(colours: bool, columns: Option<usize>) {
    // It is said once, before anything is printed.
    ELSEWHERE.set((colours, columns)).ok();
}

/// Whether colours may be used.
pub(super) fn colours() -> bool {
    match ELSEWHERE.get() {
        Some((colours, _)) => *colours,
        None => std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    }
}

/// How many columns the terminal has; none where the output does not go to one.
pub(super) fn width() -> Option<usize> {
    if let Some((_, columns)) = ELSEWHERE.get() {
        return *columns;
    }
    let output = std::io::stdout();
    let size = output.is_terminal().then(|| rustix::termios::tcgetwinsize(output).ok())??;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// A word in its colour, on a terminal.
pub(super) fn paint(word: &str, tone: Tone) -> String {
    if !colours() {
        return word.to_owned();
    }
    let code = match tone {
        Tone::Good => "32",
        Tone::Bad => "31",
        Tone::Busy => "33",
        Tone::Quiet => "2",
        Tone::Strong => "1",
    };
    format!("\u{1b}[{code}m{word}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_colours_reaches_a_terminal() {
        let text = "\u{1b}[31mbad\u{1b}[0m sub\u{1b}[2Jject \u{1b}[8mhidden \u{1b}]0;title\u{7} \u{202e}abc\n";
        let coloured =
            "\u{1b}[31mbad\u{1b}[0m sub\u{fffd}[2Jject \u{fffd}[8mhidden \u{fffd}]0;title\u{fffd} \u{fffd}abc\n";
        assert_eq!(shown(text, true), coloured);
        assert!(!shown(text, false).contains('\u{1b}'));
    }
}
