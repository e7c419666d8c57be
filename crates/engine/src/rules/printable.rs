//! Texts of others, made harmless: what somebody wrote into a commit, or what a server answered, may hold characters that
//! control a terminal or turn the direction of writing, and so change what a person reads who is to decide.

/// What stands in the place of a character that is not shown.
const REPLACEMENT: char = '\u{fffd}';

/// One line: without any character that controls, line ends among them.
#[must_use]
pub fn printable_line(text: &str) -> String {
    text.chars().map(|character| if is_harmful(character) { REPLACEMENT } else { character }).collect()
}

/// The same for a text of several lines, whose line ends and tabs stay.
#[must_use]
pub fn printable(text: &str) -> String {
    let shown = |character| match character {
        '\n' | '\t' => character,
        _ if is_harmful(character) => REPLACEMENT,
        _ => character,
    };
    text.replace("\r\n", "\n").chars().map(shown).collect()
}

/// Whether a character would control what shows it, or how what stands around it is read: control characters, line and
/// paragraph separators, and the marks, embeddings, overrides and isolates of Unicode's bidirectional algorithm (UAX #9).
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_a_terminal_is_replaced() {
        assert_eq!(printable_line("Eve\u{1b}[31m\r\nx"), "Eve\u{fffd}[31m\u{fffd}\u{fffd}x");
        assert_eq!(printable_line("a\u{202e}b\u{2066}c\u{9b}2J"), "a\u{fffd}b\u{fffd}c\u{fffd}2J");
        assert_eq!(printable("one\r\n\ttwo\rthree\u{7}"), "one\n\ttwo\u{fffd}three\u{fffd}");
        assert_eq!(printable("Zoë 名 🌊 שלום"), "Zoë 名 🌊 שלום", "other scripts stay as they are");
    }
}
