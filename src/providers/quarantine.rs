//! What ended the program again and again is left alone. While something is begun, a small file says so; what a file is
//! left of when the program starts was being done when it ended. Such suspects are begun one at a time, so that after the
//! next end it is certain which of them it was; the third end is the last. The folder may be emptied at any time.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    pin::pin,
    sync::{Mutex as SyncMutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Mutex, time::timeout};

use super::files::sha256_hex;

/// How often something may have been going on when the program ended before it is left alone.
const MOST_ENDS: u32 = 3;
/// What has gone on for so long does not end the program by being begun.
const PROBATION: Duration = Duration::from_secs(60);

/// What is begun, and what was begun when the program ended.
#[derive(Debug)]
pub struct Quarantine {
    folder: PathBuf,
    /// What was begun → how often the program ended meanwhile.
    ends: SyncMutex<BTreeMap<String, u32>>,
    /// Held by the suspect that is begun.
    alone: Mutex<()>,
}

/// It was begun each time that the program ended, and is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("tidegate ended {0} times while it did this, so it is left alone")]
pub struct Quarantined(u32);

impl Quarantine {
    /// Reads what was left in `folder`, which is made when it is missing.
    ///
    /// # Errors
    /// When the folder can be neither made nor read.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        let mut ends = BTreeMap::new();
        for entry in fs::read_dir(&folder)? {
            // What is not of this form was written half, or by somebody else: it counts for nothing.
            let text = fs::read_to_string(entry?.path()).unwrap_or_default();
            let Some((count, what)) = text.trim_end().split_once(' ') else { continue };
            if let Ok(count) = count.parse::<u32>() {
                if count >= MOST_ENDS {
                    tracing::error!(what, "tidegate ended {count} times while it did this; it is left alone");
                }
                ends.insert(what.to_owned(), count);
            }
        }
        Ok(Self { folder, ends: SyncMutex::new(ends), alone: Mutex::default() })
    }

    /// Does `work`, known by a name that stays the same when it is done again, unless it is quarantined.
    ///
    /// # Errors
    /// [`Quarantined`], and nothing was done.
    pub async fn unless_it_kills<T>(&self, what: &str, work: impl Future<Output = T>) -> Result<T, Quarantined> {
        let ends = self.ends().get(what).copied().unwrap_or_default();
        if ends >= MOST_ENDS {
            return Err(Quarantined(ends));
        }
        let alone = if ends > 0 { Some(self.alone.lock().await) } else { None };
        let begun = Begun::write(&self.folder, what, ends + 1);
        let mut work = pin!(work);
        let done = timeout(PROBATION, &mut work).await;
        drop((begun, alone));
        self.ends().remove(what);
        match done {
            Ok(done) => Ok(done),
            Err(_) => Ok(work.await),
        }
    }

    fn ends(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u32>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that is there while something is begun, and stays when the program ends meanwhile.
struct Begun(PathBuf);

impl Begun {
    fn write(folder: &Path, what: &str, count: u32) -> Self {
        let path = folder.join(sha256_hex(what.as_bytes()));
        if let Err(error) = fs::write(&path, format!("{count} {what}\n")) {
            tracing::debug!(path = %path.display(), %error, "what is begun cannot be noted");
        }
        Self(path)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // Where it cannot be removed, it counts as one end too many.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, poll_fn, ready};

    /// Begins something in a program that ends meanwhile.
    async fn ends_while(folder: &Path, what: &str) {
        let quarantine = Box::leak(Box::new(Quarantine::open(folder).expect("readable")));
        let mut work = Box::pin(quarantine.unless_it_kills(what, pending::<()>()));
        poll_fn(|context| {
            assert!(work.as_mut().poll(context).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        std::mem::forget(work);
    }

    #[tokio::test]
    async fn what_ended_the_program_three_times_is_left_alone_and_nothing_else_is() {
        let folder = tempfile::tempdir().expect("a folder");
        for _ in 0..3 {
            ends_while(folder.path(), "poison").await;
        }
        let quarantine = Quarantine::open(folder.path()).expect("readable");
        assert_eq!(quarantine.unless_it_kills("poison", ready(1)).await, Err(Quarantined(3)));
        assert_eq!(quarantine.unless_it_kills("bread", ready(2)).await, Ok(2));
    }

    #[tokio::test]
    async fn what_ends_by_itself_is_forgiven() {
        let folder = tempfile::tempdir().expect("a folder");
        ends_while(folder.path(), "bread").await;
        ends_while(folder.path(), "bread").await;
        let quarantine = Quarantine::open(folder.path()).expect("readable");
        assert_eq!(quarantine.unless_it_kills("bread", ready(1)).await, Ok(1));
        ends_while(folder.path(), "bread").await;
        let quarantine = Quarantine::open(folder.path()).expect("readable");
        assert_eq!(quarantine.unless_it_kills("bread", ready(1)).await, Ok(1));
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0, "nothing is begun any more");
    }

    #[tokio::test]
    async fn suspects_are_begun_one_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        ends_while(folder.path(), "poison").await;
        ends_while(folder.path(), "bread").await;
        let quarantine = Quarantine::open(folder.path()).expect("readable");
        let mut first = Box::pin(quarantine.unless_it_kills("poison", pending::<()>()));
        let mut second = Box::pin(quarantine.unless_it_kills("bread", ready(())));
        poll_fn(|context| {
            assert!(first.as_mut().poll(context).is_pending());
            assert!(second.as_mut().poll(context).is_pending(), "it waits for the other");
            std::task::Poll::Ready(())
        })
        .await;
        drop(first);
        assert_eq!(second.await, Ok(()));
    }
}
