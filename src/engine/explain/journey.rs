//! The journey of one commit to one stage: what it has passed, where it is, and what it still has to pass.

use serde::{Deserialize, Serialize};

use super::{
    chain::{Condition, Verdict, again, chain, opening},
    route::{path, promotion, route},
};
use crate::{
    engine::{
        explain::whereabouts::{Arrival, Deployment, Whereabouts},
        ids::{CommitId, Place, TargetKey},
        plan::holidays,
        run::{Run, RunState, Subject},
        system::System,
    },
    rules::{Promotion, PromotionStart, RepositoryName, RuleName, Rules, StageName},
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
    let mut walk = Walk { system, whereabouts, repository, conditions: Vec::new() };
    match system.rules() {
        Some(rules) => walk.to(rules, commit, stage),
        None => walk.refused("rules", "no valid rules are in force", "a rules file without mistakes: `tidegate check`"),
    }
    let conditions = walk.conditions;
    let first = |verdict| conditions.iter().find(|condition| condition.verdict == verdict);
    let stuck = [Verdict::Refused, Verdict::Waiting, Verdict::NotYet].into_iter().find_map(first);
    let decides = stuck.or(conditions.last()).expect("a walk always says something");
    let verdict = decides.verdict;
    let summary = match verdict {
        Verdict::Passed => decides.what.clone(),
        Verdict::Waiting => format!("not in {stage} yet: it waits for {}", decides.what),
        Verdict::Refused | Verdict::NotYet => format!("not in {stage} yet: {}", decides.what),
    };
    Journey {
        repository: repository.clone(),
        commit: commit.clone(),
        stage: stage.clone(),
        since_ms: decides.since_ms,
        verdict,
        summary,
        conditions,
    }
}

struct Walk<'a> {
    system: &'a System,
    whereabouts: &'a Whereabouts,
    repository: &'a RepositoryName,
    conditions: Vec<Condition>,
}

