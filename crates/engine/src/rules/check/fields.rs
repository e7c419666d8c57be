//! What each kind of step demands of its own fields, and which of them are templates.

use super::{
    super::{
        actions::{Action, Approve, Bake, Commit, Deploy, Lint, Package, Synth, Verify},
        document::Node,
        gates::Check as Gate,
    },
    caches,
    context::Check,
    gates,
    promotions::quorum,
    secrets,
    templates::{Site, Templates},
    texts,
};

/// The fields of one kind of step. `place` is that of the step's action.
pub(super) trait Fields {
    /// Checks them, but for their templates.
    fn check(&self, check: &mut Check<'_>, place: &Node);

    /// Hands over those that are templates.
    fn templates(&self, templates: &mut Templates<'_, '_>, place: &Node);
}

/// The fields of a step.
pub(super) fn of(action: &Action) -> &dyn Fields {
    match action {
        Action::Package(package) => package,
        Action::Commit(commit) => commit,
        Action::Bake(bake) => bake,
        Action::Synth(synth) => synth,
        Action::Lint(lint) => lint,
        Action::Approve(approve) => approve,
        Action::Deploy(deploy) => deploy,
        Action::Verify(verify) => verify,
        Action::Check(gate) => gate,
    }
}

impl Fields for Package {
    fn check(&self, check: &mut Check<'_>, place: &Node) {
        check.path_patterns(&self.exclude, place.field("exclude"));
    }

    fn templates(&self, _: &mut Templates<'_, '_>, _: &Node) {}
}

impl Fields for Commit {
    fn check(&self, check: &mut Check<'_>, place: &Node) {
        check.repository_exists(self.repository.as_str(), &place.field("repository").bytes);
        check.demand(&place.field("file").bytes, texts::values_file(&self.file));
        let place = place.field("set");
        for pointer in self.set.keys() {
            check.demand(&place.key(pointer), texts::pointer(pointer));
            let within =
                |other: &&String| pointer.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with('/'));
            if let Some(outer) = self.set.keys().find(within) {
                check.add(place.key(pointer), format!("`{outer}` is set as a whole, and this is within it"));
            }
        }
    }

    fn templates(&self, templates: &mut Templates<'_, '_>, place: &Node) {
        for (pointer, value) in &self.set {
            templates.value(value, place.field("set").field(pointer));
        }
        templates.texts(&self.message, Site::Text, |_| place.field("message"));
    }
}

impl Fields for Bake {
    fn check(&self, check: &mut Check<'_>, place: &Node) {
        check.demand(&place.field("config").bytes, texts::values_file(&self.config));
        secrets::check(check, &self.secrets, true, place);
    }

    fn templates(&self, _: &mut Templates<'_, '_>, _: &Node) {}
}

impl Fields for Synth {
    fn check(&self, check: &mut Check<'_>, place: &Node) {
        if let Some(template) = &self.template {
            check.demand(&place.field("template").bytes, texts::path(template));
        }
        gates::network_is_of_a_command(check, self.network && self.command.is_empty(), place);
        secrets::check(check, &self.secrets, !self.command.is_empty(), place);
        caches::check(check, &self.caches, !self.command.is_empty(), place);
        for name in self.environment.keys().filter(|name| name.is_empty() || name.contains(['=', '\0'])) {
            check.add(place.field("environment").key(name), format!("`{name}` cannot be an environment variable"));
        }
    }

    fn templates(&self, templates: &mut Templates<'_, '_>, place: &Node) {
        for (name, value) in &self.environment {
            templates.text(value, Site::Text, place.field("environment").field(name));
        }
    }
}

impl Fields for Lint {
    fn check(&self, check: &mut Check<'_>, place: &Node) {
        for (index, file) in self.guard.iter().enumerate() {
            check.demand(&place.field("guard").item(index).bytes, texts::path(file));
        }
        secrets::check(check, &self.secrets, !self.commands.is_empty(), place);
        caches::check(check, &self.caches, !self.commands.is_empty(), place);
    }

    fn templates(&self, templates: &mut Templates<'_, '_>, place: &Node) {
        for (number, command) in self.commands.iter().enumerate() {
            let place = place.field("commands").item(number);
            templates.texts(command, Site::LintCommand, |word| place.item(word));
        }
    }
}

impl Fields for Approve {
    fn check(&self, check: &mut Check<'_>, place: &Node) {
        for (stage, who) in &self.stages {
            let place = place.field("stages");
            check.stage_exists(stage.as_str(), &place.key(stage.as_str()));
            quorum(check, who, place.field(stage.as_str()));
        }
    }

    fn templates(&self, _: &mut Templates<'_, '_>, _: &Node) {}
}

impl Fields for Deploy {
    fn check(&self, check: &mut Check<'_>, place: &Node) {
        gates::network_is_of_a_command(check, self.network && self.command.is_empty(), place);
        secrets::check(check, &self.secrets, true, place);
    }

    fn templates(&self, templates: &mut Templates<'_, '_>, place: &Node) {
        templates.texts(&self.command, Site::Text, |word| place.field("command").item(word));
        for (name, value) in &self.variables {
            templates.value(value, place.field("variables").field(name));
        }
        for (name, value) in &self.parameters {
            templates.text(value, Site::Text, place.field("parameters").field(name));
        }
    }
}

impl Fields for Verify {
    fn check(&self, check: &mut Check<'_>, place: &Node) {
        let web = |url: &str| ["http://", "https://", "{{"].iter().any(|start| url.starts_with(start));
        if self.http.as_ref().is_some_and(|url| !web(url)) {
            check.add(place.field("http").bytes.clone(), "this URL does not begin with `http://` or `https://`");
        }
        if !(100..600).contains(&self.status) {
            check.add(place.field("status").bytes.clone(), "an HTTP status is a number from 100 to 599");
        }
        if self.http.is_none() && self.contains.is_some() {
            check.add(place.key("contains"), "`contains` is about the answer to `http`, and there is none");
        }
        gates::network_is_of_a_command(check, self.network && self.command.is_empty(), place);
        secrets::check(check, &self.secrets, !self.command.is_empty(), place);
        caches::check(check, &self.caches, !self.command.is_empty(), place);
    }

    fn templates(&self, templates: &mut Templates<'_, '_>, place: &Node) {
        templates.texts(&self.http, Site::Text, |_| place.field("http"));
        templates.texts(&self.contains, Site::Text, |_| place.field("contains"));
        templates.texts(&self.command, Site::Text, |word| place.field("command").item(word));
    }
}

impl Fields for Gate {
    fn check(&self, check: &mut Check<'_>, place: &Node) {
        gates::gate(check, self, place, "a rule");
    }

    fn templates(&self, templates: &mut Templates<'_, '_>, place: &Node) {
        templates.texts(&self.http, Site::Text, |_| place.field("http"));
        templates.texts(&self.contains, Site::Text, |_| place.field("contains"));
        templates.texts(&self.command, Site::Text, |word| place.field("command").item(word));
    }
}
