//! Everything that is done with git. Objects, trees, diffs and merges go through libgit2 in warm bare mirrors,
//! in memory, with no work tree, so that a forward commit costs the same in a repository of 50 files and of
//! 50,000. Transport goes through the `git` program, because protocol v2, credential helpers and ssh
//! configuration count, and because a process can be killed at its deadline.
//!
//! What holds everywhere here:
//! - A commit of ours carries its key as a trailer and is looked for before it is made, and again after a push
//!   whose end is in doubt: the same key takes effect once. A trailer alone is not believed: a proof says that the
//!   commit is ours, and was made there.
//! - A push is compare-and-swap on the head that was read. A lost race applies the *edit* again to the new head;
//!   another author's commit is never lost and never textually merged into ours.
//! - One mirror's writers wait for each other (in this process and across processes); a hung remote stalls
//!   nothing else, and itself no longer than the caller's deadline.
//! - Credentials in a URL reach neither an argument list, nor a file, nor an error, nor a log.
//!
//! This folder may not decide what to write or when: it takes plain values and says what became of them.

mod ancestry;
mod archive;
mod attributes;
mod authorship;
mod borrow;
mod contents;
pub mod edit;
mod environment;
mod fault;
mod forward;
mod glob;
mod history;
mod identity;
mod keep;
mod merge;
mod message;
mod mirror;
mod patch;
mod paths;
mod pinned;
mod process;
mod proof;
mod publish;
mod read;
mod remote;
mod restore;
mod trailers;
mod transport;

pub use ancestry::{Found, Landed, Sought, ancestry, commit_with_prefix};
pub use archive::{ArchiveFormat, ArchiveInfo, ArchiveOptions};
pub use authorship::{Brought, Compared, NewCommits};
pub use borrow::{Borrowed, Standing, borrow, commit_in, point, standing};
pub use forward::{FileEdit, ForwardChange, Forwarded};
pub use identity::Identity;
pub use merge::{CheckedMerge, MergeChange, Merged, Pin};
pub use message::CommitMessage;
pub use mirror::{GitOptions, Mirror, Mirrors};
pub use patch::{ChangedFile, Patch};
pub use pinned::Values;
pub use proof::{CommitPlace, Proofs};
pub use read::CommitInfo;
pub use restore::{RestoreChange, Restored};
pub use trailers::{KEY_TRAILER, MADE_FROM_TRAILER, PROOF_TRAILER, RESTORES_TRAILER, TAKES_AWAY_TRAILER};
