//! Fan-in: a run that combines what several rules pinned starts nothing until all of it was made from the same commits of
//! the repositories that it has in common. Whether that can still come is known from the rules: a push that a rule's `paths`
//! leave out brings nothing through that rule, so what came through it before is as new as the push.

use std::sync::Arc;

use crate::engine::{
    command::to_start,
    fact::{RunFact, StepFact},
    ids::{CommitId, Place},
    leads::Pinner,
    origin::{Origin, Point},
    provenance::meet::{fits, meet},
    provenance::{present_head, set_of},
    run::{Run, RunState, Subject},
    state::{Head, System},
    step_run::StepState,
    task::Task,
    turn::Turn,
};
use crate::rules::{RepositoryName, RuleName, StageName, StepId};

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
    /// The head of `ancestor` that the present one was made from; `None` when that is not known.
    pub(in crate::engine) has: Option<Arc<Point>>,
    /// The head of `ancestor` that all that is combined has to fit.
    pub(in crate::engine) head: Arc<Point>,
}

/// What a run waits for at its fan-in; empty when it does not wait there.
#[must_use]
pub fn awaited(system: &System, run: &Run) -> Vec<Awaited> {
    let place =
        run.source.as_ref().map(|source| Place { repository: source.repository.clone(), stage: run.stage.clone() });
    match (&run.subject, place) {
        (Subject::Rule(rule), Some(place)) if run.waits_at_fan_in() => awaited_by(system, &place, rule, &run.origin),
        _ => Vec::new(),
    }
}

/// What a rule still waits for, were it to work on a head with these pins. They must meet in a head of every repository that
/// comes through them; where a set was moved into the stage, in one that is not older than the set.
pub(in crate::engine) fn awaited_by(system: &System, place: &Place, rule: &RuleName, origin: &Origin) -> Vec<Awaited> {
    let Some(at) = system.rules().and_then(|rules| rules.at(rule, &place.stage)) else { return Vec::new() };
    let mut awaited = Vec::new();
    for root in &at.roots {
        let floor = system.moved.get(&place.stage).and_then(|moved| moved.get(root));
        awaited.extend(awaited_from(system, place, &at.pinners, (root, floor), origin));
    }
    awaited
}

fn awaited_from(
    system: &System,
    place: &Place,
    pinners: &[Pinner],
    (root, floor): (&RepositoryName, Option<&Arc<Point>>),
    origin: &Origin,
) -> Vec<Awaited> {
    let is_late =
        |point: &&Arc<Point>| floor.is_none_or(|floor| point.stage == floor.stage && point.order >= floor.order);
    let met = meet(system, place, pinners, root, origin);
    let of_root = || pinners.iter().filter(|pinner| !pinner.through(root).is_empty());
    let pins = |pinner: &Pinner| origin.pinned.get(&pinner.id);
    let points = |pinner: &Pinner| system.points(&place.repository, pins(pinner), root);
    let is_known = |pinner: &&Pinner| points(pinner).is_some_and(|points| !points.is_empty());
    // What nobody knows was chosen, unless it lay there before the set came or something beside it is known.
    let is_chosen = |pinner: &Pinner| {
        let record = pins(pinner).and_then(|pins| system.provenance_of(&place.repository, pins));
        floor.is_none_or(|floor| record.is_some_and(|record| record.order >= floor.order))
    };
    let fits = |pinner: &Pinner, head: &Point| {
        fits(system, &place.repository, pins(pinner), (root, head), pinner.through(root))
    };
    let mut meeting = met.common().filter(is_late).chain(floor);
    let none_known = !of_root().any(|pinner| is_known(&pinner));
    if meeting.any(|head| of_root().all(|pinner| fits(pinner, head))) || (none_known && of_root().all(is_chosen)) {
        return Vec::new();
    }
    let of_stage = |point: &&Arc<Point>| point.stage == place.stage;
    let newest = met.any.iter().chain(floor).max_by_key(|point| (of_stage(point), point.order));
    let Some(newest) = newest else { return Vec::new() };
    lacking(system, place, pinners, (root, newest), origin).collect()
}

/// What a head of a repository further up does not fit, of what is pinned.
fn lacking<'a>(
    system: &'a System,
    place: &'a Place,
    pinners: &'a [Pinner],
    (root, head): (&'a RepositoryName, &'a Arc<Point>),
    origin: &'a Origin,
) -> impl Iterator<Item = Awaited> + use<'a> {
    pinners.iter().filter_map(move |pinner| {
        let (through, pins) = (pinner.through(root), origin.pinned.get(&pinner.id));
        if through.is_empty() || fits(system, &place.repository, pins, (root, head), through) {
            return None;
        }
        let owed = through.iter().filter_map(|rule| head.wanted.get(rule));
        let owed = owed.max_by_key(|wanted| wanted.order).map(|wanted| (wanted.commit.clone(), wanted.order));
        let (commit, order) = owed.unwrap_or_else(|| (head.commit.clone(), head.order));
        let points = system.points(&place.repository, pins, root).into_iter().flatten();
        Some(Awaited {
            rule: pinner.rule().clone(),
            from: pinner.from.clone(),
            ancestor: root.clone(),
            commit,
            order,
            has: points.max_by_key(|point| (point.stage == place.stage, point.order)).cloned(),
            head: head.clone(),
        })
    })
}

impl Run {
    /// Whether it has a fan-in that has not passed yet, so that nothing else of it has started.
    #[must_use]
    pub fn waits_at_fan_in(&self) -> bool {
        let goes_on = !self.state.is_ended() && self.state != RunState::Ending;
        goes_on && self.steps.iter().any(|step| *step.task == Task::FanIn && step.state != StepState::Done)
    }
}

