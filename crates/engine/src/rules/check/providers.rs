//! Every step whose work is done by a provider has one here, in every stage where it runs.

use super::{
    super::{here::Provisions, names::StageName},
    context::Check,
};

/// Checks what depends on the providers of `tidegate.toml`.
pub(super) fn check(check: &mut Check<'_>, providers: &Provisions) {
    for (name, rule) in &check.rules.rules {
        let place = check.document.field("rules").field(name.as_str()).field("steps");
        for (index, step) in rule.steps.iter().enumerate() {
            let kind = step.action.kind();
            let target = rule.target.as_ref().and_then(|target| check.rules.targets.get(target));
            let target = target.map(|target| target.kind).unwrap_or_default();
            let Some(what) = step.action.provided(target) else { continue };
            let lacking = check.stages_of_step(rule, step).filter(|stage| !providers.has(what, stage));
            let lacking: Vec<&str> = lacking.map(StageName::as_str).collect();
            let Some(first) = lacking.first() else { continue };
            let (name, stages) = (what.name(), lacking.join(", "));
            check.add_with_help(
                place.item(index).key(kind.name),
                format!("nothing here {} in {stages}: tidegate.toml says `{name} = \"none\"`", what.work()),
                format!(
                    "name a provider: `{name} = \"local\"` in `[stages.{first}]` or `[providers]` of tidegate.toml"
                ),
            );
        }
    }
}
