//! What Tidegate decides, in a crate of its own so that the compiler keeps it pure: nothing here can do I/O, for there is
//! nothing to do it with. In reading order:
//!
//! - [`rules`]: what a rules file may say.
//! - [`engine`]: decides everything.

pub mod engine;
pub mod rules;
