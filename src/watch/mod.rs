//! Turns the outside into events. It decides nothing: it only says what is there.

mod poll;

pub use poll::{Watching, watch};
