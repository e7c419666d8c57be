//! Checks of a template's structure that need no tool: what CloudFormation would refuse after the approval is refused before.

use super::document::Document;
use super::finding::{Checked, Finding, Level, TOOL, resource_of};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The greatest template that a request can carry (CloudFormation quotas, "Template body size in a request").
pub const MAX_INLINE_BYTES: usize = 51_200;

/// How many resources a template may have (CloudFormation quotas, "Resources").
pub const MAX_RESOURCES: usize = 500;

/// How many parameters a template may have (CloudFormation quotas, "Parameters").
pub const MAX_PARAMETERS: usize = 200;

const RULES: [&str; 11] = [
    "template_depth",
    "template_duplicate_key",
    "template_parameters",
    "template_reference",
    "template_resource_name",
    "template_resource_type",
    "template_resources",
    "template_section",
    "template_size",
    "template_syntax",
    "template_unused_parameter",
];

const SECTIONS: [&str; 12] = [
    "AWSTemplateFormatVersion",
    "Conditions",
    "Description",
    "Globals",
    "Hooks",
    "Mappings",
    "Metadata",
    "Outputs",
    "Parameters",
    "Resources",
    "Rules",
    "Transform",
];

/// Sections in which intrinsic functions are evaluated.
const EVALUATED: [&str; 7] = ["Conditions", "Globals", "Hooks", "Outputs", "Resources", "Rules", "Transform"];

const PSEUDO_PARAMETERS: [&str; 8] = [
    "AWS::AccountId",
    "AWS::NoValue",
    "AWS::NotificationARNs",
    "AWS::Partition",
    "AWS::Region",
    "AWS::StackId",
    "AWS::StackName",
    "AWS::URLSuffix",
];

/// What was checked, also when the text could not be parsed.
pub fn checked() -> Checked {
    Checked { tool: TOOL.to_owned(), rules: RULES.map(str::to_owned).to_vec() }
}

/// Checks a parsed template.
pub fn check(document: &Document) -> Vec<Finding> {
    let mut checker = Checker::new(document);
    checker.check_root();
    for section in EVALUATED {
        if let Some(value) = document.value.get(section) {
            checker.walk(value, &format!("/{section}"));
        }
    }
    checker.check_unused_parameters();
    checker.findings
}

struct Checker<'document> {
    document: &'document Document,
    /// Whether macros may add what cannot be seen here; references to unknown names are then notes.
    transformed: bool,
    used: BTreeSet<&'document str>,
    findings: Vec<Finding>,
}

impl<'document> Checker<'document> {
    fn new(document: &'document Document) -> Self {
        let transformed = document.value.get("Transform").is_some();
        Self { document, transformed, used: BTreeSet::new(), findings: document.duplicates.clone() }
    }

    fn check_root(&mut self) {
        if self.document.bytes > MAX_INLINE_BYTES {
            let message =
                format!("the template has {} bytes; a request can carry {MAX_INLINE_BYTES}", self.document.bytes);
            self.add(
                "template_size",
                Level::Note,
                "",
                message,
                "it has to be passed to CloudFormation as an S3 object",
            );
        }
        let Some(root) = self.document.value.as_object() else {
            let message = format!("a template is an object, not {}", kind(&self.document.value));
            return self.add("template_section", Level::Error, "", message, "begin with a Resources section");
        };
        for section in root.keys().filter(|name| !SECTIONS.contains(&name.as_str())) {
            let message = format!("`{section}` is not a section of a template");
            self.add(
                "template_section",
                Level::Error,
                &format!("/{section}"),
                message,
                "check its name and its indentation",
            );
        }
        match root.get("Resources") {
            Some(Value::Object(resources)) if !resources.is_empty() => self.check_resources(resources),
            Some(Value::Object(_)) | None => {
                let path = if root.contains_key("Resources") { "/Resources" } else { "" };
                self.add(
                    "template_resources",
                    Level::Error,
                    path,
                    "the template has no resources",
                    "define at least one under Resources",
                );
            }
            Some(other) => {
                let message = format!("Resources is {}, not an object", kind(other));
                self.add(
                    "template_resources",
                    Level::Error,
                    "/Resources",
                    message,
                    "write it as `LogicalId: { Type: …, Properties: … }`",
                );
            }
        }
        match root.get("Parameters") {
            Some(Value::Object(parameters)) => self.check_parameters(parameters),
            Some(other) => {
                let message = format!("Parameters is {}, not an object", kind(other));
                self.add(
                    "template_parameters",
                    Level::Error,
                    "/Parameters",
                    message,
                    "write it as `Name: { Type: String }`",
                );
            }
            None => {}
        }
    }

