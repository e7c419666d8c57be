//! The few pages of signing in and of connecting a forge, whole from the server: they need no script, and fit a phone.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use handlebars::Handlebars;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{
    call::Answered,
    problem::{Problem, ProblemKind},
};

const TEMPLATE: &str = include_str!("page.html.hbs");
const STYLE: &str = "body{margin:0;font:1rem/1.5 system-ui,sans-serif;color:#1b2430;background:#f4f6f8}\
main{max-width:32rem;margin:0 auto;padding:2rem 1rem}h1{font-size:1.5rem}h2{font-size:1.1rem}ul{padding:0;list-style:none}\
li{padding:.75rem 0;border-top:1px solid #cdd5de;overflow-wrap:anywhere}form{margin:.5rem 0}\
.act,button{display:inline-block;padding:.6rem 1rem;border:1px solid #14507a;border-radius:.4rem;font:inherit;background:#fff;\
color:#14507a;text-decoration:none}a.act,.send button{background:#14507a;color:#fff}label{display:block;margin:.75rem 0}\
input{display:block;box-sizing:border-box;width:100%;padding:.5rem;border:1px solid #8796a5;border-radius:.4rem;font:inherit}\
dl{margin:1rem 0}dt{font-weight:600;overflow-wrap:anywhere}dd{margin:0 0 .6rem}pre{padding:.75rem;overflow:auto;background:#e4e9ee}\
@media(prefers-color-scheme:dark){body{color:#e6ebf0;background:#141a21}.act,button{background:#141a21;color:#8cc4ee;border-color:#8cc4ee}\
a.act,.send button{background:#8cc4ee;color:#141a21}input{background:#141a21;color:#e6ebf0}pre{background:#232c36}}";

/// A page.
#[derive(Serialize)]
pub(super) struct Page {
    title: String,
    words: Vec<String>,
    lines: Option<String>,
    facts_title: &'static str,
    facts: Vec<Fact>,
    asks: Option<Asks>,
    sends: Option<Sends>,
    links: Vec<Link>,
    sessions: Vec<Shown>,
    page: String,
    style: &'static str,
}

/// A place to go to.
#[derive(Serialize)]
struct Link {
    to: String,
    says: String,
}

/// Something that is told of by its name.
#[derive(Serialize)]
struct Fact {
    name: String,
    says: String,
}

/// A form that leads to a page of ours, with what was said in its fields.
#[derive(Serialize)]
pub(super) struct Asks {
    /// The page.
    pub(super) to: &'static str,
    /// The fields.
    pub(super) fields: Vec<Field>,
    /// What is on the button.
    pub(super) button: &'static str,
}

/// A field of a form.
#[derive(Serialize)]
pub(super) struct Field {
    /// Its name in the query.
    pub(super) name: &'static str,
    /// What to write there.
    pub(super) says: &'static str,
    /// What stands there at first.
    pub(super) value: String,
}

