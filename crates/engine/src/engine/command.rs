//! Commands: what people ask for. Every check comes before the first change, so that a refused command changes nothing (I8).

use super::{
    access::Principal,
    compiled::Compiled,
    event::{Command, StartOn},
    fact::RunFact,
    ids::{RunId, TargetKey},
    refused::Refused,
    run::{Cause, Run, RunState, Subject},
    state::{Policy, System},
    step_run::StepState,
    turn::Turn,
};
use crate::rules::{Rule, RuleName, Rules, StageName, Starts, StepId, TargetLife, TargetName};

impl Turn<'_> {
    /// Grants or refuses what somebody asks for.
    pub(super) fn command(&mut self, by: &Principal, command: &Command) -> Result<(), Refused> {
        self.permitted(by, command)?;
        match command {
            Command::Run { rule, stage, on } => self.run_command(by, rule, stage, on.as_ref()),
            Command::Promote { from, to, version, release } => {
                self.promote_command(by, (from, to), version.as_ref(), release.as_ref())
            }
            Command::Rollback { stage, to, reason } => self.rollback_command(by, stage, to.as_ref(), reason),
            Command::TakeBack { run, reason } => self.take_back_command(by, run, reason),
            Command::Veto { what, reason } => self.veto_command(by, what, reason),
            Command::LiftVeto { what, reason } => self.lift_veto_command(what, reason),
            Command::Pin { stage, version, reason } => self.pin_command(by, stage, version.as_ref(), reason),
            Command::Unpin { stage } => self.unpin_command(stage),
            Command::Approve { run, digest } => self.approve_command(by, run, digest.as_ref()),
            Command::Reject { run, reason } => self.reject_command(by, run, reason),
            Command::Retry { run } => self.retry_command(run),
            Command::Abort { run, reason } => self.abort_command(by, run, reason),
            Command::Unlock { target, stage } => self.unlock_command(target, stage),
            Command::Operate { operation, target, stage } => self.operate_command(by, *operation, (target, stage)),
            Command::Observe { target, stage } => self.observe_command(target, stage),
            Command::Withdraw { run } => self.withdraw_command(by, run),
            Command::Pause { reason } => self.pause_command(by, reason),
            Command::Resume => self.resume_command(by),
            Command::Freeze { stage, until_ms, reason } => self.freeze_command(by, stage.as_ref(), *until_ms, reason),
            Command::Thaw { freeze } => self.thaw_command(by, freeze),
            Command::Override { freeze, run, reason } => self.override_command(by, freeze, run, reason),
            Command::Hotfix { what, reason } => self.hotfix_command(by, what, reason),
        }
    }

    fn run_command(
        &mut self,
        by: &Principal,
        name: &RuleName,
        stage: &StageName,
        on: Option<&StartOn>,
    ) -> Result<(), Refused> {
        let rules = self.rules_in_force()?;
        startable(&self.system, &rules, name, stage)?;
        let subject = Subject::Rule(name.clone());
        let only = rules.rules.get(name).and_then(|rule| rule.on.only());
        match on {
            None if only == Some(Starts::Tag) => {
                return Err(Refused::unknown(
                    format!("{name} runs for a tag, and none is named"),
                    format!("`tidegate run start {name} --stage {stage} --tag TAG`"),
                ));
            }
            None if only == Some(Starts::Release) => {
                return Err(Refused::unknown(
                    format!("{name} deploys a bundle, and none is given"),
                    format!("`tidegate deploy FILE --rule {name} --stage {stage}`"),
                ));
            }
            None => drop(self.make_run(&subject, stage, Cause::Command { by: by.said() })),
            Some(StartOn::Tag(tag)) => {
                let head = self.head_of_tag(name, stage, tag)?;
                self.make_run_of(&subject, stage, Cause::Tag { tag: tag.clone() }, &head);
            }
            Some(StartOn::Bundle(_)) if !rules.rules.get(name).is_some_and(|rule| rule.on.release) => {
                return Err(Refused::unknown(
                    format!("{name} takes no bundle"),
                    "write `release: true` in the `on` of the rule that is to deploy one",
                ));
            }
            Some(StartOn::Bundle(bundle)) if !bundle.is_sound() => {
                return Err(Refused::unknown("the bundle is not as `tidegate deploy` says it", "bring the file again"));
            }
            Some(StartOn::Bundle(bundle)) => {
                let cause = Cause::Release { by: by.said(), bundle: bundle.clone() };
                self.make_run(&subject, stage, cause);
            }
        }
        Ok(())
    }

    fn retry_command(&mut self, id: &RunId) -> Result<(), Refused> {
        let run = self.known_run(id)?;
        if !matches!(run.state, RunState::Failed | RunState::Aborted) {
            return Err(Refused::not_now(
                id,
                format!("it is {}", state_text(run.state)),
                "only a failed or aborted run can be done again",
            ));
        }
        let newer =
            |other: &&Run| other.subject == run.subject && other.stage == run.stage && other.number > run.number;
        if let Some(newer) = self.system.all_runs().filter(|other| other.state != RunState::Rejected).find(newer) {
            return Err(Refused::not_now(
                id,
                format!("{} is newer", newer.id),
                "do the newer one again, or start anew with `tidegate run start`",
            ));
        }
        self.is_still_the_way_back(run)?;
        let target = run.target.as_ref();
        let refuses = target.and_then(|key| self.system.targets.get(key)).is_some_and(|t| t.policy == Policy::Reject);
        let is_on_it = |other: &&Run| other.target.as_ref() == target && !other.waits_at_fan_in();
        if let Some(busy) = self.system.live_runs().filter(|_| refuses).find(is_on_it) {
            return Err(Refused::not_now(
                id,
                format!("{} is on its target, whose queue policy is `reject`", busy.id),
                "try again when it is over",
            ));
        }
        let number = run.number;
        let again: Vec<StepId> = steps_to_do_again(run);
        self.record_run(number, RunFact::Retried);
        for step in &again {
            self.put_back(number, step, "the steps before it were done again, and what was shown then is no more");
        }
        self.begin_release_again(number);
        self.awake.insert(number);
        Ok(())
    }

    fn abort_command(&mut self, by: &Principal, id: &RunId, reason: &str) -> Result<(), Refused> {
        let number = self.live_run(id)?.number;
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        let reason = format!("{} aborted it{reason}", by.said());
        self.record_run(number, RunFact::Ending { ends_as: RunState::Aborted, reason });
        self.stop_run(number, RunState::Aborted, String::new());
        Ok(())
    }

    fn unlock_command(&mut self, target: &TargetName, stage: &StageName) -> Result<(), Refused> {
        let rules = self.rules_in_force()?;
        known_stage(&rules, stage)?;
        let key = TargetKey::Target(target.clone(), stage.clone());
        match self.system.targets.get(&key) {
            Some(state) if state.life == TargetLife::Broken => {}
            Some(_) => return Err(Refused::unknown(format!("{key} is not broken"), "there is nothing to unlock")),
            None if rules.targets.contains_key(target) => {
                return Err(Refused::unknown(format!("{key} has never been used"), "there is nothing to unlock"));
            }
            None => return Err(unknown("target", target.as_str(), rules.targets.keys())),
        }
        self.unlock(&key);
        Ok(())
    }

    pub(super) fn rules_in_force(&self) -> Result<std::sync::Arc<Compiled>, Refused> {
        self.system.rules().cloned().ok_or(Refused::NoRules)
    }

    pub(super) fn known_run(&self, id: &RunId) -> Result<&Run, Refused> {
        self.system.run(id).ok_or_else(|| {
            Refused::unknown(
                format!("there is no run `{id}` among those that go on or ended lately"),
                "`tidegate runs` lists them",
            )
        })
    }

    pub(super) fn live_run(&self, id: &RunId) -> Result<&Run, Refused> {
        let run = self.known_run(id)?;
        if run.state.is_ended() {
            let hint = run.reason.clone().unwrap_or_else(|| "nothing waits for an answer any more".to_owned());
            return Err(Refused::not_now(id, format!("it is {} already", state_text(run.state)), hint));
        }
        Ok(run)
    }
}

