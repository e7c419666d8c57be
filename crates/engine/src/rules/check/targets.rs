//! Targets: what is written of one is of its kind, something deploys to it, and what deploys there writes what its kind takes.

use super::{
    super::{
        actions::Action,
        document::Node,
        mistake::did_you_mean,
        model::{Rule, Target},
        names::TargetName,
        targets::TargetKind,
    },
    context::Check,
    promotions::quorum,
};

pub(super) fn check(check: &mut Check<'_>) {
    let rules = check.rules;
    for (name, target) in &rules.targets {
        let place = check.document.field("targets").field(name.as_str());
        own_fields(check, (name, target), place);
        something_deploys(check, name);
        renamed(check, name, target, place);
        for (operation, who) in &target.approvals {
            quorum(check, who, place.field("approvals").field(operation.name()));
        }
        if target.observe.is_some_and(|observe| observe.as_ms() < 1_000) {
            check.add(place.field("observe").bytes.clone(), "a target is looked at every second at most");
        }
    }
}

/// What is written of a target is of its kind.
fn own_fields(check: &mut Check<'_>, (name, target): (&TargetName, &Target), place: &Node) {
    let shape = target.kind.shape();
    for other in TargetKind::ALL.into_iter().filter(|kind| *kind != target.kind) {
        let foreign = other.shape().fields.iter().filter(|field| !shape.fields.contains(field));
        for field in foreign.filter(|field| place.get(field).is_some()) {
            let help = did_you_mean(field, shape.fields.iter().copied())
                .unwrap_or_else(|| format!("take it out, or write `kind: {}`", other.shape().name));
            check.add_with_help(
                place.key(field),
                format!("`{field}` is of {}, and `{name}` is {}", other.shape().a, shape.a),
                help,
            );
        }
    }
}

/// A target to which nothing deploys is a name that is misspelt somewhere.
fn something_deploys(check: &mut Check<'_>, name: &TargetName) {
    let rules = check.rules;
    let deploys = |rule: &&Rule| rule.steps.iter().any(|step| step.action.kind().holds_target);
    // Where a rule forgot its target, that is the mistake.
    if rules.rules.values().filter(deploys).any(|rule| rule.target.is_none()) {
        return;
    }
    if !rules.rules.values().filter(deploys).any(|rule| rule.target.as_ref() == Some(name)) {
        check.add_with_help(
            check.document.field("targets").key(name.as_str()),
            format!("no step deploys to `{name}`"),
            format!("give a rule with a `deploy` step `target: {name}`, or take the target out"),
        );
    }
}

/// A target has one name, and takes over the life of at most one that is gone.
fn renamed(check: &mut Check<'_>, name: &TargetName, target: &Target, place: &Node) {
    let Some(was) = &target.was else { return };
    let rules = check.rules;
    if rules.targets.contains_key(was) {
        let message = format!("`{was}` is still a target here, so `{name}` cannot have been it");
        check.add_with_help(place.field("was").bytes.clone(), message, "take `was` out, or the old target");
    }
    let twice = rules.targets.iter().take_while(|(other, _)| *other != name);
    if let Some((other, _)) = twice.filter(|(_, other)| other.was.as_ref() == Some(was)).last() {
        let message = format!("both `{other}` and `{name}` say that they were `{was}`");
        check.add_with_help(place.field("was").bytes.clone(), message, "one target has one life: take one `was` out");
    }
}

/// What deploys to a target writes what the target's kind takes.
pub(super) fn deploys(check: &mut Check<'_>, rule: &Rule, action: &Action, place: &Node) {
    let Action::Deploy(_) = action else { return };
    let Some(target) = rule.target.as_ref().and_then(|name| check.rules.targets.get(name)) else { return };
    let shape = target.kind.shape();
    for other in TargetKind::ALL.into_iter().map(TargetKind::shape) {
        let foreign = other.deploy.iter().filter(|field| !shape.deploy.contains(field));
        for field in foreign.filter(|field| place.get(field).is_some()) {
            check.add_with_help(
                place.key(field),
                format!("`{field}` is for {}, and the rule's target is {}", other.a, shape.a),
                format!("{} takes: {}", shape.a, shape.deploy.join(", ")),
            );
        }
    }
    for field in shape.needed.iter().filter(|field| place.get(field).is_none()) {
        check.add_with_help(
            place.bytes.clone(),
            format!("{} cannot be deployed to without `{field}`", shape.a),
            format!("write `{field}`, or name another target"),
        );
    }
}
