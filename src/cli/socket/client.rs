//! Asks a server for a command over its socket, and prints what it says.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use tokio::net::UnixStream;

use super::{Asked, Said};
use crate::cli::{asker, output, settings::Settings};

/// The socket that the settings name, where their database is not for whoever types this. Nothing where they cannot be read:
/// what reads them then says so.
pub(in crate::cli) fn of_settings(config: &Path) -> Option<PathBuf> {
    let settings = Settings::read(config).ok()?;
    let socket = settings.server.socket?;
    let is_closed = |error: io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    std::fs::read_dir(&settings.data).is_err_and(is_closed).then_some(socket)
}

/// Has a server carry out the command line of this process. Returns with its exit code.
///
/// # Errors
/// When no server can be asked, or it breaks off; each says what to do.
pub(in crate::cli) async fn ask(socket: &Path) -> anyhow::Result<ExitCode> {
    let arguments = std::env::args_os().skip(1).map(|word| {
        word.into_string().map_err(|word| anyhow::anyhow!("`{}` is not UTF-8, and cannot be sent", word.display()))
    });
    let asked = Asked {
        arguments: arguments.collect::<anyhow::Result<_>>()?,
        in_name_of: asker::by_environment(),
        colours: output::colours(),
        columns: output::width().and_then(|columns| u16::try_from(columns).ok()),
    };
    let mut stream = UnixStream::connect(socket).await.with_context(|| {
        format!(
            "no server can be asked at {}: `tidegate serve` listens where `socket` in `[server]` of its settings says, \
             in a folder that you can enter",
            socket.display()
        )
    })?;
    match asked.write(&mut stream).await {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => bail!("this is too long to be sent: {error}"),
        // Of a server that hung up, the next read says so.
        _ => {}
    }
    loop {
        let said = Said::read(&mut stream).await;
        let printed = match said.context(
            "the server broke off; whether this was done is not certain: look with `tidegate status` and `tidegate history`",
        )? {
            Said::Output(bytes) => print(&mut io::stdout(), &bytes),
            Said::Error(bytes) => print(&mut io::stderr(), &bytes),
            Said::Ended(code) => return Ok(ExitCode::from(code)),
        };
        match printed {
            // Nobody reads it any more (`| head`).
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            Err(error) => bail!("what the server says cannot be printed: {error}"),
            Ok(()) => {}
        }
    }
}

fn print(to: &mut impl io::Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}
