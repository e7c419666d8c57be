//! What runs in a stage, and whether it has a commit: what was deployed there, by the sets that the runs were of.

use super::{
    chain::Condition,
    journey::{Here, Walk},
    route,
};
use crate::{
    engine::{
        command::to_start,
        content::CommitSet,
        ids::{Place, RunId, TargetKey},
        run::{Run, RunState, Subject},
        state::Deployed,
        step_run::StepState,
        version::MOST_VERSIONS,
    },
    rules::{Promotion, Rule, RuleName, Rules, StageName},
};

/// A deployment that ended well.
struct Deployment<'a> {
    run: &'a RunId,
    target: TargetKey,
    set: &'a CommitSet,
    good_ms: i64,
}

impl<'a> Walk<'a> {
    /// What runs in a stage now, on each of its targets.
    pub(super) fn running_in(&self, stage: &StageName) -> Vec<&'a Deployed> {
        let targets = self.system.rules().into_iter().flat_map(|rules| rules.targets.keys());
        let keys = targets.map(|target| TargetKey::Target(target.clone(), stage.clone()));
        keys.filter_map(|key| self.system.targets.get(&key)?.deployed.as_ref()).collect()
    }

    /// The good deployments in a stage that the state knows, oldest first: those of its runs, and its versions.
    fn deployments(&self, rules: &Rules, stage: &StageName) -> Vec<Deployment<'a>> {
        let deployed = |run: &&Run| {
            let deploys = run.steps.iter().any(|step| step.task.kind().deploys() && step.state == StepState::Done);
            run.stage == *stage && run.state == RunState::Done && matches!(run.subject, Subject::Rule(_)) && deploys
        };
        let runs = self.system.all_runs().filter(deployed).filter_map(|run| {
            let (target, good_ms) = (run.target.clone()?, run.ended_ms?);
            Some(Deployment { run: &run.id, target, set: &run.set, good_ms })
        });
        let mut good: Vec<Deployment<'a>> = runs.collect();
        for verified in self.system.versions_of(stage).iter().map(|version| &version.verified) {
            let name = RuleName::new(verified.run.name()).ok();
            let rule = name.and_then(|name| rules.rules.get(&name)).filter(|rule| route::deploys(rule));
            let target =
                rule.and_then(|rule| rule.target.as_ref()).map(|name| TargetKey::Target(name.clone(), stage.clone()));
            let Some(target) = target.filter(|_| good.iter().all(|known| known.run != &verified.run)) else { continue };
            good.push(Deployment { run: &verified.run, target, set: &verified.set, good_ms: verified.at_ms });
        }
        good.sort_by_key(|deployment| (deployment.good_ms, deployment.run.number()));
        good
    }

    /// Whether the last good deployment of the target that it first came to has it.
    pub(super) fn is_still_deployed(&self, rules: &Rules, stage: &StageName) -> bool {
        let good = self.deployments(rules, stage);
        let target = good.iter().find(|first| self.set_has(first.set)).map(|first| &first.target);
        let last = good.iter().rev().find(|last| Some(&last.target) == target);
        last.is_some_and(|last| self.set_has(last.set))
    }

    /// Says by which run it is deployed, and returns that it is; or says that it was, and what took it back; `None` when it
    /// never was.
    pub(super) fn deployed(&mut self, rules: &Rules, place: &Place) -> Option<bool> {
        let good = self.deployments(rules, &place.stage);
        let target = good.iter().find(|first| self.set_has(first.set))?.target.clone();
        let of_target: Vec<Deployment<'a>> = good.into_iter().filter(|other| other.target == target).collect();
        let with = |deployment: &Deployment<'a>| self.set_has(deployment.set);
        let (first, last) = (of_target.iter().position(with)?, of_target.iter().rposition(with)?);
        let running = self.system.targets.get(&target).and_then(|target| target.deployed.as_ref());
        let running =
            running.filter(|running| !self.set_has(&running.set)).map(|running| (&running.run, running.at_ms));
        let without = of_target.get(last + 1).map(|without| (without.run, without.good_ms)).or(running);
        let name = format!("deployed to {target}");
        let (first_run, last_run) = (of_target[first].run, of_target[last].run);
        if let Some((without, since_ms)) = without {
            self.was_there |= place.stage == *self.to;
            let what = format!("{first_run} deployed it, and {without} took it back");
            let by = self.way_to(rules, place, &target);
            self.refused(name, since_ms, what, by);
            return Some(false);
        }
        let since = if first_run == last_run { String::new() } else { format!("; {last_run} has it still") };
        let goes = self.going_back(&place.stage);
        let goes = goes.map_or_else(String::new, |run| format!("; {} takes it back", run.id));
        // Of what was before the oldest version that is remembered, nothing is known.
        let is_oldest = first == 0 && self.system.versions_of(&place.stage).len() >= MOST_VERSIONS;
        let latest = if is_oldest { ", or a run before it," } else { "" };
        let what = format!("{first_run}{latest} deployed it to {target}{since}{goes}");
        self.conditions.push(Condition::passed(name, of_target[first].good_ms, what));
        Some(true)
    }

    /// The rollback of a stage that goes on and takes it away.
    fn going_back(&self, stage: &StageName) -> Option<&'a Run> {
        let mut live = self.system.live_runs().filter(|run| run.stage == *stage);
        live.find(|run| run.subject == Subject::Rollback && !self.set_has(&run.set))
    }

    /// What deploys again what is no more deployed.
    fn way_to(&self, rules: &Rules, place: &Place, target: &TargetKey) -> String {
        let is_to = |rule: &Rule| {
            let named = rule.target.as_ref().map(|name| TargetKey::Target(name.clone(), place.stage.clone()));
            rule.is_for(&place.stage) && route::deploys(rule) && named.as_ref() == Some(target)
        };
        let is_in_branch = matches!(self.here.get(&place.stage), Some(Here::Is));
        match rules.rules.iter().find(|(_, rule)| is_to(rule)) {
            Some((rule, _)) if is_in_branch && self.veto(place).is_none() => to_start(self.system, rule, &place.stage),
            _ => self.way_back_in(rules, place),
        }
    }

    /// What brings it into the branch of a stage again.
    pub(super) fn way_back_in(&self, rules: &Rules, place: &Place) -> String {
        if let Some((name, veto)) = self.veto(place) {
            return format!("a better change, for this one never moves again ({})", veto.said(name));
        }
        let mut into = rules.promotions.iter().filter(|promotion| promotion.to == place.stage);
        let brings = |promotion: &&Promotion| {
            let promoted = self.system.promoted.get(&promotion.to).map(|promoted| &promoted.set);
            self.system.verified.get(&promotion.from).is_some_and(|verified| {
                promoted != Some(&verified.set)
                    && self.system.veto_of_set(&verified.set).is_none()
                    && self.set_has(&verified.set)
            })
        };
        match into.find(brings) {
            Some(Promotion { from, to, .. }) => format!("`tidegate promote {from} {to}`, or a newer change"),
            None => "a newer change that brings it again".to_owned(),
        }
    }
}
