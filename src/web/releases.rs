//! Releases: promotions of several systems as one.

use std::{future::Future, pin::Pin};

use super::{
    call::{Answered, Call, json, visible},
    commands::key,
    strict,
};
use crate::view::answers::ReleaseAsked;

type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

pub(super) fn release(call: Call) -> Answering {
    Box::pin(async move {
        let asked: ReleaseAsked = strict::read(&call.headers, &call.body)?;
        for system in &asked.systems {
            visible(&call.house, call.who()?, system.as_str()).await?;
        }
        let key = key(&call, &asked)?;
        json(&call.house.release(call.who()?, asked, key).await?, None)
    })
}

pub(super) fn standing(call: Call) -> Answering {
    Box::pin(async move {
        let name = call.part("release", |name| Ok(name.to_owned()))?;
        let told = call.house.release_told(call.who()?, &name).await?;
        call.of_more(told).await
    })
}
