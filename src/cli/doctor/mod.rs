//! `tidegate doctor`: looks whether all is well with an installation, and changes nothing.

mod database;
pub mod finding;
mod forge;
mod machine;
mod mirrors;
mod repositories;
mod settings;
mod text;

use std::path::Path;
use std::time::Duration;

use clap::Args;

use self::finding::{About, Diagnosis, Findings, Level};
use super::{
    House,
    asking::Who,
    output::{Output, say},
    progress::Progress,
    provided,
    settings::Settings,
    upkeep::NamedRepositories,
};
use crate::driver::now_ms;

const AFTER_HELP: &str = "Example: tidegate doctor; and for programs: \
tidegate doctor -o json | jq '.findings[] | select(.level == \"problem\")'";

/// Look whether all is well: settings, rules, database, clock, disk, git, sandbox, mirrors, and whether each repository can be
/// reached. Each finding says what to do. Nothing is changed, and `serve` may go on. Exit code 1 on any problem.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Doctor {
    /// List what is well too, one line for each mirror and repository
    #[arg(long)]
    all: bool,
    /// How many seconds a repository may take to answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    patience: u64,
    #[command(flatten)]
    who: Who,
}

/// That something does not work; what it is has been printed.
#[derive(Debug, thiserror::Error)]
#[error("{} {}", .0, if *.0 == 1 { "problem" } else { "problems" })]
struct NotWell(usize);

impl Doctor {
    pub(super) async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        let mut findings = Findings::default();
        let (mut disk, mut mirrors) = (Vec::new(), Vec::new());
        if let Some(settings) = settings::read(config, &mut findings) {
            settings::rules(&settings, &mut findings);
            database::server(&settings, &mut findings);
            database::database(&settings, &mut findings).await;
            let house = self.house(config, &settings, &mut findings).await;
            if let Some(house) = &house {
                database::logs(house, &mut findings).await;
                if settings.rules.repository().is_some() {
                    let systems = house.readable_systems().await.unwrap_or_default();
                    let rules = provided::in_force(house, &systems).await.unwrap_or_default();
                    settings::providers(&settings, &rules, &mut findings);
                }
            }
            let progress = Progress::counting("looking at the disk".to_owned(), "folders");
            disk = machine::disk(&settings, &progress, &mut findings).await;
            drop(progress);
            machine::git(&settings, &mut findings).await;
            machine::signing(&settings, &mut findings).await;
            machine::sandbox(&settings, &mut findings).await;
            // Without a database it is not known what the rules name.
            let named = match &house {
                Some(house) => NamedRepositories::of(house).await.unwrap_or_default(),
                None => NamedRepositories::default(),
            };
            mirrors = mirrors::look(&settings, &named, &mut findings).await;
            let patience = Duration::from_secs(self.patience);
            repositories::reach(&settings, house.as_ref(), &self.who.asker(), patience, &mut findings).await?;
            forge::look(&settings, house.as_ref(), &self.who.asker(), patience, &mut findings).await;
        }
        let diagnosis = Diagnosis { at_ms: now_ms(), worst: findings.worst(), findings: findings.0, disk, mirrors };
        match output {
            Output::Json => output.json(&diagnosis)?,
            Output::Text => say(&text::of(&diagnosis, self.all))?,
        }
        match diagnosis.findings.iter().filter(|finding| finding.level == Level::Problem).count() {
            0 => Ok(()),
            problems => Err(NotWell(problems).into()),
        }
    }

    /// The house, where there is a database that can be read.
    async fn house(&self, config: &Path, settings: &Settings, findings: &mut Findings) -> Option<House> {
        if !settings.database().exists() {
            return None;
        }
        match House::open_to_read(config).await {
            Ok(house) => Some(house),
            // That it cannot be read has been found already, where that is so.
            Err(_) if findings.0.iter().any(|it| it.about == About::Database && it.level == Level::Problem) => None,
            Err(error) => {
                findings.bad(About::Database, None, format!("{error:#}"), "look at what it says");
                None
            }
        }
    }
}
