//! A text that is looked for in all that whoever asks may look at.

use std::{future::Future, pin::Pin};

use super::{
    call::{Answered, Call},
    problem::Problem,
};

/// How many things are found at most.
pub(super) const MOST_FOUND: u32 = 50;
/// How long a text is that is looked for, in characters: shorter ones are in everything.
const FEWEST: usize = 2;
const MOST: usize = 100;

pub(super) fn search(call: Call) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
    Box::pin(async move {
        let text = call.query("q", |text| Ok(text.to_owned()))?.unwrap_or_default();
        if !(FEWEST..=MOST).contains(&text.chars().count()) {
            return Err(Problem::of_field("q", format!("`q` has {FEWEST} to {MOST} characters")));
        }
        let limit = call.limit(MOST_FOUND)?;
        let asked = call.asked().await?;
        let systems = call.house.systems_shown(&asked).await?;
        let _place = call.server.heavy().await?;
        let found = call.house.search(&asked.who, &systems, &text, limit as usize).await?;
        call.of_more(found).await
    })
}
