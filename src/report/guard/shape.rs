//! Measures rules before they run. Guard 3.2.1 follows a rule that refers to itself, or a variable that is defined by itself,
//! until the stack is exhausted, and that ends the process. This reads the text word by word and refuses definitions that form
//! a circle or a long chain. It knows less of the language than the evaluator, so it errs towards refusing.

use std::collections::{BTreeMap, BTreeSet};

/// The greatest text of rules: some ten times our largest file. The parser's time grows with the square of a clause's length.
const MAX_BYTES: usize = 64 * 1024;

/// How deep brackets and blocks may nest.
const MAX_NESTING: usize = 16;

/// How many definitions may build on each other, one on the next.
const MAX_CHAIN: usize = 16;

/// Refuses rules that could exhaust the evaluator, saying why and where to look.
pub(super) fn check(text: &str) -> Result<(), String> {
    if text.len() > MAX_BYTES {
        return Err(format!("they have {} bytes, and {MAX_BYTES} is the limit; split the file", text.len()));
    }
    let words = words(text);
    let mut depth = 0usize;
    for word in &words {
        match word.text {
            "{" | "[" | "(" => depth += 1,
            "}" | "]" | ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_NESTING {
            return Err(format!("line {}: nested deeper than {MAX_NESTING} levels", word.line));
        }
    }
    let uses = uses(&words);
    let mut chains = BTreeMap::new();
    for name in uses.keys() {
        chain(name, &uses, &mut vec![], &mut chains)?;
    }
    Ok(())
}

struct Word<'text> {
    text: &'text str,
    line: usize,
    /// Whether a member's name: it comes after a dot, and so is no reference to a rule.
    member: bool,
}

/// The words that matter: names, `%variables` and single marks; texts, patterns, messages and comments are passed over.
fn words(text: &str) -> Vec<Word<'_>> {
    let (mut words, mut rest, mut line) = (vec![], text, 1);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '"' | '\'' | '/' => 1 + closing(&rest[1..], first),
            '<' if rest.starts_with("<<") => rest.find(">>").map_or(rest.len(), |end| end + 2),
            '%' | '_' | 'a'..='z' | 'A'..='Z' => {
                let name = |next: char| next.is_alphanumeric() || matches!(next, '_' | ':');
                first.len_utf8() + rest[1..].find(|next| !name(next)).unwrap_or(rest.len() - 1)
            }
            _ => first.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        if !matches!(first, '#' | '<') && !first.is_whitespace() {
            let member = words.last().is_some_and(|before: &Word<'_>| before.text == ".");
            words.push(Word { text: word, line, member });
        }
        line += word.matches('\n').count();
        rest = after;
    }
    words
}

/// The length of a quoted text's rest with its closing mark, `\` before a mark being an escape.
fn closing(text: &str, mark: char) -> usize {
    let mut escaped = false;
    for (position, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == mark => return position + character.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// What each definition (a rule's `name`, a variable's `%name`) refers to.
fn uses<'text>(words: &[Word<'text>]) -> BTreeMap<String, BTreeSet<String>> {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut rule, mut variable): (Option<String>, Option<Variable<'text>>) = (None, None);
    let mut index = 0;
    while let Some(word) = words.get(index) {
        let name = words.get(index + 1).map(|next| next.text);
        match (word.text, name) {
            ("rule", Some(name)) if !word.member => {
                uses.entry(name.to_owned()).or_default();
                (rule, variable) = (Some(name.to_owned()), None);
                index += 2;
                continue;
            }
            ("let", Some(name)) if !word.member => {
                uses.entry(format!("%{name}")).or_default();
                variable = Some(Variable { name: format!("%{name}"), last: word.text, line: word.line, depth: 0 });
                index += 2;
                continue;
            }
            _ => {}
        }
        if variable.as_ref().is_some_and(|variable| variable.ended_before(word)) {
            variable = None;
        }
        if let Some(variable) = &mut variable {
            variable.take(word);
        }
        if !word.member {
            let user = variable.as_ref().map(|variable| &variable.name).or(rule.as_ref());
            if let Some(used) = user.and_then(|user| uses.get_mut(user)) {
                used.insert(word.text.to_owned());
            }
        }
        index += 1;
    }
    uses
}

/// A `let` whose value is being read: it goes on to the line's end, and further where it cannot be complete.
struct Variable<'text> {
    name: String,
    last: &'text str,
    line: usize,
    depth: usize,
}

impl<'text> Variable<'text> {
    fn ended_before(&self, word: &Word<'_>) -> bool {
        let incomplete = self.depth > 0 || matches!(self.last, "let" | "=" | ":" | "." | "," | "some" | "!" | "not");
        let continues = matches!(word.text, "." | "[" | "(" | "{" | "," | "=" | ":");
        word.line > self.line && !incomplete && !continues
    }

    fn take(&mut self, word: &Word<'text>) {
        match word.text {
            "{" | "[" | "(" => self.depth += 1,
            "}" | "]" | ")" => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        (self.last, self.line) = (word.text, word.line);
    }
}

/// The length of the longest chain of definitions that begins at `name`; refused when it comes back to itself.
fn chain<'uses>(
    name: &'uses str,
    uses: &'uses BTreeMap<String, BTreeSet<String>>,
    path: &mut Vec<&'uses str>,
    chains: &mut BTreeMap<&'uses str, usize>,
) -> Result<usize, String> {
    if let Some(length) = chains.get(name) {
        return Ok(*length);
    }
    if path.contains(&name) {
        return Err(format!("`{name}` is defined by itself: {} → {name}", path.join(" → ")));
    }
    if path.len() > MAX_CHAIN {
        return Err(format!("more than {MAX_CHAIN} definitions build on each other, from `{}` on", path[0]));
    }
    path.push(name);
    let mut longest = 0;
    for used in uses.get(name).into_iter().flatten() {
        if let Some((used, _)) = uses.get_key_value(used) {
            longest = longest.max(chain(used, uses, path, chains)?);
        }
    }
    path.pop();
    if longest + 1 > MAX_CHAIN {
        return Err(format!("more than {MAX_CHAIN} definitions build on each other, from `{name}` on"));
    }
    chains.insert(name, longest + 1);
    Ok(longest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_in_a_circle_are_refused() {
        for circle in [
            "rule a when b { Resources exists }\nrule b when a { Resources exists }",
            "rule a { a }",
            "rule p(x) { p(%x) }\nrule a { p(Resources) }",
            "let x = %y\nlet y = %x\nrule a { %x exists }",
            "let x = some\n  %x.Type\nrule a { %x exists }",
            "rule a { let x = Resources\n  .*[ Type == %x ] }",
        ] {
            assert!(check(circle).is_err_and(|error| error.contains("by itself")), "{circle}");
        }
    }

    #[test]
    fn ordinary_rules_are_let_through() {
        for fine in [
            "let x = Resources.*\nrule a when %x !empty {\n let y = %x.Type\n %y exists <<a a { ( [>>\n}\nrule b when a { Resources exists }",
            "# rule a { a }\nrule a { Resources.a.b != /a\\/{/ and Resources != 'rule a { a }' }",
        ] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
    }

    #[test]
    fn great_deep_and_chained_rules_are_refused() {
        assert!(check(&"# rules\n".repeat(10_000)).is_err());
        assert!(
            check(&format!("rule a {{ {}", "Resources[ ".repeat(100))).is_err_and(|error| error.contains("deeper"))
        );
        let chain: String =
            (0..40).map(|number| format!("rule r{number} when r{} {{ A exists }}\n", number + 1)).collect();
        assert!(check(&chain).is_err_and(|error| error.contains("build on each other")));
    }
}
