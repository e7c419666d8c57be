//! What is between the systems and a forge: what it shows of them. It decides nothing: what is shown follows from the states.

pub mod accounts;
pub mod show;
