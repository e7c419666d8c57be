//! Text of others within the Markdown of a forge: nothing in it links, mentions anybody or ends its place.

/// How long the summary of a check is at most, in characters: GitHub takes 65,535.
const MOST_CHARACTERS: usize = 20_000;

/// Lines as they are, in a block whose fence is in none of them.
pub(super) fn block(lines: &[String]) -> String {
    let longest = lines.iter().flat_map(|line| line.split(|letter| letter != '`')).map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let lines = shortened(&lines.join("\n"));
    format!("{fence}text\n{lines}\n{fence}")
}

/// A text on one line, as code.
pub(super) fn code(text: &str) -> String {
    let line = text.split(['\r', '\n']).collect::<Vec<_>>().join(" ");
    let longest = line.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if line.starts_with('`') || line.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{line}{space}{fence}")
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}\n…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{block, code};

    #[test]
    fn nothing_ends_its_place() {
        let lines = ["a ```` b".to_owned(), "```".to_owned(), "@acme/all".to_owned()];
        assert_eq!(block(&lines), "`````text\na ```` b\n```\n@acme/all\n`````");
        assert_eq!(block(&["x".to_owned()]), "```text\nx\n```");
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a\n`b`"), "`` a `b` ``");
        assert!(block(&["ä".repeat(30_000)]).chars().count() < 20_100);
    }
}
