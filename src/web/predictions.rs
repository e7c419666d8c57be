//! What would happen: simulated on copies, which takes processors, disk and time, so that only so many go on at once, each on a
//! thread that answers nobody else.

use std::{future::Future, pin::Pin, time::Duration};

use tokio::{runtime::Handle, task::spawn_blocking, time::timeout};

use super::{
    call::{Answered, Call, json},
    problem::{Problem, ProblemKind},
    strict,
};
use crate::{house::predictions::OnlyHere, view::predictions::PredictionAsked};

/// How long one may take: less than an answer may.
const PREDICTED_WITHIN: Duration = Duration::from_secs(50);

pub(super) fn predict(call: Call) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
    Box::pin(async move {
        let asked: PredictionAsked = strict::read(&call.headers, &call.body)?;
        let (system, who) = (call.system()?.clone(), call.who()?.clone());
        let places = call.server.prediction(who.user.to_string())?;
        let (house, runtime) = (call.house, Handle::current());
        let predicted = spawn_blocking(move || {
            let _places = places;
            // Dropped when its time is over, it removes its copies.
            runtime.block_on(timeout(PREDICTED_WITHIN, house.predict(&system, &who, asked, OnlyHere::default())))
        });
        match predicted.await {
            Ok(Ok(prediction)) => json(&prediction?, None),
            Ok(Err(_)) => {
                let late = format!("this was not predicted within {} seconds", PREDICTED_WITHIN.as_secs());
                Err(Problem::new(ProblemKind::Unavailable, late).hint("look less far ahead"))
            }
            Err(error) => Err(Problem::new(ProblemKind::Broken, error.to_string())),
        }
    })
}
