//! Vetoes: a version or artifact that somebody has found to be bad. It never moves again: nothing that holds it is
//! committed, merged, brought back or deployed, in any stage, whatever the commit is called there.

use crate::engine::{
    access::Principal,
    content::{Artifact, CommitSet},
    fact::Fact,
    gate::hold::demand_reason,
    ids::CommitId,
    refused::Refused,
    run::{Run, RunState, Subject},
    state::{System, Veto},
    step_run::StepState,
    turn::Turn,
};

/// The fewest digits that name a commit.
const FEWEST_DIGITS: usize = 7;

impl System {
    /// Why a set may not move: a commit in it, or an artifact that is pinned there, is vetoed.
    #[must_use]
    pub fn vetoed_set(&self, set: &CommitSet) -> Option<String> {
        self.veto_of_set(set).map(|(name, veto)| veto.said(name))
    }

    /// The veto for which a set may not move, and what it names.
    #[must_use]
    pub fn veto_of_set(&self, set: &CommitSet) -> Option<(&str, &Veto)> {
        if self.versions.vetoes.is_empty() {
            return None;
        }
        let commit = set.values().find_map(|commit| self.veto_of_commit(commit));
        commit.or_else(|| {
            let artifacts = self.artifacts_of(set);
            let mut named = self.versions.vetoes.iter().filter(|(name, _)| artifacts.contains(name.as_str()));
            named.next().map(|(name, veto)| (name.as_str(), veto))
        })
    }

    /// The veto for which a commit may not move, and what it names.
    #[must_use]
    pub fn veto_of_commit(&self, commit: &CommitId) -> Option<(&str, &Veto)> {
        let vetoes = self.versions.vetoes.iter().filter(|(name, _)| is_commit(name));
        let mut of_it =
            vetoes.filter(|(name, _)| self.carried(commit).any(|carried| carried.as_str().starts_with(name.as_str())));
        of_it.next().map(|(name, veto)| (name.as_str(), veto))
    }

    /// Why an artifact may not move.
    fn vetoed_artifact(&self, artifact: &Artifact) -> Option<String> {
        self.vetoed_name(&artifact.name).or_else(|| self.vetoed_name(&artifact.uri))
    }

    fn vetoed_name(&self, name: &str) -> Option<String> {
        self.versions.vetoes.get(name).map(|veto| veto.said(name))
    }

    /// Why a run may not move anything any more. Taking back is always allowed.
    pub(in crate::engine) fn vetoed_run(&self, run: &Run) -> Option<String> {
        if run.subject == Subject::TakeBack || self.versions.vetoes.is_empty() {
            return None;
        }
        let done = run.steps.iter().filter(|step| step.state == StepState::Done);
        let mut artifacts = done.flat_map(|step| &step.artifacts);
        self.vetoed_set(&run.set).or_else(|| artifacts.find_map(|artifact| self.vetoed_artifact(artifact)))
    }
}

impl Veto {
    /// It in a clause, of what it names.
    #[must_use]
    pub fn said(&self, name: &str) -> String {
        format!("{name} is vetoed by {}: {}", self.by, self.reason)
    }
}

impl Turn<'_> {
    /// Refuses to move a set that is vetoed.
    pub(in crate::engine) fn not_vetoed(&self, by: &Principal, what: &str, set: &CommitSet) -> Result<(), Refused> {
        let Some(reason) = self.system.vetoed_set(set) else { return Ok(()) };
        Err(Refused::NotAllowed { who: by.name.clone(), what: what.to_owned(), reason })
    }

    /// `tidegate veto`.
    pub(in crate::engine) fn veto_command(&mut self, by: &Principal, what: &str, reason: &str) -> Result<(), Refused> {
        demand_reason(reason, "a veto")?;
        let name = name_of(what)?;
        if let Some(veto) = self.system.versions.vetoes.get(&name) {
            return Err(Refused::unknown(veto.said(&name), "there is nothing to add"));
        }
        let veto = Veto { by: by.said(), reason: reason.to_owned(), at_ms: self.at_ms };
        self.tell_vetoed(&name, &veto);
        self.record(Fact::Vetoed { what: name, veto });
        let live = self.system.live_runs().filter(|run| run.state != RunState::Ending);
        let live = live.filter(|run| run.steps.iter().any(|step| step.is_to_move()));
        let vetoed: Vec<(u64, String)> =
            live.filter_map(|run| Some((run.number, self.system.vetoed_run(run)?))).collect();
        for (number, reason) in vetoed {
            self.stop_run(number, RunState::Failed, reason);
        }
        Ok(())
    }

    /// `tidegate veto --lift`.
    pub(in crate::engine) fn lift_veto_command(&mut self, what: &str, reason: &str) -> Result<(), Refused> {
        demand_reason(reason, "the lifting of a veto")?;
        let name = name_of(what)?;
        if !self.system.versions.vetoes.contains_key(&name) {
            let names: Vec<&str> = self.system.versions.vetoes.keys().map(String::as_str).collect();
            let hint =
                if names.is_empty() { "nothing is".to_owned() } else { format!("vetoed are: {}", names.join(", ")) };
            return Err(Refused::unknown(format!("`{name}` is not vetoed"), hint));
        }
        self.record(Fact::VetoLifted { what: name });
        Ok(())
    }
}

/// The key of a veto: digits of a commit, also of `repository@commit`, or an artifact's name or address.
fn name_of(what: &str) -> Result<String, Refused> {
    let what = what.trim();
    let commit = what.rsplit_once('@').map_or(what, |(_, commit)| commit).to_ascii_lowercase();
    let is_hexadecimal = !commit.is_empty() && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    match (is_hexadecimal, commit.len()) {
        (true, FEWEST_DIGITS..=40) => Ok(commit),
        (true, ..FEWEST_DIGITS) => Err(Refused::unknown(
            format!("`{what}` could be many commits"),
            format!("give at least {FEWEST_DIGITS} of its digits"),
        )),
        _ if what.is_empty() => Err(Refused::unknown("this names nothing", "give a commit or an artifact's name")),
        _ => Ok(what.to_owned()),
    }
}

fn is_commit(name: &str) -> bool {
    name.len() <= 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
