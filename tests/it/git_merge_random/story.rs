//! How two branches came to be: a beginning, then changes of each, merges of one into the other, and merges that crossed. A story
//! is written for `git fast-import` twice: as it was, and with the value of the pin that is decided in the end in every commit.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::collections::BTreeMap;

/// Names are bytes: some are hard to read, and one is not UTF-8.
const NAMES: [&[u8]; 14] = [
    b"a",
    b"b",
    b"dir/a",
    b"dir/b",
    b"dir/sub/c",
    b"new/a",
    b"new/b",
    b"new/sub/c",
    b"sp ace",
    "\u{fc}".as_bytes(),
    b"\xff\xfe",
    b"q\"uote",
    b"dir/x.lock",
    b"x.po",
];
const FOLDERS: [&[u8]; 5] = [b"dir", b"dir/sub", b"new", b"other dir", b"new/dir"];
const ATTRIBUTES: [&[u8]; 13] = [
    b"* text=auto",
    b"*.lock -merge",
    b"*.po merge=translations",
    b"a merge=union",
    b"b binary",
    b"dir/* merge=union",
    b"[attr]mine -merge",
    b"x.po mine",
    b"dir/sub/** merge",
    b"a !merge",
    b"* eol=crlf",
    b"\"sp ace\" merge=union",
    b"* merge=ours",
];

