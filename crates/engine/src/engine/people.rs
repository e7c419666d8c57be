//! Who of the people wrote something, by the name and the address that a commit gives. Whoever is none of them is a
//! stranger. What can be told so protects from mistakes, not from somebody who writes another's address: see
//! `docs/gates.md`.

use std::collections::BTreeSet;

use super::{
    access::{Access, Person, Principal},
    naming::{Address, Naming, Signed, folded},
};

/// How many strangers a text names; the others are counted.
const MOST_NAMED: usize = 3;

/// A person as authors are compared with them.
struct Known {
    name: String,
    addresses: BTreeSet<String>,
    login: Option<String>,
}

impl Known {
    fn of(naming: &Naming, name: &str, emails: &BTreeSet<String>, login: Option<&str>) -> Self {
        let addresses = emails.iter().map(|email| naming.address(email).whole).collect();
        Self { name: folded(name), addresses, login: login.map(folded) }
    }

    /// Whether an address is one of theirs.
    fn has(&self, address: Option<&Address>) -> bool {
        address.is_some_and(|Address { whole, login }| {
            self.addresses.contains(whole) || (login.is_some() && *login == self.login)
        })
    }

    /// Whether it may be they who wrote it: by their address, or under their name.
    fn may_be(&self, signed: &Signed) -> bool {
        self.name == signed.name || self.has(signed.address.as_ref())
    }

    /// Whether it is they who wrote it: by their address; of a person without any address, under their name.
    fn is(&self, signed: &Signed) -> bool {
        let has_none = self.addresses.is_empty() && self.login.is_none();
        self.has(signed.address.as_ref()) || (has_none && self.name == signed.name)
    }
}

impl Access {
    /// Whether somebody may have written what has these authors, as in `Ada <ada@example.com>`.
    #[must_use]
    pub fn wrote(&self, who: &Principal, authors: &BTreeSet<String>) -> bool {
        let listed = self.people.get(&who.name);
        let login = listed.and_then(|person| person.github.as_deref());
        let emails = listed.iter().flat_map(|person| &person.emails).chain(&who.emails).cloned().collect();
        let known = Known::of(&self.naming, &who.name, &emails, login);
        authors.iter().any(|author| known.may_be(&self.naming.signed(author)))
    }

    /// The authors who are none of the people. While none are listed, everybody is taken at their word, and nobody is a
    /// stranger.
    #[must_use]
    pub fn strangers<'authors>(&self, authors: &'authors BTreeSet<String>) -> Vec<&'authors str> {
        if self.people.is_empty() {
            return Vec::new();
        }
        let known = |(name, Person { emails, github, .. }): (&String, &Person)| {
            Known::of(&self.naming, name, emails, github.as_deref())
        };
        let people: Vec<Known> = self.people.iter().map(known).collect();
        let is_stranger = |author: &&String| {
            let signed = self.naming.signed(author);
            !people.iter().any(|person| person.is(&signed))
        };
        authors.iter().filter(is_stranger).map(String::as_str).collect()
    }

    /// Why not all authors are known, where some are strangers: "written by Bob <bob@x.example>, who is none of the people".
    #[must_use]
    pub fn strangers_said(&self, authors: &BTreeSet<String>) -> Option<String> {
        let strangers = self.strangers(authors);
        let (named, others) = strangers.split_at(strangers.len().min(MOST_NAMED));
        let others = (!others.is_empty()).then(|| format!("{} more", others.len()));
        let named: Vec<String> = named.iter().map(|author| (*author).to_owned()).chain(others).collect();
        match named.as_slice() {
            [] => None,
            [one] => Some(format!("written by {one}, who is none of the people")),
            [first @ .., last] => {
                Some(format!("written by {} and {last}, who are none of the people", first.join(", ")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(ignore_tags: bool) -> Naming {
        Naming { forges: BTreeSet::from(["github.com".to_owned(), "Code.Example".to_owned()]), ignore_tags }
    }

    fn access(ignore_tags: bool) -> Access {
        let ada = Person {
            emails: BTreeSet::from(["ada@x.example".to_owned()]),
            github: Some("Ada-L".to_owned()),
            ..Person::default()
        };
        let people = [("ada", ada), ("jürgen", Person::default())];
        let people = people.map(|(name, person)| (name.to_owned(), person)).into();
        Access { people, naming: naming(ignore_tags), ..Access::default() }
    }

    fn one(author: &str) -> BTreeSet<String> {
        BTreeSet::from([author.to_owned()])
    }

    #[test]
    fn addresses_compare_without_case_tags_by_setting_and_hidden_ones_by_login() {
        let is_adas = |ignore_tags: bool, address: &str| {
            access(ignore_tags).strangers(&one(&format!("Nobody <{address}>"))).is_empty()
        };
        for address in [
            "ADA@X.example",
            "12345+ada-l@users.noreply.github.com",
            "ADA-L@users.noreply.github.com",
            "ada-l@noreply.code.example",
        ] {
            assert!(is_adas(false, address), "{address}");
        }
        for address in [
            "ada@y.example",
            "x+ada-l@users.noreply.github.com",
            "12345+ada@users.noreply.github.com",
            "12345+ada-l@users.noreply.other.example",
            "ada-l@users.noreply.github.com.other.example",
            "ada-l@github.com",
            "",
        ] {
            assert!(!is_adas(true, address), "{address}");
        }
        assert!(is_adas(true, "ada+x@x.example") && !is_adas(false, "ada+x@x.example"));
    }

    #[test]
    fn names_compare_without_case_and_after_normalisation() {
        let of = |name: &str| Principal { name: name.to_owned(), ..Principal::default() };
        for (name, written) in
            [("ada", "ADA"), ("ada", "ａｄａ"), ("jürgen", "JU\u{308}RGEN"), ("weiß", "WEISS"), ("ΝΙΚΟΣ", "νικος")]
        {
            assert!(access(false).wrote(&of(name), &one(&format!("{written} <nobody@y.example>"))), "{written}");
        }
        assert!(!access(false).wrote(&of("ada"), &one("Adam <nobody@y.example>")));
    }

    #[test]
    fn a_name_alone_is_known_of_those_who_have_no_address_and_is_an_author_all_the_same() {
        let access = access(false);
        assert!(access.strangers(&one("Ju\u{308}rgen <j@y.example>")).is_empty());
        assert_eq!(access.strangers(&one("Ada <bob@y.example>")), ["Ada <bob@y.example>"], "the address is nobody's");
        assert!(Access::default().strangers(&one("Bob <bob@y.example>")).is_empty(), "nobody is listed");
    }

    #[test]
    fn many_strangers_are_counted() {
        let said = |count: usize| {
            let authors = (0..count).map(|number| format!("p{number} <p{number}@y.example>")).collect();
            access(false).strangers_said(&authors).unwrap_or_default()
        };
        assert_eq!(said(0), "");
        assert_eq!(said(1), "written by p0 <p0@y.example>, who is none of the people");
        assert_eq!(said(2), "written by p0 <p0@y.example> and p1 <p1@y.example>, who are none of the people");
        assert!(said(9).ends_with("p2 <p2@y.example> and 6 more, who are none of the people"), "{}", said(9));
    }
}