impl<'a> Walk<'a> {
    fn to(&mut self, rules: &Rules, commit: &CommitId, stage: &StageName) {
        if !rules.stages.contains_key(stage) {
            let stages: Vec<&str> = rules.stages.keys().map(StageName::as_str).collect();
            let there = format!("one of the stages that there are: {}", stages.join(", "));
            return self.refused("stage", format!("the rules have no stage {stage}"), there);
        }
        let Some((origin, position, path)) = self.origin(rules, commit, stage) else {
            let what = format!("{} has not been the head of any branch of {}", commit.short(), self.repository);
            let by = "a push that is seen; of commits that were pushed together, only the last is a head";
            return self.refused("seen", what, by);
        };
        let arrivals = self.whereabouts.arrivals(&origin, position);
        // However it came there, what matters is that it is there.
        let path = if arrivals.contains_key(stage) { vec![origin.stage.clone(), stage.clone()] } else { path };
        let mut path: Vec<StageName> = path;
        path.dedup();
        for (leg, here) in path.iter().enumerate() {
            let next = path.get(leg + 1);
            let place = self.place(here);
            match arrivals.get(here) {
                Some(arrival) => {
                    self.arrived(&place, arrival);
                    let moved_on = next.is_some_and(|next| arrivals.contains_key(next));
                    if !moved_on {
                        self.through(rules, &place, arrival.position);
                        self.onward(rules, &place, arrival.position, next);
                    }
                }
                None => self.still_before(rules, here, next),
            }
        }
        if path.last() != Some(stage) {
            let what = format!("the rules have no promotion that leads from {} to {stage}", origin.stage);
            self.refused("promotion", what, "a promotion in the rules, or a push to that branch");
        }
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

    fn arrived(&mut self, place: &Place, arrival: &Arrival) {
        let Some(stop) = self.whereabouts.stop(place, arrival.position) else { return };
        let by = arrival.by.as_ref().map_or_else(String::new, |run| format!(", merged by {run}"));
        let mut what = format!("{} is in {place}{by}", stop.commit.short());
        let head = self.system.head(&place.repository, &place.stage);
        let head = head.filter(|head| head.commit != stop.commit);
        let newer = head.and_then(|head| Some((head, self.whereabouts.position(place, &head.commit)?)));
        if let Some((head, position)) = newer {
            if self.whereabouts.is_taken_away(place, arrival.position, position) {
                let back = self.system.versions.rolled_back.get(&place.stage);
                let by = back.map_or_else(|| "a way back".to_owned(), |back| back.run.to_string());
                let what = format!("{by} took it back: {place} is at an earlier version");
                let by = format!("`tidegate promote` into {}, or a newer change", place.stage);
                return self.refused(format!("in {place}"), what, by);
            }
            if !self.whereabouts.brings(place, arrival.position, position) {
                let what = format!("{place} was force-pushed to {} since: it may be lost", head.commit.short());
                let by = format!("a push to {place}, where it was lost; `git log` shows it");
                return self.refused(format!("in {place}"), what, by);
            }
            what.push_str(&format!("; the newer head {} brings it along", head.commit.short()));
        }
        self.conditions.push(Condition::passed(format!("in {place}"), arrival.at_ms, what));
    }

    /// What it has to pass within a stage: the rules from its repository to the deployment.
    fn through(&mut self, rules: &Rules, place: &Place, position: usize) {
        if self.deployed(place, position) {
            return;
        }
        let mut open = false;
        for (name, _) in route(rules, self.repository, &place.stage) {
            let subject = Subject::Rule(name.clone());
            match self.carrier(&subject, place, &place.stage, position) {
                Some(run) => open |= self.run(run),
                None if open => self.not_yet(format!("{name} in {}", place.stage), "the runs before it"),
                None => {
                    open = true;
                    self.no_run(name, place);
                }
            }
        }
    }

    /// Says by which run it is deployed, if it is; or that it was, and was rolled back.
    fn deployed(&mut self, place: &Place, position: usize) -> bool {
        let good = |deployment: &&Deployment| deployment.stage == place.stage && deployment.good_ms.is_some();
        let brings = |deployment: &&Deployment| self.whereabouts.deployment_brings(deployment, place, position);
        let first = self.whereabouts.deployments().iter().filter(good).find(brings);
        let Some(first) = first else { return false };
        let last = self.whereabouts.deployments().iter().rev().filter(good).find(|last| last.target == first.target);
        let name = format!("deployed to {}", first.target);
        let at_ms = first.good_ms.unwrap_or(first.at_ms);
        match last.filter(|last| !brings(last)) {
            Some(last) => {
                let what = format!("{} deployed it, and {} took it back", first.run, last.run);
                let by = format!("a newer change that is deployed, or `tidegate run start` in {}", place.stage);
                let since_ms = last.good_ms.unwrap_or(last.at_ms);
                self.conditions.push(Condition::of(Verdict::Refused, name, since_ms, what, by));
            }
            None => {
                let since = last.filter(|last| last.run != first.run);
                let since = since.map_or_else(String::new, |last| format!("; {} has it still", last.run));
                let what = format!("{} deployed it to {}{since}", first.run, first.target);
                self.conditions.push(Condition::passed(name, at_ms, what));
            }
        }
        true
    }

    /// Verification and promotion, from a stage that it has come to.
    fn onward(&mut self, rules: &Rules, place: &Place, position: usize, next: Option<&StageName>) {
        let Some(next) = next else { return };
        let verified = self.system.verified.get(&place.stage);
        let verified = verified.filter(|verified| self.whereabouts.set_brings(&verified.set, place, position));
        let name = format!("verified in {}", place.stage);
        match verified {
            Some(verified) => {
                let what = format!("{} verified it", verified.run);
                self.conditions.push(Condition::passed(name, verified.at_ms, what));
            }
            None => {
                let by = format!("the success of a run in {} that deploys it", place.stage);
                self.not_yet_because(name, "it is verified when a run that deploys it has succeeded", by);
            }
        }
        let Some(promotion) = promotion(rules, &place.stage, next) else { return };
        let subject = Subject::Promotion { from: place.stage.clone() };
        match self.carrier(&subject, place, next, position) {
            Some(run) => drop(self.run(run)),
            None if verified.is_some() => {
                let what = match promotion.start {
                    PromotionStart::Manual => format!("somebody to promote {} to {next}", place.stage),
                    PromotionStart::Automatic => {
                        format!("a promotion of {} to {next}, and none is under way", place.stage)
                    }
                };
                let by = format!("`tidegate promote {} {next}`", place.stage);
                self.waiting(format!("promotion to {next}"), what, by);
            }
            None => self.promotion_to_come(rules, promotion),
        }
    }

    /// All that it has to pass in a stage that it has not come to, and from there on.
    fn still_before(&mut self, rules: &Rules, stage: &StageName, next: Option<&StageName>) {
        let before = self.conditions.len();
        for (name, _) in route(rules, self.repository, stage) {
            self.not_yet(format!("{name} in {stage}"), "the promotion before it");
        }
        if self.conditions.len() == before {
            self.not_yet(format!("in {} {stage}", self.repository), "the promotion before it");
        }
        if let Some(promotion) = next.and_then(|next| promotion(rules, stage, next)) {
            self.promotion_to_come(rules, promotion);
        }
    }

    fn promotion_to_come(&mut self, rules: &Rules, promotion: &Promotion) {
        let Promotion { from, to, start, requires, on_failure: _ } = promotion;
        let name = |gate: &str| format!("promotion to {to}: {gate}");
        let verified = format!("the verification in {from}");
        if *start == PromotionStart::Manual {
            let by = format!("`tidegate promote {from} {to}`, after {verified}");
            self.not_yet_because(name("start"), "somebody has to start it", by);
        }
        if let Some(soak) = requires.soak {
            self.not_yet_because(
                name("soak"),
                format!("{soak} after it was verified"),
                format!("{verified}, and the clock"),
            );
        }
        let environment = rules.stages.get(to).map(|stage| stage.environment.as_str());
        let known = serde_json::json!({
            "system": rules.system, "stage": to, "environment": environment, "branch": rules.branch(to),
        });
        for (id, check) in &requires.checks {
            self.not_yet_because(
                name(id.as_str()),
                check.rendered(&known).question(),
                format!("{verified}, and its answer"),
            );
        }
        if let Some(quorum) = &requires.approvals {
            let who = if quorum.from.is_empty() { "anybody".to_owned() } else { quorum.from.join(", ") };
            let what = format!("approval by {who} ({} in all)", quorum.count);
            self.not_yet_because(name("approve"), what, format!("{who}, after {verified}"));
        }
        if let Some(window) = &requires.window {
            let what = format!("the window {window}");
            self.not_yet_because(name("window"), what, format!("{verified}, and the clock"));
            let opens_ms = Some(opening(window, &holidays(rules, requires), self.system.at_ms))
                .filter(|opens_ms| *opens_ms > self.system.at_ms);
            self.conditions.last_mut().expect("just pushed").earliest_ms = opens_ms;
        }
        self.not_yet_because(name("merge"), format!("the merge into {to}"), verified);
    }

    /// The run of a subject that carries it: the newest that was not set aside, or else the newest.
    fn carrier(&self, subject: &Subject, place: &Place, stage: &StageName, position: usize) -> Option<&'a Run> {
        let carries = |run: &&Run| {
            run.subject == *subject && run.stage == *stage && self.whereabouts.set_brings(&run.set, place, position)
        };
        let aside = |run: &&Run| matches!(run.state, RunState::Superseded | RunState::Rejected);
        let newest = || self.system.runs.values().rev().filter(carries);
        newest().find(|run| !aside(run)).or_else(|| newest().next())
    }

