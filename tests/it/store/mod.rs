//! The store: what every implementation promises ([`contract`]), what the SQLite file adds ([`sqlite`]), what remains when
//! processes are killed or write at once ([`processes`]), and logs of other versions ([`versions`]).

mod contract;
mod damage;
mod processes;
mod sqlite;
mod story;
mod versions;
