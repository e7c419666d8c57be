//! Asks git who wrote what a question is about. Commits of ours lead from one repository to another: each says what it was
//! made from, and brings the authors of that.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::pushers::{Asked, Pushers, pushers};
use crate::{
    engine::{Attribution, AuthorsOf, AuthorsWork, Signatures, Written},
    providers::{
        Fault,
        forge::Forge,
        git::{Brought, CommitPlace, Compared, Mirror, Mirrors, NO_LIMIT, SignedNames},
    },
    rules::{KnownBy, RepositoryName, printable, printable_line},
};

/// How long it may take until the mirror can be written to.
const KEEP_DEADLINE: Duration = Duration::from_secs(60);
/// How many times commits of ours may lead on to what others of them were made from: more than there are repositories in a
/// row in any system.
const MOST_ROUNDS: usize = 32;

/// Who is asked.
type Sources<'asked> = (&'asked Mirrors, Option<&'asked dyn Forge>);

/// Who wrote it, or why git or the forge cannot say now.
pub async fn attribute(work: &AuthorsWork, mirrors: &Mirrors, forge: Option<&dyn Forge>) -> Attribution {
    match ask(work, (mirrors, forge)).await {
        Ok(written) => Attribution::Told(written),
        Err(Fault::Retry { error, after }) => {
            let after_ms = after.map(|after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX));
            Attribution::Retry { error: printable(&error), after_ms }
        }
        Err(Fault::Fail { error, hint }) => {
            Attribution::Retry { error: printable(&format!("{error}; {hint}")), after_ms: None }
        }
    }
}

async fn ask(work: &AuthorsWork, sources: Sources<'_>) -> Result<Written, Fault> {
    let mut heads: BTreeMap<&RepositoryName, BTreeSet<String>> = BTreeMap::new();
    for (name, of) in &work.repositories {
        heads.entry(name).or_default().extend(of.commit.as_ref().map(ToString::to_string));
    }
    let mut found: BTreeMap<&RepositoryName, One> = BTreeMap::new();
    let mut unknown = BTreeSet::new();
    for round in 0.. {
        let open = |(name, of): &(&RepositoryName, &BTreeSet<String>)| {
            found.get(*name).map_or(!of.is_empty(), |one| one.heads != **of)
        };
        let open: Vec<RepositoryName> =
            heads.iter().map(|(name, of)| (*name, of)).filter(open).map(|(name, _)| name.clone()).collect();
        if open.is_empty() {
            break;
        }
        if round == MOST_ROUNDS {
            unknown.insert("commits of Tidegate lead from one to another without end".to_owned());
            break;
        }
        for name in &open {
            let Some((name, of)) = work.repositories.get_key_value(name) else { continue };
            let one = one(work, sources, (name, of), heads.get(name).cloned().unwrap_or_default()).await?;
            for carried in &one.new.carried {
                let (of, commit) = carried.split_once('@').unwrap_or((carried, ""));
                if let Some((_, heads)) = heads.iter_mut().find(|(name, _)| name.as_str() == of) {
                    heads.insert(commit.to_owned());
                } else {
                    unknown.insert(format!("the rules have no repository {of}, of which there is a part"));
                }
            }
            found.insert(name, one);
        }
    }
    let mut written = Written::default();
    for (name, One { new, lost, .. }) in found {
        written.authors.extend(new.authors.iter().map(|author| printable_line(author)));
        unknown.extend(new.incomplete.iter().chain(&lost).map(|why| format!("{name}: {why}")));
        let demanded = work.repositories.get(name).is_some_and(|of| of.identity == Some(KnownBy::Signature));
        written.signatures.extend(new.signed.into_iter().map(|signed| signatures(signed, name.as_str(), demanded)));
    }
    written.unknown = unknown.into_iter().collect();
    Ok(written)
}

/// Who signed commits of a repository, for the log.
pub fn signatures(signed: SignedNames, of: &str, demanded: bool) -> Signatures {
    let SignedNames { key, names, example } = signed;
    Signatures {
        key: key.map(|key| printable_line(&key)),
        demanded,
        names: names.iter().map(|name| printable_line(name)).collect(),
        example: printable_line(&format!("{of}: {example}")),
    }
}

/// Whether it is asked who signed commits: where the rules do not go by names alone, and it would tell anything.
pub fn asks_for_signatures(identity: Option<KnownBy>, mirror: &Mirror) -> bool {
    match identity {
        Some(KnownBy::Signature) => true,
        Some(KnownBy::Names | KnownBy::Forge) => false,
        None => mirror.lists_signers(),
    }
}

/// What was found of one repository.
struct One {
    heads: BTreeSet<String>,
    new: Brought,
    /// What was nowhere to be found.
    lost: Vec<String>,
}

async fn one(
    work: &AuthorsWork,
    (mirrors, forge): Sources<'_>,
    (name, of): (&RepositoryName, &AuthorsOf),
    heads: BTreeSet<String>,
) -> Result<One, Fault> {
    let mirror = mirrors.mirror(&of.url)?;
    let base: Vec<String> = of.base.iter().map(ToString::to_string).collect();
    bring(&mirror, of, heads.iter().chain(&base)).await?;
    let mut lost = Vec::new();
    let (there, gone) = mirror.parted(&heads).await?;
    lost.extend(gone.iter().map(|commit| format!("commit {} is nowhere to be found", short(commit))));
    let (mut known, gone) = mirror.parted(&base).await?;
    lost.extend(
        gone.iter().map(|commit| format!("commit {}, which was there before, is nowhere to be found", short(commit))),
    );
    if !gone.is_empty() {
        let otherwise: Vec<String> = of.otherwise.iter().map(ToString::to_string).collect();
        known.extend(mirror.parted(&otherwise).await?.0);
    }
    let kept = there.iter().chain(&known).map(String::as_str);
    mirror.keep(work.system.as_str(), kept, KEEP_DEADLINE).await?;
    let place = |branch: &String| CommitPlace {
        system: work.system.to_string(),
        repository: name.to_string(),
        branch: branch.clone(),
    };
    let signatures = asks_for_signatures(of.identity, &mirror);
    let compared = Compared { places: of.branches.iter().map(place).collect(), heads: there, known, signatures };
    let mut new = mirror.brought(&compared).await?;
    let asked = Asked { url: &of.url, branches: &of.branches, heads: &heads, new: &new.commits, identity: of.identity };
    let Pushers { authors, unknown } = pushers(&asked, forge).await?;
    new.authors.extend(authors);
    new.incomplete.extend(unknown);
    Ok(One { heads, new, lost })
}

/// Fetches the branches that there are, where a commit is not in the mirror.
async fn bring(mirror: &Mirror, of: &AuthorsOf, commits: impl Iterator<Item = &String>) -> Result<(), Fault> {
    if mirror.parted(commits).await?.1.is_empty() {
        return Ok(());
    }
    let heads = mirror.heads(&of.branches, NO_LIMIT).await?;
    let there: Vec<String> = heads.into_iter().filter_map(|(branch, head)| head.map(|_| branch)).collect();
    if there.is_empty() {
        return Ok(());
    }
    mirror.fetch(&there, NO_LIMIT).await
}

fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}
