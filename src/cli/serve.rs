//! `tidegate serve`: watches the repositories and drives what the rules say.

use std::{
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use tokio::{signal::unix::SignalKind, sync::Notify};
use tokio_util::sync::CancellationToken;

use super::{House, asking::Who, provided, signals::told_to_stop, socket::server::Listening, upkeep::keep_up, words};
use crate::{
    driver::{Breakpoints, Driver, now_ms},
    engine::Command,
    forge::{self, deliveries::Wakes},
    house::{
        asker::Asker,
        in_force::{Brought, RulesWatch},
        private,
        signing::try_it,
    },
    providers::git::{dropped, git_version},
    rules::SystemName,
    store::{DriverLock, StoreError},
    web,
};

/// How often the rules files are looked at for changes.
const RULES_EVERY: Duration = Duration::from_secs(2);
/// How often a full disk is tried again.
const ROOM_EVERY: Duration = Duration::from_secs(10);

const AFTER_HELP: &str = "Example: tidegate serve --paused \"trying the rules\", and then \
`tidegate simulate push software dev --from .`";

/// Watch the repositories and drive what the rules say, until it is told to stop (Ctrl-C, SIGTERM). It may be killed at any
/// moment: what goes on is found again when it is started again.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Serve {
    /// Stop before and after every effect and ask the debugger that listens on this Unix socket
    #[arg(long, value_name = "SOCKET", hide_short_help = true)]
    breakpoints: Option<PathBuf>,
    /// Begin paused, for this reason: repositories are looked at, nothing starts until `tidegate resume`
    #[arg(long, value_name = "REASON")]
    paused: Option<String>,
    #[command(flatten)]
    who: Who,
}

impl Serve {
    pub(super) async fn execute(self, config: &Path) -> anyhow::Result<()> {
        private::close();
        let house = waiting_for_room(|| House::open(config)).await?;
        say_what_git_does_not_get(&house);
        let stop = CancellationToken::new();
        let told = stop.clone();
        tokio::spawn(async move {
            told_to_stop(&[SignalKind::interrupt(), SignalKind::terminate()]).await;
            tracing::info!("told to stop");
            told.cancel();
        });
        let asker = self.who.asker();
        let pause = self.paused.as_deref().map(|reason| (&asker, reason));
        let announce: web::Announce = Box::new(|link| print_line(&format!("Sign in, once: {link}")));
        serve(Arc::new(house), self.breakpoints, pause, Some(announce), stop).await
    }
}

/// Tries again for as long as there is no room on the disk: as the words of that error promise.
async fn waiting_for_room<T>(doing: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    loop {
        match doing().await {
            Err(error) if error.downcast_ref::<StoreError>().is_some_and(StoreError::is_full) => {
                tracing::error!("{error:#}");
                tokio::time::sleep(ROOM_EVERY).await;
            }
            done => return done,
        }
    }
}

