//! Good inputs that are changed at random: so many cases, and not for so long. What fails is made small and shown.

use std::path::Path;

use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use tidegate::fuzzed::TARGETS;

/// What means something to one reader or another.
const WORDS: [&str; 28] = [
    "\n",
    "\0",
    "\u{1b}[2J",
    "\u{202e}",
    "\u{feff}",
    "[",
    "]",
    "{",
    "}",
    "{{",
    "}}",
    ": ",
    "- ",
    "? ",
    "&a ",
    "*a",
    "<<: *a\n",
    "!Ref ",
    "\"",
    "\\ud800",
    "99999999999999999999",
    "-1",
    "1e999",
    "**/",
    "../",
    "\t",
    "Tidegate-Key: ",
    "---\n",
];

/// One change: where, as a share of the length, and what.
#[derive(Debug, Clone)]
enum Change {
    Flip(u16, u8),
    Insert(u16, usize),
    Remove(u16, u8),
    Repeat(u16, u8, u8),
    Cut(u16),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<u16>(), any::<u8>()).prop_map(|(at, bits)| Change::Flip(at, bits)),
        (any::<u16>(), 0..WORDS.len()).prop_map(|(at, word)| Change::Insert(at, word)),
        (any::<u16>(), any::<u8>()).prop_map(|(at, length)| Change::Remove(at, length)),
        (any::<u16>(), any::<u8>(), 1u8..40).prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        any::<u16>().prop_map(Change::Cut),
    ]
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        let place = |at: u16| length * usize::from(at) / (usize::from(u16::MAX) + 1);
        match *self {
            Self::Flip(at, bits) => {
                if let Some(byte) = bytes.get_mut(place(at)) {
                    *byte ^= bits;
                }
            }
            Self::Insert(at, word) => drop(bytes.splice(place(at)..place(at), WORDS[word].bytes())),
            Self::Remove(at, count) => drop(bytes.drain(place(at)..(place(at) + usize::from(count)).min(length))),
            Self::Repeat(at, count, times) => {
                let part = bytes[place(at)..(place(at) + usize::from(count)).min(length)].repeat(usize::from(times));
                drop(bytes.splice(place(at)..place(at), part));
            }
            Self::Cut(at) => bytes.truncate(place(at)),
        }
    }
}

/// Gives a reader its seeds, and so many others that were made of them.
pub(super) fn survives(name: &str, cases: u32) {
    let (_, read) = TARGETS.into_iter().find(|(target, _)| *target == name).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|path| std::fs::read(path).unwrap()).collect();
    seeds.iter().for_each(|seed| read(seed));
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let input = (0..seeds.len(), vec(change(), 1..6)).prop_map(move |(seed, changes)| {
        let mut bytes = seeds[seed].clone();
        changes.iter().for_each(|change| change.apply(&mut bytes));
        bytes
    });
    let tried = TestRunner::new(config).run(&input, |bytes| {
        read(&bytes);
        Ok(())
    });
    tried.unwrap_or_else(|failed| panic!("{name}: {failed}"));
}
