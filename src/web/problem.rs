//! Why something was not answered, as RFC 9457 says it: for programs by its type, for people by its words, which are those of the
//! command line.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    engine::Refused,
    house::{failure::Unanswered, predictions::Unpredictable},
    rules::Mistakes,
    store::{RecordError, StoreError},
};

/// How long somebody waits before the same may succeed, in seconds.
const AGAIN_AFTER_S: u32 = 5;

/// Why something was not answered. It is small, for it is handed on wherever something may fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// What kind of problem it is.
    #[serde(rename = "type")]
    pub kind: ProblemKind,
    /// The same in words, alike for all of its kind.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What failed and why, as the command line says it.
    pub detail: String,
    /// What to do about it, where the detail does not say that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<Box<str>>,
    /// Who may do it, where whoever asked may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who_could: Option<Box<str>>,
    /// After how many seconds it may be asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_after_s: Option<u32>,
    /// The part of what was asked that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<Box<str>>,
    /// The mistakes in the rules that were sent, as `tidegate check -o json` prints them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mistakes: Option<Box<Value>>,
}

/// What kind of problem something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProblemKind {
    /// What was asked cannot be understood.
    #[serde(rename = "urn:tidegate:problem:bad-request")]
    BadRequest,
    /// Nobody has signed in.
    #[serde(rename = "urn:tidegate:problem:not-signed-in")]
    NotSignedIn,
    /// Whoever asks may not.
    #[serde(rename = "urn:tidegate:problem:forbidden")]
    Forbidden,
    /// There is no such thing.
    #[serde(rename = "urn:tidegate:problem:not-found")]
    NotFound,
    /// The method is not for this path.
    #[serde(rename = "urn:tidegate:problem:method-not-allowed")]
    MethodNotAllowed,
    /// It took too long to send.
    #[serde(rename = "urn:tidegate:problem:too-slow")]
    TooSlow,
    /// The engine refuses it as things are.
    #[serde(rename = "urn:tidegate:problem:refused")]
    Refused,
    /// The system has moved since whoever asks last looked.
    #[serde(rename = "urn:tidegate:problem:moved")]
    Moved,
    /// What was sent is too long.
    #[serde(rename = "urn:tidegate:problem:too-long")]
    TooLong,
    /// What was sent is no JSON.
    #[serde(rename = "urn:tidegate:problem:no-json")]
    NoJson,
    /// That part is not there.
    #[serde(rename = "urn:tidegate:problem:no-such-range")]
    NoSuchRange,
    /// It was asked of another server.
    #[serde(rename = "urn:tidegate:problem:other-host")]
    OtherHost,
    /// What was sent has the wrong shape, or a key was used for something else.
    #[serde(rename = "urn:tidegate:problem:invalid")]
    Invalid,
    /// Too much is asked at once.
    #[serde(rename = "urn:tidegate:problem:too-much")]
    TooMuch,
    /// The server is at fault.
    #[serde(rename = "urn:tidegate:problem:broken")]
    Broken,
    /// It cannot be done now.
    #[serde(rename = "urn:tidegate:problem:unavailable")]
    Unavailable,
}

impl ProblemKind {
    /// The status that says so, and the words.
    #[must_use]
    pub const fn status(self) -> (u16, &'static str) {
        match self {
            Self::BadRequest => (400, "this cannot be understood"),
            Self::NotSignedIn => (401, "nobody has signed in"),
            Self::Forbidden => (403, "this is not allowed"),
            Self::NotFound => (404, "there is no such thing"),
            Self::MethodNotAllowed => (405, "this method is not for that path"),
            Self::TooSlow => (408, "this came too slowly"),
            Self::Refused => (409, "this was refused, and nothing has changed"),
            Self::Moved => (412, "the system has moved since"),
            Self::TooLong => (413, "this is too long"),
            Self::NoJson => (415, "this is no JSON"),
            Self::NoSuchRange => (416, "there is no such part"),
            Self::OtherHost => (421, "this server has another name"),
            Self::Invalid => (422, "this is not as it should be"),
            Self::TooMuch => (429, "too much is asked at once"),
            Self::Broken => (500, "the server could not do this"),
            Self::Unavailable => (503, "this cannot be done now"),
        }
    }
}

