//! The names in templates: each is there whenever the step runs.

use std::ops::Range;

use serde_json::Value;

use super::{
    super::{
        document::Node,
        mistake::did_you_mean,
        template::{self, CONTEXT},
        trigger::{BUNDLE, Starts},
    },
    context::Check,
    order::Steps,
};

/// What a template stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Site {
    /// A text; objects cannot be put into it.
    Text,
    /// A value, which may become an object.
    Value,
    /// A word of a lint command, which also knows `{{template}}`.
    LintCommand,
}

/// The templates of a step.
pub(super) struct Templates<'templates, 'check> {
    check: &'templates mut Check<'check>,
    steps: &'templates Steps<'templates>,
    index: usize,
}

impl<'templates, 'check> Templates<'templates, 'check> {
    /// Those of the step with this index.
    pub(super) fn of(check: &'templates mut Check<'check>, steps: &'templates Steps<'templates>, index: usize) -> Self {
        Self { check, steps, index }
    }
}

impl Templates<'_, '_> {
    pub(super) fn texts<'text, 'node>(
        &mut self,
        texts: impl IntoIterator<Item = &'text String>,
        site: Site,
        place: impl Fn(usize) -> &'node Node,
    ) {
        for (index, text) in texts.into_iter().enumerate() {
            self.text(text, site, place(index));
        }
    }

