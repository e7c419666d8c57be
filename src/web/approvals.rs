//! The open questions: of one system, and of all that whoever asks may look at.

use std::{future::Future, pin::Pin};

use super::{
    call::{Answered, Call, MOST_ITEMS},
    cursor::{cursor, text_at},
};
use crate::{
    engine::RunId,
    rules::SystemName,
    view::{answers::Page, approvals::QuestionTold},
};

type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;
/// The question after which a page begins: the system, and the number of the run that asks.
type After = (SystemName, u64);

pub(super) fn of_system(call: Call) -> Answering {
    Box::pin(async move {
        let (after, limit) = (call.query("cursor", after)?, call.limit(MOST_ITEMS)? as usize);
        call.of_log(async |call| {
            let system = call.system()?;
            let questions = call.house.ledger.read(system, |state| QuestionTold::all(system, state)).await?;
            let mut items = Vec::new();
            add(&mut items, questions, after.as_ref());
            Ok(page(items, limit))
        })
        .await
    })
}

pub(super) fn of_all(call: Call) -> Answering {
    Box::pin(async move {
        let (after, limit) = (call.query("cursor", after)?, call.limit(MOST_ITEMS)? as usize);
        let mut items = Vec::new();
        for system in call.house.systems_shown(&call.asked().await?).await? {
            if items.len() > limit {
                break;
            }
            if after.as_ref().is_some_and(|(last, _)| system < *last) {
                continue;
            }
            // Of one whose log cannot be read, its status says so.
            if let Ok(questions) = call.house.ledger.read(&system, |state| QuestionTold::all(&system, state)).await {
                add(&mut items, questions, after.as_ref());
            }
        }
        call.of_more(page(items, limit)).await
    })
}

fn add(items: &mut Vec<QuestionTold>, questions: Vec<QuestionTold>, after: Option<&After>) {
    items.extend(questions.into_iter().filter(|question| after.is_none_or(|after| place(question) > *after)));
}

fn page(mut items: Vec<QuestionTold>, limit: usize) -> Page<QuestionTold> {
    let is_more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| is_more).map(place);
    let next = last.map(|(system, number)| cursor("approvals", format!("{system}/{number}")));
    Page { items, next }
}

fn place(question: &QuestionTold) -> After {
    (question.system.clone(), RunId::number(&question.run).unwrap_or_default())
}

fn after(cursor: &str) -> Result<After, String> {
    let text = text_at(cursor, "approvals")?;
    let read = || {
        let (system, number) = text.split_once('/')?;
        Some((SystemName::new(system).ok()?, number.parse().ok()?))
    };
    read().ok_or_else(|| "this is no `next` of a page before".to_owned())
}
