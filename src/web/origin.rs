//! Under which names the server is asked, and from which pages: against pages of others that make a browser ask in its user's place.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};

use super::problem::{Problem, ProblemKind};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The names, with their ports, under which a server at these URLs is asked.
pub(super) fn hosts(urls: &[&str]) -> Vec<String> {
    let host = |url: &&str| url.split_once("://").map_or(*url, |(_, host)| host).to_ascii_lowercase();
    urls.iter().map(host).collect()
}

/// Refuses what was asked of another name: a page of others can give its own name this server's address.
///
/// # Errors
/// [`ProblemKind::OtherHost`].
pub(super) fn host_is_ours(headers: &HeaderMap, uri: &Uri, hosts: &[String]) -> Result<(), Problem> {
    let mut said = headers.get_all(header::HOST).iter();
    let (first, second) = (said.next().and_then(|host| host.to_str().ok()), said.next());
    let absolute = uri.authority().map(|authority| authority.as_str());
    let is_ours = |host: &str| hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host));
    if second.is_none() && first.is_some_and(is_ours) && absolute.is_none_or(is_ours) {
        return Ok(());
    }
    let first = first.unwrap_or("nothing");
    let detail = format!("this was asked of `{first}`, and this server is {}", hosts.join(" and "));
    Err(Problem::new(ProblemKind::OtherHost, detail)
        .hint("`url` in `[server]` of tidegate.toml says under which name it is asked"))
}

/// Refuses a command from a page of another origin. A browser says where it comes from; a program with a token need not.
///
/// # Errors
/// [`ProblemKind::Forbidden`].
pub(super) fn origin_is_ours(
    method: &Method,
    headers: &HeaderMap,
    (url, hosts): (&str, &[String]),
    by_cookie: bool,
) -> Result<(), Problem> {
    if *method == Method::GET || *method == Method::HEAD {
        return Ok(());
    }
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_ascii_lowercase();
    let scheme = url.split_once("://").map_or("http", |(scheme, _)| scheme);
    let is_ours = |origin: &str| {
        origin.split_once("://").is_some_and(|(of, host)| of == scheme && hosts.iter().any(|ours| ours == host))
    };
    let origin = headers.get(header::ORIGIN).map(|origin| is_ours(&text(origin)));
    let site = headers.get(FETCH_SITE).map(|site| text(site) == "same-origin");
    let good = match (origin, site) {
        (None, None) => !by_cookie,
        (origin, site) => origin.unwrap_or(true) && site.unwrap_or(true),
    };
    let refused = || Problem::new(ProblemKind::Forbidden, "this command comes from a page of another origin");
    if good { Ok(()) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(HeaderName, &'static str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn another_name_is_another_server() {
        let hosts = hosts(&["http://127.0.0.1:8080", "http://localhost:8080", "https://Tide.example"]);
        let asked = |host: &'static str, uri: &'static str| {
            host_is_ours(&headers(&[(header::HOST, host)]), &Uri::from_static(uri), &hosts).is_ok()
        };
        for good in ["127.0.0.1:8080", "LOCALHOST:8080", "tide.example"] {
            assert!(asked(good, "/"), "{good}");
        }
        for bad in ["evil.example", "127.0.0.1", "127.0.0.1:8081", "tide.example.evil.example", ""] {
            assert!(!asked(bad, "/"), "{bad}");
        }
        assert!(!asked("tide.example", "http://evil.example/"), "an absolute path has a name too");
        assert!(host_is_ours(&HeaderMap::new(), &Uri::from_static("/"), &hosts).is_err());
    }

    #[test]
    fn a_command_comes_from_our_own_pages_or_from_a_program() {
        let hosts = hosts(&["http://127.0.0.1:8080"]);
        let comes = |of: &[(HeaderName, &'static str)], by_cookie| {
            origin_is_ours(&Method::POST, &headers(of), ("http://127.0.0.1:8080", &hosts), by_cookie).is_ok()
        };
        let own = (header::ORIGIN, "http://127.0.0.1:8080");
        assert!(comes(std::slice::from_ref(&own), true) && comes(&[own.clone(), (FETCH_SITE, "same-origin")], true));
        assert!(comes(&[(FETCH_SITE, "same-origin")], true));
        assert!(comes(&[], false) && !comes(&[], true), "a browser always says it");
        for bad in ["http://evil.example", "null", "https://127.0.0.1:8080", "http://127.0.0.1:8081"] {
            assert!(!comes(&[(header::ORIGIN, bad)], true) && !comes(&[(header::ORIGIN, bad)], false), "{bad}");
        }
        for bad in ["cross-site", "same-site", "none", ""] {
            assert!(!comes(&[(FETCH_SITE, bad)], true) && !comes(&[own.clone(), (FETCH_SITE, bad)], true), "{bad}");
        }
        let get = origin_is_ours(&Method::GET, &headers(&[(FETCH_SITE, "cross-site")]), ("http://x", &hosts), true);
        assert!(get.is_ok(), "a question changes nothing");
    }
}
