//! What people and programs are told: documents, and the words in them. They are made of states and of entries of the log, and of
//! nothing else; whoever asks reads those.

pub mod answers;
pub mod approvals;
pub mod explain;
pub mod found;
pub(crate) mod history;
pub mod holds;
pub mod predictions;
pub mod run;
pub mod stats;
pub mod status;
pub mod target;
pub mod versions;
pub(crate) mod words;
