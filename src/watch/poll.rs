//! Watches a repository: looks at its branches until they differ from what is known, and says how. While nothing changes
//! nothing is written, so that an idle system costs a request per repository and interval, and no more.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{sync::Notify, time::timeout};

use super::{Places, Wants};
use crate::{
    engine::{CommitId, CommitSet, HeadSeen, Outcome, PinPlace, PinnerId, PinsSeen, StepKey, Unread, WatchWork},
    providers::{
        Fault,
        git::{CommitPlace, Mirror, Mirrors, NO_LIMIT},
        quarantine::Quarantine,
    },
    rules::{RepositoryName, StageName, host_of, printable, printable_line},
};

/// How long the mirror's lock is waited for when commits are kept.
const KEEP_DEADLINE: Duration = Duration::from_secs(30);
/// How long verifying the signatures of a push may take.
const SIGNATURES_DEADLINE: Duration = Duration::from_secs(120);
/// The longest pause between two looks at a repository that cannot be reached.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// How often a branch that could not be read is tried again, though nothing was pushed to it.
const UNREAD_AGAIN: Duration = Duration::from_secs(300);
/// How many times in a row a look may fail before it is said: one hiccup is no news.
const FAILURES_BEFORE_NEWS: u32 = 2;

/// What watching takes beside what is to be watched.
#[derive(Clone, Copy)]
pub struct Watching<'with> {
    /// The mirrors.
    pub mirrors: &'with Mirrors,
    /// The places for looks at remotes.
    pub looks: &'with Places,
    /// The places for fetches: one may take hours, and keeps no look away.
    pub fetches: &'with Places,
    /// What ended the program.
    pub quarantine: &'with Quarantine,
    /// Told when there may be news: the next look comes at once.
    pub nudged: &'with Notify,
    /// Told after each look that is no news.
    pub no_news: &'with (dyn Fn() + Sync),
}

/// What a look found: the branches that are news, and those that could not be read.
#[derive(Default)]
struct Look {
    heads: BTreeMap<StageName, Option<HeadSeen>>,
    unread: BTreeMap<StageName, (CommitId, Fault)>,
}

/// Looks until there is news: heads that differ from those known, a branch that cannot be read, or a repository that can
/// no longer be reached. A branch that cannot be read hides none of the others.
pub async fn watch(work: &WatchWork, with: Watching<'_>) -> Outcome {
    keep(work, with.mirrors).await;
    let (mut failures, mut unread_again) = (0, Instant::now());
    loop {
        let try_unread = Instant::now() >= unread_again;
        if try_unread {
            unread_again = Instant::now() + UNREAD_AGAIN;
        }
        match look(work, with, try_unread).await {
            Ok(Some(look)) => {
                let patient = failures < FAILURES_BEFORE_NEWS;
                let unread = unread_news(work, &look, patient);
                if !look.heads.is_empty() || !unread.is_empty() {
                    return Outcome::Heads { heads: look.heads, unread };
                }
                failures += 1;
            }
            Ok(None) => failures = 0,
            Err(fault) => {
                failures += 1;
                let (system, repository) = (&work.system, &work.repository);
                tracing::debug!(%system, %repository, error = %fault, failures, "a repository cannot be reached");
                // What nobody has ever seen is misspelt as often as it is down.
                if work.reachable && (failures >= FAILURES_BEFORE_NEWS || !work.seen) {
                    let error = printable(&with_hint(&fault));
                    tracing::warn!(%system, %repository, error, "a repository cannot be reached");
                    return Outcome::Unreachable { error };
                }
            }
        }
        (with.no_news)();
        // One that came during the look counts, too.
        drop(timeout(pause(work, failures), with.nudged.notified()).await);
    }
}

/// The branches of which it is news that they cannot be read. While one is `patient`, what may pass is none.
fn unread_news(work: &WatchWork, look: &Look, patient: bool) -> BTreeMap<StageName, Unread> {
    let news = look.unread.iter().filter(|(_, (_, fault))| !patient || matches!(fault, Fault::Fail { .. }));
    let news = news.map(|(stage, (commit, fault))| {
        let unread = Unread { commit: commit.clone(), error: printable(&with_hint(fault)) };
        (stage.clone(), unread)
    });
    news.filter(|(stage, unread)| work.unread.get(stage) != Some(unread)).collect()
}

