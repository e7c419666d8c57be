//! What people and programs are told: documents, and the words in them. They are made of states and of entries of the log, and of
//! nothing else; whoever asks reads those.

pub mod answers;
pub mod explain;
pub(crate) mod history;
pub mod run;
pub mod stats;
pub mod status;
pub mod target;
pub(crate) mod words;
