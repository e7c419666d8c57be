//! `tidegate init`: writes a settings file and a rules file for existing repositories.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;

use super::{
    asker::OsUser,
    output::{Output, say},
    unboxed,
};
use crate::{
    providers::git::{GitOptions, Identity, Mirrors, Proofs},
    rules::{self, SystemName},
};

/// How long one repository may take to answer which branches it has.
const LOOK_DEADLINE: Duration = Duration::from_secs(15);
const RULES: &str = include_str!("init/rules.yaml");
const SETTINGS: &str = include_str!("init/tidegate.toml");

/// Write a settings file and a rules file for existing repositories. Nothing that is there is overwritten.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate init delivery --software https://git.example/webshop.git \\\n           \
    --image https://git.example/webshop-image.git --infrastructure https://git.example/webshop-infra.git")]
pub(super) struct Init {
    /// The folder that they are written to
    directory: PathBuf,
    /// The repository where the software lives
    #[arg(long, value_name = "URL")]
    software: String,
    /// The repository that describes the image
    #[arg(long, value_name = "URL")]
    image: String,
    /// The repository with the infrastructure
    #[arg(long, value_name = "URL")]
    infrastructure: String,
    /// The system's name
    #[arg(long, default_value = "webshop")]
    name: SystemName,
}

impl Init {
    pub(super) async fn execute(self, output: Output) -> anyhow::Result<()> {
        let rules_name = format!("promotion-rules/{}.yaml", self.name);
        let text = RULES
            .replace("@NAME@", self.name.as_str())
            .replace("@SOFTWARE@", &quoted(&self.software)?)
            .replace("@IMAGE@", &quoted(&self.image)?)
            .replace("@INFRASTRUCTURE@", &quoted(&self.infrastructure)?);
        if let Err(mistakes) = rules::load(&rules_name, &text) {
            bail!("these repositories make no valid rules\n{}", mistakes.render(false));
        }
        let settings = self.directory.join(super::settings::FILE_NAME);
        let rules_path = self.directory.join(&rules_name);
        if let Some(there) = [&settings, &rules_path].into_iter().find(|path| path.exists()) {
            bail!("{} is there already; choose another folder, or remove it", there.display());
        }
        let folder = rules_path.parent().unwrap_or(&self.directory);
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::write(&rules_path, &text).with_context(|| format!("cannot write {}", rules_path.display()))?;
        let text = settings_for(&OsUser::current().to_string(), &own_email().await, &rules_name);
        let (unboxed, text) = unboxed::settings(text);
        fs::write(&settings, text).with_context(|| format!("cannot write {}", settings.display()))?;
        let branches = self.branches().await;
        if output == Output::Json {
            return output
                .json(&serde_json::json!({ "settings": settings, "rules": rules_path, "branches": branches }));
        }
        say(&format!("wrote {} and {}", settings.display(), rules_path.display()))?;
        for (repository, found) in &branches {
            say(&format!("  {repository:<15} {found}"))?;
        }
        if let Some(missing) = unboxed {
            say(&format!("\nIt says `sandbox = \"none\"`: {missing}"))?;
        }
        say(&format!(
            "\nRead the rules, change what is different with you, then\n  tidegate --config {0} check\n  tidegate --config {0} serve",
            settings.display()
        ))
    }

    /// Which of the stages' branches each repository has, or why that cannot be told.
    async fn branches(&self) -> BTreeMap<&'static str, String> {
        let repositories =
            [("software", &self.software), ("image", &self.image), ("infrastructure", &self.infrastructure)];
        let mut found = BTreeMap::new();
        for (name, url) in repositories {
            found.insert(name, look(url).await.unwrap_or_else(|error| format!("cannot be reached yet: {error}")));
        }
        found
    }
}

async fn look(url: &str) -> anyhow::Result<String> {
    let scratch = std::env::temp_dir().join(format!("tidegate-init-{}", std::process::id()));
    let identity = Identity { name: "Tidegate".to_owned(), email: "tidegate@localhost".to_owned() };
    let stages = ["dev", "qa", "main"].map(str::to_owned);
    let looked = async {
        let mirror = Mirrors::open(&scratch, GitOptions::new(identity, Proofs::none()))?.mirror(&absolute(url))?;
        mirror.heads(&stages, LOOK_DEADLINE).await
    };
    let heads = looked.await;
    drop(fs::remove_dir_all(&scratch));
    let branch = |(branch, head): (&String, &Option<String>)| match head {
        Some(_) => format!("{branch} ✓"),
        None => format!("{branch} is missing"),
    };
    Ok(heads?.iter().map(branch).collect::<Vec<_>>().join("  "))
}

/// A path on this machine is written from the root, as the rules file lies elsewhere than where the command was typed.
fn absolute(url: &str) -> String {
    let is_path = !url.contains(':');
    let path = is_path.then(|| std::path::absolute(Path::new(url)).ok()).flatten();
    path.map_or_else(|| url.to_owned(), |path| path.display().to_string())
}

/// The settings, with whoever types this as the one person, who may do everything.
fn settings_for(user: &str, email: &str, rules: &str) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let emails = if email.is_empty() { String::new() } else { quoted(email) };
    let texts = [
        ("@RULES@", rules.to_owned()),
        (r#""@NAME@""#, quoted(user)),
        (r#""@USER@""#, quoted(user)),
        ("@EMAIL@", emails),
    ];
    texts.into_iter().fold(SETTINGS.to_owned(), |text, (name, value)| text.replace(name, &value))
}

/// The address under which whoever types this commits, as git knows it. Without one, what they wrote is a stranger's until
/// they add it.
async fn own_email() -> String {
    let asked = tokio::process::Command::new("git").args(["config", "user.email"]).stdin(Stdio::null()).output();
    match tokio::time::timeout(LOOK_DEADLINE, asked).await {
        Ok(Ok(said)) if said.status.success() => String::from_utf8_lossy(&said.stdout).trim().to_owned(),
        _ => String::new(),
    }
}

/// A URL as YAML text.
fn quoted(url: &str) -> anyhow::Result<String> {
    Ok(serde_json::to_string(&absolute(url))?)
}
