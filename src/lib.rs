//! Tidegate carries every change of a system forward: along its repositories by commits that pin what was
//! built, and along its stages by merges of what was verified. The modules, in reading order:
//!
//! - [`rules`]: what a rules file may say (pure).
//! - [`engine`]: decides everything (pure).
//! - [`store`]: the log, snapshots, effects and artifacts.
//! - [`driver`]: claims effects, runs them, settles them.
//! - [`steps`]: one file per step kind.
//! - [`providers`]: one file or folder per outside system.
//! - [`report`]: lint findings in and out.
//! - [`watch`]: turns the outside into events.
//! - [`simulate`]: what would happen: the engine and the steps, on copies.
//! - [`view`]: what people and programs are told (pure).
//! - [`house`]: what is opened to answer anybody.
//! - [`forge`]: what a forge shows of the systems, and what it says of them.
//! - [`web`]: the server over HTTP.
//! - [`cli`]: one file per subcommand.

pub mod cli;
pub mod driver;
pub mod forge;
#[doc(hidden)]
pub mod fuzzed;
pub mod house;
pub mod providers;
pub mod report;
pub mod simulate;
pub mod steps;
pub mod store;
pub mod telemetry;
pub mod view;
pub mod watch;
pub mod web;

pub use tidegate_engine::{engine, rules};
