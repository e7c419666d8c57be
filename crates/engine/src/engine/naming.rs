//! How the names and addresses that commits give are read and compared: without case, after normalisation, and hidden
//! addresses by login.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

/// Before these and a forge's domain stand the logins of those who hide their address: `users.noreply.github.com`.
const HIDDEN: [&str; 2] = ["users.noreply.", "noreply."];
/// How the addresses in commits are read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Naming {
    /// The domains of the forges that count, such as `github.com`: at these, hidden addresses belong to logins.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub forges: BTreeSet<String>,
    /// Whether `ada+laptop@example.com` is the address `ada@example.com`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_tags: bool,
}

impl Naming {
    /// Whether nothing is said, as in logs of before.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// An address as it is compared.
    pub(super) fn address(&self, address: &str) -> Address {
        let folded = folded(address);
        let Some((local, host)) = folded.rsplit_once('@') else { return Address { whole: folded, login: None } };
        let is_hidden = |forge: &String| {
            let forge = forge.to_lowercase();
            HIDDEN.iter().any(|before| host.strip_prefix(before) == Some(forge.as_str()))
        };
        if self.forges.iter().any(is_hidden) {
            let numbered = local.split_once('+').filter(|(id, _)| id.bytes().all(|byte| byte.is_ascii_digit()));
            let login = numbered.map_or(local, |(_, login)| login).to_owned();
            return Address { whole: folded, login: Some(login) };
        }
        let untagged = local.split_once('+').filter(|(before, _)| self.ignore_tags && !before.is_empty());
        let local = untagged.map_or(local, |(before, _)| before);
        Address { whole: format!("{local}@{host}"), login: None }
    }

    /// The author of a commit, `Ada <ada@example.com>`, as it is compared.
    pub(super) fn signed(&self, author: &str) -> Signed {
        let (name, address) = author.split_once('<').unwrap_or((author, ""));
        let address = address.trim().trim_end_matches('>');
        Signed { name: folded(name), address: (!address.is_empty()).then(|| self.address(address)) }
    }
}

/// An address as it is compared: the whole of it, and of a hidden address the login.
pub(super) struct Address {
    pub(super) whole: String,
    pub(super) login: Option<String>,
}

/// The author of a commit as it is compared.
pub(super) struct Signed {
    pub(super) name: String,
    pub(super) address: Option<Address>,
}

/// A text as it is compared: without case, and however its letters are put together (NFKC).
pub(super) fn folded(text: &str) -> String {
    let text = text.trim();
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // Upper case first, letter by letter: so `ß` is `ss`, and a sigma is the same at the end of a word.
    let upper: String = text.nfkc().flat_map(char::to_uppercase).collect();
    upper.chars().flat_map(char::to_lowercase).nfkc().collect()
}
