//! The command line: one file per subcommand. Commands work while `serve` runs, through the same store.

mod abort;
mod approve;
mod asking;
mod check;
pub mod demo;
pub mod demo_service;
mod deploy;
pub mod doctor;
mod explain;
mod freeze;
mod github;
mod history;
mod hotfix;
mod init;
mod logs;
mod nudge;
mod output;
mod over_http;
mod pause;
mod pin;
mod progress;
mod promote;
mod provided;
mod reject;
mod release;
mod replay;
mod request;
mod retry;
mod rollback;
mod run;
mod runs;
mod serve;
mod signals;
mod simulate;
mod socket;
mod stats;
mod status;
mod take_back;
mod target;
mod token;
mod trace;
mod unboxed;
mod unlock;
mod upkeep;
mod verify_log;
mod veto;
mod withdraw;
mod words;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use asking::Asking;
use output::Output;
use over_http::{
    Client, ServerSaid,
    answers::{Answers, Source},
};
use socket::{
    answer::{Answer, demand_no_file, only_here},
    client,
};

use crate::{
    house::{House, asker, channels, in_force, moment, private, rules_from, settings, signing},
    providers::{image_builder, redacted, sandbox},
};

/// Carries every change of a system forward: along its repositories by commits that pin what was built, and along its
/// stages by merges of what was verified. Once, and never back.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Cli {
    /// The settings file
    #[arg(long, short, global = true, default_value = settings::FILE_NAME, env = "TIDEGATE_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// How to print: for people, or one JSON document
    #[arg(long, short, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Ask the server that listens on this Unix socket, rather than its database; `socket` in `[server]` of the settings names
    /// the one that is asked where the database is closed to you
    #[arg(long, global = true, env = "TIDEGATE_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Ask the server at this URL, from any machine: `https://tidegate.example.com`. Whoever asks is who the token is of
    #[arg(long, global = true, env = "TIDEGATE_SERVER", value_name = "URL", conflicts_with = "socket")]
    server: Option<String>,
    /// The file of the token for `--server`; without it, `TIDEGATE_TOKEN` has the token
    #[arg(long, global = true, env = "TIDEGATE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "Begin with `tidegate demo`: it shows the whole of it on this machine, in a minute.\n\
