//! What a commit still has to pass: the runs that carry it, and what is still to come, each with who decides it and the
//! earliest moment that the clock allows, one after the other.

use super::{
    chain::{Condition, Verdict, again, chain, opening, who},
    journey::Walk,
    question,
    route::{promotion, route},
};
use crate::{
    engine::{
        command::to_start,
        ids::{Place, TargetKey},
        origin::Wanted,
        plan::holidays,
        run::{Run, RunState, Subject},
        state::Verified,
        step_run::StepRun,
        task::Task,
    },
    rules::{Action, Promotion, PromotionStart, Rule, RuleName, Rules, StageName, StepId},
};

impl<'a> Walk<'a> {
    /// What it has to pass within a stage that it has come to: the rules from its repository to the deployment. Returns
    /// whether something of that is open.
    pub(super) fn through(&mut self, rules: &Rules, place: &Place) -> bool {
        if let Some(is_deployed) = self.deployed(rules, place) {
            return !is_deployed;
        }
        let mut open = false;
        for (name, rule) in route(rules, self.repository, &place.stage) {
            let subject = Subject::Rule(name.clone());
            match self.carrier(&subject, &place.stage) {
                Some(run) => open |= self.run(run),
                None if open => self.rule_to_come(rules, (name, rule), &place.stage, "the runs before it"),
                None => {
                    open = true;
                    self.no_run(rules, (name, rule), place);
                }
            }
        }
        open
    }

    /// All that it has to pass in a stage that it has not come to, and from there on.
    pub(super) fn still_before(&mut self, rules: &Rules, stage: &StageName, next: Option<&StageName>) {
        let before = self.conditions.len();
        for (name, rule) in route(rules, self.repository, stage) {
            self.rule_to_come(rules, (name, rule), stage, "the promotion before it");
        }
        if self.conditions.len() == before {
            self.not_yet_because(format!("in {} {stage}", self.repository), "it follows", "the promotion before it");
        }
        if let Some(promotion) = next.and_then(|next| promotion(rules, stage, next)) {
            self.promotion_to_come(rules, promotion, None);
        }
    }

    /// A run that there is not yet: what the stage demands of it, whom and what its rule asks there, and then the run.
    fn rule_to_come(&mut self, rules: &Rules, (name, rule): (&RuleName, &Rule), stage: &StageName, by: &str) {
        let in_force = self.system.rules().and_then(|rules| rules.at(name, stage));
        for StepRun { id, task, skippable, .. } in in_force.into_iter().flat_map(|at| &at.steps) {
            let step = format!("{name} in {stage}: {id}");
            match &**task {
                Task::Require(_) => {
                    self.not_yet_because(step, format!("what {stage} demands"), format!("{by}, and its check"));
                }
                Task::Action(Action::Check(check)) if !(*skippable && self.is_hotfix) => {
                    let question = question::to_come(rules, stage, rule.repository(), check);
                    self.not_yet_because(step, question, format!("{by}, and its answer"));
                }
                task => {
                    let Some(quorum) = task.quorum(stage) else { continue };
                    let what = format!("approval by {} ({} in all)", who(quorum), quorum.count);
                    self.not_yet_because(step, what, format!("{}, after {by}", who(quorum)));
                }
            }
        }
        self.moves(rules, rule, stage);
        self.not_yet_because(format!("{name} in {stage}"), "it follows", by);
    }

    /// A promotion that there is not yet; `verified` where what it would merge is verified already.
    pub(super) fn promotion_to_come(&mut self, rules: &Rules, promotion: &Promotion, verified: Option<&Verified>) {
        let Promotion { from, to, start, requires, on_failure: _ } = promotion;
        let name = |gate: &str| format!("promotion to {to}: {gate}");
        let before = verified.map_or_else(|| format!("the verification in {from}"), |_| "its start".to_owned());
        if *start == PromotionStart::Manual && verified.is_none() {
            let by = format!("`tidegate promote {from} {to}`, after {before}");
            self.not_yet_because(name("start"), "somebody has to start it", by);
        }
        if let Some(soak) = requires.soak.filter(|_| !self.skips(rules, "soak")) {
            let since_ms = verified.map_or(self.earliest_ms, |verified| verified.at_ms);
            self.not_before(since_ms.saturating_add(soak.as_ms()));
            let what = format!("{soak} after it was verified");
            self.not_yet_because(name("soak"), what, format!("{before}, and the clock"));
        }
        for (id, check) in requires.checks.iter().filter(|(id, _)| !self.skips(rules, id.as_str())).collect::<Vec<_>>()
        {
            let question = question::to_come(rules, to, None, check);
            self.not_yet_because(name(id.as_str()), question, format!("{before}, and its answer"));
        }
        if let Some(quorum) = &requires.approvals {
            let what = format!("approval by {} ({} in all)", who(quorum), quorum.count);
            self.not_yet_because(name("approve"), what, format!("{}, after {before}", who(quorum)));
        }
        if let Some(window) = requires.window.as_ref().filter(|_| !self.skips(rules, "window")) {
            self.not_before(opening(window, &holidays(rules, requires), self.earliest_ms));
            self.not_yet_because(name("window"), format!("the window {window}"), format!("{before}, and the clock"));
        }
        self.freezes_end(rules, to);
        if let Some(window) = requires.window.as_ref().filter(|_| !self.skips(rules, "window")) {
            // It must be open still when the freezes have ended.
            self.not_before(opening(window, &holidays(rules, requires), self.earliest_ms));
        }
        self.not_yet_because(name("merge"), format!("the merge into {to}"), before);
    }

