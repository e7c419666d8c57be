//! Templates in rules: texts with `{{step.output}}` in them. Strict, so that a misspelt name is an error and never an
//! empty text; without code, so that a rules file can do no more than name values. `{{#if name}}…{{else}}…{{/if}}` is
//! the one helper. Nothing here reads anything but the context that it is given.

use handlebars::{
    Handlebars, Path, PathSeg, Template, TemplateErrorReason,
    template::{HelperTemplate, Parameter, TemplateElement},
};
use serde_json::Value;

/// The names that every template of a step may use, whatever steps came before.
pub(super) const CONTEXT: [&str; 7] = ["system", "stage", "environment", "branch", "repository", "commit", "run"];
/// The longest template in bytes; a commit message or a parameter, not a program.
pub const LONGEST_TEMPLATE: usize = 64 * 1024;
/// How many `{{#if}}` one template may have; the parser recurses into them.
const MOST_BLOCKS: usize = 32;
/// How deep a value with templates in it may be nested; rendering recurses into it.
const DEEPEST_VALUE: usize = 64;

/// A template that cannot be rendered; its text says which part of it, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is not well formed.
    #[error("`{template}` is not a template: {reason}")]
    Syntax {
        /// The template, shortened.
        template: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It uses something that handlebars has and rules do not.
    #[error(
        "`{what}` is not allowed in a template: write names as in `{{{{step.output}}}}`, or `{{{{#if name}}}}…{{{{/if}}}}`"
    )]
    NotAllowed {
        /// What it uses.
        what: String,
    },
    /// It uses a name that is not there.
    #[error("nothing is named `{name}`{}", listed(.known))]
    Unknown {
        /// The name, with dots.
        name: String,
        /// The names that are there, at the level where the search ended.
        known: Vec<String>,
    },
    /// It puts a value into a text that has no text: an object, a list or nothing.
    #[error("`{name}` is {kind} and cannot stand within a text: name one of its values, or make it the whole text")]
    NotText {
        /// The name, with dots.
        name: String,
        /// What it is, as in "an object".
        kind: &'static str,
    },
    /// It is longer or deeper than any honest template.
    #[error("a template may have at most 64 KiB, 32 `{{{{#if}}}}`, and stand 64 levels deep in a value")]
    TooLarge,
}

/// Renders a text. A text without `{{` is returned as it is.
///
/// # Errors
/// When the template is malformed, uses a name that the context lacks (even in a branch that is not taken), or puts an
/// object, list or null into the text.
pub fn render(template: &str, context: &Value) -> Result<String, TemplateError> {
    if !template.contains("{{") {
        return Ok(template.to_owned());
    }
    let parsed = parse(template)?;
    for used in uses(&parsed)? {
        let value = look_up(context, &used.path)?;
        if used.as_text
            && let Some(kind) = kind_without_text(value)
        {
            return Err(TemplateError::NotText { name: used.path.join("."), kind });
        }
    }
    let mut engine = Handlebars::new();
    engine.set_strict_mode(true);
    engine.register_escape_fn(handlebars::no_escape);
    engine.render_template(template, context).map_err(|error| syntax(template, error.reason().to_string()))
}

/// Renders every text within a value; keys stay as they are. A text that is one `{{a.b}}` alone becomes that value of
/// the context with its type: an object stays an object, a number a number.
///
/// # Errors
/// As [`render`], and when the value is nested more than 64 levels deep.
pub fn render_value(value: &Value, context: &Value) -> Result<Value, TemplateError> {
    render_within(value, context, DEEPEST_VALUE)
}

/// The names that a template uses, each as its parts, in the order of their use: `{{package.tag}}` is `["package", "tag"]`.
///
/// # Errors
/// When the template is malformed or uses what is not allowed.
pub fn names(template: &str) -> Result<Vec<Vec<String>>, TemplateError> {
    if !template.contains("{{") {
        return Ok(Vec::new());
    }
    Ok(uses(&parse(template)?)?.into_iter().map(|used| used.path).collect())
}

