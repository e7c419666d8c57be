//! The store: what every implementation promises ([`contract`]), what the SQLite file adds ([`sqlite`]), and what remains
//! when processes are killed or write at once ([`processes`]).

mod contract;
mod processes;
mod sqlite;
mod story;