/// Keeps what the state names in the mirror, and nothing else. It is a safety net: a failure is logged.
async fn keep(work: &WatchWork, mirrors: &Mirrors) {
    let kept = match mirrors.mirror(&work.url) {
        Ok(mirror) => {
            mirror.keep_only(work.system.as_str(), work.named.iter().map(CommitId::as_str), KEEP_DEADLINE).await
        }
        Err(fault) => Err(fault),
    };
    if let Err(fault) = kept {
        tracing::warn!(repository = %work.repository, error = %fault, "what is known could not be kept in the mirror");
    }
}

/// What failed and what to do in one line; whatever else was said stands below it.
fn with_hint(fault: &Fault) -> String {
    match fault {
        Fault::Fail { error, hint } if !hint.is_empty() => match error.split_once('\n') {
            Some((first, rest)) => format!("{first}; {hint}\n{rest}"),
            None => format!("{error}; {hint}"),
        },
        Fault::Fail { error, .. } | Fault::Retry { error, .. } => error.clone(),
    }
}

/// The time until the next look: the interval with a tenth of jitter, so that many repositories do not march in step;
/// doubled for each failure in a row.
fn pause(work: &WatchWork, failures: u32) -> Duration {
    let interval = Duration::from_millis(u64::try_from(work.interval_ms).unwrap_or(1_000));
    let pause = (interval * (1 << failures.min(10))).min(LONGEST_PAUSE.max(interval));
    let random = RandomState::new().hash_one(&work.repository) % 1_000;
    let jitter = pause.as_secs_f64() * (random as f64 / 1_000.0 - 0.5) / 5.0;
    Duration::from_secs_f64((pause.as_secs_f64() + jitter).max(0.0))
}

/// One look. Nothing where all is as it is known to be; branches that could not be read before are tried when `try_unread`.
async fn look(work: &WatchWork, with: Watching<'_>, try_unread: bool) -> Result<Option<Look>, Fault> {
    let mirror = with.mirrors.mirror(&work.url)?;
    let branches: Vec<String> = work.branches.values().cloned().collect();
    let heads = {
        let _place = with.looks.take(wants(work)).await;
        mirror.heads(&branches, NO_LIMIT).await?
    };
    let head = |branch: &String| heads.get(branch).and_then(Option::as_deref);
    let is_unread = |stage: &StageName, branch: &String| {
        work.unread.get(stage).is_some_and(|unread| head(branch) == Some(unread.commit.as_str()))
    };
    let differs = work.branches.iter().any(|(stage, branch)| match work.unread.get(stage) {
        Some(_) => try_unread || !is_unread(stage, branch),
        None => head(branch) != work.known.get(stage).map(CommitId::as_str),
    });
    if !differs && work.seen && work.reachable {
        return Ok(None);
    }
    let new = work.branches.iter().filter(|(stage, branch)| {
        head(branch).is_some() && head(branch) != work.known.get(*stage).map(CommitId::as_str)
    });
    let new: Vec<&String> = new.map(|(_, branch)| branch).collect();
    let unfetched = fetch(&mirror, &new, with.fetches, wants(work)).await;
    let mut look = Look::default();
    for (stage, branch) in &work.branches {
        let Some(commit) = head(branch) else {
            look.heads.insert(stage.clone(), None);
            continue;
        };
        let later = work.stages.iter().skip_while(|other| *other != stage).skip(1);
        let later = later.filter_map(|other| head(work.branches.get(other)?)).map(str::to_owned).collect();
        let there = match unfetched.get(branch) {
            Some(fault) => Err(fault.clone()),
            // A commit that is none is its branch's trouble alone.
            None => has(&mirror, commit).await,
        };
        let seen = match there {
            Err(fault) => Err(fault),
            Ok(false) => {
                let answered =
                    format!("{branch} of {} was at {commit} a moment ago, and now an older one came", mirror.url());
                Err(Fault::retry(format!("{answered}: what answers lags behind")))
            }
            Ok(true) => read(work, (&mirror, with.quarantine), (stage, later), commit).await,
        };
        match seen {
            Ok(seen) => drop(look.heads.insert(stage.clone(), Some(seen))),
            Err(fault) => drop(look.unread.insert(stage.clone(), (CommitId::new(commit), fault))),
        }
    }
    if look.unread.values().any(|(_, fault)| matches!(fault, Fault::Retry { .. })) {
        // Until it is sure that it stays so, the others are told only where they are news.
        look.heads.retain(|stage, seen| {
            seen.as_ref().map(|seen| &seen.commit) != work.known.get(stage) || work.unread.contains_key(stage)
        });
    }
    Ok(Some(look))
}

