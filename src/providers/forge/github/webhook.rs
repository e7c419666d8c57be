//! What GitHub delivers: whether it is from GitHub, and the little of it that is needed. Documented at
//! <https://docs.github.com/en/webhooks/webhook-events-and-payloads>. What a delivery lacks or has beyond that never fails it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};
use sha2::Sha256;

use crate::providers::{Secret, forge::values::is_name};

/// How long the texts are that are kept of a delivery, in bytes: names, and what a button says.
const LONGEST_TEXT: usize = 300;
/// What the statuses begin with that we make with a token.
const OUR_CONTEXTS: &str = "tidegate/";
/// How many repositories are kept that an installation was given or lost.
const MOST_REPOSITORIES: usize = 100;

/// What a delivery says, as far as anything is done because of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Heard {
    /// Branches or tags of a repository may have moved.
    Moved {
        /// `owner/name`.
        repository: String,
    },
    /// A status, check or workflow says something of a commit.
    Checked {
        /// `owner/name`.
        repository: String,
        /// The App that says it, by its number, where one does.
        app: Option<u64>,
    },
    /// Somebody pressed a button of a check.
    Pressed {
        /// The App that made the check, by its number.
        app: Option<u64>,
        /// The key of the check.
        key: String,
        /// What the button says.
        says: String,
        /// The number of who pressed it.
        id: u64,
        /// Their login.
        login: String,
    },
    /// Somebody joined or left a team or an organization.
    People,
    /// A repository is not what or where it was.
    Repository {
        /// `owner/name`, as it is now.
        repository: String,
        /// `owner/name`, as it was before; none where that is the same.
        was: Option<String>,
        /// What became of it, as GitHub names that.
        action: String,
    },
    /// The App may do other things, or elsewhere, than before.
    Installation {
        /// Whose repositories it is for.
        account: String,
        /// What became of it, as GitHub names that.
        action: String,
        /// The repositories that it may not reach any more, as `owner/name`.
        lost: Vec<String>,
    },
}

/// Why a body is no delivery.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is no JSON, or no object.
    #[error("the body is no JSON object: {0}")]
    Json(String),
    /// Something is missing that the event is about.
    #[error("a `{event}` names {what}, and this one does not")]
    Lacks {
        /// The event.
        event: String,
        /// What is missing.
        what: &'static str,
    },
}

/// Whether one of the secrets signed these bytes: `sha256=` and the HMAC in hexadecimal digits. How long it takes says nothing of
/// the signature that would be right.
#[must_use]
pub fn is_signed(secrets: &[Secret], body: &[u8], signature: &str) -> bool {
    let Some(signature) = signature.strip_prefix("sha256=").and_then(digits) else { return false };
    let by = |secret: &Secret| {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes keys of any length");
        mac.update(body);
        mac.verify_slice(&signature).is_ok()
    };
    secrets.iter().any(by)
}

/// Whether a text has the shape of a signature.
#[must_use]
pub fn is_signature(text: &str) -> bool {
    text.strip_prefix("sha256=").and_then(digits).is_some()
}

fn digits(text: &str) -> Option<[u8; 32]> {
    let (mut bytes, text) = ([0; 32], text.as_bytes());
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(0)? << 4 | digit(1)?;
    }
    Some(bytes)
}