/// What happens to the files of one branch; an index names one of those that are there.
#[derive(Debug, Clone)]
enum Change {
    Edit(Index, Index, u8),
    Insert(Index, Index, u8),
    Cut(Index, Index),
    Add(&'static [u8], u8),
    Remove(Index),
    Rename(Index, &'static [u8]),
    RenameFolder(&'static [u8], &'static [u8]),
    Mode(Index),
    Link(Index, u8),
    Binary(Index, u8),
    WindowsLines(Index),
    Submodule(u8),
    Attributes(Option<&'static [u8]>, &'static [u8]),
    Tag(u8),
    Size(u8),
    Name(u8),
}

#[derive(Debug, Clone)]
enum Step {
    /// A commit, on dev or on qa.
    Commit(bool, Vec<Change>),
    /// One branch takes in the other.
    Take(bool),
    /// Each takes in the other as it was.
    Cross,
}

/// A pair of histories.
#[derive(Debug, Clone)]
pub(super) struct Story {
    /// Whether dev decides the pin.
    pub(super) pinned: bool,
    apart: bool,
    begin: Vec<Change>,
    steps: Vec<Step>,
}

pub(super) fn stories(many: usize) -> impl Strategy<Value = Vec<Story>> {
    prop::collection::vec(story(), many)
}

fn story() -> impl Strategy<Value = Story> {
    let begin =
        prop::collection::vec((select(&NAMES[..]), 0..6u8).prop_map(|(name, text)| Change::Add(name, text)), 2..9);
    let begin = (begin, prop::collection::vec(change(), 0..3)).prop_map(|(files, more)| [files, more].concat());
    let steps = prop_oneof![
        9 => (any::<bool>(), prop::collection::vec(change(), 1..4)).prop_map(|(dev, changes)| Step::Commit(dev, changes)),
        1 => any::<bool>().prop_map(Step::Take),
        1 => Just(Step::Cross),
    ];
    let apart = prop::bool::weighted(0.03);
    (any::<bool>(), apart, begin, prop::collection::vec(steps, 1..8)).prop_map(|(pinned, apart, begin, steps)| Story {
        pinned,
        apart,
        begin,
        steps,
    })
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    prop_oneof![
        6 => (index(), index(), 0..4u8).prop_map(|(file, line, text)| Change::Edit(file, line, text)),
        3 => (index(), index(), 0..4u8).prop_map(|(file, line, text)| Change::Insert(file, line, text)),
        2 => (index(), index()).prop_map(|(file, line)| Change::Cut(file, line)),
        3 => (select(&NAMES[..]), 0..6u8).prop_map(|(name, text)| Change::Add(name, text)),
        2 => index().prop_map(Change::Remove),
        3 => (index(), select(&NAMES[..])).prop_map(|(file, to)| Change::Rename(file, to)),
        2 => (select(&FOLDERS[..]), select(&FOLDERS[..])).prop_map(|(from, to)| Change::RenameFolder(from, to)),
        1 => index().prop_map(Change::Mode),
        1 => (index(), 0..3u8).prop_map(|(file, to)| Change::Link(file, to)),
        1 => (index(), 0..3u8).prop_map(|(file, byte)| Change::Binary(file, byte)),
        1 => index().prop_map(Change::WindowsLines),
        1 => (0..4u8).prop_map(Change::Submodule),
        3 => (prop::option::weighted(0.3, select(&FOLDERS[..])), select(&ATTRIBUTES[..]))
            .prop_map(|(folder, line)| Change::Attributes(folder, line)),
        2 => (0..9u8).prop_map(Change::Tag),
        1 => (0..3u8).prop_map(Change::Size),
        1 => (0..3u8).prop_map(Change::Name),
    ]
}

#[derive(Clone, PartialEq)]
struct Entry {
    mode: &'static str,
    content: Vec<u8>,
}

/// The files of a commit.
#[derive(Clone, Default)]
struct State {
    files: BTreeMap<Vec<u8>, Entry>,
    tag: u8,
    size: u8,
    name: u8,
}

impl State {
    fn put(&mut self, path: &[u8], entry: Entry) {
        let below = |one: &[u8], other: &[u8]| one.starts_with(other) && one.get(other.len()) == Some(&b'/');
        self.files.retain(|known, _| !below(known, path) && !below(path, known));
        self.files.insert(path.to_vec(), entry);
    }

    fn path(&self, index: &Index) -> Option<Vec<u8>> {
        self.files.keys().nth(index.index(self.files.len().max(1))).cloned()
    }

    /// Changes the lines of a file that has some.
    fn lines(&mut self, index: &Index, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let Some(entry) = self.path(index).and_then(|path| self.files.get_mut(&path)) else { return };
        if entry.mode.starts_with("100") {
            let mut lines = entry.content.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            change(&mut lines);
            entry.content = lines.concat();
        }
    }

    fn apply(&mut self, change: &Change) {
        let line = |text: &u8| format!("line {text}\n").into_bytes();
        match change {
            Change::Edit(file, at, text) => self.lines(file, |lines| {
                let at = at.index(lines.len().max(1));
                lines.get_mut(at).into_iter().for_each(|each| *each = line(text));
            }),
            Change::Insert(file, at, text) => {
                self.lines(file, |lines| lines.insert(at.index(lines.len() + 1), line(text)))
            }
            Change::Cut(file, at) => self.lines(file, |lines| {
                if !lines.is_empty() {
                    lines.remove(at.index(lines.len()));
                }
            }),
            Change::Add(name, text) => {
                let content = (0..14).map(|number| format!("{text} says {number}\n")).collect::<String>();
                self.put(name, Entry { mode: "100644", content: content.into_bytes() });
            }
            Change::Remove(file) => drop(self.path(file).and_then(|path| self.files.remove(&path))),
            Change::Rename(file, to) => {
                let Some(entry) = self.path(file).and_then(|path| self.files.remove(&path)) else { return };
                self.put(to, entry);
            }
            Change::RenameFolder(from, to) => {
                let from = [from, &b"/"[..]].concat();
                let moved: Vec<Vec<u8>> = self.files.keys().filter(|path| path.starts_with(&from)).cloned().collect();
                for path in moved {
                    let Some(entry) = self.files.remove(&path) else { continue };
                    self.put(&[to, &b"/"[..], &path[from.len()..]].concat(), entry);
                }
            }
            Change::Mode(file) => {
                let entry = self.path(file).and_then(|path| self.files.get_mut(&path));
                entry.into_iter().filter(|entry| entry.mode == "100644").for_each(|entry| entry.mode = "100755");
            }
            Change::Link(file, to) => {
                let Some(path) = self.path(file) else { return };
                self.put(&path, Entry { mode: "120000", content: format!("to {to}").into_bytes() });
            }
            Change::Binary(file, byte) => self.lines(file, |lines| lines.insert(0, vec![0, *byte, b'\n'])),
            Change::WindowsLines(file) => self.lines(file, |lines| {
                for each in lines.iter_mut().filter(|each| each.ends_with(b"\n") && !each.ends_with(b"\r\n")) {
                    each.splice(each.len() - 1.., *b"\r\n");
                }
            }),
            Change::Submodule(id) => {
                self.put(b"module", Entry { mode: "160000", content: format!("{:040}", id + 1).into_bytes() });
            }
            Change::Attributes(folder, line) => {
                let folder = folder.map_or_else(Vec::new, |folder| [folder, &b"/"[..]].concat());
                let path = [&folder, &b".gitattributes"[..]].concat();
                let known = self.files.get(&path).map_or(&b""[..], |entry| &entry.content);
                let content = [known, line, b"\n"].concat();
                self.put(&path, Entry { mode: "100644", content });
            }
            Change::Tag(tag) => self.tag = *tag,
            Change::Size(size) => self.size = *size,
            Change::Name(name) => self.name = *name,
        }
    }

    /// What a merge takes in: the files that are only there.
    fn take(&mut self, other: &Self) {
        for (path, entry) in &other.files {
            let clash = |known: &Vec<u8>| known.starts_with(path) || path.starts_with(known);
            if !self.files.keys().any(clash) {
                self.files.insert(path.clone(), entry.clone());
            }
        }
    }
}

/// A commit: where it is in the story, and what it holds.
struct Made {
    parents: Vec<usize>,
    state: State,
}

impl Story {
    /// The commits, and which of them are the heads of dev and qa.
    fn commits(&self) -> (Vec<Made>, [usize; 2]) {
        let mut state = State::default();
        self.begin.iter().for_each(|change| state.apply(change));
        let mut made = vec![Made { parents: Vec::new(), state: state.clone() }];
        let mut heads = [0, 0];
        if self.apart {
            made.push(Made { parents: Vec::new(), state });
            heads = [0, 1];
        }
        for step in &self.steps {
            let before = heads;
            let sides: &[usize] = match step {
                Step::Commit(dev, _) | Step::Take(dev) => &[usize::from(!*dev)],
                Step::Cross => &[0, 1],
            };
            for &side in sides {
                let mut state = made[before[side]].state.clone();
                let mut parents = vec![before[side]];
                match step {
                    Step::Commit(_, changes) => changes.iter().for_each(|change| state.apply(change)),
                    Step::Take(_) | Step::Cross if before[0] != before[1] && !self.apart => {
                        state.take(&made[before[1 - side]].state);
                        parents.push(before[1 - side]);
                    }
                    Step::Take(_) | Step::Cross => continue,
                }
                made.push(Made { parents, state });
                heads[side] = made.len() - 1;
            }
        }
        (made, heads)
    }

    /// Both histories, for `git fast-import`, with branches of this number.
    pub(super) fn stream(&self, number: usize) -> Vec<u8> {
        let (commits, heads) = self.commits();
        let decided = Some(commits[heads[0]].state.tag).filter(|_| self.pinned);
        let mut stream = Vec::new();
        for (place, prefix, tag) in [(0, "", None), (1, "settled-", decided)] {
            let mark = |index: usize| number * 1_000 + place * 500 + index + 1;
            for (index, Made { parents, state }) in commits.iter().enumerate() {
                let tag = tag.unwrap_or(state.tag);
                // Two commits a second: some are of the same time.
                let time = 1_767_225_600 + index / 2;
                let head = format!(
                    "commit refs/heads/scratch\nmark :{}\ncommitter Ada <ada@example.org> {time} +0000\ndata 0\n",
                    mark(index)
                );
                stream.extend(head.into_bytes());
                for (count, parent) in parents.iter().enumerate() {
                    stream.extend(
                        format!("{} :{}\n", if count == 0 { "from" } else { "merge" }, mark(*parent)).into_bytes(),
                    );
                }
                stream.extend(b"deleteall\n");
                let config = format!(
                    "{{\n  \"size\": {},\n  \"tag\": \"v{tag}\",\n  \"name\": \"n{}\"\n}}\n",
                    state.size, state.name
                );
                let config = Entry { mode: "100644", content: config.into_bytes() };
                for (path, entry) in state.files.iter().chain([(&b"config.json".to_vec(), &config)]) {
                    write(&mut stream, path, entry);
                }
                stream.extend(b"\nreset refs/heads/scratch\n\n");
            }
            for (branch, head) in [("dev", heads[0]), ("qa", heads[1])] {
                let reset = format!("reset refs/heads/{prefix}{branch}{number}\nfrom :{}\n\n", mark(head));
                stream.extend(reset.into_bytes());
            }
        }
        stream
    }
}

fn write(stream: &mut Vec<u8>, path: &[u8], entry: &Entry) {
    let quoted: String = path.iter().map(|byte| format!("\\{byte:03o}")).collect();
    if entry.mode == "160000" {
        stream.extend(format!("M 160000 {} \"{quoted}\"\n", String::from_utf8_lossy(&entry.content)).into_bytes());
        return;
    }
    stream.extend(format!("M {} inline \"{quoted}\"\ndata {}\n", entry.mode, entry.content.len()).into_bytes());
    stream.extend(&entry.content);
    stream.push(b'\n');
}
