//! `tidegate run show`: one run with its plan, what each step made, and what it waits for.

use serde_json::Value;

use crate::{
    cli::{
        output::{Tone, paint},
        words,
    },
    driver::now_ms,
    engine::{Answer, Digest, Run, StepRun, gate::approval::VoidAnswer},
    view::run::RunShown,
};

/// The outputs that a person looks for; the rest is in the JSON.
const SHOWN_OUTPUTS: [&str; 12] =
    ["tag", "uri", "commit", "ami", "template", "verdict", "report", "acts", "changes", "address", "status", "by"];

/// The run for people.
pub(super) fn text(shown: &RunShown) -> String {
    let run = &shown.run;
    let mut lines =
        vec![format!("{}  {}  {}", paint(run.id.as_str(), Tone::Strong), run.stage, words::run_state(run.state))];
    // The step that failed has the whole of it.
    lines.extend(run.reason.iter().map(|reason| format!("  {}", words::first_line(reason))));
    lines.push(format!("  because  {}, {}", words::cause(&run.cause, &run.subject), words::ago(run.created_ms)));
    for (repository, commit) in &run.set {
        lines.push(format!("  of       {repository} {}", commit.short()));
    }
    lines.extend(shown.made_here.iter().map(|made| format!("           {made}")));
    let unknown = run.steps.iter().rev().find_map(|step| step.written()).map(|written| written.unknown.join("; "));
    let why = unknown.filter(|why| !why.is_empty()).map_or_else(String::new, |why| format!(" ({why})"));
    let others = run.others_wrote.then(|| format!("others who are not known{why}"));
    let named = |author: &String| match shown.strangers.contains(author) {
        true => format!("{author} {}", paint("(none of the people)", Tone::Busy)),
        false => author.clone(),
    };
    let authors: Vec<String> = run.authors.iter().map(named).chain(others).collect();
    if !authors.is_empty() {
        lines.push(format!("  by       {}", authors.join(", ")));
    }
    lines.extend(shown.known_by.iter().map(|by| format!("  known    by {by}")));
    if let Some(hotfix) = &run.hotfix {
        lines.push(format!("  hotfix   by {}: {}", hotfix.by, hotfix.reason));
    }
    lines.extend(run.target.iter().map(|target| format!("  target   {target}")));
    if !shown.changes.is_empty() {
        lines.push(format!("\n{}", paint("What the rules change", Tone::Strong)));
        lines.extend(shown.changes.iter().map(|change| format!("  - {change}")));
    }
    lines.push(String::new());
    for step in &run.steps {
        step_lines(run, step, &mut lines);
    }
    if let Some(waiting) = &shown.waiting {
        let waits = words::waits(&waiting.for_what, waiting.since_ms, waiting.until_ms, now_ms());
        lines.push(format!("\nIt waits for {waits}"));
        lines.push(words::ended_by(&waiting.ended_by));
    }
    lines.extend(shown.asks_for.iter().map(|digest| question(shown, digest)));
    lines.join("\n")
}

/// What is to be approved, and how.
fn question(shown: &RunShown, digest: &Digest) -> String {
    let output = |kind: &str, name: &str| {
        let step = shown.run.steps.iter().find(|step| step.task.kind().name == kind)?;
        step.outputs.get(name).map(said).filter(|said| !said.is_empty())
    };
    let mut lines = vec![format!("\n{}", paint("To be approved", Tone::Strong)), format!("  digest    {digest}")];
    let facts = [
        ("template", output("synth", "template_digest")),
        ("verdict", output("lint", "verdict")),
        ("warnings", output("lint", "warnings")),
        ("report", output("lint", "report")),
        ("plan", output("plan", "acts")),
        ("changes", output("plan", "changes")),
    ];
    lines.extend(facts.into_iter().filter_map(|(name, value)| Some(format!("  {name:<9} {}", value?))));
    let short = digest.as_str().get(..19).unwrap_or(digest.as_str());
    lines.push(format!("\n  tidegate approve {} --digest {short}", shown.run.id));
    lines.push(format!("  tidegate reject {} --reason \"…\"", shown.run.id));
    lines.join("\n")
}

/// An output for people: a text as it is, texts in a row.
fn said(value: &Value) -> String {
    let texts = value.as_array().map(|items| items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "));
    texts.or_else(|| value.as_str().map(str::to_owned)).unwrap_or_else(|| value.to_string())
}

fn approver(answer: &Answer) -> String {
    let name = answer.by.said();
    answer.in_place_of.as_ref().map_or_else(|| name.clone(), |of| format!("{name} (in the place of {of})"))
}

fn step_lines(run: &Run, step: &StepRun, lines: &mut Vec<String>) {
    let took = match (step.started_ms, step.ended_ms) {
        (Some(started_ms), Some(ended_ms)) => words::duration(ended_ms - started_ms),
        (Some(started_ms), None) => format!("since {}", words::ago(started_ms)),
        _ => String::new(),
    };
    let position = run.steps.iter().position(|other| other.id == step.id).unwrap_or(0);
    // The acts of a plan stand where their step stands, which waits for them without saying so.
    let earlier = run.steps.iter().take(position).rev().find(|earlier| earlier.task.planned_by().is_none());
    let of_plan = step.task.planned_by().and_then(|by| run.step(by)).is_some_and(|by| by.needs == step.needs);
    let in_order = of_plan || (step.needs.len() <= 1 && step.needs.first() == earlier.map(|earlier| &earlier.id));
    let needs: Vec<&str> = step.needs.iter().map(|need| need.as_str()).collect();
    let needs = if in_order || needs.is_empty() {
        String::new()
    } else {
        paint(&format!("  needs {}", needs.join(", ")), Tone::Quiet)
    };
    let waited = match step.waited_ms {
        0 => String::new(),
        waited_ms => format!(", {} of it waiting for a place", words::duration(waited_ms)),
    };
    lines.push(format!("  {} {:<22} {took}{waited}{needs}", words::step_state(step.state), step.id.as_str()));
    let indent = " ".repeat(14);
    lines.extend(step.progress.iter().map(|progress| format!("{indent}{progress}")));
    for name in SHOWN_OUTPUTS {
        let Some(value) = step.outputs.get(name).map(said).filter(|said| !said.is_empty()) else { continue };
        lines.push(format!("{indent}{} {value}", paint(&format!("{name:<9}"), Tone::Quiet)));
    }
    for answer in &step.answers {
        lines.push(format!("{indent}{} approved {}", approver(answer), answer.digest));
    }
    for VoidAnswer { answer, because } in &step.void {
        lines.push(format!("{indent}{} approved {}, which is void: {because}", approver(answer), answer.digest));
    }
    lines.extend(step.skipped.iter().map(|why| format!("{indent}{}", paint(&format!("skipped: {why}"), Tone::Busy))));
    lines.extend(step.error.iter().map(|error| format!("{indent}{}", paint(error, Tone::Bad))));
    lines.extend(step.hint.iter().map(|hint| format!("{indent}{hint}")));
}
