//! The limits that the kernel holds: `prlimit` (util-linux) sets them within the box, for the command and all its children.

use rustix::process::{Pid, Resource, getrlimit, setpriority_process};

use super::settings::{Limits, Sandbox};

pub(super) const MIB: u64 = 1024 * 1024;
/// How far commands stand back for processor time: a tenth of it remains to one where the server needs it, as much as a build
/// needs to end in time on a busy machine. See also `sessions.rs`.
const NICENESS: i32 = 10;

impl Sandbox {
    /// Lets what makes the box stand back as well: most of the work of a short command is its box.
    pub(crate) fn stand_back(&self, outside: Option<Pid>) {
        if let Some(outside) = outside.filter(|_| self.is_on()) {
            // One that has ended needs nothing.
            let _ = setpriority_process(Some(outside), NICENESS);
        }
    }
}

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
        let nice = ["nice".to_owned(), "-n".to_owned(), NICENESS.to_string()].into_iter();
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
