//! `tidegate target show`: one target, all that is known of it.

use clap::Args;

use crate::{
    cli::{
        Asking, Source,
        output::{Output, say},
        words,
    },
    rules::{StageName, TargetName},
    view::target::{PlanReport, TargetReport, life_said},
};

/// Show one target, with the plan that a run now would make and what another hand changed.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate target show webshop --stage main")]
pub(in crate::cli) struct Show {
    /// The target
    target: TargetName,
    /// Its stage
    #[arg(long)]
    stage: StageName,
    #[command(flatten)]
    asking: Asking,
}

impl Show {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let answers = source.open_to_read().await?;
        let system = answers.system(&self.asking.asked()).await?;
        let report = answers.target(&system, &self.target, &self.stage).await?;
        match output {
            Output::Json => output.json(&report),
            Output::Text => lines(&report).iter().try_for_each(|line| say(line)),
        }
    }
}

fn lines(target: &TargetReport) -> Vec<String> {
    let row = |name: &str, value: Option<String>| value.map(|value| format!("  {name:<10} {value}"));
    let seen = match (&target.standing, target.seen_ms) {
        (Some(standing), Some(at_ms)) => {
            let because = target.because.as_ref().map_or_else(String::new, |because| format!(": {because}"));
            format!("{standing}, seen {}{because}", words::ago(at_ms))
        }
        _ => "never looked at: `tidegate target observe` looks now".to_owned(),
    };
    let queue = (!target.queue.is_empty()).then(|| target.queue.join(", "));
    let mut lines = vec![format!("{} in {}, {}", target.target, target.stage, target.kind)];
    lines.extend(row("life", Some(life_said(target))));
    lines.extend(row("because", target.broken.clone()));
    lines.extend(row("stands", Some(seen)));
    lines.extend(row("unseen", target.unseen.as_ref().map(|why| words::first_line(why).to_string())));
    lines.extend(row("held by", target.held_by.clone()));
    lines.extend(row("waiting", queue));
    lines.extend(row("runs", target.deployed_by.clone()));
    lines.extend(row("answers at", target.address.clone()));
    for change in &target.drift {
        lines.extend(row("drift", Some(format!("{} is {}, and was left as {}", change.name, change.is, change.was))));
    }
    lines.extend(row("plan", target.plan.as_ref().map(plan)));
    if !target.in_rules {
        lines.push("  it is no longer in the rules; nothing deletes it but `tidegate target delete`".to_owned());
    }
    lines
}

fn plan(plan: &PlanReport) -> String {
    if let Some(refused) = &plan.refused {
        return format!("none now: {refused}");
    }
    let changes = plan.changes.iter().map(|change| format!("; {change}"));
    format!("a deployment now would: {}{}", plan.acts.join(", "), changes.collect::<String>())
}
