//! The box that commands of repositories and rules run in: bubblewrap, which gives them namespaces of their own (users,
//! processes, network, host name, semaphores) and a view of the file system with little in it; Landlock and a filter of
//! system calls, where the kernel has them; and limits to what they use. Nothing here trusts what runs in the box. `docs/security.md` says what it buys.

mod arguments;
mod cgroup;
mod landlock;
mod limits;
mod memory;
mod probe;
mod sessions;
mod settings;
mod system;
mod system_calls;
mod watch;
mod within;

pub(crate) use arguments::Room;
pub(crate) use cgroup::Cage;
pub use cgroup::divide;
pub(crate) use probe::HINT;
pub use settings::{Limits, Sandbox, SandboxKind};
pub(crate) use watch::{excess, fits};
pub use within::shut_and_become;
