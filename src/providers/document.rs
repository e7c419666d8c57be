//! Files that people and programs configure things with: JSON, YAML or TOML, by their ending.

use serde_json::Value;

use crate::providers::{Fault, yaml};

/// Reads a JSON, YAML or TOML file, by its ending, into one kind of value.
pub(crate) fn parse(path: &str, bytes: &[u8]) -> Result<Value, Fault> {
    let unreadable = |error: String| Fault::fail(format!("{path}: {error}"), "mend the file and push it");
    let text = std::str::from_utf8(bytes).map_err(|error| unreadable(format!("not UTF-8: {error}")))?;
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("yaml" | "yml") => yaml::parse(path, text),
        Some("toml") => toml::from_str(text).map_err(|error| unreadable(error.to_string())),
        _ => serde_json::from_str(text).map_err(|error| unreadable(format!("not JSON: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Documents that were made to end who reads them: by depth, width, length and what numbers and texts may be.
    fn hostile() -> Vec<(&'static str, String)> {
        let many = 200_000;
        vec![
            ("deep.json", "[".repeat(many)),
            ("deep-objects.json", "{\"a\":".repeat(many)),
            ("large-number.json", "9".repeat(1_000_000)),
            ("huge-exponent.json", "1e999999999".to_owned()),
            ("lone-surrogate.json", "\"\\ud800\"".to_owned()),
            ("deep.toml", format!("a = {}", "[".repeat(many))),
            ("deep-inline.toml", "a = {".repeat(many)),
            ("dotted.toml", format!("{}b = 1", "a.".repeat(many))),
            ("dotted-header.toml", format!("[{}b]\nc = 1", "a.".repeat(many))),
            ("many-headers.toml", "[a]\n".repeat(many)),
            ("deep.yaml", "- ".repeat(many)),
            ("deep-flow.yaml", "[".repeat(many)),
            ("deep-indented.yaml", (0..2_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect()),
            (
                "aliases.yaml",
                (1..40).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
                    let before = level - 1;
                    format!("{text}a{level}: &a{level} [{}]\n", format!("*a{before}, ").repeat(10))
                }),
            ),
        ]
    }

    #[test]
    fn no_document_ends_who_reads_it() {
        for (name, text) in hostile() {
            let (name, text) = (name.to_owned(), text.clone());
            // A stack as small as those that work is done on.
            let reading = std::thread::Builder::new().stack_size(2 << 20);
            let read = reading.spawn(move || parse(&name, text.as_bytes()).map(drop).map_err(|fault| (name, fault)));
            let read = read.expect("a thread").join().expect("no panic");
            let (name, fault) = read.expect_err("each is refused");
            assert!(matches!(fault, Fault::Fail { .. }), "{name}: {fault}");
        }
    }
}
