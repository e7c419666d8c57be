//! Who else says who somebody is: the OpenID Connect issuers of `tidegate.toml`, whom each may name, and what its groups mean here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read as _,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    engine::{Access, Person, Principal, Refused},
    store::Identity,
};

/// What signing in by GitHub is called, where issuers have names.
pub const GITHUB: &str = "github";
/// Names that an issuer may not have: they say how else somebody signed in.
const OTHER_WAYS: [&str; 2] = ["link", "token"];
/// How long a name may be.
const LONGEST_NAME: usize = 32;
/// How long a client's secret may be, in bytes.
const LONGEST_SECRET: u64 = 4_096;

/// An OpenID Connect issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// What it is called here: on the page where people sign in, in the log, and in the address to which it sends them back,
    /// `URL/sign-in/NAME/back`. Small letters, digits and dashes.
    pub name: String,
    /// Its address, as it writes `iss`: `https://login.example.com`.
    pub url: String,
    /// What it calls Tidegate: the client's id.
    pub client: String,
    /// The file of the client's secret; without it, the client has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<PathBuf>,
    /// What it is asked for besides `openid`.
    #[serde(default = "scopes")]
    pub scopes: BTreeSet<String>,
    /// The claim that tells who somebody is, such as `email`, which counts where the issuer has verified it. It has to be one that
    /// nobody can choose by themselves.
    #[serde(default = "person_claim")]
    pub person_claim: String,
    /// Whom it may name: what that claim says, and the person in `people` that this is. Without it the claim has the names of
    /// `people` themselves, and only a single issuer may go without.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub people: BTreeMap<String, String>,
    /// The claim that has a person's groups.
    #[serde(default = "groups_claim")]
    pub groups_claim: String,
    /// What its groups are here. Those that are not listed mean nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, String>,
}

fn scopes() -> BTreeSet<String> {
    BTreeSet::from(["profile".to_owned(), "email".to_owned()])
}

fn person_claim() -> String {
    "sub".to_owned()
}

fn groups_claim() -> String {
    "groups".to_owned()
}

impl IssuerSettings {
    /// The client's secret, as its file has it now.
    ///
    /// # Errors
    /// When there should be one and the file cannot be read, or is none.
    pub(crate) fn client_secret(&self) -> anyhow::Result<Option<String>> {
        let Some(path) = &self.secret else { return Ok(None) };
        let of = || format!("cannot use {} as the `secret` of the issuer `{}`", path.display(), self.name);
        let mut text = String::new();
        let file = File::open(path).with_context(of)?;
        file.take(LONGEST_SECRET + 1).read_to_string(&mut text).with_context(of)?;
        let secret = text.trim();
        if secret.is_empty() || text.len() as u64 > LONGEST_SECRET || secret.contains(char::is_control) {
            return Err(anyhow::anyhow!("it is empty, longer than {LONGEST_SECRET} bytes or of several lines"))
                .with_context(of);
        }
        Ok(Some(secret.to_owned()))
    }

    /// The person that a value of its claim means.
    fn person<'said>(&'said self, said: &'said str) -> Option<&'said str> {
        if self.people.is_empty() { Some(said) } else { self.people.get(said).map(String::as_str) }
    }

    fn check(&self, people: &BTreeMap<String, Person>, is_alone: bool) -> anyhow::Result<()> {
        let Self { name, url, client, people: named, groups, person_claim, .. } = self;
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=LONGEST_NAME).contains(&name.len()) || !name.bytes().all(is_plain) {
            bail!("an issuer's name has 1 to {LONGEST_NAME} small letters, digits and dashes; `{name}` has not");
        }
        if OTHER_WAYS.contains(&name.as_str()) {
            bail!("an issuer cannot be called `{name}`: that is another way to sign in");
        }
        if !is_address(url) {
            bail!(
                "`url` of the issuer `{name}` is `{url}`: write it as its `iss` is, `https://login.example.com`, without a \
                 query; `http` is for this machine alone"
            );
        }
        if client.is_empty() || person_claim.is_empty() {
            bail!("the issuer `{name}` has an empty `client` or `person_claim`");
        }
        if named.is_empty() && !is_alone {
            bail!(
                "there are several issuers, and `{name}` could name anybody: say in `people` whom, as \
                 `people = {{ \"grace@example.com\" = \"grace\" }}`"
            );
        }
        if let Some((said, unknown)) = named.iter().find(|(_, person)| !people.contains_key(*person)) {
            bail!("`people` of the issuer `{name}` says that `{said}` is `{unknown}`, whom `people` does not list");
        }
        if let Some((said, group)) = groups.iter().find(|(_, group)| people.contains_key(*group) || group.is_empty()) {
            bail!(
                "`groups` of the issuer `{name}` says that `{said}` is `{group}`, which is {}: name a group",
                if group.is_empty() { "no name" } else { "a person" }
            );
        }
        Ok(())
    }
}

