//! What people and programs are told through: mail servers and webhooks on real sockets, and the settings that name them.

mod mail;
mod rules;
mod settings;
mod webhook;