/// The steps that failed, and every step that comes after one of them: what was approved on their ground is void.
fn steps_to_do_again(run: &Run) -> Vec<StepId> {
    let mut again: Vec<StepId> = Vec::new();
    for step in &run.steps {
        // Acts go with the step that planned them.
        if step.task.planned_by().is_some() {
            continue;
        }
        if step.state != StepState::Done || step.needs.iter().any(|need| again.contains(need)) {
            again.push(step.id.clone());
        }
    }
    again
}

pub(super) fn known_stage(rules: &Rules, stage: &StageName) -> Result<(), Refused> {
    let known = rules.stages.contains_key(stage);
    known.then_some(()).ok_or_else(|| unknown("stage", stage.as_str(), rules.stages.keys()))
}

pub(super) fn unknown<N: ToString>(kind: &str, name: &str, known: impl Iterator<Item = N>) -> Refused {
    let known: Vec<String> = known.map(|name| name.to_string()).collect();
    Refused::unknown(format!("there is no {kind} `{name}`"), format!("there are: {}", known.join(", ")))
}

fn state_text(state: RunState) -> &'static str {
    match state {
        RunState::Queued => "queued",
        RunState::Running => "running",
        RunState::Ending => "ending",
        RunState::Done => "done",
        RunState::Failed => "failed",
        RunState::Aborted => "aborted",
        RunState::Superseded => "superseded",
        RunState::Rejected => "rejected",
    }
}

/// Whether a rule can be started in a stage by a command: it is for that stage, and its repository has the branch.
fn startable(system: &System, rules: &Rules, name: &RuleName, stage: &StageName) -> Result<(), Refused> {
    let rule = rules.rules.get(name).ok_or_else(|| unknown("rule", name.as_str(), rules.rules.keys()))?;
    known_stage(rules, stage)?;
    if !rule.is_for(stage) {
        return Err(unknown("stage for that rule", stage.as_str(), rule.stages.iter().flatten()));
    }
    let repository = rule.repository().ok_or_else(|| {
        Refused::unknown(format!("rule `{name}` works on no repository"), "give its `on` a `push` or `repository`")
    })?;
    if system.head(repository, stage).is_none() {
        let branch = rules.branch(stage);
        return Err(Refused::unknown(
            format!("{repository} has no branch `{branch}` that has been seen"),
            "push the branch, or look at `tidegate status` for why it cannot be reached",
        ));
    }
    Ok(())
}

/// What starts a rule in a stage: the command where it would be granted, else what it lacks.
pub(super) fn to_start(system: &System, name: &RuleName, stage: &StageName) -> String {
    let rules = system.rules();
    if rules.is_some_and(|rules| startable(system, rules, name, stage).is_ok()) {
        return format!("`tidegate run start {name} --stage {stage}`");
    }
    let rule = rules.and_then(|rules| rules.rules.get(name)).filter(|rule| rule.is_for(stage));
    match rule.and_then(Rule::repository) {
        Some(repository) => format!("a newer push to {repository} {stage}"),
        None => format!("rules in which {name} is for {stage} and works on a repository"),
    }
}
