//! The limits that the kernel holds: `prlimit` (util-linux) sets them within the box, for the command and all its children.

use rustix::process::{Resource, getrlimit};

use super::settings::Limits;

pub(super) const MIB: u64 = 1024 * 1024;
/// How far commands stand back for processor time: less than a tenth of it remains to one where the server needs it. See
/// `sessions.rs`, too.
const NICENESS: &str = "10";

impl Limits {
    /// That all of a command's processes together had too much memory, and how much where that is known.
    pub(crate) fn too_much_memory(self, bytes: Option<u64>) -> String {
        let had = bytes.map_or_else(|| "more".to_owned(), |bytes| format!("{} MiB", bytes.div_ceil(MIB)));
        let (most, limit) = (self.all_memory_mib, "`all_memory_mib` of `step_limits`");
        format!("had {had} of memory in all its processes together, and may have {most} MiB ({limit})")
    }

    /// The most bytes in the command's folders.
    pub(super) fn disk_bytes(self) -> u64 {
        u64::from(self.disk_mib) * MIB
    }

    /// The most bytes of memory of all its processes together.
    pub(super) fn all_memory_bytes(self) -> u64 {
        u64::from(self.all_memory_mib) * MIB
    }

    /// The command line that sets the limits; the command follows.
    ///
    /// Memory is that of data, because programs reserve addresses by the terabyte that they never use. The kernel counts
    /// processes per user and user namespace, so only those of this box count; it does not hold root to it.
    pub(super) fn prlimit(self) -> Vec<String> {
        let at_most = |resource: Resource, wanted: u64| {
            // A limit that we have ourselves cannot be raised.
            getrlimit(resource).maximum.map_or(wanted, |ours| ours.min(wanted))
        };
        // The server, and the git that it runs, come before what they run for others.
        let nice = ["nice", "-n", NICENESS].map(str::to_owned).into_iter();
        let limits = [
            "prlimit".to_owned(),
            format!("--nproc={}", at_most(Resource::Nproc, u64::from(self.processes))),
            format!("--data={}", at_most(Resource::Data, u64::from(self.memory_mib) * MIB)),
            format!("--fsize={}", at_most(Resource::Fsize, self.disk_bytes())),
            "--core=0".to_owned(),
        ];
        nice.chain(limits).collect()
    }
}
