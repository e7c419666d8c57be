//! Watches a repository: looks at its branches until they differ from what is known, and says how. While nothing changes
//! nothing is written, so that an idle system costs a request per repository and interval, and no more.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Semaphore, time::sleep};

use crate::{
    engine::{CommitId, HeadSeen, Outcome, StepKey, WatchWork},
    providers::{
        Fault,
        git::{KEY_TRAILER, Mirror, Mirrors},
    },
    rules::{StageName, printable_line},
};

/// How long one look may take. A remote that hangs longer is as good as unreachable.
const LOOK_DEADLINE: Duration = Duration::from_secs(30);
/// How long fetching what is new may take.
const FETCH_DEADLINE: Duration = Duration::from_secs(300);
/// The longest pause between two looks at a repository that cannot be reached.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// How many times in a row a look may fail before it is said: one hiccup is no news.
const FAILURES_BEFORE_NEWS: u32 = 2;
/// How far back a new head is searched for commits of ours: more pushes between two looks than this are not told apart.
const MOST_NEW_COMMITS: usize = 100;
/// More changed paths than this are not listed: they match every filter.
const MOST_CHANGED_PATHS: usize = 2_000;

/// Looks until there is news: heads that differ from those known, or a repository that can no longer be reached.
pub async fn watch(work: &WatchWork, mirrors: &Mirrors, looks: &Arc<Semaphore>) -> Outcome {
    let mut failures = 0;
    loop {
        match look(work, mirrors, looks).await {
            Ok(Some(heads)) => return Outcome::Heads { heads },
            Ok(None) => failures = 0,
            Err(fault) => {
                failures += 1;
                tracing::debug!(repository = %work.repository, error = %fault, failures, "a repository cannot be reached");
                if work.reachable && failures >= FAILURES_BEFORE_NEWS {
                    return Outcome::Unreachable { error: with_hint(&fault) };
                }
            }
        }
        sleep(pause(work, failures)).await;
    }
}

fn with_hint(fault: &Fault) -> String {
    match fault {
        Fault::Fail { error, hint } if !hint.is_empty() => format!("{error}; {hint}"),
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

async fn look(
    work: &WatchWork,
    mirrors: &Mirrors,
    looks: &Arc<Semaphore>,
) -> Result<Option<BTreeMap<StageName, Option<HeadSeen>>>, Fault> {
    let mirror = mirrors.mirror(&work.url)?;
    let branches: Vec<String> = work.branches.values().cloned().collect();
    let heads = {
        let _turn = looks.acquire().await;
        mirror.heads(&branches, LOOK_DEADLINE).await?
    };
    let head = |branch: &String| heads.get(branch).and_then(Option::as_deref);
    let differs =
        work.branches.iter().any(|(stage, branch)| head(branch) != work.known.get(stage).map(CommitId::as_str));
    if !differs && work.seen && work.reachable {
        return Ok(None);
    }
    let new = work.branches.iter().filter(|(stage, branch)| {
        head(branch).is_some() && head(branch) != work.known.get(*stage).map(CommitId::as_str)
    });
    let new: Vec<String> = new.map(|(_, branch)| branch.clone()).collect();
    if !new.is_empty() {
        let _turn = looks.acquire().await;
        mirror.fetch(&new, FETCH_DEADLINE).await?;
    }
    let mut seen = BTreeMap::new();
    for (stage, branch) in &work.branches {
        let known = work.known.get(stage);
        let found = match head(branch) {
            Some(commit) => Some(describe(&mirror, known, commit).await?),
            None => None,
        };
        seen.insert(stage.clone(), found);
    }
    Ok(Some(seen))
}

/// What a head says of itself, and what lies between it and the head known before.
async fn describe(mirror: &Mirror, known: Option<&CommitId>, commit: &str) -> Result<HeadSeen, Fault> {
    let info = mirror.commit_info(commit).await?;
    let author = printable_line(&format!("{} <{}>", info.author_name, info.author_email));
    let mut seen = HeadSeen {
        commit: CommitId::new(commit),
        author,
        authors: BTreeSet::new(),
        subject: printable_line(&info.subject),
        changed: None,
        forced: false,
        keys: Vec::new(),
    };
    let Some(known) = known.filter(|known| known.as_str() != commit) else {
        seen.authors.insert(seen.author.clone());
        return Ok(seen);
    };
    if mirror.commit_info(known.as_str()).await.is_err() {
        seen.authors.insert(seen.author.clone());
        return Ok(seen);
    }
    seen.forced = !mirror.is_ancestor(known.as_str(), commit).await?;
    let changed = mirror.changed_paths(Some(known.as_str()), commit).await?;
    seen.changed = Some(changed).filter(|changed| changed.len() <= MOST_CHANGED_PATHS);
    describe_between(mirror, known, &mut seen).await?;
    Ok(seen)
}

/// Who wrote the commits that are in the head and not in the head known before, and the keys of those that are ours, oldest
/// first.
async fn describe_between(mirror: &Mirror, known: &CommitId, seen: &mut HeadSeen) -> Result<(), Fault> {
    let (mut waiting, mut met) = (VecDeque::from([seen.commit.to_string()]), BTreeSet::new());
    while let Some(commit) = waiting.pop_front() {
        let is_new = met.len() < MOST_NEW_COMMITS && met.insert(commit.clone());
        if !is_new || mirror.is_ancestor(&commit, known.as_str()).await? {
            continue;
        }
        let info = mirror.commit_info(&commit).await?;
        match info.trailers.iter().find(|(name, _)| name == KEY_TRAILER) {
            Some((_, key)) => seen.keys.push(StepKey::new(key.as_str())),
            None => {
                let author = format!("{} <{}>", info.author_name, info.author_email);
                seen.authors.insert(printable_line(&author));
            }
        }
        waiting.extend(info.parents);
    }
    seen.keys.reverse();
    Ok(())
}