    /// Whether a mark that it has already lets it skip a gate of this name.
    fn skips(&self, rules: &Rules, gate: &str) -> bool {
        let lane = rules.hotfix.as_ref().filter(|_| self.is_hotfix);
        lane.is_some_and(|lane| StepId::new(gate).is_ok_and(|gate| lane.skips(&gate)))
    }

    /// Nothing moves in a stage before the freezes that it may not pass have ended.
    fn freezes_end(&mut self, rules: &Rules, stage: &StageName) {
        if self.is_hotfix && rules.hotfix.as_ref().is_some_and(crate::rules::HotfixLane::skips_freezes) {
            return;
        }
        let of_stage = self.system.freezes.values().filter(|freeze| freeze.is_of(stage));
        let holds = of_stage.filter(|freeze| self.carriers.iter().all(|run| !freeze.overrides.contains_key(run)));
        if let Some(until_ms) = holds.map(|freeze| freeze.until_ms).max() {
            self.not_before(until_ms);
        }
    }

    fn not_before(&mut self, at_ms: i64) {
        self.earliest_ms = self.earliest_ms.max(at_ms);
    }

    /// The run of a subject that carries it: the newest that was not set aside, or else the newest.
    pub(super) fn carrier(&self, subject: &Subject, stage: &StageName) -> Option<&'a Run> {
        let carries = |run: &&Run| run.subject == *subject && run.stage == *stage && self.set_has(&run.set);
        let aside = |run: &&Run| matches!(run.state, RunState::Superseded | RunState::Rejected);
        let newest = || self.system.all_runs().rev().filter(carries);
        newest().find(|run| !aside(run)).or_else(|| newest().next())
    }

    /// What a run that carries it says of it. Returns whether there is still something to pass.
    pub(super) fn run(&mut self, run: &Run) -> bool {
        self.carriers.push(run.id.clone());
        self.is_hotfix |= run.hotfix.is_some();
        let at_ms = run.ended_ms.unwrap_or(run.created_ms);
        match run.state {
            RunState::Done => {
                self.conditions.push(Condition::passed(run.id.as_str(), at_ms, format!("{} is done", run.id)));
                false
            }
            state if state.is_ended() => {
                let reason = run.reason.clone().unwrap_or_else(|| "it did not succeed".to_owned());
                let what = format!("{}: {reason}", run.id);
                self.refused(run.id.as_str(), at_ms, what, again(self.system, run));
                true
            }
            _ => {
                for condition in chain(self.system, run) {
                    self.not_before(condition.earliest_ms.unwrap_or(self.earliest_ms));
                    self.conditions.push(Condition { name: format!("{} {}", run.id, condition.name), ..condition });
                }
                true
            }
        }
    }

    /// Nothing carries it on, and nothing before it is open.
    fn no_run(&mut self, rules: &Rules, (name, rule): (&RuleName, &Rule), place: &Place) {
        let stage = &place.stage;
        let lane = self.system.targets.get(&TargetKey::Promotions(stage.clone()));
        let holder = lane.and_then(|lane| lane.holder).and_then(|number| self.system.runs.get(&number));
        let held = self.system.held.get(stage).is_some_and(|held| !held.is_empty());
        let start = to_start(self.system, name, stage);
        let (what, by) = match holder.filter(|_| held) {
            Some(promotion) => {
                (format!("{} to end, which moves {stage}", promotion.id), format!("the end of {}", promotion.id))
            }
            None if self.is_passed_over(name, rule, place) => {
                let paths = rule.on.paths.join(", ");
                let what =
                    format!("a push that changes {paths}: its own changed nothing of that, and {name} is for no other");
                (what, format!("such a push, which brings it along, or {start}"))
            }
            None => (
                format!("a run of {name} in {stage}: none carries it"),
                format!("{start}, or the next push that starts it"),
            ),
        };
        self.waiting(format!("{name} in {stage}"), what, by);
        self.moves(rules, rule, stage);
    }

    /// Whether no push since it came let it through to the rule, because of the rule's `paths`.
    fn is_passed_over(&self, name: &RuleName, rule: &Rule, place: &Place) -> bool {
        let Some(watched) = self.system.repositories.get(&place.repository) else { return false };
        let was_there = watched.first.get(&place.stage).is_some_and(|first| self.has(&first.commit));
        let head = watched.heads.get(&place.stage).filter(|head| self.has(&head.commit));
        let let_through = |wanted: &Wanted| self.has(&wanted.commit);
        let is_for_pushes = rule.on.push.as_ref() == Some(&place.repository) && !rule.on.paths.is_empty();
        is_for_pushes && !was_there && head.is_some_and(|head| !head.origin.wanted.get(name).is_some_and(let_through))
    }

    /// A run of this rule is to move something in the stage, if the rule says so.
    fn moves(&mut self, rules: &Rules, rule: &Rule, stage: &StageName) {
        if rule.steps.iter().any(|step| step.action.kind().moves_something()) {
            self.freezes_end(rules, stage);
        }
    }

    pub(super) fn waiting(&mut self, name: String, what: String, by: String) {
        self.is_open(Verdict::Waiting, name, what, by);
    }

    pub(super) fn not_yet_because(&mut self, name: String, what: impl Into<String>, by: impl Into<String>) {
        self.is_open(Verdict::NotYet, name, what, by);
    }

    fn is_open(&mut self, verdict: Verdict, name: String, what: impl Into<String>, by: impl Into<String>) {
        let since_ms = self.conditions.last().map_or(self.system.at_ms, |before| before.since_ms);
        let earliest_ms = Some(self.earliest_ms).filter(|earliest_ms| *earliest_ms > self.system.at_ms);
        self.conditions.push(Condition { earliest_ms, ..Condition::of(verdict, name, since_ms, what, by) });
    }
}
