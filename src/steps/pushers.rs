//! Who pushed what a question is about, as a forge tells. A commit can be written in anybody's name; a push needs their
//! credentials.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    providers::{
        Fault,
        forge::{Forge, Pushed},
    },
    rules::{KnownBy, printable_line},
};

/// Who pushed commits.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pushers {
    /// Each as an author, by the address that a forge hides people behind: `ada <7+ada@users.noreply.github.com>`.
    pub authors: BTreeSet<String>,
    /// What nobody is known to have pushed.
    pub unknown: BTreeSet<String>,
}

/// The commits of a repository that are asked about.
pub struct Asked<'asked> {
    /// Where it is.
    pub url: &'asked str,
    /// The branches on which they came.
    pub branches: &'asked [String],
    /// The commits at which it is asked, and those that are new: with whether they are ours.
    pub heads: &'asked BTreeSet<String>,
    /// All that is new in them, with whether it is ours.
    pub new: &'asked BTreeMap<String, bool>,
    /// What the rules say.
    pub identity: Option<KnownBy>,
}

/// Who pushed them. Where the rules do not demand it, what the forge cannot tell counts by the names in it.
///
/// # Errors
/// When the forge can be asked again, or what is demanded cannot be had.
pub async fn pushers(asked: &Asked<'_>, forge: Option<&dyn Forge>) -> Result<Pushers, Fault> {
    let demanded = asked.identity == Some(KnownBy::Forge);
    if matches!(asked.identity, Some(KnownBy::Signature | KnownBy::Names)) || asked.new.values().all(|ours| *ours) {
        return Ok(Pushers::default());
    }
    let at = forge.and_then(|forge| Some((forge, forge.repository(asked.url)?)));
    let Some((forge, at)) = at.filter(|(forge, _)| forge.can().pushes) else {
        let unknown = demanded.then(|| "no forge tells who pushed it".to_owned());
        return Ok(Pushers { unknown: unknown.into_iter().collect(), ..Pushers::default() });
    };
    let mut pushes = Vec::new();
    for branch in asked.branches {
        match forge.pushes(&at, branch).await {
            Ok(told) => pushes.extend(told),
            Err(Fault::Fail { error, .. }) if !demanded => {
                tracing::debug!(error, "a forge does not tell who pushed");
                return Ok(Pushers::default());
            }
            Err(fault) => return Err(fault.while_trying(&format!("asking who pushed to {branch} of {at}"))),
        }
    }
    let mut told = of_pushes(&pushes, asked.heads, asked.new, forge.domain());
    if !demanded {
        told.unknown.clear();
    }
    Ok(told)
}

/// Who pushed what is new, as the pushes tell. From each head it is gone back push by push, as long as there is news; where no push
/// led to a commit, nobody is known to have brought what is before it.
fn of_pushes(pushes: &[Pushed], heads: &BTreeSet<String>, new: &BTreeMap<String, bool>, domain: &str) -> Pushers {
    let mut by_after: BTreeMap<&str, Vec<&Pushed>> = BTreeMap::new();
    for push in pushes {
        by_after.entry(&push.after).or_default().push(push);
    }
    let mut found = Pushers::default();
    let mut open: Vec<&str> = heads.iter().map(String::as_str).filter(|head| new.contains_key(*head)).collect();
    let mut seen = BTreeSet::new();
    while let Some(commit) = open.pop() {
        if !seen.insert(commit) {
            continue;
        }
        let is_ours = new.get(commit) == Some(&true);
        let Some(pushes) = by_after.get(commit) else {
            let short = commit.get(..12).unwrap_or(commit);
            found.unknown.insert(format!("the forge does not tell who pushed commit {short}"));
            continue;
        };
        for push in pushes {
            match &push.by {
                _ if is_ours => {}
                Some(by) => {
                    let author = format!("{0} <{1}+{0}@users.noreply.{domain}>", by.login, by.id);
                    found.authors.insert(printable_line(&author));
                }
                None => {
                    let short = commit.get(..12).unwrap_or(commit);
                    found.unknown.insert(format!("whoever pushed commit {short} has no account any more"));
                }
            }
            if new.contains_key(&push.before) {
                open.push(&push.before);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::forge::Account;

    fn push(by: &str, before: &str, after: &str) -> Pushed {
        let by = (!by.is_empty()).then(|| Account { id: 7, login: by.to_owned() });
        Pushed { by, before: before.to_owned(), after: after.to_owned() }
    }

    fn told(pushes: &[Pushed], head: &str, new: &[(&str, bool)]) -> (Vec<String>, usize) {
        let new = new.iter().map(|(commit, ours)| ((*commit).to_owned(), *ours)).collect();
        let told = of_pushes(pushes, &BTreeSet::from([head.to_owned()]), &new, "github.com");
        let login = |author: String| author.split(' ').next().unwrap_or_default().to_owned();
        (told.authors.into_iter().map(login).collect(), told.unknown.len())
    }

    #[test]
    fn whoever_pushed_what_is_new_is_an_author() {
        let pushes = [push("mallory", "b", "d"), push("ada", "a", "b"), push("grace", "0", "a")];
        assert_eq!(
            told(&pushes, "d", &[("b", false), ("c", false), ("d", false)]),
            (vec!["ada".into(), "mallory".into()], 0)
        );
        assert_eq!(told(&pushes, "d", &[("c", false), ("d", false)]), (vec!["mallory".into()], 0), "b is not news");
        let all = of_pushes(&pushes, &BTreeSet::from(["a".into()]), &[("a".into(), false)].into(), "github.com");
        assert_eq!(all.authors, BTreeSet::from(["grace <7+grace@users.noreply.github.com>".to_owned()]));
    }

    #[test]
    fn what_no_push_tells_of_is_nobodys() {
        let pushes = [push("ada", "b", "c")];
        assert_eq!(told(&pushes, "c", &[("b", false), ("c", false)]), (vec!["ada".into()], 1));
        assert_eq!(told(&[], "c", &[("c", false)]), (vec![], 1));
        assert_eq!(told(&[push("", "b", "c")], "c", &[("c", false)]), (vec![], 1), "a ghost");
    }

    #[test]
    fn our_own_pushes_make_nobody_an_author_and_end_nothing() {
        let pushes = [push("tidegate[bot]", "b", "c"), push("ada", "a", "b")];
        assert_eq!(told(&pushes, "c", &[("b", false), ("c", true)]), (vec!["ada".into()], 0));
        // A branch that was taken back and forth.
        let around = [push("ada", "b", "a"), push("ada", "a", "b")];
        assert_eq!(told(&around, "b", &[("a", false), ("b", false)]), (vec!["ada".into()], 0));
    }
}
