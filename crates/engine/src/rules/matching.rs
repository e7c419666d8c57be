//! Path patterns, as in `paths: [src/, "*.md", "a/**/b"]`. A pattern begins at the root of the repository; `*` and `?`
//! match within a folder, `**` across folders. What matches a folder matches everything below it; a `/` at the end
//! matches folders only.

/// The longest pattern in bytes.
const LONGEST_PATTERN: usize = 1_024;

/// A text that is no path pattern; its text says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a path pattern: {reason}")]
pub struct InvalidPattern {
    /// The pattern as it was given.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Whether any of the changed paths (from the root, with `/`) matches any of the patterns. No patterns match all.
#[must_use]
pub fn matches_any<Pattern: AsRef<str>, Path: AsRef<str>>(patterns: &[Pattern], changed_paths: &[Path]) -> bool {
    patterns.is_empty()
        || changed_paths.iter().any(|path| patterns.iter().any(|pattern| matches(pattern.as_ref(), path.as_ref())))
}

/// Whether a path (from the root, with `/`) matches a pattern or lies below a folder that does.
#[must_use]
pub fn matches(pattern: &str, path: &str) -> bool {
    let folders_only = pattern.ends_with('/');
    let names: Vec<&str> = path.split('/').collect();
    // reached[n]: the pattern's parts so far can match the first n names.
    let mut reached = vec![false; names.len() + 1];
    reached[0] = true;
    for part in pattern.trim_end_matches('/').split('/') {
        let mut next = vec![false; names.len() + 1];
        if part == "**" {
            let first = reached.iter().position(|reached| *reached).unwrap_or(names.len() + 1);
            next.iter_mut().skip(first).for_each(|next| *next = true);
        } else {
            for (index, name) in names.iter().enumerate() {
                next[index + 1] = reached[index] && matches_name(part, name);
            }
        }
        reached = next;
    }
    let longest = if folders_only { names.len() - 1 } else { names.len() };
    reached[..=longest].contains(&true)
}

/// Checks that a text is a pattern that can match something.
///
/// # Errors
/// When it is empty, too long, begins with `/` or `!`, has `..`, `.` or an empty part, or `\`.
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
    } else if parts().any(|part| matches!(part, "" | "." | "..")) {
        "it must not contain `.`, `..` or an empty part"
    } else {
        return Ok(());
    };
    Err(InvalidPattern { pattern: pattern.to_owned(), reason })
}

/// Whether a name matches a pattern of `*` (any characters), `?` (any one) and characters. Linear but for the product
/// of the lengths: on a mismatch it goes back to the last `*` only.
fn matches_name(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut reading, mut retry) = (0, 0, None);
    while reading < name.len() {
        match pattern.get(at) {
            Some('*') => {
                retry = Some((at, reading));
                at += 1;
            }
            Some(expected) if *expected == '?' || *expected == name[reading] => {
                at += 1;
                reading += 1;
            }
            _ => {
                let Some((star, from)) = retry else { return false };
                retry = Some((star, from + 1));
                (at, reading) = (star + 1, from + 1);
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(!matches_any::<&str, &str>(&["docs/"], &[]));
        assert!(matches_any::<&str, _>(&[], &["src/a.rs"]));
    }

    #[test]
    fn hostile_patterns_take_no_longer() {
        let stars = "*a".repeat(500);
        assert!(!matches(&stars, &"a".repeat(400)));
        assert!(!matches(&("**/".repeat(300) + "y"), "x/x/x"));
    }

    #[test]
    fn patterns_that_can_match_nothing_are_refused() {
        for pattern in ["", "/src", "../x", "a//b", "a/./b", "!a", "a\\b"] {
            assert!(check_pattern(pattern).is_err(), "{pattern}");
        }
        assert_eq!(check_pattern("a/**/b/"), Ok(()));
    }
}
