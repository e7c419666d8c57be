//! Patterns of `exclude`, which mean what those of `.gitattributes` mean (gitattributes(5), gitignore(5)), in the terms of `globset`, whose automata no pattern makes
//! slow. Git's own matcher, `wildmatch.c`, says what they mean; a test compares the two.

use crate::providers::Fault;
use globset::{Glob, GlobBuilder, GlobSet};
use std::fmt::Display;

/// Any folders and a slash, or nothing.
const FOLDERS: &str = "{**/}";

/// The automata of many patterns at once; `what` names them in the fault.
pub(super) fn set(globs: &[Glob], what: impl Display) -> Result<GlobSet, Fault> {
    GlobSet::new(globs).map_err(|error| {
        Fault::fail(
            format!("the patterns of {what} are too many or too large: {error}"),
            "use fewer or shorter patterns",
        )
    })
}

/// A pattern that counts from a folder.
pub(super) fn path(pattern: &str) -> Option<Glob> {
    build(&translated(pattern)?)
}

fn build(glob: &str) -> Option<Glob> {
    GlobBuilder::new(glob).literal_separator(true).backslash_escape(true).build().ok()
}

/// The pattern as `globset` writes it; `None` for one that is malformed, which matches nothing.
fn translated(pattern: &str) -> Option<String> {
    let is_special = |character: &char| matches!(character, '*' | '?' | '[' | '\\');
    let pattern: Vec<char> = pattern.chars().collect();
    // Git compares what stands before the first special character by itself, so that stars after it stand at a beginning.
    let beginning = pattern.iter().position(is_special).unwrap_or(pattern.len());
    let (mut glob, mut at) = (String::new(), 0);
    while let Some(character) = pattern.get(at) {
        let rest = &pattern[at + 1..];
        at += 1;
        match character {
            '*' => {
                let more = rest.iter().take_while(|next| **next == '*').count();
                let folders = more > 0 && (at - 1 == beginning || pattern[at - 2] == '/');
                at += more;
                match &rest[more..] {
                    ['/', ..] if folders => {
                        glob.push_str(FOLDERS);
                        at += 1;
                    }
                    [] | ['\\', '/', ..] if folders => glob.extend([FOLDERS, "*"]),
                    _ => glob.push('*'),
                }
            }
            '?' => glob.push('?'),
            '[' => {
                let (set, length) = Set::parse(rest)?;
                glob.push_str(&set.glob());
                at += length;
            }
            '\\' => {
                literal(&mut glob, *rest.first()?);
                at += 1;
            }
            plain => literal(&mut glob, *plain),
        }
    }
    Some(glob)
}

fn literal(glob: &mut String, character: char) {
    if character.is_ascii() && !character.is_ascii_alphanumeric() {
        glob.push('\\');
    }
    glob.push(character);
}

/// `[…]`: one character of these, or of all others; never a slash.
struct Set {
    negated: bool,
    ascii: [bool; 128],
    /// Git compares bytes, so each of these is any of its bytes, as it is for `globset`.
    wide: String,
}

impl Set {
    /// The set that begins after its `[`, and how many characters it takes with its `]`.
    fn parse(text: &[char]) -> Option<(Self, usize)> {
        let mut set = Self { negated: matches!(text.first()?, '!' | '^'), ascii: [false; 128], wide: String::new() };
        let first = usize::from(set.negated);
        // What a `-` would count from.
        let (mut at, mut low) = (first, None);
        loop {
            match &text[at..] {
                [']', ..] if at > first => return Some((set, at + 1)),
                ['\\', escaped, ..] => {
                    set.add(*escaped);
                    (at, low) = (at + 2, Some(*escaped));
                }
                ['-', '\\', high, ..] if low.is_some() => {
                    set.add_range(low?, *high)?;
                    (at, low) = (at + 3, None);
                }
                ['-', high, ..] if low.is_some() && *high != ']' && *high != '\\' => {
                    set.add_range(low?, *high)?;
                    (at, low) = (at + 2, None);
                }
                ['[', ':', class @ ..] => {
                    let end = class.iter().position(|character| *character == ']')?;
                    match class[..end].split_last() {
                        Some((':', name)) => {
                            set.add_class(&name.iter().collect::<String>())?;
                            (at, low) = (at + end + 3, None);
                        }
                        _ => {
                            set.add('[');
                            (at, low) = (at + 1, Some('['));
                        }
                    }
                }
                ['\\'] | [] => return None,
                [plain, ..] => {
                    set.add(*plain);
                    (at, low) = (at + 1, Some(*plain));
                }
            }
        }
    }

    fn add(&mut self, character: char) {
        match self.ascii.get_mut(character as usize) {
            Some(member) => *member = true,
            None => self.wide.push(character),
        }
    }

    /// `None` for ranges of bytes within characters, which nobody means.
    fn add_range(&mut self, low: char, high: char) -> Option<()> {
        (low.is_ascii() && high.is_ascii()).then(|| (low..=high).for_each(|each| self.add(each)))
    }

