//! Fan-in: a run that combines what several rules pinned starts nothing until all of it was made from the same commits of
//! the repositories that it has in common. Whether that can still come is known from the rules: a push that a rule's `paths`
//! leave out brings nothing through that rule, so what came through it before is as new as the push.

use std::collections::BTreeMap;

use crate::engine::{
    fact::{RunFact, StepFact},
    ids::{CommitId, PinnerId},
    lineage::{Lineage, Pinner, behind, pinners, present_head},
    plan::Task,
    run::{Run, RunState, StepState, Subject},
    system::System,
    turn::Turn,
};
use crate::rules::{RepositoryName, Rule, RuleName, Rules, StageName, StepId};

/// An artifact that a run needs, and has only an older one of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// The rule that pins it.
    pub rule: RuleName,
    /// The repository that it is made from.
    pub from: RepositoryName,
    /// The repository before that, of which another artifact has a newer commit; `from` itself, when it pins here directly.
    pub ancestor: RepositoryName,
    /// The commit of `ancestor` that it is to be made from, or a newer one.
    pub commit: CommitId,
    /// When that commit became the head, as a place in the log.
    pub order: u64,
    /// The commit of `ancestor` that the present one was made from; `None` when that was before Tidegate saw it.
    pub has: Option<CommitId>,
}

/// What a run waits for at its fan-in; empty when it does not wait there.
#[must_use]
pub fn awaited(system: &System, run: &Run) -> Vec<Awaited> {
    match rule_of(system, run).filter(|_| run.waits_at_fan_in()) {
        Some((rules, rule)) => awaited_by(rules, &run.stage, rule, &run.origin.pinned),
        None => Vec::new(),
    }
}

/// Whether what a rule combines can be of different origin at all: two pins that have a repository in common.
pub(in crate::engine) fn is_needed(rules: &Rules, rule: &Rule, stage: &StageName) -> bool {
    let pinners = pinners(rules, stage, rule);
    let roots: Vec<Vec<&RepositoryName>> = pinners.iter().map(Pinner::roots).collect();
    let mut pairs = roots.iter().enumerate().flat_map(|(at, one)| roots[..at].iter().map(move |other| (one, other)));
    pairs.any(|(one, other)| one.iter().any(|root| other.contains(root)))
}

/// Whether anything is combined in this stage.
pub(in crate::engine) fn is_anywhere(rules: &Rules, stage: &StageName) -> bool {
    rules.rules.values().any(|rule| rule.is_for(stage) && is_needed(rules, rule, stage))
}

/// What a rule still waits for, were it to work on a head with these lineages.
pub(in crate::engine) fn awaited_by(
    rules: &Rules,
    stage: &StageName,
    rule: &Rule,
    pinned: &BTreeMap<PinnerId, Lineage>,
) -> Vec<Awaited> {
    let pinners = pinners(rules, stage, rule);
    let mut awaited = Vec::new();
    for pinner in &pinners {
        for root in pinner.roots() {
            let known = pinners.iter().filter_map(|other| pinned.get(&other.id)?.get(root));
            let Some(newest) = known.max_by_key(|ancestor| ancestor.order) else { continue };
            let has = pinned.get(&pinner.id).and_then(|lineage| lineage.get(root));
            if has.is_some_and(|has| has.commit == newest.commit) {
                continue;
            }
            let through = pinner.leads.iter().filter(|(_, rule)| rule.on.push.as_ref() == Some(root));
            let owed = through.filter_map(|(name, _)| newest.wanted.get(*name)).max_by_key(|point| point.order);
            let Some(owed) = owed.filter(|owed| owed.order > has.map_or(0, |has| has.order)) else { continue };
            awaited.push(Awaited {
                rule: pinner.rule().clone(),
                from: pinner.from.clone(),
                ancestor: root.clone(),
                commit: owed.commit.clone(),
                order: owed.order,
                has: has.map(|has| has.commit.clone()),
            });
        }
    }
    awaited
}

fn rule_of<'system>(system: &'system System, run: &Run) -> Option<(&'system Rules, &'system Rule)> {
    let Subject::Rule(name) = &run.subject else { return None };
    let rules = system.rules()?;
    Some((rules, rules.rules.get(name)?))
}

impl Run {
    /// Whether it has a fan-in that has not passed yet, so that nothing else of it has started.
    #[must_use]
    pub fn waits_at_fan_in(&self) -> bool {
        let goes_on = !self.state.is_ended() && self.state != RunState::Ending;
        goes_on && self.steps.iter().any(|step| step.task == Task::FanIn && step.state != StepState::Done)
    }
}

