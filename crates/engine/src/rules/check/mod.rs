//! Whether rules mean something: what they refer to exists, steps follow from one another, nothing loops. One file per
//! kind of question; each adds what it finds, with its place, and stops for nothing.

mod caches;
mod context;
mod fields;
mod gates;
mod loops;
mod notifications;
mod order;
mod promotions;
mod providers;
mod repositories;
mod secrets;
mod steps;
mod targets;
mod templates;
mod texts;
mod triggers;

use self::context::Check;
use super::{document::Node, here::Here, mistake::Findings, model::Rules};

/// The most stages and rules of a file, and steps of a rule; the checks compare each with each.
const MOST_STAGES: usize = 50;
const MOST_RULES: usize = 200;
const MOST_STEPS: usize = 100;

/// Checks that a text can be a repository's URL, without credentials in it.
///
/// # Errors
/// Why not, and what to do.
pub fn git_url(url: &str) -> Result<(), String> {
    texts::git_url(url).map_err(|refused| format!("{}; {}", refused.message, refused.help))
}

/// Checks that a text can be a branch's name.
///
/// # Errors
/// Why not.
pub fn git_branch(name: &str) -> Result<(), String> {
    texts::branch(name)
}

/// Checks what rules mean. `document` gives the places, `text` is what it was parsed from; `here` is what
/// `tidegate.toml` has, where it is known.
pub(super) fn check(rules: &Rules, document: &Node, text: &str, here: Option<&Here>, findings: &mut Findings) {
    let mut check = Check { rules, document, text, here, findings };
    if rules.stages.len() > MOST_STAGES {
        return check.add(document.key("stages"), format!("there are more than {MOST_STAGES} stages"));
    }
    repositories::check(&mut check);
    promotions::check(&mut check);
    notifications::check(&mut check);
    if let Some(here) = here {
        notifications::channels(&mut check, &here.channels);
    }
    gates::check(&mut check);
    targets::check(&mut check);
    if rules.rules.len() > MOST_RULES {
        check.add(
            document.key("rules"),
            format!("there are more than {MOST_RULES} rules: make several systems of them"),
        );
        return;
    }
    for (name, rule) in &rules.rules {
        let place = document.field("rules").field(name.as_str());
        triggers::check(&mut check, rule, place);
        if rule.steps.len() > MOST_STEPS {
            check
                .add(place.key("steps"), format!("there are more than {MOST_STEPS} steps: make several rules of them"));
            continue;
        }
        steps::check(&mut check, rule, place);
    }
    if let Some(here) = here {
        providers::check(&mut check, &here.providers);
    }
    loops::check(&mut check);
}
