//! Who wrote a change. Git knows, and is asked when a question opens: an effect, whose answer is in the log. Nothing of it
//! is remembered here but what the question is compared with, and the answer. See `docs/gates.md`.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{
    authorship::{Attribution, Authorship, Base, Written},
    content::CommitSet,
    effect::Effect,
    fact::{RunFact, StepFact, TargetFact},
    gate::judge,
    ids::CommitId,
    plan::LONGEST_BACKOFF_MS,
    run::{Run, Subject},
    shared::Shared,
    state::{FirstSeen, Head, System},
    turn::Turn,
};
use crate::rules::{KnownBy, RepositoryName, StageName, StepId};

/// How long git is left alone after it could not say; doubled for each further try.
const FIRST_BACKOFF_MS: i64 = 5_000;

impl System {
    /// What the question of a run is compared with. What another target verified, or another stage has, is no less new here.
    #[must_use]
    pub fn compared_with(&self, run: &Run) -> Base {
        let of = |repository: &RepositoryName| match self.verified_before(run, repository) {
            Some(commit) => vec![commit.clone()],
            None => self.taken_as_it_is(repository, run),
        };
        self.repositories_asked_about(run).map(|name| (name.clone(), of(name))).collect()
    }

    /// Whether that is what it is compared with.
    fn is_compared_with(&self, run: &Run, base: &Base) -> bool {
        let is_same = |repository: &RepositoryName| match self.verified_before(run, repository) {
            Some(commit) => base.get(repository).is_some_and(|known| *known == std::slice::from_ref(commit)),
            None => base.get(repository) == Some(&self.taken_as_it_is(repository, run)),
        };
        self.repositories_asked_about(run).count() == base.len() && self.repositories_asked_about(run).all(is_same)
    }

    /// Who wrote rules came with them, and who asks for an operation wrote its question.
    fn repositories_asked_about(&self, run: &Run) -> impl Iterator<Item = &RepositoryName> {
        let rules = self.rules().filter(|_| !matches!(run.subject, Subject::Rules | Subject::Operation(_)));
        rules.into_iter().flat_map(|rules| rules.repositories.keys())
    }

    /// The commit of a repository that was verified last where the run goes, or promoted there.
    fn verified_before(&self, run: &Run, repository: &RepositoryName) -> Option<&CommitId> {
        let before: Option<&CommitSet> = match (&run.subject, &run.target) {
            (Subject::Promotion { .. }, _) => self.promoted.get(&run.stage).map(|promoted| &promoted.set),
            (Subject::Rule(_), Some(key)) => self.targets.get(key).map(|target| &target.verified),
            (_, _) => None,
        };
        before?.get(repository)
    }

    /// By what the rules want it to be known who wrote what a run asks about, where they say so. Who wrote rules, or asks for an
    /// operation, came with the question.
    fn identity(&self, run: &Run) -> BTreeMap<RepositoryName, KnownBy> {
        let rules = self.rules().filter(|_| !matches!(run.subject, Subject::Rules | Subject::Operation(_)));
        let repositories = rules.into_iter().flat_map(|rules| &rules.repositories);
        repositories.filter_map(|(name, repository)| Some((name.clone(), repository.identity?))).collect()
    }

    /// What is compared with while nothing was verified: the stages after this one, as they were when this one was first
    /// seen; the last is taken as it was then. A promotion is compared with the stage that it goes to as well.
    pub(in crate::engine) fn taken_as_it_is(&self, repository: &RepositoryName, run: &Run) -> Vec<CommitId> {
        let Some((rules, watched)) = self.rules().zip(self.repositories.get(repository)) else { return Vec::new() };
        let Some(own) = watched.first.get(&run.stage) else { return Vec::new() };
        let seen = |stage: &StageName| watched.first.get(stage).filter(|first| first.order <= own.order);
        let later = rules.stages.keys().skip_while(|stage| **stage != run.stage).skip(1).filter_map(seen);
        let mut commits: Vec<CommitId> = later.map(|FirstSeen { commit, .. }| commit.clone()).collect();
        if commits.is_empty() || matches!(run.subject, Subject::Promotion { .. }) {
            commits.push(own.commit.clone());
        }
        commits
    }

