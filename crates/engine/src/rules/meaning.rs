//! What a change of rules means, in words: what loosens a hold first, then what is gone, what is new, and what is otherwise.
//! A line is for whoever has to say yes to it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    actions::Quorum,
    model::{Conditions, KnownBy, Promotion, Repository, Rule, Rules},
    names::StageName,
};

/// What `after` means for who lives under `before`. Empty where only the text differs.
#[must_use]
pub fn meaning(before: &Rules, after: &Rules) -> Vec<String> {
    if before == after {
        return Vec::new();
    }
    let mut told = Told::default();
    told.stages(before, after);
    told.repositories(before, after);
    for (name, rule) in &before.rules {
        match after.rules.get(name) {
            None => told.gone.push(format!("the rule `{name}` is gone")),
            Some(now) if now != rule => told.rule(name.as_str(), rule, now),
            Some(_) => {}
        }
    }
    let new = after.rules.keys().filter(|name| !before.rules.contains_key(*name));
    told.new.extend(new.map(|name| format!("there is a new rule, `{name}`")));
    told.promotions(before, after);
    told.people(before, after);
    told.others(before, after);
    told.lines()
}

fn known_by(identity: Option<KnownBy>) -> &'static str {
    match identity {
        Some(KnownBy::Names) => "by the names in them alone",
        Some(KnownBy::Signature) => "by signatures",
        Some(KnownBy::Forge) => "by the forge",
        None => "by signatures where there are any, else by names",
    }
}

#[derive(Default)]
struct Told {
    looser: Vec<String>,
    gone: Vec<String>,
    new: Vec<String>,
    otherwise: Vec<String>,
}

impl Told {
    fn lines(self) -> Vec<String> {
        let lines: Vec<String> = [self.looser, self.gone, self.new, self.otherwise].concat();
        if lines.is_empty() {
            vec!["something changes that has no words here: read the commit".to_owned()]
        } else {
            lines
        }
    }

    fn stages(&mut self, before: &Rules, after: &Rules) {
        for (name, stage) in &before.stages {
            let Some(now) = after.stages.get(name) else {
                self.gone.push(format!("the stage `{name}` is gone"));
                continue;
            };
            if before.branch(name) != after.branch(name) {
                let (was, is) = (before.branch(name), after.branch(name));
                self.looser.push(format!("{name} follows the branch `{is}` instead of `{was}`"));
            }
            let dropped = stage.requires.iter().filter(|demand| !now.requires.contains(demand));
            self.looser.extend(dropped.map(|demand| {
                let (repository, file, pointer) = (&demand.repository, &demand.file, &demand.pointer);
                format!("{name} no longer demands at least {} of {pointer} in {file} of {repository}", demand.at_least)
            }));
            if now.requires.iter().any(|demand| !stage.requires.contains(demand)) {
                self.otherwise.push(format!("{name} demands more of a file"));
            }
            if stage.environment != now.environment {
                self.otherwise.push(format!("{name} is called {} instead of {}", now.environment, stage.environment));
            }
        }
        let new = after.stages.keys().filter(|name| !before.stages.contains_key(*name));
        self.new.extend(new.map(|name| format!("there is a new stage, `{name}`")));
        let order = |rules: &Rules| rules.stages.keys().cloned().collect::<Vec<StageName>>();
        let same = order(before).iter().collect::<BTreeSet<_>>() == order(after).iter().collect::<BTreeSet<_>>();
        if same && order(before) != order(after) {
            self.looser.push("the stages come in another order".to_owned());
        }
    }

    fn repositories(&mut self, before: &Rules, after: &Rules) {
        for (name, repository) in &before.repositories {
            match after.repositories.get(name) {
                None => self.gone.push(format!("the repository `{name}` is not watched any more")),
                Some(now) => self.repository(name.as_str(), repository, now),
            }
        }
        let new = after.repositories.iter().filter(|(name, _)| !before.repositories.contains_key(*name));
        self.new
            .extend(new.map(|(name, repository)| format!("the repository `{name}` is watched: {}", repository.url)));
    }