    /// Every text within a value; values are as shallow as the document is.
    pub(super) fn value(&mut self, value: &Value, place: &Node) {
        match value {
            Value::String(text) => self.text(text, Site::Value, place),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, item)| self.value(item, place.item(index)));
            }
            Value::Object(fields) => fields.iter().for_each(|(name, field)| self.value(field, place.field(name))),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    pub(super) fn text(&mut self, text: &str, site: Site, place: &Node) {
        let names = match template::names(text) {
            Ok(names) => names,
            Err(error) => return self.check.add(place.bytes.clone(), error.to_string()),
        };
        let alone = site == Site::Value && template::is_one_name(text);
        for name in names {
            let bytes = place_of(self.check.text, &name.join("."), &place.bytes);
            self.name(&name, site, alone, bytes);
        }
    }

    fn name(&mut self, name: &[String], site: Site, alone: bool, bytes: Range<usize>) {
        let shown = name.join(".");
        let (first, rest) = name.split_first().map_or(("", name), |(first, rest)| (first.as_str(), rest));
        if rest.is_empty() && (CONTEXT.contains(&first) || (site == Site::LintCommand && first == "template")) {
            return;
        }
        if CONTEXT.contains(&first) {
            let is_step = self.steps.ids.iter().any(|id| id.as_str() == first);
            let help = if is_step {
                format!("to use outputs of the step, give it an `id` other than `{first}`")
            } else {
                format!("write `{{{{{first}}}}}`")
            };
            return self.check.add_with_help(
                bytes,
                format!("`{{{{{first}}}}}` is a text, and has no `{}`", rest.join(".")),
                help,
            );
        }
        if let Some(way) = self.started_by(first) {
            return self.of_start(way, (first, rest), &shown, bytes);
        }
        let Some(maker) = self.maker(first, &shown, &bytes) else { return };
        let kind = self.steps.rule.steps[maker].action.kind();
        let outputs = || kind.output_names().collect::<Vec<_>>().join(", ");
        match rest {
            [] => self.check.add(bytes, format!("`{first}` is a step: name one of its outputs, {}", outputs())),
            [output, deeper @ ..] if let Some(of) = kind.output(output) => {
                if !deeper.is_empty() && !of.is_object() {
                    self.check.add(bytes, format!("`{first}.{output}` is a text, and has no `{}`", deeper.join(".")));
                } else if deeper.is_empty() && of.is_object() && !alone {
                    self.check.add_with_help(
                        bytes,
                        format!("`{shown}` is an object and cannot stand within a text"),
                        format!(
                            "name one of its values, as in `{{{{{shown}.eu-central-1}}}}`, or make it the whole value"
                        ),
                    );
                }
            }
            [output, ..] => {
                let help = did_you_mean(output, kind.output_names())
                    .unwrap_or_else(|| format!("its outputs are {}", outputs()));
                self.check.add_with_help(bytes, format!("step `{first}` has no output `{output}`"), help);
            }
        }
    }

    /// The way of starting the rule that gives a name to templates, unless a step has that name.
    fn started_by(&self, name: &str) -> Option<Starts> {
        let way = Starts::ALL.into_iter().find(|way| way.names() == Some(name))?;
        let is_step = self.steps.ids.iter().any(|id| id.as_str() == name);
        (!is_step || self.steps.rule.on.ways().any(|given| given == way)).then_some(way)
    }

    /// What started the run is known only where every run of the rule is started so.
    fn of_start(&mut self, way: Starts, (first, rest): (&str, &[String]), shown: &str, bytes: Range<usize>) {
        let field = way.field();
        if self.steps.rule.on.only() != Some(way) {
            let (reason, help) = if self.steps.rule.on.ways().any(|given| given == way) {
                let others =
                    self.steps.rule.on.ways().filter(|given| !matches!(given, Starts::Manual) && *given != way);
                let others: Vec<String> = others.map(|way| format!("`{}`", way.field())).collect();
                let reason =
                    format!("this rule is also started by {}, and then there is no `{first}`", others.join(", "));
                (reason, format!("make a rule of its own for `{field}`"))
            } else {
                let reason =
                    format!("`{{{{{first}}}}}` is known where `{field}` starts the rule, and here it does not");
                (reason, format!("add `{field}` to the `on` of the rule"))
            };
            return self.check.add_with_help(bytes, reason, help);
        }
        let outputs = BUNDLE.join(", ");
        match (way, rest) {
            (Starts::Release, []) => {
                self.check.add(bytes, format!("`{first}` is what was brought: name one of {outputs} of it"));
            }
            (Starts::Release, [output]) if BUNDLE.contains(&output.as_str()) => {}
            (Starts::Release, [output, ..]) => {
                let help = did_you_mean(output, BUNDLE).unwrap_or_else(|| format!("it has {outputs}"));
                self.check.add_with_help(bytes, format!("a bundle has no `{output}`"), help);
            }
            (_, []) => {}
            (_, [..]) => {
                self.check.add_with_help(
                    bytes,
                    format!("`{{{{{first}}}}}` is a text, and has no `{}`", rest.join(".")),
                    format!("write `{{{{{first}}}}}` instead of `{shown}`"),
                );
            }
        }
    }

    /// The step that a name means, when it is done before this one in every stage where this one runs.
    fn maker(&mut self, id: &str, shown: &str, bytes: &Range<usize>) -> Option<usize> {
        let steps = self.steps;
        let known = steps.ids.iter().position(|known| known.as_str() == id);
        let Some(maker) = known else {
            let before = steps.before[self.index].iter().map(|before| steps.ids[*before].as_str());
            let help = did_you_mean(id, before.clone().chain(CONTEXT)).unwrap_or_else(|| {
                let names: Vec<&str> = CONTEXT.into_iter().chain(before).collect();
                format!("the names here are {}", names.join(", "))
            });
            self.check.add_with_help(bytes.clone(), format!("nothing is named `{shown}` here"), help);
            return None;
        };
        if !steps.before[self.index].contains(&maker) {
            self.check.add_with_help(
                bytes.clone(),
                format!("step `{id}` need not be done when this step runs"),
                "add it to the `needs` of this step",
            );
            return None;
        }
        let (rule, step) = (steps.rule, &steps.rule.steps[self.index]);
        let made: Vec<_> = self.check.stages_of_step(rule, &rule.steps[maker]).collect();
        let lacking = self.check.stages_of_step(rule, step).find(|stage| !made.contains(stage)).cloned();
        if let Some(stage) = lacking {
            self.check.add_with_help(
                bytes.clone(),
                format!("step `{id}` is left out in stage `{stage}`, where this step runs"),
                "give both steps the same `stages`",
            );
            return None;
        }
        Some(maker)
    }
}

/// Where a name stands within a text of the document; the whole text when it is written in another way there.
pub(super) fn place_of(document: &str, name: &str, text: &Range<usize>) -> Range<usize> {
    let written = document.get(text.clone()).unwrap_or_default();
    let in_name = |character: char| character.is_alphanumeric() || "-_.".contains(character);
    let is_whole = |at: &usize| !written[..*at].ends_with(in_name) && !written[at + name.len()..].starts_with(in_name);
    let opens = written.find("{{").unwrap_or(0);
    match written[opens..].match_indices(name).map(|(at, _)| opens + at).find(is_whole) {
        Some(at) => text.start + at..text.start + at + name.len(),
        None => text.clone(),
    }
}