/// Whether something can be the address of an issuer: by TLS, or on this machine.
pub(super) fn is_address(url: &str) -> bool {
    let Ok(parsed) = reqwest::Url::parse(url) else { return false };
    let Some(host) = parsed.host_str() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_local = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    let is_plain = parsed.query().is_none() && parsed.fragment().is_none() && parsed.username().is_empty();
    is_plain && (parsed.scheme() == "https" || (parsed.scheme() == "http" && is_local))
}

/// Whether what is said of issuers can be meant.
///
/// # Errors
/// What is wrong, and what to write.
pub(crate) fn check(
    issuers: &[IssuerSettings],
    url: Option<&str>,
    people: &BTreeMap<String, Person>,
) -> anyhow::Result<()> {
    if issuers.is_empty() {
        return Ok(());
    }
    if people.is_empty() {
        bail!(
            "there are `issuers`, and nobody in `people`: list those who may sign in, or everybody there could do everything"
        );
    }
    if !url.is_some_and(is_address) {
        bail!(
            "there are `issuers`: let `url` in [server] say where they send people back to, as `https://tidegate.example.com`"
        );
    }
    let (mut names, mut urls) = (BTreeSet::new(), BTreeSet::new());
    for issuer in issuers {
        issuer.check(people, issuers.len() == 1)?;
        if !names.insert(&issuer.name) {
            bail!("two issuers are called `{}`: name one of them otherwise", issuer.name);
        }
        if !urls.insert(issuer.url.trim_end_matches('/')) {
            bail!("two issuers have the `url` {}: it is one issuer", issuer.url);
        }
    }
    Ok(())
}

/// The groups that issuers give.
pub(crate) fn groups(issuers: &[IssuerSettings]) -> impl Iterator<Item = &String> {
    issuers.iter().flat_map(|issuer| issuer.groups.values())
}

/// The person that somebody is for whom an issuer speaks, with the groups that it says beside their own.
///
/// # Errors
/// When there is no such issuer any more, or it may not name such a person.
pub(crate) fn principal(
    issuers: &[IssuerSettings],
    access: &Access,
    identity: &Identity,
) -> Result<Principal, Box<Refused>> {
    let Identity { issuer: name, subject: _, person: said, groups } = identity;
    let issuer = issuers.iter().find(|issuer| issuer.name == *name);
    let found = issuer.and_then(|issuer| Some((issuer, access.principal(issuer.person(said)?)?)));
    let Some((issuer, mut principal)) = found else {
        let reason = match issuer {
            None => format!("tidegate.toml lists no issuer `{name}`"),
            Some(issuer) if issuer.people.is_empty() => format!(
                "tidegate.toml lists no person `{said}`: somebody who may write that file has to add `[people.\"{said}\"]`"
            ),
            Some(_) => format!(
                "tidegate.toml does not say who `{said}` is: somebody who may write that file has to add `\"{said}\" = \"NAME\"` \
                 to `people` of the issuer `{name}`"
            ),
        };
        let what = "ask for anything".to_owned();
        return Err(Box::new(Refused::NotAllowed { who: format!("{name}/{said}"), what, reason }));
    };
    principal.groups.extend(groups.iter().filter_map(|group| issuer.groups.get(group).cloned()));
    Ok(principal)
}

