//! GitHub is connected from a browser: the page that says what will be made, its one form, which goes to GitHub, and where the
//! browser comes back to from there.

use std::{future::Future, pin::Pin};

use axum::http::{HeaderName, StatusCode};

use super::{
    attempt::{Attempt, LONGEST_MS},
    call::{Answered, Call},
    came_of::CameOf,
    cookies::{cookies, set_cookie},
    pages::{Asks, Field, Page, Sends},
    problem::{Problem, ProblemKind},
    secret::sha256,
    server::SignedIn,
    sign_in::BACK,
    webhooks,
};
use crate::house::{
    connect::{Choice, Connected, GITHUB_COM, Manifest, NotConnected, Ours, WANTED},
    issuers::GITHUB,
    now_ms,
};

/// The page.
pub const CONNECT: &str = "/github/connect";
/// Where GitHub sends the browser back to.
pub(super) const CONNECTED: &str = "/github/connected";
/// How many characters tell one App without an organization from others.
const MARK_LENGTH: usize = 6;
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// Asks where, says what will be made there, and has the form that makes it.
pub(super) fn page(call: Call) -> Answering {
    Box::pin(async move {
        may(&call)?;
        let said = |name: &str| call.query.get(name).map_or("", String::as_str);
        let (url, organization) = (said("url"), said("organization"));
        if let Some(github) = &call.house.settings.forges.github {
            let app = github.app_id.map_or_else(|| "a token".to_owned(), |id| format!("the App {id}"));
            return Page::new("GitHub is connected")
                .says(format!("tidegate.toml has [forges.github]: {app} at {}.", github.url))
                .says("To make another App, take those lines out first. Their files stay where they are.")
                .response(StatusCode::OK);
        }
        // Another page has not chosen for whoever is here.
        let is_own = call.header(&FETCH_SITE)?.is_none_or(|site| matches!(site, "same-origin" | "none"));
        if url.is_empty() || !is_own {
            return asks(&call, url, organization, None).response(StatusCode::OK);
        }
        match Choice::of(url, organization) {
            Err(wrong) => asks(&call, url, organization, Some(wrong)).response(StatusCode::BAD_REQUEST),
            Ok(choice) => offer(&call, &choice),
        }
    })
}

/// Asks for which GitHub and for whom.
fn asks(call: &Call, url: &str, organization: &str, wrong: Option<String>) -> Page {
    let mut page = Page::new("Connect GitHub");
    if let Some(wrong) = wrong {
        page = page.says(format!("{wrong}."));
    }
    if let Some((lines, folder)) = call.house.settings.unfinished_connection() {
        page = page
            .says(format!(
                "An App was made, and its lines are not in tidegate.toml. Add them, and start `tidegate serve` again. If that App is of \
                 no use, delete it at GitHub, and its folder: {folder}"
            ))
            .lines(lines);
    }
    let url = if url.is_empty() { GITHUB_COM } else { url };
    page.says(
        "GitHub makes an App that is yours alone. With it, commits and environments show there what Tidegate does, and people approve \
         with a button below a commit.",
    )
    .asks(Asks {
        to: CONNECT,
        fields: vec![
            Field {
                name: "organization",
                says: "The organization that has the repositories. Nothing, if they are your own",
                value: organization.to_owned(),
            },
            Field { name: "url", says: "The address of GitHub", value: url.to_owned() },
        ],
        button: "Go on",
    })
}

