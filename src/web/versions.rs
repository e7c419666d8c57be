//! What is held, which versions there are, and the promotions between stages.

use std::{future::Future, pin::Pin};

use super::{
    call::{Answered, Call, MOST_ITEMS},
    cursor::{at, cursor},
    problem::Problem,
    questions::{run_state, stage},
};
use crate::{
    house::{now_ms, questions::RunsWanted},
    view::{
        answers::Page,
        holds::HoldsTold,
        versions::{PromotionTold, VersionsOfStage},
    },
};

type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// A window opens and shuts with the clock, and not with the log.
pub(super) fn holds(call: Call) -> Answering {
    Box::pin(async move {
        let system = call.system()?;
        let holds = call.house.ledger.read(system, |state| HoldsTold::of(system, state, now_ms())).await?;
        call.of_more(holds).await
    })
}

pub(super) fn versions(call: Call) -> Answering {
    Box::pin(async move {
        let stage = call.query("stage", stage)?;
        call.of_log(async |call| {
            let system = call.system()?;
            let mut stages = call.house.ledger.read(system, |state| VersionsOfStage::all(system, state)).await?;
            let there: Vec<String> = stages.iter().map(|of| of.stage.to_string()).collect();
            if let Some(stage) = &stage {
                stages.retain(|of| of.stage == *stage);
                if stages.is_empty() {
                    let there = there.join(", ");
                    return Err(Problem::not_found(format!("{system} has no stage `{stage}`; it has: {there}")));
                }
            }
            Ok(stages)
        })
        .await
    })
}

pub(super) fn promotions(call: Call) -> Answering {
    Box::pin(async move {
        let wanted = RunsWanted {
            rule: Some("promote".to_owned()),
            stage: call.query("stage", stage)?,
            state: call.query("state", run_state)?,
            before: call.query("cursor", |cursor| at(cursor, "promotions"))?,
            limit: call.limit(MOST_ITEMS)?,
        };
        call.of_log(async |call| {
            let system = call.system()?;
            let runs = call.house.runs(system, &wanted).await?;
            let is_full = runs.len() == wanted.limit as usize;
            let last = runs.last().map(|run| run.number).filter(|number| is_full && *number > 1);
            let told = call.house.ledger.read(system, |state| {
                runs.iter().filter_map(|run| PromotionTold::of(system, state, run)).collect::<Vec<_>>()
            });
            Ok(Page { items: told.await?, next: last.map(|number| cursor("promotions", number)) })
        })
        .await
    })
}
