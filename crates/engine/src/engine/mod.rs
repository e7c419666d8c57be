//! Decides everything. Pure: no I/O, no async, no clock, no randomness, ordered maps; the same events give the same
//! state, byte for byte. [`step`] is the only way in ([`retrace`] for what is in the log), a [`Decision`] the only thing that comes out.

mod access;
mod advance;
mod authors;
mod command;
mod effect;
mod event;
pub mod explain;
pub mod gate;
mod heads;
mod ids;
pub mod invariants;
mod kind;
pub mod lineage;
mod made;
mod notice;
mod outcome;
pub mod plan;
mod promotion;
mod run;
mod schedule;
pub mod stats;
mod system;
mod target;
mod turn;
pub mod version;
mod work;

pub use access::*;
pub use authors::{Pushed, Taken, Writers, Written};
pub use effect::{Effect, EffectKind, Phase, Timer};
pub use event::*;
pub use gate::hotfix::Hotfix;
pub use ids::*;
pub use lineage::{
    Ancestor, Lineage, Origin, Point,
    unseen::{Brought, Unseen},
};
pub use made::{Brings, Made, Moved, Service, Unmoved};
pub use notice::{
    GivenUp, MOST_GIVEN_UP, MOST_UNDELIVERED, MOST_UNTRIED, Message, NOTICE_ATTEMPTS, Notices, Undelivered,
};
pub use run::*;
pub use system::*;
pub use turn::{Decision, Link, Refused, retrace, step};
pub use version::descent::Descent;
pub use work::{NoticeWork, PinPlace, StepOutput, StepWork, WatchWork, Work, work};
