//! Each kind of conflict is said as it is, and attributes count as in the work tree of `git merge`.

use std::path::Path;

use crate::git::{SOON, failure, message, mirrors, options};
use crate::support::repo::TestRepo;
use tidegate::providers::git::{
    CheckedMerge, GitOptions, MergeChange, Merged, Mirrors, Pin, RestoreChange, Restored, conflicts_said, git_version,
};

/// `(mode, path, content)`.
type Entries<'a> = &'a [(&'a str, &'a str, &'a str)];

const FILE: &str = "100644";
const LINES: &str = "1\n2\n3\n4\n5\n6\n7\n8\n";
const SUBMODULES: [&str; 3] = [
    "1111111111111111111111111111111111111111",
    "2222222222222222222222222222222222222222",
    "3333333333333333333333333333333333333333",
];

/// dev and qa began with `base`; each then has a tree of its own.
fn parted(root: &Path, base: Entries<'_>, dev: Entries<'_>, qa: Entries<'_>) -> TestRepo {
    let remote = TestRepo::empty(root.join("remote.git"));
    let begin = remote.commit_tree("dev", "Begin", &remote.tree(None, base), &[]);
    for (branch, entries) in [("dev", dev), ("qa", qa)] {
        remote.commit_tree(branch, branch, &remote.tree(None, entries), std::slice::from_ref(&begin));
    }
    remote
}

fn promotion(remote: &TestRepo, pins: &[(&str, &str)]) -> MergeChange {
    MergeChange {
        source_commit: remote.head("dev").unwrap(),
        branch: "qa".to_owned(),
        back_from: None,
        pins: pins.iter().map(|(path, pointer)| Pin { path: (*path).into(), pointer: (*pointer).into() }).collect(),
        kept: Vec::new(),
        message: message("promote-1"),
    }
}

async fn check(root: &Path, remote: &TestRepo) -> CheckedMerge {
    let mirror = mirrors(root).mirror(&remote.url()).unwrap();
    mirror.fetch(&["dev".to_owned(), "qa".to_owned()], SOON).await.unwrap();
    mirror.check_merge(&promotion(remote, &[]), SOON).await.unwrap()
}

/// Why dev cannot be merged into qa.
async fn why(base: Entries<'_>, dev: Entries<'_>, qa: Entries<'_>) -> String {
    let root = tempfile::tempdir().unwrap();
    let remote = parted(root.path(), base, dev, qa);
    match check(root.path(), &remote).await {
        CheckedMerge::Conflict { conflicts } => conflicts_said(&conflicts),
        other => panic!("a conflict was expected, not {other:?}"),
    }
}

fn with(line: &str, is: &str) -> String {
    LINES.replace(&format!("{line}\n"), &format!("{is}\n"))
}

#[tokio::test]
async fn the_kind_of_a_conflict_is_said_as_it_is() {
    let (one, other) = (with("3", "x"), with("3", "y"));
    let lines = |name: &'static str, text| [(FILE, name, text)];
    let said = why(&lines("a", LINES), &lines("a", &one), &lines("a", &other)).await;
    assert_eq!(said, "both sides changed the same lines of a");
    let said = why(&lines("a", LINES), &[(FILE, "b", "b")], &lines("a", &other)).await;
    assert_eq!(said, "one side removed what the other changed: a");
    let said = why(&lines("a", LINES), &lines("b", LINES), &lines("c", LINES)).await;
    assert_eq!(said, "both sides renamed a file, to different names: a (c or b)");
    let said = why(&lines("a", LINES), &lines("b", LINES), &[(FILE, "z", "z")]).await;
    assert_eq!(said, "one side renamed what the other removed: b");
    let said =
        why(&[(FILE, "k", "k")], &[(FILE, "k", "k"), (FILE, "a", "1")], &[(FILE, "k", "k"), (FILE, "a", "2")]).await;
    assert_eq!(said, "both sides added a file of the same name: a");
    let said =
        why(&[(FILE, "k", "k")], &[(FILE, "k", "k"), (FILE, "a/b", "1")], &[(FILE, "k", "k"), (FILE, "a", "2")]).await;
    assert_eq!(said, "a file on one side is a folder on the other: a");
    let links = |to| [("120000", "a", to)];
    assert_eq!(why(&links("x"), &links("y"), &links("z")).await, "both sides changed where a link leads: a");
    let said =
        why(&[(FILE, "k", "k")], &[(FILE, "k", "k"), ("120000", "a", "b")], &[(FILE, "k", "k"), (FILE, "a", "2")])
            .await;
    assert_eq!(said, "a file on one side is of another type on the other: a");
    let binary = |text| [(FILE, "a", text)];
    let said = why(&binary("\0a"), &binary("\0b"), &binary("\0c")).await;
    assert_eq!(said, "both sides changed a file that is not text: a");
    let module = |index: usize| [("160000", "module", SUBMODULES[index])];
    assert_eq!(why(&module(0), &module(1), &module(2)).await, "both sides moved the submodule: module");
    let paths = |text| [(FILE, "a \u{1b}[2J", text), (FILE, "ä", text)];
    let said = why(&paths(LINES), &paths(&one), &paths(&other)).await;
    assert_eq!(said, "both sides changed the same lines of \"a \\u{1b}[2J\", ä");
}

#[tokio::test]
async fn a_file_in_a_folder_that_the_other_side_renamed_does_not_stay_behind() {
    let (a, b) = ([LINES, "a"].concat(), [LINES, "b"].concat());
    let hotfix = [(FILE, "old/a", a.as_str()), (FILE, "old/b", &b), (FILE, "old/fix", "fix")];
    let renamed = [(FILE, "new/a", a.as_str()), (FILE, "new/b", &b)];
    let said = why(&hotfix[..2], &hotfix, &renamed).await;
    assert_eq!(said, "one side renamed the folder of files that the other added: old/fix");
    // A change of a file that moved with its folder comes along.
    let root = tempfile::tempdir().unwrap();
    let mended = a.replace('3', "three");
    let remote = parted(root.path(), &hotfix[..2], &[(FILE, "old/a", &mended), (FILE, "old/b", &b)], &renamed);
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.fetch(&["dev".to_owned(), "qa".to_owned()], SOON).await.unwrap();
    let merged = mirror.merge(&promotion(&remote, &[]), SOON).await.unwrap();
    assert!(matches!(merged, Merged::Committed { .. }), "{merged:?}");
    assert_eq!(remote.read("qa", "new/a"), mended);
}

#[tokio::test]
async fn histories_without_a_common_commit_are_not_merged() {
    let root = tempfile::tempdir().unwrap();
    let remote = TestRepo::with(root.path().join("remote.git"), "dev", &[("a", "1")]);
    remote.commit("qa", "Another beginning", &[("b", "2")]);
    let CheckedMerge::Conflict { conflicts } = check(root.path(), &remote).await else { panic!() };
    assert_eq!(conflicts_said(&conflicts), "their histories have no common commit");
}

#[tokio::test]
async fn attributes_say_how_a_file_is_merged() {
    let (one, other) = (with("1", "x"), with("8", "y"));
    let trees = |attributes: &'static str, path: &'static str| {
        [LINES, &one, &other].map(|text| {
            let text = text.to_owned();
            [(FILE, ".gitattributes", attributes.to_owned()), (FILE, path, text)]
        })
    };
    let said = async |attributes, path| {
        let trees = trees(attributes, path);
        let [base, dev, qa] =
            trees.each_ref().map(|tree| tree.each_ref().map(|(mode, path, text)| (*mode, *path, text.as_str())));
        let root = tempfile::tempdir().unwrap();
        let remote = parted(root.path(), &base, &dev, &qa);
        match check(root.path(), &remote).await {
            CheckedMerge::Conflict { conflicts } => conflicts_said(&conflicts),
            _ => "merged".to_owned(),
        }
    };
    for (attributes, path, expected) in [
        ("*.txt text\n", "a.txt", "merged"),
        ("*.txt merge\n", "a.txt", "merged"),
        ("*.txt merge=text\n", "a.txt", "merged"),
        (
            "# locks\n\n*.lock -merge\n",
            "a.lock",
            "both sides changed a file that is not merged (attribute `-merge` in .gitattributes:3): a.lock",
        ),
        (
            "*.lock merge\n\"a b.lock\" binary\n",
            "a b.lock",
            "both sides changed a file that is not merged (attribute `-merge` in .gitattributes:2): a b.lock",
        ),
        (
            "[attr]generated -merge -diff\n*.lock generated\n*.txt generated\n",
            "x/y/a.lock",
            "both sides changed a file that is not merged (attribute `-merge` in .gitattributes:2): x/y/a.lock",
        ),
        (
            "*.po merge=translations\n",
            "a.po",
            "both sides changed a file whose merge driver Tidegate does not have (attribute `merge=translations` in \
             .gitattributes:1): a.po",
        ),
    ] {
        assert_eq!(said(attributes, path).await, expected, "{attributes}");
    }
}

#[tokio::test]
async fn the_nearest_attributes_of_the_branch_that_is_merged_into_count() {
    let (one, other) = (with("1", "x"), with("8", "y"));
    let attributes = (FILE, ".gitattributes", "* merge=ours\n");
    let tree = |text, inner: &'static str| [attributes, (FILE, "deep/.gitattributes", inner), (FILE, "deep/a", text)];
    let base = tree(LINES, "a merge\n");
    let said = why(&base, &tree(&one, "a merge\n"), &tree(&other, "\na -merge\n")).await;
    let expected = "both sides changed a file that is not merged (attribute `-merge` in deep/.gitattributes:2): deep/a";
    assert_eq!(said, expected);
    let root = tempfile::tempdir().unwrap();
    let remote = parted(root.path(), &base, &tree(&one, "\na -merge\n"), &tree(&other, "a merge\n"));
    let checked = check(root.path(), &remote).await;
    assert!(matches!(checked, CheckedMerge::Clean { .. }), "{checked:?}");
}

#[tokio::test]
async fn a_union_keeps_the_lines_of_both_sides() {
    let root = tempfile::tempdir().unwrap();
    let tree = |text| [(FILE, ".gitattributes", "CHANGES merge=union\n"), (FILE, "CHANGES", text)];
    let remote = parted(root.path(), &tree("a\n"), &tree("dev\na\n"), &tree("qa\na\n"));
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.fetch(&["dev".to_owned(), "qa".to_owned()], SOON).await.unwrap();
    let merged = mirror.merge(&promotion(&remote, &[]), SOON).await.unwrap();
    assert!(matches!(merged, Merged::Committed { .. }), "{merged:?}");
    assert_eq!(remote.read("qa", "CHANGES"), "qa\ndev\na\n");
}

#[tokio::test]
async fn no_settings_and_no_driver_of_this_machine_take_part() {
    let root = tempfile::tempdir().unwrap();
    let marker = root.path().join("it ran");
    let home = root.path().join("home");
    std::fs::create_dir_all(home.join(".config/git")).unwrap();
    let driver =
        format!("[merge \"mine\"]\n\tdriver = touch '{}'\n[merge]\n\tdirectoryRenames = true\n", marker.display());
    std::fs::write(home.join(".gitconfig"), driver).unwrap();
    std::fs::write(home.join(".config/git/attributes"), "* merge=mine\n").unwrap();
    let (one, other) = (with("1", "x"), with("8", "y"));
    let remote = parted(root.path(), &[(FILE, "a", LINES)], &[(FILE, "a", &one)], &[(FILE, "a", &other)]);
    let home = ("HOME".to_owned(), home.to_str().unwrap().to_owned());
    let mirrors = Mirrors::open(root.path().join("m"), GitOptions { environment: vec![home], ..options() }).unwrap();
    let mirror = mirrors.mirror(&remote.url()).unwrap();
    mirror.fetch(&["dev".to_owned(), "qa".to_owned()], SOON).await.unwrap();
    let checked = mirror.check_merge(&promotion(&remote, &[]), SOON).await.unwrap();
    assert!(matches!(checked, CheckedMerge::Clean { .. }), "{checked:?}");
    assert!(!marker.exists());
}

/// The same text in base, and other lines beside the pin on both sides.
fn pinned(tag: &str, size: u8, name: &str) -> String {
    format!("{{\n  \"size\": {size},\n  \"tag\": \"{tag}\",\n  \"name\": \"{name}\"\n}}\n")
}

#[tokio::test]
async fn a_pin_between_changes_of_both_sides_is_no_conflict_where_histories_crossed() {
    let root = tempfile::tempdir().unwrap();
    let remote = TestRepo::with(root.path().join("image.git"), "dev", &[("c.json", &pinned("v1", 1, "a"))]);
    remote.set_branch("qa", &remote.head("dev").unwrap());
    remote.commit("dev", "v2", &[("c.json", &pinned("v2", 1, "a")), ("d", "d")]);
    remote.commit("qa", "v3", &[("c.json", &pinned("v3", 1, "a")), ("q", "q")]);
    remote.set_branch("before", &remote.head("dev").unwrap());
    remote.merge("dev", "qa", "Cross", &[("c.json", &pinned("v4", 1, "a")), ("q", "q")]);
    remote.merge("qa", "before", "Cross", &[("c.json", &pinned("v5", 1, "a")), ("d", "d")]);
    remote.commit("dev", "v6", &[("c.json", &pinned("v6", 2, "a"))]);
    remote.commit("qa", "v7", &[("c.json", &pinned("v7", 1, "b"))]);
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.fetch(&["dev".to_owned(), "qa".to_owned()], SOON).await.unwrap();
    // Size and name stand on lines next to the pin, and the ancestors pin other tags in conflict.
    let merged = mirror.merge(&promotion(&remote, &[("c.json", "/tag")]), SOON).await.unwrap();
    assert!(matches!(merged, Merged::Committed { .. }), "{merged:?}");
    assert_eq!(remote.read("qa", "c.json"), pinned("v6", 2, "b"));
}

#[tokio::test]
async fn a_pin_that_would_come_twice_into_a_file_stops_the_merge() {
    let root = tempfile::tempdir().unwrap();
    let base = "{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3,\n  \"d\": 4,\n  \"e\": 5\n}\n";
    let dev = base.replace("\"a\": 1,\n", "\"a\": 1,\n  \"tag\": \"v2\",\n");
    let qa = base.replace("\"d\": 4,\n", "\"d\": 4,\n  \"tag\": \"v1\",\n");
    let remote = parted(root.path(), &[(FILE, "c.json", base)], &[(FILE, "c.json", &dev)], &[(FILE, "c.json", &qa)]);
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.fetch(&["dev".to_owned(), "qa".to_owned()], SOON).await.unwrap();
    let CheckedMerge::Conflict { conflicts } =
        mirror.check_merge(&promotion(&remote, &[("c.json", "/tag")]), SOON).await.unwrap()
    else {
        panic!()
    };
    assert!(conflicts_said(&conflicts).contains("c.json"), "{conflicts:?}");
}

#[tokio::test]
async fn a_way_back_finds_renames_and_says_what_is_in_its_way() {
    let root = tempfile::tempdir().unwrap();
    let remote = TestRepo::with(root.path().join("image.git"), "qa", &[("a", LINES)]);
    let good = remote.head("qa").unwrap();
    let renamed = remote.tree(None, &[(FILE, "b", LINES)]);
    let bad = remote.commit_tree("qa", "Rename", &renamed, std::slice::from_ref(&good));
    remote.commit("qa", "Mend it", &[("b", &with("3", "x"))]);
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.fetch(&["qa".to_owned()], SOON).await.unwrap();
    let (to, from, branch) = (good, bad, "qa".to_owned());
    let change = RestoreChange { to, from, branch, pins: Vec::new(), message: message("rollback-1") };
    let restored = mirror.restore(&change, SOON).await.unwrap();
    assert!(matches!(restored, Restored::Committed { .. }), "{restored:?}");
    assert_eq!(remote.read("qa", "a"), with("3", "x"), "the name is back, and the person's line stays");
}

/// A git program that says another version.
fn git_of(root: &Path, version: &str) -> std::path::PathBuf {
    let path = root.join(format!("git-{version}"));
    let script =
        format!("#!/bin/sh\nif test \"$1\" = --version; then echo 'git version {version}'; else exec git \"$@\"; fi\n");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn a_git_that_is_too_old_to_merge_is_said() {
    let root = tempfile::tempdir().unwrap();
    let remote = parted(root.path(), &[(FILE, "a", "1")], &[(FILE, "a", "2")], &[(FILE, "b", "1"), (FILE, "a", "1")]);
    let checked_with = async |version: &str| {
        let options = GitOptions { program: git_of(root.path(), version), ..options() };
        let mirror = Mirrors::open(root.path().join(version), options).unwrap().mirror(&remote.url()).unwrap();
        mirror.fetch(&["dev".to_owned(), "qa".to_owned()], SOON).await.unwrap();
        mirror.check_merge(&promotion(&remote, &[]), SOON).await
    };
    let (error, hint) = failure(checked_with("2.39.5").await);
    assert!(error.ends_with("git 2.39.5 is too old: merges need git 2.41 or newer"), "{error}");
    assert_eq!(hint, "install git 2.41 or newer");
    let (error, _) = failure(checked_with("unknown").await);
    assert!(error.contains("does not say which git it is"), "{error}");
    for new_enough in ["2.41.0", "2.50.1 (Apple Git-155)", "3.0.0.windows.1"] {
        assert!(matches!(checked_with(new_enough).await.unwrap(), CheckedMerge::Clean { .. }));
    }
    assert!(git_version(Path::new("git")).is_ok());
    assert!(failure(git_version(Path::new("/nowhere/git"))).0.contains("cannot be run"));
}