/// Drives until it is told to stop. With a pause (who asks for it, and why), nothing starts before that is over. Who signs in
/// over HTTP is told where by `announce`; without it, nobody is listened to there.
pub(super) async fn serve(
    house: Arc<House>,
    breakpoints: Option<PathBuf>,
    pause: Option<(&Asker, &str)>,
    announce: Option<web::Announce>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let _lock = DriverLock::take(&house.settings.database())?;
    let seen = stamps(&house);
    if house.settings.rules.repository().is_none() {
        house.load_rules_files().await?.refused.iter().for_each(|refused| tracing::error!("{refused}"));
    }
    say_what_will_fail(&house).await?;
    let listening = house.settings.server.socket.as_deref().map(Listening::at).transpose()?;
    let over_http = match &announce {
        Some(_) => web::Listening::at(&house.settings).await?,
        None => None,
    };
    let breakpoints = match breakpoints {
        Some(socket) => Breakpoints::connect(&socket)
            .await
            .with_context(|| format!("no debugger listens on {}", socket.display()))?,
        None => Breakpoints::none(),
    };
    let claimant = format!("pid-{}", std::process::id());
    let tools = Arc::new(house.tools()?);
    let driver = Arc::new(Driver::new(house.ledger.clone(), tools.clone(), breakpoints, claimant));
    let (systems, unloaded) = house.ledger.load_all().await?;
    for (system, error) in &unloaded {
        tracing::error!(%system, %error, "a system cannot be read and is left alone; the others are driven");
    }
    let is_read = |system: &SystemName| unloaded.iter().all(|(unread, _)| unread != system);
    let read: Vec<SystemName> = house.systems().await?.into_iter().filter(is_read).collect();
    for system in &read {
        house.load_access(system).await?;
        say_if_ahead(&house, system).await?;
    }
    provided::warn(&house, &read).await?;
    if let Some((who, reason)) = pause {
        begin_paused(&house, &read, who, reason).await?;
    }
    tracing::info!(systems, database = %house.settings.database().display(), "driving");
    let pause = pause.map(|(who, reason)| (who.to_owned(), reason.to_owned()));
    let wakes = Wakes::default();
    let mut reload = match house.settings.rules.repository() {
        Some(from) => {
            let watch = RulesWatch::begin(from, &tools.mirrors, &house.settings)?;
            tokio::spawn(watch_rules(house.clone(), watch, pause, wakes.rules.clone(), stop.clone()))
        }
        None => tokio::spawn(reload_rules(house.clone(), seen, pause, stop.clone())),
    };
    let mut upkeep = tokio::spawn(keep_up(house.clone(), tools));
    let config = house.settings.file().to_owned();
    let mut answers = tokio::spawn(answer(listening, config, stop.clone()));
    let mut attended = tokio::spawn(forge::attend(house.clone(), wakes, stop.clone()));
    let mut over_http = tokio::spawn(answer_http(over_http, house.clone(), announce, stop.clone()));
    let mut driven = pin!(driver.drive(stop));
    let driven = tokio::select! {
        driven = &mut driven => driven,
        ended = &mut reload => {
            // Told to stop, it ends a moment before the driver does. Otherwise rules would never change again, unseen.
            ended.context("what brings rules into force broke off; tidegate ends")?;
            driven.await
        }
        ended = &mut upkeep => {
            ended.context("what keeps the mirrors in order broke off; tidegate ends")?;
            driven.await
        }
        ended = &mut answers => {
            ended.context("what answers commands over the socket broke off; tidegate ends")?;
            driven.await
        }
        ended = &mut attended => {
            ended.context("what goes on with the forge broke off; tidegate ends")?;
            driven.await
        }
        ended = &mut over_http => {
            ended.context("what answers over HTTP broke off; tidegate ends")?;
            driven.await
        }
    };
    if !over_http.is_finished() {
        // Told to stop, it ends what goes on, within seconds.
        over_http.await.context("what answers over HTTP broke off")?;
    }
    answers.abort();
    attended.abort();
    reload.abort();
    upkeep.abort();
    Ok(driven?)
}

/// Tries what steps need, and says what will fail without it.
async fn say_what_will_fail(house: &House) -> anyhow::Result<()> {
    if let Err(fault) = git_version(&house.git_options().program) {
        tracing::error!("promotions and rollbacks will fail: {fault}");
    }
    let sandbox = house.settings.sandbox()?;
    if !sandbox.is_on() {
        tracing::warn!("`sandbox = \"none\"`: commands of repositories can do all that this server can");
    } else {
        match sandbox.probe() {
            Ok(lacking) => lacking.iter().for_each(|it| tracing::warn!("the sandbox has less than it could: {it}")),
            Err(missing) => tracing::error!("steps that run commands will fail: {missing}"),
        }
    }
    for error in house.settings.server.issuers.iter().filter_map(|issuer| issuer.client_secret().err()) {
        tracing::error!("nobody will sign in with an issuer: {error:#}");
    }
    if let Some(Err(error)) = house.settings.signs_in_by_github().map(|github| github.client_secret()) {
        tracing::error!("nobody will sign in by GitHub: {error:#}");
    }
    if let Some((_, folder)) = house.settings.unfinished_connection() {
        tracing::warn!(
            folder,
            "an App was made at GitHub, and tidegate.toml does not have it: the lines to add are in lines.toml"
        );
    }
    if let Some(signer) = house.settings.signer()
        && let Err(fault) = try_it(&signer).await
    {
        tracing::error!("commits will fail until they can be signed: {}", fault.whole());
    }
    Ok(())
}

/// Answers commands over the socket, where there is one.
async fn answer(listening: Option<Listening>, config: PathBuf, stop: CancellationToken) {
    match listening {
        Some(listening) => listening.answer(config, stop).await,
        None => stop.cancelled().await,
    }
}

