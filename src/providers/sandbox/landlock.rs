//! The second wall around files, and what namespaces leave open: abstract sockets of the machine where a command shares its
//! network, and signals. TCP is left to the network namespace: programs that talk to themselves over loopback are many.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, LandlockStatus, PathBeneath, RestrictionStatus, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::fs::{FileType, fstat};

/// What is asked of the kernel: files whole, and scopes.
const WANTED: ABI = ABI::V6;
/// Where every command may write beside its own folders. What is there of the machine's is devices, which have rights of their own.
const WRITABLE: [&str; 2] = ["/tmp", "/dev"];

/// Lets this thread, and what it becomes, read what it sees, write to these folders only, and reach no abstract socket and no
/// process outside of it. Says what of this the kernel lacks.
pub(super) fn restrict(writable: &[PathBuf]) -> Result<Option<String>, RulesetError> {
    let all = AccessFs::from_all(WANTED);
    let folders = WRITABLE.iter().map(Path::new).chain(writable.iter().map(PathBuf::as_path));
    let mut ruleset = Ruleset::default()
        .handle_access(all)?
        .scope(Scope::from_all(WANTED))?
        .create()?
        .add_rules(path_beneath_rules(["/"], AccessFs::from_read(WANTED)))?
        .add_rules(path_beneath_rules(folders, all))?;
    // Files that it was given open can be opened again by /dev/stdin and its like.
    let of_file = AccessFs::from_file(WANTED) & !BitFlags::from(AccessFs::Execute);
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    for given in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
        let kind = fstat(given).map(|stat| FileType::from_raw_mode(stat.st_mode));
        if matches!(kind, Ok(FileType::RegularFile | FileType::CharacterDevice)) {
            ruleset = ruleset.add_rule(PathBeneath::new(given, of_file))?;
        }
    }
    Ok(lacking(&ruleset.restrict_self()?))
}

fn lacking(status: &RestrictionStatus) -> Option<String> {
    let has_scopes =
        matches!(status.landlock, LandlockStatus::Available { effective_abi, .. } if effective_abi >= WANTED);
    match status.ruleset {
        RulesetStatus::FullyEnforced => None,
        RulesetStatus::PartiallyEnforced if has_scopes => None,
        RulesetStatus::PartiallyEnforced => Some(
            "no scopes of Landlock (Linux 6.12 or newer has them): with `network: true`, commands reach abstract sockets of \
             this machine"
                .to_owned(),
        ),
        RulesetStatus::NotEnforced => Some(
            "no Landlock (Linux 6.12 or newer has all of it, with `landlock` in the `lsm=` of its command line): the mount \
             namespace alone keeps files, and with `network: true` commands reach abstract sockets of this machine"
                .to_owned(),
        ),
    }
}
