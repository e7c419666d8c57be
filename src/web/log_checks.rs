//! Whether the logs are as they were written.

use std::{future::Future, pin::Pin};

use super::call::{Answered, Call, json};
use crate::store::Expected;

pub(super) fn log_checks(call: Call) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
    Box::pin(async move {
        let expected = call.query("expect", str::parse::<Expected>)?;
        let systems = call.house.systems_checked(&call.asked().await?, expected.is_some()).await?;
        let _place = call.server.heavy().await?;
        let mut checked = Vec::new();
        for system in systems {
            checked.push(call.house.check_log(&system, expected.as_ref(), &|_, _| {}).await?);
        }
        json(&checked, None)
    })
}
