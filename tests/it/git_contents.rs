//! Who wrote what is new, on real histories: random ones, of people who merge, revert, squash, pick and rewrite, and of ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use git2::{Oid, Repository, Signature, Time};
use proptest::{prelude::*, sample::Index};
use serde_json::json;
use tidegate::providers::git::{
    Brought, Compared, Forwarded, MergeChange, Merged, Mirror, RESTORES_TRAILER, RestoreChange, Restored,
    TAKES_AWAY_TRAILER,
};

use crate::git::{SOON, message, mirrors, pin, place};
use crate::support::repo::TestRepo;

pub(crate) const BRANCHES: [&str; 3] = ["dev", "qa", "main"];
const PEOPLE: [&str; 4] = ["Ada", "Grace", "Linus", "Mary"];
/// How many lines the file has that several people edit.
const LINES: usize = 4;
/// 2026-01-01T00:00:00Z.
const BEGIN_SECONDS: i64 = 1_767_225_600;

/// What is done next.
#[derive(Debug, Clone)]
pub(crate) enum Next {
    Push { who: usize, at: usize },
    Merge { who: usize, from: usize, to: usize },
    Squash { who: usize, from: usize, to: usize },
    Revert { who: usize, at: usize },
    Pick { who: usize, which: Index, to: usize },
    Rewrite { who: usize, at: usize, onto: Index },
    Edit { who: usize, at: usize, line: usize },
    Rename { who: usize, at: usize, file: Index },
    Pin { at: usize },
    Promote { from: Index, to: usize, back: bool },
    GoBack { at: usize, to: Index, from: Index },
}

/// How many stories the tests tell; `PROPTEST_CASES` says more.
pub(crate) fn stories(many: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(many)
}

pub(crate) fn next() -> impl Strategy<Value = Next> {
    let (who, at, index) = (|| 0..4_usize, || 0..3_usize, any::<Index>);
    prop_oneof![
        6 => (who(), at()).prop_map(|(who, at)| Next::Push { who, at }),
        3 => (who(), at(), at()).prop_map(|(who, from, to)| Next::Merge { who, from, to }),
        1 => (who(), at(), at()).prop_map(|(who, from, to)| Next::Squash { who, from, to }),
        1 => (who(), at()).prop_map(|(who, at)| Next::Revert { who, at }),
        1 => (who(), index(), at()).prop_map(|(who, which, to)| Next::Pick { who, which, to }),
        1 => (who(), at(), index()).prop_map(|(who, at, onto)| Next::Rewrite { who, at, onto }),
        2 => (who(), at(), 0..LINES).prop_map(|(who, at, line)| Next::Edit { who, at, line }),
        1 => (who(), at(), index()).prop_map(|(who, at, file)| Next::Rename { who, at, file }),
        1 => at().prop_map(|at| Next::Pin { at }),
        3 => (index(), at(), any::<bool>()).prop_map(|(from, to, back)| Next::Promote { from, to, back }),
        3 => (at(), index(), index()).prop_map(|(at, to, from)| Next::GoBack { at, to, from }),
    ]
}

/// What is in each commit, told as the story goes and not read from git.
#[derive(Default)]
pub(crate) struct Model {
    /// Every commit, in the order in which they were made.
    pub(crate) made: Vec<String>,
    pub(crate) holds: BTreeMap<String, BTreeSet<String>>,
    /// Who wrote each; nobody wrote ours.
    wrote: BTreeMap<String, BTreeSet<String>>,
    /// Our rollbacks.
    pub(crate) backs: BTreeMap<String, WentBack>,
}

/// A rollback: its branch, what comes back and what goes away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WentBack {
    pub(crate) branch: String,
    pub(crate) restores: String,
    pub(crate) takes_away: String,
}

impl Model {
    fn add(&mut self, commit: &str, holds: BTreeSet<String>, by: &[&str]) {
        if !self.holds.contains_key(commit) {
            self.made.push(commit.to_owned());
            let holds = holds.into_iter().chain([commit.to_owned()]).collect();
            self.holds.insert(commit.to_owned(), holds);
            self.wrote.insert(commit.to_owned(), by.iter().map(|name| signed(name)).collect());
        }
    }

