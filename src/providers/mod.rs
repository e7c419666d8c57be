//! One file or folder per outside system. Providers know nothing of ours: they take plain values, talk to
//! the outside with a deadline, and say of every failure whether to try again.

mod fault;
pub mod git;

pub use fault::Fault;
