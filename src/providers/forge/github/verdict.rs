//! What an answer of GitHub that is not the one hoped for means: try again and when, or what somebody has to do. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};
use hyper::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::providers::Fault;

/// How long GitHub is left alone where it says "too much" and not until when, as it asks.
const UNSAID_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause that is believed: a quota is of an hour.
const LONGEST_PAUSE: Duration = Duration::from_secs(2 * 3_600);
/// As much as is quoted, in characters.
const LONGEST_QUOTE: usize = 300;

/// A call that did not succeed.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    /// What GitHub answered; none where no whole answer came.
    pub(super) status: Option<StatusCode>,
    /// What it said.
    pub(super) message: String,
    /// Whether it may have had its effect all the same.
    pub(super) in_doubt: bool,
    /// How long nothing more may be sent on this way.
    pub(super) pause: Option<Duration>,
    pub(super) fault: Fault,
}

impl Refused {
    /// No whole answer came, or none that makes sense.
    pub(super) fn unheard(tried: &str, why: &str) -> Self {
        let fault = Fault::retry(format!("{tried}: {why}"));
        Self { status: None, message: why.to_owned(), in_doubt: true, pause: None, fault }
    }

    /// What was not even sent.
    pub(super) fn unsent(fault: Fault) -> Self {
        Self { status: None, message: String::new(), in_doubt: false, pause: None, fault }
    }

    pub(super) fn is(&self, status: StatusCode) -> bool {
        self.status == Some(status)
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        refused.fault
    }
}

/// What an answer without success means. `whom` is who asked: `the App at acme`.
pub(super) fn verdict(tried: &str, whom: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Refused {
    let message = message(headers, body);
    let error = format!("{tried}: {status}: {message}");
    let in_doubt = status.is_server_error();
    let refused = |fault, pause| Refused { status: Some(status), message: message.clone(), in_doubt, pause, fault };
    if status.is_server_error() || matches!(status.as_u16(), 408 | 425) {
        return refused(Fault::Retry { error, after: retry_after(headers) }, None);
    }
    if let Some(pause) = pause(status, headers, &message) {
        let error = format!("{tried}: {}: {message}", until(pause));
        return refused(Fault::Retry { error, after: Some(pause) }, Some(pause));
    }
    refused(Fault::fail(error, hint(status, headers, whom, &message)), None)
}

/// "GitHub takes nothing until 14:05:09 UTC".
pub(super) fn until(pause: Duration) -> String {
    format!("GitHub takes nothing until {}", (Utc::now() + pause).format("%H:%M:%S UTC"))
}

/// How long GitHub is to be left alone, where that is what it says.
fn pause(status: StatusCode, headers: &HeaderMap, message: &str) -> Option<Duration> {
    let is_of_limits = matches!(status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS);
    if !is_of_limits {
        return None;
    }
    if let Some(after) = retry_after(headers) {
        return Some(after);
    }
    if text(headers, "x-ratelimit-remaining") == Some("0") {
        let reset: i64 = text(headers, "x-ratelimit-reset")?.parse().ok()?;
        // By GitHub's clock, whatever ours says.
        let now = date(headers).unwrap_or_else(Utc::now).timestamp();
        let seconds = u64::try_from(reset.saturating_sub(now)).unwrap_or(0).saturating_add(1);
        return Some(Duration::from_secs(seconds).min(LONGEST_PAUSE));
    }
    let is_too_much =
        status == StatusCode::TOO_MANY_REQUESTS || message.to_lowercase().contains("secondary rate limit");
    is_too_much.then_some(UNSAID_PAUSE)
}

/// What `Retry-After` asks for: seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, "retry-after")?.trim();
    let seconds = match value.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let at = DateTime::parse_from_rfc2822(value).ok()?.to_utc();
            let now = date(headers).unwrap_or_else(Utc::now);
            u64::try_from((at - now).num_seconds()).unwrap_or(0)
        }
    };
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

fn hint(status: StatusCode, headers: &HeaderMap, whom: &str, message: &str) -> String {
    let said = message.to_lowercase();
    if said.contains("archived") {
        return "it is archived: unarchive it at GitHub, or take it out of the rules".to_owned();
    }
    if said.contains("suspended") {
        return format!("{whom} is suspended: lift that where it is installed, below `Settings`, `GitHub Apps`");
    }
    match status {
        StatusCode::UNAUTHORIZED => format!(
            "GitHub does not know {whom} any more: check the App's key (or the token) in [forges.github], and this machine's clock"
        ),
        StatusCode::FORBIDDEN => match text(headers, "x-accepted-github-permissions") {
            Some(needed) => format!(
                "{whom} lacks a permission: it needs {}; grant it in the App's settings, and accept it where the App is installed",
                quoted(&needed.replace('=', ": "))
            ),
            None => format!("{whom} may not do this: look at its permissions at GitHub"),
        },
        StatusCode::NOT_FOUND => format!(
            "it is not there, or {whom} may not see it: check the name, and that the App is installed for it (or the token's access)"
        ),
        StatusCode::GONE | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
            "GitHub has shut it off: ask its owner, or take it out of the rules".to_owned()
        }
        _ => String::new(),
    }
}