    fn of(&self, commits: &[String]) -> BTreeSet<String> {
        commits.iter().flat_map(|commit| self.holds[commit].iter().cloned()).collect()
    }

    /// A commit that goes back: what it restores, and what is on top of what goes away.
    fn back(&self, parent: &str, to: &str, from: &str) -> BTreeSet<String> {
        let kept = self.holds[parent].difference(&self.holds[from]).cloned();
        kept.chain(self.holds[to].iter().cloned()).collect()
    }

    fn went_back(&mut self, commit: &str, (parent, branch): (&str, &str), (restores, takes_away): (&str, &str)) {
        let [branch, restores, takes_away] = [branch, restores, takes_away].map(str::to_owned);
        self.add(commit, self.back(parent, &restores, &takes_away), &[]);
        self.backs.insert(commit.to_owned(), WentBack { branch, restores, takes_away });
    }

    pub(crate) fn is_ours(&self, commit: &str) -> bool {
        self.wrote[commit].is_empty()
    }

    fn news(&self, head: &str, known: &[String]) -> BTreeSet<String> {
        let known = self.of(known);
        self.holds[head].difference(&known).flat_map(|commit| self.wrote[commit].iter().cloned()).collect()
    }
}

fn signed(name: &str) -> String {
    format!("{name} <{}@example.org>", name.to_lowercase())
}

pub(crate) struct Story {
    pub(crate) root: tempfile::TempDir,
    pub(crate) remote: TestRepo,
    pub(crate) repository: Repository,
    mirror: Arc<Mirror>,
    pub(crate) model: Model,
    /// What was merged last, and what came of it.
    pub(crate) merged: Option<(MergeChange, String, Merged)>,
    /// What was rolled back last, the head before, and what came of it.
    pub(crate) restored: Option<(RestoreChange, String, Restored)>,
    count: u32,
}

impl Story {
    pub(crate) async fn begin() -> Self {
        let root = tempfile::tempdir().unwrap();
        let remote = TestRepo::empty(root.path().join("image.git"));
        let repository = Repository::open_bare(&remote.directory).unwrap();
        let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
        let (model, merged, restored) = Default::default();
        let mut story = Self { root, remote, repository, mirror, model, merged, restored, count: 0 };
        let config = story.repository.blob(b"{ \"tag\": \"v0\" }\n").unwrap();
        let shared = story.repository.blob(&b"a line\n".repeat(LINES)).unwrap();
        let tree = {
            let mut tree = story.repository.treebuilder(None).unwrap();
            tree.insert("config.json", config, 0o100_644).unwrap();
            tree.insert("shared", shared, 0o100_644).unwrap();
            tree.write().unwrap()
        };
        let first = story.write("Ada", "Ada", tree, &[]);
        story.model.add(&first, BTreeSet::new(), &["Ada"]);
        BRANCHES.iter().for_each(|branch| story.remote.set_branch(branch, &first));
        story.fetch().await;
        story
    }

    async fn fetch(&self) {
        self.mirror.fetch(&BRANCHES.map(str::to_owned), SOON).await.unwrap();
    }

    pub(crate) fn head(&self, branch: &str) -> String {
        self.repository.refname_to_id(&format!("refs/heads/{branch}")).unwrap().to_string()
    }

