//! What a rules file may say: its types, its parsing with positions, its templates, and what it matches. Pure: no I/O.

mod actions;
mod check;
mod document;
mod gates;
mod kind;
mod load;
mod matching;
mod mistake;
mod model;
mod names;
mod notifications;
mod printable;
mod schedule;
mod schema;
mod shape;
mod span;
pub mod template;
mod window;
mod zone;

pub use actions::*;
pub use gates::*;
pub use kind::*;
pub use load::{load, load_with_channels, system_named};
pub use matching::*;
pub use mistake::{Mistake, Mistakes};
pub use model::*;
pub use names::*;
pub use notifications::*;
pub use printable::{printable, printable_line};
pub use schedule::*;
pub use schema::schema;
pub use span::*;
pub use template::TemplateError;
pub use window::*;
pub use zone::UnknownZone;