/// A form that sends something to another server. The page may send nothing anywhere else.
#[derive(Serialize)]
pub(super) struct Sends {
    /// The address without its query. It goes into the page's policy: `https://host/path` of plain characters.
    pub(super) target: String,
    /// The query.
    pub(super) query: String,
    /// The name of the field, and what is in it.
    pub(super) field: (&'static str, String),
    /// What is on the button.
    pub(super) button: &'static str,
}

/// A session of whoever looks.
#[derive(Serialize)]
pub(super) struct Shown {
    /// Where it is ended.
    pub(super) to: String,
    /// How and when it began.
    pub(super) says: String,
    /// The browser.
    pub(super) browser: String,
}

/// What compressing would tell of: a page with a secret of its reader's.
#[derive(Clone, Copy)]
pub(super) struct HasSecret;

impl Page {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            words: Vec::new(),
            lines: None,
            facts_title: "",
            facts: Vec::new(),
            asks: None,
            sends: None,
            links: Vec::new(),
            sessions: Vec::new(),
            page: String::new(),
            style: STYLE,
        }
    }

    /// With a paragraph more.
    pub(super) fn says(mut self, words: impl Into<String>) -> Self {
        self.words.push(words.into());
        self
    }

    /// With lines to copy.
    pub(super) fn lines(self, lines: impl Into<String>) -> Self {
        Self { lines: Some(lines.into()), ..self }
    }

    /// With things that are told of by their names, below a title of their own.
    pub(super) fn facts(self, title: &'static str, facts: impl IntoIterator<Item = (String, String)>) -> Self {
        let facts = facts.into_iter().map(|(name, says)| Fact { name, says }).collect();
        Self { facts_title: title, facts, ..self }
    }

    /// With a form that leads to a page of ours.
    pub(super) fn asks(self, asks: Asks) -> Self {
        Self { asks: Some(asks), ..self }
    }

    /// With a form that sends something to another server.
    pub(super) fn sends(self, sends: Sends) -> Self {
        Self { sends: Some(sends), ..self }
    }

    /// With a link more.
    pub(super) fn link(mut self, to: impl Into<String>, says: impl Into<String>) -> Self {
        self.links.push(Link { to: to.into(), says: says.into() });
        self
    }

    /// With the reader's sessions, and what their commands are sent with.
    pub(super) fn sessions(self, sessions: Vec<Shown>, page: String) -> Self {
        Self { sessions, page, ..self }
    }

    /// The answer that shows it.
    pub(super) fn response(&self, status: StatusCode) -> Answered {
        let mut handlebars = Handlebars::new();
        handlebars.set_strict_mode(true);
        let broken = |error: String| Problem::new(ProblemKind::Broken, error);
        let text = handlebars.render_template(TEMPLATE, self).map_err(|error| broken(error.to_string()))?;
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        response.extensions_mut().insert(HasSecret);
        let style = STANDARD.encode(Sha256::digest(STYLE));
        let target = self.sends.as_ref().map_or("'self'", |sends| &sends.target);
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; form-action {target}; frame-ancestors 'none'; base-uri 'none'"
        );
        let policy = HeaderValue::from_str(&policy).map_err(|error| broken(error.to_string()))?;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // A form of a page that says nothing of where it is comes from nowhere (`Origin: null`), and would be refused.
        // Other servers are told where a form comes from, and no more, where there is one for them.
        let told = if self.sends.is_some() { "strict-origin" } else { "same-origin" };
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static(told));
        Ok(response)
    }
}

/// Whether whoever asks reads pages: a browser that goes somewhere.
pub(super) fn reads_pages(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|kind| kind.split(';').next().unwrap_or_default().trim() == "text/html")
}

/// To another place.
pub(super) fn elsewhere(to: &str) -> Answered {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let to = HeaderValue::from_str(to).map_err(|error| Problem::new(ProblemKind::Broken, error.to_string()))?;
    response.headers_mut().insert(header::LOCATION, to);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_page_is_text_wherever_its_words_come_from() {
        let page = Page::new("<script>").says("\"><img src=x>").link("/x?\"><em>", "<i>");
        let shown = Shown { to: "/end".to_owned(), says: "<u>".to_owned(), browser: "<s>".to_owned() };
        let response = page.sessions(vec![shown], "token".to_owned()).response(StatusCode::OK).unwrap();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        for bad in ["<script", "<img", "<em>", "<i>", "<u>", "<s>"] {
            assert!(!text.contains(bad), "{bad}: {text}");
        }
        assert_eq!(text.matches("value=\"token\"").count(), 2, "{text}");
    }

    #[test]
    fn a_browser_that_goes_somewhere_says_so() {
        let reads = |accepted: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_str(accepted).unwrap());
            reads_pages(&headers)
        };
        assert!(reads("text/html,application/xhtml+xml,*/*;q=0.8") && reads("text/html;q=0.9"));
        assert!(!reads("*/*") && !reads("application/json") && !reads_pages(&HeaderMap::new()));
    }
}
