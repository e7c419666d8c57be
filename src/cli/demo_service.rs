//! The service that the demo delivers: a few answers over HTTP, so that the demo needs nothing that is not in this
//! program. Not for anything else.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A client that does not say what it wants by then is let go.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);
/// The request line and headers; more than that is no request for us.
const REQUEST_LIMIT_BYTES: usize = 8 * 1024;

/// Serves on 127.0.0.1 at `port` until it is killed: `/health` answers 200 with the content of `version_file`, or
/// 503 when it cannot be read; `/` answers with a greeting and the version; all else is 404.
pub async fn serve(port: u16, version_file: &Path) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    tracing::info!(port, "the demo service listens");
    loop {
        let (stream, _) = listener.accept().await?;
        let version = std::fs::read_to_string(version_file);
        tokio::spawn(async move {
            // A client that goes away is no concern of the others.
            let _ = tokio::time::timeout(REQUEST_DEADLINE, answer(stream, version)).await;
        });
    }
}

async fn answer(mut stream: TcpStream, version: io::Result<String>) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        if request.len() >= REQUEST_LIMIT_BYTES || stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let line = String::from_utf8_lossy(&request);
    let path = line.split_whitespace().nth(1).unwrap_or_default();
    let (status, body) = match (path, version) {
        ("/health", Ok(version)) => ("200 OK", version),
        ("/", Ok(version)) => ("200 OK", format!("Hello, this is version {}.\n", version.trim())),
        ("/health" | "/", Err(error)) => ("503 Service Unavailable", format!("no version: {error}\n")),
        _ => ("404 Not Found", "there is nothing here\n".to_owned()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    stream.shutdown().await
}