    /// Who is known to have written what is at a head without asking git: its author; of a commit of ours, those of its run.
    pub(in crate::engine) fn known_authors(&self, head: &Head) -> Shared<BTreeSet<String>> {
        match &head.by {
            None => BTreeSet::from([head.author.clone()]).into(),
            Some(by) => self.run(by).map(|run| run.authors.clone()).unwrap_or_default(),
        }
    }

    /// The commits of a repository that the state names: nobody's rewriting of a branch may lose them.
    #[must_use]
    pub fn named_commits(&self, repository: &RepositoryName) -> BTreeSet<CommitId> {
        let heads = self.repositories.values().flat_map(|watched| watched.heads.values()).map(|head| &head.set);
        let targets = self.targets.values().flat_map(|target| {
            [Some(&target.verified), target.deployed.as_ref().map(|deployed| &deployed.set)].into_iter().flatten()
        });
        let sets = heads.chain(targets).chain(self.all_runs().map(|run| &run.set)).chain(self.versions.sets());
        let sets = sets.chain(self.promoted.values().map(|promoted| &promoted.set));
        let sets = sets.chain(self.verified.values().map(|verified| &verified.set));
        let mut named: BTreeSet<CommitId> = sets.filter_map(|set| set.get(repository)).cloned().collect();
        if let Some(watched) = self.repositories.get(repository) {
            named.extend(watched.heads.values().map(|head| head.commit.clone()));
            named.extend(watched.gone.values().cloned());
            named.extend(watched.first.values().map(|first| first.commit.clone()));
        }
        named
    }
}

