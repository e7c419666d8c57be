//! Directory trees as tar archives: packed so that the same tree always gives the same bytes, unpacked so that no
//! entry can be written outside of the directory it is unpacked to.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::providers::{Fault, archive_guard::Guarded, files};

/// The time of every file in what we pack: 1 January 1980, the first that every archive format can express.
const PACKED_TIME_SECONDS: u64 = 315_532_800;
/// zstd's own default: further levels cost much time for little space.
const COMPRESSION_LEVEL: i32 = 3;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Packs the tree below `root` into a tar.zst file and returns the SHA-256 of the tar itself, in hex: entries in
/// order of their names, one fixed time, owner 0, permissions without set-uid bits. Anything but files, folders
/// and symbolic links fails.
pub(crate) fn pack(root: &Path, packed: &Path) -> Result<String, Fault> {
    let tried = format!("pack {}", root.display());
    let pack = || -> io::Result<String> {
        let file = BufWriter::new(File::create(packed)?);
        let mut compressed = zstd::Encoder::new(file, COMPRESSION_LEVEL)?;
        let mut builder = tar::Builder::new(HashingWriter { inner: &mut compressed, hash: Sha256::new() });
        add_directory(&mut builder, root, Path::new(""))?;
        let digest = files::hex(&builder.into_inner()?.hash.finalize());
        compressed.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(digest)
    };
    pack().map_err(|error| files::fault(&tried, &error))
}

/// Unpacks a tar, tar.gz or tar.zst file into `directory`, and returns the SHA-256 of the tar itself, in hex. An
/// entry that names or links its way out of the directory fails the whole, and so does one beyond the guard's bounds.
pub(crate) fn unpack(packed: &Path, directory: &Path) -> Result<String, Fault> {
    let tried = format!("unpack {}", packed.display());
    let unpack = || -> io::Result<String> {
        let mut reader = HashingReader { inner: Guarded::new(decompressed(packed)?), hash: Sha256::new() };
        fs::create_dir_all(directory)?;
        let mut archive = tar::Archive::new(&mut reader);
        let mut folders = Vec::new();
        for entry in archive.entries()? {
            let entry = entry?;
            if entry.header().entry_type().is_dir() {
                folders.push(entry);
            } else {
                place(entry, directory)?;
            }
        }
        // Folders last and deepest first: their own permissions might forbid us to fill them.
        folders.sort_by(|left, right| right.path_bytes().cmp(&left.path_bytes()));
        for folder in folders {
            place(folder, directory)?;
        }
        io::copy(&mut reader, &mut io::sink())?;
        Ok(files::hex(&reader.hash.finalize()))
    };
    unpack().map_err(|error| files::fault(&tried, &error))
}

/// SHA-256 of a file, in hex.
pub(crate) fn sha256_of(path: &Path) -> Result<String, Fault> {
    let hash = || -> io::Result<String> {
        let mut writer = HashingWriter { inner: io::sink(), hash: Sha256::new() };
        io::copy(&mut File::open(path)?, &mut writer)?;
        Ok(files::hex(&writer.hash.finalize()))
    };
    hash().map_err(|error| files::fault(&format!("read {}", path.display()), &error))
}

fn place(mut entry: tar::Entry<'_, impl Read>, directory: &Path) -> io::Result<()> {
    entry.set_preserve_mtime(false);
    if entry.unpack_in(directory)? {
        return Ok(());
    }
    let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("the entry {path} leaves the directory")))
}

