//! What every act of a plan keeps to, whoever does it outside.

mod contract;
mod job;
mod stack;
