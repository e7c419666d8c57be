//! The journey of one commit to one stage: what it has passed, where it is, and what it still has to pass. Where it is, git
//! says; the rest is in the state.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ancestry::{Ancestry, Landing},
    chain::{Condition, Verdict},
    route::{path, promotion},
};
use crate::{
    engine::{
        content::CommitSet,
        ids::{CommitId, Place, RunId},
        run::{RunState, Subject},
        state::{System, Veto},
    },
    rules::{PromotionStart, RepositoryName, Rules, StageName},
};

/// Where a commit is on its way to a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// The journey of a commit to a stage. `ancestry` is what git says of the commit and of [`System::asked_of`] its repository.
#[must_use]
pub fn journey(
    system: &System,
    ancestry: &Ancestry,
    repository: &RepositoryName,
    commit: &CommitId,
    stage: &StageName,
) -> Journey {
    let mut walk = Walk {
        system,
        ancestry,
        repository,
        commit,
        to: stage,
        conditions: Vec::new(),
        here: BTreeMap::new(),
        carriers: Vec::new(),
        is_hotfix: system.hotfixes.contains_key(commit),
        was_there: false,
        earliest_ms: system.at_ms,
    };
    match system.rules() {
        Some(rules) => walk.to(rules, stage),
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

/// What became of a commit in a stage that it came to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Here<'a> {
    /// The branch has it.
    Is,
    /// A rollback took it away.
    TakenBack(&'a Landing),
    /// The branch was rewritten, or is gone.
    Lost,
}

/// A commit's way, condition by condition, from the stage in which it entered to the one it is asked about.
pub(super) struct Walk<'a> {
    pub(super) system: &'a System,
    ancestry: &'a Ancestry,
    pub(super) repository: &'a RepositoryName,
    commit: &'a CommitId,
    pub(super) to: &'a StageName,
    pub(super) conditions: Vec<Condition>,
    /// The stages that it has come to.
    pub(super) here: BTreeMap<&'a StageName, Here<'a>>,
    /// The runs that carry it: what they may pass, may what comes of them.
    pub(super) carriers: Vec<RunId>,
    /// Whether it is marked as a hotfix.
    pub(super) is_hotfix: bool,
    /// Whether it was in the stage it is asked about, and is no more.
    pub(super) was_there: bool,
    /// The earliest moment at which what comes next can be, by the clock.
    pub(super) earliest_ms: i64,
}

impl<'a> Walk<'a> {
    fn without_rules(&mut self) {
        let refused_ms = self.system.refused_rules.as_ref().map(|refused| refused.at_ms);
        let since_ms = refused_ms.unwrap_or(self.system.at_ms);
        let by = "a rules file without mistakes: `tidegate check`";
        self.refused("rules", since_ms, "no valid rules are in force", by);
    }

    fn to(&mut self, rules: &'a Rules, stage: &'a StageName) {
        if !rules.stages.contains_key(stage) {
            let stages: Vec<&str> = rules.stages.keys().map(StageName::as_str).collect();
            let there = format!("one of the stages that there are: {}", stages.join(", "));
            return self.refused("stage", self.rules_ms(), format!("the rules have no stage {stage}"), there);
        }
        self.here = rules.stages.keys().filter_map(|stage| Some((stage, self.look(stage)?))).collect();
        let Some((origin, path)) = self.origin(rules, stage) else {
            let what = format!("{} is in no branch of {} that a stage has", self.commit.short(), self.repository);
            return self.refused("seen", self.rules_ms(), what, "a push or a merge that brings it to one");
        };
        // However it came there, what matters is that it is there.
        let is_there = self.here.contains_key(stage);
        let mut path = if is_there { vec![origin.clone(), stage.clone()] } else { path };
        path.dedup();
        for (leg, here) in path.iter().enumerate() {
            let next = path.get(leg + 1);
            match self.here.get(here).copied() {
                Some(found) => self.at(rules, &self.place(here), found, next),
                None => self.still_before(rules, here, next),
            }
        }
        if path.last() != Some(stage) {
            let what = format!("the rules have no promotion that leads from {origin} to {stage}");
            self.refused("promotion", self.rules_ms(), what, "a promotion in the rules, or a push to that branch");
        }
    }

    /// Whether a commit has it.
    pub(super) fn has(&self, commit: &CommitId) -> bool {
        commit == self.commit || self.ancestry.contained.contains(commit)
    }

    /// Whether a set of commits has it.
    pub(super) fn set_has(&self, set: &CommitSet) -> bool {
        set.get(self.repository).is_some_and(|commit| self.has(commit))
    }

    fn look(&self, stage: &StageName) -> Option<Here<'a>> {
        let head = self.system.head(self.repository, stage).map(|head| &head.commit);
        if head.is_some_and(|head| self.has(head)) {
            return Some(Here::Is);
        }
        if let Some(taken) = head.and_then(|head| self.ancestry.taken_away.get(head)) {
            return Some(Here::TakenBack(taken));
        }
        self.system.were_heads(self.repository, stage).any(|commit| self.has(commit)).then_some(Here::Lost)
    }

    /// All of a stage that it has come to.
    fn at(&mut self, rules: &Rules, place: &Place, here: Here<'_>, next: Option<&StageName>) {
        let is_further = next.is_some_and(|next| self.here.contains_key(next));
        self.arrived(rules, place, here, next);
        if is_further {
            return;
        }
        let here = self.conditions.len();
        let is_open = self.through(rules, place);
        if let Some((name, veto)) = self.veto(place).filter(|_| is_open || next.is_some()) {
            let by = format!("a better change, or `tidegate veto --lift {name} --reason …`");
            let refused = Condition::of(Verdict::Refused, "veto", veto.at_ms, veto.said(name), by);
            self.conditions.insert(here, refused);
        }
        self.onward(rules, place, next);
    }

    /// Where the commit entered, and the stages from there on. The nearest, when it entered at several.
    fn origin(&self, rules: &Rules, to: &StageName) -> Option<(StageName, Vec<StageName>)> {
        let merged = |stage: &StageName| self.ancestry.came.get(stage).is_some_and(|came| came.by.is_some());
        let known = self.here.keys().map(|stage| (*stage, path(rules, stage, to)));
        let far = |path: &Option<Vec<StageName>>| path.as_ref().map_or(usize::MAX, Vec::len);
        let (stage, path) = known.min_by_key(|(stage, path)| (merged(stage), far(path)))?;
        Some((stage.clone(), path.unwrap_or_else(|| vec![stage.clone()])))
    }

    fn arrived(&mut self, rules: &Rules, place: &Place, here: Here<'_>, next: Option<&StageName>) {
        let name = format!("in {place}");
        let is_further = next.is_some_and(|next| matches!(self.here.get(next), Some(Here::Is)));
        let head = self.system.head(&place.repository, &place.stage);
        let came = self.ancestry.came.get(&place.stage);
        let came_ms = came.map_or(self.rules_ms(), |came| self.landed_ms(place, came));
        match here {
            Here::Is => {
                let what = self.brought(place, came, next.is_some());
                self.conditions.push(Condition::passed(name, came_ms, what));
            }
            Here::TakenBack(taken) => {
                let by = taken.by.as_ref().map_or_else(|| "a rollback".to_owned(), ToString::to_string);
                if is_further || next.is_none() && self.is_still_deployed(rules, &place.stage) {
                    let still = if is_further { "" } else { "; what runs there has it still" };
                    let what = format!("{by} took it out of {place}{still}");
                    return self.conditions.push(Condition::passed(name, came_ms, what));
                }
                self.was_there |= place.stage == *self.to;
                let what = format!("{by} took it back: {place} is at an earlier version");
                let by = self.way_back_in(rules, place);
                self.refused(name, self.landed_ms(place, taken), what, by);
            }
            Here::Lost => {
                let what = match head {
                    Some(head) if head.forced => {
                        format!("{place} was force-pushed to {} since, which does not have it", head.commit.short())
                    }
                    Some(head) => format!("{place} has it no more: {} does not have it", head.commit.short()),
                    None => format!("{place} has it no more: the branch is gone"),
                };
                let since_ms = head.map_or(self.rules_ms(), |head| head.since_ms);
                if is_further {
                    return self.conditions.push(Condition::passed(name, since_ms, what));
                }
                let by = format!("a push to {place}, where it was lost; `git log` shows it");
                self.refused(name, since_ms, what, by);
            }
        }
    }

    /// By which commit it came to a place, what brings it along now, and whether what runs there has it.
    fn brought(&self, place: &Place, came: Option<&Landing>, goes_on: bool) -> String {
        let by = |came: &Landing| match &came.by {
            Some(run) => format!("{} is in {place}, merged by {run}", came.commit.short()),
            None if came.commit == *self.commit => format!("{} is in {place}", came.commit.short()),
            None => format!("{} is in {place}, brought by {}", self.commit.short(), came.commit.short()),
        };
        let mut what = came.map_or_else(|| format!("{} is in {place}", self.commit.short()), by);
        let head = self.system.head(&place.repository, &place.stage).map(|head| &head.commit);
        if let Some(head) = head.filter(|head| came.is_some_and(|came| came.commit != **head)) {
            what.push_str(&format!("; the newer head {} brings it along", head.short()));
        }
        for deployed in self.running_in(&place.stage) {
            let Some(commit) = deployed.set.get(self.repository) else { continue };
            let run = &deployed.run;
            if !self.has(commit) {
                let of = commit.short();
                what.push_str(&format!("; what runs there ({run}) is made of {of}, which does not have it"));
            } else if goes_on {
                what.push_str(&format!("; what runs there ({run}) has it"));
            }
        }
        what
    }

    /// When a commit came to a branch: when it was seen there, or else when it was made.
    fn landed_ms(&self, place: &Place, landing: &Landing) -> i64 {
        let head = self.system.head(&place.repository, &place.stage).filter(|head| head.commit == landing.commit);
        let step = || {
            let run = self.system.run(landing.by.as_ref()?)?;
            run.steps.iter().find(|step| step.made.head() == Some(&landing.commit))?.ended_ms
        };
        let known = head.map(|head| head.since_ms).or_else(step);
        known.unwrap_or(landing.at_ms)
    }

    /// The veto for which it does not move on from a place, and what it names.
    pub(super) fn veto(&self, place: &Place) -> Option<(&'a str, &'a Veto)> {
        let head = self.system.head(&place.repository, &place.stage);
        match head.map(|head| &head.set).filter(|set| self.set_has(set)) {
            Some(set) => self.system.veto_of_set(set),
            None => {
                let came = self.ancestry.came.get(&place.stage).map(|came| &came.commit);
                self.system.veto_of_commit(came.unwrap_or(self.commit))
            }
        }
    }

    /// What is said where one target of the stage has verified it and another has not.
    fn verified_in_part(&self, place: &Place) -> Option<(String, String)> {
        let mut runs = self.system.all_runs().rev().filter(|run| run.stage == place.stage && !run.holds_from_start);
        let run = runs.find(|run| {
            run.state == RunState::Done && matches!(run.subject, Subject::Rule(_)) && self.set_has(&run.set)
        })?;
        let beside = self.system.unverified_beside(run)?;
        let (id, by) = (&beside.id, if beside.state.is_ended() { "`tidegate retry" } else { "the success of" });
        let end = if beside.state.is_ended() { "`" } else { "" };
        Some((format!("{} has verified it, and {id} has not", run.id), format!("{by} {id}{end}")))
    }

    /// Verification and promotion, from a stage that it has come to.
    fn onward(&mut self, rules: &Rules, place: &Place, next: Option<&StageName>) {
        let Some(next) = next else { return };
        let verified = self.system.verified.get(&place.stage).filter(|verified| self.set_has(&verified.set));
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
                    .or_else(|| self.verified_in_part(place))
                    .unwrap_or_else(|| {
                        let by = format!("the success of a run in {} that deploys it", place.stage);
                        ("it is verified when a run that deploys it has succeeded".to_owned(), by)
                    });
                self.not_yet_because(name, what, by);
            }
        }
        let Some(promotion) = promotion(rules, &place.stage, next) else { return };
        let subject = Subject::Promotion { from: place.stage.clone() };
        match self.carrier(&subject, next) {
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

    /// Since when the rules are in force.
    fn rules_ms(&self) -> i64 {
        self.system.rules.as_ref().map_or(self.system.at_ms, |in_force| in_force.since_ms)
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