    /// What a run that carries it says of it. Returns whether there is still something to pass.
    fn run(&mut self, run: &Run) -> bool {
        let at_ms = run.ended_ms.unwrap_or(run.created_ms);
        match run.state {
            RunState::Done => {
                self.conditions.push(Condition::passed(run.id.as_str(), at_ms, format!("{} is done", run.id)));
                false
            }
            state if state.is_ended() => {
                let reason = run.reason.clone().unwrap_or_else(|| "it did not succeed".to_owned());
                let what = format!("{}: {reason}", run.id);
                self.conditions.push(Condition::of(
                    Verdict::Refused,
                    run.id.as_str(),
                    at_ms,
                    what,
                    again(self.system, run),
                ));
                true
            }
            _ => {
                let named =
                    |condition: Condition| Condition { name: format!("{} {}", run.id, condition.name), ..condition };
                self.conditions.extend(chain(self.system, run).into_iter().map(named));
                true
            }
        }
    }

    /// Nothing carries it on, and nothing before it is open.
    fn no_run(&mut self, rule: &RuleName, place: &Place) {
        let stage = &place.stage;
        let lane = self.system.targets.get(&TargetKey::of_promotions(stage));
        let holder = lane.and_then(|lane| lane.holder).and_then(|number| self.system.runs.get(&number));
        let held = self.system.held.get(stage).is_some_and(|held| !held.is_empty());
        let (what, by) = match holder.filter(|_| held) {
            Some(promotion) => {
                (format!("{} to end, which moves {stage}", promotion.id), format!("the end of {}", promotion.id))
            }
            None => (
                format!("a run of {rule} in {stage}: none carries it"),
                format!("`tidegate run start {rule} --stage {stage}`, or the next push that starts it"),
            ),
        };
        self.waiting(format!("{rule} in {stage}"), what, by);
    }

    fn place(&self, stage: &StageName) -> Place {
        Place { repository: self.repository.clone(), stage: stage.clone() }
    }

    fn refused(&mut self, name: impl Into<String>, what: impl Into<String>, by: impl Into<String>) {
        self.conditions.push(Condition::of(Verdict::Refused, name, self.system.at_ms, what, by));
    }

    fn waiting(&mut self, name: String, what: String, by: String) {
        let since_ms = self.conditions.last().map_or(self.system.at_ms, |before| before.since_ms);
        self.conditions.push(Condition::of(Verdict::Waiting, name, since_ms, what, by));
    }

    fn not_yet(&mut self, name: String, by: &str) {
        self.not_yet_because(name, "it follows", by);
    }

    fn not_yet_because(&mut self, name: String, what: impl Into<String>, by: impl Into<String>) {
        let since_ms = self.conditions.last().map_or(self.system.at_ms, |before| before.since_ms);
        self.conditions.push(Condition::of(Verdict::NotYet, name, since_ms, what, by));
    }
}
