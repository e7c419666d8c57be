//! A program that takes secrets out of what another prints, for as long as that runs: between a service that is given secrets
//! and its log. It is the service's parent, so that neither is there without the other.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use super::given::read_secret;
use super::redaction::Redaction;

/// After so long without more, what may be the beginning of a secret is printed all the same: a log must not lag behind.
const QUIET: Duration = Duration::from_secs(1);
/// As a shell says which signal ended a command.
const SIGNALLED: i32 = 128;

/// Runs a command to its end, without these secrets in what it prints, and returns its exit code. SIGTERM is for the command
/// alone, which gets it by itself: what it prints while it ends is to be redacted too.
///
/// # Errors
/// When a secret cannot be read, or the command not be run.
pub async fn run_redacted(secrets: &[PathBuf], command: &[OsString]) -> io::Result<i32> {
    let mut ends = signal(SignalKind::terminate())?;
    let values: Vec<Vec<u8>> =
        secrets.iter().map(|file| read_secret(file).map_err(io::Error::other)).collect::<Result<_, _>>()?;
    let Some((program, arguments)) = command.split_first() else {
        return Err(io::Error::other("there is no command to run"));
    };
    // One stream, so that lines of both stay whole and in their order.
    let (reader, writer) = io::pipe()?;
    let mut reader = pipe::Receiver::from_owned_fd(reader.into())?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::inherit())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .kill_on_drop(true)
        .spawn()?;
    let copied = copy(&mut reader, Redaction::of(values.iter().map(Vec::as_slice)), io::stdout());
    let ignored = async { while ends.recv().await.is_some() {} };
    tokio::select! {
        () = copied => {}
        () = ignored => {}
    }
    let status = child.wait().await?;
    Ok(status.code().unwrap_or_else(|| SIGNALLED + status.signal().unwrap_or_default()))
}

/// Copies until the end, without the secrets. Where nobody takes it any more, it is thrown away: the command must not wait.
async fn copy(from: &mut (impl AsyncRead + Unpin), mut redaction: Redaction, mut to: impl Write) {
    let mut buffer = vec![0; 64 * 1024];
    let mut write = |bytes: &[u8]| drop(to.write_all(bytes).and_then(|()| to.flush()));
    loop {
        match tokio::time::timeout(QUIET, from.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => break,
            Ok(Ok(length)) => redaction.add(&buffer[..length], &mut write),
            Err(_) => redaction.end(&mut write),
        }
    }
    redaction.end(&mut write);
}
