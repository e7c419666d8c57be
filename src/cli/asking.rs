//! What most commands take: which system, and who asks.

use clap::Args;

use crate::rules::SystemName;

/// Which system, and who asks.
#[derive(Debug, Args)]
pub(super) struct Asking {
    /// The system, where there is more than one
    #[arg(long, short)]
    pub(super) system: Option<SystemName>,
    /// Who asks; must be among the people of the settings file where it lists any. `TIDEGATE_AS` says it for all commands
    #[arg(long = "as", value_name = "NAME", default_value_t = asker(), hide_default_value = true)]
    pub(super) who: String,
}

/// Who asks, where the command line does not say so with `--as`: `TIDEGATE_AS`, or who is logged in.
pub(super) fn asker() -> String {
    let said = |name| std::env::var(name).ok().filter(|name| !name.is_empty());
    said("TIDEGATE_AS").or_else(|| said("USER")).unwrap_or_else(|| "operator".to_owned())
}
