//! Object stores: what every one of them keeps, and what only one of them has to.

mod contract;
mod directory;
mod kinds;
mod overlay;