/// What GitHub says: its message, and each of its errors.
fn message(headers: &HeaderMap, body: &[u8]) -> String {
    let Ok(said) = serde_json::from_slice::<Value>(body) else {
        let is_page = text(headers, "content-type").is_some_and(|kind| kind.starts_with("text/html"));
        return if is_page { "a page for browsers" } else { "nothing that can be read" }.to_owned();
    };
    let mut parts = vec![said["message"].as_str().unwrap_or("no reason is given").to_owned()];
    for error in said["errors"].as_array().into_iter().flatten().take(3) {
        let of = |member: &str| error[member].as_str().map(str::to_owned);
        let field = [of("resource"), of("field"), of("code")].into_iter().flatten().collect::<Vec<_>>().join(" ");
        parts.push(error.as_str().map(str::to_owned).or_else(|| of("message")).unwrap_or(field));
    }
    quoted(&parts.join("; "))
}

/// As much of what others wrote as is quoted, on one line.
pub(super) fn quoted(said: &str) -> String {
    said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_QUOTE).collect()
}

pub(super) fn text<'headers>(headers: &'headers HeaderMap, name: &str) -> Option<&'headers str> {
    headers.get(name)?.to_str().ok()
}

/// What GitHub's clock says.
pub(super) fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc2822(text(headers, "date")?).ok()?.to_utc())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn said(status: u16, headers: &[(&'static str, &str)], body: &str) -> Refused {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.insert(*name, value.parse().unwrap());
        }
        verdict("GET /x", "the App at acme", StatusCode::from_u16(status).unwrap(), &all, body.as_bytes())
    }

    fn pause_s(status: u16, headers: &[(&'static str, &str)], message: &str) -> Option<u64> {
        said(status, headers, &format!(r#"{{"message": "{message}"}}"#)).pause.map(|pause| pause.as_secs())
    }

    #[test]
    fn a_limit_says_until_when_and_by_whose_clock() {
        assert_eq!(pause_s(403, &[("retry-after", "30")], "abuse"), Some(30));
        assert_eq!(pause_s(429, &[("retry-after", "999999")], "abuse"), Some(7_200), "an hour's quota is no day");
        let date = ("date", "Tue, 01 Dec 2026 00:00:00 GMT");
        let empty = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1796083510"), date];
        assert_eq!(pause_s(403, &empty, "API rate limit exceeded"), Some(311));
        assert_eq!(pause_s(429, &[("retry-after", "Tue, 01 Dec 2026 00:01:00 GMT"), date], "slow down"), Some(60));
        assert_eq!(pause_s(429, &[], "slow down"), Some(60));
        assert_eq!(pause_s(403, &[], "You have exceeded a secondary rate limit."), Some(60));
        assert_eq!(pause_s(403, &[("x-ratelimit-remaining", "12")], "Resource not accessible by integration"), None);
        assert_eq!(pause_s(500, &[("retry-after", "5")], "unwell"), None, "others may go on");
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let whole = |status, headers: &[(&'static str, &str)], body: &str| said(status, headers, body).fault.whole();
        let lacks = whole(
            403,
            &[("x-accepted-github-permissions", "checks=write")],
            r#"{"message": "Resource not accessible by integration"}"#,
        );
        assert!(lacks.contains("needs checks: write") && lacks.contains("the App at acme"), "{lacks}");
        for (status, message, told) in [
            (403, "Repository was archived so is read-only.", "unarchive it"),
            (403, "This installation has been suspended", "is suspended: lift that"),
            (404, "Not Found", "installed for it"),
            (401, "Bad credentials", "this machine's clock"),
            (451, "Repository access blocked", "shut it off"),
        ] {
            let whole = whole(status, &[], &format!(r#"{{"message": "{message}"}}"#));
            assert!(whole.contains(told) && whole.contains(message), "{whole}");
        }
        let invalid = whole(
            422,
            &[],
            r#"{"message": "Validation Failed", "errors": [{"resource": "Status", "field": "sha", "code": "custom"}]}"#,
        );
        assert!(invalid.contains("Validation Failed; Status sha custom"), "{invalid}");
    }

    #[test]
    fn what_is_not_well_is_tried_again_and_not_quoted_raw() {
        let page = said(502, &[("content-type", "text/html; charset=utf-8")], "<h1>\u{1b}[31mUnicorn!</h1>");
        assert!(matches!(&page.fault, Fault::Retry { error, .. } if error.contains("a page for browsers")));
        assert!(page.in_doubt && page.pause.is_none());
        let rude = said(422, &[], "{\"message\": \"a\\u001b[31mb\\nc\"}");
        assert!(!rude.fault.whole().contains(['\u{1b}', '\n']), "{:?}", rude.fault);
        assert!(
            !said(422, &[], &format!("{{\"message\": \"{}\"}}", "x".repeat(5_000)))
                .fault
                .whole()
                .contains(&"x".repeat(301))
        );
    }
}
