//! Between us and a remote: what is waited out, what is refused and how it is explained, over real transports.

mod refusals;
mod silence;
mod ssh;
mod stale;
mod tls;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use tidegate::providers::git::{ForwardChange, Forwarded, GitOptions, Mirrors};

use crate::git::{SOON, options, pin};
use crate::support::http_git::HttpGit;
use crate::support::repo::TestRepo;

const CONFIG: &str = "{\n  \"tag\": \"v1\"\n}\n";

/// The repository `image.git` with a branch `dev`, and a server of it.
fn served(root: &Path) -> (TestRepo, HttpGit) {
    let remote = TestRepo::with(root.join("served/image.git"), "dev", &[("config.json", CONFIG)]);
    (remote, HttpGit::start(&root.join("served"), None))
}

fn mirrors_with(root: &Path, change: impl FnOnce(&mut GitOptions)) -> Mirrors {
    let mut options = options();
    change(&mut options);
    Mirrors::open(root.join("mirrors"), options).unwrap()
}

/// Mirrors whose calls may be silent for so long.
fn impatient(root: &Path, silence: Duration) -> Mirrors {
    mirrors_with(root, |options| options.silence = silence)
}

fn tag(branch: &str, key: &str, value: &str) -> ForwardChange {
    pin(branch, key, "config.json", &[("/tag", json!(value))])
}

fn commit_of(forwarded: Forwarded) -> String {
    match forwarded {
        Forwarded::Committed { commit, .. } | Forwarded::AlreadyThere { commit } => commit,
        Forwarded::NothingToChange { head } => panic!("nothing was changed at {head}"),
    }
}

/// Waits until what is looked for is there.
async fn wait_until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Files that do not compress, so that a pack of them has a size.
fn noise(count: usize, bytes: usize) -> Vec<(String, String)> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(33 + (state >> 33) as u8 % 90)
    };
    (0..count).map(|number| (format!("noise-{number}"), (0..bytes).map(|_| byte()).collect())).collect()
}

fn commit_noise(remote: &TestRepo, branch: &str, count: usize, bytes: usize) -> String {
    let noise = noise(count, bytes);
    let files: Vec<(&str, &str)> = noise.iter().map(|(name, content)| (name.as_str(), content.as_str())).collect();
    remote.commit(branch, "Make noise", &files)
}
