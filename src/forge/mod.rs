//! What is between the systems and a forge: what it shows of them, and who people are there. It decides nothing: what is shown
//! follows from the states.

pub mod accounts;
mod attend;
mod show;

pub use attend::attend;
