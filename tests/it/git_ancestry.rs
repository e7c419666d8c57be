//! Where a commit is, on real histories: random ones, of people who merge, revert, squash, pick and rewrite, and of ours.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, sample::Index};
use tidegate::providers::git::{Found, Landed, Mirrors, Sought, ancestry, commit_with_prefix};

use crate::git::{options, place};
use crate::git_contents::{BRANCHES, Story, next, stories};

/// What git itself says, of its parents alone.
fn is_ancestor(story: &Story, commit: &str, of: &str) -> bool {
    let asked = ["merge-base", "--is-ancestor", commit, of];
    let git = std::process::Command::new("git").args(asked).current_dir(&story.remote.directory).status();
    git.unwrap().success()
}

fn found(story: &Story, commit: &str, among: &[String]) -> Found {
    let directory =
        Mirrors::directory_in(&story.root.path().join("mirrors"), &story.remote.url(), str::to_owned).unwrap();
    let sought = Sought {
        commit: commit.to_owned(),
        places: BRANCHES.map(place).into(),
        among: among.to_vec(),
        heads: BRANCHES.map(|branch| (branch.to_owned(), story.head(branch))).into(),
    };
    assert_eq!(commit_with_prefix(&directory, &commit[..20]).as_deref(), Some(commit));
    ancestry(&directory, &options().proofs, &sought).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: stories(16), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_has_a_commit_is_what_git_and_the_story_say(
        steps in prop::collection::vec(next(), 4..24),
        asked in prop::collection::vec(any::<Index>(), 4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let told: Result<(), TestCaseError> = runtime.block_on(async {
            let mut story = Story::begin().await;
            for step in &steps {
                story.play(step).await;
            }
            let among: Vec<String> = story.model.made.clone();
            for commit in asked.iter().map(|at| at.get(&among)) {
                let Found { having, taken_away, came } = found(&story, commit, &among);
                let held = among.iter().filter(|above| story.model.holds[*above].contains(commit));
                prop_assert_eq!(&having, &held.cloned().collect::<Vec<_>>(), "{} by content", commit);
                let above: BTreeSet<&String> = having.iter().chain(taken_away.keys()).collect();
                let git: BTreeSet<&String> = among.iter().filter(|of| is_ancestor(&story, commit, of)).collect();
                prop_assert_eq!(&above, &git, "{} by its parents", commit);
                for Landed { commit: away, key, .. } in taken_away.values() {
                    prop_assert!(key.is_some() && taken_away.contains_key(away), "only ours take away: {}", away);
                }
                let heads: BTreeMap<&str, String> = BRANCHES.map(|branch| (branch, story.head(branch))).into();
                for (branch, head) in heads {
                    let landed = came.get(branch);
                    prop_assert_eq!(landed.is_some(), above.contains(&head), "{} in {}", commit, branch);
                    let Some(landed) = landed else { continue };
                    let id = git2::Oid::from_str(&landed.commit).unwrap();
                    let before = story.repository.find_commit(id).unwrap().parent_ids().next();
                    let had = before.is_some_and(|before| having.contains(&before.to_string()));
                    prop_assert!(above.contains(&landed.commit) && !had, "{} came to {} with {:?}", commit, branch, landed);
                }
            }
            Ok(())
        });
        told?;
    }
}
