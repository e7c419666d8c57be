//! From the text of a rules file to [`Rules`], or to every mistake in it. Three passes: the document with its places,
//! its shape by the schema, its meaning by the checks. The meaning is checked as soon as the shape allows it, so that a
//! person sees all at once.

use super::{
    check,
    document::{self, Node},
    here::Here,
    mistake::{Findings, Mistakes},
    model::Rules,
    names::SystemName,
    schema, shape,
    together::Loaded,
};

/// Loads rules from YAML or JSON. The file's name is only for messages.
///
/// # Errors
/// Every mistake that was found, with its place.
pub fn load(file_name: &str, text: &str) -> Result<Rules, Mistakes> {
    load_checked(file_name, text, None)
}

/// Loads rules as [`load`] does, where `tidegate.toml` is at hand: what they name of it must be there.
///
/// # Errors
/// As [`load`].
pub fn load_here(file_name: &str, text: &str, here: &Here) -> Result<Rules, Mistakes> {
    load_checked(file_name, text, Some(here))
}

/// The system that a rules file names, whatever else is wrong with it.
#[must_use]
pub fn system_named(text: &str) -> Option<SystemName> {
    let document = document::parse(text, &mut Findings::default())?;
    SystemName::new(document.get("system")?.to_value().as_str()?).ok()
}

fn load_checked(file_name: &str, text: &str, here: Option<&Here>) -> Result<Rules, Mistakes> {
    Ok(load_with_places(file_name, text, here)?.rules)
}

/// Loads rules with all that it takes to check them together with those of other files.
///
/// # Errors
/// As [`load`].
pub fn load_with_places(file_name: &str, text: &str, here: Option<&Here>) -> Result<Loaded, Mistakes> {
    let mut findings = Findings::default();
    let document = document::parse(text, &mut findings);
    let understood = document.and_then(|document| {
        let rules = understand(&document, text, here, &mut findings)?;
        Some(Loaded { name: file_name.to_owned(), text: text.to_owned(), rules, document })
    });
    match understood {
        Some(loaded) if findings.is_empty() => Ok(loaded),
        _ => Err(findings.in_file(file_name, text)),
    }
}

fn understand(document: &Node, text: &str, here: Option<&Here>, findings: &mut Findings) -> Option<Rules> {
    let value = shape::fit(&schema::schema(), document, findings)?;
    match serde_json::from_value::<Rules>(value) {
        Ok(rules) => {
            check::check(&rules, document, text, here, findings);
            Some(rules)
        }
        Err(error) => {
            // The schema and the types agree, so this is out of the ordinary; it is a mistake all the same, not a panic.
            findings.add(0..0, error.to_string());
            None
        }
    }
}
