//! Everything that is done with git. Objects, trees and diffs are libgit2's, in warm bare mirrors and in memory, so that a forward
//! commit costs the same in a repository of 50 files and of 50,000. Transport and merges are the `git` program's, which can be
//! killed at its deadline. A commit of ours carries its key and a proof, and is looked for before it is made; a push is
//! compare-and-swap on the head that was read, and a lost race applies the *edit* again, so that nobody's commit is lost.
//! Credentials in a URL reach no argument list, file, error or log. This folder may not decide what to write or when: it takes
//! plain values and says what became of them.

mod ancestors;
mod ancestry;
mod archive;
mod aside;
mod attribute_line;
mod authorship;
mod borrow;
mod bounds;
mod calls;
mod checkout;
mod conflict;
mod contents;
pub mod edit;
mod environment;
mod fault;
mod fetch;
mod folder;
mod forward;
pub(crate) mod fuzzed;
mod gather;
mod glob;
mod history;
mod identity;
mod keep;
mod lender;
mod lfs;
mod local;
mod maintenance;
mod merge;
mod merge_tree;
mod message;
mod mirror;
mod patch;
mod paths;
mod pinned;
mod pins;
mod plumbing;
mod process;
mod progress;
mod proof;
mod publish;
mod read;
mod reads;
mod refusal;
mod remote;
mod restore;
mod signed;
mod signed_names;
mod signers;
mod signing;
mod soundness;
mod submodules;
mod survey;
mod taken_file;
mod taking;
mod tarball;
mod told;
mod trailers;
mod transport;
mod version;

pub use ancestry::{Found, Landed, Sought, ancestry, commit_with_prefix};
pub use archive::{ArchiveFormat, ArchiveInfo, ArchiveOptions};
pub use authorship::{Brought, Compared, NewCommits};
pub use borrow::{Borrowed, Standing, borrow, commit_in, point, standing};
pub use calls::{Call, CallKind, Calling};
pub use conflict::{Clash, Conflict, conflicts_said};
pub use environment::dropped;
pub use folder::{Folder, FolderFile, FolderLimits};
pub use forward::{FileEdit, ForwardChange, Forwarded};
pub use identity::Identity;
pub use lender::{Lender, Lent};
pub use maintenance::{MirrorLoad, MirrorOnDisk, Packed, UNUSED_FOR, Upkeep, mirrors_on_disk};
pub use merge::{CheckedMerge, MergeChange, Merged};
pub use message::CommitMessage;
pub use mirror::{GitOptions, KeyOf, LAG, Mirror, Mirrors, SILENCE};
pub use patch::{ChangedFile, Patch};
pub use pinned::Values;
pub use pins::Pin;
pub use proof::{CommitPlace, Proofs};
pub use read::CommitInfo;
pub use restore::{RestoreChange, Restored};
pub use signed::Unsigned;
pub use signed_names::SignedNames;
pub use signers::Signers;
pub use signing::{SIGNING_DEADLINE, Signer, SigningFormat};
pub use soundness::mirror_opens;
pub use taking::{Lfs, Submodules, Taking};
pub use trailers::{
    KEY_TRAILER, MADE_FROM_TRAILER, PROOF_TRAILER, REPOSITORY_TRAILER, RESTORES_TRAILER, SYSTEM_TRAILER,
    TAKES_AWAY_TRAILER,
};
pub use transport::{NO_LIMIT, Refs};
pub use version::{GitVersion, OLDEST_GIT, git_version};
