//! One call as a handler gets it, when all that every call must satisfy has been checked; and what it answers.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header},
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{
    problem::{Problem, ProblemKind},
    server::{Server, SignedIn},
};
use crate::{
    house::{
        House,
        asker::{Asked, Asker},
    },
    rules::SystemName,
};

/// How many items a page has at most.
pub(super) const MOST_ITEMS: u32 = 200;
/// How many digits tell one text of an answer from another.
const TAG_DIGITS: usize = 8;

/// A call.
pub(super) struct Call {
    pub(super) server: Arc<Server>,
    pub(super) house: Arc<House>,
    /// Who asks; nobody where the route is for all.
    pub(super) who: Option<Asker>,
    /// How they signed in.
    pub(super) signed_in: Option<SignedIn>,
    /// The system of the path, which whoever asks may look at.
    pub(super) system: Option<SystemName>,
    pub(super) path: BTreeMap<String, String>,
    pub(super) query: BTreeMap<String, String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What is answered.
pub(super) type Answered = Result<Response<Body>, Problem>;

impl Call {
    /// The system of the path.
    pub(super) fn system(&self) -> Result<&SystemName, Problem> {
        self.system.as_ref().ok_or_else(|| Problem::new(ProblemKind::Broken, "the path has no system"))
    }

    /// Who asks.
    pub(super) fn who(&self) -> Result<&Asker, Problem> {
        self.who.as_ref().ok_or_else(|| Problem::new(ProblemKind::NotSignedIn, "nobody has signed in"))
    }

    /// The same, of the system that the query names, or of all.
    pub(super) async fn asked(&self) -> Result<Asked, Problem> {
        let system = self.query("system", |name| SystemName::new(name).map_err(|error| error.to_string()))?;
        if let Some(system) = &system
            && self.house.has(system).await?
        {
            visible(&self.house, self.who()?, system.as_str()).await?;
        }
        Ok(Asked { system, who: self.who()?.clone() })
    }

    /// A part of the path.
    pub(super) fn part<T>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, Problem> {
        parse(self.path.get(name).map_or("", String::as_str)).map_err(|error| Problem::of_field(name, error))
    }

    /// A part of the query.
    pub(super) fn query<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Problem> {
        let value = self.query.get(name).map(|value| parse(value));
        value.transpose().map_err(|error| Problem::of_field(name, error))
    }

    /// How many are asked for; so many at most, and as many unless it is said.
    pub(super) fn limit(&self, most: u32) -> Result<u32, Problem> {
        let limit = self.query("limit", |text| match text.parse() {
            Ok(limit) if (1..=most).contains(&limit) => Ok(limit),
            _ => Err(format!("`limit` is a number from 1 to {most}")),
        })?;
        Ok(limit.unwrap_or(most))
    }

    /// A header as text.
    pub(super) fn header(&self, name: &HeaderName) -> Result<Option<&str>, Problem> {
        let value = self.headers.get(name).map(HeaderValue::to_str).transpose();
        value.map_err(|_| Problem::of_field(name.as_str(), format!("the header `{name}` is not plain ASCII")))
    }

    /// Whether whoever asks has this already.
    fn has(&self, tag: &str) -> bool {
        let tags = self.headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok()).unwrap_or_default();
        tags.split(',').any(|known| known.trim().trim_start_matches("W/") == tag)
    }

    /// Answers with what follows from a system's log alone: at the same place of the log it is the same, so that it is not even
    /// made where whoever asks has it.
    pub(super) async fn of_log<T: Serialize>(&self, answer: impl AsyncFnOnce(&Self) -> Result<T, Problem>) -> Answered {
        let seq = self.house.ledger.store().last_seq(self.system()?).await?;
        let tag = format!("\"{seq}-{}\"", env!("CARGO_PKG_VERSION"));
        if self.has(&tag) {
            return Ok(unchanged(&tag));
        }
        json(&answer(self).await?, Some(&tag))
    }

    /// Answers with what follows from other things too.
    pub(super) async fn of_more<T: Serialize>(&self, answer: T) -> Answered {
        let body = text_of(&answer)?;
        let seq = match &self.system {
            Some(system) => self.house.ledger.store().last_seq(system).await?,
            None => 0,
        };
        let digits: String = Sha256::digest(&body).iter().take(TAG_DIGITS).map(|byte| format!("{byte:02x}")).collect();
        let tag = format!("\"{seq}-{digits}\"");
        if self.has(&tag) {
            return Ok(unchanged(&tag));
        }
        Ok(json_of(body, Some(&tag)))
    }
}

/// The system of that name, if whoever asks may look at it. Of one that they may not they learn as much as of one that is not
/// there.
pub(super) async fn visible(house: &House, who: &Asker, name: &str) -> Result<SystemName, Problem> {
    let system = SystemName::new(name).map_err(|error| Problem::of_field("system", error.to_string()))?;
    if house.has(&system).await? && house.may_view(&system, who).is_ok() {
        return Ok(system);
    }
    let visible = house.visible_systems(who).await.unwrap_or_default();
    let visible = visible.iter().map(SystemName::as_str).collect::<Vec<_>>().join(", ");
    let there = if visible.is_empty() { "you may look at none".to_owned() } else { format!("there are: {visible}") };
    Err(Problem::not_found(format!("there is no system `{name}`; {there}")))
}

fn text_of(answer: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(answer).map_err(|error| Problem::new(ProblemKind::Broken, error.to_string()))
}

/// A document.
pub(super) fn json(answer: &impl Serialize, tag: Option<&str>) -> Answered {
    Ok(json_of(text_of(answer)?, tag))
}

fn json_of(body: Vec<u8>, tag: Option<&str>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    tagged(&mut response, tag);
    response
}

fn unchanged(tag: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    tagged(&mut response, Some(tag));
    response
}

fn tagged(response: &mut Response<Body>, tag: Option<&str>) {
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(tag).ok()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
}

/// A plain text.
pub(super) fn text(body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
