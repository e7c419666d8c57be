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
