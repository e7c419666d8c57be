//! What a CloudFormation-shaped template asks of this machine: one service. Only what the local target needs is
//! resolved; a function that it does not know fails rather than being guessed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::providers::{Fault, yaml};

/// The type of the resource that this machine can make. Its properties: `ImageId` (an AMI id), `Command` (a list),
/// `HealthPath` (answers 2xx when the service is well; `/health`), `Environment` (a map of texts).
pub const SERVICE_TYPE: &str = "Tidegate::Local::Service";

/// The service that a template describes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its logical id in the template.
    pub logical_id: String,
    /// The AMI id of its image.
    pub image: String,
    /// The program and its arguments. A program with a slash is looked for in the image first.
    pub command: Vec<String>,
    /// The path of its health address.
    pub health_path: String,
    /// What is added to its environment.
    pub environment: BTreeMap<String, String>,
    /// The logical ids of resources of other types, which are not made here.
    pub not_made: Vec<String>,
}

/// Reads the service out of a template (JSON or YAML, short tags included). `parameters` are values for its
/// parameters and for pseudo parameters such as `AWS::Region`. Resolved are `Ref` to those, `Fn::Sub`,
/// `Fn::FindInMap`, `Fn::Join` and `Fn::Select`.
pub fn read_template(text: &str, parameters: &BTreeMap<String, String>) -> Result<Service, Fault> {
    let template = yaml::parse("the template", text)?;
    let declared = template.get("Parameters").and_then(Value::as_object);
    let mut values = parameters.clone();
    for (name, parameter) in declared.into_iter().flatten() {
        if let (Some(default), false) = (parameter.get("Default"), values.contains_key(name)) {
            values.insert(
                name.clone(),
                scalar(default).ok_or_else(|| wrong(format!("the default of {name} is no text")))?,
            );
        }
    }
    let Some(resources) = template.get("Resources").and_then(Value::as_object) else {
        return Err(wrong("it has no Resources"));
    };
    let is_service = |resource: &Value| resource.get("Type").and_then(Value::as_str) == Some(SERVICE_TYPE);
    let services: Vec<_> = resources.iter().filter(|(_, resource)| is_service(resource)).collect();
    let [(logical_id, service)] = services.as_slice() else {
        return Err(wrong(format!("it has {} resources of type {SERVICE_TYPE}, and must have one", services.len())));
    };
    let resolver = Resolver { values, mappings: template.get("Mappings").cloned().unwrap_or_default() };
    let properties = service.get("Properties").cloned().unwrap_or_default();
    let properties = resolver.resolve(&properties).map_err(|problem| wrong(format!("{logical_id}: {problem}")))?;
    let properties: Properties =
        serde_json::from_value(properties).map_err(|error| wrong(format!("{logical_id}: {error}")))?;
    Ok(Service {
        logical_id: (*logical_id).clone(),
        image: properties.image_id,
        command: properties.command,
        health_path: properties.health_path,
        environment: properties.environment,
        not_made: resources.iter().filter(|(_, it)| !is_service(it)).map(|(name, _)| name.clone()).collect(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Properties {
    image_id: String,
    command: Vec<String>,
    #[serde(default = "default_health_path")]
    health_path: String,
    #[serde(default)]
    environment: BTreeMap<String, String>,
}

fn default_health_path() -> String {
    "/health".to_owned()
}

fn wrong(problem: impl std::fmt::Display) -> Fault {
    Fault::fail(format!("the template cannot be deployed on this machine: {problem}"), "correct the template")
}

/// A scalar as the text that CloudFormation makes of it.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

struct Resolver {
    values: BTreeMap<String, String>,
    mappings: Value,
}

impl Resolver {
    /// The value with its functions resolved, and its scalars as texts.
    fn resolve(&self, value: &Value) -> Result<Value, String> {
        match value {
            Value::Object(map) => match map.iter().next() {
                Some((name, argument)) if map.len() == 1 && (name == "Ref" || name.starts_with("Fn::")) => {
                    self.call(name, argument)
                }
                _ => {
                    let entries = map.iter().map(|(name, value)| Ok((name.clone(), self.resolve(value)?)));
                    Ok(Value::Object(entries.collect::<Result<Map<_, _>, String>>()?))
                }
            },
            Value::Array(items) => {
                Ok(Value::Array(items.iter().map(|item| self.resolve(item)).collect::<Result<_, _>>()?))
            }
            other => Ok(scalar(other).map_or(Value::Null, Value::String)),
        }
    }

    fn call(&self, function: &str, argument: &Value) -> Result<Value, String> {
        let misused = || format!("{function} cannot be used with {argument}");
        match function {
            "Ref" => self.value_of(argument.as_str().ok_or_else(misused)?).map(Value::String),
            "Fn::Sub" => self.substitute(argument).ok_or_else(misused)?.map(Value::String),
            "Fn::FindInMap" => {
                let keys = self.texts(argument)?;
                let [map, first, second] = keys.as_slice() else { return Err(misused()) };
                let found = self.mappings.get(map).and_then(|it| it.get(first)).and_then(|it| it.get(second));
                found.cloned().ok_or_else(|| format!("the mapping {map} has no {first} / {second}"))
            }
            "Fn::Join" => match argument.as_array().map(Vec::as_slice) {
                Some([Value::String(separator), list]) => Ok(self.texts(list)?.join(separator).into()),
                _ => Err(misused()),
            },
            "Fn::Select" => match argument.as_array().map(Vec::as_slice) {
                Some([index, list]) => {
                    let index = scalar(index).and_then(|text| text.parse::<usize>().ok()).ok_or_else(misused)?;
                    self.texts(list)?.into_iter().nth(index).map(Value::String).ok_or_else(misused)
                }
                _ => Err(misused()),
            },
            other => Err(format!(
                "the function {other} is not known here; known are Ref, Fn::Sub, Fn::FindInMap, Fn::Join and Fn::Select"
            )),
        }
    }

    fn value_of(&self, name: &str) -> Result<String, String> {
        self.values.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = self.values.keys().map(String::as_str).collect();
            format!("Ref to {name}, which has no value; known are {}", known.join(", "))
        })
    }

    fn texts(&self, list: &Value) -> Result<Vec<String>, String> {
        let list = self.resolve(list)?;
        let texts =
            list.as_array().and_then(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect());
        texts.ok_or_else(|| format!("{list} is no list of texts"))
    }

    /// `None` when the argument has not the shape of either form of `Fn::Sub`.
    fn substitute(&self, argument: &Value) -> Option<Result<String, String>> {
        let (text, given) = match argument {
            Value::String(text) => (text, None),
            Value::Array(items) => match items.as_slice() {
                [Value::String(text), Value::Object(given)] => (text, Some(given)),
                _ => return None,
            },
            _ => return None,
        };
        Some(self.substitute_text(text, given))
    }

    fn substitute_text(&self, text: &str, given: Option<&Map<String, Value>>) -> Result<String, String> {
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or_else(|| format!("{text:?}: ${{ is not closed"))?;
            result.push_str(before);
            // `${!name}` stands for `${name}` itself.
            if let Some(literal) = name.strip_prefix('!') {
                result.push_str(&format!("${{{literal}}}"));
            } else if let Some(value) = given.and_then(|given| given.get(name)) {
                let value = self.resolve(value)?;
                result.push_str(value.as_str().ok_or_else(|| format!("{name} is no text"))?);
            } else {
                result.push_str(&self.value_of(name)?);
            }
            rest = after;
        }
        result.push_str(rest);
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const TEMPLATE: &str = "
Parameters:
  Stage: { Type: String, Default: dev }
Mappings:
  Images: { eu-central-1: { Id: ami-0123456789abcdef0 } }
Resources:
  Web:
    Type: Tidegate::Local::Service
    Properties:
      ImageId: !FindInMap [Images, !Ref 'AWS::Region', Id]
      Command: [./serve, !Sub '--stage=${Stage}']
      Environment: { STAGE: !Ref Stage, GREETING: !Join [' ', [hello, !Ref Stage]], WORKERS: 2 }
  Bucket: { Type: AWS::S3::Bucket, Properties: { BucketName: !GetAtt A.B } }
";

    #[test]
    fn a_template_gives_the_service() {
        let parameters = BTreeMap::from([("AWS::Region".to_owned(), "eu-central-1".to_owned())]);
        let service = read_template(TEMPLATE, &parameters).unwrap();
        assert_eq!(service.image, "ami-0123456789abcdef0");
        assert_eq!(service.command, ["./serve", "--stage=dev"]);
        assert_eq!(service.environment["GREETING"], "hello dev");
        assert_eq!(service.environment["WORKERS"], "2");
        assert_eq!(service.health_path, "/health");
        assert_eq!(service.not_made, ["Bucket"]);
    }

    #[test]
    fn what_cannot_be_resolved_is_said() {
        for (change, said) in [
            (("!Ref Stage, GREETING", "!ImportValue x, GREETING"), "the function Fn::ImportValue is not known"),
            (("Command", "Comand"), "unknown field `Comand`"),
            (("Id]", "Name]"), "the mapping Images has no eu-central-1 / Name"),
            (("Tidegate::Local::Service", "AWS::EC2::Instance"), "it has 0 resources"),
        ] {
            let parameters = BTreeMap::from([("AWS::Region".to_owned(), "eu-central-1".to_owned())]);
            let error = read_template(&TEMPLATE.replace(change.0, change.1), &parameters).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let error = read_template(TEMPLATE, &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("Ref to AWS::Region"), "{error}");
    }
}
