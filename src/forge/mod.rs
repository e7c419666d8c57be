//! What is between the systems and a forge: what it shows of them, what becomes of what it delivers, and who people are there. What is
//! shown follows from the states; of what is delivered nothing is believed but that something may have happened.

pub mod accounts;
mod attend;
mod buttons;
pub mod deliveries;
mod lost;
mod places;
mod show;
mod upheavals;

pub use attend::attend;
