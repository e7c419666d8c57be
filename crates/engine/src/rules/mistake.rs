//! What is wrong with a rules file, each mistake with its place, shown as a compiler shows it.

use std::{fmt, ops::Range};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;

use super::printable::printable_line;

/// The most mistakes that are kept of one file; nobody reads more, and a hostile file could have very many.
const MOST_MISTAKES: usize = 100;

/// One mistake in a rules file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// The file's name, as it was given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The bytes of the file that it is about.
    pub bytes: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// Everything that is wrong with a rules file, in the order of the file; at least one mistake, at most 100 of them.
/// Serialises as the list of mistakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    file: String,
    text: String,
    mistakes: Vec<Mistake>,
}

impl Mistakes {
    /// One mistake about a file as a whole, of which there is no text.
    #[must_use]
    pub fn of_file(file: &str, message: &str, help: &str) -> Self {
        let mut findings = Findings::default();
        findings.add_with_help(0..0, message, help);
        findings.in_file(file, "")
    }

    /// One mistake that the parser of another format found in a file. Where it is a name that nobody knows, the one of those
    /// that its message lists is named that was meant.
    #[must_use]
    pub fn of_parser(file: &str, text: &str, bytes: Range<usize>, message: &str) -> Self {
        let mut names = message.split('`').skip(1).step_by(2);
        let unknown = names.next().filter(|_| message.starts_with("unknown "));
        let mut findings = Findings::default();
        findings.add_with(bytes, message, unknown.and_then(|name| did_you_mean(name, names)));
        findings.in_file(file, text)
    }

    /// The mistakes, in the order of the file.
    #[must_use]
    pub fn as_slice(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// The mistakes for a person: each with its lines of the file, and the count at the end. With `color` for a
    /// terminal, without it for a log. What the file contains cannot control the terminal.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut rendered = String::new();
        for mistake in &self.mistakes {
            let (source, start) = self.lines_of(mistake);
            let annotation = AnnotationKind::Primary.span(mistake.bytes.start - start..mistake.bytes.end - start);
            let snippet = Snippet::source(source).line_start(mistake.line).path(&self.file).annotation(annotation);
            let mut group = Level::ERROR.primary_title(&mistake.message).element(snippet);
            if let Some(help) = &mistake.help {
                group = group.element(Level::HELP.message(help));
            }
            rendered.push_str(&renderer.render(&[group]));
            rendered.push_str("\n\n");
        }
        let (count, file) = (self.mistakes.len(), printable_line(&self.file));
        let count = match count {
            1 => "1 mistake".to_owned(),
            MOST_MISTAKES => format!("{MOST_MISTAKES} mistakes or more"),
            _ => format!("{count} mistakes"),
        };
        rendered.push_str(&format!("{file}: {count}\n"));
        rendered
    }
}

impl Mistakes {
    /// The lines that a mistake is about, and the byte at which they begin.
    fn lines_of(&self, mistake: &Mistake) -> (&str, usize) {
        let start = self.text[..mistake.bytes.start].rfind('\n').map_or(0, |newline| newline + 1);
        let end =
            self.text[mistake.bytes.end..].find('\n').map_or(self.text.len(), |newline| mistake.bytes.end + newline);
        (&self.text[start..end], start)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

impl std::error::Error for Mistakes {}

impl Serialize for Mistakes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.mistakes.serialize(serializer)
    }
}

/// The mistakes found so far, before they know their file.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<Finding>,
}

#[derive(Debug)]
struct Finding {
    bytes: Range<usize>,
    message: String,
    help: Option<String>,
}

impl Findings {
    /// Adds a mistake.
    pub(super) fn add(&mut self, bytes: Range<usize>, message: impl Into<String>) {
        self.found.push(Finding { bytes, message: message.into(), help: None });
    }

    /// Adds a mistake and what to do about it.
    pub(super) fn add_with_help(&mut self, bytes: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.found.push(Finding { bytes, message: message.into(), help: Some(help.into()) });
    }

    /// Adds a mistake, and what to do about it where that is known.
    pub(super) fn add_with(&mut self, bytes: Range<usize>, message: impl Into<String>, help: Option<String>) {
        self.found.push(Finding { bytes, message: message.into(), help });
    }

    /// Whether there are more already than will be kept, so that no work need go into further ones.
    pub(super) fn are_many(&self) -> bool {
        self.found.len() > MOST_MISTAKES
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The findings as mistakes of a file, in order, each once.
    pub(super) fn in_file(mut self, file: &str, text: &str) -> Mistakes {
        self.found
            .sort_by(|a, b| (a.bytes.start, a.bytes.end, &a.message).cmp(&(b.bytes.start, b.bytes.end, &b.message)));
        self.found.dedup_by(|a, b| a.bytes == b.bytes && a.message == b.message);
        self.found.truncate(MOST_MISTAKES);
        let mistakes = self.found.into_iter().map(|finding| placed(finding, file, text)).collect();
        Mistakes { file: file.to_owned(), text: without_credentials(text), mistakes }
    }
}

/// "did you mean …" for a name that looks like one of those that are known.
pub fn did_you_mean<'known>(name: &str, known: impl IntoIterator<Item = &'known str>) -> Option<String> {
    closest(name, known).map(|closest| format!("did you mean `{closest}`?"))
}

/// The known name that this one looks like: a letter in three may be wrong.
pub(super) fn closest<'known>(name: &str, known: impl IntoIterator<Item = &'known str>) -> Option<&'known str> {
    let scored = known.into_iter().map(|known| {
        let shortest = name.chars().count().min(known.chars().count());
        let distance = strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase());
        (distance, shortest, known)
    });
    let alike = scored.filter(|(distance, shortest, _)| distance < shortest && *distance <= (shortest / 3).max(1));
    alike.min_by_key(|(distance, _, _)| *distance).map(|(_, _, known)| known)
}

fn placed(finding: Finding, file: &str, text: &str) -> Mistake {
    let start = boundary(text, finding.bytes.start);
    let end = boundary(text, finding.bytes.end).max(start);
    let before = &text[..start];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Mistake {
        file: file.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        bytes: start..end,
        message: printable_line(&without_credentials(&finding.message)),
        help: finding.help.as_deref().map(printable_line),
    }
}

/// The nearest place at or before an offset where a character begins.
fn boundary(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|offset| text.is_char_boundary(*offset)).unwrap_or(0)
}

/// The text with stars, as many as there were bytes, in the place of what stands before the `@` of a URL: mistakes are
/// printed and logged, and what is wrong with a rules file may be that there is a password in it.
fn without_credentials(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, authority) = rest.split_at(at + 3);
        shown.push_str(before);
        let end =
            authority.find(|character: char| character == '/' || character.is_whitespace()).unwrap_or(authority.len());
        let credentials = authority[..end].rfind('@').unwrap_or(0);
        shown.push_str(&"*".repeat(credentials));
        rest = &authority[credentials..];
    }
    shown.push_str(rest);
    shown
}