/// The names that all texts within a value use, as [`names`] gives them.
///
/// # Errors
/// As [`render_value`].
pub fn names_within(value: &Value) -> Result<Vec<Vec<String>>, TemplateError> {
    let mut found = Vec::new();
    let mut waiting = vec![(value, DEEPEST_VALUE)];
    while let Some((value, depth)) = waiting.pop() {
        let deeper = depth.checked_sub(1).ok_or(TemplateError::TooLarge)?;
        match value {
            Value::String(text) => found.extend(names(text)?),
            Value::Array(items) => waiting.extend(items.iter().rev().map(|item| (item, deeper))),
            Value::Object(fields) => waiting.extend(fields.values().rev().map(|field| (field, deeper))),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    Ok(found)
}

/// Whether a text is one name alone, so that [`render_value`] keeps the type of its value.
#[must_use]
pub fn is_one_name(text: &str) -> bool {
    matches!(alone(text), Ok(Some(_)))
}

fn render_within(value: &Value, context: &Value, depth: usize) -> Result<Value, TemplateError> {
    let deeper = depth.checked_sub(1).ok_or(TemplateError::TooLarge)?;
    match value {
        Value::String(text) => match alone(text)? {
            Some(path) => look_up(context, &path).cloned(),
            None => render(text, context).map(Value::String),
        },
        Value::Array(items) => items.iter().map(|item| render_within(item, context, deeper)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, field)| Ok((key.clone(), render_within(field, context, deeper)?)))
            .collect::<Result<_, _>>()
            .map(Value::Object),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
    }
}

/// One use of a name: its parts, and whether its value becomes part of the text.
struct Use {
    path: Vec<String>,
    as_text: bool,
}

/// The path of a text that is one expression alone.
fn alone(text: &str) -> Result<Option<Vec<String>>, TemplateError> {
    if !text.starts_with("{{") || !text.ends_with("}}") {
        return Ok(None);
    }
    let parsed = parse(text)?;
    if !matches!(parsed.elements.as_slice(), [TemplateElement::Expression(_)]) {
        return Ok(None);
    }
    Ok(uses(&parsed)?.pop().map(|used| used.path))
}

/// Parses after a look that bounds what the recursive parser can meet: no brackets or quotes within an expression, few blocks.
fn parse(template: &str) -> Result<Template, TemplateError> {
    if template.len() > LONGEST_TEMPLATE || template.matches("{{#").count() > MOST_BLOCKS {
        return Err(TemplateError::TooLarge);
    }
    for (start, _) in template.match_indices("{{") {
        let inside = &template[start + 2..];
        let Some(end) = inside.find("}}") else {
            return Err(syntax(template, "a `{{` has no `}}`".to_owned()));
        };
        let inside = &inside[..end];
        if inside.trim().is_empty() {
            return Err(syntax(template, "there is no name between `{{` and `}}`".to_owned()));
        }
        if inside.contains(|character: char| "()[]{}\"'|>*&!@~\\".contains(character)) {
            return Err(not_allowed(&format!("{{{{{inside}}}}}")));
        }
    }
    Template::compile(template).map_err(|error| {
        let reason = match error.reason() {
            TemplateErrorReason::InvalidSyntax(_) => "its syntax is wrong".to_owned(),
            reason => reason.to_string(),
        };
        syntax(template, reason)
    })
}

fn uses(template: &Template) -> Result<Vec<Use>, TemplateError> {
    let mut found = Vec::new();
    collect(template, &mut found)?;
    Ok(found)
}

fn collect(template: &Template, found: &mut Vec<Use>) -> Result<(), TemplateError> {
    for element in &template.elements {
        match element {
            TemplateElement::RawString(_) => {}
            TemplateElement::Expression(expression) => {
                if !expression.params.is_empty() || !expression.hash.is_empty() {
                    return Err(not_allowed(&format!("{{{{{} …}}}}", shown(&expression.name))));
                }
                found.push(Use { path: path_of(&expression.name)?, as_text: true });
            }
            TemplateElement::HelperBlock(block) => collect_condition(block, found)?,
            _ => return Err(not_allowed("{{…}}")),
        }
    }
    Ok(())
}

fn collect_condition(block: &HelperTemplate, found: &mut Vec<Use>) -> Result<(), TemplateError> {
    let name = shown(&block.name);
    let ("if", [condition], true) = (name.as_str(), block.params.as_slice(), block.hash.is_empty()) else {
        return Err(not_allowed(&format!("{{{{#{name} …}}}}")));
    };
    found.push(Use { path: path_of(condition)?, as_text: false });
    for branch in [&block.template, &block.inverse].into_iter().flatten() {
        collect(branch, found)?;
    }
    Ok(())
}

fn path_of(parameter: &Parameter) -> Result<Vec<String>, TemplateError> {
    let parsed = match parameter {
        Parameter::Path(path) => Some(path.clone()),
        Parameter::Name(name) => Path::parse(name).ok(),
        _ => None,
    };
    let Some(Path::Relative((segments, raw))) = parsed else {
        return Err(not_allowed(&shown(parameter)));
    };
    let named = segments.into_iter().map(|segment| match segment {
        PathSeg::Named(name) => Some(name),
        _ => None,
    });
    match named.collect::<Option<Vec<_>>>() {
        // `this` and `/` mean other things in handlebars than they seem to: only plain names with dots.
        Some(path) if !path.is_empty() && path.join(".") == raw => Ok(path),
        _ => Err(not_allowed(&raw)),
    }
}

fn look_up<'context>(context: &'context Value, path: &[String]) -> Result<&'context Value, TemplateError> {
    let mut value = context;
    for part in path {
        let next = match value {
            Value::Object(fields) => fields.get(part),
            Value::Array(items) => part.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        value = next.ok_or_else(|| TemplateError::Unknown {
            name: path.join("."),
            known: value.as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default(),
        })?;
    }
    Ok(value)
}

const fn kind_without_text(value: &Value) -> Option<&'static str> {
    match value {
        Value::Object(_) => Some("an object"),
        Value::Array(_) => Some("a list"),
        Value::Null => Some("null"),
        Value::String(_) | Value::Number(_) | Value::Bool(_) => None,
    }
}

