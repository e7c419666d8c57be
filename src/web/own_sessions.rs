//! The sessions of whoever asks: the first page that shows them, the list, and the end of one.

use std::{future::Future, pin::Pin};

use axum::http::StatusCode;

use super::{
    call::{Answered, Call, text},
    connect::CONNECT,
    page_token::is_form,
    pages::{Page, Shown, elsewhere, reads_pages},
    problem::Problem,
    server::SignedIn,
    sessions::page_token,
};
use crate::{
    engine::explain,
    house::now_ms,
    store::{Session, SessionNote, SessionOwner},
    view::answers::{SessionEnded, SessionTold},
};

/// Where a session is ended.
pub(super) const END: &str = "/api/v1/sessions/{session}/end";

type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// Who has signed in: a page for browsers, a line for others.
pub(super) fn home(call: Call) -> Answering {
    Box::pin(async move {
        let by = call.house.settings.principal(call.who()?);
        let Some(SignedIn::Session { secret, .. }) = call.signed_in.as_ref().filter(|_| reads_pages(&call.headers))
        else {
            return Ok(text(format!(
                "You have signed in as {}.\nWhat can be asked is described at /api.\n",
                by?.said()
            )));
        };
        let (page, status) = match &by {
            Ok(by) => {
                let page = Page::new(format!("You have signed in as {}", by.said()));
                let page = page.says("What can be asked is described at /api.");
                let settings = &call.house.settings;
                let may = settings.forges.github.is_none() && settings.may_connect(call.who()?).is_ok();
                (if may { page.link(CONNECT, "Connect GitHub") } else { page }, StatusCode::OK)
            }
            Err(error) => {
                let page = Page::new("Tidegate does not know you").says(format!("{error:#}"));
                (page.link("/sign-in", "Sign in otherwise"), StatusCode::FORBIDDEN)
            }
        };
        let shown = own(&call).await?.into_iter().map(|session| {
            let told = told(&call, session);
            let this = if told.is_this { " (this one)" } else { "" };
            let (begun, used) = (explain::time(told.begun_ms), explain::time(told.used_ms));
            Shown {
                to: END.replace("{session}", &told.id),
                says: format!("by {}, since {begun}, last used {used}{this}", told.signed_in_by),
                browser: told.browser,
            }
        });
        page.sessions(shown.collect(), page_token(secret)).response(status)
    })
}

pub(super) fn sessions(call: Call) -> Answering {
    Box::pin(async move {
        let sessions: Vec<SessionTold> = own(&call).await?.into_iter().map(|session| told(&call, session)).collect();
        call.of_more(sessions).await
    })
}

/// Ends a session of whoever asks. One of somebody else is as one that is not there.
pub(super) fn end(call: Call) -> Answering {
    Box::pin(async move {
        let id = call.part("session", |id| Ok(id.to_owned()))?;
        let is_own = own(&call).await?.iter().any(|session| session.id == id);
        if !is_own || !call.house.ledger.store().note(SessionNote::Ended { id: id.clone() }.into()).await? {
            return Err(
                Problem::not_found("you have no such session").hint("`/api/v1/sessions` lists those that you have")
            );
        }
        if is_form(&call.headers) { elsewhere("/") } else { super::call::json(&SessionEnded { id }, None) }
    })
}

/// The sessions of whoever asks that last, the newest first. Programs have none.
async fn own(call: &Call) -> Result<Vec<Session>, Problem> {
    let Some(SignedIn::Session { session: this, .. }) = &call.signed_in else { return Ok(Vec::new()) };
    let now_ms = now_ms();
    let mut sessions = call.house.ledger.store().sessions().await?;
    sessions.retain(|session| session.owner.is(&this.owner) && session.is_good(now_ms));
    Ok(sessions)
}

fn told(call: &Call, session: Session) -> SessionTold {
    let is_this = matches!(&call.signed_in, Some(SignedIn::Session { session: this, .. }) if this.id == session.id);
    let ends_ms = session.idle_end_ms();
    let Session { id, hash: _, owner, browser, begun_ms, used_ms, ends_ms: _ } = session;
    let signed_in_by = match owner {
        SessionOwner::Link { .. } => "link".to_owned(),
        SessionOwner::Issuer(identity) => identity.issuer,
    };
    SessionTold { id, signed_in_by, browser, begun_ms, used_ms, ends_ms, is_this }
}
