//! Approvals: who may give one, in whose place, and what becomes of one that was given. An approval is of a digest; when
//! what was shown is no more, it is void, and says why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::{
    access::Permission,
    authors::Written,
    effect::Phase,
    event::Principal,
    ids::{Digest, RunId},
    plan::Task,
    run::{Answer, Run, StepRun},
    system::{System, TargetLife},
    turn::{Refused, Turn},
    work,
};
use crate::rules::{Action, Delegate, Quorum, template};

/// How many void answers a step remembers.
const MOST_VOID: usize = 20;

/// An answer that does not count any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoidAnswer {
    /// The answer.
    pub answer: Answer,
    /// Why it is void.
    pub because: String,
}

/// What a deployment is made of, as far as the engine can compare it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployedContent {
    /// The template's digest.
    pub template: String,
    /// Its parameters.
    pub parameters: BTreeMap<String, String>,
}

/// In whose name somebody may answer a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Voice {
    /// In their own.
    Own,
    /// In the place of somebody who delegated to them.
    InPlaceOf(String),
}

impl Answer {
    /// Whose voice it is: one person has one, whoever lends it.
    #[must_use]
    pub fn seat(&self) -> &str {
        self.in_place_of.as_deref().unwrap_or(&self.by.name)
    }
}

impl StepRun {
    /// The answers that were given count no more.
    pub(in crate::engine) fn void_answers(&mut self, because: &str) {
        let void = self.answers.drain(..).map(|answer| VoidAnswer { answer, because: because.to_owned() });
        self.void.extend(void);
        let surplus = self.void.len().saturating_sub(MOST_VOID);
        self.void.drain(..surplus);
    }
}

/// In whose name somebody may answer a quorum's question at an instant; `None` when they may not.
#[must_use]
pub fn voice(system: &System, quorum: &Quorum, who: &Principal, at_ms: i64) -> Option<Voice> {
    let asks = |name: &str| quorum.from.iter().any(|asked| asked == name);
    if quorum.from.is_empty() || quorum.from.iter().any(|name| who.is(name)) {
        return Some(Voice::Own);
    }
    let people = system.access.as_ref().map(|in_force| &in_force.access.people);
    let delegates = system.rules().map(|rules| rules.delegates.as_slice()).unwrap_or_default();
    let lends = |delegate: &&Delegate| delegate.holds_at(at_ms) && delegate.to.iter().any(|name| who.is(name));
    delegates.iter().filter(lends).find_map(|Delegate { of, .. }| {
        let person = people.and_then(|people| people.get(of));
        let is_group = people.is_some_and(|people| people.values().any(|person| person.groups.contains(of)));
        match person {
            None if asks(of) && is_group => Some(Voice::Own),
            None if asks(of) => Some(Voice::InPlaceOf(of.clone())),
            Some(person) if asks(of) || person.groups.iter().any(|group| asks(group)) => {
                Some(Voice::InPlaceOf(of.clone()))
            }
            _ => None,
        }
    })
}

/// The people who are known and may answer what a step asks right now, each with the voice that they would have.
#[must_use]
pub fn deciders(system: &System, run: &Run, step: &StepRun) -> Vec<(String, Voice)> {
    let Some(quorum) = step.task.quorum(&run.stage) else { return Vec::new() };
    let Some(in_force) = &system.access else { return Vec::new() };
    let people = in_force.access.people.keys().filter_map(|name| in_force.access.principal(name));
    let written = system.written(run);
    people
        .filter(|who| in_force.access.allows(who, Permission::Approve, Some(&run.stage)))
        .filter_map(|who| Some((may_answer(system, run, step, quorum, &who, system.at_ms).ok()?, who)))
        .filter(|(voice, who)| may_judge(system, run, quorum, &written, (who, voice)).is_ok())
        .map(|(voice, who)| (who.name, voice))
        .collect()
}

/// In whose name somebody may approve, or why they may not.
fn may_answer(
    system: &System,
    run: &Run,
    step: &StepRun,
    quorum: &Quorum,
    by: &Principal,
    at_ms: i64,
) -> Result<Voice, Refused> {
    let id = &run.id;
    let refuse =
        |reason: String| Err(Refused::NotAllowed { who: by.name.clone(), what: format!("approve {id}"), reason });
    let Some(voice) = voice(system, quorum, by, at_ms) else {
        return refuse(format!("it asks {}", named(system, quorum)));
    };
    let seat = match &voice {
        Voice::Own => &by.name,
        Voice::InPlaceOf(of) => of,
    };
    match step.answers.iter().find(|answer| answer.seat() == seat || answer.by.name == by.name) {
        None => Ok(voice),
        Some(given) if given.by.name == by.name => Err(Refused::not_now(
            id,
            format!("{} has approved it already", by.name),
            "somebody else has to, as well; `tidegate withdraw` takes it back",
        )),
        Some(given) => Err(Refused::not_now(
            id,
            format!("{} has approved it in the place of {seat} already", given.by.name),
            "somebody else has to, as well",
        )),
    }
}