/// Says what will be made, and has the form.
fn offer(call: &Call, choice: &Choice) -> Answered {
    let settings = &call.house.settings;
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("organization", choice.organization.as_deref().unwrap_or_default())
        .append_pair("url", &choice.url)
        .finish();
    let attempt = Attempt::begin(CONNECT, &format!("{CONNECT}?{query}"), now_ms());
    let attempt = attempt.map_err(|error| Problem::new(ProblemKind::Unavailable, error.to_string()))?;
    let state = attempt.state();
    let mark: String = state.chars().filter(char::is_ascii_alphanumeric).take(MARK_LENGTH).collect();
    let manifest = manifest(call, choice, &mark);
    let told = if manifest.hook_attributes.active {
        format!("GitHub tells Tidegate at {} what happens, at once.", manifest.hook_attributes.url)
    } else {
        "GitHub cannot reach this server, so it tells nothing: Tidegate looks at repositories by itself, as often as `poll` says. For \
         more, let `url` in [server] of tidegate.toml say where GitHub reaches it, and begin again."
            .to_owned()
    };
    let asks_for = WANTED.iter().map(|it| (format!("{}: {}", it.name, it.level.name()), it.why.to_owned()));
    let page = Page::new("Connect GitHub")
        .says(format!(
            "At {}, the App “{}” will be made for {}. You may give it another name there. Then you come back, and install it.",
            choice.url,
            manifest.name,
            choice.owner()
        ))
        .says(told)
        .says(format!(
            "Its key and its secrets are written to {}, where this server alone reads them, and its number to tidegate.toml.",
            settings.data.join("github").display()
        ))
        .says("Sign in at GitHub with this browser first. This is good for an hour.")
        .facts("The App asks for", asks_for);
    let text =
        serde_json::to_string(&manifest).map_err(|error| Problem::new(ProblemKind::Broken, error.to_string()))?;
    let sends = Sends {
        target: choice.form_address(),
        query: format!("?state={state}"),
        field: ("manifest", text),
        button: "Make the App at GitHub",
    };
    let mut response = page.sends(sends).link(CONNECT, "Choose otherwise").response(StatusCode::OK)?;
    let age = u32::try_from(LONGEST_MS / 1_000).ok();
    set_cookie(&mut response, call.server.is_https(), (&attempt_cookie(call), &attempt.cookie()), age)?;
    Ok(response)
}

fn manifest(call: &Call, choice: &Choice, mark: &str) -> Manifest {
    // What serves this page may be there for this alone; then `url` says where the server will be.
    let known = call.house.settings.server.url.as_deref();
    let back = BACK.replace("{issuer}", GITHUB);
    let ours = Ours {
        here: &call.server.url,
        connected: CONNECTED,
        url: known.unwrap_or(&call.server.url),
        sign_in: known.map(|_| back.as_str()),
        webhooks: webhooks::GITHUB,
    };
    choice.manifest(ours, mark)
}

/// Takes the browser back from GitHub, and the App with it.
pub(super) fn connected(call: Call) -> Answering {
    Box::pin(async move {
        may(&call)?;
        let by = call.who()?.user.to_string();
        let (attempt, code) = match begun(&call) {
            Ok(begun) => begun,
            Err(why) => return not_begun_here(&call, why),
        };
        let choice = match chosen(&attempt) {
            Ok(choice) => choice,
            Err(why) => return not_begun_here(&call, &why),
        };
        let (answered, why) = match call.house.connect(&choice, code, &by).await {
            Ok(connected) => {
                call.server.connected.send_replace(Some(connected.clone()));
                (done(&call, &connected), None)
            }
            Err(not) => {
                let (page, status, why) = not_done(&choice, not);
                if status == StatusCode::SERVICE_UNAVAILABLE {
                    call.server.ended.take_back(&attempt.state());
                }
                (page.response(status), Some(why))
            }
        };
        let mut response = answered?;
        if response.status() != StatusCode::SERVICE_UNAVAILABLE {
            set_cookie(&mut response, call.server.is_https(), (&attempt_cookie(&call), ""), Some(0))?;
        }
        response.extensions_mut().insert(CameOf { why, ..CameOf::default() });
        Ok(response)
    })
}

/// What this browser has begun, and the code that it brings back.
fn begun(call: &Call) -> Result<(Attempt, &str), &'static str> {
    let now_ms = now_ms();
    let name = attempt_cookie(call);
    let attempt = cookies(&call.headers, &name).find_map(|cookie| Attempt::of_cookie(cookie, LONGEST_MS, now_ms));
    let attempt = attempt.filter(|attempt| attempt.issuer == CONNECT);
    let attempt = attempt.ok_or("this browser has not begun to connect GitHub, or more than an hour ago")?;
    let said = |name: &str| call.query.get(name).map(String::as_str);
    // Hashes are compared: how long that takes tells nothing.
    if said("state").map(sha256) != Some(sha256(&attempt.state())) {
        return Err("the state is not this browser's");
    }
    let code = said("code").filter(|code| !code.is_empty()).ok_or("there is no code")?;
    if !call.server.ended.end(&attempt.state(), now_ms) {
        return Err("this was done already");
    }
    Ok((attempt, code))
}

