//! The journey of one commit to one stage: what it has passed, where it is, and what it still has to pass.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    chain::{Condition, Verdict},
    route::{self, path, promotion},
};
use crate::{
    engine::{
        command::to_start,
        explain::whereabouts::{Arrival, Deployment, Whereabouts},
        ids::{CommitId, Place, RunId, TargetKey},
        run::{Run, RunState, Subject},
        system::System,
        version::Veto,
    },
    rules::{Promotion, PromotionStart, RepositoryName, Rule, Rules, StageName},
};

/// Where a commit is on its way to a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journey {
    /// Its repository.
    pub repository: RepositoryName,
    /// The commit.
    pub commit: CommitId,
    /// The stage it is asked about.
    pub stage: StageName,
    /// Whether it is there.
    pub verdict: Verdict,
    /// Since when: milliseconds since 1970, UTC.
    pub since_ms: i64,
    /// The earliest moment at which it can be there, where the clock has a say; people who end a hold or skip a gate can
    /// make it earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earliest_ms: Option<i64>,
    /// Where it is, in a sentence.
    pub summary: String,
    /// What it has passed and what it has to pass, in order; never empty.
    pub conditions: Vec<Condition>,
}

/// The journey of a commit to a stage. `whereabouts` has taken in the log up to `system`.
#[must_use]
pub fn journey(
    system: &System,
    whereabouts: &Whereabouts,
    repository: &RepositoryName,
    commit: &CommitId,
    stage: &StageName,
) -> Journey {
    let mut walk = Walk {
        system,
        whereabouts,
        repository,
        to: stage,
        conditions: Vec::new(),
        arrivals: BTreeMap::new(),
        carriers: Vec::new(),
        is_hotfix: system.hotfixes.contains_key(commit),
        was_there: false,
        earliest_ms: system.at_ms,
    };
    match system.rules() {
        Some(rules) => walk.to(rules, commit, stage),
        None => walk.without_rules(),
    }
    let Walk { conditions, was_there, earliest_ms, .. } = walk;
    let first = |verdict| conditions.iter().find(|condition| condition.verdict == verdict);
    let stuck = [Verdict::Refused, Verdict::Waiting, Verdict::NotYet].into_iter().find_map(first);
    let decides = stuck.or(conditions.last()).expect("a walk always says something");
    let verdict = decides.verdict;
    let yet = if was_there { "any more" } else { "yet" };
    let summary = match verdict {
        Verdict::Passed => decides.what.clone(),
        Verdict::Waiting => format!("not in {stage} {yet}: it waits for {}", decides.what),
        Verdict::Refused | Verdict::NotYet => format!("not in {stage} {yet}: {}", decides.what),
    };
    let goes_on = matches!(verdict, Verdict::Waiting | Verdict::NotYet);
    Journey {
        repository: repository.clone(),
        commit: commit.clone(),
        stage: stage.clone(),
        since_ms: decides.since_ms,
        earliest_ms: Some(earliest_ms).filter(|earliest_ms| goes_on && *earliest_ms > system.at_ms),
        verdict,
        summary,
        conditions,
    }
}

/// A commit's way, condition by condition, from the stage in which it entered to the one it is asked about.
pub(super) struct Walk<'a> {
    pub(super) system: &'a System,
    pub(super) whereabouts: &'a Whereabouts,
    pub(super) repository: &'a RepositoryName,
    to: &'a StageName,
    pub(super) conditions: Vec<Condition>,
    /// The stages that it has come to.
    arrivals: BTreeMap<StageName, Arrival>,
    /// The runs that carry it: what they may pass, may what comes of them.
    pub(super) carriers: Vec<RunId>,
    /// Whether it is marked as a hotfix.
    pub(super) is_hotfix: bool,
    /// Whether it was in the stage it is asked about, and is no more.
    was_there: bool,
    /// The earliest moment at which what comes next can be, by the clock.
    pub(super) earliest_ms: i64,
}

impl<'a> Walk<'a> {
    fn without_rules(&mut self) {
        let refused_ms = self.system.refused_rules.as_ref().map(|refused| refused.at_ms);
        let since_ms = refused_ms.unwrap_or_else(|| self.begins_ms());
        let by = "a rules file without mistakes: `tidegate check`";
        self.refused("rules", since_ms, "no valid rules are in force", by);
    }

