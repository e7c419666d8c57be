//! What starts a rule: something does, it exists, and it says which repository a run works on.

use super::{
    super::{
        document::Node,
        model::{Rule, Schedule, Trigger},
        schedule::{CronTimes, InvalidSchedule},
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
    let Trigger { push, paths, upstream, schedule, manual, repository } = &rule.on;
    let bytes = place.key("on");
    let place = place.field("on");
    for (field, name) in [("push", push), ("repository", repository)] {
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
    if let Some(schedule) = schedule {
        self::schedule(check, schedule, rule, place.field("schedule"));
    }
    if !paths.is_empty() && push.is_none() {
        check.add_with_help(
            place.key("paths"),
            "`paths` are those of a push, and there is none",
            "add `push: REPOSITORY`",
        );
    }
    if push.is_none() && upstream.is_none() && schedule.is_none() && !manual {
        check.add(
            bytes,
            "nothing starts this rule: write at least one of `push`, `upstream`, `schedule` and `manual: true`",
        );
    } else if push.is_none() && repository.is_none() {
        check.add(bytes, "this does not say on which repository the rule works: add `repository: NAME`");
    }
    if let (Some(push), Some(repository)) = (push, repository)
        && push != repository
    {
        check.add_with_help(
            place.field("repository").bytes.clone(),
            format!("the rule works on `{push}`, whose pushes start it"),
            "make a rule of its own for the other repository",
        );
    }
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
