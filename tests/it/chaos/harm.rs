//! What a hostile system does: all of it again and again, each time another thing.

use std::{fs, net::TcpListener, path::PathBuf};

use super::company::{Ground, Member};
use crate::support::repo::TestRepo;

/// How many repositories of a silent host each of them has.
const SILENT: usize = 8;
/// Commands that never end, that fork, that fill the disk, memory and whatever reads what they print.
pub(super) const COMMANDS: [&str; 5] = [
    "while :; do :; done",
    "while :; do sleep 100 & done",
    "yes > filled; dd if=/dev/zero of=more bs=1M count=10000",
    "yes",
    "x=x; while :; do x=$x$x; done",
];

/// A host that takes connections and never says a word.
pub(super) struct Silence {
    listener: TcpListener,
    /// Which of the commands are in the rules.
    commands: Vec<usize>,
}

impl Silence {
    pub(super) fn new() -> Self {
        Self::with_commands((0..COMMANDS.len()).collect())
    }

    pub(super) fn with_commands(commands: Vec<usize>) -> Self {
        // Nobody accepts: the kernel does, for as many as fit into its queue.
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap(), commands }
    }

    /// The rules of a system that means harm: many rules for each push, whose commands do not end, and repositories of a host
    /// that is silent.
    pub(super) fn rules(&self, member: &Member) -> String {
        let address = self.listener.local_addr().unwrap();
        let silent = (0..SILENT)
            .map(|number| format!("  silent-{number}: {{ url: 'http://{address}/{number}.git', poll: 1s }}\n"));
        let check = |(number, command): (usize, &&str)| {
            format!(
                "  harm-{number}:\n    on: {{ push: image }}\n    steps:\n      - check: {{ command: [sh, -c, '{command}'], every: 1s, within: 15s }}\n"
            )
        };
        let harm: String =
            COMMANDS.iter().enumerate().filter(|(number, _)| self.commands.contains(number)).map(check).collect();
        let pins = "  pins:\n    on: { push: software }\n    steps:\n      - commit: { repository: image, file: bomb.yaml, set: { /a: b } }\n";
        member
            .rules(&format!("{pins}{harm}"))
            .replace("rules:\n  package", &format!("{}rules:\n  package", silent.collect::<String>()))
    }
}

/// How many kinds of harm there are.
pub(super) const KINDS: usize = 9;

/// Does a harm of this kind; `turn` counts.
pub(super) fn next(ground: &Ground, member: &Member, silence: &Silence, (kind, turn): (usize, usize)) {
    let Member { software, image, .. } = member;
    match kind {
        0 => ground.write_rules(member, &silence.rules(member)),
        1 => drop(software.commit_tree("dev", "Boom", &software.bomb(9), &parents(software))),
        2 => drop(image.commit("dev", "Laugh", &[("bomb.yaml", &laughs()), ("notes.md", &turn.to_string())])),
        3 => {
            let tree = image.tree(image.head("dev").as_deref(), &[("120000", "config.json", "/etc/passwd")]);
            image.commit_tree("dev", "Link", &tree, &parents(image));
        }
        4 => ground.write_rules(member, &["- ".repeat(3_000), laughs(), "\u{202e}\0".to_owned()][turn / 9 % 3]),
        5 => damage(ground, member, turn),
        6 => {
            let files: Vec<(String, String)> =
                (0..200).map(|number| (format!("d/{number}"), format!("{turn}"))).collect();
            let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            let large = format!("{turn}").repeat(8 << 20);
            // On top of nothing: the head may be a tree that no index holds.
            let entries: Vec<(&str, &str, &str)> = files.iter().map(|(name, text)| ("100644", *name, *text)).collect();
            let tree = software.tree(None, &[&entries[..], &[("100644", "large", large.as_str())]].concat());
            software.commit_tree("dev", &"Long ".repeat(20_000), &tree, &parents(software));
        }
        7 => drop(software.commit_tree("dev", "Dig", &software.deep(300), &parents(software))),
        _ => drop(image.commit("dev", "Go on", &[("config.json", "{}\n"), ("notes.md", &turn.to_string())])),
    }
}

fn parents(repository: &TestRepo) -> Vec<String> {
    repository.head("dev").into_iter().collect()
}

fn laughs() -> String {
    let first = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    (1..40)
        .fold(first, |text, level| format!("{text}a{level}: &a{level} [{}]\n", format!("*a{}, ", level - 1).repeat(10)))
}

/// Cuts the objects of a system's own mirrors short, or takes the mirrors away.
fn damage(ground: &Ground, member: &Member, turn: usize) {
    let Ok(mirrors) = fs::read_dir(ground.mirrors()) else { return };
    let of_member = |path: &PathBuf| {
        path.is_dir() && path.file_name().is_some_and(|name| name.to_string_lossy().contains(&member.name))
    };
    for mirror in mirrors.flatten().map(|entry| entry.path()).filter(of_member) {
        if (turn / 9).is_multiple_of(2) {
            let _ = fs::remove_dir_all(mirror);
            continue;
        }
        let packs = fs::read_dir(mirror.join("objects/pack")).into_iter().flatten().flatten();
        for pack in packs {
            let file = fs::OpenOptions::new().write(true).open(pack.path());
            let _ = file.and_then(|file| file.set_len(100));
        }
    }
}
