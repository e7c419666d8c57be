//! Approvals: who may give one, in whose place, and what becomes of one that was given. An approval is of a digest; when
//! what was shown is no more, it is void, and says why.

use std::collections::BTreeSet;

use crate::engine::{
    access::{Permission, Principal},
    authorship::Written,
    context,
    fact::StepFact,
    gate::hold::demand_reason,
    gate::judge::{self, may_judge, not_yet},
    ids::{Digest, RunId},
    refused::Refused,
    run::{Run, RunState},
    state::System,
    step_run::{Answer, StepRun, StepState},
    task::Task,
    turn::Turn,
};
use crate::rules::{Action, Quorum, StepId, TargetLife, template};

pub use crate::engine::gate::voice::{Voice, voices};
pub use crate::engine::state::DeployedContent;
pub use crate::engine::step_run::VoidAnswer;

/// How many void answers a step remembers.
const MOST_VOID: usize = 20;

/// Why an answer that was given does not count any more: whoever gave it may not answer now, or not in that name.
#[must_use]
pub fn lapsed(system: &System, run: &Run, quorum: &Quorum, answer: &Answer, at_ms: i64) -> Option<String> {
    let name = &answer.by.name;
    let known = system.access.as_ref().map(|in_force| &in_force.access).filter(|access| !access.people.is_empty());
    // Of a person who is no longer known, nothing is left but the name.
    let gone = || Principal::named(name);
    let now = known.map_or_else(|| answer.by.clone(), |access| access.principal(name).unwrap_or_else(gone));
    let access = system.access.as_ref().map(|in_force| &in_force.access);
    if access.is_some_and(|access| !access.allows(&now, Permission::Approve, Some(&run.stage))) {
        return Some(format!("{name} lost the permission `approve` since"));
    }
    if access.is_some_and(|access| access.may_ask_for(&answer.by, Some(&run.stage), Some("approve")).is_err()) {
        return Some(format!("{} may not be asked for any more", answer.by.said()));
    }
    let voices = voices(system, quorum, &now, at_ms);
    match &answer.in_place_of {
        None if voices.contains(&Voice::Own) => None,
        None => Some(format!("{name} is none of those any more whom it asks: {}", named(system, quorum))),
        Some(of) if voices.contains(&Voice::InPlaceOf(of.clone())) => None,
        Some(of) => Some(format!("{name} does not speak in the place of {of} any more")),
    }
}

/// The answers to a step's question that count at an instant.
pub fn standing<'run>(
    system: &System,
    run: &'run Run,
    step: &'run StepRun,
    at_ms: i64,
) -> impl Iterator<Item = &'run Answer> {
    let quorum = step.task.quorum(&run.stage);
    let counts =
        move |answer: &&Answer| quorum.is_none_or(|quorum| lapsed(system, run, quorum, answer, at_ms).is_none());
    step.answers.iter().filter(counts)
}

/// The people who are known and may answer what a step asks right now, each with the voice that they would have.
#[must_use]
pub fn deciders(system: &System, run: &Run, step: &StepRun) -> Vec<(String, Voice)> {
    let Some(quorum) = step.task.quorum(&run.stage) else { return Vec::new() };
    let Some(in_force) = &system.access else { return Vec::new() };
    let people = in_force.access.people.keys().filter_map(|name| in_force.access.principal(name));
    // Until git has answered, those who are known to have written some of it are left out at least.
    let known = || Written { authors: BTreeSet::clone(&run.authors), ..Written::default() };
    let written = step.written().cloned().unwrap_or_else(known);
    people
        .filter(|who| in_force.access.allows(who, Permission::Approve, Some(&run.stage)))
        .filter_map(|who| {
            Some((may_answer((system, run, step, quorum), &who, system.at_ms, Some(&written)).ok()?, who))
        })
        .map(|(voice, who)| (who.name, voice))
        .collect()
}

/// Why not all who wrote what a step asks about are known, so that it takes `override`; nothing where authors may approve.
#[must_use]
pub fn doubts(system: &System, run: &Run, step: &StepRun) -> Option<String> {
    let quorum = step.task.quorum(&run.stage)?;
    if quorum.author_may_approve { None } else { judge::doubts(system, step.written()?) }
}

