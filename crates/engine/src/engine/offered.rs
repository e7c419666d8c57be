//! Rules that are offered: they come into force when people have said yes. Who is asked is not the rules' own business: it comes
//! with the offer. The question is a run like any other, for the last stage, whose approvals are the hardest to get.

use indexmap::IndexMap;

use super::{
    authorship::{Authorship, Base, Written},
    content::CommitSet,
    fact::Fact,
    ids::RunId,
    plan::{self, Task},
    run::{Cause, Run, RunState, Subject},
    shared::Shared,
    state::{OfferedRules, Policy, RulesInForce},
    turn::Turn,
};
use crate::rules::{Action, Approve, Quorum, StepId};

impl Turn<'_> {
    /// Asks whether rules may come into force. What was offered before is not asked about any more.
    pub(super) fn offer_rules(
        &mut self,
        rules: RulesInForce,
        meaning: &[String],
        (quorum, written): (&Quorum, &Written),
    ) {
        let Some(stage) = self.system.rules().and_then(|rules| rules.stages.keys().last().cloned()) else {
            // Nothing is in force that could be asked about.
            return self.load_rules(rules);
        };
        self.withdraw_offer("other rules are offered");
        let origin = rules.origin.as_ref();
        let cause = Cause::Push {
            author: origin.map_or_else(String::new, |origin| origin.author.clone()),
            subject: origin.map_or_else(String::new, |origin| origin.subject.clone()),
            by: None,
        };
        let approve = Approve { stages: IndexMap::from([(stage.clone(), quorum.clone())]), pass_if_unchanged: false };
        let id = StepId::of_engine("approve", "");
        let mut step = plan::planned(id, Task::Action(Action::Approve(approve)), Vec::new(), None, None);
        step.authorship =
            Some(Authorship { base: Base::new(), written: Some(written.clone()), ..Authorship::default() }.into());
        let run = Run {
            id: RunId::new(""),
            number: 0,
            subject: Subject::Rules,
            stage,
            cause,
            source: None,
            set: CommitSet::default(),
            authors: written.authors.clone().into(),
            others_wrote: !written.unknown.is_empty(),
            origin: Shared::default(),
            hotfix: None,
            rules: rules.digest.clone(),
            state: RunState::Queued,
            target: None,
            holds_from_start: false,
            steps: vec![step].into(),
            created_ms: self.at_ms,
            ended_ms: None,
            ends_as: None,
            reason: None,
        };
        let run = self.begin_run(run, Policy::Supersede);
        self.record(Fact::RulesOffered(Box::new(OfferedRules { run, rules, meaning: meaning.to_vec() })));
    }

    /// The question about the rules that are offered is over, if there is one.
    pub(super) fn withdraw_offer(&mut self, because: &str) {
        let run = self.system.offered.as_ref().and_then(|offered| self.system.run(&offered.run));
        if let Some(number) = run.filter(|run| !run.state.is_ended()).map(|run| run.number) {
            self.stop_run(number, RunState::Superseded, because.to_owned());
        }
    }

    /// The question about rules is answered: what people said yes to is in force.
    pub(super) fn offer_ended(&mut self, run: &Run) {
        let offered = self.system.offered_by(&run.id);
        if let Some(offered) = offered.filter(|_| run.state == RunState::Done) {
            let rules = RulesInForce { since_ms: self.at_ms, ..offered.rules.clone() };
            self.load_rules(rules);
        }
    }
}
