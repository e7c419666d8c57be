//! Reads the archives that `git archive` writes (git's `archive-tar.c`): ustar, with pax headers for what is too long for it.
//! Names are bytes; the `tar` crate reads pax headers by lines, and names may have several.

use std::io::{self, ErrorKind, Read};

const BLOCK: usize = 512;
/// The longest pax header that is read. Paths and links that are longer fit on no disk.
const LONGEST_HEADER: u64 = 1 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    Link,
    File { executable: bool },
}

/// An entry without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// From the top, without a slash at its end.
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
    /// Where a link leads; empty for all else.
    pub(super) link: Vec<u8>,
    pub(super) size_bytes: u64,
}

/// The entries of an archive, in its order.
pub(super) struct Entries<R> {
    reader: R,
    /// What is left of the present entry's content, and of the zeros after it.
    content: u64,
    padding: u64,
}

/// What pax headers say of the next entry.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size_bytes: Option<u64>,
}

impl<R: Read> Entries<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, content: 0, padding: 0 }
    }

    /// The next entry; what was not read of the one before is passed over.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut extended = Extended::default();
        loop {
            let left = self.content + self.padding;
            (self.content, self.padding) = (0, 0);
            if io::copy(&mut self.reader.by_ref().take(left), &mut io::sink())? < left {
                return Err(wrong("it is cut short"));
            }
            let mut header = [0; BLOCK];
            self.reader.read_exact(&mut header)?;
            if header == [0; BLOCK] {
                return Ok(None);
            }
            let size_bytes = number(&header[124..136])?;
            match header[156] {
                kind @ (b'x' | b'g') => {
                    self.begin(size_bytes);
                    let records = self.short_content()?;
                    if kind == b'x' {
                        extended = Extended::read(&records)?;
                    }
                }
                kind => return self.entry(&header, kind, extended, size_bytes).map(Some),
            }
        }
    }

    fn entry(&mut self, header: &[u8; BLOCK], kind: u8, extended: Extended, size: u64) -> io::Result<Entry> {
        let size_bytes = extended.size_bytes.unwrap_or(size);
        let (prefix, name) = (text(&header[345..500]), text(&header[..100]));
        let short = if prefix.is_empty() { name.to_vec() } else { [prefix, name].join(&b'/') };
        let path = extended.path.unwrap_or(short);
        let link = extended.link.unwrap_or_else(|| text(&header[157..257]).to_vec());
        let executable = number(&header[100..108])? & 0o100 != 0;
        let (path, kind, link) = match (kind, path.strip_suffix(b"/")) {
            (b'5', Some(path)) => (path.to_vec(), Kind::Folder, Vec::new()),
            (b'5', None) => (path, Kind::Folder, Vec::new()),
            (b'2', _) => (path, Kind::Link, link),
            (b'0' | 0, None) => (path, Kind::File { executable }, Vec::new()),
            _ => return Err(wrong("it has an entry of another kind")),
        };
        self.begin(size_bytes);
        Ok(Entry { path, kind, link, size_bytes })
    }

    fn begin(&mut self, size_bytes: u64) {
        (self.content, self.padding) = (size_bytes, size_bytes.next_multiple_of(BLOCK as u64) - size_bytes);
    }

    fn short_content(&mut self) -> io::Result<Vec<u8>> {
        if self.content > LONGEST_HEADER {
            return Err(wrong("a path or a link has more than 1 MiB"));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Reads the content of the present entry.
impl<R: Read> Read for Entries<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.content).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.reader.read(&mut buffer[..most])?;
        if read == 0 && most > 0 {
            return Err(wrong("it is cut short"));
        }
        self.content -= read as u64;
        Ok(read)
    }
}

impl Extended {
    /// Records are `LENGTH KEY=VALUE\n`, and the length is that of the whole record.
    fn read(mut records: &[u8]) -> io::Result<Self> {
        let mut extended = Self::default();
        while !records.is_empty() {
            let space = records.iter().position(|byte| *byte == b' ').ok_or_else(malformed)?;
            let length = std::str::from_utf8(&records[..space]).ok().and_then(|length| length.parse::<usize>().ok());
            let record = length.and_then(|length| records.get(space + 1..length)).ok_or_else(malformed)?;
            records = &records[space + 1 + record.len()..];
            let record = record.strip_suffix(b"\n").ok_or_else(malformed)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
            let value = &record[equals + 1..];
            match &record[..equals] {
                b"path" => extended.path = Some(value.to_vec()),
                b"linkpath" => extended.link = Some(value.to_vec()),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|size| size.parse().ok());
                    extended.size_bytes = Some(size.ok_or_else(malformed)?);
                }
                _ => {}
            }
        }
        Ok(extended)
    }
}

/// A field that ends at its first zero.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A field in octal digits.
fn number(field: &[u8]) -> io::Result<u64> {
    let digits = std::str::from_utf8(text(field)).map_err(|_| malformed())?.trim_matches(' ');
    u64::from_str_radix(digits, 8).map_err(|_| malformed())
}

fn malformed() -> io::Error {
    wrong("a header is malformed")
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("the archive of git cannot be read: {what}"))
}