    fn add_class(&mut self, name: &str) -> Option<()> {
        let has: fn(&u8) -> bool = match name {
            "alnum" => u8::is_ascii_alphanumeric,
            "alpha" => u8::is_ascii_alphabetic,
            "blank" => |byte| matches!(byte, b' ' | b'\t'),
            "cntrl" => u8::is_ascii_control,
            "digit" => u8::is_ascii_digit,
            "graph" => u8::is_ascii_graphic,
            "lower" => u8::is_ascii_lowercase,
            "print" => |byte| matches!(byte, b' '..=b'~'),
            "punct" => u8::is_ascii_punctuation,
            "space" => |byte| matches!(byte, b' ' | b'\t'..=b'\r'),
            "upper" => u8::is_ascii_uppercase,
            "xdigit" => u8::is_ascii_hexdigit,
            _ => return None,
        };
        (0..128_u8).filter(has).for_each(|byte| self.add(char::from(byte)));
        Some(())
    }

    /// Written so that every character stands where it means itself: `]` or a slash first, `-` last.
    fn glob(&self) -> String {
        let has = |character: char| self.ascii[character as usize];
        let plain = (0..128_u8).map(char::from).filter(|each| has(*each) && !matches!(each, ']' | '-' | '/'));
        let mut glob = String::from(if self.negated { "[!" } else { "[" });
        glob.push(if has(']') { ']' } else { '/' });
        glob.extend(plain);
        glob.push_str(&self.wide);
        glob.extend(has('-').then_some('-'));
        glob.push(']');
        glob
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    fn matches(pattern: &str, path: &str) -> bool {
        super::path(pattern).is_some_and(|glob| set(&[glob], "a test").unwrap().is_match(path))
    }

    #[test]
    fn patterns_match_as_in_git() {
        for (pattern, path, expected) in [
            ("*.md", "a.md", true),
            ("*.md", "docs/a.md", false),
            ("**/*.md", "docs/deep/a.md", true),
            ("**/*.md", "a.md", true),
            ("docs/**", "docs/a/b", true),
            ("docs/**", "docs", false),
            ("a?c", "abc", true),
            ("a[0-9]c", "a5c", true),
            ("a[!0-9]c", "a5c", false),
            ("a[]-]c", "a-c", true),
            ("a[^]]c", "a]c", false),
            ("a[[:digit:]x]c", "a7c", true),
            ("a[[:word:]]c", "awc", false),
            ("a[c", "a[c", false),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("a\\", "a", false),
            ("{a,b}", "a", false),
            ("{a,b}", "{a,b}", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn hostile_patterns_take_no_longer() {
        let name = "a".repeat(2_000);
        let stars = "*a".repeat(500);
        for (pattern, expected) in [
            (stars.clone(), true),
            (format!("{stars}b"), false),
            (format!("{}b", "**/".repeat(500)), false),
            (format!("{}b", "?*".repeat(500)), false),
            (format!("{}b", "[!b]*".repeat(300)), false),
        ] {
            assert_eq!(matches(&pattern, &name), expected, "{pattern}");
        }
        assert!(!matches("**/a/**/a/**/a/**/a/**/a/**/b", &"a/".repeat(1_000)));
    }

    /// What `git check-attr` says of each path.
    fn git_matches(folder: &std::path::Path, paths: &[String]) -> Vec<bool> {
        let mut git = Command::new("git");
        git.args(["check-attr", "--stdin", "-z", "export-ignore"]).current_dir(folder);
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        let mut git = git.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        git.stdin.take().unwrap().write_all((paths.join("\0") + "\0").as_bytes()).unwrap();
        let said = String::from_utf8(git.wait_with_output().unwrap().stdout).unwrap();
        let values: Vec<bool> = said.split('\0').skip(2).step_by(3).map(|value| value == "set").collect();
        assert_eq!(values.len(), paths.len(), "{said:?}");
        values
    }

    fn pattern() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            8 => prop::sample::select(vec!["a", "b", "ab", ".", "-", "ä", "{", "}", ",", "!", "^", "]"]),
            8 => prop::sample::select(vec!["*", "?", "/", "**", "**/", "/**/", "/**", "***", "\\"]),
            4 => prop::sample::select(vec!["[ab]", "[!a]", "[^b]", "[a-b]", "[b-a]", "[]a]", "[!]]", "[a-]", "[-a]", "[[:alpha:]]"]),
            2 => prop::sample::select(vec!["[[:punct:]b]", "[[:x:]]", "[[:a]", "[\\]a]", "[a-\\b]", "[", "[ä]", "[!ä]", "[/]", "[.-b]"]),
        ];
        let pattern = prop::collection::vec(piece, 1..7).prop_map(|pieces| pieces.concat());
        // A slash at an end is taken off before: it counts as the same folder.
        pattern.prop_filter("no slash at an end", |pattern| !pattern.starts_with('/') && !pattern.ends_with('/'))
    }

    fn path() -> impl Strategy<Value = String> {
        "[ab.\\-ä{},!^\\]\\[*\\\\]{1,3}(/[abä\\-]{1,2}){0,3}".prop_filter("a path that git keeps as it is", |path| {
            path.split('/').all(|part| part != "." && part != "..")
        })
    }

    proptest! {
        // Each case starts git once, for many paths.
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn git_says_the_same(pattern in pattern(), paths in prop::collection::vec(path(), 100)) {
            let folder = tempfile::tempdir().unwrap();
            let init = Command::new("git").args(["init", "-q", "--template="]).current_dir(&folder).status().unwrap();
            prop_assert!(init.success());
            std::fs::write(folder.path().join(".gitattributes"), format!("/{pattern} export-ignore\n")).unwrap();
            for (path, expected) in paths.iter().zip(git_matches(folder.path(), &paths)) {
                prop_assert_eq!(matches(&pattern, path), expected, "{} on {}", pattern, path);
            }
        }
    }
}
