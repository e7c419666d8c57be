//! Stages with their branches and demands, and repositories with their URLs.

use super::{
    super::{model::KnownBy, spelling::repository_key},
    context::Check,
    texts,
};

/// The shortest interval of polls; more often would be a burden to whoever serves the repository.
const SHORTEST_POLL_MS: i64 = 1_000;

pub(super) fn check(check: &mut Check<'_>) {
    stages(check);
    let rules = check.rules;
    for (index, (name, repository)) in rules.repositories.iter().enumerate() {
        let place = check.document.field("repositories").field(name.as_str());
        let url = &place.field("url").bytes;
        if let Err(refused) = texts::git_url(&repository.url) {
            check.add_with_help(url.clone(), refused.message, refused.help);
        }
        let key = repository_key(&repository.url);
        let same = rules.repositories.iter().take(index).find(|(_, other)| repository_key(&other.url) == key);
        if let Some((other, of_other)) = same {
            let has = if of_other.url == repository.url {
                "has this URL already".to_owned()
            } else {
                format!("is this repository already, as {}", of_other.url)
            };
            check.add(url.clone(), format!("`{other}` {has}: one repository has one name"));
        }
        if repository.poll.is_some_and(|poll| poll.as_ms() < SHORTEST_POLL_MS) {
            check.add(place.field("poll").bytes.clone(), "a repository is polled every second (`1s`) at most");
        }
        for (index, stage) in repository.require_signatures.iter().enumerate() {
            check.stage_exists(stage.as_str(), &place.field("require_signatures").item(index).bytes);
        }
        // Elsewhere it is not known which forges there are.
        let known = check.here.map(|here| &here.forges);
        let of_known = |forges| repository.identity.map(|identity: KnownBy| identity.check(&repository.url, forges));
        if let Some(Err((why, help))) = known.and_then(of_known) {
            check.add_with_help(place.field("identity").bytes.clone(), why, help);
        }
    }
}

fn stages(check: &mut Check<'_>) {
    let rules = check.rules;
    for (index, (name, stage)) in rules.stages.iter().enumerate() {
        let place = check.document.field("stages").field(name.as_str());
        let branch = rules.branch(name);
        let bytes = &place.field("branch").bytes;
        check.demand(bytes, texts::branch(branch));
        if let Some(other) = rules.stages.keys().take(index).find(|other| rules.branch(other) == branch) {
            let bytes = place.get("branch").map_or_else(|| place.bytes.clone(), |branch| branch.bytes.clone());
            check.add(bytes, format!("stage `{other}` has the branch `{branch}` already: each stage has its own"));
        }
        for (index, requirement) in stage.requires.iter().enumerate() {
            let place = place.field("requires").item(index);
            check.repository_exists(requirement.repository.as_str(), &place.field("repository").bytes);
            check.demand(&place.field("file").bytes, texts::values_file(&requirement.file));
            check.demand(&place.field("pointer").bytes, texts::pointer(&requirement.pointer));
        }
    }
}
