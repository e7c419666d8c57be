//! `tidegate github`: makes an App at GitHub, and writes down what it is.

use std::{path::Path, pin::pin};

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;
use tokio::signal::unix::SignalKind;
use tokio_util::sync::CancellationToken;

use super::{
    House,
    output::{Output, Tone, paint, say},
    private,
    settings::{FILE_NAME, Settings},
    signals::told_to_stop,
};
use crate::{
    house::{
        connect::{Choice, Connected, GITHUB_COM},
        server_settings::Listen,
    },
    store::DriverLock,
    web::{CONNECT, Listening, routes::encoded},
};

/// Make GitHub the forge: what happens there is seen at once, and shown there.
#[derive(Debug, Subcommand)]
pub(super) enum GitHub {
    /// Make an App at GitHub from a browser, and write its key and lines beside the settings. It waits until that is done (Ctrl-C
    /// ends it)
    Connect(Connect),
}

/// Makes an App.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate github connect --organization acme")]
pub(super) struct Connect {
    /// The organization that has the repositories; without it, they are your own
    #[arg(long, default_value = "", hide_default_value = true)]
    organization: String,
    /// The address of GitHub
    #[arg(long, default_value = GITHUB_COM)]
    url: String,
}

impl GitHub {
    pub(super) async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Connect(connect) => connect.execute(config, output).await,
        }
    }
}

impl Connect {
    async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        private::close();
        let Self { organization, url } = self;
        let choice = Choice::of(&url, &organization).map_err(anyhow::Error::msg)?;
        let settings = Settings::read(config)?;
        if settings.forges.github.is_some() {
            bail!(
                "{} has a [forges.github] already: take those lines out first to make another App; the files that they name stay",
                settings.file().display()
            );
        }
        if let Some((lines, folder)) = settings.unfinished_connection() {
            bail!(
                "an App was made, and its lines are not in {}: add them, or delete that App at GitHub and then {folder}\n{lines}",
                settings.file().display()
            );
        }
        let organization = choice.organization.as_deref().unwrap_or_default();
        let page = format!("{CONNECT}?organization={}&url={}", encoded(organization), encoded(&choice.url));
        if let Some(server) = running(&settings) {
            let link = format!("{server}{page}");
            return output.done(
                &format!("Open this, and sign in as somebody with the role `admin`: {link}"),
                &json!({ "link": link }),
            );
        }
        let house = House::open(config).await?;
        let connected = wait_for(house, &page, output).await?;
        tell(&connected, output)
    }
}

/// The address of the server that runs, where that can be known.
fn running(settings: &Settings) -> Option<String> {
    DriverLock::holder(&settings.database())?;
    match (&settings.server.url, settings.server.listen) {
        (_, Listen::Nowhere) => None,
        (Some(url), _) => Some(url.clone()),
        (None, Listen::At(address)) if address.port() != 0 && settings.server.certificate.is_none() => {
            Some(format!("http://{address}"))
        }
        (None, Listen::At(_) | Listen::Loopback) => None,
    }
}

/// Listens for the one who has the link, until the App is there.
async fn wait_for(house: House, page: &str, output: Output) -> anyhow::Result<Connected> {
    let listening = Listening::for_its_user(&house.settings).await?;
    let stop = CancellationToken::new();
    let to = encoded(page);
    let announce = move |link: &str| {
        let link = format!("{link}&to={to}");
        let said = match output {
            Output::Text => say(&format!("Open this in a browser of this machine, once: {link}")),
            Output::Json => output.json(&json!({ "link": link })),
        };
        if let Err(error) = said {
            tracing::error!("the link cannot be printed: {error:#}");
        }
    };
    let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
    let mut told = pin!(told_to_stop(&kinds));
    // Whoever reads the link can end it: it is listened for that first.
    tokio::select! {
        biased;
        () = &mut told => bail!("told to stop: nothing was connected"),
        () = std::future::ready(()) => {}
    }
    let server = listening.server(house.into(), Some(Box::new(announce)), stop.clone());
    let answering = tokio::spawn(listening.answer(server.clone()));
    let connected = tokio::select! {
        connected = server.connected() => connected,
        () = &mut told => None,
    };
    // The page that says so is sent before it ends.
    stop.cancel();
    answering.await?;
    match connected {
        Some(connected) => Ok(connected),
        None => bail!("told to stop: nothing was connected"),
    }
}

fn tell(connected: &Connected, output: Output) -> anyhow::Result<()> {
    let Connected { id, slug, install, not_written, lines } = connected;
    if output == Output::Json {
        return output.json(&json!({
            "app_id": id, "slug": slug, "install": install, "not_written": not_written, "lines": lines,
        }));
    }
    say(&format!("GitHub has made the App {slug}."))?;
    say(&format!("  1. Install it where the repositories are: {install}"))?;
    match not_written {
        None => say(&format!("  2. Start `tidegate serve` again: {FILE_NAME} has the App now."))?,
        Some(why) => {
            say(&format!("  2. Add these lines to {FILE_NAME}, which were not written there: {why}"))?;
            say(lines)?;
            say("     Then start `tidegate serve` again.")?;
        }
    }
    say(&paint("  3. `tidegate doctor` says whether all is well.", Tone::Quiet))
}
