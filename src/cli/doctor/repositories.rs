//! Whether each repository of the rules can be reached, and has the branches of the stages. All are asked at the same time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, task::JoinSet};

use super::finding::{About, Findings};
use crate::{
    cli::{House, asker::Asker, progress::Progress, settings::Settings},
    providers::{
        Fault,
        git::{Mirrors, Proofs},
    },
};

/// How many are asked at the same time.
const AT_ONCE: usize = 16;

/// A repository, and who asks for which branches of it.
struct Question {
    of: String,
    url: String,
    branches: Vec<String>,
}

type Answer = Result<BTreeMap<String, Option<String>>, Fault>;

/// Asks each for its heads.
pub(super) async fn reach(
    settings: &Settings,
    house: Option<&House>,
    who: &Asker,
    patience: Duration,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let questions = questions(settings, house, who, findings).await?;
    if questions.is_empty() {
        return Ok(());
    }
    let mut options = settings.git_options(Proofs::none());
    options.lender = settings.lender();
    let mirrors = Arc::new(Mirrors::as_they_are(settings.data.join("mirrors"), options));
    let (places, count) = (Arc::new(Semaphore::new(AT_ONCE)), questions.len() as u64);
    let mut asking: JoinSet<(Question, Duration, Answer)> = JoinSet::new();
    for question in questions {
        let (mirrors, places) = (Arc::clone(&mirrors), Arc::clone(&places));
        asking.spawn(async move {
            let _place = places.acquire().await;
            let begun = Instant::now();
            let asked = async { mirrors.asked_only(&question.url)?.heads(&question.branches, patience).await };
            // What does not mind its deadline is left alone a moment later.
            let answer = tokio::time::timeout(patience + Duration::from_secs(5), asked)
                .await
                .unwrap_or_else(|_| Err(Fault::retry(format!("{} did not answer within {patience:?}", question.url))));
            (question, begun.elapsed(), answer)
        });
    }
    let progress = Progress::counting("asking the repositories".to_owned(), "repositories");
    let (mut answers, mut done) = (BTreeMap::new(), 0);
    while let Some(answered) = asking.join_next().await {
        done += 1;
        progress.tell(done, count);
        let (question, took, answer) = answered?;
        answers.insert(question.of.clone(), (question, took, answer));
    }
    drop(progress);
    for (question, took, answer) in answers.into_values() {
        tell(&question, took, answer, findings);
    }
    Ok(())
}

/// The repositories of the systems that whoever asks may look at, and that of the rules.
async fn questions(
    settings: &Settings,
    house: Option<&House>,
    who: &Asker,
    findings: &mut Findings,
) -> anyhow::Result<Vec<Question>> {
    let mut questions = Vec::new();
    if let Some(from) = settings.rules.repository() {
        let (url, branches) = (from.repository.clone(), vec![from.branch.clone()]);
        questions.push(Question { of: "the rules".to_owned(), url, branches });
    }
    let Some(house) = house else { return Ok(questions) };
    let systems = match house.visible_systems(who).await {
        Ok(systems) => systems,
        Err(error) => {
            let remedy = "ask as somebody who may look at the systems (`--as`)";
            findings.warn(About::Repositories, None, format!("those of the systems were not asked: {error:#}"), remedy);
            return Ok(questions);
        }
    };
    for system in systems {
        let asked = house.ledger.read(&system, |state| {
            let rules = state.rules().into_iter();
            let all = rules.flat_map(|rules| rules.repositories.iter().map(move |(name, of)| (rules, name, of)));
            let ask = all.map(|(rules, name, of)| {
                let branches: BTreeSet<String> =
                    rules.stages.keys().map(|stage| rules.branch(stage).to_owned()).collect();
                let branches = branches.into_iter().collect();
                Question { of: format!("{system} {name}"), url: of.url.clone(), branches }
            });
            ask.collect::<Vec<_>>()
        });
        // A log that cannot be read has been found already.
        questions.extend(asked.await.unwrap_or_default());
    }
    Ok(questions)
}

fn tell(question: &Question, took: Duration, answer: Answer, findings: &mut Findings) {
    let of = Some(question.of.as_str());
    match answer {
        Ok(heads) => {
            let missing: Vec<&str> =
                heads.iter().filter(|(_, head)| head.is_none()).map(|(branch, _)| branch.as_str()).collect();
            if missing.is_empty() {
                let branches = question.branches.join(", ");
                return findings.good(
                    About::Repositories,
                    of,
                    format!("reached in {} ms: {branches}", took.as_millis()),
                );
            }
            let remedy = "push a first commit to it, or correct the branch of this stage in the rules";
            findings.warn(About::Repositories, of, format!("it has no branch {}", missing.join(", ")), remedy);
        }
        Err(fault) => {
            let (error, hint) = parted(fault);
            findings.bad(About::Repositories, of, error, hint);
        }
    }
}

/// What came back, and what to do.
pub(super) fn parted(fault: Fault) -> (String, String) {
    match fault {
        Fault::Fail { error, hint } => (error, hint),
        Fault::Retry { error, .. } => {
            (error, "try again; look at the network between here and there if it stays".to_owned())
        }
    }
}
