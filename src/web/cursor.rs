//! What the next page of something is asked for with. It is opaque: what it says may change.

use std::fmt::Display;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// The cursor of a page that goes on at a place.
pub(super) fn cursor(of: &str, place: impl Display) -> String {
    URL_SAFE_NO_PAD.encode(format!("{of}:{place}"))
}

/// The text that a cursor of pages of a kind was made of.
pub(super) fn text_at(cursor: &str, of: &str) -> Result<String, String> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        Some(text.strip_prefix(of)?.strip_prefix(':')?.to_owned())
    };
    read().ok_or_else(wrong)
}

/// The same, where it was a number.
pub(super) fn at(cursor: &str, of: &str) -> Result<u64, String> {
    text_at(cursor, of)?.parse::<u32>().map(u64::from).map_err(|_| wrong())
}

fn wrong() -> String {
    "this is no `next` of a page before".to_owned()
}

#[cfg(test)]
mod tests {
    use super::{at, cursor};

    #[test]
    fn a_cursor_is_of_one_kind_of_page() {
        assert_eq!(at(&cursor("runs", 7), "runs"), Ok(7));
        for bad in [cursor("events", 7), cursor("runs", u64::MAX), "runs:7".to_owned(), String::new(), "ä".to_owned()]
        {
            assert!(at(&bad, "runs").is_err(), "{bad}");
        }
    }
}
