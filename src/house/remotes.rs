//! Which calls to remotes go on, what waits for one, and what is read there and doubted, as the server says.

use std::path::Path;

use super::House;
use crate::{
    engine::System,
    providers::git::{Call, CallKind, Mirrors},
    rules::repository_key,
    view::status::RemoteCall,
};

/// The repositories of a system: name and URL.
pub(crate) fn urls(state: &System) -> Vec<(String, String)> {
    let rules = state.rules();
    let repositories = rules.iter().flat_map(|rules| &rules.repositories);
    repositories.map(|(name, repository)| (name.to_string(), repository.url.clone())).collect()
}

/// What the server says that goes on at the remotes of these repositories.
pub(crate) fn of(house: &House, urls: &[(String, String)]) -> Vec<RemoteCall> {
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

/// A call, as it is told.
pub(crate) fn remote_call(repository: &str, call: &Call) -> RemoteCall {
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
