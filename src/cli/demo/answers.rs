//! Grace's answers: asked on a terminal, or given at once with `--yes`.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, IsTerminal as _, Write as _},
};

use anyhow::bail;

use super::progress::Progress;
use crate::{
    cli::{
        House,
        asker::{Asker, OsUser},
    },
    engine::{Command, Digest, RunId},
    rules::SystemName,
};

/// In whose name it is answered: not in that of the author of the change, who may not.
const APPROVER: &str = "grace";

/// What Grace has been asked.
pub(super) struct Answers {
    without_asking: bool,
    given: BTreeSet<RunId>,
}

impl Answers {
    pub(super) const fn new(without_asking: bool) -> Self {
        Self { without_asking, given: BTreeSet::new() }
    }

    /// Answers what the system asks now.
    pub(super) async fn give(
        &mut self,
        house: &House,
        system: &SystemName,
        progress: &mut Progress,
    ) -> anyhow::Result<()> {
        let asked: Vec<(RunId, Digest, String)> = house
            .ledger
            .read(system, |state| {
                let asking = state.live_runs().filter_map(|run| Some((run, run.answerable()?)));
                asking.map(|(run, step)| (run.id.clone(), run.digest(step), run.stage.to_string())).collect()
            })
            .await?;
        for (run, digest, stage) in asked {
            if !self.given.insert(run.clone()) {
                continue;
            }
            let approves = self.without_asking || ask(&run, &digest, &stage).await?;
            let command = if approves {
                Command::Approve { run: run.clone(), digest: Some(digest) }
            } else {
                Command::Reject { run: run.clone(), reason: "not today".to_owned() }
            };
            let asker = Asker { user: OsUser::current().into(), in_name_of: Some(APPROVER.to_owned()) };
            house.command(system, &asker, command).await?;
            progress.answered(&run, approves)?;
        }
        Ok(())
    }
}

async fn ask(run: &RunId, digest: &Digest, stage: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!(
            "{run} asks for an approval, and there is nobody to ask: type `tidegate demo --yes`, or run it on a terminal"
        );
    }
    let question = format!("  {run} asks: deploy {digest} to {stage}? You are Grace. [Y/n] ");
    let answer = tokio::task::spawn_blocking(move || {
        let mut out = std::io::stderr();
        write!(out, "{question}")?;
        out.flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        Ok::<String, std::io::Error>(answer)
    });
    let answer = answer.await??;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes"))
}