    fn to(&mut self, rules: &Rules, commit: &CommitId, stage: &StageName) {
        let rules_ms = self.system.rules.as_ref().map_or(self.system.at_ms, |in_force| in_force.since_ms);
        if !rules.stages.contains_key(stage) {
            let stages: Vec<&str> = rules.stages.keys().map(StageName::as_str).collect();
            let there = format!("one of the stages that there are: {}", stages.join(", "));
            return self.refused("stage", rules_ms, format!("the rules have no stage {stage}"), there);
        }
        let Some((origin, position, path)) = self.origin(rules, commit, stage) else {
            let what = format!("{} has not been the head of any branch of {}", commit.short(), self.repository);
            let by = "a push that is seen; of commits that were pushed together, only the last is a head";
            return self.refused("seen", self.begins_ms(), what, by);
        };
        self.arrivals = self.whereabouts.arrivals(&origin, position);
        // However it came there, what matters is that it is there.
        let is_there = self.arrivals.contains_key(stage);
        let mut path = if is_there { vec![origin.stage.clone(), stage.clone()] } else { path };
        path.dedup();
        for (leg, here) in path.iter().enumerate() {
            let next = path.get(leg + 1);
            match self.arrivals.get(here).cloned() {
                Some(arrival) => self.at(rules, &self.place(here), &arrival, next),
                None => self.still_before(rules, here, next),
            }
        }
        if path.last() != Some(stage) {
            let what = format!("the rules have no promotion that leads from {} to {stage}", origin.stage);
            self.refused("promotion", rules_ms, what, "a promotion in the rules, or a push to that branch");
        }
    }

    /// All of a stage that it has come to.
    fn at(&mut self, rules: &Rules, place: &Place, arrival: &Arrival, next: Option<&StageName>) {
        self.arrived(rules, place, arrival, next);
        if next.is_some_and(|next| self.arrivals.contains_key(next)) {
            return;
        }
        let here = self.conditions.len();
        let is_open = self.through(rules, place, arrival.position);
        if let Some((name, veto)) = self.veto(place, arrival.position).filter(|_| is_open || next.is_some()) {
            let by = format!("a better change, or `tidegate veto --lift {name} --reason …`");
            let refused = Condition::of(Verdict::Refused, "veto", veto.at_ms, veto.said(name), by);
            self.conditions.insert(here, refused);
        }
        self.onward(rules, place, arrival.position, next);
    }

    /// Where the commit entered, and the stages from there on. The nearest, when it entered at several.
    fn origin(&self, rules: &Rules, commit: &CommitId, to: &StageName) -> Option<(Place, usize, Vec<StageName>)> {
        let places = rules.stages.keys().map(|stage| self.place(stage));
        let known = places.filter_map(|place| {
            let position = self.whereabouts.position(&place, commit)?;
            let path = path(rules, &place.stage, to);
            Some((place, position, path))
        });
        let (place, position, path) = known.min_by_key(|(_, _, path)| path.as_ref().map_or(usize::MAX, Vec::len))?;
        let path = path.unwrap_or_else(|| vec![place.stage.clone()]);
        Some((place, position, path))
    }

    fn arrived(&mut self, rules: &Rules, place: &Place, arrival: &Arrival, next: Option<&StageName>) {
        let Some(stop) = self.whereabouts.stop(place, arrival.position) else { return };
        let by = arrival.by.as_ref().map_or_else(String::new, |run| format!(", merged by {run}"));
        let mut what = format!("{} is in {place}{by}", stop.commit.short());
        let name = format!("in {place}");
        let head = self.system.head(&place.repository, &place.stage).filter(|head| head.commit != stop.commit);
        let newer = head.and_then(|head| Some((head, self.whereabouts.position(place, &head.commit)?)));
        if let Some((head, position)) = newer {
            if let Some(taken) = self.whereabouts.taken_away_by(place, arrival.position, position) {
                let by = taken.by.as_ref().map_or_else(|| "a way back".to_owned(), ToString::to_string);
                if next.is_none() && self.is_still_deployed(place, arrival.position) {
                    let what = format!("{by} took it out of {place}; what runs there has it still");
                    return self.conditions.push(Condition::passed(name, arrival.at_ms, what));
                }
                self.was_there |= place.stage == *self.to;
                let what = format!("{by} took it back: {place} is at an earlier version");
                return self.refused(name, taken.at_ms, what, self.way_back_in(rules, place, arrival.position));
            }
            if let Some(forced) = self.whereabouts.lost_by(place, arrival.position, position) {
                let what = format!("{place} was force-pushed to {} since: it may be lost", forced.commit.short());
                let by = format!("a push to {place}, where it was lost; `git log` shows it");
                return self.refused(name, forced.at_ms, what, by);
            }
            what.push_str(&format!("; the newer head {} brings it along", head.commit.short()));
        }
        self.conditions.push(Condition::passed(name, arrival.at_ms, what));
    }

