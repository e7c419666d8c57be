//! Hides what looks like a secret in values that are about to be shown. It goes by names, and so hides rather too much;
//! references to secrets (`Ref`, `{{resolve:…}}`) stay readable, as they are what a reviewer wants to see.

use serde_json::{Map, Value};

/// What is shown in a secret's place.
pub const HIDDEN: &str = "(hidden)";

const SECRET_NAMES: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "apikey",
    "accesskey",
    "privatekey",
    "authkey",
    "signingkey",
    "encryptionkey",
    "sharedkey",
    "licensekey",
];

/// Names that hold one of the words above and are no secrets.
const OPEN_NAMES: [&str; 4] = ["httptokens", "tokenkeyid", "secretsmanager", "managemasteruserpassword"];

/// Whether a property, parameter or variable of this name may hold a secret: `DB_PASSWORD`, `ApiKey`, `secretString`.
pub fn is_secret_name(name: &str) -> bool {
    let plain: String = name.chars().filter(|one| one.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    !OPEN_NAMES.contains(&plain.as_str())
        && !plain.ends_with("arn")
        && (plain == "key" && name.contains('_') || SECRET_NAMES.iter().any(|word| plain.contains(word)))
}

/// Whether the value under `key` of this object is to be hidden, given whether the object itself is. Pairs such as
/// `{Name: DB_PASSWORD, Value: …}` and parameters with `NoEcho` are known.
pub fn is_hidden(object_hidden: bool, object: &Map<String, Value>, key: &str) -> bool {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let named =
        ["Name", "Key", "name", "key", "ParameterKey"].iter().find_map(|name| text(name)).is_some_and(is_secret_name);
    let value_of_pair = matches!(key, "Value" | "value" | "ParameterValue") && named;
    let no_echo = matches!(object.get("NoEcho"), Some(Value::Bool(true))) || text("NoEcho") == Some("true");
    object_hidden || is_secret_name(key) || value_of_pair || (no_echo && matches!(key, "Default" | "AllowedValues"))
}

/// The value as it may be shown. With `hidden`, every literal text and number in it is hidden.
pub fn shown(value: &Value, hidden: bool) -> Value {
    match value {
        Value::Object(object) if is_reference(object) => value.clone(),
        Value::Object(object) => {
            let entries = object.iter().map(|(key, inner)| (key.clone(), shown(inner, is_hidden(hidden, object, key))));
            Value::Object(entries.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| shown(item, hidden)).collect()),
        Value::String(text) if is_dynamic_reference(text) => value.clone(),
        Value::String(_) | Value::Number(_) if hidden => Value::from(HIDDEN),
        Value::String(text) => Value::String(shown_text(text)),
        Value::Number(_) | Value::Bool(_) | Value::Null => value.clone(),
    }
}

/// A text in which passwords of addresses, private keys, `NAME=value`, `--name value` and `name: value` are hidden.
pub fn shown_text(text: &str) -> String {
    if text.contains("PRIVATE KEY-----") {
        return HIDDEN.to_owned();
    }
    let (mut result, mut hide_next) = (String::with_capacity(text.len()), false);
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end_matches(char::is_whitespace);
        if word.is_empty() {
            result.push_str(piece);
            continue;
        }
        let ending = &piece[word.len()..];
        if hide_next && !word.starts_with(['-', '$']) {
            result.push_str(HIDDEN);
            hide_next = false;
        } else {
            result.push_str(&shown_word(word));
            let name = word.trim_end_matches([':', '"', '\'']);
            let announces =
                word.starts_with('-') && !word.contains('=') || name.len() < word.len() && word.ends_with(':');
            hide_next = announces && is_secret_name(name);
        }
        result.push_str(ending);
    }
    result
}

fn shown_word(word: &str) -> String {
    if let Some((scheme, rest)) = word.split_once("://")
        && let Some((login, host)) = rest.split_once('@')
        && let Some((user, _)) = login.split_once(':')
    {
        return format!("{scheme}://{user}:{HIDDEN}@{host}");
    }
    for mark in ["\":\"", "=", "':'"] {
        if let Some((name, value)) = word.split_once(mark)
            && is_secret_name(name)
            && !value.is_empty()
            && !value.starts_with('$')
            && !name.contains("://")
        {
            return format!("{name}{mark}{HIDDEN}");
        }
    }
    word.to_owned()
}

fn is_reference(object: &Map<String, Value>) -> bool {
    object.len() == 1 && object.keys().all(|key| matches!(key.as_str(), "Ref" | "Fn::GetAtt" | "Fn::ImportValue"))
}

fn is_dynamic_reference(text: &str) -> bool {
    text.starts_with("{{resolve:") && text.find("}}") == Some(text.len() - 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_known_by_name() {
        for name in ["MasterUserPassword", "DB_PASSWORD", "api-key", "ClientSecret", "GITHUB_TOKEN", "private_key"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["KeyName", "KmsKeyId", "Key", "HttpTokens", "SecretArn", "InstanceType", "KeySchema"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn literals_are_hidden_and_references_are_not() {
        let value = json!({
            "MasterUserPassword": "hunter2", "Pin": { "ApiToken": [1234, true] },
            "Password": { "Ref": "DbPassword" }, "OtherPassword": "{{resolve:secretsmanager:db}}",
            "Environment": [{ "Name": "DB_PASSWORD", "Value": "hunter2" }, { "Name": "MODE", "Value": "fast" }],
        });
        let expected = json!({
            "MasterUserPassword": HIDDEN, "Pin": { "ApiToken": [HIDDEN, true] },
            "Password": { "Ref": "DbPassword" }, "OtherPassword": "{{resolve:secretsmanager:db}}",
            "Environment": [{ "Name": "DB_PASSWORD", "Value": HIDDEN }, { "Name": "MODE", "Value": "fast" }],
        });
        assert_eq!(shown(&value, false), expected);
    }

    #[test]
    fn secrets_within_texts_are_hidden() {
        let script = "#!/bin/sh\nexport DB_PASSWORD=hunter2\nrun --token hunter2 --verbose\npassword: hunter2\n{\"secret\":\"hunter2\"}\n\
                      psql postgres://app:hunter2@db/app\n";
        let text = shown_text(script);
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("--verbose") && text.contains("postgres://app:(hidden)@db/app"), "{text}");
        assert_eq!(shown_text("-----BEGIN PRIVATE KEY-----\nabc"), HIDDEN);
        assert_eq!(shown_text("a  b\n\n c "), "a  b\n\n c ");
    }
}
