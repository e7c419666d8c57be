//! What shuts the box from within: a process of this program's, the first in the box, that takes from itself what no command
//! needs, and becomes the command. What it takes never comes back, for it and all that it starts.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use super::{landlock, system_calls};

/// Shuts the box around this process, and becomes `command`. What this machine's kernel lacks for it is left out, and said on
/// standard output where `tell` is set, a line for each.
///
/// To be called by the first thread, before there is anything that must be closed: this process is replaced.
///
/// # Errors
/// Returns only when it failed.
pub fn shut_and_become(command: &[OsString], writable: &[PathBuf], tell: bool) -> io::Error {
    let lacking = match (landlock::restrict(writable), system_calls::filter()) {
        (Ok(of_landlock), Ok(of_filter)) => of_landlock.into_iter().chain(of_filter),
        (Err(error), _) => return io::Error::other(format!("the box cannot be shut by Landlock: {error}")),
        (_, Err(error)) => return io::Error::other(format!("the box cannot be shut by seccomp: {error}")),
    };
    if tell {
        for lacking in lacking {
            if let Err(error) = writeln!(io::stdout(), "{lacking}") {
                return error;
            }
        }
    }
    let Some((program, arguments)) = command.split_first() else {
        return io::Error::other("the box has no command to run");
    };
    let error = Command::new(program).args(arguments).exec();
    io::Error::other(format!("the box cannot run {}: {error}", program.display()))
}
