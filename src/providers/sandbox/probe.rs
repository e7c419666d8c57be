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
    /// Runs a command in the box that does nothing but look what the kernel lacks for it. Blocks for some milliseconds.
    /// Returns what is lacking, without which the box is less, a line for each.
    ///
    /// # Errors
    /// Why there is no box, and what to do.
    pub fn probe(&self) -> Result<Vec<String>, String> {
        let environment = BTreeMap::new();
        let (directory, environment) = (Path::new("/"), &environment);
        let room = Room { directory, writable: &[], elsewhere: &[], readable: &[], network: false, environment };
        let looks = self.program.iter().map(|program| program.display().to_string());
        let looks = looks.flat_map(|program| [program, "boxed".to_owned(), "--tell".to_owned(), "--".to_owned()]);
        let line = self.around(&looks.chain(["true".to_owned()]).collect::<Vec<_>>(), &room);
        let Some((program, arguments)) = line.split_first().filter(|_| self.is_on()) else { return Ok(Vec::new()) };
        let ran = Command::new(program).args(arguments).stdin(Stdio::null()).output();
        let why = match ran {
            Ok(output) if output.status.success() => {
                return Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect());
            }
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; "),
            Err(error) => format!("{}: {error}", program.display()),
        };
        Err(format!("commands cannot be put into a sandbox ({why}); {HINT}"))
    }
}
