//! GitHub is connected: by whom, once, from the browser that began; what it gives stays here, and what goes wrong leaves everything as
//! it was.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use serde_json::{Value, json};

use super::{
    Answer, Caller, GRANTS,
    browser::{Browser, with_issuers},
    token,
};
use crate::{
    scenarios::delivery::Delivery,
    support::{
        github::{FakeGitHub, Trouble, pem},
        issuer::{Issuer, encoded},
    },
};

const CONVERSIONS: &str = "POST /app-manifests/{code}/conversions";

/// A GitHub with an organization.
pub(super) fn github() -> FakeGitHub {
    let github = FakeGitHub::begin();
    github.organization("acme", &[]);
    github.sits_at_the_browser("grace-h");
    github
}

/// A browser that has signed in by the link of a server that runs.
pub(super) fn signed_in(delivery: &Delivery) -> Browser {
    let link = delivery.link();
    let (host, path) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut browser = Browser::new(host);
    assert_eq!(browser.get(&format!("/{path}")).status, 303);
    browser
}

pub(super) fn offer_path(github: &FakeGitHub, organization: &str) -> String {
    format!("/github/connect?organization={organization}&url={}", encoded(&github.url()))
}

/// What is between two texts, as a browser reads it.
fn between(text: &str, before: &str, after: &str) -> String {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}")).1;
    let text = rest.split_once(after).unwrap().0;
    text.replace("&#x3D;", "=").replace("&quot;", "\"").replace("&#x27;", "'").replace("&amp;", "&")
}

/// Presses the button of the page, and GitHub's; where the browser is sent back to.
pub(super) fn press(github: &FakeGitHub, offer: &Answer) -> String {
    assert_eq!(offer.status, 200, "{}", offer.text());
    let text = offer.text();
    let action = between(&text, "method=\"post\" action=\"", "\"");
    let manifest = between(&text, "name=\"manifest\" value=\"", "\"");
    let there = at_github(github, &action, &format!("manifest={}", encoded(&manifest)));
    assert_eq!(there.status, 200, "{}", there.text());
    let page = there.text();
    let draft = between(&page, "name=\"draft\" value=\"", "\"");
    let back = at_github(github, &between(&page, "action=\"", "\""), &format!("draft={draft}"));
    let (_, path) = back.headers["location"].split_once("/github/connected?").unwrap();
    format!("/github/connected?{path}")
}

/// Sends a form to a page of GitHub.
pub(super) fn at_github(github: &FakeGitHub, path: &str, form: &str) -> Answer {
    let host = github.url().strip_prefix("http://").unwrap().to_owned();
    let path = path.strip_prefix(&github.url()).unwrap_or(path);
    Caller { host, headers: Vec::new() }.send("POST", path, "application/x-www-form-urlencoded", form)
}

fn settings(delivery: &Delivery) -> String {
    std::fs::read_to_string(delivery.config()).unwrap()
}

/// The folders of Apps.
fn apps(delivery: &Delivery) -> Vec<PathBuf> {
    let Ok(all) = std::fs::read_dir(delivery.root().join("data/github")) else { return Vec::new() };
    all.map(|entry| entry.unwrap().path()).collect()
}

