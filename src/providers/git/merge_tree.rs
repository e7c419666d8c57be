//! Merges by `git merge-tree`: what `git merge` would give in a work tree of ours, or why it would stop. It stops besides where
//! git would run a merge driver of somebody's settings, or would not look for all renames.

use super::ancestors::Pair;
use super::attribute_line::{self, Values};
use super::conflict::{Clash, Conflict, shown};
use super::local::{self, Question};
use super::process::Git;
use super::version;
use crate::providers::Fault;
use git2::{Oid, Repository};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// What git does itself for the attribute `merge`: the words are those of `git check-attr`.
const BUILT_IN: [&[u8]; 6] = [b"unspecified", b"set", b"unset", b"text", b"binary", b"union"];
/// What git prints when it compared only some files for renames (`diff_warn_rename_limit` of diff.c).
const RENAMES_SKIPPED: &str = "rename detection was skipped";

/// What came of a merge.
pub(super) enum Combined {
    /// The tree.
    Clean(Oid),
    /// Why there is none.
    Conflict(Vec<Conflict>),
}

/// Merges a pair of commits; writes objects only.
pub(super) fn merge(git: &Git, repository: &Repository, pair: &Pair) -> Result<Combined, Fault> {
    version::require(&git.program)?;
    let deadline = Instant::now() + local::LONGEST;
    let asking = Asking { git, repository, attributes: pair.attributes, deadline };
    let (ours, theirs) = (pair.ours.to_string(), pair.theirs.to_string());
    let arguments = ["merge-tree", "--write-tree", "-z", "--messages", &ours, &theirs];
    let (code, output, complaint) = asking.git(&arguments, b"")?;
    let said = Said::read(&output).filter(|_| matches!(code, Some(0 | 1))).ok_or_else(|| {
        Fault::retry(format!("`git merge-tree` ended with {}: {complaint}", code.map_or(-1, i64::from)))
    })?;
    let mut clashes = said.clashes(&[ours, theirs]);
    for (path, value) in asking.merge_attributes(&said.merged_by_content())? {
        let place = || asking.line_of(&path);
        let clash = match value.as_slice() {
            b"unset" | b"binary" if clashes.get(&path).is_some_and(|(clash, _)| *clash == Clash::Binary) => {
                Clash::NotMerged { place: place() }
            }
            known if BUILT_IN.contains(&known) => continue,
            driver => Clash::NoDriver { driver: shown(driver), place: place() },
        };
        let name = shown(&path);
        clashes.insert(path, (clash, name));
    }
    if complaint.contains(RENAMES_SKIPPED) {
        clashes.insert(Vec::new(), (Clash::TooManyRenames, String::new()));
    }
    if clashes.is_empty() && code == Some(0) {
        return Ok(Combined::Clean(said.tree));
    }
    if clashes.is_empty() {
        clashes.insert(Vec::new(), (Clash::Other("that there is a conflict".to_owned()), String::new()));
    }
    Ok(Combined::Conflict(by_reason(clashes)))
}

/// Reasons by path, with the path as it is shown.
type Clashes = BTreeMap<Vec<u8>, (Clash, String)>;

fn by_reason(clashes: Clashes) -> Vec<Conflict> {
    let mut reasons: BTreeMap<Clash, BTreeSet<String>> = BTreeMap::new();
    for (clash, name) in clashes.into_values() {
        reasons.entry(clash).or_default().extend(Some(name).filter(|name| !name.is_empty()));
    }
    reasons.into_iter().map(|(clash, paths)| Conflict { clash, paths: paths.into_iter().collect() }).collect()
}

struct Asking<'a> {
    git: &'a Git,
    repository: &'a Repository,
    attributes: Oid,
    deadline: Instant,
}

impl Asking<'_> {
    fn git(&self, arguments: &[&str], input: &[u8]) -> Result<(Option<i32>, Vec<u8>, String), Fault> {
        let question = Question { arguments, attributes: &self.attributes.to_string(), input };
        let answer = self.git.ask(self.repository.path(), &question, self.deadline)?;
        Ok((answer.code, answer.output, answer.complaint))
    }

    /// What the attributes say of how each path is merged.
    fn merge_attributes(&self, paths: &[&[u8]]) -> Result<Values, Fault> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let (code, output, complaint) = self.git(&["check-attr", "-z", "--stdin", "merge"], &paths.join(&0))?;
        let values = attribute_line::values(&output);
        if code != Some(0) || values.len() != paths.len() {
            return Err(Fault::retry(format!("`git check-attr` did not answer: {complaint}")));
        }
        Ok(values)
    }

    /// The file and line that say how a path is merged. It helps who reads; without it the reason stands all the same.
    fn line_of(&self, path: &[u8]) -> Option<String> {
        let (tree, input) = attribute_line::trial(self.repository, self.attributes, path).ok()?;
        let trial = Asking { attributes: tree.tree, ..*self };
        let (_, output, _) = trial.git(&["check-attr", "-z", "--stdin", "merge"], &input).ok()?;
        attribute_line::decisive(&tree, &attribute_line::values(&output))
    }
}