    /// The good deployments in a stage, oldest first.
    fn deployments(&self, stage: &StageName) -> Vec<&'a Deployment> {
        let good = |deployment: &&Deployment| deployment.stage == *stage && deployment.good_ms.is_some();
        self.whereabouts.deployments().iter().filter(good).collect()
    }

    /// Whether the last good deployment of the target that it first came to has it.
    fn is_still_deployed(&self, place: &Place, position: usize) -> bool {
        let brings = |deployment: &&&Deployment| self.whereabouts.deployment_brings(deployment, place, position);
        let good = self.deployments(&place.stage);
        let target = good.iter().find(brings).map(|first| &first.target);
        let last = good.iter().rev().find(|last| Some(&last.target) == target);
        last.is_some_and(|last| brings(&last))
    }

    /// Says by which run it is deployed, and returns that it is; or says that it was, and what took it back; `None` when it
    /// never was.
    pub(super) fn deployed(&mut self, rules: &Rules, place: &Place, position: usize) -> Option<bool> {
        let brings = |deployment: &&&Deployment| self.whereabouts.deployment_brings(deployment, place, position);
        let good = self.deployments(&place.stage);
        let first = *good.iter().find(brings)?;
        let of_target: Vec<&Deployment> = good.into_iter().filter(|other| other.target == first.target).collect();
        let last_with = of_target.iter().rposition(|last| brings(&last)).unwrap_or(0);
        let name = format!("deployed to {}", first.target);
        match of_target.get(last_with + 1) {
            Some(without) => {
                self.was_there |= place.stage == *self.to;
                let what = format!("{} deployed it, and {} took it back", first.run, without.run);
                let since_ms = without.good_ms.unwrap_or(without.at_ms);
                let by = self.way_to(rules, place, position, &first.target);
                self.refused(name, since_ms, what, by);
                Some(false)
            }
            None => {
                let last = of_target[last_with];
                let since = Some(last).filter(|last| last.run != first.run);
                let since = since.map_or_else(String::new, |last| format!("; {} has it still", last.run));
                let goes = self.going_back(place, position);
                let goes = goes.map_or_else(String::new, |run| format!("; {} takes it back", run.id));
                let what = format!("{} deployed it to {}{since}{goes}", first.run, first.target);
                self.conditions.push(Condition::passed(name, first.good_ms.unwrap_or(first.at_ms), what));
                Some(true)
            }
        }
    }

    /// The way back of a stage that goes on and takes it away.
    fn going_back(&self, place: &Place, position: usize) -> Option<&'a Run> {
        let mut live = self.system.live_runs().filter(|run| run.stage == place.stage);
        live.find(|run| run.subject == Subject::Rollback && !self.whereabouts.set_brings(&run.set, place, position))
    }

    /// What deploys again what is no more deployed.
    fn way_to(&self, rules: &Rules, place: &Place, position: usize, target: &TargetKey) -> String {
        let head = self.system.head(&place.repository, &place.stage);
        let head = head.and_then(|head| self.whereabouts.position(place, &head.commit));
        let is_in_branch = head.is_some_and(|head| self.whereabouts.brings(place, position, head));
        let is_to = |rule: &Rule| {
            let named = rule.target.as_ref().map(|name| TargetKey::of_target(name, &place.stage));
            rule.is_for(&place.stage) && route::deploys(rule) && named.as_ref() == Some(target)
        };
        match rules.rules.iter().find(|(_, rule)| is_to(rule)) {
            Some((rule, _)) if is_in_branch && self.veto(place, position).is_none() => {
                to_start(self.system, rule, &place.stage)
            }
            _ => self.way_back_in(rules, place, position),
        }
    }

    /// What brings it into the branch of a stage again.
    fn way_back_in(&self, rules: &Rules, place: &Place, position: usize) -> String {
        if let Some((name, veto)) = self.veto(place, position) {
            return format!("a better change, for this one never moves again ({})", veto.said(name));
        }
        let mut into = rules.promotions.iter().filter(|promotion| promotion.to == place.stage);
        let brings = |promotion: &&Promotion| {
            let verified = self.system.verified.get(&promotion.from);
            let promoted = self.system.promoted.get(&promotion.to).map(|promoted| &promoted.set);
            let arrival = self.arrivals.get(&promotion.from);
            verified.zip(arrival).is_some_and(|(verified, arrival)| {
                let from = self.place(&promotion.from);
                promoted != Some(&verified.set)
                    && self.system.veto_of_set(&verified.set).is_none()
                    && self.whereabouts.set_brings(&verified.set, &from, arrival.position)
            })
        };
        match into.find(brings) {
            Some(Promotion { from, to, .. }) => format!("`tidegate promote {from} {to}`, or a newer change"),
            None => "a newer change that brings it again".to_owned(),
        }
    }

    /// The veto for which it does not move on from a place, and what it names.
    fn veto(&self, place: &Place, position: usize) -> Option<(&'a str, &'a Veto)> {
        let head = self.system.head(&place.repository, &place.stage);
        let set = head.map(|head| &head.set).filter(|set| self.whereabouts.set_brings(set, place, position));
        match (set, self.whereabouts.stop(place, position)) {
            (Some(set), _) => self.system.veto_of_set(set),
            (None, stop) => self.system.veto_of_commit(&stop?.commit),
        }
    }

    /// What is said where one target of the stage has verified it and another has not.
    fn verified_in_part(&self, place: &Place, position: usize) -> Option<(String, String)> {
        let brings = |run: &&Run| {
            run.stage == place.stage
                && run.state == RunState::Done
                && matches!(run.subject, Subject::Rule(_))
                && !run.holds_from_start
                && self.whereabouts.set_brings(&run.set, place, position)
        };
        let run = self.system.runs.values().rev().find(brings)?;
        let beside = self.system.unverified_beside(run)?;
        let (id, by) = (&beside.id, if beside.state.is_ended() { "`tidegate retry" } else { "the success of" });
        let end = if beside.state.is_ended() { "`" } else { "" };
        Some((format!("{} has verified it, and {id} has not", run.id), format!("{by} {id}{end}")))
    }

    /// Verification and promotion, from a stage that it has come to.
    fn onward(&mut self, rules: &Rules, place: &Place, position: usize, next: Option<&StageName>) {
        let Some(next) = next else { return };
        let verified = self.system.verified.get(&place.stage);
        let verified = verified.filter(|verified| self.whereabouts.set_brings(&verified.set, place, position));
        let vetoed = verified.and_then(|verified| self.system.vetoed_set(&verified.set));
        let verified = verified.filter(|_| vetoed.is_none());
        let name = format!("verified in {}", place.stage);
        match verified {
            Some(verified) => {
                let what = format!("{} verified it", verified.run);
                self.conditions.push(Condition::passed(name, verified.at_ms, what));
            }
            None => {
                let (what, by) = vetoed
                    .map(|what| (what, "a newer change".to_owned()))
                    .or_else(|| self.verified_in_part(place, position))
                    .unwrap_or_else(|| {
                        let by = format!("the success of a run in {} that deploys it", place.stage);
                        ("it is verified when a run that deploys it has succeeded".to_owned(), by)
                    });
                self.not_yet_because(name, what, by);
            }
        }
        let Some(promotion) = promotion(rules, &place.stage, next) else { return };
        let subject = Subject::Promotion { from: place.stage.clone() };
        match self.carrier(&subject, place, next, position) {
            Some(run) => drop(self.run(run)),
            None => {
                if verified.is_some() {
                    let by = format!("`tidegate promote {} {next}`", place.stage);
                    let what = match promotion.start {
                        PromotionStart::Manual => format!("somebody to promote {} to {next}", place.stage),
                        PromotionStart::Automatic => {
                            format!("a promotion of {} to {next}, and none is under way", place.stage)
                        }
                    };
                    self.waiting(format!("promotion to {next}"), what, by);
                }
                self.promotion_to_come(rules, promotion, verified);
            }
        }
    }

    /// When all that is known begins.
    fn begins_ms(&self) -> i64 {
        self.whereabouts.first_ms().unwrap_or(self.system.at_ms)
    }

    pub(super) fn place(&self, stage: &StageName) -> Place {
        Place { repository: self.repository.clone(), stage: stage.clone() }
    }

    pub(super) fn refused(
        &mut self,
        name: impl Into<String>,
        since_ms: i64,
        what: impl Into<String>,
        by: impl Into<String>,
    ) {
        self.conditions.push(Condition::of(Verdict::Refused, name, since_ms, what, by));
    }
}
