//! What a rules file may say: its types, its parsing with positions, its templates, and what it matches. Pure: no I/O.

mod matching;
mod model;
mod names;
mod schedule;
mod span;
pub mod template;
mod window;
mod zone;

pub use matching::*;
pub use model::*;
pub use names::*;
pub use schedule::*;
pub use span::*;
pub use template::TemplateError;
pub use window::*;
pub use zone::UnknownZone;