    fn repository(&mut self, name: &str, before: &Repository, after: &Repository) {
        let Repository { url, poll, require_signatures, identity } = before;
        if *url != after.url {
            self.looser.push(format!("{name} is {} instead of {url}", after.url));
        }
        let unsigned = require_signatures.iter().filter(|stage| !after.require_signatures.contains(stage));
        self.looser.extend(unsigned.map(|stage| format!("{stage} takes commits of {name} that nobody has signed")));
        if *identity != after.identity {
            let strict = |by: Option<KnownBy>| match by {
                Some(KnownBy::Names) => 0,
                None => 1,
                Some(KnownBy::Signature | KnownBy::Forge) => 2,
            };
            let line = format!("who wrote commits of {name} is known {}", known_by(after.identity));
            let is_looser = strict(after.identity) < strict(*identity);
            if is_looser { &mut self.looser } else { &mut self.otherwise }.push(line);
        }
        let more = after.require_signatures.iter().any(|stage| !require_signatures.contains(stage));
        if *poll != after.poll || more {
            self.otherwise.push(format!("{name} is looked at otherwise"));
        }
    }

    fn rule(&mut self, name: &str, before: &Rule, after: &Rule) {
        for stage in asked_in(before) {
            let (was, is) = (quorum_of(before, &stage), quorum_of(after, &stage));
            self.quorum(&format!("{name} in {stage}"), was, is);
        }
        for stage in asked_in(after).difference(&asked_in(before)) {
            self.quorum(&format!("{name} in {stage}"), None, quorum_of(after, stage));
        }
        let kinds = |rule: &Rule| {
            let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
            rule.steps.iter().for_each(|step| *kinds.entry(step.action.kind().name).or_default() += 1);
            kinds
        };
        let (had, has) = (kinds(before), kinds(after));
        for (kind, count) in &had {
            if has.get(kind).unwrap_or(&0) < count {
                let held = ["lint", "check", "verify", "approve"].contains(kind);
                let line = format!("{name} has fewer `{kind}` steps");
                if held { &mut self.looser } else { &mut self.gone }.push(line);
            }
        }
        let more = has.iter().filter(|(kind, count)| had.get(*kind).unwrap_or(&0) < count);
        self.new.extend(more.map(|(kind, _)| format!("{name} has another `{kind}` step")));
        for step in &before.steps {
            let Some(now) = after.steps.iter().find(|now| now.id() == step.id()) else { continue };
            if now != step && step.action.quorums().is_none() {
                self.otherwise.push(format!(
                    "{name} does `{}` otherwise{}",
                    step.id(),
                    fields(&step.action, &now.action)
                ));
            }
        }
        let differs = before.on != after.on || before.target != after.target || before.stages != after.stages;
        if differs || before.queue != after.queue {
            self.otherwise.push(format!("{name} starts, or waits, otherwise"));
        }
    }

    fn promotions(&mut self, before: &Rules, after: &Rules) {
        let same = |one: &Promotion, other: &Promotion| one.from == other.from && one.to == other.to;
        for promotion in &before.promotions {
            let of = format!("the promotion from {} to {}", promotion.from, promotion.to);
            let Some(now) = after.promotions.iter().find(|now| same(now, promotion)) else {
                self.gone.push(format!("{of} is gone"));
                continue;
            };
            if promotion.requires != now.requires {
                self.conditions(&of, &promotion.requires, &now.requires);
            }
            if (Promotion { requires: now.requires.clone(), ..promotion.clone() }) != *now {
                self.otherwise.push(format!("{of} starts, or ends, otherwise"));
            }
        }
        let new = after.promotions.iter().filter(|now| !before.promotions.iter().any(|known| same(known, now)));
        self.new.extend(new.map(|new| format!("there is a new promotion, from {} to {}", new.from, new.to)));
    }

    fn conditions(&mut self, of: &str, before: &Conditions, after: &Conditions) {
        self.quorum(of, before.approvals.as_ref(), after.approvals.as_ref());
        if before.soak != after.soak {
            let text =
                |conditions: &Conditions| conditions.soak.map_or_else(|| "no time".to_owned(), |soak| soak.to_string());
            let line = format!("{of} waits {} instead of {} after the verification", text(after), text(before));
            let ms = |conditions: &Conditions| conditions.soak.map_or(0, |soak| soak.as_ms());
            if ms(after) < ms(before) { &mut self.looser } else { &mut self.otherwise }.push(line);
        }
        if before.window != after.window || before.holidays != after.holidays {
            let line = match &after.window {
                None => format!("{of} heeds no window any more"),
                Some(window) => format!("{of} heeds the window `{window}`"),
            };
            self.looser.push(line);
        }
        let dropped = before.checks.keys().filter(|id| !after.checks.contains_key(*id));
        self.looser.extend(dropped.map(|id| format!("{of} no longer has the check `{id}`")));
        let others = after.checks.iter().filter(|(id, check)| before.checks.get(*id) != Some(check));
        self.otherwise.extend(others.map(|(id, _)| format!("{of} has the check `{id}`, which is new or otherwise")));
    }

