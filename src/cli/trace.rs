//! `tidegate trace`: follows an artifact or commit both ways.

use std::collections::BTreeSet;

use anyhow::bail;
use clap::Args;

use super::{
    Asking, Source,
    output::{Output, Tone, paint, say},
};
use crate::{
    engine::{Artifact, Link},
    store::Traced,
};

/// Follow an artifact or commit both ways: what it was made from, and what was made from it.
#[derive(Debug, Args)]
#[command(after_help = "Examples: tidegate trace ami-0123456789abcdef0\n          tidegate trace 193772ea94")]
pub(super) struct Trace {
    /// A commit, an AMI id, a tarball's tag, the SHA-256 of a tarball, template or image, or a deployment; its first digits are
    /// enough
    name: String,
    #[command(flatten)]
    asking: Asking,
}

impl Trace {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let answers = source.open_to_read().await?;
        let system = answers.system(&self.asking.asked()).await?;
        let traced = answers.trace(&system, &self.name).await?;
        if output == Output::Json {
            return output.json(&traced);
        }
        match traced {
            Traced::Nothing => bail!("nothing that {system} made or used begins with `{}`", self.name),
            Traced::Several { artifacts } => {
                let names: Vec<String> = artifacts.iter().map(|artifact| format!("  {}", named(artifact))).collect();
                bail!("several begin with `{}`; which one?\n{}", self.name, names.join("\n"))
            }
            Traced::One { origin, upstream, downstream, shortened } => {
                say(&paint(&named(&origin), Tone::Strong))?;
                say("made from")?;
                tree(&origin, &upstream, |link| (&link.to, &link.from), 1, &mut BTreeSet::new())?;
                say("became")?;
                tree(&origin, &downstream, |link| (&link.from, &link.to), 1, &mut BTreeSet::new())?;
                if shortened { say("… and more than fits here") } else { Ok(()) }
            }
        }
    }
}

/// Prints what lies beyond `from`, each artifact once.
fn tree<'links>(
    from: &'links Artifact,
    links: &'links [Link],
    ends: fn(&Link) -> (&Artifact, &Artifact),
    depth: usize,
    met: &mut BTreeSet<&'links Artifact>,
) -> anyhow::Result<()> {
    let beyond: Vec<&Link> = links.iter().filter(|link| ends(link).0 == from).collect();
    if beyond.is_empty() && depth == 1 {
        return say("  nothing");
    }
    for link in beyond {
        let to = ends(link).1;
        if met.insert(to) {
            let by = paint(&format!("by {} {}", link.by.run, link.by.step), Tone::Quiet);
            say(&format!("{}{}  {by}", "  ".repeat(depth), named(to)))?;
            tree(to, links, ends, depth + 1, met)?;
        }
    }
    Ok(())
}

fn named(artifact: &Artifact) -> String {
    format!("{} {}", artifact.kind, artifact.name)
}