/// What a look asks for: a place with the repository's host.
fn wants(work: &WatchWork) -> Wants {
    Wants { system: work.system.to_string(), with: host_of(&work.url), what: work.repository.to_string() }
}

async fn has(mirror: &Mirror, commit: &str) -> Result<bool, Fault> {
    Ok(mirror.parted([&commit.to_owned()]).await?.1.is_empty())
}

/// Fetches these branches, and returns those that cannot be. One that cannot be fetched keeps none of the others away.
async fn fetch(mirror: &Mirror, branches: &[&String], fetches: &Places, wants: Wants) -> BTreeMap<String, Fault> {
    if branches.is_empty() {
        return BTreeMap::new();
    }
    let waits = mirror.waits("waiting for a place to fetch");
    let _place = fetches.take(wants).await;
    drop(waits);
    let all: Vec<String> = branches.iter().map(|branch| (*branch).clone()).collect();
    let Err(fault) = mirror.fetch(&all, NO_LIMIT).await else { return BTreeMap::new() };
    let mut unfetched = BTreeMap::new();
    for branch in all {
        let fetched = match branches {
            [_] => Err(fault.clone()),
            _ => mirror.fetch(std::slice::from_ref(&branch), NO_LIMIT).await,
        };
        unfetched.extend(fetched.err().map(|fault| (branch, fault)));
    }
    unfetched
}

/// What a head says of itself, unless reading it has ended the program before.
async fn read(
    work: &WatchWork,
    (mirror, quarantine): (&Mirror, &Quarantine),
    at: (&StageName, Vec<String>),
    commit: &str,
) -> Result<HeadSeen, Fault> {
    let what = format!("read {commit} of {} of {}", work.repository, work.system);
    let described = quarantine.unless_it_kills(&what, describe(work, mirror, at, commit)).await;
    described
        .unwrap_or_else(|quarantined| Err(Fault::fail(quarantined.to_string(), "push another commit to its branch")))
}

/// What a head says of itself, and what lies between it and the head known before. Where there was none, its branch is
/// compared with those of the stages after it: what they do not have is what may be new to anybody.
async fn describe(
    work: &WatchWork,
    mirror: &Mirror,
    (stage, later): (&StageName, Vec<String>),
    commit: &str,
) -> Result<HeadSeen, Fault> {
    let info = mirror.commit_info(commit).await?;
    let author = printable_line(&format!("{} <{}>", info.author_name, info.author_email));
    let mut seen = HeadSeen {
        commit: CommitId::new(commit),
        authors: BTreeSet::from([author.clone()]),
        author,
        others_wrote: false,
        subject: printable_line(&info.subject),
        changed: None,
        forced: false,
        keys: Vec::new(),
        pins: Vec::new(),
    };
    if work.known.get(stage).is_some_and(|known| known.as_str() == commit) {
        return Ok(seen);
    }
    let before = work.known.get(stage).or_else(|| work.gone.get(stage)).map(ToString::to_string);
    let is_there = match &before {
        Some(before) => mirror.commit_info(before).await.is_ok(),
        None => false,
    };
    seen.pins = pins_of(work, mirror, stage, before.as_deref().filter(|_| is_there), &seen).await?;
    let seen_before = before.clone().filter(|_| is_there);
    let later = readable(mirror, later).await;
    let (since, lost) = match before {
        Some(before) if is_there => {
            seen.forced = !mirror.is_ancestor(&before, commit).await?;
            seen.changed = mirror.few_changed_paths(&before, commit).await?;
            (vec![before], false)
        }
        Some(_) => (later, true),
        None => (later, false),
    };
    if work.require_signatures.contains(stage) {
        let known: Vec<String> = seen_before.into_iter().collect();
        signed(work, mirror, stage, &known, commit).await?;
    }
    if since.is_empty() {
        // What was in the last stage before anybody looked is what everything is compared with.
        seen.others_wrote = lost;
        return Ok(seen);
    }
    let new = mirror.new_commits(&places(work, stage), &since, commit).await?;
    seen.authors = new.authors.iter().map(|author| printable_line(author)).collect();
    seen.others_wrote = lost || !new.complete;
    seen.keys = new.keys.iter().map(|key| StepKey::new(key.as_str())).collect();
    Ok(seen)
}

