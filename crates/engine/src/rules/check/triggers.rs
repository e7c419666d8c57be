//! What starts a rule: something does, it exists, and it says which repository a run works on.

use super::{
    super::{
        document::Node,
        model::Rule,
        schedule::{CronTimes, InvalidSchedule},
        trigger::{Schedule, Starts, Trigger},
    },
    context::Check,
};

pub(super) fn check(check: &mut Check<'_>, rule: &Rule, place: &Node) {
    for (index, stage) in rule.stages.iter().flatten().enumerate() {
        check.stage_exists(stage.as_str(), &place.field("stages").item(index).bytes);
    }
    let rules = check.rules;
    match &rule.target {
        Some(target) => {
            let known = rules.targets.keys().map(|name| name.as_str());
            check.exists("target", target.as_str(), known, &place.field("target").bytes);
            if rule.queue.is_some() {
                check.add_with_help(
                    place.key("queue"),
                    "a rule with a target waits in the queue of the target",
                    "write `queue` where the target is described",
                );
            }
        }
        None => {
            let holder = rule.steps.iter().position(|step| step.action.kind().holds_target);
            if let Some((index, step)) = holder.and_then(|index| Some((index, rule.steps.get(index)?))) {
                let kind = step.action.kind().name;
                check.add_with_help(
                    place.field("steps").item(index).key(kind),
                    format!("`{kind}` needs a target, and the rule has none"),
                    "add `target: NAME` to the rule, and the target to `targets`",
                );
            }
        }
    }
    trigger(check, rule, place);
}

fn trigger(check: &mut Check<'_>, rule: &Rule, place: &Node) {
    let Trigger { push, paths, tag, pattern, upstream, workflow, schedule, release: _, manual: _, repository } =
        &rule.on;
    let bytes = place.key("on");
    let place = place.field("on");
    for (field, name) in [("push", push), ("tag", tag), ("repository", repository)] {
        if let Some(name) = name {
            check.repository_exists(name.as_str(), &place.field(field).bytes);
        }
    }
    if let Some(upstream) = upstream {
        let rules = check.rules;
        let known = rules.rules.keys().map(|name| name.as_str());
        check.exists("rule", upstream.as_str(), known, &place.field("upstream").bytes);
    }
    check.path_patterns(paths, place.field("paths"));
    if let Some(pattern) = pattern {
        check.demand(&place.field("pattern").bytes, pattern.check());
    }
    if let Some(workflow) = workflow {
        check.demand(&place.field("workflow").bytes, workflow_name(workflow));
    }
    if let Some(schedule) = schedule {
        self::schedule(check, schedule, rule, place.field("schedule"));
    }
    for (field, is_there, of, has_it) in
        [("paths", !paths.is_empty(), "push", push.is_some()), ("pattern", pattern.is_some(), "tag", tag.is_some())]
    {
        if is_there && !has_it {
            check.add_with_help(
                place.key(field),
                format!("`{field}` narrows a `{of}`, and there is none"),
                format!("add `{of}: REPOSITORY`"),
            );
        }
    }
    if rule.on.ways().next().is_none() {
        let [first @ .., _] = Starts::ALL.map(|way| format!("`{}`", way.field()));
        check.add(
            bytes,
            format!("nothing starts this rule: write at least one of {} and `manual: true`", first.join(", ")),
        );
    } else if rule.on.repository().is_none() {
        check.add(bytes, "this does not say on which repository the rule works: add `repository: NAME`");
    }
    let works_on = rule.on.repository();
    for (field, name) in [("tag", tag), ("repository", repository)] {
        if let (Some(name), Some(works_on)) = (name, works_on)
            && name != works_on
        {
            let what = if push.is_some() { "pushes" } else { "tags" };
            check.add_with_help(
                place.field(field).bytes.clone(),
                format!("the rule works on `{works_on}`, whose {what} start it"),
                "make a rule of its own for the other repository",
            );
        }
    }
}

/// What a source calls a workflow: one line that a person can type.
fn workflow_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
        return Err("a workflow has a name of 1 to 200 characters in one line, as what runs it names it");
    }
    Ok(())
}

fn schedule(check: &mut Check<'_>, schedule: &Schedule, rule: &Rule, place: &Node) {
    check.stages_of_rule(schedule.stages.as_ref(), rule, place.field("stages"));
    match CronTimes::parse(schedule) {
        Ok(times) if times.next_after(0).is_some() => {}
        Ok(_) => check.add(place.field("cron").bytes.clone(), "this time never comes"),
        Err(error @ InvalidSchedule::Cron(..)) => check.add(place.field("cron").bytes.clone(), error.to_string()),
        Err(error @ InvalidSchedule::Zone(_)) => check.add(place.field("timezone").bytes.clone(), error.to_string()),
    }
}
