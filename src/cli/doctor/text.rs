//! The findings for people: what is not well first in the eye, and what is well in a line for each kind.

use std::collections::BTreeMap;

use super::finding::{About, Diagnosis, Finding, Level};
use crate::cli::output::{Tone, paint};

/// As wide as the longest name of a kind.
const NAME_WIDTH: usize = 13;

/// All of it. With `all`, what is well is listed one by one.
pub(super) fn of(diagnosis: &Diagnosis, all: bool) -> String {
    let mut kinds: BTreeMap<About, Vec<&Finding>> = BTreeMap::new();
    for finding in &diagnosis.findings {
        kinds.entry(finding.about).or_default().push(finding);
    }
    let mut lines = Vec::new();
    for (about, findings) in kinds {
        let (well, not_well): (Vec<&Finding>, Vec<&Finding>) =
            findings.into_iter().partition(|finding| finding.level == Level::Ok);
        match well.as_slice() {
            [] => {}
            several if !all && several.len() > 2 => {
                lines.push(line(Level::Ok, about, &format!("{} are well", several.len())));
            }
            few => lines.extend(few.iter().map(|finding| line(Level::Ok, about, &said(finding)))),
        }
        for finding in not_well {
            lines.push(line(finding.level, about, &said(finding)));
            lines.extend(finding.remedy.iter().map(|remedy| format!("  {:NAME_WIDTH$}  → {remedy}", "")));
        }
    }
    lines.push(String::new());
    lines.push(conclusion(diagnosis));
    lines.join("\n")
}

fn said(finding: &Finding) -> String {
    match &finding.of {
        Some(of) => format!("{of}: {}", finding.what),
        None => finding.what.clone(),
    }
}

fn line(level: Level, about: About, said: &str) -> String {
    let mark = match level {
        Level::Ok => paint("✓", Tone::Good),
        Level::Warning => paint("!", Tone::Busy),
        Level::Problem => paint("✗", Tone::Bad),
    };
    // What comes of other programs may have several lines.
    let said = said.lines().map(str::trim_end).collect::<Vec<_>>().join(&format!("\n  {:NAME_WIDTH$}  ", ""));
    format!("{mark} {:NAME_WIDTH$}  {said}", about.name())
}

fn conclusion(diagnosis: &Diagnosis) -> String {
    let count = |level| diagnosis.findings.iter().filter(|finding| finding.level == level).count();
    let named = |count: usize, name: &str| match count {
        0 => None,
        1 => Some(format!("1 {name}")),
        count => Some(format!("{count} {name}s")),
    };
    let (problems, warnings) = (named(count(Level::Problem), "problem"), named(count(Level::Warning), "warning"));
    let tone = if problems.is_some() { Tone::Bad } else { Tone::Good };
    match [problems, warnings].into_iter().flatten().collect::<Vec<_>>().as_slice() {
        [] => paint("all is well", tone),
        found => paint(&found.join(", "), tone),
    }
}
