//! Bytes that were made to end, stop, fill or fool who reads them, through every reader of what others write: each in a process
//! of its own with little memory and a small stack, and with inputs that were changed at random besides.

mod answers;
mod corpus;
mod mutated;
mod readers;

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tidegate::fuzzed::TARGETS;

/// How long one reader may take for all of the corpus, in a debug build on a busy machine: not a measure of speed, but the
/// end of what would never end.
const DEADLINE: Duration = Duration::from_secs(200);
/// The memory that a reader may ask for, in KiB, with the program itself and the input.
const MEMORY_KIB: u64 = 1 << 20;
/// As small as the stacks of the threads that work is done on.
const STACK_BYTES: usize = 2 << 20;
/// The variable that tells the child which reader it is to run.
const READER: &str = "TIDEGATE_HOSTILE_READER";

/// Runs one reader over the corpus, where a parent asks for it.
#[test]
fn child() {
    let Ok(name) = std::env::var(READER) else { return };
    let (_, read) = TARGETS.into_iter().find(|(target, _)| *target == name).unwrap();
    for (input, bytes) in corpus::of(&name) {
        println!("{input}");
        std::io::stdout().flush().unwrap();
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        thread.spawn(move || read(&bytes)).unwrap().join().unwrap();
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
    println!("all of it was read");
}

/// Runs a reader over the corpus in a process that may take so much memory, and no more.
fn survives(name: &str) {
    let program = std::env::current_exe().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -c 0; ulimit -v {MEMORY_KIB}; exec \"$0\" \"$@\"")]).arg(program);
    shell.args(["--exact", "hostile_input::child", "--nocapture", "--test-threads=1"]).env(READER, name);
    let output = tempfile::NamedTempFile::new().unwrap();
    shell.stdout(output.reopen().unwrap()).stderr(output.reopen().unwrap()).stdin(Stdio::null());
    let mut child = shell.spawn().unwrap();
    let begun = Instant::now();
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break Some(ended);
        }
        if begun.elapsed() > DEADLINE {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let said = String::from_utf8_lossy(&std::fs::read(output.path()).unwrap()).into_owned();
    let last: Vec<&str> = said.lines().rev().take(12).collect();
    let passed = ended.is_some_and(|status| status.success()) && said.contains("all of it was read");
    assert!(passed, "{name} ended with {ended:?}; it said last, newest first: {last:#?}");
}

/// A test for each reader over the corpus, and one over inputs that are changed at random.
macro_rules! readers {
    ($($name:ident: $cases:expr),* $(,)?) => {
        $(mod $name {
            #[test]
            fn survives_what_is_hostile() {
                super::survives(stringify!($name));
            }

            #[test]
            fn survives_what_was_changed_at_random() {
                super::mutated::survives(stringify!($name), $cases);
            }
        })*

        /// The readers that are tried, in the order of their names.
        const TRIED: &[&str] = &[$(stringify!($name)),*];
    };
}

readers! {
    archives: 150,
    attributes: 400,
    commits: 400,
    components: 300,
    deliveries: 300,
    documents: 400,
    edits: 400,
    globs: 400,
    guard: 15,
    log: 300,
    remotes: 400,
    reports: 300,
    rules: 150,
    templates: 200,
    times: 200,
    words: 300,
}

#[test]
fn every_reader_is_tried_and_has_seeds() {
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, TRIED);
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let mut folders: Vec<_> = std::fs::read_dir(seeds).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    folders.sort();
    assert_eq!(folders, names, "`scripts/fuzz` tries what has seeds");
}