fn add_directory<W: Write>(builder: &mut tar::Builder<W>, root: &Path, directory: &Path) -> io::Result<()> {
    let entries = fs::read_dir(root.join(directory))?.collect::<io::Result<Vec<_>>>()?;
    let mut names: Vec<PathBuf> = entries.iter().map(|entry| directory.join(entry.file_name())).collect();
    names.sort();
    for name in names {
        let path = root.join(&name);
        let metadata = fs::symlink_metadata(&path)?;
        let mut header = tar::Header::new_gnu();
        header.set_mtime(PACKED_TIME_SECONDS);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mode(metadata.permissions().mode() & 0o777);
        header.set_size(0);
        let kind = metadata.file_type();
        if kind.is_dir() {
            header.set_entry_type(tar::EntryType::Directory);
            builder.append_data(&mut header, &name, io::empty())?;
            add_directory(builder, root, &name)?;
        } else if kind.is_symlink() {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            builder.append_link(&mut header, &name, fs::read_link(&path)?)?;
        } else if kind.is_file() {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(metadata.len());
            builder.append_data(&mut header, &name, File::open(&path)?.take(metadata.len()))?;
        } else {
            let problem = format!("{} is neither a file nor a folder nor a symbolic link", name.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
    }
    Ok(())
}

fn decompressed(path: &Path) -> io::Result<Box<dyn Read>> {
    let mut file = File::open(path)?;
    let mut magic = Vec::new();
    Read::by_ref(&mut file).take(ZSTD_MAGIC.len() as u64).read_to_end(&mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    let file = BufReader::new(file);
    Ok(if magic.starts_with(&GZIP_MAGIC) {
        Box::new(flate2::bufread::MultiGzDecoder::new(file))
    } else if magic == ZSTD_MAGIC {
        Box::new(zstd::Decoder::with_buffer(file)?)
    } else {
        Box::new(file)
    })
}

struct HashingWriter<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(bytes)?;
        self.hash.update(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

struct HashingReader<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.hash.update(&buffer[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_same_tree_gives_the_same_bytes_and_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two, back) = (directory.path().join("1"), directory.path().join("2"), directory.path().join("3"));
        for (tree, order) in [(&one, ["b", "a"]), (&two, ["a", "b"])] {
            fs::create_dir_all(tree.join("bin")).unwrap();
            order.iter().for_each(|name| fs::write(tree.join(name), name).unwrap());
            fs::write(tree.join("bin/run"), "#!/bin/sh").unwrap();
            fs::set_permissions(tree.join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
            symlink("bin/run", tree.join("link")).unwrap();
        }
        let (first, second) = (directory.path().join("1.tar.zst"), directory.path().join("2.tar.zst"));
        let digest = pack(&one, &first).unwrap();
        assert_eq!(digest, pack(&two, &second).unwrap());
        assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
        assert_eq!(unpack(&first, &back).unwrap(), digest);
        assert_eq!(fs::read_to_string(back.join("link")).unwrap(), "#!/bin/sh");
        assert_eq!(fs::metadata(back.join("bin/run")).unwrap().permissions().mode() & 0o777, 0o755);
    }

    /// A tar with one entry of this kind and size, whose content are zeros: a few kilobytes as zstd.
    fn bomb(kind: tar::EntryType, size: u64, zeros: u64) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..6].copy_from_slice(b"large\0");
        header.set_entry_type(kind);
        header.set_size(size);
        if kind == tar::EntryType::GNUSparse {
            header.as_gnu_mut().unwrap().realsize[..12].copy_from_slice(b"77777777777\0");
        }
        header.set_cksum();
        let mut packed = zstd::Encoder::new(Vec::new(), 1).unwrap();
        packed.write_all(header.as_bytes()).unwrap();
        io::copy(&mut io::repeat(0).take(zeros), &mut packed).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn a_small_archive_takes_no_memory_and_no_disk_without_end() {
        let directory = tempfile::tempdir().unwrap();
        let (packed, target) = (directory.path().join("bomb"), directory.path().join("target"));
        for (kind, size, zeros, why) in [
            (tar::EntryType::GNULongName, 256 << 20, 256 << 20, "a name or extension of 268435456 bytes"),
            (tar::EntryType::GNULongLink, 8 << 30, 0, "a name or extension of 8589934592 bytes"),
            (tar::EntryType::XHeader, 256 << 20, 256 << 20, "a name or extension of 268435456 bytes"),
            (tar::EntryType::XGlobalHeader, 2 << 20, 2 << 20, "a name or extension of 2097152 bytes"),
            (tar::EntryType::GNUSparse, 0, 0, "a file with holes"),
        ] {
            fs::write(&packed, bomb(kind, size, zeros)).unwrap();
            let fault = unpack(&packed, &target).unwrap_err();
            assert!(fault.to_string().contains(why), "{kind:?}: {fault}");
        }
        // A header that promises more than follows makes nothing of that size.
        fs::write(&packed, bomb(tar::EntryType::Regular, 8 << 30, 4096)).unwrap();
        unpack(&packed, &target).unwrap_err();
        let written = fs::metadata(target.join("large")).map_or(0, |found| found.len());
        assert!(written <= 4096, "{written}");
    }

    #[test]
    fn sizes_and_names_in_extensions_are_taken_as_they_are_meant() {
        let directory = tempfile::tempdir().unwrap();
        let long = "n".repeat(150);
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_pax_extensions([("size", b"5".as_slice()), ("path", long.as_bytes())]).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_path("short").unwrap();
        header.set_size(0);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, b"".as_slice()).unwrap();
        let mut bytes = builder.into_inner().unwrap();
        // Between the header and the end stands what only the extension speaks of.
        bytes.truncate(bytes.len() - 1024);
        bytes.extend_from_slice(&[b"hello".as_slice(), &[0; 507], &[0; 1024]].concat());
        let packed = directory.path().join("long.tar");
        fs::write(&packed, bytes).unwrap();
        unpack(&packed, &directory.path().join("out")).unwrap();
        assert_eq!(fs::read_to_string(directory.path().join("out").join(long)).unwrap(), "hello");
    }

    #[test]
    fn an_archive_cannot_write_outside() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("target");
        let outside = directory.path().join("outside");
        fs::create_dir(&outside).unwrap();
        for (name, link) in [("../outside/evil", None), ("door/evil", Some(&outside))] {
            let mut builder = tar::Builder::new(Vec::new());
            if let Some(link) = link {
                let mut header = tar::Header::new_gnu();
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                builder.append_link(&mut header, "door", link).unwrap();
            }
            let mut header = tar::Header::new_gnu();
            header.set_size(4);
            header.set_mode(0o644);
            // The builder refuses such names, so it is written behind its back.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, b"evil".as_slice()).unwrap();
            let packed = directory.path().join("evil.tar");
            fs::write(&packed, builder.into_inner().unwrap()).unwrap();
            let fault = unpack(&packed, &target).unwrap_err();
            assert!(!outside.join("evil").exists(), "{name}: {fault}");
        }
    }
}
