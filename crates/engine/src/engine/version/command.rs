//! What the commands about versions share: which there are, and which a person means.

use crate::engine::{
    access::Principal,
    command::known_stage,
    content::CommitSet,
    ids::RunId,
    plan::Terms,
    refused::Refused,
    run::{Cause, RunState},
    state::{Verified, Version},
    task::{Member, Release},
    turn::Turn,
};
use crate::rules::StageName;

impl Turn<'_> {
    /// `tidegate promote`, of what was last verified or of an older version.
    pub(in crate::engine) fn promote_command(
        &mut self,
        by: &Principal,
        (from, to): (&StageName, &StageName),
        version: Option<&RunId>,
        release: Option<&Release>,
    ) -> Result<(), Refused> {
        let rules = self.rules_in_force()?;
        self.known_stage(from)?;
        self.known_stage(to)?;
        if !rules.promotions.iter().any(|promotion| promotion.from == *from && promotion.to == *to) {
            let pairs: Vec<String> =
                rules.promotions.iter().map(|promotion| format!("{} to {}", promotion.from, promotion.to)).collect();
            return Err(Refused::unknown(
                format!("the rules have no promotion from {from} to {to}"),
                format!("they have: {}", pairs.join(", ")),
            ));
        }
        let Some(newest) = self.system.verified.get(from) else {
            return Err(Refused::unknown(
                format!("nothing has been verified in {from} yet"),
                "a run that deploys there must succeed first; `tidegate status` shows how far it is",
            ));
        };
        let wanted: Verified = match version {
            Some(run) if *run != newest.run => self.known_version(from, run)?.verified.clone(),
            _ => newest.clone(),
        };
        let is_older = wanted.set != newest.set;
        release.map_or(Ok(()), |release| release.allows(&rules.system))?;
        let under_way = self.promotion_of(&wanted.set, from, to);
        let gives_way = under_way.filter(|run| release.is_some() && run.may_give_way_to_release());
        let gives_way = gives_way.map(|run| run.number);
        if let Some(run) = under_way.filter(|_| gives_way.is_none()) {
            return Err(Refused::not_now(
                &run.id,
                format!("it promotes this very set to {to} already"),
                "follow it with `tidegate run show`",
            ));
        }
        if self.set_is_promoted(&wanted.set, to) {
            return Err(Refused::unknown(
                format!("what {} verified in {from} is in {to} already", wanted.run),
                self.versions_hint(from),
            ));
        }
        self.not_vetoed(by, &format!("promote {} to {to}", wanted.run), &wanted.set)?;
        let back_from = if is_older { self.system.heads_of(from) } else { CommitSet::default() };
        if let (Some(number), Some(release)) = (gives_way, release) {
            let reason = format!("the release {} promotes this very set, with those of other systems", release.name);
            self.stop_run(number, RunState::Superseded, reason);
        }
        let at_ms = self.at_ms;
        let release = release.map(|release| Member { release: release.clone(), since_ms: at_ms, asked_ms: at_ms });
        let terms = Terms { verified_ms: wanted.at_ms, back_from, release };
        self.promote((from, to), Cause::Command { by: by.said() }, &wanted, &terms);
        Ok(())
    }

    /// Refuses a stage that the rules do not have.
    pub(in crate::engine) fn known_stage(&self, stage: &StageName) -> Result<(), Refused> {
        known_stage(&*self.rules_in_force()?, stage)
    }

    /// The version of a stage that a person names by its run.
    pub(in crate::engine) fn known_version(&self, stage: &StageName, run: &RunId) -> Result<&Version, Refused> {
        self.system.version(stage, run).ok_or_else(|| {
            Refused::unknown(format!("{run} verified no version of {stage} that is known"), self.versions_hint(stage))
        })
    }

    /// Which versions of a stage there are, the newest first.
    pub(in crate::engine) fn versions_hint(&self, stage: &StageName) -> String {
        let known: Vec<&str> =
            self.system.versions_of(stage).iter().rev().map(|version| version.verified.run.as_str()).collect();
        if known.is_empty() {
            return format!("nothing has been verified in {stage} yet");
        }
        format!("the versions of {stage}, newest first: {}", known.join(", "))
    }
}
