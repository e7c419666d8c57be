//! Turns the outside into events. It decides nothing: it only says what is there.

mod pins;
mod places;
mod poll;
mod tags;
mod waits;

pub use places::{Place, Places, Wants};
pub use poll::{Watching, watch};
pub use waits::{PlaceKind, PlaceWait};
