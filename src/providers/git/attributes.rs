//! What a tree's own `.gitattributes` leave out of archives (gitattributes(5)).

use super::glob;
use crate::providers::Fault;
use globset::GlobSet;
use std::sync::Arc;

/// Git ignores lines that are not shorter (`ATTR_MAX_LINE_LENGTH`).
const LONGEST_LINE: usize = 2_048;
/// The most `export-ignore` lines of one file, and the most bytes in their patterns. Every path is compared with all of
/// them; people write a dozen.
const MOST_LINES: usize = 1_000;
const MOST_BYTES: usize = 64 * 1_024;

/// The `export-ignore` lines of the `.gitattributes` files from the top down to one folder.
#[derive(Clone, Default)]
pub(super) struct ExportRules {
    /// Later ones win.
    files: Vec<Arc<File>>,
}

/// The `export-ignore` lines of one file.
struct File {
    /// The folder that its patterns count from: empty, or ending in a slash.
    base: String,
    /// The patterns of `lines`.
    patterns: GlobSet,
    /// Later ones win.
    lines: Vec<Line>,
}

struct Line {
    folders_only: bool,
    ignored: bool,
}

impl ExportRules {
    /// These rules with those of a deeper `.gitattributes` file, which win.
    pub(super) fn with(&self, folder: &str, text: &str) -> Result<Self, Fault> {
        let base = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let name = format!("{base}.gitattributes");
        let (mut globs, mut lines, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (pattern, ignored) in text.strip_prefix('\u{feff}').unwrap_or(text).split('\n').filter_map(export_line) {
            let (pattern, folders_only) = match pattern.strip_suffix('/') {
                Some(pattern) => (pattern, true),
                None => (pattern, false),
            };
            let glob = match pattern.contains('/') {
                true => glob::path(pattern.strip_prefix('/').unwrap_or(pattern)),
                false => glob::name(pattern),
            };
            // A malformed pattern matches nothing.
            let Some(glob) = glob else { continue };
            globs.push(glob);
            lines.push(Line { folders_only, ignored });
            bytes += pattern.len();
            if lines.len() > MOST_LINES || bytes > MOST_BYTES {
                let error = format!("{name} has too many `export-ignore` lines: more than {MOST_LINES}, or 64 KiB");
                return Err(Fault::fail(error, "name folders instead of files"));
            }
        }
        let patterns = glob::set(&globs, &name)?;
        let mut files = self.files.clone();
        files.push(Arc::new(File { base, patterns, lines }));
        Ok(Self { files })
    }

    /// Whether the file or folder at `path` is left out.
    pub(super) fn ignores(&self, path: &str, is_folder: bool) -> bool {
        self.files.iter().rev().find_map(|file| file.decides(path, is_folder)).unwrap_or(false)
    }
}

impl File {
    fn decides(&self, path: &str, is_folder: bool) -> Option<bool> {
        let matching = self.patterns.matches(path.strip_prefix(&self.base)?);
        let lines = matching.into_iter().rev().filter_map(|index| self.lines.get(index));
        lines.filter(|line| is_folder || !line.folders_only).map(|line| line.ignored).next()
    }
}

/// The pattern of a line that says whether its paths are left out. Negative patterns and macros do not.
fn export_line(line: &str) -> Option<(&str, bool)> {
    let mut words = line.split([' ', '\t', '\r']).filter(|word| !word.is_empty());
    let pattern = words.next()?;
    if line.len() >= LONGEST_LINE || pattern.starts_with(['#', '!']) || pattern.starts_with("[attr]") {
        return None;
    }
    // The last word on it wins.
    let ignored = words.rev().find_map(|word| match word {
        "export-ignore" => Some(true),
        "-export-ignore" | "!export-ignore" => Some(false),
        other => other.starts_with("export-ignore=").then_some(false),
    })?;
    Some((pattern, ignored))
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

    fn rules(text: &str) -> ExportRules {
        ExportRules::default().with("", text).unwrap()
    }

    #[test]
    fn patterns_match_as_in_git() {
        for (pattern, path, expected) in [
            ("/*.md", "a.md", true),
            ("/*.md", "docs/a.md", false),
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
            ("//a", "a", false),
        ] {
            assert_eq!(rules(&format!("{pattern} export-ignore")).ignores(path, false), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn deeper_and_later_lines_win() {
        let top = rules("*.txt export-ignore text\n/docs/ export-ignore\n# x export-ignore\n!y export-ignore");
        let deep = top.with("lib", "keep.txt -export-ignore\r\nset.txt export-ignore=1\r\n").unwrap();
        assert!(top.ignores("a/b.txt", false) && top.ignores("docs", true));
        assert!(!top.ignores("docs", false) && !top.ignores("lib/docs", true) && !top.ignores("x", false));
        assert!(!top.ignores("y", false) && !top.ignores("!y", false));
        assert!(!deep.ignores("lib/keep.txt", false) && deep.ignores("lib/other.txt", false));
        assert!(!deep.ignores("lib/set.txt", false));
    }

    #[test]
    fn hostile_patterns_take_no_longer() {
        let name = "a".repeat(2_000);
        let stars = "*a".repeat(500);
        for (pattern, expected) in [
            (stars.clone(), true),
            (format!("{stars}b"), false),
            (format!("/{stars}b"), false),
            (format!("/{}b", "**/".repeat(500)), false),
            (format!("{}b", "?*".repeat(500)), false),
            (format!("{}b", "[!b]*".repeat(300)), false),
        ] {
            assert_eq!(rules(&format!("{pattern} export-ignore")).ignores(&name, false), expected, "{pattern}");
        }
        assert!(!rules("/**/a/**/a/**/a/**/a/**/a/**/b export-ignore").ignores(&"a/".repeat(1_000), false));
    }

    #[test]
    fn what_is_too_much_is_refused_and_not_packed() {
        let long = |length: usize| format!("{} export-ignore", "a".repeat(length));
        assert!(rules(&long(2_033)).ignores(&"a".repeat(2_033), false));
        assert!(!rules(&long(2_034)).ignores(&"a".repeat(2_034), false), "git ignores this line too");
        let many = "a export-ignore\n".repeat(MOST_LINES);
        assert!(rules(&many).ignores("a", false));
        let error = |text: &str| ExportRules::default().with("lib", text).err().unwrap().to_string();
        assert!(error(&format!("{many}b export-ignore")).contains("lib/.gitattributes has too many"));
        let hostile = |lines: usize| format!("{} export-ignore\n", "*[!b]".repeat(400)).repeat(lines);
        assert!(rules(&hostile(2)).ignores(&"a".repeat(400), false));
        assert!(error(&hostile(33)).contains("or 64 KiB"));
    }

    /// What `git check-attr` says of each path, of a folder where it ends in a slash.
    fn git_ignores(folder: &std::path::Path, paths: &[String]) -> Vec<bool> {
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
        prop::collection::vec(piece, 1..7).prop_map(|pieces| pieces.concat())
    }

    fn path() -> impl Strategy<Value = String> {
        "[ab.\\-ä{},!^\\]\\[*\\\\]{1,3}(/[abä\\-]{1,2}){0,3}/?".prop_filter("a path that git keeps as it is", |path| {
            path.split('/').all(|part| part != "." && part != "..")
        })
    }

    proptest! {
        // Each case starts git once, for many paths.
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn git_says_the_same(
            patterns in prop::collection::vec((pattern(), any::<bool>()), 1..6),
            paths in prop::collection::vec(path(), 100),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let init = Command::new("git").args(["init", "-q", "--template="]).current_dir(&folder).status().unwrap();
            prop_assert!(init.success());
            let line = |(pattern, set): &(String, bool)| format!("{pattern} {}export-ignore\n", if *set { "" } else { "-" });
            let text: String = patterns.iter().map(line).collect();
            std::fs::write(folder.path().join(".gitattributes"), &text).unwrap();
            let rules = rules(&text);
            for (path, expected) in paths.iter().zip(git_ignores(folder.path(), &paths)) {
                let found = rules.ignores(path.trim_end_matches('/'), path.ends_with('/'));
                prop_assert_eq!(found, expected, "{} on {}", text, path);
            }
        }
    }
}
