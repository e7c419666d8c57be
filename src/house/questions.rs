//! What is asked of systems, and answered with the documents of `view/`: the one place where the store, the server's files and
//! the mirrors are read for an answer, whoever asks.

use anyhow::bail;

use super::{
    House,
    asker::Asked,
    failure::Unanswered,
    in_force::{NotThere, RulesLook},
    moment,
    place_waits::PlaceWaits,
    releases::{self, Visible},
    remotes, whereabouts,
};
use crate::{
    engine::{
        Event, Recorded, Run, RunId, RunState, System, TargetKey, explain,
        stats::{self, Period, Whereabouts},
    },
    providers::sandbox::SandboxKind,
    rules::{Span, StageName, StepId, SystemName, TargetName},
    steps::{printed, printed_by},
    store::{RunFilter, replay},
    view::{
        explain::{JourneyExplained, RunExplained},
        run::{RunShown, parse_run},
        stats::SystemStats,
        status::StatusReport,
        target::TargetReport,
    },
};

/// What is told of the systems that are asked about.
#[derive(Debug, Default)]
pub struct StatusTold {
    /// Those that are there.
    pub there: Vec<(SystemName, StatusReport)>,
    /// Those whose rules never were without mistakes.
    pub not_there: Vec<StatusReport>,
}

/// Which runs are asked for.
#[derive(Debug, Clone)]
pub struct RunsWanted {
    /// Only runs of this rule; `promote` for promotions.
    pub rule: Option<String>,
    /// Only runs of this stage.
    pub stage: Option<StageName>,
    /// Only runs in this state.
    pub state: Option<RunState>,
    /// Only runs with a lower number: for the next page.
    pub before: Option<u64>,
    /// How many at most.
    pub limit: u32,
}

/// From when on figures are asked for: a moment, or a length of time, which is so long ago.
///
/// # Errors
/// When it is neither, or a moment that has not come.
pub fn period_since(since: &str, until_ms: i64) -> anyhow::Result<Period> {
    let since_ms = match since.parse::<Span>() {
        Ok(span) => until_ms.saturating_sub(span.as_ms()),
        Err(_) => moment::parse(since, until_ms)?,
    };
    if since_ms > until_ms {
        bail!(Unanswered::unclear(format!(
            "{} has not come yet: `--since` is a moment of the past",
            explain::time(since_ms)
        )));
    }
    Ok(Period { since_ms, until_ms })
}

impl House {
    /// The lattice of every system that is asked about.
    ///
    /// # Errors
    /// When whoever asks may not look, or the store cannot be read.
    pub async fn status(&self, asked: &Asked) -> anyhow::Result<StatusTold> {
        let look = RulesLook::read(&self.settings);
        let not_there = self.not_there(asked, look.clone()).await?;
        // One that is not there cannot be looked for in the store.
        let named_is_not_there = asked.system.is_some() && !not_there.is_empty();
        let systems = if named_is_not_there { Vec::new() } else { self.systems_shown(asked).await? };
        let (mut there, visible) = (Vec::new(), Visible::to(self, &asked.who));
        for system in systems {
            let report = self.status_of(&system, &look, &visible).await?;
            there.push((system, report));
        }
        let told = |file: NotThere| StatusReport::not_there(file.source, file.system.as_ref(), file.mistakes);
        Ok(StatusTold { there, not_there: not_there.into_iter().map(told).collect() })
    }

    async fn status_of(
        &self,
        system: &SystemName,
        look: &RulesLook,
        visible: &Visible<'_>,
    ) -> anyhow::Result<StatusReport> {
        let waits = PlaceWaits::of(self, system);
        let told = |state: &System| {
            let mut report = StatusReport::of(state);
            waits.tell_status(state, &mut report);
            (report, remotes::urls(state))
        };
        match self.ledger.read(system, told).await {
            Ok((mut report, urls)) => {
                report.remotes = remotes::of(self, &urls);
                report.rules.iter_mut().for_each(|rules| rules.trouble.clone_from(&look.trouble));
                let half_released = releases::of(system, visible).await?;
                let unboxed = self.settings.sandbox == SandboxKind::None;
                Ok(StatusReport { half_released, unboxed, ..report })
            }
            Err(error) => Ok(StatusReport::unreadable(system, error.to_string())),
        }
    }

    /// The rules files of systems that are not there, as far as they are asked for and may be looked at.
    async fn not_there(&self, asked: &Asked, look: RulesLook) -> anyhow::Result<Vec<NotThere>> {
        let there = self.systems().await?.into_iter().collect();
        let mut files = look.not_there(&there);
        files.retain(|file| asked.system.is_none() || asked.system == file.system);
        if !files.is_empty() && !self.settings.grants.is_empty() {
            let who = self.settings.principal(&asked.who)?;
            files.retain(|file| self.settings.may_view(&who, file.system.as_ref()));
        }
        Ok(files)
    }

