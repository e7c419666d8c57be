//! Keeps what a forge shows as it should be. What each check and deployment should say follows from a system's state, again and
//! again; what the forge has been told is kept, so that it is told once, however often this ends and begins.

mod check;
mod deployment;
mod known;
mod publisher;
mod text;
mod wanted;

pub(super) use publisher::Publisher;
