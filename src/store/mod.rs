//! Keeps what must not be forgotten: the log of every system, the effects that are pending, the history of runs, and what
//! was made from what. It decides nothing: what is written comes from [`crate::engine::step`], whole. An event is committed
//! together with all that comes of it, or not at all (I5, I9), and only if nobody else appended before it. A state is the
//! newest snapshot with the facts after it folded in, which gives the same bytes (I6). [`Ledger`] keeps these states in memory
//! and is the way in for all others.

mod calls;
mod chain;
mod contract;
mod deliveries;
mod error;
mod ledger;
mod lock;
mod replay;
mod secret;
mod sessions;
mod shown;
mod sqlite;
mod standing;
mod tokens;
mod trace;
mod verify;

pub use calls::{CallNote, Note};
pub use chain::LogRow;
pub use contract::{Claimed, Direction, RunFilter, SNAPSHOT_EVERY, Store};
pub use deliveries::{Delivery, DeliveryNote};
pub use error::StoreError;
pub use ledger::{Entry, Ledger, RecordError};
pub use lock::{DriverLock, LockError};
pub use replay::replay;
pub use secret::InstallationSecret;
pub use sessions::{Identity, Session, SessionNote, SessionOwner};
pub use shown::{Shown, ShownKind, ShownName, ShownNote};
pub use sqlite::{SqliteOptions, SqliteStore};
pub use standing::{Head, Rows, Snapshot, Standing};
pub use tokens::{Token, TokenHash, TokenNote};
pub use trace::{MOST_LINKS, Traced, trace};
pub use verify::{BrokenAt, Expected, LogCheck, verify_log, verify_log_telling};
