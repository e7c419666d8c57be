//! A tar that others wrote, bounded while it is read: what of it would be held in memory (long names, extensions), how many
//! entries it has, and how long it is. It hands on every byte as it is, or fails.

use std::io::{self, Read};

use tar::{EntryType, Header, PaxExtensions};

/// How many entries an archive may have.
const MOST_ENTRIES: u64 = 1_000_000;
/// How many bytes it may have, unpacked.
const MOST_BYTES: u64 = 64 << 30;
/// The longest name, link or set of extensions of an entry, in bytes: the reader has it in memory.
const LONGEST_RECORD: u64 = 1 << 20;
const BLOCK: usize = 512;

/// A reader that watches what goes through it.
pub(super) struct Guarded<R> {
    inner: R,
    left: u64,
    entries: u64,
    /// What of a header has gone through.
    header: Vec<u8>,
    /// What of extensions has gone through, while they do.
    extensions: Option<Vec<u8>>,
    /// How many bytes the entry still has, to the end of its last block; and how many of these are its own.
    rest: (u64, u64),
    /// The size that extensions give to the next entry.
    next_size: Option<u64>,
}

impl<R> Guarded<R> {
    pub(super) fn new(inner: R) -> Self {
        let (header, extensions, next_size) = (Vec::new(), None, None);
        Self { inner, left: MOST_BYTES, entries: 0, header, extensions, rest: (0, 0), next_size }
    }

    fn watch(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or(format!("more than {MOST_BYTES} bytes"))?;
        while !bytes.is_empty() {
            if self.rest.0 > 0 {
                bytes = self.content(bytes);
                continue;
            }
            let (of_header, after) = bytes.split_at(bytes.len().min(BLOCK - self.header.len()));
            self.header.extend_from_slice(of_header);
            bytes = after;
            if self.header.len() == BLOCK {
                self.begin()?;
                self.header.clear();
            }
        }
        Ok(())
    }

    /// Takes in what of these bytes is an entry's, and returns the others.
    fn content<'bytes>(&mut self, bytes: &'bytes [u8]) -> &'bytes [u8] {
        let length = usize::try_from(self.rest.0).unwrap_or(usize::MAX).min(bytes.len());
        let own = usize::try_from(self.rest.1).unwrap_or(usize::MAX).min(length);
        if let Some(extensions) = &mut self.extensions {
            extensions.extend_from_slice(&bytes[..own]);
        }
        self.rest = (self.rest.0 - length as u64, self.rest.1 - own as u64);
        if self.rest.0 == 0
            && let Some(extensions) = self.extensions.take()
        {
            let mut sizes = PaxExtensions::new(&extensions).flatten().filter(|one| one.key() == Ok("size"));
            self.next_size = sizes.next().and_then(|size| size.value().ok()?.parse().ok());
        }
        &bytes[length..]
    }

    /// An entry begins: its header is whole.
    fn begin(&mut self) -> Result<(), String> {
        if self.header.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        self.entries += 1;
        if self.entries > MOST_ENTRIES {
            return Err(format!("more than {MOST_ENTRIES} entries"));
        }
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(&self.header);
        let written = header.entry_size().map_err(|error| error.to_string())?;
        let is_extension = match header.entry_type() {
            EntryType::GNULongName | EntryType::GNULongLink => false,
            EntryType::XHeader | EntryType::XGlobalHeader => true,
            // A header of a few bytes would make a file of any size.
            EntryType::GNUSparse => return Err("a file with holes, which is not taken".to_owned()),
            _ => {
                self.rest = blocks(self.next_size.take().unwrap_or(written))?;
                return Ok(());
            }
        };
        if written > LONGEST_RECORD {
            return Err(format!("a name or extension of {written} bytes; {LONGEST_RECORD} at most are read"));
        }
        self.rest = blocks(written)?;
        self.extensions = is_extension.then(Vec::new);
        Ok(())
    }
}

/// How many bytes an entry takes in the archive, and how many of them are its own.
fn blocks(size: u64) -> Result<(u64, u64), String> {
    let whole = size.checked_next_multiple_of(BLOCK as u64).ok_or("an entry without an end")?;
    Ok((whole, size))
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        let refused = |problem| io::Error::new(io::ErrorKind::InvalidData, format!("the archive has {problem}"));
        self.watch(&buffer[..length]).map_err(refused)?;
        Ok(length)
    }
}