/// Those of these commits that can be read: one that is none must not keep a branch from being compared with the others.
async fn readable(mirror: &Mirror, commits: Vec<String>) -> Vec<String> {
    let mut found = Vec::new();
    for commit in commits {
        if mirror.commit_info(&commit).await.is_ok() {
            found.push(commit);
        }
    }
    found
}

/// All that is pinned in a head. Of values that are not those of the head before, the commit of ours that wrote them says what
/// they are of; at the first sight nothing is asked.
async fn pins_of(
    work: &WatchWork,
    mirror: &Mirror,
    stage: &StageName,
    before: Option<&str>,
    seen: &HeadSeen,
) -> Result<Vec<PinsSeen>, Fault> {
    let (mut found, commit) = (Vec::new(), seen.commit.as_str());
    for PinPlace { pinner, file, pointers } in work.pins.get(stage).into_iter().flatten() {
        let values = mirror.values(commit, file, pointers).await?;
        let is_new = match before {
            Some(before) => mirror.values(before, file, pointers).await? != values,
            None => false,
        };
        let of = if is_new {
            made_from(work, mirror, stage, (commit, pinner, file), &values).await?
        } else {
            CommitSet::default()
        };
        found.push(PinsSeen { pinner: pinner.clone(), file: file.clone(), values, of });
    }
    Ok(found)
}

async fn made_from(
    work: &WatchWork,
    mirror: &Mirror,
    stage: &StageName,
    (commit, pinner, file): (&str, &PinnerId, &str),
    values: &BTreeMap<String, Value>,
) -> Result<CommitSet, Fault> {
    let step = pinner.as_str().split_once('/').unwrap_or_default();
    // What a merge brought was written on another stage's branch.
    let of = mirror.made_from(&places(work, stage), commit, step, (file, values)).await?;
    let named = of.iter().filter_map(|of| of.split_once('@'));
    let named = named.filter_map(|(name, commit)| Some((RepositoryName::new(name).ok()?, CommitId::new(commit))));
    Ok(named.collect())
}

/// Refuses a head that brings a commit which is neither ours nor signed by anybody who is listed.
async fn signed(
    work: &WatchWork,
    mirror: &Mirror,
    stage: &StageName,
    known: &[String],
    commit: &str,
) -> Result<(), Fault> {
    match mirror.unsigned(&places(work, stage), known, commit, SIGNATURES_DEADLINE).await? {
        None => Ok(()),
        Some(unsigned) => {
            let branch = work.branches.get(stage).map_or(stage.as_str(), String::as_str);
            Err(unsigned.refused(work.repository.as_str(), branch))
        }
    }
}

/// Where commits of ours are made: first in this stage, then in the others.
fn places(work: &WatchWork, stage: &StageName) -> Vec<CommitPlace> {
    let others = work.branches.iter().filter(|(other, _)| *other != stage).map(|(_, branch)| branch);
    let branches = work.branches.get(stage).into_iter().chain(others);
    let (system, repository) = (work.system.to_string(), work.repository.to_string());
    let place = CommitPlace { system, repository, branch: String::new() };
    branches.map(|branch| CommitPlace { branch: branch.clone(), ..place.clone() }).collect()
}