impl Problem {
    /// A problem of a kind.
    pub(super) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let (status, title) = kind.status();
        let (title, detail) = (title.to_owned(), detail.into());
        Self {
            kind,
            title,
            status,
            detail,
            hint: None,
            who_could: None,
            again_after_s: None,
            field: None,
            mistakes: None,
        }
    }

    /// What cannot be understood, and in which part of what was asked.
    pub(super) fn of_field(field: &str, detail: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::new(ProblemKind::BadRequest, detail) }
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::NotFound, detail)
    }

    /// There is nothing at a path.
    pub(super) fn nothing_at(path: &str) -> Self {
        let path: String = path.chars().take(200).collect();
        Self::not_found(format!("there is no `{path}` here")).hint("`/api` says what there is")
    }

    pub(super) fn hint(self, hint: &str) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The answer that says so.
    pub(super) fn response(&self) -> Response<Body> {
        let body = serde_json::to_vec(self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.kind {
            ProblemKind::NotSignedIn => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tidegate\""));
            }
            ProblemKind::Unavailable | ProblemKind::TooMuch => {
                headers.insert(header::RETRY_AFTER, self.again_after_s.unwrap_or(AGAIN_AFTER_S).into());
            }
            _ => {}
        }
        response
    }
}

/// An error as the command line says it.
fn in_words(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(&format!("\n  because: {cause}"));
        }
    }
    text
}

impl From<&Refused> for Problem {
    fn from(refused: &Refused) -> Self {
        let kind = match refused {
            Refused::NotAllowed { .. } => ProblemKind::Forbidden,
            Refused::OtherBefore { .. } => ProblemKind::Invalid,
            Refused::OutOfOrder { .. }
            | Refused::NoRules
            | Refused::Unknown { .. }
            | Refused::NotNow { .. }
            | Refused::Delivered { .. }
            | Refused::DoneBefore { .. } => ProblemKind::Refused,
        };
        let hint = match refused {
            Refused::Unknown { hint, .. } | Refused::NotNow { hint, .. } => Some(hint.as_str().into()),
            _ => None,
        };
        let field = matches!(refused, Refused::OtherBefore { .. }).then(|| "Idempotency-Key".into());
        Self { hint, field, ..Self::new(kind, refused.to_string()) }
    }
}

impl From<&StoreError> for Problem {
    fn from(error: &StoreError) -> Self {
        let kind = if error.is_passing() { ProblemKind::Unavailable } else { ProblemKind::Broken };
        Self::new(kind, error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        let said = || in_words(&error);
        if let Some(unanswered) = error.downcast_ref::<Unanswered>() {
            return match unanswered {
                Unanswered::None(why) => Self::not_found(why),
                Unanswered::Unclear(why) => Self::new(ProblemKind::BadRequest, why),
            };
        }
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Self { detail: said(), ..Self::from(refused) };
        }
        if let Some(mistakes) = error.downcast_ref::<Mistakes>() {
            let listed = serde_json::to_value(mistakes).ok().map(Box::new);
            return Self { field: Some("rules".into()), mistakes: listed, ..Self::new(ProblemKind::Invalid, said()) };
        }
        match error.downcast_ref::<Unpredictable>() {
            Some(Unpredictable::Refused(refused)) => return Self::from(refused),
            Some(Unpredictable::NotPushed { .. }) => return Self::new(ProblemKind::Refused, said()),
            Some(Unpredictable::Copies(_)) => return Self::new(ProblemKind::Unavailable, said()),
            None => {}
        }
        match error.downcast_ref::<RecordError>() {
            Some(RecordError::Refused(refused)) => return Self { detail: said(), ..Self::from(refused) },
            Some(RecordError::Store(error)) => return Self::from(error),
            Some(RecordError::Moved { .. }) => return Self::new(ProblemKind::Moved, said()),
            None => {}
        }
        match error.downcast_ref::<StoreError>() {
            Some(error) => Self::from(error),
            None => Self::new(ProblemKind::Broken, said()),
        }
    }
}
