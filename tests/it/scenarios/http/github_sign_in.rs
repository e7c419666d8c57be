//! Signing in by GitHub: who comes in, who does not, and what others cannot bring back.

use serde_json::json;

use super::{
    Answer,
    browser::{Browser, with_issuers},
    connect::{at_github, github, offer_path, press, signed_in},
};
use crate::{
    scenarios::delivery::Delivery,
    support::github::{FakeGitHub, Trouble},
};

/// A server that is connected, at which Grace signs in by GitHub; and its host.
fn served(github: &FakeGitHub) -> (Delivery, String) {
    let mut delivery = Delivery::by_hand();
    let host = with_issuers(&delivery, "");
    let text = std::fs::read_to_string(delivery.config()).unwrap();
    std::fs::write(delivery.config(), text.replace("[people.grace]\n", "[people.grace]\ngithub = \"Grace-H\"\n"))
        .unwrap();
    delivery.serve();
    let mut browser = signed_in(&delivery);
    let offer = browser.get(&offer_path(github, "acme"));
    let done = browser.get(&press(github, &offer));
    assert_eq!(done.status, 200, "{}", done.text());
    // From now on GitHub says who somebody is, and the terminal does not.
    assert_eq!(browser.script().get("/api/v1/me").status, 303);
    (delivery, host)
}

/// Agrees at GitHub; where the browser is sent back to.
fn agree(github: &FakeGitHub, there: &str) -> String {
    let (_, query) = there.split_once("/login/oauth/authorize?").unwrap();
    let back = at_github(github, "/login/oauth/authorize", query);
    let (_, path) = back.headers["location"].split_once("/sign-in/").unwrap_or_else(|| panic!("{back:?}"));
    format!("/sign-in/{path}")
}

fn sign_in(github: &FakeGitHub, browser: &mut Browser) -> Answer {
    let there = browser.begin("github", "/api/v1/me");
    browser.get(&agree(github, &there))
}

#[test]
fn a_person_is_who_has_the_login() {
    let github = github();
    let (delivery, host) = served(&github);
    let mut browser = Browser::new(&host);
    let page = browser.get("/sign-in");
    assert!(page.text().contains("Sign in with GitHub"), "{}", page.text());
    let answer = sign_in(&github, &mut browser);
    assert_eq!((answer.status, answer.headers["location"].as_str()), (303, "/api/v1/me"), "{}", answer.text());
    let me = browser.script().told("/api/v1/me");
    assert_eq!((&me["name"], &me["signed_in_by"]), (&json!("grace"), &json!("github")));
    // Nobody knows the stranger.
    github.sits_at_the_browser("linus");
    let mut other = Browser::new(&host);
    let answer = sign_in(&github, &mut other);
    assert!(answer.status == 403 && answer.text().contains("github &#x3D; &quot;linus&quot;"), "{}", answer.text());
    assert!(other.session().is_none());
    // Whoever is taken out of the settings may nothing from then on.
    let text = std::fs::read_to_string(delivery.config()).unwrap();
    std::fs::write(delivery.config(), text.replace("Grace-H", "somebody-else")).unwrap();
    assert_eq!(browser.script().get("/api/v1/me").status, 403);
    let log = delivery.server_log();
    assert!(
        !log.contains("ghu_") && !log.contains(&github.state().app.client_secret),
        "no secret is in the log: {log}"
    );
}

#[test]
fn what_others_bring_back_signs_nobody_in() {
    let github = github();
    let (delivery, host) = served(&github);
    let mut browser = Browser::new(&host);
    let there = browser.begin("github", "/");
    let back = agree(&github, &there);
    let mut other = Browser::new(&host);
    assert_eq!(other.get(&back).status, 401, "it is another browser's");
    other.begin("github", "/");
    assert_eq!(other.get(&back).status, 401, "and of another beginning");
    assert_eq!(browser.get(&back).status, 303);
    let cookies = browser.cookies.clone();
    assert_eq!(browser.get(&back).status, 401, "once");
    browser.cookies = cookies;
    // A code of another sign-in: GitHub holds it to its own verifier.
    let mut thief = Browser::new(&host);
    let own = agree(&github, &thief.begin("github", "/"));
    let stolen = agree(&github, &Browser::new(&host).begin("github", "/"));
    let code = |back: &str| back.split_once("code=").unwrap().1.split('&').next().unwrap().to_owned();
    assert_eq!(thief.get(&own.replace(&code(&own), &code(&stolen))).status, 401);
    // What GitHub says no to, and what cannot be a code.
    for bad in ["code=x", "code=", "error=access_denied"] {
        let mut browser = Browser::new(&host);
        let back = agree(&github, &browser.begin("github", "/"));
        let answer = browser.get(&back.replace(&format!("code={}", code(&back)), bad));
        assert!(answer.status == 401 && !answer.text().contains("bad_verification"), "{bad}: {}", answer.text());
    }
    let mut late = Browser::new(&host);
    let back = agree(&github, &late.begin("github", "/"));
    github.move_clock(601);
    assert_eq!(late.get(&back).status, 401);
    assert!(delivery.server_log().contains("bad_verification_code"), "the log says why");
}

#[test]
fn while_github_is_away_nobody_new_comes_in_and_the_page_says_so() {
    let github = github();
    let (_delivery, host) = served(&github);
    let mut browser = Browser::new(&host);
    assert_eq!(sign_in(&github, &mut browser).status, 303);
    for trouble in [Trouble::page(502), Trouble::CloseBefore, Trouble::Half] {
        let mut other = Browser::new(&host);
        github.trouble("GET /user", trouble, 1);
        let answer = sign_in(&github, &mut other);
        assert!(answer.status == 503 && answer.text().contains("GitHub does not answer"), "{}", answer.text());
        assert!(other.session().is_none());
    }
    let mut other = Browser::new(&host);
    let back = agree(&github, &other.begin("github", "/"));
    drop(github);
    assert_eq!(other.get(&back).status, 503);
    assert_eq!(browser.script().get("/api/v1/me").status, 200, "who has signed in goes on");
}

#[test]
fn an_issuer_cannot_have_its_name() {
    let github = github();
    let (delivery, _) = served(&github);
    delivery.add_settings("[[server.issuers]]\nname = 'github'\nurl = 'https://x.example'\nclient = 'x'\n");
    let why = delivery.refused(&["status"], 1);
    assert!(why.contains("an issuer cannot be called `github`"), "{why}");
}