/// Whether somebody may judge a change, given who wrote it; or why not.
fn may_judge(
    system: &System,
    run: &Run,
    quorum: &Quorum,
    written: &Written,
    (by, voice): (&Principal, &Voice),
) -> Result<(), Refused> {
    if quorum.author_may_approve {
        return Ok(());
    }
    let refuse = |reason: String| {
        let what = format!("approve {}", run.id);
        Err(Refused::NotAllowed { who: by.name.clone(), what, reason })
    };
    let access = system.access.as_ref().map(|in_force| &in_force.access);
    if written.authors.iter().any(|author| wrote(by, author)) {
        return refuse("it holds a change that they wrote themselves; somebody else has to look at it".to_owned());
    }
    let delegator = match voice {
        Voice::InPlaceOf(name) => access.and_then(|access| access.principal(name)),
        Voice::Own => None,
    };
    if let Some(of) = delegator.filter(|of| written.authors.iter().any(|author| wrote(of, author))) {
        return refuse(format!("it holds a change by {}, in whose place they would answer", of.name));
    }
    let overrides = access.is_none_or(|access| access.allows(by, Permission::Override, Some(&run.stage)));
    if written.others_wrote && !overrides {
        return refuse(
            "not all who wrote it are known, and they may be among them; it takes somebody with the permission `override`"
                .to_owned(),
        );
    }
    Ok(())
}

/// Whom a quorum asks, for people, with the members of groups where they are known.
#[must_use]
pub fn named(system: &System, quorum: &Quorum) -> String {
    let name =
        |name: &String| system.access.as_ref().map_or_else(|| name.clone(), |in_force| in_force.access.named(name));
    quorum.from.iter().map(name).collect::<Vec<_>>().join(", ")
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
        let voice = may_answer(self.system, run, step, quorum, by, self.at_ms)?;
        if !self.retraces {
            may_judge(self.system, run, quorum, &self.system.written(run), (by, &voice))?;
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
        if voice(self.system, quorum, by, self.at_ms).is_none() {
            return Err(Refused::NotAllowed {
                who: by.name.clone(),
                what: format!("reject {id}"),
                reason: format!("it asks {}", named(self.system, quorum)),
            });
        }
        let (number, step) = (run.number, step.id.clone());
        self.tell_rejected(number, &step, &by.name, reason);
        self.fail_step(
            number,
            &step,
            format!("{} rejected it: {reason}", by.name),
            "push a better change; it asks anew",
        );
        Ok(())
    }

    /// Takes back an approval while the question is still open: one's own, or one given in one's place.
    pub(in crate::engine) fn withdraw_command(&mut self, by: &Principal, id: &RunId) -> Result<(), Refused> {
        let run = self.live_run(id)?;
        let (step, _) = asked(run)?;
        let own = |answer: &&Answer| answer.by.name == by.name || answer.seat() == by.name;
        if step.answers.iter().find(own).is_none() {
            return Err(Refused::not_now(
                id,
                format!("{} has not approved what waits", by.name),
                "there is nothing to withdraw; `tidegate reject` refuses it",
            ));
        }
        let (number, step, name) = (run.number, step.id.clone(), by.name.clone());
        self.step_mut(number, &step).answers.retain(|answer| answer.by.name != name && answer.seat() != name);
        self.tell_withdrawn(number, &step, &name);
        Ok(())
    }

    /// Whether what the run would deploy after this step is, byte for byte, what is deployed already.
    pub(in crate::engine) fn nothing_differs(&self, number: u64, step: &StepRun) -> bool {
        let run = self.run(number);
        let target = run.target.as_ref().and_then(|key| self.system.targets.get(key));
        let Some(target) = target.filter(|target| target.life != TargetLife::Broken) else { return false };
        let Some(deployed) = target.deployed.as_ref().and_then(|deployed| deployed.content.as_ref()) else {
            return false;
        };
        let deploys = |later: &&StepRun| matches!(later.task, Task::Action(Action::Deploy(_)));
        let after = |later: &&StepRun| run.before(later).iter().any(|before| before.id == step.id);
        let mut later = run.steps.iter().filter(deploys).filter(after).peekable();
        later.peek().is_some() && later.all(|later| self.content(run, later).as_ref() == Some(deployed))
    }

    /// What a deploying step deploys, as far as that is known.
    pub(in crate::engine) fn content(&self, run: &Run, step: &StepRun) -> Option<DeployedContent> {
        let Task::Action(Action::Deploy(deploy)) = &step.task else { return None };
        let known = work::step_work(self.system.rules()?, run, &step.id, Phase::Start).ok()?;
        let template = known.input("synth", "template_digest")?.as_str()?.to_owned();
        let context = known.context();
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

/// Whether the author of a change, `Ada <ada@example.com>`, is this person. No mail system in use tells addresses apart by
/// the case of their letters.
fn wrote(by: &Principal, author: &str) -> bool {
    let (name, email) = author.split_once(" <").map_or((author, ""), |(name, rest)| (name, rest.trim_end_matches('>')));
    by.name == name || (!email.is_empty() && by.emails.iter().any(|own| own.eq_ignore_ascii_case(email)))
}