impl Turn<'_> {
    /// Has git asked who wrote what a question is about, unless that is known. People are told when it is.
    pub(in crate::engine) fn ask_git(&mut self, number: u64, id: &StepId) {
        let run = self.run(number);
        let (base, identity) = (self.system.compared_with(run), self.system.identity(run));
        let is_same = |known: &&Authorship| known.base == base && known.identity == identity;
        let known = self.step_of(number, id).authorship.as_deref().filter(is_same);
        let came_with_it = matches!(self.run(number).subject, Subject::Rules | Subject::Operation(_));
        let is_all = |known: &Authorship| known.written.as_ref().is_some_and(|written| written.unknown.is_empty());
        if known.is_some_and(|known| came_with_it || is_all(known)) {
            return self.tell_who_is_asked(number, id);
        }
        self.set_authorship(number, id, Authorship { base, identity, ..Authorship::default() }.into());
        self.emit_authors(number, id, self.at_ms);
    }

    fn set_authorship(&mut self, number: u64, id: &StepId, authorship: Shared<Authorship>) {
        self.record_step(number, id, StepFact::AuthorshipSet(authorship));
    }

    fn authorship(&self, number: u64, id: &StepId) -> Option<Shared<Authorship>> {
        self.step_of(number, id).authorship.clone()
    }

    fn emit_authors(&mut self, number: u64, id: &StepId, due_ms: i64) {
        let effect = Effect::authors(&self.run(number).id, id, self.seq, due_ms);
        if let Some(mut authorship) = self.authorship(number, id) {
            authorship.effect = Some(effect.id.clone());
            self.set_authorship(number, id, authorship);
            self.emit(effect);
        }
    }

    /// Git answers, or could not.
    pub(in crate::engine) fn attributed(&mut self, number: u64, id: &StepId, attribution: &Attribution) {
        let at_ms = self.at_ms;
        let Some(mut authorship) = self.authorship(number, id) else { return };
        authorship.effect = None;
        match attribution {
            Attribution::Retry { error, after_ms } => {
                let doublings = authorship.tries.min(20);
                authorship.tries = authorship.tries.saturating_add(1);
                authorship.error = Some(error.clone());
                self.set_authorship(number, id, authorship);
                let backoff_ms = FIRST_BACKOFF_MS.saturating_mul(1 << doublings).max(after_ms.unwrap_or(0));
                self.emit_authors(number, id, at_ms.saturating_add(backoff_ms.min(LONGEST_BACKOFF_MS)));
            }
            Attribution::Told(written) => {
                (authorship.tries, authorship.error) = (0, None);
                authorship.written = Some(written.clone());
                self.set_authorship(number, id, authorship);
                let (authors, others_wrote) = (written.authors.clone().into(), !written.unknown.is_empty());
                self.record_run(number, RunFact::Attributed { authors, others_wrote });
                self.void_answers_of_authors(number, id, written);
                self.tell_who_is_asked(number, id);
            }
        }
    }

    /// An answer that was given when something else was known counts no more, if whoever gave it wrote some of it.
    fn void_answers_of_authors(&mut self, number: u64, id: &StepId, written: &Written) {
        let (run, step) = (self.run(number), self.step_of(number, id));
        let Some(quorum) = step.task.quorum(&run.stage) else { return };
        let reason = |answer| judge::written_by(&self.system, run, quorum, written, answer);
        let void = step.answers.iter().filter_map(|answer| Some((answer.by.name.clone(), reason(answer)?)));
        self.void(number, id, void.collect());
    }

    /// The people changed: whoever answered an open question may be an author now, or an author a stranger.
    pub(in crate::engine) fn look_at_answers_again(&mut self) {
        let asking = self.system.live_runs().filter_map(|run| {
            let step = run.asking()?;
            Some((run.number, step.id.clone(), step.written()?.clone()))
        });
        for (number, id, written) in asking.collect::<Vec<_>>() {
            self.void_answers_of_authors(number, &id, &written);
        }
    }

    /// Tells people once that they are asked.
    fn tell_who_is_asked(&mut self, number: u64, id: &StepId) {
        let (run, step) = (self.run(number), self.step_of(number, id));
        let quorum = step.task.quorum(&run.stage).cloned();
        let Some(mut authorship) = self.authorship(number, id).filter(|authorship| !authorship.told) else { return };
        authorship.told = true;
        self.set_authorship(number, id, authorship);
        if let Some(quorum) = quorum {
            self.tell_approval_wanted(number, id, &quorum);
        }
    }

    /// A question is over: whoever wrote it, nobody waits for git to say so.
    pub(in crate::engine) fn stop_asking_git(&mut self, number: u64, id: &StepId) {
        let Some(mut authorship) = self.authorship(number, id) else { return };
        let pending = authorship.effect.clone();
        if authorship.told || pending.is_some() {
            (authorship.told, authorship.effect) = (false, None);
            self.set_authorship(number, id, authorship);
        }
        if let Some(effect) = pending {
            self.drop_effect(&effect);
        }
    }

    /// Has git asked again where what an open question is compared with has changed: something else was verified, or taken
    /// back; or where the rules want to know by something else who wrote it.
    pub(in crate::engine) fn keep_questions_current(&mut self) {
        let asking = self.system.live_runs().filter_map(|run| {
            let step = run.asking()?;
            let authorship = step.authorship.as_ref()?;
            let is_same =
                self.system.is_compared_with(run, &authorship.base) && authorship.identity == self.system.identity(run);
            (!is_same).then(|| (run.number, step.id.clone(), authorship.told))
        });
        let changed: Vec<(u64, StepId, bool)> = asking.collect();
        for (number, id, told) in changed {
            self.stop_asking_git(number, &id);
            self.ask_git(number, &id);
            if let Some(mut authorship) = self.authorship(number, &id) {
                authorship.told = told;
                self.set_authorship(number, &id, authorship);
            }
        }
    }

    /// A run succeeded: its target, or its lane, is compared with what it brought from now on.
    pub(in crate::engine) fn verified_on_target(&mut self, run: &Run) {
        if let Some(key) = &run.target {
            self.record_target(key, TargetFact::Verified { set: run.set.clone() });
        }
    }
}
