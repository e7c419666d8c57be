//! Why an edit is refused, and where in the file.

/// Why a file could not be edited: where in it, what is wrong, and what a person can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditError {
    /// Line and column, both counted from 1, where the text is at fault; `None` when no single place is.
    pub place: Option<(usize, usize)>,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub hint: String,
}

impl EditError {
    pub(super) fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { place: None, problem: problem.into(), hint: hint.into() }
    }

    pub(super) fn at(line: usize, column: usize, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { place: Some((line, column)), ..Self::new(problem, hint) }
    }
}

pub(super) const UNTOUCHABLE_HINT: &str = "edit this value by hand once, in a plainer style, and try again";

/// Line and column of a byte offset, both counted from 1.
pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
