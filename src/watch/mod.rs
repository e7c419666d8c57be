//! Turns the outside into events. It decides nothing: it only says what is there.

mod places;
mod poll;

pub use places::{InUse, Place, Places};
pub use poll::{Watching, watch};