impl Heard {
    /// What a delivery of an event says; none where nothing is done because of it.
    ///
    /// # Errors
    /// When it is no delivery of that event.
    pub fn read(event: &str, body: &[u8]) -> Result<Option<Self>, Malformed> {
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(Malformed::Json("it begins otherwise".to_owned()));
        }
        let payload: Payload = serde_json::from_slice(body).map_err(|error| Malformed::Json(error.to_string()))?;
        payload.heard(event)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Payload {
    #[serde(deserialize_with = "lenient")]
    action: Option<String>,
    #[serde(deserialize_with = "lenient")]
    repository: Option<Repository>,
    #[serde(deserialize_with = "lenient")]
    changes: Option<Changes>,
    #[serde(deserialize_with = "lenient")]
    sender: Option<Account>,
    #[serde(deserialize_with = "lenient")]
    check_run: Option<CheckRun>,
    #[serde(deserialize_with = "lenient")]
    check_suite: Option<CheckSuite>,
    #[serde(deserialize_with = "lenient")]
    context: Option<String>,
    #[serde(deserialize_with = "lenient")]
    requested_action: Option<RequestedAction>,
    #[serde(deserialize_with = "lenient")]
    installation: Option<Installation>,
    #[serde(deserialize_with = "lenient")]
    repositories_removed: Option<Vec<Repository>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Repository {
    #[serde(deserialize_with = "lenient")]
    full_name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Changes {
    #[serde(deserialize_with = "lenient")]
    repository: Option<Renamed>,
    #[serde(deserialize_with = "lenient")]
    owner: Option<Transferred>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Renamed {
    #[serde(deserialize_with = "lenient")]
    name: Option<Before>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Before {
    #[serde(deserialize_with = "lenient")]
    from: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Transferred {
    #[serde(deserialize_with = "lenient")]
    from: Option<Owners>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Owners {
    #[serde(deserialize_with = "lenient")]
    user: Option<Account>,
    #[serde(deserialize_with = "lenient")]
    organization: Option<Account>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Account {
    #[serde(deserialize_with = "lenient")]
    id: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    login: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CheckRun {
    #[serde(deserialize_with = "lenient")]
    external_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    app: Option<App>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CheckSuite {
    #[serde(deserialize_with = "lenient")]
    app: Option<App>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct App {
    #[serde(deserialize_with = "lenient")]
    id: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RequestedAction {
    #[serde(deserialize_with = "lenient")]
    identifier: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Installation {
    #[serde(deserialize_with = "lenient")]
    account: Option<Account>,
}

/// A part that counts where it has the shape that it had when this was written, and else is as good as not there.
fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Part<T> {
        Known(T),
        Other(IgnoredAny),
    }
    Ok(match Part::deserialize(deserializer)? {
        Part::Known(part) => Some(part),
        Part::Other(_) => None,
    })
}

impl Payload {
    fn heard(self, event: &str) -> Result<Option<Heard>, Malformed> {
        let lacks = |what| Malformed::Lacks { event: event.to_owned(), what };
        let action = self.action.clone().filter(|action| action.len() <= LONGEST_TEXT).unwrap_or_default();
        let repository = || self.repository.as_ref().and_then(Repository::name).ok_or_else(|| lacks("a repository"));
        Ok(Some(match (event, action.as_str()) {
            ("push" | "create" | "delete" | "pull_request", _) => Heard::Moved { repository: repository()? },
            // Ours say nothing that we do not know.
            ("status", _) if self.context.as_ref().is_some_and(|context| context.starts_with(OUR_CONTEXTS)) => {
                return Ok(None);
            }
            ("status", _) | ("check_run" | "check_suite" | "workflow_run", "completed") => {
                let of_run = self.check_run.as_ref().and_then(|run| run.app.as_ref());
                let of_suite = || self.check_suite.as_ref().and_then(|suite| suite.app.as_ref());
                let app = of_run.or_else(of_suite).and_then(|app| app.id);
                Heard::Checked { repository: repository()?, app }
            }
            ("check_run", "requested_action") => self.pressed().ok_or_else(|| {
                lacks("the key of a check, what its button says, and the number and login of who pressed it")
            })?,
            ("membership" | "member" | "organization" | "team" | "team_add", _) => Heard::People,
            ("repository", "created" | "edited") => return Ok(None),
            ("repository", _) => {
                let repository = repository()?;
                let was = self.changes.and_then(|changes| changes.was(&repository));
                Heard::Repository { repository, was, action }
            }
            ("installation" | "installation_repositories", _) => {
                let account = self.installation.and_then(|installation| installation.account);
                let account = account.and_then(|account| account.login).filter(|login| is_name(login));
                let account = account.ok_or_else(|| lacks("whose repositories it is for"))?;
                let lost = self.repositories_removed.unwrap_or_default();
                let lost = lost.iter().filter_map(Repository::name).take(MOST_REPOSITORIES).collect();
                Heard::Installation { account, action, lost }
            }
            _ => return Ok(None),
        }))
    }

    fn pressed(self) -> Option<Heard> {
        let (check, who) = (self.check_run?, self.sender?);
        let short = |text: &String| text.len() <= LONGEST_TEXT;
        Some(Heard::Pressed {
            app: check.app.and_then(|app| app.id),
            key: check.external_id.filter(short)?,
            says: self.requested_action?.identifier.filter(short)?,
            id: who.id?,
            login: who.login.filter(|login| is_name(login))?,
        })
    }
}

impl Repository {
    fn name(&self) -> Option<String> {
        let name = self.full_name.as_deref()?;
        let (owner, own) = name.split_once('/')?;
        (is_name(owner) && is_name(own)).then(|| name.to_owned())
    }
}

impl Changes {
    /// What the repository that is called so now was called before.
    fn was(self, now: &str) -> Option<String> {
        let (owner, name) = now.split_once('/')?;
        let was_owner = self.owner.and_then(|owner| owner.from);
        let was_owner = was_owner.and_then(|from| from.user.or(from.organization)).and_then(|account| account.login);
        let was_name = self.repository.and_then(|renamed| renamed.name).and_then(|name| name.from);
        let was = format!("{}/{}", was_owner.as_deref().unwrap_or(owner), was_name.as_deref().unwrap_or(name));
        let is_named = was.split('/').count() == 2 && was.split('/').all(is_name);
        (is_named && was != now).then_some(was)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_bytes_and_of_one_of_the_secrets() {
        // As GitHub's own documents give it: "Validating webhook deliveries", testing.
        let (secret, body) = (Secret::new("It's a Secret to Everybody"), b"Hello, World!");
        let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(is_signed(std::slice::from_ref(&secret), body, good) && is_signature(good));
        assert!(is_signed(&[Secret::new("another"), secret.clone()], body, good), "any of them counts");
        let secrets = [secret];
        assert!(!is_signed(&secrets, b"Hello, World?", good) && !is_signed(&[], body, good));
        assert!(!is_signed(&[Secret::new("It's a secret to everybody")], body, good));
        let long = format!("{good}00");
        let shape = ["", "sha256=", &good[..70], &long, &good[7..], "sha256=é", &good.replace("sha256", "sha1")];
        for bad in shape {
            assert!(!is_signed(&secrets, body, bad) && !is_signature(bad), "{bad}");
        }
        let other = good.replace("757107", "757108");
        assert!(!is_signed(&secrets, body, &other) && is_signature(&other));
    }

    #[test]
    fn what_is_missing_or_new_fails_only_what_needs_it() {
        let read = |event, body: &str| Heard::read(event, body.as_bytes());
        let moved = || Some(Heard::Moved { repository: "acme/shop".to_owned() });
        let push = r#"{"repository":{"full_name":"acme/shop","id":"x","more":[{}]},"sender":7,"action":{},"new":{}}"#;
        assert_eq!(read("push", push), Ok(moved()));
        assert!(matches!(read("push", r#"{"repository":{"full_name":7}}"#), Err(Malformed::Lacks { .. })));
        for bad in ["..", "a/..", "a/b/c", "/b", "a/", "a/b\\n"] {
            let push = format!(r#"{{"repository":{{"full_name":"{bad}"}}}}"#);
            assert!(matches!(read("push", &push), Err(Malformed::Lacks { .. })), "{bad}");
        }
        for bad in ["", "[]", "7", "null", "{", "{}x", &"[".repeat(10_000), "payload=%7B%7D"] {
            assert!(matches!(read("push", bad), Err(Malformed::Json(_))), "{bad}");
        }
        assert_eq!(read("star", "{}"), Ok(None));
        assert_eq!(read("check_run", r#"{"action":"created"}"#), Ok(None));
    }

    #[test]
    fn a_repository_is_told_by_the_name_that_it_had() {
        let was = |changes: &str| {
            let body = format!(r#"{{"action":"renamed","repository":{{"full_name":"acme/new"}},"changes":{changes}}}"#);
            match Heard::read("repository", body.as_bytes()).unwrap() {
                Some(Heard::Repository { was, .. }) => was,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(was(r#"{"repository":{"name":{"from":"old"}}}"#).as_deref(), Some("acme/old"));
        let owner = r#"{"owner":{"from":{"organization":{"login":"other"}}}}"#;
        assert_eq!(was(owner).as_deref(), Some("other/new"));
        assert_eq!(was(r#"{"owner":{"from":{"user":{"login":"../.."}}}}"#), None);
        assert_eq!(was("[]"), None);
    }
}