/// Answers over HTTP, where there is a listener.
async fn answer_http(
    listening: Option<web::Listening>,
    house: Arc<House>,
    announce: Option<web::Announce>,
    stop: CancellationToken,
) {
    let Some(listening) = listening else { return stop.cancelled().await };
    tracing::info!(url = listening.url(), address = %listening.address(), "listening");
    let server = listening.server(house, announce, stop);
    listening.answer(server).await;
}

/// Prints a line; where nobody reads it, the server goes on.
fn print_line(line: &str) {
    use std::io::Write as _;
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// Says which variables of the server's own git might have been meant to get, and does not.
fn say_what_git_does_not_get(house: &House) {
    let own: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    let given: Vec<(String, String)> = house.settings.git_environment.clone().into_iter().collect();
    let dropped = dropped(own.iter().map(String::as_str), &given);
    if !dropped.is_empty() {
        let dropped = dropped.join(", ");
        tracing::warn!(
            dropped,
            "git does not get these variables of this server: give it those that it needs as [git_environment]"
        );
    }
}

/// Pauses those of the systems that are not paused yet.
async fn begin_paused(house: &House, systems: &[SystemName], who: &Asker, reason: &str) -> anyhow::Result<()> {
    for system in systems {
        if !house.ledger.read(system, |state| state.paused.is_some()).await? {
            let pause = Command::Pause { reason: reason.to_owned() };
            house.command(system, who, pause).await.with_context(|| format!("{system} was not paused"))?;
        }
    }
    Ok(())
}

/// Says when the last event of a log is in the future: somebody's clock was ahead.
async fn say_if_ahead(house: &House, system: &SystemName) -> anyhow::Result<()> {
    let last_ms = house.ledger.read(system, |state| state.at_ms).await?;
    if let Some(ahead) = words::ahead_of_clock(last_ms, now_ms()) {
        tracing::warn!(%system, "{ahead}");
    }
    Ok(())
}

/// Brings changed rules files into force while driving goes on. A system that begins meanwhile begins paused where the
/// others did.
async fn reload_rules(
    house: Arc<House>,
    mut last_seen: Vec<Stamp>,
    pause: Option<(Asker, String)>,
    stop: CancellationToken,
) {
    let mut last_said = String::new();
    while stop.run_until_cancelled(tokio::time::sleep(RULES_EVERY)).await.is_some() {
        let seen = stamps(&house);
        if seen == last_seen {
            continue;
        }
        let said = match reload_once(&house, pause.as_ref()).await {
            Ok(refused) => {
                last_seen = seen;
                refused.join("\n")
            }
            Err(error) => format!("rules could not be brought into force: {error:#}"),
        };
        if said != last_said && !said.is_empty() {
            tracing::error!("{said}");
        }
        last_said = said;
    }
}

/// Brings each new head of the branch of the rules into force. A repository that cannot be reached leaves the rules as they are.
async fn watch_rules(
    house: Arc<House>,
    mut watch: RulesWatch,
    pause: Option<(Asker, String)>,
    news: Arc<Notify>,
    stop: CancellationToken,
) {
    let mut last_said = String::new();
    loop {
        let looked = async {
            let Brought { refused, begun, .. } = watch.look(&house).await?;
            begin_as_others(&house, &begun, pause.as_ref()).await?;
            anyhow::Ok(refused.join("\n"))
        };
        let said = looked.await.unwrap_or_else(|error| format!("rules could not be brought into force: {error:#}"));
        if said != last_said && !said.is_empty() {
            tracing::error!("{said}");
        }
        last_said = said;
        tokio::select! {
            () = stop.cancelled() => return,
            () = news.notified() => {}
            () = tokio::time::sleep(watch.pause()) => {}
        }
    }
}

async fn reload_once(house: &House, pause: Option<&(Asker, String)>) -> anyhow::Result<Vec<String>> {
    let Brought { refused, begun, .. } = house.load_rules_files().await?;
    begin_as_others(house, &begun, pause).await?;
    Ok(refused)
}

/// Systems that begin while others were begun paused are paused as well.
async fn begin_as_others(house: &House, begun: &[SystemName], pause: Option<&(Asker, String)>) -> anyhow::Result<()> {
    match pause {
        Some((who, reason)) => begin_paused(house, begun, who, reason).await,
        None => Ok(()),
    }
}

/// When a rules file was last written, and its size: what has the same stamp is not read again.
type Stamp = Option<(std::time::SystemTime, u64)>;

fn stamps(house: &House) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let metadata = path.metadata().ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    house.settings.rules.files().iter().map(stamp).collect()
}