    fn check_resources(&mut self, resources: &'document Map<String, Value>) {
        if resources.len() > MAX_RESOURCES {
            let message =
                format!("the template has {} resources; CloudFormation takes {MAX_RESOURCES}", resources.len());
            self.add("template_resources", Level::Error, "/Resources", message, "split it into nested stacks");
        }
        for (id, resource) in resources.iter().filter(|(id, _)| !id.starts_with("Fn::ForEach::")) {
            let path = format!("/Resources/{id}");
            if id.is_empty() || !id.chars().all(|one| one.is_ascii_alphanumeric()) {
                let message = format!("the logical id `{id}` has other characters than letters and digits");
                self.add("template_resource_name", Level::Error, &path, message, "rename the resource");
            }
            match resource.get("Type") {
                Some(Value::String(name)) if !name.is_empty() => {}
                Some(other) => {
                    let message = format!("the Type of `{id}` is {}", kind(other));
                    self.add(
                        "template_resource_type",
                        Level::Error,
                        &path,
                        message,
                        "write a type such as AWS::S3::Bucket",
                    );
                }
                None => {
                    let message = format!("`{id}` has no Type");
                    self.add(
                        "template_resource_type",
                        Level::Error,
                        &path,
                        message,
                        "write a type such as AWS::S3::Bucket",
                    );
                }
            }
            self.check_depends_on(resource.get("DependsOn"), &format!("{path}/DependsOn"));
            if let Some(Value::String(condition)) = resource.get("Condition") {
                self.check_in_section("Conditions", "condition", condition, &format!("{path}/Condition"));
            }
        }
    }

    fn check_parameters(&mut self, parameters: &'document Map<String, Value>) {
        if parameters.len() > MAX_PARAMETERS {
            let message =
                format!("the template has {} parameters; CloudFormation takes {MAX_PARAMETERS}", parameters.len());
            self.add(
                "template_parameters",
                Level::Error,
                "/Parameters",
                message,
                "put values that belong together into one parameter",
            );
        }
        for (id, _) in parameters.iter().filter(|(_, parameter)| !parameter.get("Type").is_some_and(Value::is_string)) {
            let message = format!("the parameter `{id}` has no Type");
            self.add(
                "template_parameters",
                Level::Error,
                &format!("/Parameters/{id}"),
                message,
                "write `Type: String` or another type",
            );
        }
    }

