//! Which line of which `.gitattributes` decides an attribute of a path, which git does not say. It is asked by a trial: a tree
//! with a folder for each line that might, in which that line is alone.

use super::bounds;
use git2::{FileMode, Oid, Repository, Tree};

/// How many lines are tried, the nearest to the path first.
const MOST_TRIED: usize = 500;

/// Paths, and what an attribute is for each.
pub(super) type Values = Vec<(Vec<u8>, Vec<u8>)>;

/// A tree for one path.
pub(super) struct Trial {
    /// The tree: `0/…/.gitattributes` has the last line that might decide, `1/…` the one before.
    pub(super) tree: Oid,
    /// Where each of the lines stands.
    places: Vec<String>,
}

/// The trial for a path of a tree, and what `git check-attr -z --stdin` is to read.
pub(super) fn trial(repository: &Repository, tree: Oid, path: &[u8]) -> Result<(Trial, Vec<u8>), git2::Error> {
    let mut parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    parts.pop();
    let mut folders = vec![repository.find_tree(tree)?];
    for part in &parts {
        let inner = folders.last().and_then(|folder| folder.get_name_bytes(part)).map(|entry| entry.id());
        let Some(Ok(folder)) = inner.map(|id| repository.find_tree(id)) else { break };
        folders.push(folder);
    }
    let is_macro = |line: &&[u8]| line.starts_with(b"[attr]");
    let macros = folders.first().map(|top| attributes(repository, top)).unwrap_or_default();
    let macros: Vec<&[u8]> = macros.split(|byte| *byte == b'\n').filter(is_macro).collect();
    let mut top = repository.treebuilder(None)?;
    top.insert(".gitattributes", repository.blob(&macros.join(&b'\n'))?, FileMode::Blob.into())?;
    let (mut places, mut input) = (Vec::new(), Vec::new());
    for (depth, folder) in folders.iter().enumerate().rev() {
        let text = attributes(repository, folder);
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        for (number, line) in lines.iter().enumerate().rev() {
            if places.len() >= MOST_TRIED || is_macro(line) || line.trim_ascii().is_empty() {
                continue;
            }
            let name = places.len().to_string();
            let alone = alone(repository, line, parts.get(..depth).unwrap_or_default())?;
            top.insert(&name, alone, FileMode::Tree.into())?;
            input.extend([name.as_bytes(), b"/", path, b"\0"].concat());
            let file = [parts.get(..depth).unwrap_or_default(), &[&b".gitattributes"[..]]].concat().join(&b'/');
            places.push(format!("{}:{}", super::conflict::shown(&file), number + 1));
        }
    }
    Ok((Trial { tree: top.write()?, places }, input))
}

/// The line that decided, of what git said of the trial.
pub(super) fn decisive(trial: &Trial, values: &[(Vec<u8>, Vec<u8>)]) -> Option<String> {
    let index = values.iter().position(|(_, value)| value != b"unspecified")?;
    trial.places.get(index).cloned()
}

/// Paths and values of what `git check-attr -z` prints of one attribute.
pub(super) fn values(output: &[u8]) -> Values {
    let fields: Vec<&[u8]> = output.split(|byte| *byte == 0).collect();
    fields.chunks_exact(3).map(|said| (said[0].to_vec(), said[2].to_vec())).collect()
}

fn attributes(repository: &Repository, folder: &Tree<'_>) -> Vec<u8> {
    let blob = folder.get_name(".gitattributes").and_then(|entry| bounds::document(repository, entry.id()).ok());
    blob.unwrap_or_default()
}

/// A tree in which a folder's `.gitattributes` has this line alone.
fn alone(repository: &Repository, line: &[u8], folder: &[&[u8]]) -> Result<Oid, git2::Error> {
    let mut tree = repository.treebuilder(None)?;
    tree.insert(".gitattributes", repository.blob(line)?, FileMode::Blob.into())?;
    folder.iter().rev().try_fold(tree.write()?, |inner, name| {
        let mut outer = repository.treebuilder(None)?;
        outer.insert(*name, inner, FileMode::Tree.into())?;
        outer.write()
    })
}
