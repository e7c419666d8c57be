//! Decides everything. Pure: no I/O, no async, no clock, no randomness, ordered maps; the same events give the same
//! state, byte for byte. [`step`] decides, and its facts are all that changes the state; [`fold`] is for what is in the log.

mod access;
mod advance;
mod apply;
mod authors;
mod authorship;
mod command;
mod compiled;
mod content;
mod decision;
mod effect;
mod event;
pub mod explain;
mod fact;
pub mod gate;
mod heads;
mod ids;
pub mod invariants;
mod kind;
mod made;
mod notice;
pub mod obstacles;
mod origin;
mod outcome;
mod pairs;
mod permitted;
pub mod plan;
mod promotion;
pub mod provenance;
mod refused;
mod run;
mod schedule;
pub mod stats;
mod step_run;
mod system;
mod target;
mod task;
mod turn;
pub mod version;
mod work;

pub use access::*;
pub use apply::fold;
pub use authorship::*;
pub use compiled::Compiled;
pub use content::*;
pub use decision::{Decision, ENGINE_VERSION};
pub use effect::{Effect, EffectKind, Phase, Timer};
pub use event::*;
pub use fact::{CommitFact, Fact, NoticeFact, RepositoryFact, RunFact, StageFact, StepFact, TargetFact};
pub use ids::*;
pub use made::{Brings, Made, Moved, Service, Unmoved};
pub use notice::{
    GivenUp, MOST_GIVEN_UP, MOST_UNDELIVERED, MOST_UNTRIED, Message, NOTICE_ATTEMPTS, Notices, Undelivered,
};
pub use origin::*;
pub use refused::Refused;
pub use run::*;
pub use step_run::{Answer, StepRun, StepState};
pub use system::*;
pub use turn::step;
pub use version::carried::Carried;
pub use work::{AuthorsOf, AuthorsWork, NoticeWork, PinPlace, StepOutput, StepWork, WatchWork, Work, work};