fn read(folder: &Path, name: &str) -> String {
    let file = folder.join(name);
    let mode = file.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{name}");
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn an_app_is_made_and_its_secrets_stay_here() {
    let github = github();
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let mut browser = signed_in(&delivery);
    let asks = browser.get("/github/connect");
    assert!(asks.status == 200 && asks.text().contains("value=\"https://github.com\""), "{}", asks.text());
    assert!(asks.headers["content-security-policy"].contains("; form-action 'self';"), "{:?}", asks.headers);
    let offer = browser.get(&offer_path(&github, "acme"));
    let target = format!("{}/organizations/acme/settings/apps/new", github.url());
    let policy = &offer.headers["content-security-policy"];
    assert!(policy.contains(&format!("; form-action {target};")), "{policy}");
    let text = offer.text();
    assert!(text.contains("GitHub cannot reach this server") && !text.contains("<script"), "{text}");
    for wanted in ["contents: write", "administration: read", "members: read"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let port = browser.caller.host.rsplit(':').next().unwrap().to_owned();
    let said = &browser.said[&format!("tidegate-{port}-connecting")];
    assert_eq!(said, " Path=/; HttpOnly; SameSite=Lax; Max-Age=3600");

    let before = settings(&delivery);
    let back = press(&github, &offer);
    let done = browser.get(&back);
    assert_eq!(done.status, 200, "{}", done.text());
    let id = github.app_id();
    let install = format!("{}/github-apps/tidegate-acme/installations/new", github.url());
    assert!(done.text().contains(&format!("href=\"{install}\"")), "{}", done.text());
    assert!(done.headers["content-security-policy"].contains("; form-action 'self';"));

    let host = github.url().replace("http://", "").replace(':', "-");
    let folder = delivery.root().join(format!("data/github/{host}-{id}"));
    assert_eq!(apps(&delivery), std::slice::from_ref(&folder));
    assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(read(&folder, "private-key.pem"), pem());
    let secret = github.state().app.client_secret.clone();
    assert_eq!(read(&folder, "client-secret"), format!("{secret}\n"));
    assert!(!folder.join("webhook-secret").exists(), "GitHub tells nothing, and signs nothing");
    let after = settings(&delivery);
    let added = after.strip_prefix(&before).unwrap_or_else(|| panic!("what was there is as it was: {after}"));
    let added: Value = serde_json::to_value(toml::from_str::<toml::Value>(added).unwrap()).unwrap();
    let expected = json!({
        "url": github.url(),
        "app_id": id,
        "private_key_file": format!("data/github/{host}-{id}/private-key.pem"),
        "client_id": github.state().app.client_id,
        "client_secret_file": format!("data/github/{host}-{id}/client-secret"),
    });
    assert_eq!(added["forges"]["github"], expected);
    for text in [&after, &done.text(), &delivery.server_log()] {
        assert!(!text.contains(&secret) && !text.contains("PRIVATE KEY"), "{text}");
    }

    // Once, and never over what is there.
    let again = browser.get(&back);
    assert_eq!(again.status, 403, "{}", again.text());
    let connected = browser.get(&offer_path(&github, "acme"));
    assert!(connected.text().contains(&format!("the App {id}")) && !connected.text().contains("<form"));
    assert_eq!(github.count("POST /app-manifests/"), 1);
    let calls = delivery.granted(&["history", "--calls"]);
    assert!(calls.contains("github-connected") && calls.contains("done"), "{calls}");
    delivery.stop();
    delivery.serve();
    assert_eq!(settings(&delivery), after);
}

#[test]
fn where_github_reaches_the_server_it_tells_it() {
    let github = github();
    let mut delivery = Delivery::by_hand();
    delivery.add_settings("[server]\nurl = 'https://tide.example'\n");
    delivery.serve();
    let link = delivery.link();
    let address = super::address(&delivery.server_log());
    let ask = |path: &str, cookies: &str| {
        let text = format!(
            "GET {path} HTTP/1.1\r\nHost: tide.example\r\nConnection: close\r\nAccept: text/html\r\nCookie: {cookies}\r\n\r\n"
        );
        Caller { host: address.clone(), headers: Vec::new() }.raw(text.as_bytes()).unwrap()
    };
    let cookie = |answer: &Answer| answer.cookies[0].split(';').next().unwrap().to_owned();
    let session = cookie(&ask(link.strip_prefix("https://tide.example").unwrap(), ""));
    let offer = ask(&offer_path(&github, "acme"), &session);
    assert!(offer.text().contains("https://tide.example/webhooks/github"), "{}", offer.text());
    assert!(offer.cookies[0].starts_with("__Host-tidegate-connecting=") && offer.cookies[0].contains("; Secure"));
    let done = ask(&press(&github, &offer), &format!("{session}; {}", cookie(&offer)));
    assert_eq!(done.status, 200, "{}", done.text());
    let (url, secret) = github.state().app.webhook.clone().unwrap();
    assert_eq!(url, "https://tide.example/webhooks/github");
    assert_eq!(read(&apps(&delivery)[0], "webhook-secret"), format!("{secret}\n"));
    assert!(settings(&delivery).contains("webhook_secret_file = "));
    assert_eq!(github.state().app.callback_urls, ["https://tide.example/sign-in/github/back"]);
}

#[test]
fn only_the_browser_that_began_brings_the_app_back() {
    let github = github();
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let mut browser = signed_in(&delivery);
    let offer = browser.get(&offer_path(&github, "acme"));
    let back = press(&github, &offer);
    let before = settings(&delivery);
    // Somebody else who may, in a browser of theirs, with and without a beginning of their own.
    let mut other = signed_in(&delivery);
    assert_eq!(other.get(&back).status, 403);
    other.get(&offer_path(&github, "acme"));
    let refused = other.get(&back);
    assert!(refused.status == 403 && !refused.text().contains("state"), "why, the log says: {}", refused.text());
    let (_, code) = back.split_once("code=").unwrap();
    let code = code.split('&').next().unwrap();
    for forged in [
        format!("/github/connected?code={code}"),
        format!("/github/connected?code={code}&state="),
        format!("/github/connected?code={code}&state=guessed"),
        "/github/connected".to_owned(),
        back.replace(&format!("code={code}&"), ""),
    ] {
        // What it has kept goes with a call that is not good.
        let kept = browser.cookies.clone();
        assert_eq!(browser.get(&forged).status, 403, "{forged}");
        browser.cookies = kept;
    }
    // A beginning that leads to another GitHub has another state.
    let port = browser.caller.host.rsplit(':').next().unwrap().to_owned();
    let name = format!("tidegate-{port}-connecting");
    let kept = browser.cookies[&name].clone();
    let mut parts: Vec<&str> = kept.split('.').collect();
    let evil = {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        URL_SAFE_NO_PAD.encode("/github/connect?organization=acme&url=https%3A%2F%2Fevil.example")
    };
    *parts.last_mut().unwrap() = &evil;
    browser.cookies.insert(name.clone(), parts.join("."));
    assert_eq!(browser.get(&back).status, 403);
    browser.cookies.insert(name, kept);
    assert_eq!((github.count("POST /app-manifests/"), apps(&delivery).len()), (0, 0), "nothing was asked or written");
    assert_eq!(settings(&delivery), before);
    // A code that is no path of GitHub's API.
    let evil = back.replace(code, "..%2F..%2Fapp");
    let kept = browser.cookies.clone();
    assert_eq!(browser.get(&evil).status, 400);
    browser.cookies = kept;
    assert_eq!(github.count("POST "), 0);
    let log = delivery.server_log();
    assert!(log.contains("the state is not this browser's") && log.contains("there is no code"), "{log}");
}

#[test]
fn a_github_that_is_not_well_changes_nothing_here() {
    let github = github();
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let mut browser = signed_in(&delivery);
    let before = settings(&delivery);
    let begin = |browser: &mut Browser| press(&github, &browser.get(&offer_path(&github, "acme")));
    let say = |body: &str| Trouble::Say {
        status: 201,
        headers: vec![("Content-Type", "application/json".to_owned())],
        body: body.to_owned(),
    };
    let back = begin(&mut browser);
    for trouble in [
        Trouble::page(502),
        Trouble::refuse(429, "slow down"),
        Trouble::CloseBefore,
        say("<html>"),
        say("{\"id\":1"),
        say("{\"id\":1}"),
        say(&format!("\"{}\"", "x".repeat(300 * 1_024))),
    ] {
        let what = format!("{trouble:?}").chars().take(80).collect::<String>();
        github.trouble(CONVERSIONS, trouble, 1);
        let answer = browser.get(&back);
        assert!(answer.status == 503 && answer.text().contains("Load this page again"), "{what}: {}", answer.text());
        assert_eq!((settings(&delivery), apps(&delivery).len()), (before.clone(), 0), "{what}");
    }
    // It has done it, and half of the answer came: what it gave out is lost, and the next try says so.
    github.trouble(CONVERSIONS, Trouble::Half, 1);
    assert_eq!(browser.get(&back).status, 503);
    let refused = browser.get(&back);
    assert!(refused.status == 400 && refused.text().contains("delete it there"), "{}", refused.text());
    let apps_there = format!("href=\"{}/organizations/acme/settings/apps\"", github.url());
    assert!(refused.text().contains(&apps_there), "{}", refused.text());
    // An hour is over.
    let back = begin(&mut browser);
    github.move_clock(3_601);
    assert_eq!(browser.get(&back).status, 400);
    assert_eq!((settings(&delivery), apps(&delivery).len()), (before, 0));
    // It is well again.
    let back = begin(&mut browser);
    assert_eq!(browser.get(&back).status, 200);
    assert_eq!(apps(&delivery).len(), 1);
}

#[test]
fn a_github_that_is_silent_is_not_waited_for_and_nobody_else_takes_the_code_meanwhile() {
    let github = github();
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let mut browser = signed_in(&delivery);
    let back = press(&github, &browser.get(&offer_path(&github, "acme")));
    github.trouble(CONVERSIONS, Trouble::Silence, 1);
    let mut waits = Browser::new(&browser.caller.host);
    waits.cookies = browser.cookies.clone();
    std::thread::scope(|scope| {
        let silent = scope.spawn(|| waits.get(&back).status);
        github.wait_for("POST /app-manifests/", 1);
        let mut other = Browser::new(&browser.caller.host);
        other.cookies = browser.cookies.clone();
        assert_eq!(other.get(&back).status, 403, "it is on its way already");
        assert_eq!(silent.join().unwrap(), 503);
    });
    assert_eq!(browser.get(&back).status, 200, "the code is good still");
}

#[test]
fn settings_that_cannot_be_written_are_lines_to_add() {
    let github = github();
    let mut delivery = Delivery::by_hand();
    std::fs::create_dir(delivery.root().join(".git")).unwrap();
    delivery.serve();
    let mut browser = signed_in(&delivery);
    let before = settings(&delivery);
    let done = {
        let offer = browser.get(&offer_path(&github, ""));
        browser.get(&press(&github, &offer))
    };
    let text = done.text();
    assert!(done.status == 200 && text.contains("is in the git repository"), "{text}");
    let lines = between(&text, "<pre>", "</pre>");
    assert!(lines.contains("[forges.github]") && !lines.contains(&github.state().app.client_secret), "{lines}");
    assert_eq!(settings(&delivery), before);
    // As after a crash between the secrets and the lines: whoever comes next is told.
    let asks = browser.get("/github/connect");
    assert!(asks.text().contains("its lines are not in tidegate.toml"), "{}", asks.text());
    assert_eq!(between(&asks.text(), "<pre>", "</pre>"), lines);
    let why = delivery.refused(&["github", "connect"], 1);
    assert!(why.contains(&lines), "{why}");
    std::fs::write(delivery.config(), format!("{before}\n{lines}")).unwrap();
    assert!(browser.get("/github/connect").text().contains("GitHub is connected"));
    assert!(!browser.get("/").text().contains("Connect GitHub"));
    assert!(!delivery.root().join(".tidegate.toml").exists());
}

#[test]
fn who_may_not_write_the_settings_connects_nothing() {
    let (github, issuer) = (github(), Issuer::start(false));
    let mut delivery = Delivery::by_hand();
    let host = with_issuers(
        &delivery,
        &format!(
            "[[server.issuers]]\nname = 'corp'\nurl = '{}'\nclient = 'tide'\nsecret = 'client'\n\
             person_claim = 'preferred_username'\n{GRANTS}[[grants]]\nrole = 'admin'\nto = ['ada']\nstages = ['dev']\n",
            issuer.url()
        ),
    );
    delivery.serve();
    let nobody = Browser::new(&host).get("/github/connect");
    assert_eq!((nobody.status, nobody.headers["location"].as_str()), (303, "/sign-in?to=%2Fgithub%2Fconnect"));
    let ci = Caller { host: host.clone(), headers: Vec::new() }.with_token(&token(&delivery, "ci", "admin", &[]));
    let as_somebody = |name: &str| {
        let mut browser = Browser::new(&host);
        let there = browser.begin("corp", "/");
        assert_eq!(browser.get(&issuer.admit(&there, name, |_| ())).status, 303);
        browser
    };
    let (mut ada, mut grace) = (as_somebody("ada"), as_somebody("grace"));
    for path in [offer_path(&github, "acme"), "/github/connected?code=x&state=y".to_owned()] {
        assert_eq!(ci.get(&path).status, 403, "a token is for no browser");
        let refused = ada.get(&path);
        assert!(
            refused.status == 403 && refused.text().contains("which these have: grace, tester"),
            "{}",
            refused.text()
        );
    }
    assert!(grace.get(&offer_path(&github, "acme")).text().contains("settings/apps/new"));
    // A page of others has not chosen for her.
    let evil = grace.caller.clone();
    grace.caller = evil.with("Sec-Fetch-Site", "cross-site");
    let asks = grace.get("/github/connect?organization=acme&url=https%3A%2F%2Fevil.example");
    assert!(asks.status == 200 && !asks.text().contains("method=\"post\""), "{}", asks.text());
    grace.caller = evil;
    for bad in ["url=https%3A%2F%2Fx.example%2Fy", "url=ftp%3A%2F%2Fx", "url=https%3A%2F%2Fx.example%3B+form-action+*"]
    {
        assert_eq!(grace.get(&format!("/github/connect?{bad}")).status, 400, "{bad}");
    }
}

/// A command that waits, with the first line that it prints.
fn waiting(delivery: &Delivery, arguments: &[&str]) -> (Child, BufReader<std::process::ChildStdout>, String) {
    let mut child = delivery.tidegate(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    (child, lines, line)
}

#[test]
fn the_terminal_connects_without_a_server() {
    let github = github();
    let mut delivery = Delivery::by_hand();
    delivery.add_settings("[server]\nurl = 'https://tide.example'\n");
    let arguments = ["github", "connect", "--organization", "acme", "--url", &github.url()];
    // Told to stop, it has done nothing.
    let (mut child, _, line) = waiting(&delivery, &arguments);
    assert!(line.starts_with("Open this in a browser of this machine, once: http://127."), "{line}");
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(apps(&delivery).len(), 0);

    let (mut child, mut lines, line) = waiting(&delivery, &arguments);
    let (_, link) = line.trim().split_once("http://").unwrap();
    let (host, path) = link.split_once('/').unwrap();
    let mut browser = Browser::new(host);
    let there = browser.get(&format!("/{path}"));
    assert_eq!(there.status, 303, "{}", there.text());
    assert_eq!(Browser::new(host).get(&format!("/{path}")).status, 401, "the link is good once");
    let offer = browser.get(&there.headers["location"]);
    assert!(offer.text().contains("https://tide.example/webhooks/github"), "{}", offer.text());
    let done = browser.get(&press(&github, &offer));
    assert_eq!(done.status, 200, "{}", done.text());
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut lines, &mut rest).unwrap();
    assert!(rest.contains("GitHub has made the App tidegate-acme.") && rest.contains("/installations/new"), "{rest}");
    assert!(child.wait().unwrap().success());
    assert_eq!(read(&apps(&delivery)[0], "private-key.pem"), pem());
    assert!(settings(&delivery).contains("[forges.github]"));
    let why = delivery.refused(&["github", "connect"], 1);
    assert!(why.contains("has a [forges.github] already"), "{why}");
    delivery.serve();
}

#[test]
fn the_terminal_names_the_page_of_a_server_that_runs() {
    let mut delivery = Delivery::by_hand();
    let host = with_issuers(&delivery, "");
    delivery.serve();
    let said = delivery.granted(&["github", "connect", "--organization", "acme"]);
    let link = format!("http://{host}/github/connect?organization=acme&url=https%3A%2F%2Fgithub.com\n");
    assert!(said.ends_with(&link), "{said}");
    for (bad, why) in
        [("--organization=../x", "is no organization"), ("--url=ftp://x", "is not the address of a GitHub")]
    {
        assert!(delivery.refused(&["github", "connect", bad], 1).contains(why), "{bad}");
    }
}