Exit codes: 0 done; 1 failed; 2 the command line is wrong; 3 refused (and nothing was changed); 4 the rules have mistakes.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the main job, end to end, with real repositories in a folder of its own
    Demo(demo::Demo),
    /// Write a settings file and a rules file for existing repositories
    Init(init::Init),
    /// Say every mistake in rules files, like a compiler
    Check(check::Check),
    /// Watch the repositories and drive what the rules say
    Serve(serve::Serve),
    /// Show the lattice: what is where, what goes on, and what waits for whom
    Status(status::Status),
    /// List runs, the newest first
    Runs(runs::Runs),
    /// Start a rule by hand, or show one run (`tidegate run show RUN`)
    #[command(subcommand)]
    Run(run::Run),
    /// Deploy what was built elsewhere: a file, without a build
    Deploy(deploy::Deploy),
    /// Show what a run's steps printed
    Logs(logs::Logs),
    /// Promote what was verified in one stage to the next
    Promote(promote::Promote),
    /// Promote several systems as one, or show how far a release is
    Release(release::Release),
    /// Take a stage back to a version that was verified there before
    Rollback(rollback::Rollback),
    /// Undo what a promotion merged before it failed
    TakeBack(take_back::TakeBack),
    /// Never move a commit or artifact again
    Veto(veto::Veto),
    /// Hold a stage at one version
    Pin(pin::Pin),
    /// Hold a stage no longer
    Unpin(pin::Unpin),
    /// Approve exactly what a run shows
    Approve(approve::Approve),
    /// Refuse what a run shows
    Reject(reject::Reject),
    /// Do the failed steps of a run again
    Retry(retry::Retry),
    /// Look now whether there is news of a repository, a run or a target
    Nudge(nudge::Nudges),
    /// End a run: cancel what is active, start nothing new
    Abort(abort::Abort),
    /// Look at what is deployed to, and provision, delete or recover it
    #[command(subcommand)]
    Target(target::Target),
    /// Make, list and end what programs sign in with over HTTP
    #[command(subcommand)]
    Token(token::Token),
    /// Make a broken target available again
    Unlock(unlock::Unlock),
    /// Say what would happen: commits, builds, gates, deployments, in order; nothing is touched
    #[command(subcommand)]
    Simulate(simulate::Simulate),
    /// Take back your approval of a run
    Withdraw(withdraw::Withdraw),
    /// Start nothing new, in one system or in all
    Pause(pause::Pause),
    /// End the pause
    Resume(pause::Resume),
    /// Move nothing into a stage, or anywhere, until a time
    Freeze(freeze::Freeze),
    /// End a freeze before its time
    Thaw(freeze::Thaw),
    /// Let one run, and what comes of it, pass a freeze
    Override(freeze::Override),
    /// Mark a change that cannot wait: it skips the gates that the rules name
    Hotfix(hotfix::Hotfix),
    /// Follow an artifact or commit both ways: what it was made from, and what was made from it
    Trace(trace::Trace),
    /// List what happened, in order
    History(history::History),
    /// Say why something is where it is: what it has passed, what it waits for, and who can end that
    Explain(explain::Explain),
    /// Show lead time, deployment frequency, change failure rate and time to restore, from the log
    Stats(stats::Stats),
    /// Show the lattice as it was at a past moment or event
    Replay(replay::Replay),
    /// Make GitHub the forge: what happens there is seen at once, and shown there
    #[command(subcommand)]
    Github(github::GitHub),
    /// Look whether all is well, and say what to do where it is not
    Doctor(doctor::Doctor),
    /// Check that the log is as it was written, and that all that follows from it does
    VerifyLog(verify_log::VerifyLog),
    #[command(hide = true)]
    Answer(Answer),
    #[command(hide = true)]
    ImageBuilderWorker {
        /// The job's folder
        job: PathBuf,
    },
    #[command(hide = true)]
    Boxed {
        /// A folder that may be written to
        #[arg(long = "write", value_name = "FOLDER")]
        writable: Vec<PathBuf>,
        /// Print what the kernel lacks
        #[arg(long)]
        tell: bool,
        /// What runs in the box
        #[arg(last = true)]
        command: Vec<OsString>,
    },
    #[command(hide = true)]
    Redacted {
        /// A file whose text is taken out of what the command prints
        #[arg(long = "secret", value_name = "FILE")]
        secrets: Vec<PathBuf>,
        /// What runs
        #[arg(last = true)]
        command: Vec<OsString>,
    },
    #[command(hide = true)]
    DemoService {
        /// The file whose text it answers with
        version_file: PathBuf,
        /// Where it listens
        #[arg(long, env = "PORT")]
        port: u16,
    },
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// What a person sees: what was tried, what came back, what to do.
    pub async fn execute(self) -> anyhow::Result<ExitCode> {
        if let Some(url) = self.server.as_deref().filter(|url| !url.is_empty()) {
            if let Some(reason) = self.command.only_here() {
                anyhow::bail!("this cannot be asked of {url}: {reason}");
            }
            let client = Client::new(url, self.token_file.as_deref())?;
            return self.execute_here(Some(client)).await.map(|()| ExitCode::SUCCESS);
        }
        if self.command.only_here().is_none() {
            let named = self.socket.clone().filter(|socket| !socket.as_os_str().is_empty());
            if let Some(socket) = named.or_else(|| client::of_settings(&self.config)) {
                return client::ask(&socket).await;
            }
        }
        self.execute_here(None).await.map(|()| ExitCode::SUCCESS)
    }

    /// Carries out a command for whoever asks over the socket.
    async fn answer(config: PathBuf, answer: Answer) -> anyhow::Result<()> {
        answer.begin(&config)?;
        let words = ["tidegate".to_owned()].into_iter().chain(answer.arguments);
        let mut known = Self::command();
        known.build();
        let matches = known.clone().try_get_matches_from(words).unwrap_or_else(|wrong| wrong.exit());
        let asked = Self::from_arg_matches(&matches).unwrap_or_else(|wrong| wrong.exit());
        if let Some(reason) = asked.command.only_here() {
            return Err(only_here(reason));
        }
        demand_no_file(&known, &matches)?;
        Box::pin(Self { config, socket: None, ..asked }.execute_here(None)).await
    }

    async fn execute_here(self, server: Option<Client>) -> anyhow::Result<()> {
        let Self { config, output, command, socket: _, server: _, token_file: _ } = self;
        let source = Source::new(config.clone(), server);
        match command {
            Command::Demo(demo) => demo.execute(output).await,
            Command::Init(init) => init.execute(output).await,
            Command::Check(check) => check.execute(&config, output).await,
            Command::Serve(serve) => serve.execute(&config).await,
            Command::Status(status) => status.execute(&source, output).await,
            Command::Runs(runs) => runs.execute(&source, output).await,
            Command::Run(run) => run.execute(&source, output).await,
            Command::Deploy(deploy) => deploy.execute((&config, &source), output).await,
            Command::Logs(logs) => logs.execute(&source).await,
            Command::Promote(promote) => promote.execute(&source, output).await,
            Command::Release(release) => release.execute(&source, output).await,
            Command::Rollback(rollback) => rollback.execute(&source, output).await,
            Command::TakeBack(take_back) => take_back.execute(&source, output).await,
            Command::Veto(veto) => veto.execute(&source, output).await,
            Command::Pin(pin) => pin.execute(&source, output).await,
            Command::Unpin(unpin) => unpin.execute(&source, output).await,
            Command::Approve(approve) => approve.execute(&source, output).await,
            Command::Reject(reject) => reject.execute(&source, output).await,
            Command::Retry(retry) => retry.execute(&source, output).await,
            Command::Nudge(nudge) => nudge.execute(&source, output).await,
            Command::Abort(abort) => abort.execute(&source, output).await,
            Command::Target(target) => target.execute(&source, output).await,
            Command::Unlock(unlock) => unlock.execute(&source, output).await,
            Command::Simulate(simulate) => simulate.execute(&source, output).await,
            Command::Withdraw(withdraw) => withdraw.execute(&source, output).await,
            Command::Pause(pause) => pause.execute(&source, output).await,
            Command::Resume(resume) => resume.execute(&source, output).await,
            Command::Freeze(freeze) => freeze.execute(&source, output).await,
            Command::Thaw(thaw) => thaw.execute(&source, output).await,
            Command::Override(pass) => pass.execute(&source, output).await,
            Command::Hotfix(hotfix) => hotfix.execute(&source, output).await,
            Command::Trace(trace) => trace.execute(&source, output).await,
            Command::History(history) => history.execute(&source, output).await,
            Command::Explain(explain) => explain.execute(&source, output).await,
            Command::Stats(stats) => stats.execute(&source, output).await,
            Command::Replay(replay) => replay.execute(&source, output).await,
            Command::Github(github) => github.execute(&config, output).await,
            Command::Doctor(doctor) => doctor.execute(&config, output).await,
            Command::VerifyLog(verify_log) => verify_log.execute(&source, output).await,
            Command::Token(token) => token.execute(&config, output).await,
            Command::Answer(answer) => Self::answer(config, answer).await,
            Command::ImageBuilderWorker { job } => Ok(image_builder::run_worker(&job).await?),
            Command::Boxed { writable, tell, command } => {
                Err(sandbox::shut_and_become(&command, &writable, tell).into())
            }
            Command::Redacted { secrets, command } => {
                std::process::exit(redacted::run_redacted(&secrets, &command).await?)
            }
            Command::DemoService { version_file, port } => Ok(demo_service::serve(port, &version_file).await?),
        }
    }

    /// Whether the command is to be quiet on standard error but for its own messages.
    #[must_use]
    pub const fn is_server(&self) -> bool {
        matches!(self.command, Command::Serve(_))
    }
}

