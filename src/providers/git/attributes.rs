//! What a tree's own `.gitattributes` leave out of archives, and the patterns for it (gitattributes(5)).

/// The `export-ignore` lines of the `.gitattributes` files from the top down to one folder.
#[derive(Clone, Default)]
pub(super) struct ExportRules {
    /// Later ones win.
    rules: Vec<Rule>,
}

#[derive(Clone)]
struct Rule {
    /// The folder that the pattern counts from: empty, or ending in a slash.
    base: String,
    pattern: String,
    ignored: bool,
}

impl ExportRules {
    /// These rules with those of a deeper `.gitattributes` file, which win.
    pub(super) fn with(&self, folder: &str, text: &str) -> Self {
        let base = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut rules = self.rules.clone();
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            let Some(pattern) = words.next() else { continue };
            // The last word on it wins.
            let decision = words.rev().find_map(|word| match word {
                "export-ignore" => Some(true),
                "-export-ignore" | "!export-ignore" => Some(false),
                _ => None,
            });
            if let Some(ignored) = decision {
                rules.push(Rule { base: base.clone(), pattern: pattern.to_owned(), ignored });
            }
        }
        Self { rules }
    }

    /// Whether the file or folder at `path` is left out.
    pub(super) fn ignores(&self, path: &str, is_folder: bool) -> bool {
        self.rules.iter().rev().find(|rule| rule.concerns(path, is_folder)).is_some_and(|rule| rule.ignored)
    }
}

impl Rule {
    fn concerns(&self, path: &str, is_folder: bool) -> bool {
        let Some(inside) = path.strip_prefix(&self.base) else { return false };
        let (pattern, folders_only) = match self.pattern.strip_suffix('/') {
            Some(pattern) => (pattern, true),
            None => (self.pattern.as_str(), false),
        };
        if folders_only && !is_folder {
            return false;
        }
        match pattern.contains('/') {
            true => matches(pattern.trim_start_matches('/'), inside),
            false => matches(pattern, inside.rsplit('/').next().unwrap_or(inside)),
        }
    }
}

/// Whether a path is what a pattern describes: `*` and `?` stop at slashes, `**` does not, `[…]` is a set.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    match_bytes(pattern.as_bytes(), path.as_bytes())
}

fn match_bytes(pattern: &[u8], path: &[u8]) -> bool {
    match pattern {
        [] => path.is_empty(),
        [b'*', b'*', b'/', rest @ ..] => {
            match_bytes(rest, path) || after_slashes(path).any(|tail| match_bytes(rest, tail))
        }
        [b'*', b'*', rest @ ..] => (0..=path.len()).any(|skip| match_bytes(rest, &path[skip..])),
        [b'*', rest @ ..] => {
            let reach = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
            (0..=reach).any(|skip| match_bytes(rest, &path[skip..]))
        }
        [b'?', rest @ ..] => path.split_first().is_some_and(|(first, tail)| *first != b'/' && match_bytes(rest, tail)),
        [b'[', rest @ ..] => match (set_length(rest), path.split_first()) {
            (Some(length), Some((first, tail))) => {
                *first != b'/' && in_set(&rest[..length], *first) && match_bytes(&rest[length + 1..], tail)
            }
            _ => false,
        },
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => {
            path.split_first().is_some_and(|(first, tail)| first == literal && match_bytes(rest, tail))
        }
    }
}

fn after_slashes(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[at + 1..])
}

/// How long a set is, up to its closing bracket, which is not the first character in it.
fn set_length(rest: &[u8]) -> Option<usize> {
    let negated = usize::from(rest.first().is_some_and(|byte| matches!(byte, b'!' | b'^')));
    rest.iter().skip(negated + 1).position(|byte| *byte == b']').map(|at| at + negated + 1)
}

fn in_set(set: &[u8], byte: u8) -> bool {
    let (negated, mut set) = match set {
        [b'!' | b'^', rest @ ..] => (true, rest),
        all => (false, all),
    };
    let mut found = false;
    loop {
        match set {
            [low, b'-', high, rest @ ..] => {
                found |= (*low..=*high).contains(&byte);
                set = rest;
            }
            [one, rest @ ..] => {
                found |= *one == byte;
                set = rest;
            }
            [] => return found != negated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_git() {
        for (pattern, path, expected) in [
            ("*.md", "a.md", true),
            ("*.md", "docs/a.md", false),
            ("**/*.md", "docs/deep/a.md", true),
            ("**/*.md", "a.md", true),
            ("docs/**", "docs/a/b", true),
            ("a?c", "abc", true),
            ("a[0-9]c", "a5c", true),
            ("a[!0-9]c", "a5c", false),
            ("\\*", "*", true),
            ("\\*", "x", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn deeper_and_later_lines_win() {
        let top = ExportRules::default().with("", "*.txt export-ignore text\n/docs/ export-ignore\n# x export-ignore");
        let deep = top.with("lib", "keep.txt -export-ignore");
        assert!(top.ignores("a/b.txt", false) && top.ignores("docs", true));
        assert!(!top.ignores("docs", false) && !top.ignores("lib/docs", true) && !top.ignores("x", false));
        assert!(!deep.ignores("lib/keep.txt", false) && deep.ignores("lib/other.txt", false));
    }
}
