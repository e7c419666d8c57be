//! Which calls to remotes go on, what waits for one, and what is read there and doubted.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    cli::{
        House,
        output::{Tone, paint},
        words,
    },
    engine::{System, explain},
    providers::git::{Call, CallKind, Mirrors},
    rules::repository_key,
};

/// What is heard of more often goes on well.
const QUIET_MS: i64 = 5_000;

/// Something that goes on at the remote of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoteCall {
    /// The repository.
    pub repository: String,
    /// What is done, as in `cloning dev`.
    pub doing: String,
    /// How far it is, as in `37 %, 120.00 MiB`.
    pub progress: Option<String>,
    /// Since when: milliseconds since 1970, UTC.
    pub since_ms: i64,
    /// When it was last heard of: milliseconds since 1970, UTC.
    pub heard_ms: i64,
    /// Until when it goes on if nothing more is heard: milliseconds since 1970, UTC; absent where it waits for another call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
    /// What becomes of it then: `tried_again` or `believed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
}

/// The repositories of a system: name and URL.
pub(in crate::cli) fn urls(state: &System) -> Vec<(String, String)> {
    let rules = state.rules();
    let repositories = rules.iter().flat_map(|rules| &rules.repositories);
    repositories.map(|(name, repository)| (name.to_string(), repository.url.clone())).collect()
}

/// What the server says that goes on at the remotes of these repositories.
pub(in crate::cli) fn of(house: &House, urls: &[(String, String)]) -> Vec<RemoteCall> {
    let calls = Mirrors::calls_told(&house.settings.data.join("mirrors"));
    if calls.is_empty() {
        return Vec::new();
    }
    let name_of = |url: &str| Mirrors::directory_in(Path::new(""), url, repository_key).ok();
    let named = urls.iter().filter_map(|(name, url)| Some((name, name_of(url)?))).collect::<Vec<_>>();
    let of = |(name, mirror): &(&String, std::path::PathBuf)| {
        let calls = calls.iter().filter(|call| Path::new(&call.mirror) == mirror);
        calls.map(|call| remote_call(name, call)).collect::<Vec<_>>()
    };
    named.iter().flat_map(of).collect()
}

fn remote_call(repository: &str, call: &Call) -> RemoteCall {
    let Call { kind, doing, progress, since_ms, heard_ms, patience_ms, mirror: _ } = call;
    let then = match kind {
        CallKind::Process => Some("tried_again".to_owned()),
        CallKind::Wait => None,
        CallKind::Doubt => Some("believed".to_owned()),
    };
    RemoteCall {
        repository: repository.to_owned(),
        doing: doing.clone(),
        progress: progress.clone(),
        since_ms: *since_ms,
        heard_ms: *heard_ms,
        until_ms: then.as_ref().map(|_| heard_ms.saturating_add(*patience_ms)),
        then,
    }
}

/// One line for each, as it is seen at `now_ms`.
pub(in crate::cli) fn lines(calls: &[RemoteCall], now_ms: i64) -> impl Iterator<Item = String> {
    calls.iter().map(move |call| {
        let RemoteCall { repository, doing, progress, since_ms, heard_ms, until_ms, then } = call;
        let progress = progress.as_ref().map_or_else(String::new, |progress| format!(" {progress}"));
        let since = words::before(now_ms, *since_ms);
        let until = until_ms.map_or_else(String::new, explain::time);
        let quiet_ms = now_ms - heard_ms;
        let end = match then.as_deref() {
            Some("believed") => format!("; believed at {until}, unless a newer one is read"),
            Some(_) if quiet_ms >= QUIET_MS => {
                format!("; nothing heard for {}, tried again at {until}", words::duration(quiet_ms))
            }
            _ => String::new(),
        };
        format!("  {repository} {}, since {since}{end}", paint(&format!("{doing}{progress}"), Tone::Busy))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_looks_is_told_who_waits_for_what_since_when_and_until_when() {
        let call = |kind, doing: &str, progress: Option<&str>, heard_ms| Call {
            mirror: "image-1.git".to_owned(),
            kind,
            doing: doing.to_owned(),
            progress: progress.map(str::to_owned),
            since_ms: 0,
            heard_ms,
            patience_ms: 30_000,
        };
        let calls = [
            call(CallKind::Process, "cloning dev", Some("37 %, 120.00 MiB"), 19_000),
            call(CallKind::Process, "pushing to dev", None, 5_000),
            call(CallKind::Wait, "waiting for the clone that goes on", None, 0),
            call(CallKind::Doubt, "reading dev as 1234567", None, 0),
        ];
        let calls: Vec<RemoteCall> = calls.iter().map(|call| remote_call("image", call)).collect();
        let said: Vec<String> = lines(&calls, 20_000).collect();
        assert_eq!(
            said,
            [
                "  image cloning dev 37 %, 120.00 MiB, since 20s ago",
                "  image pushing to dev, since 20s ago; nothing heard for 15.0s, tried again at 1970-01-01 00:00:35 UTC",
                "  image waiting for the clone that goes on, since 20s ago",
                "  image reading dev as 1234567, since 20s ago; believed at 1970-01-01 00:00:30 UTC, unless a newer one is read",
            ]
        );
    }
}
