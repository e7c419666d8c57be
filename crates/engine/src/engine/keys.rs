//! Who signed something: whose key it is, and what is not known of commits that nobody's key has signed. A signature adds an
//! author and takes none away, for whoever signs can write any name: see `docs/gates.md`.

use std::collections::BTreeSet;

use super::{
    access::{Access, Principal},
    authorship::{Signatures, Written},
};

impl Access {
    /// Whether somebody may have written something: they are named, or signed it.
    #[must_use]
    pub fn is_author(&self, who: &Principal, written: &Written) -> bool {
        let keys = written.signatures.iter().filter_map(|signatures| signatures.key.as_deref());
        self.wrote(who, &written.authors) || keys.into_iter().any(|key| self.owner(key) == Some(who.name.as_str()))
    }

    /// The person whose key it is.
    #[must_use]
    pub fn owner(&self, key: &str) -> Option<&str> {
        let key = plain(key);
        let has = |keys: &BTreeSet<String>| keys.iter().any(|listed| plain(listed) == key);
        self.people.iter().find(|(_, person)| has(&person.keys)).map(|(name, _)| name.as_str())
    }

    /// Why not all who wrote something are known: git could not tell, they are none of the people, or their names alone do not
    /// count.
    #[must_use]
    pub fn doubts(&self, written: &Written) -> Option<String> {
        let (strangers, unproven) = (self.strangers_said(&written.authors), self.unproven(written));
        let doubts: Vec<&str> = written.unknown.iter().chain(&strangers).chain(&unproven).map(String::as_str).collect();
        (!doubts.is_empty()).then(|| doubts.join("; "))
    }

    /// What nobody's key has signed and is not taken at its word: the rules demand a signature, or it is in the name of somebody
    /// who lists keys.
    fn unproven(&self, written: &Written) -> Vec<String> {
        let unsigned = written.signatures.iter().filter(|signatures| self.signer(signatures).is_none());
        let doubt = |signatures: &Signatures| {
            if signatures.demanded {
                return Some(format!("{}, and `identity: signature` demands one of the people's", signatures.example));
            }
            let named = self.people.keys().find(|name| self.signs_as(name, &signatures.names))?;
            Some(format!("{}, and {named} has keys to sign with", signatures.example))
        };
        unsigned.filter_map(doubt).collect()
    }

    /// By what it is known who wrote something, for people: "the signatures of ada, and names for Bob <bob@x.example>".
    #[must_use]
    pub fn known_by(&self, written: &Written) -> String {
        let signers: BTreeSet<&str> =
            written.signatures.iter().filter_map(|signatures| self.signer(signatures)).collect();
        let signed = |author: &&String| signers.iter().any(|name| self.wrote(&self.listed(name), &one(author)));
        let named: Vec<&str> = written.authors.iter().filter(|author| !signed(author)).map(String::as_str).collect();
        let signers = signers.into_iter().collect::<Vec<_>>().join(", ");
        match (signers.is_empty(), named.is_empty()) {
            (true, _) => "the names in the commits, which anybody can write".to_owned(),
            (false, true) => format!("the signatures of {signers}"),
            (false, false) => format!("the signatures of {signers}; of the names in the commits: {}", named.join(", ")),
        }
    }

    fn signer(&self, signatures: &Signatures) -> Option<&str> {
        self.owner(signatures.key.as_deref()?)
    }

    /// Whether somebody who lists keys is among these names.
    fn signs_as(&self, name: &str, names: &BTreeSet<String>) -> bool {
        let has_keys = self.people.get(name).is_some_and(|person| !person.keys.is_empty());
        has_keys && self.wrote(&self.listed(name), names)
    }

    fn listed(&self, name: &str) -> Principal {
        self.principal(name).unwrap_or_else(|| Principal::named(name))
    }
}

fn one(author: &str) -> BTreeSet<String> {
    BTreeSet::from([author.to_owned()])
}

/// A fingerprint as it is compared: hex digits without case and colons; the base64 of ssh as it is.
fn plain(fingerprint: &str) -> String {
    match fingerprint.starts_with("SHA256:") {
        true => fingerprint.to_owned(),
        false => fingerprint.replace([':', ' '], "").to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Person;

    #[test]
    fn a_key_belongs_to_whoever_lists_it_however_it_is_written() {
        let with =
            |keys: &[&str]| Person { keys: keys.iter().map(|key| (*key).to_owned()).collect(), ..Person::default() };
        let people = [("ada", with(&["SHA256:aBc/+1"])), ("grace", with(&["5E:1F AA:07"])), ("linus", with(&[]))];
        let people = people.map(|(name, person)| (name.to_owned(), person)).into();
        let access = Access { people, ..Access::default() };
        for (key, owner) in [
            ("SHA256:aBc/+1", Some("ada")),
            ("SHA256:abc/+1", None),
            ("5e1faa07", Some("grace")),
            ("5E1FAA07", Some("grace")),
            ("5E1FAA08", None),
            ("", None),
        ] {
            assert_eq!(access.owner(key), owner, "{key}");
        }
    }
}
