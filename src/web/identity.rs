//! Who somebody is by the claims of a token that is known to be good: a person, and the groups that mean something here. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{house::issuers::IssuerSettings, store::Identity};

/// How far the clocks of an issuer and of this machine may be apart.
const CLOCKS_APART_MS: i64 = 60_000;
/// How long ago a token may have been made: it is taken at once.
const LONGEST_AGO_MS: i64 = 10 * 60 * 1_000;
/// How long what a claim says may be, in bytes.
const LONGEST: usize = 256;

/// All claims of a token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Claims {
    #[serde(flatten)]
    all: BTreeMap<String, Value>,
}

/// The time by which a token ends, with what clocks may be apart.
pub(super) fn instant(now_ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(now_ms - CLOCKS_APART_MS).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Refuses a token that was made long ago, or will be.
pub(super) fn issued_not_long_ago(issued_ms: i64, now_ms: i64) -> Result<(), String> {
    let ago_ms = now_ms - issued_ms;
    if ago_ms < -CLOCKS_APART_MS {
        return Err(format!("the token is made {} s from now: compare the clocks", -ago_ms / 1_000));
    }
    if ago_ms > LONGEST_AGO_MS {
        return Err(format!("the token was made {} s ago: compare the clocks", ago_ms / 1_000));
    }
    Ok(())
}

/// Who the claims name.
///
/// # Errors
/// What is missing.
pub(super) fn identity(settings: &IssuerSettings, claims: &Map<String, Value>) -> Result<Identity, String> {
    let IssuerSettings { name, person_claim, groups_claim, groups, .. } = settings;
    let text = |claim: &str| match claims.get(claim) {
        None => Err(format!("the issuer does not say `{claim}`: ask for another scope, or for another claim")),
        Some(Value::String(said)) if is_name(said) => Ok(said.clone()),
        Some(_) => Err(format!("what the issuer says as `{claim}` is no name")),
    };
    let (subject, person) = (text("sub")?, text(person_claim)?);
    if person_claim == "email" && claims.get("email_verified") != Some(&Value::Bool(true)) {
        return Err("the issuer has not verified the e-mail address".to_owned());
    }
    // Of groups that mean nothing here nothing is kept.
    let said = match claims.get(groups_claim) {
        Some(Value::Array(said)) => said.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(said)) => vec![said.as_str()],
        _ => Vec::new(),
    };
    let known = said.into_iter().filter(|group| groups.contains_key(*group)).map(str::to_owned);
    Ok(Identity { issuer: name.clone(), subject, person, groups: known.collect::<BTreeSet<_>>() })
}

fn is_name(said: &str) -> bool {
    (1..=LONGEST).contains(&said.len()) && !said.contains(char::is_control)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(more: &str, claims: &Value) -> Result<Identity, String> {
        let text = format!("name = 'corp'\nurl = 'https://x.example'\nclient = 'c'\n{more}");
        identity(&toml::from_str(&text).unwrap(), claims.as_object().unwrap())
    }

    #[test]
    fn a_claim_names_the_person_and_groups_are_those_that_are_listed() {
        let claims = json!({ "sub": "7", "groups": ["a", "b", 3, "c"], "name": "Grace", "roles": "one" });
        let it = named("groups = { a = 'x', c = 'y' }", &claims).unwrap();
        assert_eq!((it.subject.as_str(), it.person.as_str()), ("7", "7"));
        assert_eq!(it.groups.iter().collect::<Vec<_>>(), ["a", "c"]);
        let it = named("person_claim = 'name'\ngroups_claim = 'roles'\ngroups = { one = 'x' }", &claims).unwrap();
        assert_eq!((it.person.as_str(), it.groups.len()), ("Grace", 1));
        let missing = named("person_claim = 'nick'", &claims).unwrap_err();
        assert!(missing.contains("does not say `nick`"), "{missing}");
        for bad in [json!(""), json!(7), json!(null), json!("a\nb"), json!("x".repeat(257)), json!(["7"])] {
            let why = named("", &json!({ "sub": bad })).unwrap_err();
            assert!(why.contains("no name"), "{bad}: {why}");
        }
    }

    #[test]
    fn an_address_counts_once_it_is_verified() {
        let by = "person_claim = 'email'";
        let with = |verified: Value| json!({ "sub": "7", "email": "g@x.example", "email_verified": verified });
        assert_eq!(named(by, &with(json!(true))).unwrap().person, "g@x.example");
        for not in [json!(false), json!("true"), json!(null), json!(1)] {
            assert!(named(by, &with(not)).is_err());
        }
        assert!(named(by, &json!({ "sub": "7", "email": "g@x.example" })).is_err());
    }

    #[test]
    fn a_token_is_of_now() {
        let now_ms = 1_000_000_000;
        for (issued_ms, is_good) in [(0, true), (-599_000, true), (-601_000, false), (59_000, true), (61_000, false)] {
            assert_eq!(issued_not_long_ago(now_ms + issued_ms, now_ms).is_ok(), is_good, "{issued_ms}");
        }
        assert_eq!(instant(now_ms).timestamp_millis(), now_ms - 60_000);
    }
}
