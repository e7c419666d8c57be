//! A row of the table: what a route is, and what rows have in common.

use std::{future::Future, pin::Pin};

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::web::{
    call::{Answered, Call},
    questions,
};

/// What answers a call.
pub(in crate::web) type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Answered> + Send>>;
/// The schema of a type.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// One thing that can be asked over HTTP.
pub struct Route {
    /// What it is called in descriptions.
    pub name: &'static str,
    /// How it is asked.
    pub method: Method,
    /// Where, with its parts in braces.
    pub path: &'static str,
    /// What it answers, in a line.
    pub summary: &'static str,
    /// What whoever asks must be allowed.
    pub needs: Needs,
    /// What may be said in the query.
    pub query: &'static [Parameter],
    /// Whether more may be said there, which means nothing: what others send is not ours to choose.
    pub takes_more: bool,
    /// Whether a session may begin here: tries that fail are counted, and all are in the account of calls.
    pub signs_in: bool,
    /// Whether what is sent is signed: then nobody signs in for it and no page sends it, it may be long, and it is in no account of
    /// calls. What nobody signed who may counts as a try to sign in that failed.
    pub is_signed: bool,
    /// What may be said in headers.
    pub headers: &'static [Parameter],
    /// What is sent.
    pub body: Option<SchemaOf>,
    /// What is answered.
    pub answer: Answer,
    /// Statuses of problems, besides those of every route.
    pub problems: &'static [u16],
    pub(in crate::web) handler: Handler,
}

/// How something is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A question: nothing changes.
    Get,
    /// A command.
    Post,
}

/// What whoever asks must be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it says nothing of any system.
    Nothing,
    /// To have signed in; what they are told is what they may look at.
    SignedIn,
    /// To look at the system of the path.
    View,
    /// To look at the system of the path, and whatever the command needs: the engine decides that.
    Command,
}

/// A part of the query, or a header.
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it means.
    pub says: &'static str,
    /// What it may be.
    pub kind: ParameterKind,
    /// Whether it must be there.
    pub required: bool,
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// A text.
    Text,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A number, from 1 to so many.
    UpTo(u32),
    /// The place of an event in a log, from 0 on.
    Place,
}

/// What is answered.
#[derive(Clone, Copy)]
pub enum Answer {
    /// A JSON document.
    Json(SchemaOf),
    /// Nothing: it is kept, and done later.
    Accepted,
    /// Plain text.
    Text,
    /// Bytes, of which a part can be asked for.
    Bytes,
    /// Server-sent events, each with such a document.
    Events(SchemaOf),
    /// Another place to go to, or a page that says why not.
    Elsewhere,
    /// A page for people; plain text for who does not read pages.
    Page,
}

impl Method {
    /// As HTTP writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

impl Route {
    /// The path with its parts filled in, each encoded.
    #[must_use]
    pub fn at(&self, parts: &[(&str, &str)]) -> String {
        parts
            .iter()
            .fold(self.path.to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), &encoded(value)))
    }

    /// All that may be said in the query.
    pub fn asked_in_query(&self) -> impl Iterator<Item = &'static Parameter> {
        self.query.iter().chain(self.takes_fields().then_some(&FIELDS))
    }

    /// Whether a part of its document may be asked for.
    #[must_use]
    pub fn takes_fields(&self) -> bool {
        self.method == Method::Get && self.needs != Needs::Nothing && matches!(self.answer, Answer::Json(_))
    }

    /// The names of the parts of the path.
    pub fn parts(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
    }
}

/// A text as it stands in a path or query: every byte but those that mean nothing there as `%xx`.
#[must_use]
pub fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

pub(super) const fn text(name: &'static str, says: &'static str) -> Parameter {
    Parameter { name, says, kind: ParameterKind::Text, required: false }
}

pub(super) const fn needed(name: &'static str, says: &'static str) -> Parameter {
    Parameter { name, says, kind: ParameterKind::Text, required: true }
}

pub(super) const fn place(name: &'static str, says: &'static str) -> Parameter {
    Parameter { name, says, kind: ParameterKind::Place, required: false }
}

pub(super) const fn up_to(most: u32, says: &'static str) -> Parameter {
    Parameter { name: "limit", says, kind: ParameterKind::UpTo(most), required: false }
}

pub(super) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Any object.
pub(super) fn any(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({ "type": "object" })
}

/// Every question that is answered with a document takes it.
pub(in crate::web) static FIELDS: Parameter =
    text("fields", "only these fields, with commas between them; of a page or list, of each of its items");
/// What an answer with some of the fields of its document is, so that nobody takes it for the whole.
pub(in crate::web) const PART_OF_DOCUMENT: &str = "application/vnd.tidegate.part+json";

pub(super) const CURSOR: Parameter = text("cursor", "the `next` of the page before");
pub(super) const STAGE: Parameter = text("stage", "only this stage");
/// The states of runs, as documents name them.
pub(super) const STATE: Parameter = Parameter {
    name: "state",
    says: "only those in this state",
    kind: ParameterKind::OneOf(&["QUEUED", "RUNNING", "ENDING", "DONE", "FAILED", "ABORTED", "SUPERSEDED", "REJECTED"]),
    required: false,
};
pub(super) const SEEN: Parameter =
    text("If-None-Match", "the `ETag` of the answer before: 304 where nothing has changed");
pub(super) const IF_MATCH: Parameter =
    text("If-Match", "the place in the log that was seen, or an `ETag`: 412 where the system has moved");
pub(super) const KEY: Parameter =
    text("Idempotency-Key", "what names this command: the same again, after a lost answer, is answered as it was");

/// What every route has in common with most others.
pub(super) const BASE: Route = Route {
    name: "",
    method: Method::Get,
    path: "",
    summary: "",
    needs: Needs::View,
    query: &[],
    takes_more: false,
    signs_in: false,
    is_signed: false,
    headers: &[],
    body: None,
    answer: Answer::Text,
    problems: &[],
    handler: questions::health,
};
/// A question about a system.
pub(super) const QUESTION: Route = Route { headers: &[SEEN], problems: &[], ..BASE };