    /// One run, whether it goes on or has ended.
    ///
    /// # Errors
    /// When there was no such run, or the store cannot be read.
    pub async fn run_shown(&self, system: &SystemName, id: &RunId) -> anyhow::Result<RunShown> {
        let waits = PlaceWaits::of(self, system);
        let known = self.ledger.read(system, |state| RunShown::of(state, id)).await?;
        if let Some(mut shown) = known {
            shown.waiting = waits.instead_of(shown.waiting, &shown.run);
            return Ok(shown);
        }
        match self.ledger.store().run(system, id).await? {
            Some(run) => Ok(self.ledger.read(system, |state| RunShown::ended(state, run)).await?),
            None => {
                bail!(Unanswered::none(format!("{system} has had no run `{id}`; `tidegate runs` lists them")))
            }
        }
    }

    /// A run as it is, without what is made of it for people.
    ///
    /// # Errors
    /// When there was no such run, or the store cannot be read.
    pub async fn run(&self, system: &SystemName, id: &RunId) -> anyhow::Result<Run> {
        let run = match self.ledger.read(system, |state| state.run(id).cloned()).await? {
            Some(run) => Some(run),
            None => self.ledger.store().run(system, id).await?,
        };
        run.ok_or_else(|| {
            Unanswered::none(format!("{system} has had no run `{id}`; `tidegate runs` lists them")).into()
        })
    }

    /// A run, and what its steps printed so far, in the order in which they began.
    ///
    /// # Errors
    /// When there was no such run; when the store or the logs cannot be read.
    pub async fn printed(&self, system: &SystemName, id: &RunId) -> anyhow::Result<(Run, Vec<(StepId, Vec<u8>)>)> {
        let (run, objects) = (self.run(system, id).await?, self.settings.objects().open_to_read()?);
        let (logs, steps) = (self.settings.logs(), in_order(&run));
        let printed = printed(&logs, &*objects, (system, &run.unique_name()), &steps).await?;
        Ok((run, printed))
    }

    /// A run, and what one of its steps printed so far.
    ///
    /// # Errors
    /// When there was no such run or step; when the store or the logs cannot be read.
    pub async fn printed_by(&self, system: &SystemName, id: &RunId, step: &StepId) -> anyhow::Result<(Run, Vec<u8>)> {
        let (run, objects) = (self.run(system, id).await?, self.settings.objects().open_to_read()?);
        let log = printed_by(&self.settings.logs(), &*objects, (system, &run.unique_name()), step).await?;
        if log.is_empty() && run.step(step).is_none() {
            bail!(Unanswered::none(format!("{id} has no step `{step}`")));
        }
        Ok((run, log))
    }