/// In whose name somebody may approve, given who wrote it, or why they may not.
fn may_answer(
    (system, run, step, quorum): (&System, &Run, &StepRun, &Quorum),
    by: &Principal,
    at_ms: i64,
    written: Option<&Written>,
) -> Result<Voice, Refused> {
    let id = &run.id;
    let refuse =
        |reason: String| Err(Refused::NotAllowed { who: by.name.clone(), what: format!("approve {id}"), reason });
    let voices = voices(system, quorum, by, at_ms);
    if voices.is_empty() {
        return refuse(format!("it asks {}", named(system, quorum)));
    }
    let given: Vec<&Answer> = standing(system, run, step, at_ms).collect();
    if given.iter().any(|answer| answer.by.name == by.name) {
        return Err(Refused::not_now(
            id,
            format!("{} has approved it already", by.name),
            "somebody else has to, as well; `tidegate withdraw` takes it back",
        ));
    }
    let mut refusals = voices.into_iter().map(|voice| {
        let seat = match &voice {
            Voice::Own => &by.name,
            Voice::InPlaceOf(of) => of,
        };
        if let Some(written) = written {
            may_judge(system, run, quorum, written, (by, &voice))?;
        }
        match given.iter().find(|answer| answer.seat() == seat) {
            None => Ok(voice),
            Some(given) => Err(Refused::not_now(
                id,
                format!("{} has approved it in the place of {seat} already", given.by.name),
                "somebody else has to, as well",
            )),
        }
    });
    // The first voice that is free; or why not even the first is.
    let first = refusals.next().unwrap_or_else(|| refuse(format!("it asks {}", named(system, quorum))));
    first.or_else(|refused| refusals.find_map(Result::ok).ok_or(refused))
}

/// Whom a quorum asks, for people, with the members of groups where they are known.
#[must_use]
pub fn named(system: &System, quorum: &Quorum) -> String {
    let name =
        |name: &String| system.access.as_ref().map_or_else(|| name.clone(), |in_force| in_force.access.named(name));
    quorum.from.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// What is deployed without having been shown: the step that made the template, and the question that was answered without
/// it. Rules that say so are a mistake; a plan that was made from older ones is caught here.
pub(in crate::engine) fn unseen<'run>(run: &'run Run, deploy: &StepRun) -> Option<(&'run StepRun, &'run StepRun)> {
    if !deploy.task.kind().deploys() {
        return None;
    }
    let before = run.before(deploy);
    let made = *before.iter().rev().find(|step| step.task.kind().makes_template())?;
    let template = made.made.template_digest();
    let shows =
        |step: &&StepRun| step.id == made.id || template.is_some_and(|_| step.made.template_digest() == template);
    let asks = before.iter().filter(|step| step.task.quorum(&run.stage).is_some());
    asks.copied().find(|asked| !run.before(asked).iter().any(shows)).map(|asked| (made, asked))
}

impl Turn<'_> {
    pub(in crate::engine) fn approve_command(
        &mut self,
        by: &Principal,
        id: &RunId,
        digest: Option<&Digest>,
    ) -> Result<(), Refused> {
        let run = self.live_run(id)?;
        let (step, quorum) = asked(run)?;
        let waits = run.digest(step);
        if let Some(digest) = digest.filter(|digest| !names(digest, &waits)) {
            return Err(Refused::not_now(
                id,
                format!("what waits is {waits}, not {digest}"),
                "it changed since it was shown: look at it again with `tidegate run show`",
            ));
        }
        let written = step.written();
        let voice = may_answer((&self.system, run, step, quorum), by, self.at_ms, written)?;
        if written.is_none() && !quorum.author_may_approve {
            return Err(not_yet(id, step));
        }
        let in_place_of = match voice {
            Voice::Own => None,
            Voice::InPlaceOf(of) => Some(of),
        };
        let (number, step) = (run.number, step.id.clone());
        let answer = Answer { by: by.clone(), digest: waits, at_ms: self.at_ms, in_place_of };
        self.tell_approved(number, &step, &answer);
        self.approved(number, &step, answer);
        Ok(())
    }

    pub(in crate::engine) fn reject_command(
        &mut self,
        by: &Principal,
        id: &RunId,
        reason: &str,
    ) -> Result<(), Refused> {
        let run = self.live_run(id)?;
        let (step, quorum) = asked(run)?;
        if voices(&self.system, quorum, by, self.at_ms).is_empty() {
            return Err(Refused::NotAllowed {
                who: by.name.clone(),
                what: format!("reject {id}"),
                reason: format!("it asks {}", named(&self.system, quorum)),
            });
        }
        demand_reason(reason, "a rejection")?;
        let (number, step) = (run.number, step.id.clone());
        self.tell_rejected(number, &step, &by.name, reason);
        self.fail_step(
            number,
            &step,
            format!("{} rejected it: {reason}", by.said()),
            "push a better change; it asks anew",
        );
        Ok(())
    }

    /// Takes back an approval, one's own or one given in one's place, until something moves because of it: a question that
    /// was closed is open again.
    pub(in crate::engine) fn withdraw_command(&mut self, by: &Principal, id: &RunId) -> Result<(), Refused> {
        let run = self.live_run(id)?;
        let own = |answer: &Answer| answer.by.name == by.name || answer.seat() == by.name;
        let may_end = |step: &&StepRun| matches!(step.state, StepState::Active | StepState::Done);
        let given = run.steps.iter().rev().filter(may_end).find(|step| step.answers.iter().any(own));
        let Some(step) = given else {
            return Err(Refused::not_now(
                id,
                format!("{} has not approved what waits", by.name),
                "there is nothing to withdraw; `tidegate reject` refuses what waits for an approval",
            ));
        };
        let is_after = |later: &&StepRun| run.before(later).iter().any(|before| before.id == step.id);
        let begun = |later: &&StepRun| !matches!(later.state, StepState::Blocked | StepState::Ready);
        let moved = run.steps.iter().filter(is_after).find(|later| later.task.kind().moves_something() && begun(later));
        if run.state == RunState::Ending || moved.is_some() {
            let why = moved.map_or_else(|| "it ends already".to_owned(), |moved| format!("{} has begun", moved.id));
            return Err(Refused::not_now(id, why, "`tidegate abort` ends it, `tidegate rollback` takes a stage back"));
        }
        let (number, step, name) = (run.number, step.id.clone(), by.name.clone());
        let withdrawn = self.step_of(number, &step).answers.iter().filter(|answer| own(answer));
        for by in withdrawn.map(|answer| answer.by.name.clone()).collect::<Vec<_>>() {
            self.record_step(number, &step, StepFact::AnswerWithdrawn { by });
        }
        self.tell_withdrawn(number, &step, &name);
        if self.step_of(number, &step).state == StepState::Done {
            self.ask_again(number, &step, &format!("{name} withdrew an approval before it"));
        }
        Ok(())
    }

    /// The answers that were given to a step's question count no more.
    pub(in crate::engine) fn void_answers(&mut self, number: u64, id: &StepId, because: &str) {
        let given = self.step_of(number, id).answers.iter();
        self.void(number, id, given.map(|answer| (answer.by.name.clone(), because.to_owned())).collect());
    }

    /// The answers of these people count no more, for these reasons.
    pub(in crate::engine) fn void(&mut self, number: u64, id: &StepId, answers: Vec<(String, String)>) {
        for (by, because) in answers {
            self.record_step(number, id, StepFact::AnswerVoided { by, because });
        }
        let count = self.step_of(number, id).void.len().saturating_sub(MOST_VOID);
        if count > 0 {
            self.record_step(number, id, StepFact::VoidForgotten { count });
        }
    }
}