fn shown(parameter: &Parameter) -> String {
    match parameter {
        Parameter::Name(name) | Parameter::Path(Path::Relative((_, name)) | Path::Local((_, _, name))) => name.clone(),
        Parameter::Literal(value) => value.to_string(),
        _ => "(…)".to_owned(),
    }
}

fn not_allowed(what: &str) -> TemplateError {
    TemplateError::NotAllowed { what: shortened(what) }
}

fn syntax(template: &str, reason: String) -> TemplateError {
    TemplateError::Syntax { template: shortened(template), reason }
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    if text.chars().count() <= SHOWN { text.to_owned() } else { text.chars().take(SHOWN).chain(['…']).collect() }
}

fn listed(names: &[String]) -> String {
    let mut names = names.to_vec();
    names.sort();
    if names.is_empty() { String::new() } else { format!("; there are: {}", names.join(", ")) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    fn context() -> Value {
        json!({
            "stage": "dev",
            "package": { "tag": "v1-<&>", "reused": false, "size": 7, "note": null },
            "bake": { "amis": { "eu-central-1": "ami-1" }, "zones": ["a", "b"] },
        })
    }

    #[test]
    fn names_become_values_without_escaping() {
        let rendered = render("{{stage}}: {{ package.tag }} {{package.size}} {{bake.amis.eu-central-1}}", &context());
        assert_eq!(rendered.as_deref(), Ok("dev: v1-<&> 7 ami-1"));
        assert_eq!(render("{{bake.zones.1}}", &context()).as_deref(), Ok("b"));
        assert_eq!(render("no } template {", &context()).as_deref(), Ok("no } template {"));
    }

    #[test]
    fn if_is_the_one_helper() {
        let template = "{{#if package.reused}}again{{else}}new {{package.tag}}{{/if}}";
        assert_eq!(render(template, &context()).as_deref(), Ok("new v1-<&>"));
        assert_eq!(names(template).unwrap(), [["package", "reused"], ["package", "tag"]]);
    }

    #[test]
    fn a_text_that_is_one_template_keeps_the_type() {
        let value = json!({ "amis": "{{bake.amis}}", "list": ["{{package.size}}", 1], "text": "n={{package.size}}" });
        let rendered = render_value(&value, &context()).unwrap();
        assert_eq!(rendered, json!({ "amis": { "eu-central-1": "ami-1" }, "list": [7, 1], "text": "n=7" }));
        assert_eq!(render_value(&json!("{{stage}}{{stage}}"), &context()).unwrap(), json!("devdev"));
    }

    #[test]
    fn an_object_within_a_text_is_an_error() {
        let error = render("amis: {{bake.amis}}", &context()).unwrap_err();
        assert_eq!(error, TemplateError::NotText { name: "bake.amis".to_owned(), kind: "an object" });
        assert!(matches!(render("{{bake.zones}} ", &context()), Err(TemplateError::NotText { .. })));
        assert!(matches!(render("{{package.note}}", &context()), Err(TemplateError::NotText { .. })));
    }

    #[test]
    fn an_unknown_name_is_an_error_even_where_it_is_not_reached() {
        let error = render("{{package.tga}}", &context()).unwrap_err();
        assert_eq!(error.to_string(), "nothing is named `package.tga`; there are: note, reused, size, tag");
        let unreached = render("{{#if package.reused}}{{nothing}}{{/if}}", &context());
        assert!(matches!(unreached, Err(TemplateError::Unknown { .. })));
        assert!(render_value(&json!("{{bake.nothing}}"), &context()).is_err());
    }

    #[test]
    fn what_is_not_a_name_is_refused() {
        for template in [
            "{{> partial}}",
            "{{lookup bake \"amis\"}}",
            "{{#each bake.zones}}{{this}}{{/each}}",
            "{{this}}",
            "{{../stage}}",
            "{{@root.stage}}",
            "{{{stage}}}",
            "{{!-- comment --}}",
            "{{(stage)}}",
            "{{{{raw}}}} {{{{/raw}}}}",
            "{{a/b}}",
            "{{*inline}}",
            "{{#if stage}}",
            "{{/if}}",
            "{{",
            "{{}}",
            "\\{{stage}}{{else}}",
            "{{log stage}}",
        ] {
            assert!(names(template).is_err(), "{template} is allowed: {:?}", names(template));
            assert!(render(template, &context()).is_err(), "{template} renders");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let many = "{{#if stage}}".repeat(20_000) + &"{{/if}}".repeat(20_000);
        assert_eq!(names(&many[..LONGEST_TEMPLATE]), Err(TemplateError::TooLarge));
        assert!(names(&format!("{{{{a {}}}}}", "(".repeat(60_000))).is_err());
        let deep = (0..100).fold(json!("{{stage}}"), |value, _| json!([value]));
        assert_eq!(render_value(&deep, &context()), Err(TemplateError::TooLarge));
    }
}