impl Turn<'_> {
    /// Opens the fan-in of a run that has one, or looks at it again. Returns whether the run waits there: it holds nothing
    /// meanwhile, and gives way to a newer run, whose commit has all that its own has.
    pub(in crate::engine) fn waits_at_fan_in(&mut self, number: u64) -> bool {
        let step = self.run(number).steps.iter().find(|step| step.task == Task::FanIn);
        let Some(step) = step.filter(|step| step.state != StepState::Done) else { return false };
        let (id, is_new) = (step.id.clone(), step.state == StepState::Ready);
        if is_new {
            self.record_step(number, &id, StepFact::Started { at_ms: self.at_ms });
            self.replace_waiting(number);
        }
        self.look_at_fan_in(number, &id)
    }

    fn look_at_fan_in(&mut self, number: u64, id: &StepId) -> bool {
        let run = self.run(number);
        if let Some(head) = present_head(&self.system, run) {
            let (origin, mut set) = (head.origin.clone(), head.set.clone());
            set.extend(run.source.as_ref().map(|source| (source.repository.clone(), source.commit.clone())));
            let written = run.target.as_ref().map(|key| self.system.written_for_target(&set, key)).unwrap_or_default();
            let (authors, others_wrote) = (written.authors, written.others_wrote);
            let is_news =
                (&run.origin, &run.set, &run.authors, run.others_wrote) != (&origin, &set, &authors, others_wrote);
            if is_news {
                self.record_run(number, RunFact::ContentSet { set, origin, authors, others_wrote });
            }
        }
        if !awaited(&self.system, self.run(number)).is_empty() {
            return true;
        }
        self.pass_gate(number, id, serde_json::Map::new());
        false
    }

    /// Ends the older runs of the same rule that wait at their fan-in, whatever the queue's policy: they are of an older
    /// commit, into which nothing is pinned any more.
    fn replace_waiting(&mut self, number: u64) {
        let run = self.run(number);
        let same = |other: &&Run| other.subject == run.subject && other.stage == run.stage && other.number < number;
        let older: Vec<u64> =
            self.system.live_runs().filter(same).filter(|run| run.waits_at_fan_in()).map(|run| run.number).collect();
        let reason = format!("{} is newer, and the combination that this one waited for cannot come any more", run.id);
        for older in older {
            self.stop_run(older, RunState::Superseded, reason.clone());
        }
    }
}

/// What a run waits for at its fan-in and what can end that, as clauses for people.
pub(in crate::engine) fn explained(system: &System, run: &Run) -> (String, String) {
    let awaited = awaited(system, run);
    let repository = run.source.as_ref().map_or("it", |source| source.repository.as_str());
    let for_what = |awaited: &Awaited| {
        let Awaited { rule, from, ancestor, commit, has, .. } = awaited;
        let (made, needed) = (of(from, ancestor), commit.short());
        let has = has.as_ref().map_or_else(|| "of before".to_owned(), |has| format!("{made} {}", has.short()));
        format!("{rule} to bring an artifact {made} {needed}; {repository} has one {has}")
    };
    let ended_by = awaited.iter().map(|awaited| ended_by(system, run, awaited));
    let mut ended: Vec<String> = ended_by.collect();
    ended.dedup();
    (awaited.iter().map(for_what).collect::<Vec<_>>().join(", and "), ended.join("; and "))
}

fn of(from: &RepositoryName, ancestor: &RepositoryName) -> String {
    if from == ancestor { format!("of {from}") } else { format!("of {from} from {ancestor}") }
}

/// Who or what can bring an artifact: a run that has the commit and goes on, failed, or made a commit that nobody has seen;
/// else the rule next to what it is needed for whose head has it.
fn ended_by(system: &System, run: &Run, awaited: &Awaited) -> String {
    let Awaited { ancestor, order, .. } = awaited;
    let stage = &run.stage;
    let anew = format!("a newer push to {ancestor} {stage}");
    let Some((rules, rule)) = rule_of(system, run) else { return anew };
    let pinners = pinners(rules, stage, rule);
    let Some(pinner) = pinners.iter().find(|pinner| *pinner.rule() == awaited.rule) else { return anew };
    let has_it = |repository: &RepositoryName, own: u64, pinned: Lineage| {
        let made_from = if repository == ancestor { own } else { pinned.get(ancestor).map_or(0, |made| made.order) };
        made_from >= *order
    };
    let runs = |name: &RuleName| {
        let of_rule = |other: &&Run| other.stage == *stage && matches!(&other.subject, Subject::Rule(of) if of == name);
        system.runs.values().rev().filter(of_rule).find(|other| {
            other.source.as_ref().is_some_and(|source| has_it(&source.repository, source.order, behind(&other.origin)))
        })
    };
    let found: Vec<Option<&Run>> = pinner.leads.iter().map(|(name, _)| runs(name)).collect();
    if let Some(at) = found.iter().position(|run| run.is_some_and(|run| !run.state.is_ended())) {
        let then = if at == 0 { String::new() } else { format!(", and then {}", pinner.leads[at - 1].0) };
        return found[at].map_or(anew, |run| format!("{}, which is under way{then}", run.id));
    }
    if let Some(found) = found.iter().flatten().next() {
        let made = system.unseen.values().find(|unseen| unseen.made && unseen.brought.by == found.id);
        if let Some(unseen) = made {
            return format!("the next look at {}, which has a commit of {}", unseen.place, found.id);
        }
        if matches!(found.state, RunState::Failed | RunState::Aborted) && !has_newer(system, found) {
            let (id, why) = (&found.id, found.reason.as_deref().unwrap_or("it was ended"));
            return format!("`tidegate retry {id}` ({why}), or {anew}");
        }
    }
    let has_head = |(_, rule): &&(&RuleName, &Rule)| {
        let at = rule.repository().and_then(|repository| Some((repository, system.head(repository, stage)?)));
        at.is_some_and(|(repository, head)| has_it(repository, head.order, behind(&head.origin)))
    };
    let start = pinner.leads.iter().find(has_head).map_or(&awaited.rule, |(name, _)| *name);
    format!("`tidegate run start {start} --stage {stage}`, or {anew}")
}

fn has_newer(system: &System, run: &Run) -> bool {
    let same = |other: &&Run| other.subject == run.subject && other.stage == run.stage;
    system.runs.values().filter(same).any(|other| other.number > run.number && other.state != RunState::Rejected)
}