/// What was chosen, as the state covers it.
fn chosen(attempt: &Attempt) -> Result<Choice, String> {
    let query = attempt.to.split_once('?').map_or("", |(_, query)| query);
    let (mut url, mut organization) = (String::new(), String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "url" => url = value.into_owned(),
            "organization" => organization = value.into_owned(),
            _ => {}
        }
    }
    Choice::of(&url, &organization)
}

fn not_begun_here(call: &Call, why: &str) -> Answered {
    tracing::warn!(why, "GitHub was not connected");
    let mut response = Page::new("Nothing was connected")
        .says("Begin again. Where that does not help, the server's log says why.")
        .says("If GitHub has just made an App, it is of no use: delete it there.")
        .link(CONNECT, "Begin again")
        .response(StatusCode::FORBIDDEN)?;
    set_cookie(&mut response, call.server.is_https(), (&attempt_cookie(call), ""), Some(0))?;
    response.extensions_mut().insert(CameOf { why: Some(why.to_owned()), ..CameOf::default() });
    Ok(response)
}

fn done(call: &Call, connected: &Connected) -> Answered {
    let Connected { slug, install, not_written, lines, .. } = connected;
    let mut page = Page::new("GitHub has made the App")
        .says(format!("1. Install {slug} where the repositories are."))
        .says(match not_written {
            None => "2. Start `tidegate serve` again: it takes the App up as it starts.".to_owned(),
            Some(why) => format!(
                "2. Add these lines to tidegate.toml, which were not written there: {why}. Then start `tidegate serve` again."
            ),
        })
        .says("3. `tidegate doctor` says whether all is well.");
    if call.house.settings.is_for_one() && !call.server.house().settings.is_for_one() {
        page = page.says("From now on people sign in by GitHub, and the link in the terminal is good no more.");
    }
    if not_written.is_some() {
        page = page.lines(lines);
    }
    page.link(install, "Install it").response(StatusCode::OK)
}

/// The page, its status, and why for the account of calls.
fn not_done(choice: &Choice, not: NotConnected) -> (Page, StatusCode, String) {
    let page = Page::new("Nothing was connected");
    let (page, status, why) = match not {
        NotConnected::Down(why) => {
            let page = Page::new("GitHub does not answer")
                .says(format!("{why}. Load this page again: what GitHub gave out is good for an hour."));
            return (page, StatusCode::SERVICE_UNAVAILABLE, why);
        }
        NotConnected::Refused(why) => {
            let page = page.says(format!("{why}. What it gives out is good once, and for an hour."));
            (page, StatusCode::BAD_REQUEST, why)
        }
        NotConnected::NotKept { why, is_spent: false } => {
            let page = page.says(format!("{why}. Mend that, and begin again."));
            (page, StatusCode::INTERNAL_SERVER_ERROR, why)
        }
        NotConnected::NotKept { why, is_spent: true } => {
            let page = page.says(format!("{why}. The key of the App is lost with that."));
            (page, StatusCode::INTERNAL_SERVER_ERROR, why)
        }
    };
    tracing::error!(why, "GitHub was not connected");
    let page = page
        .says("If GitHub has made an App, it is of no use: delete it there before you begin again.")
        .link(choice.apps_address(), "The Apps at GitHub")
        .link(CONNECT, "Begin again");
    (page, status, why)
}

/// It is done from a browser, by whoever may write the settings.
fn may(call: &Call) -> Result<(), Problem> {
    call.house.settings.may_connect(call.who()?).map_err(|refused| Problem::from(&*refused))?;
    match &call.signed_in {
        Some(SignedIn::Session { .. }) => Ok(()),
        _ => Err(Problem::new(ProblemKind::Forbidden, "GitHub is connected from a browser, not with a token")),
    }
}

fn attempt_cookie(call: &Call) -> String {
    format!("{}-connecting", call.server.cookie())
}