impl System {
    /// Whether what the run would deploy after this step is, byte for byte, what is deployed already.
    pub(in crate::engine) fn nothing_differs(&self, run: &Run, step: &StepRun) -> bool {
        let target = run.target.as_ref().and_then(|key| self.targets.get(key));
        let Some(target) = target.filter(|target| target.life != TargetLife::Broken) else { return false };
        let Some(deployed) = target.deployed.as_ref().and_then(|deployed| deployed.content.as_ref()) else {
            return false;
        };
        let deploys = |later: &&StepRun| later.task.kind().deploys();
        let after = |later: &&StepRun| run.before(later).iter().any(|before| before.id == step.id);
        let mut later = run.steps.iter().filter(deploys).filter(after).peekable();
        later.peek().is_some() && later.all(|later| self.content(run, later).as_ref() == Some(deployed))
    }

    /// What a deploying step deploys, as far as that is known.
    pub(in crate::engine) fn content(&self, run: &Run, step: &StepRun) -> Option<DeployedContent> {
        let Task::Action(Action::Deploy(deploy)) = &*step.task else { return None };
        let before = run.before(step);
        let synth = before.iter().rev().find(|before| before.task.kind().makes_template())?;
        let template = synth.made.template_digest()?.to_string();
        let inputs = before.iter().map(|before| (&before.id, &*before.outputs));
        let context = context::in_force(self.rules()?, (&run.id, run.source.as_ref(), run.tag()), &run.stage, inputs)?;
        let rendered =
            |(name, value): (&String, &String)| Some((name.clone(), template::render(value, &context).ok()?));
        let parameters = deploy.parameters.iter().map(rendered).collect::<Option<_>>()?;
        Some(DeployedContent { template, parameters })
    }
}

fn asked(run: &Run) -> Result<(&StepRun, &Quorum), Refused> {
    let asking = run.asking().and_then(|step| Some((step, step.task.quorum(&run.stage)?)));
    asking.ok_or_else(|| {
        Refused::not_now(&run.id, "it does not wait for an approval", "`tidegate run show` says what it waits for")
    })
}

/// Whether somebody who writes `given` means `digest`: the whole of it, or at least its first eight digits.
fn names(given: &Digest, digest: &Digest) -> bool {
    let digits = |digest: &Digest| digest.as_str().trim_start_matches("sha256:").to_owned();
    let (given, whole) = (digits(given), digits(digest));
    given.len() >= 8 && whole.starts_with(&given)
}