    fn tree(&self, commit: &str) -> git2::Tree<'_> {
        self.repository.find_commit(Oid::from_str(commit).unwrap()).unwrap().tree().unwrap()
    }

    /// A tree with a file that no other has, and all files of another tree.
    fn tree_of(&mut self, commit: &str, other: Option<&str>) -> Oid {
        self.count += 1;
        let own = self.repository.blob(self.count.to_string().as_bytes()).unwrap();
        let mut tree = self.repository.treebuilder(Some(&self.tree(commit))).unwrap();
        for entry in other.map(|other| self.tree(other)).iter().flat_map(|tree| tree.iter().collect::<Vec<_>>()) {
            tree.insert(entry.name().unwrap(), entry.id(), entry.filemode()).unwrap();
        }
        tree.insert(format!("file-{}", self.count), own, 0o100_644).unwrap();
        tree.write().unwrap()
    }

    /// A tree in which a line of the shared file is another.
    fn edited(&mut self, commit: &str, line: usize) -> Oid {
        self.count += 1;
        let before = self.tree(commit);
        let shared = before.get_name("shared").unwrap().to_object(&self.repository).unwrap();
        let text = String::from_utf8(shared.as_blob().unwrap().content().to_vec()).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[line] = format!("line {}", self.count);
        let shared = self.repository.blob(format!("{}\n", lines.join("\n")).as_bytes()).unwrap();
        let mut tree = self.repository.treebuilder(Some(&before)).unwrap();
        tree.insert("shared", shared, 0o100_644).unwrap();
        tree.write().unwrap()
    }

    /// A tree in which a file has another name.
    fn renamed(&mut self, commit: &str, file: &Index) -> Oid {
        self.count += 1;
        let before = self.tree(commit);
        let mut tree = self.repository.treebuilder(Some(&before)).unwrap();
        let files: Vec<_> = before.iter().filter(|entry| entry.name().unwrap().contains('-')).collect();
        if !files.is_empty() {
            let file = &files[file.index(files.len())];
            tree.remove(file.name().unwrap()).unwrap();
            tree.insert(format!("moved-{}", self.count), file.id(), file.filemode()).unwrap();
        }
        tree.write().unwrap()
    }

    /// Writes a commit, at a time that clocks might say that go wrong.
    fn write(&mut self, author: &str, committer: &str, tree: Oid, parents: &[String]) -> String {
        self.count += 1;
        let seconds = BEGIN_SECONDS + i64::from(self.count) * 60 - i64::from(self.count * 7919 % 13) * 400;
        let signature = |name: &str| {
            Signature::new(name, &format!("{}@example.org", name.to_lowercase()), &Time::new(seconds, 0)).unwrap()
        };
        let find = |id: &String| self.repository.find_commit(Oid::from_str(id).unwrap()).unwrap();
        let parents: Vec<_> = parents.iter().map(find).collect();
        let parents: Vec<_> = parents.iter().collect();
        let tree = self.repository.find_tree(tree).unwrap();
        let (author, committer) = (signature(author), signature(committer));
        self.repository
            .commit(None, &author, &committer, &format!("Go on {}", self.count), &tree, &parents)
            .unwrap()
            .to_string()
    }

    /// Somebody pushes a commit to a branch.
    fn push(&mut self, by: (&str, &str), branch: &str, tree: Oid, parents: &[String]) {
        let commit = self.write(by.0, by.1, tree, parents);
        self.model.add(&commit, self.model.of(parents), &[by.0, by.1]);
        self.remote.set_branch(branch, &commit);
    }

    pub(crate) async fn play(&mut self, next: &Next) {
        self.count += 1;
        let key = format!("run-{}", self.count);
        (self.merged, self.restored) = (None, None);
        match next {
            Next::Push { who, at } => {
                let head = self.head(BRANCHES[*at]);
                let tree = self.tree_of(&head, None);
                self.push((PEOPLE[*who], PEOPLE[*who]), BRANCHES[*at], tree, &[head]);
            }
            Next::Merge { who, from, to } => {
                let parents = [self.head(BRANCHES[*to]), self.head(BRANCHES[*from])];
                let tree = self.tree_of(&parents[0], Some(&parents[1]));
                self.push((PEOPLE[*who], PEOPLE[*who]), BRANCHES[*to], tree, &parents);
            }
            Next::Squash { who, from, to } => {
                let (parent, other) = (self.head(BRANCHES[*to]), self.head(BRANCHES[*from]));
                let tree = self.tree_of(&parent, Some(&other));
                self.push((PEOPLE[*who], PEOPLE[*who]), BRANCHES[*to], tree, &[parent]);
            }
            Next::Revert { who, at } => {
                let head = self.head(BRANCHES[*at]);
                let before = self.repository.find_commit(Oid::from_str(&head).unwrap()).unwrap().parent_ids().next();
                let tree = self.tree_of(&before.map_or(head.clone(), |before| before.to_string()), None);
                self.push((PEOPLE[*who], PEOPLE[*who]), BRANCHES[*at], tree, &[head]);
            }
            Next::Pick { who, which, to } => {
                let picked = which.get(&self.model.made).clone();
                let author =
                    self.model.wrote[&picked].iter().next().and_then(|by| by.split(' ').next()).map(str::to_owned);
                let head = self.head(BRANCHES[*to]);
                let tree = self.tree_of(&head, Some(&picked));
                self.push((&author.unwrap_or("Ada".to_owned()), PEOPLE[*who]), BRANCHES[*to], tree, &[head]);
            }
            Next::Rewrite { who, at, onto } => {
                let onto = onto.get(&self.model.made).clone();
                let tree = self.tree_of(&onto, None);
                self.push((PEOPLE[*who], PEOPLE[*who]), BRANCHES[*at], tree, &[onto]);
            }
            Next::Edit { who, at, line } => {
                let head = self.head(BRANCHES[*at]);
                let tree = self.edited(&head, *line);
                self.push((PEOPLE[*who], PEOPLE[*who]), BRANCHES[*at], tree, &[head]);
            }
            Next::Rename { who, at, file } => {
                let head = self.head(BRANCHES[*at]);
                let tree = self.renamed(&head, file);
                self.push((PEOPLE[*who], PEOPLE[*who]), BRANCHES[*at], tree, &[head]);
            }
            Next::Pin { at } => {
                let change = pin(BRANCHES[*at], &key, "config.json", &[("/tag", json!(key))]);
                if let Forwarded::Committed { commit, parent } = self.mirror.forward(&change, SOON).await.unwrap() {
                    self.model.add(&commit, self.model.of(&[parent]), &[]);
                }
            }
            Next::Promote { from, to, back } => self.promote(from, BRANCHES[*to], *back, &key).await,
            Next::GoBack { at, to, from } => self.go_back(BRANCHES[*at], to, from, &key).await,
        }
        self.fetch().await;
    }

    async fn promote(&mut self, from: &Index, to: &str, back: bool, key: &str) {
        let (source, newest, head) = (from.get(&self.model.made).clone(), self.head("dev"), self.head(to));
        let change = MergeChange {
            source_commit: source.clone(),
            branch: to.to_owned(),
            back_from: back.then(|| newest.clone()),
            kept: Vec::new(),
            pins: Vec::new(),
            message: message(key),
        };
        let merged = self.mirror.merge(&change, SOON).await.unwrap();
        self.merged = Some((change, head.clone(), merged.clone()));
        let Merged::Committed { commit } = merged else { return };
        let info = self.mirror.commit_info(&commit).await.unwrap();
        match info.parents.len() {
            1 => self.model.went_back(&commit, (&head, to), (&source, &newest)),
            _ => self.model.add(&commit, self.model.of(&[head, source]), &[]),
        }
    }

    async fn go_back(&mut self, branch: &str, to: &Index, from: &Index, key: &str) {
        let head = self.head(branch);
        let mut line = vec![head.clone()];
        while let Some(parent) = line
            .last()
            .and_then(|at| self.repository.find_commit(Oid::from_str(at).unwrap()).unwrap().parent_ids().next())
        {
            line.push(parent.to_string());
        }
        // Most often nobody pushed meanwhile.
        let from = line[if from.index(3) > 0 { 0 } else { from.index(line.len().min(3)) }].clone();
        let to = to.get(&line).clone();
        let change = RestoreChange {
            to: to.clone(),
            from: from.clone(),
            branch: branch.to_owned(),
            pins: Vec::new(),
            message: message(key),
        };
        let restored = self.mirror.restore(&change, SOON).await.unwrap();
        self.restored = Some((change, head, restored.clone()));
        if let Restored::Committed { commit, parent } = restored {
            self.model.went_back(&commit, (&parent, branch), (&to, &from));
        }
    }

    async fn brought(&self, head: &str, known: &[String]) -> Brought {
        let places = BRANCHES.map(place).into();
        let compared = Compared { places, heads: vec![head.to_owned()], known: known.to_vec(), signatures: false };
        self.mirror.brought(&compared).await.unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: stories(24), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn who_wrote_what_is_new_is_what_the_story_says(
        steps in prop::collection::vec(next(), 4..24),
        asked in prop::collection::vec((any::<Index>(), any::<Index>(), any::<Index>(), 0..3_usize), 12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let told: Result<(), TestCaseError> = runtime.block_on(async {
            let mut story = Story::begin().await;
            for step in &steps {
                story.play(step).await;
            }
            for (head, one, other, count) in &asked {
                let head = head.get(&story.model.made);
                let known: Vec<String> = [one, other].iter().take(*count).map(|at| at.get(&story.model.made).clone()).collect();
                let brought = story.brought(head, &known).await;
                prop_assert!(brought.incomplete.is_empty(), "{:?}", brought);
                prop_assert_eq!(&brought.authors, &story.model.news(head, &known), "{} since {:?}", head, known);
            }
            Ok(())
        });
        told?;
    }
}

fn remote(root: &Path) -> TestRepo {
    let remote = TestRepo::with(root.join("image.git"), "dev", &[("a", "1")]);
    remote.set_branch("qa", &remote.head("dev").unwrap());
    remote
}

#[tokio::test]
async fn only_a_way_back_of_ours_takes_anything_away() {
    let root = tempfile::tempdir().unwrap();
    let remote = remote(root.path());
    let good = remote.head("dev").unwrap();
    let bad = remote.commit("dev", "Go wrong", &[("a", "2")]);
    let said = format!("Tidegate-Key: run-1\n{RESTORES_TRAILER}: {good}\n{TAKES_AWAY_TRAILER}: {bad}");
    let forged = remote.commit("dev", &format!("Take it back\n\n{said}"), &[("a", "1")]);
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.fetch(&["dev".to_owned()], SOON).await.unwrap();
    let since = |head: &str, known: &str| {
        let places = vec![place("dev"), place("qa")];
        let compared =
            Compared { places, heads: vec![head.to_owned()], known: vec![known.to_owned()], signatures: false };
        let mirror = Arc::clone(&mirror);
        async move { mirror.brought(&compared).await.unwrap() }
    };
    assert!(since(&bad, &forged).await.authors.is_empty(), "it is below it");
    let (branch, message) = ("dev".to_owned(), message("run-2"));
    let change = RestoreChange { to: good.clone(), from: forged.clone(), branch, pins: Vec::new(), message };
    let back = match mirror.restore(&change, SOON).await.unwrap() {
        Restored::NothingToChange { .. } => {
            let worse = remote.commit("dev", "Go worse", &[("b", "1")]);
            let change = RestoreChange { from: worse.clone(), ..change };
            mirror.fetch(&["dev".to_owned()], SOON).await.unwrap();
            let Restored::Committed { commit, .. } = mirror.restore(&change, SOON).await.unwrap() else { panic!() };
            commit
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(since(&bad, &back).await.authors.len(), 1, "it was taken away");
    assert!(since(&back, &good).await.authors.is_empty(), "and what is there was there before");
}

#[tokio::test]
async fn what_is_kept_outlives_a_rewritten_branch_and_gits_housekeeping() {
    let root = tempfile::tempdir().unwrap();
    let remote = remote(root.path());
    let first = remote.head("dev").unwrap();
    let (kept, lost) = (remote.commit("dev", "Keep it", &[("a", "2")]), remote.commit("dev", "Lose it", &[("a", "3")]));
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.fetch(&["dev".to_owned()], SOON).await.unwrap();
    mirror.keep("webshop", [kept.as_str(), lost.as_str()], SOON).await.unwrap();
    mirror.keep("billing", [lost.as_str()], SOON).await.unwrap();
    mirror.keep_only("billing", [first.as_str()], SOON).await.unwrap();
    mirror.keep_only("webshop", [kept.as_str(), "1".repeat(40).as_str()], SOON).await.unwrap();
    remote.set_branch("dev", &first);
    mirror.fetch(&["dev".to_owned()], SOON).await.unwrap();
    let folder = std::fs::read_dir(root.path().join("mirrors")).unwrap();
    let folder = folder.map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    let git = std::process::Command::new("git").args(["gc", "--quiet", "--prune=now"]).current_dir(folder).status();
    assert!(git.unwrap().success());
    let all = [first.clone(), kept.clone(), lost.clone()];
    assert_eq!(mirror.parted(&all).await.unwrap(), (vec![first, kept], vec![lost]));
}
