//! Commands over a Unix socket, for users of the machine who cannot open the database: how they are asked and answered. Every
//! command goes this way as it was typed, so that there is no second list of them; what it prints comes back.

pub(super) mod answer;
pub(super) mod client;
pub(super) mod server;

use std::io;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// How long what is asked may be, in bytes: a command line with a long reason.
const MOST_ASKED: usize = 64 * 1024;
/// How much is said at once, in bytes.
const MOST_SAID: usize = 64 * 1024;

/// What is asked: a command line, and what is known only where it was typed. Who asks is not in it: the kernel says that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The command line without the program's name.
    arguments: Vec<String>,
    /// In whose name it is asked, where `TIDEGATE_AS` says so.
    in_name_of: Option<String>,
    /// Whether colours may be used.
    colours: bool,
    /// How many columns the terminal has; none where the output does not go to one.
    columns: Option<u16>,
}

/// What comes back, in pieces.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// For standard output.
    Output(Vec<u8>),
    /// For standard error.
    Error(Vec<u8>),
    /// The command has ended, with this exit code.
    Ended(u8),
}

impl Asked {
    async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        write_piece(to, b'?', &serde_json::to_vec(self)?, MOST_ASKED).await
    }

    async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        match read_piece(from, MOST_ASKED).await? {
            (b'?', asked) => Ok(serde_json::from_slice(&asked)?),
            (kind, _) => Err(invalid(format!("nothing is asked by a piece of kind {kind}"))),
        }
    }
}

impl Said {
    async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        match self {
            Self::Output(bytes) => write_piece(to, b'o', bytes, MOST_SAID).await,
            Self::Error(bytes) => write_piece(to, b'e', bytes, MOST_SAID).await,
            Self::Ended(code) => write_piece(to, b'.', &[*code], MOST_SAID).await,
        }
    }

    async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        match read_piece(from, MOST_SAID).await? {
            (b'o', bytes) => Ok(Self::Output(bytes)),
            (b'e', bytes) => Ok(Self::Error(bytes)),
            (b'.', bytes) => match bytes.as_slice() {
                [code] => Ok(Self::Ended(*code)),
                _ => Err(invalid("an exit code is one byte".to_owned())),
            },
            (kind, _) => Err(invalid(format!("nothing is said by a piece of kind {kind}"))),
        }
    }
}

/// A piece: its kind, how long it is (four bytes, the highest first), and that much.
async fn write_piece(to: &mut (impl AsyncWrite + Unpin), kind: u8, bytes: &[u8], most: usize) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= most);
    let length = length.ok_or_else(|| invalid(format!("{} bytes are more than {most}", bytes.len())))?;
    let mut piece = vec![kind];
    piece.extend(length.to_be_bytes());
    piece.extend(bytes);
    to.write_all(&piece).await?;
    to.flush().await
}

async fn read_piece(from: &mut (impl AsyncRead + Unpin), most: usize) -> io::Result<(u8, Vec<u8>)> {
    let (kind, length) = (from.read_u8().await?, from.read_u32().await?);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > most {
        return Err(invalid(format!("{length} bytes are more than {most}")));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).await?;
    Ok((kind, bytes))
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_said_is_heard_and_nothing_that_is_too_long_or_cut_off() {
        let mut line = Vec::new();
        let said = [Said::Output(b"a\n".to_vec()), Said::Error(vec![0xff]), Said::Ended(3)];
        for said in &said {
            said.write(&mut line).await.expect("a list takes all");
        }
        let mut heard = line.as_slice();
        for said in said {
            assert_eq!(Said::read(&mut heard).await.expect("it was said"), said);
        }
        for (bad, kind) in [
            (&line[..4], io::ErrorKind::UnexpectedEof),
            (&line[..6], io::ErrorKind::UnexpectedEof),
            (b"o\xff\xff\xff\xff", io::ErrorKind::InvalidData),
            (b"x\0\0\0\0", io::ErrorKind::InvalidData),
            (b".\0\0\0\0", io::ErrorKind::InvalidData),
        ] {
            assert_eq!(Said::read(&mut { bad }).await.map_err(|error| error.kind()), Err(kind), "{bad:?}");
        }
        let asked = Asked { arguments: vec!["x".repeat(MOST_ASKED)], in_name_of: None, colours: false, columns: None };
        assert!(asked.write(&mut Vec::new()).await.is_err(), "it is too long");
        assert!(Asked::read(&mut b"?\0\0\0\x02{}".as_slice()).await.is_err(), "a field is missing");
    }
}
