//! The lattice with names as long as they are in earnest, on terminals of many widths.

use super::*;
use crate::engine::System;

const NOW_MS: i64 = 1_998_993_600_000;
const MINUTE_MS: i64 = 60_000;

/// A system with names as long as they are in earnest.
fn report(stages: &[&str]) -> StatusReport {
    let mut report = StatusReport::of(&System::default());
    report.system = "webshop".to_owned();
    report.stages = stages.iter().map(|stage| (*stage).to_owned()).collect();
    for (number, name) in ["webshop-frontend-eu", "image", "infrastructure"].into_iter().enumerate() {
        let head = |stage: &&str| {
            let by = if number == 0 { "Ada Lovelace" } else { "deliver-the-webshop-3" };
            let head = HeadStatus {
                commit: format!("{number}a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"),
                by: by.to_owned(),
                subject: "Sell more".to_owned(),
                since_ms: NOW_MS - 2 * MINUTE_MS,
                runs: None,
                forced: number == 1,
            };
            ((*stage).to_owned(), head)
        };
        report.repositories.push(RepositoryStatus {
            repository: name.to_owned(),
            heads: stages.iter().take(2 + number).map(head).collect(),
            unreachable: None,
            unread: Default::default(),
            tags_unread: None,
            seen: true,
        });
    }
    report.targets = stages
        .iter()
        .map(|stage| TargetStatus {
            target: "webshop".to_owned(),
            stage: (*stage).to_owned(),
            state: "AVAILABLE".to_owned(),
            deployed_by: Some("deliver-the-webshop-3".to_owned()),
            deployed_ms: Some(NOW_MS),
            address: Some("http://127.0.0.1:43567".to_owned()),
            verified: true,
            made_here: None,
            broken: None,
            unseen: None,
            drift: Vec::new(),
        })
        .collect();
    report
}

/// Nothing is wider than the terminal, columns never touch, and the age and the mark are always there.
#[test]
fn it_fits_any_terminal() {
    let stages = ["development", "qa", "staging", "canary", "main"];
    for count in 1..=stages.len() {
        for width in [40, 60, 72, 80, 96, 120, 200] {
            let lines = lines(&report(&stages[..count]), NOW_MS, Some(width));
            let picture = lines.join("\n");
            assert!(lines.iter().all(|line| length(line) <= width), "{count} stages, {width}\n{picture}");
            assert_eq!(picture.matches("2m ago").count(), 3 * count - missing(count), "{count}, {width}\n{picture}");
            assert_eq!(picture.matches('✓').count(), count, "{count} stages, {width}\n{picture}");
            assert!(lines.iter().all(|line| line.trim_end() == line), "{picture}");
        }
    }
}

/// The branches that are not there.
fn missing(count: usize) -> usize {
    (0..3).map(|number| count.saturating_sub(2 + number)).sum()
}

#[test]
fn it_is_drawn_by_the_terminal() {
    let mut pictures = String::new();
    for (stages, width) in [
        (&["dev", "qa", "main"][..], None),
        (&["dev", "qa", "main"], Some(120)),
        (&["dev", "qa", "main"], Some(80)),
        (&["dev", "qa", "main"], Some(60)),
        (&["development"], Some(60)),
        (&["development", "qa", "staging", "canary", "main"], Some(120)),
        (&["development", "qa", "staging", "canary", "main"], Some(80)),
    ] {
        let of = width.map_or_else(|| "no terminal".to_owned(), |width| format!("{width} columns"));
        pictures +=
            &format!("--- {} stages, {of}\n{}\n\n", stages.len(), lines(&report(stages), NOW_MS, width).join("\n"));
    }
    insta::with_settings!({ snapshot_path => "../../../../tests/it/snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("the_lattice_by_the_terminal", pictures);
    });
}
