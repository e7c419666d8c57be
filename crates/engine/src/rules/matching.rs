//! Path patterns, as in `paths: [src/, "*.md", "a/**/b"]`. A pattern begins at the root of the repository; `*` and `?`
//! match within a folder, `**` across folders. What matches a folder matches everything below it; a `/` at the end
//! matches folders only. Patterns are compiled to automata, so a match takes time in proportion to the path.

use std::{
    borrow::Cow,
    ops::Deref,
    sync::{Arc, OnceLock},
};

use globset::{GlobBuilder, GlobSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest pattern in bytes.
const LONGEST_PATTERN: usize = 1_024;
/// Stands before every character beyond ASCII in what is matched, since `globset` counts bytes and `?` is a character.
/// No path holds it.
const WIDE: char = '\0';
/// One character, in those terms: ASCII, or the mark and the two to four bytes of any other.
const ANY_CHARACTER: &str = "{[\u{1}-\u{7f}],\0[!\0-\u{7f}][!\0-\u{7f}],\0[!\0-\u{7f}][!\0-\u{7f}][!\0-\u{7f}],\0[!\0-\u{7f}][!\0-\u{7f}][!\0-\u{7f}][!\0-\u{7f}]}";

/// A text that is no path pattern; its text says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a path pattern: {reason}")]
pub struct InvalidPattern {
    /// The pattern as it was given.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// A list of patterns, compiled when it is first asked. To all else it is the list of their texts.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(with = "Vec<String>")]
pub struct Paths {
    patterns: Vec<String>,
    #[serde(skip)]
    compiled: OnceLock<Arc<[GlobSet]>>,
}

impl Paths {
    /// Whether there are no patterns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether any of the changed paths (from the root, with `/`) matches any of the patterns. No patterns match all.
    #[must_use]
    pub fn match_any<Path: AsRef<str>>(&self, changed_paths: &[Path]) -> bool {
        if self.patterns.is_empty() {
            return true;
        }
        // What cannot be compiled was refused when the rules were loaded; here it matches nothing.
        let compile = || self.patterns.iter().filter_map(|pattern| compile(pattern).ok()).collect();
        let compiled = self.compiled.get_or_init(compile);
        changed_paths.iter().any(|path| {
            let path = marked(path.as_ref());
            compiled.iter().any(|pattern| pattern.is_match(path.as_ref()))
        })
    }
}

impl From<Vec<String>> for Paths {
    fn from(patterns: Vec<String>) -> Self {
        Self { patterns, compiled: OnceLock::new() }
    }
}

impl Deref for Paths {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.patterns
    }
}

impl PartialEq for Paths {
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

impl Eq for Paths {}

/// Checks that a text is a pattern that can match something.
///
/// # Errors
/// When it is empty, too long, begins with `/` or `!`, has `..`, `.` or an empty part, `\` or a NUL character, or does not
/// compile.
pub fn check_pattern(pattern: &str) -> Result<(), InvalidPattern> {
    let parts = || pattern.strip_suffix('/').unwrap_or(pattern).split('/');
    let reason = if pattern.is_empty() {
        "it is empty"
    } else if pattern.len() > LONGEST_PATTERN {
        "it is longer than 1024 bytes"
    } else if pattern.starts_with('/') {
        "it begins at the root of the repository already, without `/`"
    } else if pattern.starts_with('!') {
        "patterns cannot be negated"
    } else if pattern.contains('\\') {
        "folders are separated by `/`"
    } else if pattern.contains('\0') {
        "no path has a NUL character"
    } else if parts().any(|part| matches!(part, "" | "." | "..")) {
        "it must not contain `.`, `..` or an empty part"
    } else if compile(pattern).is_err() {
        "it is too large to be compiled; use fewer `*` and `?`"
    } else {
        return Ok(());
    };
    Err(InvalidPattern { pattern: pattern.to_owned(), reason })
}

/// The automata of a pattern: for what it matches, and for what lies below that.
fn compile(pattern: &str) -> Result<GlobSet, globset::Error> {
    let folders_only = pattern.ends_with('/');
    let parts = pattern.trim_end_matches('/').split('/');
    let mut parts: Vec<Cow<'_, str>> = parts.map(|part| if part == "**" { part.into() } else { glob(part) }).collect();
    // `a/**` is `a` with everything below it, as is `a`.
    while parts.last().is_some_and(|part| part == "**") {
        parts.pop();
    }
    let itself = parts.join("/");
    let globs = match (itself.is_empty(), folders_only) {
        (true, _) => vec!["**".to_owned()],
        (false, true) => vec![format!("{itself}/**")],
        (false, false) => vec![format!("{itself}/**"), itself],
    };
    let build = |glob: &String| GlobBuilder::new(glob).literal_separator(true).backslash_escape(true).build();
    GlobSet::new(globs.iter().map(build).collect::<Result<Vec<_>, _>>()?)
}

/// A pattern for one name in the terms of `globset`, where only `*` and `?` mean anything.
fn glob(part: &str) -> Cow<'_, str> {
    let mut glob = String::new();
    for character in part.chars() {
        match character {
            // Any number of stars is one.
            '*' if glob.ends_with('*') => {}
            '*' => glob.push('*'),
            '?' => glob.push_str(ANY_CHARACTER),
            plain if plain.is_ascii_alphanumeric() => glob.push(plain),
            other if other.is_ascii() => glob.extend(['\\', other]),
            wide => glob.extend([WIDE, wide]),
        }
    }
    glob.into()
}

/// A path as the automata read it.
fn marked(path: &str) -> Cow<'_, str> {
    if path.is_ascii() {
        return path.into();
    }
    let mut marked = String::with_capacity(path.len() * 3 / 2);
    for character in path.chars() {
        if !character.is_ascii() {
            marked.push(WIDE);
        }
        marked.push(character);
    }
    marked.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches_any(patterns: &[&str], paths: &[&str]) -> bool {
        Paths::from(patterns.iter().map(|&pattern| pattern.to_owned()).collect::<Vec<_>>()).match_any(paths)
    }

    fn matches(pattern: &str, path: &str) -> bool {
        matches_any(&[pattern], &[path])
    }

    #[test]
    fn a_pattern_matches_from_the_root() {
        for (pattern, path, expected) in [
            ("src/", "src/main.rs", true),
            ("src/", "src/a/b.rs", true),
            ("src/", "src", false),
            ("src/", "lib/src/main.rs", false),
            ("src", "src/main.rs", true),
            ("src", "src", true),
            ("src", "src2", false),
            ("*.md", "README.md", true),
            ("*.md", "docs/README.md", false),
            ("**/*.md", "docs/a/README.md", true),
            ("**/*.md", "README.md", true),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "a/x/y/b/c", true),
            ("a/**/b", "a/x/y", false),
            ("a/**", "a/x", true),
            ("a/*/", "a/x", false),
            ("a/*/", "a/x/y", true),
            ("?.txt", "ä.txt", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false),
            ("**", "x", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn any_of_the_patterns_and_any_of_the_paths() {
        assert!(matches_any(&["docs/", "*.md"], &["src/a.rs", "README.md"]));
        assert!(!matches_any(&["docs/"], &["src/a.rs"]));
        assert!(!matches_any(&["docs/"], &[]));
        assert!(matches_any(&[], &["src/a.rs"]));
    }

    #[test]
    fn hostile_patterns_take_no_longer() {
        let stars = "*a".repeat(500);
        assert!(!matches(&stars, &"a".repeat(400)));
        assert!(matches(&stars, &"a".repeat(600)));
        assert!(!matches(&("*a".repeat(500) + "b"), &"a".repeat(4_000)));
        assert!(!matches(&("**/".repeat(300) + "y"), "x/x/x"));
        assert!(!matches(&("**/a/".repeat(200) + "b"), &"a/".repeat(1_000)));
        assert_eq!(check_pattern(&"?".repeat(LONGEST_PATTERN)), Ok(()), "the largest automaton");
    }

    #[test]
    fn patterns_that_can_match_nothing_are_refused() {
        for pattern in ["", "/src", "../x", "a//b", "a/./b", "!a", "a\\b"] {
            assert!(check_pattern(pattern).is_err(), "{pattern}");
        }
        assert_eq!(check_pattern("a/**/b/"), Ok(()));
    }
}