/// What `git merge-tree -z --messages` printed (git-merge-tree(1), OUTPUT).
struct Said {
    tree: Oid,
    /// Modes of the files in conflict, and which of base (1), ours (2) and theirs (3) have them.
    stages: BTreeMap<Vec<u8>, Vec<(Vec<u8>, u8)>>,
    records: Vec<Record>,
}

struct Record {
    paths: Vec<Vec<u8>>,
    kind: String,
    message: String,
}

impl Said {
    fn read(output: &[u8]) -> Option<Self> {
        let mut fields = output.split(|byte| *byte == 0);
        let tree = Oid::from_str(std::str::from_utf8(fields.next()?).ok()?).ok()?;
        let mut stages: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for entry in fields.by_ref().take_while(|entry| !entry.is_empty()) {
            let (head, path) = entry.split_at(entry.iter().position(|byte| *byte == b'\t')?);
            let mut words = head.split(|byte| *byte == b' ');
            let (mode, stage) = (words.next()?.to_vec(), *words.nth(1)?.first()?);
            stages.entry(path.get(1..)?.to_vec()).or_default().push((mode, stage - b'0'));
        }
        let mut records = Vec::new();
        while let Some(count) = fields.next().filter(|count| !count.is_empty()) {
            let count: usize = std::str::from_utf8(count).ok()?.parse().ok()?;
            let paths = fields.by_ref().take(count).map(<[u8]>::to_vec).collect();
            let text = |field: &[u8]| String::from_utf8_lossy(field).trim().to_owned();
            records.push(Record { paths, kind: text(fields.next()?), message: text(fields.next()?) });
        }
        Some(Self { tree, stages, records })
    }

    /// The files that both sides changed and git merged by their content, or tried to.
    fn merged_by_content(&self) -> Vec<&[u8]> {
        let merged = self.records.iter().filter(|record| record.kind == "Auto-merging");
        let paths: BTreeSet<&[u8]> = merged.flat_map(|record| record.paths.iter().map(Vec::as_slice)).collect();
        paths.into_iter().collect()
    }

    /// The first reason of each file in conflict. `labels` are what git was told to call the sides, and writes behind names.
    fn clashes(&self, labels: &[String; 2]) -> Clashes {
        let mut clashes = Clashes::new();
        for record in self.records.iter().filter(|record| !is_news(&record.kind)) {
            let Some(path) = record.paths.first() else { continue };
            let clash = self.clash(record);
            // git moves a file away from a folder of its name, to a name with the side's label.
            let named = labels.iter().find_map(|label| {
                let at =
                    path.windows(label.len() + 1).rposition(|end| end[0] == b'~' && end[1..] == *label.as_bytes())?;
                path.get(..at)
            });
            let name = match (&clash, record.paths.as_slice()) {
                (Clash::BothRenamed, [from, one, other]) => {
                    format!("{} ({} or {})", shown(from), shown(one), shown(other))
                }
                (Clash::FolderRenamed, [_, from]) => shown(from),
                _ => shown(named.unwrap_or(path)),
            };
            let stronger = |(known, _): &(Clash, String)| *known <= clash;
            let path = named.unwrap_or(path).to_vec();
            if !clashes.get(&path).is_some_and(stronger) {
                clashes.insert(path, (clash, name));
            }
        }
        clashes
    }

    /// The kinds are those of `type_short_descriptions` in merge-ort.c.
    fn clash(&self, record: &Record) -> Clash {
        let stages = record.paths.first().and_then(|path| self.stages.get(path)).map_or(&[][..], Vec::as_slice);
        let all_are = |mode: &[u8]| !stages.is_empty() && stages.iter().all(|(each, _)| each == mode);
        match record.kind.trim_start_matches("CONFLICT").trim() {
            "(contents)" if all_are(b"120000") => Clash::Link,
            "(contents)" if all_are(b"160000") => Clash::Submodule,
            "(contents)" if !stages.iter().any(|(_, stage)| *stage == 1) => Clash::BothAdded,
            "(contents)" => Clash::SameLines,
            "(binary)" => Clash::Binary,
            "(file/directory)" => Clash::FileAndFolder,
            "(distinct modes)" | "(distinct types)" => Clash::TwoTypes,
            "(modify/delete)" => Clash::ChangedAndRemoved,
            "(rename/rename)" => Clash::BothRenamed,
            "(rename/delete)" => Clash::RenamedAndRemoved,
            "(rename involved in collision)" => Clash::RenameCollides,
            "(directory rename suggested)"
            | "(file in way of directory rename)"
            | "(directory rename collision)"
            | "(directory rename unclear split)" => Clash::FolderRenamed,
            kind if kind.starts_with("(submodule") => Clash::Submodule,
            _ => Clash::Other(record.message.clone()),
        }
    }
}

/// Whether a message only says what git did.
fn is_news(kind: &str) -> bool {
    !kind.starts_with("CONFLICT") && !kind.starts_with("ERROR")
}
