//! One change of a file, and what every format needs to make it in a text.

use serde_json::Value;

/// A change of one place, as small as can be, that every format knows how to make.
pub(super) enum Change<'a> {
    /// The value at this existing path becomes another.
    Replace(&'a [String], &'a Value),
    /// The object at this existing path gets one more entry, at its end.
    Insert(&'a [String], &'a str, &'a Value),
    /// The entry at this existing path goes away; at least one sibling stays.
    Remove(&'a [String]),
}

/// The line ending that the text uses first, or a plain newline.
pub(super) fn line_ending(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// The text with one range of it replaced.
pub(super) fn splice(text: &str, range: std::ops::Range<usize>, with: &str) -> String {
    format!("{}{with}{}", &text[..range.start], &text[range.end..])
}
