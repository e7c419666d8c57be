//! How commands print: for people, or one JSON document. Colours only on a terminal.

use std::io::{IsTerminal as _, Write as _};

use clap::ValueEnum;
use serde::Serialize;

/// How a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// One JSON document
    Json,
}

/// A colour for a word that means something; the word says it as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Busy,
    Quiet,
    Strong,
}

impl Output {
    /// Says that something was done: a sentence, or its facts as JSON.
    pub(super) fn done(self, sentence: &str, facts: &impl Serialize) -> anyhow::Result<()> {
        match self {
            Self::Text => say(sentence),
            Self::Json => self.json(facts),
        }
    }

    /// Prints one JSON document.
    pub(super) fn json(self, facts: &impl Serialize) -> anyhow::Result<()> {
        say(&serde_json::to_string_pretty(facts)?)
    }
}

/// Prints a line. A reader that went away (`| head`) ends the command quietly.
pub(super) fn say(line: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => Ok(other?),
    }
}

/// Whether colours may be used.
pub(super) fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// How many columns the terminal has; none where the output does not go to one.
pub(super) fn width() -> Option<usize> {
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
