//! What most commands take: which system, and who asks.

use clap::Args;

use crate::house::asker::{Asked, Asker};
use crate::rules::SystemName;

/// Which system, and who asks.
#[derive(Debug, Args)]
pub(super) struct Asking {
    /// The system, where there is more than one
    #[arg(long, short)]
    pub(super) system: Option<SystemName>,
    #[command(flatten)]
    pub(super) who: Who,
}

impl Asking {
    /// The same, as it is known everywhere.
    pub(super) fn asked(&self) -> Asked {
        Asked { system: self.system.clone(), who: self.who.asker() }
    }
}

/// In whose name somebody asks.
#[derive(Debug, Clone, Args)]
pub(super) struct Who {
    /// Ask in this person's name, which needs the permission `impersonate` where the settings file lists people; without it
    /// you ask as yourself. `TIDEGATE_AS` says it for all commands
    #[arg(long = "as", value_name = "NAME")]
    in_name_of: Option<String>,
}

impl Who {
    /// Who asks.
    pub(super) fn asker(&self) -> Asker {
        Asker::typing(self.in_name_of.clone())
    }
}
