//! What the program says of itself, on standard error: log lines for a server, errors for a person.

mod limit;

use std::io::{IsTerminal as _, Write as _};

use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use self::limit::Limit;
use crate::rules::printable;

/// Starts logging: what a server does at level `info`, other commands only warnings; `TIDEGATE_LOG` says otherwise.
pub fn start(is_server: bool) {
    let default = if is_server { "tidegate=info,warn" } else { "tidegate=warn,error" };
    let filter = EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_filter(Limit::default());
    tracing_subscriber::registry().with(lines).with(filter).init();
}

/// Says an error to the person who typed the command: the error, then what caused it.
pub fn say_error(error: &anyhow::Error) {
    let mut text = format!("tidegate: {error}");
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(&format!("\n  because: {cause}"));
        }
    }
    // Where standard error is gone there is nobody to tell.
    drop(writeln!(std::io::stderr(), "{}", printable(&text)));
}