    /// What a quorum asks less, and what it asks more.
    fn quorum(&mut self, of: &str, before: Option<&Quorum>, after: Option<&Quorum>) {
        let (was, is) = match (before, after) {
            (None, None) => return,
            (Some(was), None) => return self.looser.push(format!("{of} no longer asks {}", asked(was))),
            (None, Some(is)) => return self.new.push(format!("{of} asks {}", asked(is))),
            (Some(was), Some(is)) if was == is => return,
            (Some(was), Some(is)) => (was, is),
        };
        if is.count < was.count {
            self.looser.push(format!("{of} asks {} instead of {}", is.count, was.count));
        } else if is.count > was.count {
            self.otherwise.push(format!("{of} asks {} instead of {}", is.count, was.count));
        }
        if is.author_may_approve && !was.author_may_approve {
            self.looser.push(format!("authors may approve their own change in {of}"));
        }
        let who = |quorum: &Quorum| quorum.from.iter().cloned().collect::<BTreeSet<String>>();
        let (asked_before, asked_now) = (who(was), who(is));
        if asked_now.is_empty() && !asked_before.is_empty() {
            self.looser.push(format!("{of} asks anybody instead of {}", was.from.join(", ")));
            return;
        }
        let fewer: Vec<&String> = asked_before.difference(&asked_now).collect();
        self.looser.extend(fewer.iter().map(|name| format!("{of} no longer asks {name}")));
        let more = asked_now.difference(&asked_before);
        self.looser.extend(more.map(|name| format!("{of} takes the approval of {name}")));
        if was.expires != is.expires {
            self.otherwise.push(format!("the question of {of} is open for another time"));
        }
    }

    fn people(&mut self, before: &Rules, after: &Rules) {
        for delegate in after.delegates.iter().filter(|delegate| !before.delegates.contains(delegate)) {
            let (to, of) = (delegate.to.join(", "), &delegate.of);
            self.looser.push(format!("{to} may approve in the place of {of}"));
        }
        for delegate in before.delegates.iter().filter(|delegate| !after.delegates.contains(delegate)) {
            self.gone.push(format!("nobody approves in the place of {} as before", delegate.of));
        }
        match (&before.hotfix, &after.hotfix) {
            (None, Some(lane)) => self.looser.push(format!("a hotfix may skip {}", lane.skips.join(", "))),
            (Some(_), None) => self.gone.push("there is no hotfix lane any more".to_owned()),
            (was, is) if was != is => self.looser.push("the hotfix lane is otherwise".to_owned()),
            _ => {}
        }
        if before.calendars != after.calendars {
            self.looser.push("the calendars have other days, on which windows stay shut".to_owned());
        }
    }

    fn others(&mut self, before: &Rules, after: &Rules) {
        if before.notifications != after.notifications {
            self.otherwise.push("other people, or other things, are notified".to_owned());
        }
        if before.targets != after.targets {
            self.otherwise.push("the targets are otherwise".to_owned());
        }
    }
}

fn asked(quorum: &Quorum) -> String {
    if quorum.from.is_empty() { format!("{} of anybody", quorum.count) } else { quorum.from.join(", ") }
}

/// The stages in which a rule asks people.
fn asked_in(rule: &Rule) -> BTreeSet<StageName> {
    rule.steps.iter().filter_map(|step| step.action.quorums()).flat_map(|quorums| quorums.keys().cloned()).collect()
}

fn quorum_of<'rule>(rule: &'rule Rule, stage: &StageName) -> Option<&'rule Quorum> {
    rule.steps.iter().find_map(|step| step.action.quorums()?.get(stage))
}

/// Which fields of a step differ, as far as they have names: ` (template, network)`.
fn fields(before: &impl Serialize, after: &impl Serialize) -> String {
    let values = (serde_json::to_value(before).unwrap_or_default(), serde_json::to_value(after).unwrap_or_default());
    let inner =
        |value: &serde_json::Value| value.as_object().and_then(|kinds| kinds.values().next()?.as_object().cloned());
    let (Some(before), Some(after)) = (inner(&values.0), inner(&values.1)) else { return String::new() };
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let other: Vec<&str> =
        names.into_iter().filter(|name| before.get(*name) != after.get(*name)).map(String::as_str).collect();
    if other.is_empty() { String::new() } else { format!(" ({})", other.join(", ")) }
}
