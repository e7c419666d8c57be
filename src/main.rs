//! The `tidegate` program: arguments to [`tidegate::cli`].

use std::process::ExitCode;

use clap::Parser as _;
use tidegate::{
    cli::{Cli, exit_code},
    telemetry,
};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::start(cli.is_server());
    match cli.execute().await {
        Ok(code) => code,
        Err(error) => {
            telemetry::say_error(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}
