//! Whether a mirror can be trusted. An object file that was cut short (a machine that lost its power) makes libgit2 read for
//! ever (libgit2 #7342), and nothing can interrupt it. So loose objects are looked through when a mirror is opened; what hangs
//! all the same is found by a deadline, which marks the mirror and ends the process: the next one throws the mirror away.

use super::fault::disk_fault;
use crate::providers::Fault;
use flate2::read::ZlibDecoder;
use git2::Repository;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long reading or merging in a mirror may take before it counts as hanging. It takes milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
/// How many times longer writing out a whole tree may take.
pub(super) const LONG: u32 = 15;
/// The exit code where the program itself is at fault (`EX_SOFTWARE` of sysexits.h).
const EXIT_BROKEN: i32 = 70;
/// The longest header of a loose object: its kind and its size.
const LONGEST_HEADER: u64 = 32;

/// Whether libgit2 can open the mirror in a folder.
#[must_use]
pub fn mirror_opens(directory: &Path) -> bool {
    Repository::open_bare(directory).is_ok_and(|repository| repository.refdb().is_ok() && repository.odb().is_ok())
}

/// The file beside a mirror that says that work in it hung.
fn mark(directory: &Path) -> PathBuf {
    directory.with_extension("hung")
}

/// Marks a mirror and ends the process, which a thread that hangs would keep busy for ever.
pub(super) fn give_up(directory: &Path, url: &str, patience: Duration) -> ! {
    let marked = fs::write(mark(directory), "work in this mirror did not end; it is made anew\n");
    tracing::error!(
        url,
        mirror = %directory.display(),
        ?marked,
        "work in a mirror did not end within {patience:?}, and nothing can interrupt it: tidegate ends, and makes the mirror \
         anew when it is started again"
    );
    std::process::exit(EXIT_BROKEN);
}

/// Whether work in the mirror hung before, or an object of it was cut short. The mark is taken away.
pub(super) fn is_doubtful(directory: &Path) -> Result<bool, Fault> {
    let mark = mark(directory);
    match fs::remove_file(&mark) {
        Ok(()) => return Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(disk_fault("removing", &mark, &error)),
    }
    let Ok(fans) = fs::read_dir(directory.join("objects")) else { return Ok(false) };
    for fan in fans.flatten().filter(|fan| fan.file_name().len() == 2) {
        for object in fs::read_dir(fan.path()).into_iter().flatten().flatten() {
            // `tmp_obj_…` of a process that was killed is read by nobody.
            let is_object = object.file_name().len() == 38;
            if !is_object {
                continue;
            }
            match is_whole(&object.path()) {
                Ok(true) => {}
                // It was packed meanwhile, and taken away.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Ok(false) | Err(_) => return Ok(true),
            }
        }
    }
    Ok(false)
}

/// Whether a loose object holds as many bytes as it says.
fn is_whole(path: &Path) -> io::Result<bool> {
    let mut content = BufReader::new(ZlibDecoder::new(File::open(path)?));
    let mut header = Vec::new();
    content.by_ref().take(LONGEST_HEADER).read_until(0, &mut header)?;
    let header = header.strip_suffix(&[0]).and_then(|header| std::str::from_utf8(header).ok());
    let size = header.and_then(|header| header.split_once(' ')?.1.parse::<u64>().ok());
    let held = io::copy(&mut content, &mut io::sink())?;
    Ok(size == Some(held))
}
