//! The router, made from the table of routes, and what every call must satisfy before a handler sees it: its host, its origin, who
//! asks, what they may, what it says and how long it is.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{RawPathParams, Request, State},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, Version, header},
    response::IntoResponse as _,
    routing::{MethodFilter, MethodRouter, on},
};
use tokio::time::timeout;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer, Predicate as _,
        predicate::{DefaultPredicate, NotForContentType},
    },
};

use super::{
    account::Account,
    bodies::{MOST_BODY_BYTES, MOST_DELIVERED_BYTES},
    call::{Answered, Call, visible},
    caller::Peer,
    fields, origin, page_token,
    pages::{HasSecret, elsewhere, reads_pages},
    problem::{Problem, ProblemKind},
    routes::{FIELDS, Method, Needs, ParameterKind, ROUTES, Route, SIGN_IN, encoded},
    server::Server,
    webhooks,
};
use crate::house::House;

/// How long an answer may take until it begins.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// How long what is asked may be, in bytes.
const MOST_QUERY_BYTES: usize = 8 * 1024;

/// What every answer says to browsers.
const FOR_BROWSERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "private, no-cache"),
];

/// The router of a server: the table, and nothing else.
pub(super) fn router(server: &Arc<Server>) -> Router {
    let mut paths: BTreeMap<&str, MethodRouter<Arc<Server>>> = BTreeMap::new();
    for route in ROUTES {
        let filter = match route.method {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
        };
        let answer = move |State(server): State<Arc<Server>>, parts: Result<RawPathParams, _>, request: Request| async move {
            let parts = parts.map_err(|_: axum::extract::rejection::RawPathParamsRejection| not_utf8());
            match parts {
                Ok(parts) => {
                    let parts = parts.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                    answer(server, route, parts, request).await
                }
                Err(problem) => problem.response(),
            }
        };
        let methods = paths.remove(route.path).unwrap_or_default();
        paths.insert(route.path, methods.merge(on(filter, answer)));
    }
    let router = paths
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| router.route(path, methods.fallback(no_such_method)));
    let has_no_secret = |_: StatusCode, _: Version, _: &HeaderMap, more: &Extensions| more.get::<HasSecret>().is_none();
    let worth_it = DefaultPredicate::new().and(NotForContentType::new("text/event-stream")).and(has_no_secret);
    router
        .fallback(no_such_path)
        .with_state(Arc::clone(server))
        .layer(CompressionLayer::new().gzip(true).compress_when(worth_it))
        .layer(axum::middleware::map_response(for_browsers))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| broken().response()))
}

fn not_utf8() -> Problem {
    Problem::new(ProblemKind::BadRequest, "the path is not UTF-8")
}

fn broken() -> Problem {
    Problem::new(ProblemKind::Broken, "the server has a mistake: its log says which")
}

async fn no_such_path(uri: Uri) -> Response<Body> {
    Problem::nothing_at(uri.path()).response()
}

async fn no_such_method() -> Response<Body> {
    Problem::new(ProblemKind::MethodNotAllowed, "this method is not for that path").response()
}

async fn for_browsers(mut response: Response<Body>) -> Response<Body> {
    for (name, value) in FOR_BROWSERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response.into_response()
}