    fn check_depends_on(&mut self, depends_on: Option<&'document Value>, path: &str) {
        let ids = match depends_on {
            Some(Value::Array(ids)) => ids.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        for id in ids {
            match id.as_str() {
                Some(id) => self.check_resource("DependsOn", id, path),
                None => {
                    let message = format!("DependsOn names {} instead of a resource", kind(id));
                    self.add("template_reference", Level::Error, path, message, "write the logical id of a resource");
                }
            }
        }
    }

    fn check_unused_parameters(&mut self) {
        let parameters = self.document.value.get("Parameters").and_then(Value::as_object);
        for id in
            parameters.into_iter().flat_map(Map::keys).filter(|id| !self.used.contains(id.as_str())).collect::<Vec<_>>()
        {
            let message = format!("the parameter `{id}` is not used");
            self.add(
                "template_unused_parameter",
                Level::Note,
                &format!("/Parameters/{id}"),
                message,
                "remove it, or refer to it",
            );
        }
    }

    /// Follows every intrinsic function; the depth is bounded by the parser.
    fn walk(&mut self, value: &'document Value, path: &str) {
        match value {
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, item)| self.walk(item, &format!("{path}/{index}")));
            }
            Value::Object(object) => {
                if let (1, Some((name, argument))) = (object.len(), object.iter().next()) {
                    self.check_intrinsic(name, argument, path);
                }
                object.iter().for_each(|(key, inner)| self.walk(inner, &format!("{path}/{key}")));
            }
            _ => {}
        }
    }

    fn check_intrinsic(&mut self, name: &str, argument: &'document Value, path: &str) {
        let first = argument.get(0).and_then(Value::as_str);
        match (name, argument) {
            ("Ref", Value::String(target)) => self.check_name("Ref", target, path),
            ("Fn::GetAtt", Value::String(target)) => {
                self.check_resource("GetAtt", target.split('.').next().unwrap_or(target), path);
            }
            ("Fn::GetAtt", _) => first.into_iter().for_each(|id| self.check_resource("GetAtt", id, path)),
            ("Fn::Sub", Value::String(text)) => self.check_sub(text, None, path),
            ("Fn::Sub", _) => first.into_iter().for_each(|text| self.check_sub(text, argument.get(1), path)),
            ("Fn::If", _) => {
                first.into_iter().for_each(|name| self.check_in_section("Conditions", "condition", name, path))
            }
            ("Fn::FindInMap", _) => {
                first.into_iter().for_each(|name| self.check_in_section("Mappings", "mapping", name, path))
            }
            ("Condition", Value::String(name)) if path.starts_with("/Conditions/") => {
                self.check_in_section("Conditions", "condition", name, path);
            }
            _ => {}
        }
    }

    /// The names in `${…}`; `${!…}` is literal text, and names that the function brings along are its own.
    fn check_sub(&mut self, text: &'document str, own: Option<&Value>, path: &str) {
        for part in text.split("${").skip(1) {
            let Some((name, _)) = part.split_once('}') else { continue };
            let name = name.trim();
            if name.starts_with('!') || own.is_some_and(|own| own.get(name).is_some()) {
                continue;
            }
            match name.split_once('.') {
                Some((id, _)) => self.check_resource("Sub", id, path),
                None => self.check_name("Sub", name, path),
            }
        }
    }

    fn check_name(&mut self, function: &str, name: &'document str, path: &str) {
        if self.has("Parameters", name) {
            self.used.insert(name);
        } else if !self.has("Resources", name) && !PSEUDO_PARAMETERS.contains(&name) {
            let message =
                format!("{function} names `{name}`, which is neither a parameter nor a resource of this template");
            self.add_reference(path, message, "check the name, or define it");
        }
    }

    fn check_resource(&mut self, function: &str, id: &str, path: &str) {
        if !self.has("Resources", id) {
            self.add_reference(
                path,
                format!("{function} names `{id}`, which is not a resource of this template"),
                "check the logical id",
            );
        }
    }

    fn check_in_section(&mut self, section: &str, noun: &str, name: &str, path: &str) {
        if !self.has(section, name) {
            self.add_reference(
                path,
                format!("there is no {noun} `{name}`"),
                &format!("check the name, or define it under {section}"),
            );
        }
    }

    fn has(&self, section: &str, name: &str) -> bool {
        self.document.value.get(section).is_some_and(|section| section.get(name).is_some())
    }

    fn add_reference(&mut self, path: &str, message: String, hint: &str) {
        let level = if self.transformed { Level::Note } else { Level::Error };
        self.add("template_reference", level, path, message, hint);
    }

    fn add(&mut self, rule: &str, level: Level, path: &str, message: impl Into<String>, hint: &str) {
        let mut finding =
            Finding::new(TOOL, rule, level, &self.document.file, message).hint(hint).at(self.document.place(path));
        finding.resource = resource_of(path).map(str::to_owned);
        self.findings.push(finding);
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
