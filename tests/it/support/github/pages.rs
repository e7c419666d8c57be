//! What GitHub shows in a browser, which its description of the API does not have: plain pages with one button.

use std::collections::BTreeMap;

use super::{
    super::http::{Answer, Request},
    description::Description,
    manifest, oauth,
    state::State,
};

/// What a page is answered with.
pub(super) type Page = Answer;

/// The page of a path; none where that is none of GitHub's own.
pub(super) fn answer(state: &mut State, description: &Description, request: &Request) -> Option<Page> {
    match request.path.as_str() {
        path if path.starts_with("/login/oauth/") => Some(oauth::answer(state, request, path)),
        path => manifest::answer(state, description, request, path),
    }
}

/// What was said in a form or query.
pub(super) fn fields(text: &[u8]) -> BTreeMap<String, String> {
    form_urlencoded::parse(text).into_owned().collect()
}

pub(super) fn with_query(url: &str, said: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(said).finish();
    format!("{url}{}{query}", if url.contains('?') { '&' } else { '?' })
}

/// A page with a button that sends these fields to the first's value.
pub(super) fn page(says: &str, said: &[(&str, &str)]) -> Page {
    let (action, said) = (escaped(said[0].1), &said[1..]);
    let hidden: String = said
        .iter()
        .map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escaped(value)))
        .collect();
    let says = escaped(says);
    html(200, &format!("<form method=\"post\" action=\"{action}\">{hidden}<button id=\"do\">{says}</button></form>"))
}

/// A page that says something.
pub(super) fn seen(status: u16, says: &str) -> Page {
    html(status, &format!("<p>{}</p>", escaped(says)))
}

/// To another place.
pub(super) fn sent_to(url: &str) -> Page {
    let headers = vec![("Location".to_owned(), url.to_owned())];
    Answer { status: "302 Found".to_owned(), headers, body: Vec::new() }
}

/// Something in JSON, from beside the API.
pub(super) fn json(body: &serde_json::Value) -> Page {
    let headers = vec![("Content-Type".to_owned(), "application/json; charset=utf-8".to_owned())];
    Answer { status: "200 OK".to_owned(), headers, body: body.to_string().into_bytes() }
}

fn html(status: u16, body: &str) -> Page {
    let headers = vec![("Content-Type".to_owned(), "text/html; charset=utf-8".to_owned())];
    let body = format!("<!DOCTYPE html><title>GitHub</title><body>{body}</body>").into_bytes();
    Answer { status: status.to_string(), headers, body }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
