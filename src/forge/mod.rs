//! What is between the systems and a forge: what becomes of what it says. Nothing is believed of it but that something may have
//! happened: what did is read where it happened.

mod buttons;
pub mod deliveries;
pub mod lost;
mod people;
mod places;
mod upheavals;
