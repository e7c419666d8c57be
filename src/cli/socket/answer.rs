//! `tidegate answer`, which the server starts for each command that comes over its socket: says who asks, and refuses what would
//! read files of this machine or run commands as the server's user.

use std::{
    any::TypeId,
    io,
    os::{fd::AsFd as _, unix::net::UnixStream as StdStream},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{ArgMatches, Args, parser::ValueSource};
use tokio::net::UnixStream;

use crate::{
    cli::{
        asker::{Asker, OsUser, answer_to},
        output, private,
        settings::{FILE_NAME, Settings},
    },
    engine::Refused,
};

/// The options of every command: those of the server's own process hold.
const OF_ALL: [&str; 2] = ["config", "socket"];

/// Carry out a command for whoever is at the other end of the socket that is standard input.
#[derive(Debug, Args)]
pub(in crate::cli) struct Answer {
    /// Whether colours may be used
    #[arg(long)]
    colours: bool,
    /// How many columns their terminal has
    #[arg(long)]
    columns: Option<u16>,
    /// In whose name they ask, unless the command says so
    #[arg(long)]
    in_name_of: Option<String>,
    /// The command
    #[arg(last = true)]
    pub(in crate::cli) arguments: Vec<String>,
}

impl Answer {
    /// From here on it is they who ask. They must be one of the people.
    ///
    /// # Errors
    /// When the kernel cannot say who they are, or they are none of the people.
    pub(in crate::cli) fn begin(&self, config: &Path) -> anyhow::Result<()> {
        private::close();
        let stream = StdStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        stream.set_nonblocking(true)?;
        let peer = UnixStream::from_std(stream).and_then(|stream| stream.peer_cred());
        let uid = peer.context("standard input is no socket of whoever asks: the server starts this command")?.uid();
        let asker = Asker { user: OsUser::numbered(uid).into(), in_name_of: self.in_name_of.clone() };
        let settings = Settings::read(config)?;
        if settings.people.is_empty() {
            return Err(refused(
                &asker,
                "ask over the socket",
                format!(
                    "{FILE_NAME} lists no people, and nobody is told from anybody: whoever runs `serve` has to list them"
                ),
            ));
        }
        settings.principal(&asker)?;
        answer_to(asker);
        output::is_for(self.colours, self.columns.map(usize::from));
        Ok(())
    }
}

/// Refuses a command that names a file: it would be the server that reads it.
///
/// # Errors
/// [`Refused`] says which.
pub(in crate::cli) fn demand_no_file(command: &clap::Command, matches: &ArgMatches) -> anyhow::Result<()> {
    let is_path = |argument: &&clap::Arg| argument.get_value_parser().type_id() == TypeId::of::<PathBuf>();
    let is_given = |argument: &&clap::Arg| {
        let id = argument.get_id().as_str();
        !OF_ALL.contains(&id) && matches.value_source(id).is_some_and(|from| from != ValueSource::DefaultValue)
    };
    if let Some(given) = command.get_arguments().filter(is_path).find(is_given) {
        let named = given.get_long().map_or_else(|| given.get_id().to_string(), |long| format!("--{long}"));
        return Err(only_here(&format!("`{named}` names a file, which the server would read in your place")));
    }
    match matches.subcommand().and_then(|(name, matches)| Some((command.find_subcommand(name)?, matches))) {
        Some((command, matches)) => demand_no_file(command, matches),
        None => Ok(()),
    }
}

/// That a command is not for those who ask over the socket.
pub(in crate::cli) fn only_here(reason: &str) -> anyhow::Error {
    refused(&Asker::typing(None), "ask for this over the socket", format!("{reason}: ask the user who runs `serve`"))
}

fn refused(asker: &Asker, what: &str, reason: String) -> anyhow::Error {
    Refused::NotAllowed { who: asker.user.to_string(), what: what.to_owned(), reason }.into()
}
