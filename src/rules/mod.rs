//! What a rules file may say: its types, its parsing with positions, its templates, and what it matches. Pure: no I/O.

mod model;
mod names;
mod span;

pub use model::*;
pub use names::*;
pub use span::*;
