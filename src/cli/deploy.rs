//! `tidegate deploy`: brings what was built elsewhere to the rule that deploys it. The file goes into the object store under its
//! digest first; the command names that, so that what is approved and deployed is these bytes.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::{Asking, House, Source, output::Output};
use crate::{
    engine::{Bundle, Command, StartOn, System},
    providers::{
        files::sha256_of_file,
        objects::{self, Objects},
    },
    rules::{RuleName, StageName, TargetName, did_you_mean, printable_line},
};

const AFTER_HELP: &str = "Examples: tidegate deploy site-1.4.zip --target site --stage qa; tidegate deploy app.tar.gz --rule install --stage dev\n\
A rule takes what is brought where its `on` says `release: true`. Older files can be deployed again: the same bytes are stored once.";
/// What a file is called in the store whose own name no store could keep.
const UNNAMED: &str = "bundle";

/// Deploy what was built elsewhere: a file, without a build.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Deploy {
    /// The file: an archive, or whatever the rule knows to deploy
    file: PathBuf,
    /// What it is deployed to
    #[arg(long, required_unless_present = "rule", conflicts_with = "rule")]
    target: Option<TargetName>,
    /// The rule that takes it, where it has no target or a target has several
    #[arg(long)]
    rule: Option<RuleName>,
    /// The stage
    #[arg(long)]
    stage: StageName,
    #[command(flatten)]
    asking: Asking,
}

impl Deploy {
    pub(super) async fn execute(self, (config, source): (&Path, &Source), output: Output) -> anyhow::Result<()> {
        let house = House::open(config).await?;
        let system = house.find_system(&self.asking.asked()).await?;
        let rule = house.ledger.read(&system, |state| self.taking(state)).await??;
        let objects = house.settings.objects().open()?;
        let bundle = stored(&self.file, &*objects).await?;
        let (name, digest) = (bundle.name.clone(), bundle.sha256.get(..12).unwrap_or_default().to_owned());
        let done = format!(
            "{name} (sha256 {digest}…) goes to {} by {rule}: `tidegate status` shows how far it is",
            self.stage
        );
        let command = Command::Run { rule, stage: self.stage, on: Some(StartOn::Bundle(bundle)) };
        self.asking.ask(source, output, command, &done).await
    }

    /// The rule that takes it.
    fn taking(&self, state: &System) -> anyhow::Result<RuleName> {
        let Some(rules) = state.rules() else { bail!("no rules are in force yet: `tidegate serve` loads them") };
        let Some(target) = &self.target else { return self.rule.clone().context("a rule or a target is named") };
        if !rules.targets.contains_key(target) {
            let known = || rules.targets.keys().map(|name| name.as_str());
            let meant = did_you_mean(target.as_str(), known())
                .unwrap_or_else(|| format!("there are: {}", known().collect::<Vec<_>>().join(", ")));
            bail!("there is no target `{target}`; {meant}");
        }
        let taking = rules.rules.iter().filter(|(_, rule)| rule.target.as_ref() == Some(target) && rule.on.release);
        let taking: Vec<&RuleName> = taking.map(|(name, _)| name).collect();
        match taking.as_slice() {
            [rule] => Ok((*rule).clone()),
            [] => bail!(
                "no rule takes a file for {target}: write `release: true` in the `on` of the rule that is to deploy it"
            ),
            several => {
                let names: Vec<String> = several.iter().map(ToString::to_string).collect();
                bail!("several rules take files for {target}; say `--rule` and one of: {}", names.join(", "))
            }
        }
    }
}

/// The file, once it is in the store.
async fn stored(file: &Path, objects: &dyn Objects) -> anyhow::Result<Bundle> {
    let shown = file.display();
    let about = tokio::fs::metadata(file).await.with_context(|| format!("cannot read {shown}"))?;
    ensure!(about.is_file(), "{shown} is no file: pack it first, as in `tar czf bundle.tar.gz -C {shown} .`");
    ensure!(about.len() > 0, "{shown} is empty");
    let (sha256, bytes) = sha256_of_file(file).await?;
    let name = file.file_name().map(|name| printable_line(&name.to_string_lossy())).unwrap_or_default();
    let named = |name: &str| format!("bundles/{sha256}/{name}");
    let object = if objects.name(&named(&name)).is_ok() { named(&name) } else { named(UNNAMED) };
    let stored = objects.put_if_absent(&object, objects::Source::File(file)).await?;
    Ok(Bundle { name, uri: stored.uri, sha256, bytes })
}
