//! The mirrors as they lie on disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::finding::{About, Findings, MirrorHealth};
use crate::{
    cli::{settings::Settings, upkeep::NamedRepositories, words},
    engine::explain,
    providers::git::{MirrorLoad, MirrorOnDisk, Mirrors, UNUSED_FOR, mirror_opens, mirrors_on_disk},
    rules::repository_key,
};

/// So many times what is packed means that nothing packs: the server looks every ten minutes.
const UNPACKED_LOOSE: u64 = 20_000;
const UNPACKED_PACKS: u64 = 100;

/// Looks at each.
pub(super) async fn look(settings: &Settings, named: &NamedRepositories, findings: &mut Findings) -> Vec<MirrorHealth> {
    let root = settings.data.join("mirrors");
    let users = users(&root, named);
    let looked = tokio::task::spawn_blocking(move || {
        let mirrors = mirrors_on_disk(&root)?;
        mirrors.into_iter().map(|mirror| health(mirror, &users)).collect::<std::io::Result<Vec<_>>>()
    });
    let looked = looked.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    match looked {
        Ok(mirrors) => {
            mirrors.iter().for_each(|mirror| tell(mirror, named.all_read, findings));
            mirrors
        }
        Err(error) => {
            let remedy = "let the server's user read the folder";
            findings.bad(About::Mirrors, None, format!("they cannot be looked through: {error}"), remedy);
            Vec::new()
        }
    }
}

/// Mirror → the systems whose rules name its repository.
fn users(root: &Path, named: &NamedRepositories) -> BTreeMap<PathBuf, BTreeSet<String>> {
    let mut users: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    let systems = named.by_system.iter().flat_map(|(system, urls)| urls.iter().map(|url| (system.to_string(), url)));
    let of_rules = named.of_rules.iter().map(|url| ("rules".to_owned(), url));
    for (user, url) in systems.chain(of_rules) {
        if let Ok(directory) = Mirrors::directory_in(root, url, repository_key) {
            users.entry(directory).or_default().insert(user);
        }
    }
    users
}

fn health(mirror: MirrorOnDisk, users: &BTreeMap<PathBuf, BTreeSet<String>>) -> std::io::Result<MirrorHealth> {
    let MirrorOnDisk { directory, unused_since_ms, packed_at_ms } = mirror;
    let MirrorLoad { loose, packs, bytes } = MirrorLoad::of(&directory)?;
    let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let used_by = users.get(&directory).into_iter().flatten().cloned().collect();
    let opens = mirror_opens(&directory);
    Ok(MirrorHealth { name, opens, bytes, loose, packs, packed_at_ms, used_by, unused_since_ms })
}

fn tell(mirror: &MirrorHealth, all_read: bool, findings: &mut Findings) {
    let MirrorHealth { name, opens, bytes, loose, packs, used_by, unused_since_ms, .. } = mirror;
    let holds = format!("{}, {loose} loose objects, {packs} packs", words::bytes(*bytes));
    let of = Some(name.as_str());
    if !opens {
        let remedy = "`tidegate serve` makes it anew when its repository is looked at";
        return findings.warn(About::Mirrors, of, "git cannot open it", remedy);
    }
    if *loose >= UNPACKED_LOOSE || *packs >= UNPACKED_PACKS {
        let remedy = "`tidegate serve` packs mirrors while it runs, and logs why it cannot";
        return findings.warn(About::Mirrors, of, format!("it is not packed, and slow: {holds}"), remedy);
    }
    let used = match (used_by.as_slice(), unused_since_ms) {
        ([], Some(since_ms)) => {
            let week_ms = i64::try_from(UNUSED_FOR.as_millis()).unwrap_or(i64::MAX);
            format!("no rules name it; it is removed on {}", explain::time(since_ms.saturating_add(week_ms)))
        }
        ([], None) if all_read => "no rules name it".to_owned(),
        ([], None) => "the rules of some systems cannot be read".to_owned(),
        (used_by, _) => format!("of {}", used_by.join(", ")),
    };
    findings.good(About::Mirrors, of, format!("{holds}; {used}"));
}