/// Makes the paths absolute: relative ones are from the settings' folder.
pub(crate) fn resolve(issuers: &mut [IssuerSettings], folder: &Path) {
    for secret in issuers.iter_mut().filter_map(|issuer| issuer.secret.as_mut()) {
        *secret = folder.join(&*secret);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const CORP: &str = "name = 'corp'\nurl = 'https://login.example.com'\nclient = 'tide'\n";

    fn people() -> BTreeMap<String, Person> {
        let ops = Person { groups: BTreeSet::from(["ops".to_owned()]), ..Person::default() };
        BTreeMap::from([("grace".to_owned(), ops), ("ada".to_owned(), Person::default())])
    }

    fn issuer(text: &str) -> IssuerSettings {
        toml::from_str(text).unwrap()
    }

    fn identity(person: &str, groups: &[&str]) -> Identity {
        let groups = groups.iter().map(|&group| group.to_owned()).collect();
        Identity { issuer: "corp".to_owned(), subject: "1".to_owned(), person: person.to_owned(), groups }
    }

    #[test]
    fn an_issuer_names_whom_it_may_and_gives_the_groups_that_are_listed() {
        let access = Access { people: people(), ..Access::default() };
        let one = [issuer(&format!("{CORP}groups = {{ 'all-admins' = 'admins' }}"))];
        let grace = principal(&one, &access, &identity("grace", &["all-admins", "admins", "root"])).unwrap();
        assert_eq!(grace.name, "grace");
        assert_eq!(grace.groups.iter().collect::<Vec<_>>(), ["admins", "ops"]);
        for nobody in ["linus", "token/ci", "", "Grace"] {
            let refused = principal(&one, &access, &identity(nobody, &["all-admins"])).unwrap_err().to_string();
            assert!(refused.contains(&format!("no person `{nobody}`")), "{refused}");
        }
        let mapped = [issuer(&format!("{CORP}people = {{ 'g@example.com' = 'grace' }}"))];
        assert_eq!(principal(&mapped, &access, &identity("g@example.com", &[])).unwrap().name, "grace");
        let refused = principal(&mapped, &access, &identity("ada", &[])).unwrap_err().to_string();
        assert!(refused.contains("\"ada\" = \"NAME\""), "whom it may not name it cannot name: {refused}");
        let gone = principal(&[], &access, &identity("grace", &[])).unwrap_err().to_string();
        assert!(gone.contains("no issuer `corp`"), "{gone}");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_to_write() {
        let url = Some("https://tide.example.com");
        let checked = |issuers: &[&str], url, people: &BTreeMap<_, _>| {
            let issuers: Vec<IssuerSettings> = issuers.iter().map(|text| issuer(text)).collect();
            check(&issuers, url, people).map_err(|error| error.to_string())
        };
        let all = people();
        assert_eq!(checked(&[CORP], url, &all), Ok(()));
        assert_eq!(checked(&[&CORP.replace("https://login.example.com", "http://127.0.0.1:9400")], url, &all), Ok(()));
        let other = "name = 'other'\nurl = 'https://other.example.com'\nclient = 'x'\npeople = { x = 'grace' }\n";
        let named = format!("{CORP}people = {{ g = 'grace' }}\n");
        assert_eq!(checked(&[&named, other], url, &all), Ok(()));
        for (issuers, said) in [
            (vec![CORP.replace("corp", "Corp")], "small letters"),
            (vec![CORP.replace("corp", "../x")], "small letters"),
            (vec![CORP.replace("corp", "link")], "another way to sign in"),
            (vec![CORP.replace("https://login", "http://login")], "this machine alone"),
            (vec![CORP.replace("https://login.example.com", "login.example.com")], "as its `iss` is"),
            (vec![CORP.replace(".com", ".com/?x=1")], "without a query"),
            (vec![CORP.replace("'tide'", "''")], "empty `client`"),
            (vec![format!("{CORP}people = {{ g = 'linus' }}")], "whom `people` does not list"),
            (vec![format!("{CORP}groups = {{ all = 'grace' }}")], "which is a person"),
            (vec![CORP.to_owned(), other.to_owned()], "could name anybody"),
            (vec![named.clone(), named.clone()], "two issuers are called `corp`"),
            (vec![named.clone(), named.replace("'corp'", "'twin'")], "it is one issuer"),
        ] {
            let issuers: Vec<&str> = issuers.iter().map(String::as_str).collect();
            let why = checked(&issuers, url, &all).expect_err(said);
            assert!(why.contains(said), "{said}: {why}");
        }
        let why = checked(&[CORP], None, &all).unwrap_err();
        assert!(why.contains("let `url` in [server] say"), "{why}");
        let why = checked(&[CORP], Some("http://tide.example.com"), &all).unwrap_err();
        assert!(why.contains("let `url` in [server] say"), "people would be sent back without TLS: {why}");
        let why = checked(&[CORP], url, &BTreeMap::new()).unwrap_err();
        assert!(why.contains("list those who may sign in"), "{why}");
    }
}