impl Turn<'_> {
    /// Opens the fan-in of a run that has one, or looks at it again. Returns whether the run waits there: it holds nothing
    /// meanwhile, and gives way to a newer run, whose commit has all that its own has.
    pub(in crate::engine) fn waits_at_fan_in(&mut self, number: u64) -> bool {
        let step = self.run(number).steps.iter().find(|step| *step.task == Task::FanIn);
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
        if let Some((head, source)) = present_head(&self.system, run).zip(run.source.clone()) {
            let place = Place { repository: source.repository.clone(), stage: run.stage.clone() };
            let at = Head { commit: source.commit, ..head.clone() };
            let origin = Origin { pinned: head.origin.pinned.clone(), wanted: run.origin.wanted.clone() }.into();
            let set = set_of(&self.system, &place, &at, head.set.clone());
            let authors = self.system.known_authors(head);
            let others_wrote = run.others_wrote;
            if (&run.origin, &run.set, &run.authors) != (&origin, &set, &authors) {
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
    pub(in crate::engine) fn replace_waiting(&mut self, number: u64) {
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
        let has = has.as_ref().map_or_else(|| "of before".to_owned(), |has| format!("{made} {}", has.commit.short()));
        format!("{rule} to bring an artifact {made} {needed}; {repository} has one {has}")
    };
    let ended_by = |awaited| match &run.subject {
        Subject::Rule(rule) => Some(ended_by(system, &run.stage, rule, awaited)),
        _ => None,
    };
    let mut ended: Vec<String> = awaited.iter().filter_map(ended_by).collect();
    ended.dedup();
    (awaited.iter().map(for_what).collect::<Vec<_>>().join(", and "), ended.join("; and "))
}

fn of(from: &RepositoryName, ancestor: &RepositoryName) -> String {
    if from == ancestor { format!("of {from}") } else { format!("of {from} from {ancestor}") }
}

/// Who or what can bring an artifact: a run that has the commit and goes on; what brings what its rule waits for itself;
/// a run that failed; else the rule next to what it is needed for whose head has it.
fn ended_by(system: &System, stage: &StageName, rule: &RuleName, awaited: &Awaited) -> String {
    let Awaited { ancestor, order, .. } = awaited;
    let anew = format!("a newer push to {ancestor} {stage}");
    let Some(rules) = system.rules() else { return anew };
    let mut pinners = rules.at(rule, stage).into_iter().flat_map(|at| &at.pinners);
    let Some(pinner) = pinners.find(|pinner| *pinner.rule() == awaited.rule) else { return anew };
    let has_it = |repository: &RepositoryName, own: u64, origin: &Origin| {
        let place = Place { repository: repository.clone(), stage: stage.clone() };
        let made_from = || super::behind(system, &place, None, origin).remove(ancestor).unwrap_or_default();
        if repository == ancestor { own >= *order } else { made_from().iter().any(|made| made.order >= *order) }
    };
    let runs = |name: &RuleName| {
        let of_rule = |other: &&Run| other.stage == *stage && matches!(&other.subject, Subject::Rule(of) if of == name);
        system.all_runs().rev().filter(of_rule).find(|other| {
            other.source.as_ref().is_some_and(|source| has_it(&source.repository, source.order, &other.origin))
        })
    };
    let found: Vec<Option<&Run>> = pinner.leads.iter().map(runs).collect();
    if let Some(at) = found.iter().position(|run| run.is_some_and(|run| !run.state.is_ended())) {
        let then = if at == 0 { String::new() } else { format!(", and then {}", pinner.leads[at - 1]) };
        return found[at].map_or(anew, |run| format!("{}, which is under way{then}", run.id));
    }
    let maker = pinner.rule();
    if let Some(inner) = awaited_before(system, stage, maker, awaited) {
        return ended_by(system, stage, maker, &inner);
    }
    let failed = |run: &&&Run| matches!(run.state, RunState::Failed | RunState::Aborted) && !has_newer(system, run);
    if let Some(found) = found.iter().flatten().next().filter(failed) {
        let (id, why) = (&found.id, found.reason.as_deref().unwrap_or("it was ended"));
        return format!("`tidegate retry {id}` ({why}), or {anew}");
    }
    let has_head = |name: &&RuleName| {
        let at = rules.rules[*name].repository();
        let at = at.and_then(|repository| Some((repository, system.head(repository, stage)?)));
        at.is_some_and(|(repository, head)| has_it(repository, head.order, &head.origin))
    };
    let start = pinner.leads.iter().find(has_head).unwrap_or(&awaited.rule);
    match to_start(system, start, stage) {
        push if push == anew => anew,
        start => format!("{start}, or {anew}"),
    }
}

/// What the maker of an artifact that is awaited lacks itself, on the head that there is. What is pinned there of a newer
/// commit than is awaited is not lacking: what the maker makes of that, the others come to. No rule leads to itself, so
/// who asks on and on comes to an end.
fn awaited_before(system: &System, stage: &StageName, maker: &RuleName, awaited: &Awaited) -> Option<Awaited> {
    let rules = system.rules()?;
    let place = Place { repository: rules.rules.get(maker)?.repository()?.clone(), stage: stage.clone() };
    let head = system.head(&place.repository, stage)?;
    let pinners = &rules.at(maker, stage)?.pinners;
    let is_newer = |has: &Arc<Point>| has.stage == *stage && has.order > awaited.order;
    let mut lacking = lacking(system, &place, pinners, (&awaited.ancestor, &awaited.head), &head.origin);
    lacking.find(|lacking| !lacking.has.as_ref().is_some_and(is_newer))
}

fn has_newer(system: &System, run: &Run) -> bool {
    let same = |other: &&Run| other.subject == run.subject && other.stage == run.stage;
    system.all_runs().filter(same).any(|other| other.number > run.number && other.state != RunState::Rejected)
}