    /// Runs, the newest first: those that go on, and those that ended.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn runs(&self, system: &SystemName, wanted: &RunsWanted) -> anyhow::Result<Vec<Run>> {
        let RunsWanted { rule, stage, state, before, limit } = wanted;
        let (subject, stage) = (rule.clone(), stage.clone());
        let filter =
            RunFilter { subject, stage: stage.clone(), state: *state, before: *before, ..RunFilter::newest(*limit) };
        let is_wanted = |run: &&Run| {
            rule.as_ref().is_none_or(|rule| run.subject.name() == rule)
                && stage.as_ref().is_none_or(|stage| run.stage == *stage)
                && state.is_none_or(|state| run.state == state)
                && before.is_none_or(|before| run.number < before)
        };
        let mut runs = self.ledger.store().runs(system, &filter).await?;
        // A run that failed and goes on again is in both places; the state knows better.
        let (live, wanted) = self
            .ledger
            .read(system, |state| {
                let live: Vec<Run> = state.live_runs().cloned().collect();
                (live.iter().map(|run| run.number).collect::<Vec<_>>(), live)
            })
            .await?;
        runs.retain(|run| !live.contains(&run.number));
        let live = wanted.into_iter().filter(|run| is_wanted(&run));
        runs.extend(live);
        runs.sort_by_key(|run| std::cmp::Reverse(run.number));
        runs.truncate(*limit as usize);
        Ok(runs)
    }

    /// Events of the log in order: from a place on, or else the newest.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn history(
        &self,
        system: &SystemName,
        since: Option<u64>,
        limit: u32,
    ) -> anyhow::Result<Vec<Recorded<Event>>> {
        let last = self.ledger.read(system, |state| state.seq).await?;
        let since = since.unwrap_or_else(|| (last + 1).saturating_sub(u64::from(limit)).max(1));
        Ok(self.ledger.store().events(system, since, limit).await?)
    }

    /// Why a run is where it is.
    ///
    /// # Errors
    /// When there was no such run, or the store cannot be read.
    pub async fn run_explained(&self, system: &SystemName, what: &str) -> anyhow::Result<RunExplained> {
        let Ok(id) = parse_run(what) else {
            bail!(Unanswered::unclear(format!(
                "`{what}` is no run; for a commit or an artifact say on the way to which stage: `--stage STAGE`"
            )));
        };
        let ended = self.ledger.store().run(system, &id).await?;
        let waits = PlaceWaits::of(self, system);
        let explained = self.ledger.read(system, |state| {
            let run = state.run(&id).or(ended.as_ref())?;
            let mut conditions = explain::chain(state, run);
            waits.tell_chain(run, &mut conditions);
            Some(RunExplained {
                system: system.clone(),
                run: run.id.clone(),
                stage: run.stage.clone(),
                state: run.state,
                known_by: explain::known_by(state, run),
                conditions,
            })
        });
        let Some(explained) = explained.await? else {
            bail!(Unanswered::none(format!(
                "{system} has had no run `{id}`; `tidegate runs` lists them, and `--stage` asks about commits and \
                 artifacts"
            )));
        };
        Ok(explained)
    }

    /// Where a commit or artifact is on its way to a stage.
    ///
    /// # Errors
    /// When it, or the stage, is not there; when the store or a mirror cannot be read.
    pub async fn journey_explained(
        &self,
        system: &SystemName,
        what: &str,
        stage: &StageName,
    ) -> anyhow::Result<JourneyExplained> {
        let store = self.ledger.store().as_ref();
        let state = self.ledger.read(system, System::clone).await?;
        known_stage(&state, system, stage)?;
        if let Ok(id) = parse_run(what)
            && (state.run(&id).is_some() || store.run(system, &id).await?.is_some())
        {
            bail!(Unanswered::unclear(format!(
                "`{id}` is a run, which is in one stage; `tidegate explain {id}` says why it is where it is"
            )));
        }
        let ((repository, commit), artifact) = whereabouts::meant(self, system, &state, what).await?;
        let ancestry = whereabouts::whereabouts(self, &state, (&repository, &commit)).await?;
        let mut journey = explain::journey(&state, &ancestry, &repository, &commit, stage);
        let head = ancestry.first_head_with(&commit).cloned();
        let contains = head.map(|head| std::mem::replace(&mut journey.commit, head));
        Ok(JourneyExplained { system: system.clone(), artifact, contains, journey })
    }

    /// How well delivery goes in a system. `tell` is told how far its log was read, and how far it goes.
    ///
    /// # Errors
    /// When there is no such stage, or the log cannot be read.
    pub async fn stats(
        &self,
        system: &SystemName,
        period: Period,
        stage: Option<&StageName>,
        tell: impl Fn(u64, u64),
    ) -> anyhow::Result<SystemStats> {
        let store = self.ledger.store().as_ref();
        let last = store.last_seq(system).await?;
        let mut whereabouts = Whereabouts::default();
        let state = replay(store, system, None, |recorded, decision, state| {
            tell(recorded.seq, last);
            whereabouts.take(recorded, decision, state);
        });
        let state = state.await?;
        if let Some(stage) = stage {
            known_stage(&state, system, stage)?;
        }
        let stages: Vec<StageName> = state.rules().iter().flat_map(|rules| rules.stages.keys().cloned()).collect();
        let period = period.known_since(whereabouts.first_ms());
        let mut stages = stats::of(&whereabouts, &stages, period);
        stages.retain(|stats| stage.is_none_or(|stage| stats.stage == *stage));
        Ok(SystemStats { system: system.clone(), period, stages })
    }

    /// One target.
    ///
    /// # Errors
    /// When there is no such target, or the store cannot be read.
    pub async fn target(
        &self,
        system: &SystemName,
        target: &TargetName,
        stage: &StageName,
    ) -> anyhow::Result<TargetReport> {
        let key = TargetKey::Target(target.clone(), stage.clone());
        let (found, known) =
            self.ledger.read(system, |state| (TargetReport::of(state, &key), TargetReport::all(state))).await?;
        let known: Vec<String> = known.iter().map(|target| format!("{}@{}", target.target, target.stage)).collect();
        let is_known = known.contains(&key.to_string());
        let Some(report) = found.filter(|_| is_known) else {
            bail!(Unanswered::none(format!(
                "there is no target `{target}` in {stage}; there are: {}",
                known.join(", ")
            )));
        };
        Ok(report)
    }
}

/// The steps of a run in the order in which they began; those that begin anew may have printed something before.
fn in_order(run: &Run) -> Vec<StepId> {
    let mut steps: Vec<_> = run.steps.iter().collect();
    steps.sort_by_key(|step| step.started_ms.unwrap_or(i64::MAX));
    steps.into_iter().map(|step| step.id.clone()).collect()
}

/// Refuses a stage that a system does not have.
fn known_stage(state: &System, system: &SystemName, stage: &StageName) -> anyhow::Result<()> {
    let stages: Vec<&str> = state.rules().iter().flat_map(|rules| rules.stages.keys().map(StageName::as_str)).collect();
    if !stages.contains(&stage.as_str()) {
        bail!(Unanswered::none(format!("{system} has no stage `{stage}`; it has: {}", stages.join(", "))));
    }
    Ok(())
}
