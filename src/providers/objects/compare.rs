//! Whether an object holds the bytes that somebody wants to put under its name.

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{CHUNK_BYTES, Reader, Source};
use crate::providers::{Fault, files};

/// Fails when what is there has other bytes than the source. `tried` says who wanted what.
pub(super) async fn same_or_refused(source: Source<'_>, there: Reader, tried: &str) -> Result<(), Fault> {
    let compared = async {
        match source {
            Source::Bytes(bytes) if bytes.len() as u64 != there.length_bytes => Ok(false),
            Source::Bytes(bytes) => same_bytes(bytes, there.bytes).await,
            Source::File(path) => {
                let file = tokio::fs::File::open(path).await?;
                if file.metadata().await?.len() != there.length_bytes {
                    return Ok(false);
                }
                same_bytes(file, there.bytes).await
            }
        }
    };
    if compared.await.map_err(|error| files::fault(tried, &error))? {
        return Ok(());
    }
    Err(Fault::fail(
        format!("{tried}: there is an object of this name with other bytes"),
        "names are given by content, so one of the two was made wrongly; compare them, and remove the wrong one",
    ))
}

async fn same_bytes(
    mut left: impl AsyncRead + Send + Unpin,
    mut right: impl AsyncRead + Send + Unpin,
) -> std::io::Result<bool> {
    let (mut left_buffer, mut right_buffer) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    loop {
        let left_length = fill(&mut left, &mut left_buffer).await?;
        let right_length = fill(&mut right, &mut right_buffer).await?;
        if left_buffer[..left_length] != right_buffer[..right_length] {
            return Ok(false);
        }
        if left_length == 0 {
            return Ok(true);
        }
    }
}

async fn fill(reader: &mut (impl AsyncRead + Send + Unpin), buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match reader.read(&mut buffer[length..]).await? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}
