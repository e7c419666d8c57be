//! What `tidegate simulate` predicts is what then happens; and it touches nothing.

mod company;
mod examples;
mod made;
mod program;