impl Command {
    /// Why it is not asked of a server by others; nothing for all that only look at its database, or ask it for something.
    const fn only_here(&self) -> Option<&'static str> {
        match self {
            Self::Demo(_) | Self::Init(_) | Self::Check(_) => Some("it reads and writes files of whoever types it"),
            Self::Serve(_)
            | Self::Answer(_)
            | Self::ImageBuilderWorker { .. }
            | Self::DemoService { .. }
            | Self::Boxed { .. }
            | Self::Redacted { .. } => Some("it is a server itself"),
            Self::Github(_) => Some("it writes files of the server's machine"),
            Self::Doctor(_) => Some("it looks at the whole machine"),
            Self::Token(_) => Some("it is for whoever can open the database"),
            Self::Simulate(simulate) if simulate.runs_commands() => {
                Some("`--run-commands` runs commands and gives them secrets")
            }
            Self::Simulate(_) => None,
            Self::Status(_) | Self::Runs(_) | Self::Run(_) | Self::Logs(_) | Self::Trace(_) | Self::History(_) => None,
            Self::Explain(_) | Self::Stats(_) | Self::Replay(_) | Self::VerifyLog(_) => None,
            Self::Promote(_) | Self::Release(_) | Self::Rollback(_) | Self::TakeBack(_) | Self::Veto(_) => None,
            Self::Pin(_) | Self::Unpin(_) | Self::Approve(_) | Self::Reject(_) | Self::Withdraw(_) => None,
            Self::Retry(_) | Self::Abort(_) | Self::Unlock(_) | Self::Pause(_) | Self::Resume(_) => None,
            Self::Freeze(_) | Self::Thaw(_) | Self::Override(_) | Self::Hotfix(_) => None,
            Self::Target(_) | Self::Nudge(_) => None,
            Self::Deploy(_) => Some("it brings a file of whoever types it"),
        }
    }
}

/// The exit code for an error, as `--help` lists them.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> u8 {
    use crate::{engine::Refused, simulate::Unpredictable, store::RecordError};
    let refused = matches!(error.downcast_ref::<RecordError>(), Some(RecordError::Refused(_)))
        || matches!(error.downcast_ref(), Some(Unpredictable::Refused(_) | Unpredictable::NotPushed { .. }))
        || error.is::<Refused>();
    let refused = refused || error.downcast_ref::<ServerSaid>().is_some_and(ServerSaid::is_refused);
    match () {
        () if error.is::<check::HasMistakes>() => 4,
        () if refused => 3,
        () => 1,
    }
}
