//! The steps of a rule: each has what its kind demands, and comes after what it works on.

use super::{
    super::{
        actions::{Action, Deploy},
        document::Node,
        model::Rule,
        names::StepId,
        template,
    },
    context::Check,
    fields,
    order::{Steps, ordered},
    targets,
    templates::Templates,
};

pub(super) fn check(check: &mut Check<'_>, rule: &Rule, place: &Node) {
    let place = place.field("steps");
    let steps = ordered(check, rule, place);
    for (index, step) in rule.steps.iter().enumerate() {
        let place = place.item(index);
        check.stages_of_rule(step.stages.as_ref(), rule, place.field("stages"));
        if step.timeout.is_some_and(|timeout| timeout.as_ms() == 0) {
            check.add(place.field("timeout").bytes.clone(), "no step is done in no time");
        }
        let (fields, at) = (fields::of(&step.action), place.field(step.action.kind().name));
        fields.check(check, at);
        targets::deploys(check, rule, &step.action, at);
        follows_synth(check, &steps, index, place);
        comes_before_approvals(check, &steps, index, place);
        fields.templates(&mut Templates::of(check, &steps, index), at);
    }
}

/// What needs the template comes after the step that makes it, in every stage where it runs.
fn follows_synth(check: &mut Check<'_>, steps: &Steps<'_>, index: usize, place: &Node) {
    let step = &steps.rule.steps[index];
    let kind = step.action.kind();
    let target = steps.rule.target.as_ref().and_then(|name| check.rules.targets.get(name));
    let takes_none = kind.deploys() && target.is_some_and(|target| !target.kind.shape().takes_template);
    if !kind.needs_template || takes_none {
        return;
    }
    let kind = kind.name;
    let made_in = |stage: &&_| {
        steps.before[index].iter().map(|before| &steps.rule.steps[*before]).any(|before| {
            before.action.kind().makes_template() && check.stages_of_step(steps.rule, before).any(|made| made == *stage)
        })
    };
    let lacking = check.stages_of_step(steps.rule, step).find(|stage| !made_in(stage)).cloned();
    if let Some(stage) = lacking {
        check.add_with_help(
            place.key(kind),
            format!("in stage `{stage}`, no `synth` before this makes the template that `{kind}` works on"),
            "add a `synth` step before it, for the same stages",
        );
    }
}

/// What feeds a deployment comes before every approval that the deployment waits for: people approve what they were shown.
fn comes_before_approvals(check: &mut Check<'_>, steps: &Steps<'_>, index: usize, place: &Node) {
    let step = &steps.rule.steps[index];
    let deploys = steps.rule.steps.iter().enumerate().filter(|(deploy, _)| steps.before[*deploy].contains(&index));
    for (number, deploy) in deploys {
        let Action::Deploy(of) = &deploy.action else { continue };
        let kind = step.action.kind();
        if kind.asks_people() || !(kind.feeds_deployment() || names(of, &steps.ids[index])) {
            continue;
        }
        let unseen = steps.before[number].iter().find_map(|approval| {
            let asks = &steps.rule.steps[*approval];
            let Action::Approve(approve) = &asks.action else { return None };
            let together = |stage: &&_| {
                let runs = |step| check.stages_of_step(steps.rule, step).any(|runs| runs == *stage);
                runs(step) && runs(asks) && approve.stages.contains_key(*stage)
            };
            let stage = check.stages_of_step(steps.rule, deploy).find(together)?;
            (!steps.before[*approval].contains(&index)).then(|| (stage.clone(), *approval))
        });
        if let Some((stage, approval)) = unseen {
            let (made, asked, deploy) = (&steps.ids[index], &steps.ids[approval], &steps.ids[number]);
            check.add_with_help(
                place.key(kind.name),
                format!("in stage `{stage}`, `{deploy}` uses what `{made}` makes, and `{asked}` does not wait for it"),
                format!("move `{made}` before `{asked}`, so that people see what they approve"),
            );
            return;
        }
    }
}

/// Whether a deployment names what a step makes.
fn names(deploy: &Deploy, step: &StepId) -> bool {
    let is_its =
        |names: Vec<Vec<String>>| names.iter().any(|name| name.first().is_some_and(|first| first == step.as_str()));
    let mut texts = deploy.parameters.values().chain(&deploy.command);
    texts.any(|text| is_its(template::names(text).unwrap_or_default()))
        || deploy.variables.values().any(|value| is_its(template::names_within(value).unwrap_or_default()))
}
