//! The box that commands of repositories and rules run in: bubblewrap, which gives them namespaces of their own (users,
//! processes, network, host name, semaphores) and a view of the file system with little in it; and limits to what they
//! use. Nothing here trusts what runs in the box. `docs/security.md` says what it buys.

mod arguments;
mod limits;
mod probe;
mod settings;
mod system;
mod watch;

pub(crate) use arguments::Room;
pub(crate) use probe::HINT;
pub use settings::{Limits, Sandbox, SandboxKind};
pub(crate) use watch::excess;
