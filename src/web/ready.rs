//! Whether the server works: the store can be written, and what is due is begun.

use std::{collections::BTreeSet, future::Future, pin::Pin};

use super::{
    call::{Answered, Call, text},
    problem::{Problem, ProblemKind},
};
use crate::{house::now_ms, rules::SystemName, store::TokenNote};

/// How long something that is due may lie before the driver is said not to work.
const DUE_FOR_MS: i64 = 60_000;
/// How many late effects are looked at.
const MOST_LATE: u32 = 100;

/// Anybody may ask. What is late is named to whoever may look at its system.
pub(super) fn ready(call: Call) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
    Box::pin(async move {
        let store = call.house.ledger.store();
        // It notes nothing, and takes what writing takes.
        store.note(TokenNote::Used { name: String::new(), at_ms: now_ms() }.into()).await?;
        let now_ms = now_ms();
        let late = store.overdue(now_ms - DUE_FOR_MS, MOST_LATE).await?;
        if late.is_empty() {
            return Ok(text("ready\n"));
        }
        let visible = match call.server.signed_in(&call.headers, &call.house).await {
            Ok(Some((who, _))) => call.house.visible_systems(&who).await.unwrap_or_default(),
            Ok(None) | Err(_) => Vec::new(),
        };
        let visible: BTreeSet<SystemName> = visible.into_iter().collect();
        let count = late.len();
        let named = late.iter().filter(|(system, ..)| visible.contains(system)).map(|(system, effect, due_ms)| {
            format!("{system} {effect}, due for {} seconds", (now_ms - due_ms) / 1_000)
        });
        let named: Vec<String> = named.collect();
        let longest = late.first().map_or(0, |(.., due_ms)| (now_ms - due_ms) / 1_000);
        let many = if count == 1 { "1 thing is".to_owned() } else { format!("{count} things are") };
        let mut detail = format!("{many} due and not begun, the first for {longest} seconds");
        if !named.is_empty() {
            detail = format!("{detail}: {}", named.join("; "));
        }
        let problem = Problem::new(ProblemKind::Unavailable, detail);
        Err(problem.hint("the driver does not claim: look at the server's log"))
    })
}
