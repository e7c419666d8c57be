//! Whether this machine has what the box is made with.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use super::arguments::Room;
use super::settings::Sandbox;

/// What a person does about a missing box.
pub(crate) const HINT: &str = "install bubblewrap 0.8 or newer (`apt-get install bubblewrap`), and let users make user \
namespaces (`sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0`, as far as the machine has these); \
or write `sandbox = \"none\"` into tidegate.toml, which lets these commands do all that Tidegate can";

impl Sandbox {
    /// Runs a command that does nothing in the box. Blocks for some milliseconds.
    ///
    /// # Errors
    /// Why there is no box, and what to do.
    pub fn probe(&self) -> Result<(), String> {
        let environment = BTreeMap::new();
        let room =
            Room { directory: Path::new("/"), writable: &[], readable: &[], network: false, environment: &environment };
        let line = self.around(&["true".to_owned()], &room);
        let Some((program, arguments)) = line.split_first() else { return Ok(()) };
        let ran = Command::new(program).args(arguments).stdin(Stdio::null()).output();
        let why = match ran {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; "),
            Err(error) => format!("{}: {error}", program.display()),
        };
        Err(format!("commands cannot be put into a sandbox ({why}); {HINT}"))
    }
}
