//! The box in tests: on wherever the machine has one, so that every test proves that the work can be done in it.

use std::sync::OnceLock;

use tidegate::providers::sandbox::{Sandbox, SandboxKind};

use crate::local_support::TIDEGATE;

/// Whether this machine can put commands into a box. In some containers it cannot.
pub(crate) fn is_here() -> bool {
    static IS_HERE: OnceLock<bool> = OnceLock::new();
    *IS_HERE.get_or_init(|| match Sandbox::default().probe() {
        Ok(_) => true,
        Err(missing) => {
            println!("without a sandbox: {missing}");
            false
        }
    })
}

/// The box that commands run in, in which the program under test can be run.
pub(crate) fn sandbox() -> Sandbox {
    let kind = if is_here() { SandboxKind::Bubblewrap } else { SandboxKind::None };
    Sandbox { kind, tools: vec![TIDEGATE.into()], program: Some(TIDEGATE.into()), ..Sandbox::default() }
}

/// What a settings file says of it, before its tables. Tests put what is outside of their repositories, and is read by their
/// commands, into files of these names in the settings' folder.
pub(crate) fn settings() -> String {
    let none = if is_here() { "" } else { "sandbox = \"none\"\n" };
    format!("{none}tools = [\"{TIDEGATE}\", \"probe\", \"packages\"]\n")
}