/// Answers a call, and takes account of it where it asks for something to be done.
async fn answer(
    server: Arc<Server>,
    route: &'static Route,
    path: BTreeMap<String, String>,
    request: Request,
) -> Response<Body> {
    let house = server.house();
    let peer = request.extensions().get::<Peer>().copied().unwrap_or(Peer(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
    let settings = &house.settings.server;
    let from = peer.caller(request.headers(), &settings.proxies, settings.forwarded_header);
    let mut account = Account::begin(route, &path, from);
    let answered = handle((&server, &house), route, path, request, &mut account).await;
    account.end(&server, &house, answered).await
}

/// Checks a call, has it handled, and says what came of it.
async fn handle(
    (server, house): (&Arc<Server>, &Arc<House>),
    route: &'static Route,
    path: BTreeMap<String, String>,
    request: Request,
    account: &mut Account,
) -> Answered {
    let (head, body) = request.into_parts();
    origin::host_is_ours(&head.headers, &head.uri, &server.hosts)?;
    if route.signs_in || route.is_signed {
        server.limits.may_try(account.from)?;
    }
    if route.is_signed
        && let Some(answered) = webhooks::at_once(house, head.uri.path(), &head.headers)
    {
        return answered;
    }
    let signed_in = match route.needs {
        Needs::Nothing => Ok(None),
        Needs::SignedIn | Needs::View | Needs::Command => server.signed_in(&head.headers, house).await,
    };
    match &signed_in {
        Ok(Some((who, _))) => {
            account.is_by(who, house);
            server.limits.of_person(&who.user.to_string())?;
        }
        // A forge delivers as much as happens there.
        Ok(None) if route.is_signed => {}
        Ok(None) => server.limits.of_address(account.from)?,
        Err(problem) if problem.kind == ProblemKind::NotSignedIn => server.limits.of_failed_try(account.from)?,
        Err(_) => {}
    }
    let signed_in = signed_in?;
    let (who, signed_in) = match (route.needs, signed_in) {
        (Needs::Nothing, _) => (None, None),
        (_, Some((who, signed_in))) => (Some(who), Some(signed_in)),
        (_, None) if route.method == Method::Get && reads_pages(&head.headers) => {
            let to = head.uri.path_and_query().map_or("/", |to| to.as_str());
            return elsewhere(&format!("{}?to={}", SIGN_IN.path, encoded(to)));
        }
        (_, None) => {
            let hint = "open the link that `tidegate serve` prints, or send a token: `Authorization: Bearer tide_…`";
            return Err(Problem::new(ProblemKind::NotSignedIn, "nobody has signed in").hint(hint));
        }
    };
    if !route.is_signed {
        let by_cookie = !head.headers.contains_key(header::AUTHORIZATION);
        origin::origin_is_ours(&head.method, &head.headers, (&server.url, &server.hosts), by_cookie)?;
    }
    let system = match (route.needs, &who) {
        (Needs::View | Needs::Command, Some(who)) => {
            let name = path.get("system").map_or("", String::as_str);
            Some(visible(house, who, name).await?)
        }
        _ => None,
    };
    let mut query = query(route, head.uri.query().unwrap_or_default())?;
    let fields = query.remove(FIELDS.name).map(|said| fields::asked(route, &said)).transpose()?;
    let most = if route.is_signed { MOST_DELIVERED_BYTES } else { MOST_BODY_BYTES };
    let (body, _place) = server.bodies.read(body, most).await?;
    account.says(&body);
    if route.method != Method::Get {
        page_token::check(signed_in.as_ref(), &head.headers, &body)?;
    }
    let headers = head.headers;
    let (server, house) = (Arc::clone(server), Arc::clone(house));
    let call = Call { server, house, who, signed_in, system, path, query, headers, body };
    // In a task of its own: whoever goes away does not take back half of what they asked for.
    let handled = tokio::spawn((route.handler)(call));
    let answered = match timeout(ANSWER_WITHIN, handled).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(error)) => {
            tracing::error!(route = route.name, %error, "a call broke off");
            Err(broken())
        }
        Err(_) => Err(Problem::new(ProblemKind::Unavailable, "this took too long")),
    };
    if let Err(problem) = &answered
        && problem.status >= 500
    {
        tracing::warn!(route = route.name, status = problem.status, detail = problem.detail, "a call was not answered");
    }
    match (answered, &fields) {
        (Ok(response), Some(names)) => fields::only(response, names).await,
        (answered, _) => answered,
    }
}

/// What the query says. What the route does not know, or is said twice, is a mistake.
fn query(route: &Route, query: &str) -> Result<BTreeMap<String, String>, Problem> {
    if query.len() > MOST_QUERY_BYTES {
        return Err(Problem::new(ProblemKind::TooLong, format!("the query is longer than {MOST_QUERY_BYTES} bytes")));
    }
    let mut said = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
        let Some(known) = route.asked_in_query().find(|known| known.name == name) else {
            if route.takes_more {
                continue;
            }
            let known = route.asked_in_query().map(|known| known.name).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "it takes none".to_owned() } else { format!("there are: {known}") };
            return Err(Problem::of_field(&name, format!("there is no `{name}` in the query here; {known}")));
        };
        if value.contains(char::REPLACEMENT_CHARACTER) || value.contains('\0') {
            return Err(Problem::of_field(&name, format!("`{name}` is not plain UTF-8")));
        }
        if matches!(known.kind, ParameterKind::Place | ParameterKind::UpTo(_)) && value.parse::<u32>().is_err() {
            return Err(Problem::of_field(&name, format!("`{name}` is a number")));
        }
        if let ParameterKind::OneOf(values) = known.kind
            && !values.contains(&value.as_str())
        {
            let values = values.join(", ");
            return Err(Problem::of_field(&name, format!("`{name}` is one of: {values}")));
        }
        if said.insert(name.clone(), value).is_some() {
            return Err(Problem::of_field(&name, format!("`{name}` is said twice")));
        }
    }
    match route.query.iter().find(|known| known.required && !said.contains_key(known.name)) {
        Some(missing) => {
            Err(Problem::of_field(missing.name, format!("`{}` is missing: {}", missing.name, missing.says)))
        }
        None => Ok(said),
    }
}
