//! Signing in with issuers: who comes in, who does not and learns nothing of why, and what stays when an issuer does not.

use serde_json::json;

use super::{
    browser::{Browser, wait_until_it_listens, with_issuers},
    token,
};
use crate::{
    scenarios::delivery::Delivery,
    support::issuer::{CLIENT_SECRET, Issuer, Said, Signs, encoded, key, now_s, query},
};

fn corp(issuer: &Issuer) -> String {
    format!(
        "[[server.issuers]]\nname = 'corp'\nurl = '{}'\nclient = 'tide'\nsecret = 'client'\n\
         person_claim = 'preferred_username'\ngroups = {{ all-admins = 'admins' }}\n",
        issuer.url()
    )
}

/// A server whose people an issuer knows, and its host.
fn served(issuer: &Issuer) -> (Delivery, String) {
    let mut delivery = Delivery::by_hand();
    let host = with_issuers(&delivery, &corp(issuer));
    delivery.serve();
    (delivery, host)
}

/// Signs in whole.
fn sign_in(browser: &mut Browser, issuer: &Issuer, subject: &str) {
    let there = browser.begin("corp", "/");
    let answer = browser.get(&issuer.admit(&there, subject, |_| ()));
    assert_eq!(answer.status, 303, "{}", answer.text());
}

#[test]
fn an_issuer_signs_people_in_and_they_stay_when_it_is_gone() {
    let issuer = Issuer::start(false);
    let (mut delivery, host) = served(&issuer);
    let mut browser = Browser::new(&host);
    let answer = browser.get("/api/v1/me");
    assert_eq!((answer.status, answer.headers["location"].as_str()), (303, "/sign-in?to=%2Fapi%2Fv1%2Fme"));
    let page = browser.get(&answer.headers["location"]);
    assert!(
        page.status == 200 && page.text().contains("href=\"/sign-in/corp?to&#x3D;%2Fapi%2Fv1%2Fme\""),
        "{}",
        page.text()
    );
    assert!(page.text().contains("width=device-width") && !page.text().contains("<script"), "{}", page.text());
    let policy = &page.headers["content-security-policy"];
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");

    // The session is new, whatever the browser came with.
    let port = host.rsplit(':').next().unwrap();
    let name = format!("tidegate-{port}");
    browser.cookies.insert(name.clone(), "chosen-by-somebody-else".to_owned());
    let there = browser.begin("corp", "/api/v1/me");
    let back = issuer.admit(&there, "grace", |_| ());
    let attempt = browser.cookies[&format!("{name}-signing-in")].clone();
    let mut other = Browser::new(&host);
    assert_eq!(other.get(&back).status, 401, "it is another browser's");
    let answer = browser.get(&back);
    assert_eq!((answer.status, answer.headers["location"].as_str()), (303, "/api/v1/me"), "{}", answer.text());
    let first = browser.session().unwrap().clone();
    assert_ne!(first, "chosen-by-somebody-else");
    assert!(!browser.cookies.contains_key(&format!("{name}-signing-in")), "the attempt has ended");
    assert_eq!(browser.said[&name], " Path=/; HttpOnly; SameSite=Lax");
    let me = browser.script().told("/api/v1/me");
    assert_eq!((&me["name"], &me["signed_in_by"]), (&json!("grace"), &json!("corp")));
    assert_eq!(me["groups"], json!(["admins", "qa", "release-managers"]));
    // The same again, with the cookie of then: once is once.
    browser.cookies.insert(format!("{name}-signing-in"), attempt.clone());
    assert_eq!(browser.get(&back).status, 401);
    // Whoever signs in anew has a new session, and the one before has ended.
    sign_in(&mut browser, &issuer, "grace");
    let second = browser.session().unwrap().clone();
    assert_ne!(first, second);
    let mut old = Browser::new(&host);
    old.cookies.insert(name.clone(), first.clone());
    assert_eq!(old.get("/").status, 303, "it has ended");

    // Sessions outlive the server and the issuer; nobody else comes in meanwhile, and is told so.
    delivery.stop();
    issuer.stop();
    delivery.serve();
    wait_until_it_listens(&host);
    assert_eq!(browser.get("/").status, 200);
    let page = browser.get("/sign-in/corp");
    assert!(page.status == 503 && page.text().contains("corp does not answer"), "{}", page.text());
    assert_eq!(other.script().get("/sign-in?secret=guessed").status, 401);
    assert_eq!(delivery.has_printed(), None, "with issuers there is no link");
    delivery.stop();
    let log = delivery.server_log();
    assert!(log.contains("nobody can sign in with an issuer"), "{log}");
    let database = std::fs::read(delivery.root().join("data/tidegate.db")).unwrap();
    let (code, state) = (query(&back)["code"].clone(), query(&back)["state"].clone());
    let secrets =
        [&first, &second, &code, &state, &attempt.split('.').next().unwrap().to_owned(), &CLIENT_SECRET.to_owned()];
    for secret in secrets {
        assert!(!log.contains(secret.as_str()), "no secret is in the log: {secret}");
        assert!(
            !database.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()),
            "nor in the database: {secret}"
        );
    }
}

#[test]
fn what_an_issuer_did_not_say_signs_nobody_in() {
    let issuer = Issuer::start(false);
    let (mut delivery, host) = served(&issuer);
    let now_s = now_s();
    type Change = Box<dyn Fn(&mut Said)>;
    let claim = |name: &'static str, value: serde_json::Value| -> Change {
        Box::new(move |said| said.claims[name] = value.clone())
    };
    let cases: Vec<(&str, Change)> = vec![
        (
            "No signature found",
            Box::new(|said| {
                (said.header, said.signs) = (json!({ "alg": "none" }), Signs::Nothing);
            }),
        ),
        (
            "Disallowed signature algorithm",
            Box::new(|said| {
                (said.header, said.signs) = (json!({ "alg": "HS256" }), Signs::Secret(CLIENT_SECRET));
            }),
        ),
        ("no key of the issuer", Box::new(|said| said.signs = Signs::Nothing)),
        ("no key of the issuer", Box::new(|said| said.signs = Signs::Key(key()))),
        ("no key of the issuer", Box::new(|said| said.header["kid"] = json!("another"))),
        ("Invalid audiences", claim("aud", json!("somebody"))),
        ("Invalid audiences", claim("aud", json!(["tide", "somebody"]))),
        ("another client", claim("azp", json!("somebody"))),
        ("Invalid issuer", claim("iss", json!("https://login.evil.example"))),
        ("Expired", claim("exp", json!(now_s - 120))),
        ("compare the clocks", claim("iat", json!(now_s - 3_600))),
        ("compare the clocks", claim("iat", json!(now_s + 600))),
        ("Invalid nonce", claim("nonce", json!("somebody's"))),
        ("Invalid nonce", Box::new(|said| drop(said.claims.as_object_mut().unwrap().remove("nonce")))),
        (
            "does not say `preferred_username`",
            Box::new(|said| {
                drop(said.claims.as_object_mut().unwrap().remove("preferred_username"));
            }),
        ),
        ("is no name", claim("preferred_username", json!("grace\nroot"))),
        ("no id token", Box::new(|said| said.answer["id_token"] = json!(null))),
        ("cannot be read", Box::new(|said| said.answer["id_token"] = json!("a.b.c"))),
        ("cannot be read", Box::new(|said| said.answer = json!({ "id_token": "" }))),
        ("more than", Box::new(|said| said.answer["more"] = json!("x".repeat(300_000)))),
    ];
    let mut told = Vec::new();
    for (why, change) in &cases {
        let mut browser = Browser::new(&host);
        let before = delivery.server_log().len();
        let there = browser.begin("corp", "/");
        let answer = browser.get(&issuer.admit(&there, "grace", change));
        let log = delivery.server_log().split_off(before);
        assert!(log.contains(why), "{why}: {log}");
        assert!(browser.session().is_none() && browser.cookies.is_empty(), "{why}: {:?}", browser.cookies);
        match *why {
            "more than" => assert_eq!(answer.status, 503),
            _ => {
                assert_eq!(answer.status, 401, "{why}: {}", answer.text());
                told.push(answer.text());
            }
        }
    }
    // What comes back by another way than that of this sign-in; to a new server, as a log has so many lines of a kind a minute.
    delivery.stop();
    delivery.serve();
    wait_until_it_listens(&host);
    for (why, change) in [
        ("the state is not", ("state=", "state=x")),
        ("there is no code", ("code=", "other=")),
        ("does not take the code", ("code=", "code=x")),
        ("the issuer says `access_denied`", ("code=", "error=access_denied&x=")),
        ("another issuer answers", ("code=", "iss=https://login.evil.example&code=")),
    ] {
        let mut browser = Browser::new(&host);
        let there = browser.begin("corp", "/");
        let back = issuer.admit(&there, "grace", |_| ()).replace(change.0, change.1);
        let before = delivery.server_log().len();
        let answer = browser.get(&back);
        let log = delivery.server_log().split_off(before);
        assert!(answer.status == 401 && log.contains(why), "{why}: {} {log}", answer.status);
        told.push(answer.text());
    }
    // A code that somebody else began with: the issuer has their challenge, and we have our verifier.
    let (mut mine, mut theirs) = (Browser::new(&host), Browser::new(&host));
    let (here, there) = (mine.begin("corp", "/"), theirs.begin("corp", "/"));
    let stolen = query(&issuer.admit(&there, "ada", |_| ()))["code"].clone();
    let back = issuer.admit(&here, "grace", |_| ());
    let answer = mine.get(&back.replace(&query(&back)["code"], &stolen));
    assert_eq!(answer.status, 401, "{}", answer.text());
    told.push(answer.text());
    told.dedup();
    assert_eq!(told.len(), 1, "nobody learns why: {told:#?}");
    // And all the while whoever signs in comes in.
    let mut browser = Browser::new(&host);
    sign_in(&mut browser, &issuer, "grace");
    assert_eq!(browser.get("/").status, 200);
    delivery.stop();
    assert!(!delivery.server_log().contains("panicked"), "{}", delivery.server_log());
}

#[test]
fn keys_that_rotate_are_fetched_again_and_not_too_often() {
    let issuer = Issuer::start(false);
    let (_delivery, host) = served(&issuer);
    let mut browser = Browser::new(&host);
    sign_in(&mut browser, &issuer, "grace");
    assert_eq!(issuer.asked("/keys"), 1);
    issuer.rotate("two");
    sign_in(&mut browser, &issuer, "ada");
    assert_eq!(browser.script().told("/api/v1/me")["name"], "ada");
    assert_eq!(issuer.asked("/keys"), 2, "they were fetched again");
    for _ in 0..5 {
        let there = browser.begin("corp", "/");
        let forged = issuer.admit(&there, "grace", |said| said.header["kid"] = json!("three"));
        assert_eq!(browser.get(&forged).status, 401);
    }
    assert_eq!(issuer.asked("/keys"), 2, "and not for each that is not known");
    assert_eq!(issuer.asked("/.well-known/openid-configuration"), 1);
}

#[test]
fn issuers_are_not_mixed_up() {
    let (one, two) = (Issuer::start(true), Issuer::start(true));
    let mut delivery = Delivery::by_hand();
    let of_one = corp(&one) + "people = { grace = 'grace' }\n";
    let of_two = corp(&two).replace("'corp'", "'guests'") + "people = { ada = 'ada' }\n";
    let host = with_issuers(&delivery, &format!("{of_one}{of_two}"));
    delivery.serve();
    // Who began with one and is sent back as if from the other, with a code of either.
    let mut browser = Browser::new(&host);
    for from in [&one, &two] {
        let (here, there) = (browser.begin("guests", "/"), Browser::new(&host).begin("corp", "/"));
        let issued = match std::ptr::eq(from, &one) {
            true => one.admit(&there, "grace", |_| ()),
            false => two.admit(&here, "ada", |_| ()),
        };
        let code = query(&issued)["code"].clone();
        let state = query(&here)["state"].clone();
        for iss in [one.url(), two.url()] {
            let back = format!("/sign-in/corp/back?code={code}&state={state}&iss={}", encoded(&iss));
            assert_eq!(browser.get(&back).status, 401, "{back}");
            browser.begin("guests", "/");
        }
    }
    // The right way, but without the name of the issuer, or with that of the other.
    for iss in [String::new(), format!("&iss={}", encoded(&two.url()))] {
        let there = browser.begin("corp", "/");
        let back = one.admit(&there, "grace", |_| ());
        let (back, _) = back.split_once("&iss=").unwrap();
        assert_eq!(browser.get(&format!("{back}{iss}")).status, 401);
    }
    assert!(browser.session().is_none());
    // An issuer names its own people, and nobody else's.
    let there = browser.begin("guests", "/");
    let answer = browser.get(&two.admit(&there, "grace", |_| ()));
    assert_eq!(answer.status, 403, "{}", answer.text());
    let there = browser.begin("guests", "/");
    assert_eq!(browser.get(&two.admit(&there, "ada", |_| ())).status, 303);
    assert_eq!(browser.script().told("/api/v1/me")["name"], "ada");
    delivery.stop();
}

#[test]
fn who_is_in_no_people_is_told_what_to_ask_for() {
    let issuer = Issuer::start(false);
    let (mut delivery, host) = served(&issuer);
    let mut browser = Browser::new(&host);
    let there = browser.begin("corp", "/");
    let answer = browser.get(&issuer.admit(&there, "linus<script>", |_| ()));
    assert_eq!(answer.status, 403);
    let text = answer.text();
    assert!(text.contains("Ask whoever looks after Tidegate") && text.contains("linus&lt;script&gt;"), "{text}");
    assert!(!text.contains("webshop") && !text.contains("grace"), "{text}");
    assert!(browser.session().is_none(), "there is no session");
    // Somebody who is taken out of the settings has one, and may nothing.
    sign_in(&mut browser, &issuer, "ada");
    let settings = std::fs::read_to_string(delivery.config()).unwrap();
    std::fs::write(delivery.config(), settings.replace("[people.ada]", "[people.lovelace]")).unwrap();
    let answer = browser.get("/");
    assert!(answer.status == 403 && answer.text().contains("lists no person"), "{}", answer.text());
    // And an issuer that is taken out has no sessions.
    let (settings, _) = settings.split_once("[[server.issuers]]").unwrap();
    std::fs::write(delivery.config(), settings).unwrap();
    assert_eq!(browser.get("/").status, 303);
    delivery.stop();
}

#[test]
fn nobody_is_sent_elsewhere_after_signing_in() {
    let issuer = Issuer::start(false);
    let (_delivery, host) = served(&issuer);
    for (to, expected) in [
        ("/api/v1/systems?limit=1", "/api/v1/systems?limit=1"),
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/x\r\nSet-Cookie: a=b", "/"),
    ] {
        let mut browser = Browser::new(&host);
        let there = browser.begin("corp", to);
        let answer = browser.get(&issuer.admit(&there, "grace", |_| ()));
        assert_eq!((answer.status, answer.headers["location"].as_str()), (303, expected), "{to:?}");
        assert!(!browser.cookies.contains_key("a"));
        let page = browser.get(&format!("/sign-in?to={}", encoded(to)));
        assert!(!page.text().contains("evil"), "{}", page.text());
    }
}

#[test]
fn sessions_are_listed_and_ended_by_their_owner() {
    let issuer = Issuer::start(false);
    let (mut delivery, host) = served(&issuer);
    let [mut desk, mut phone, mut ada] = [(); 3].map(|()| Browser::new(&host));
    sign_in(&mut desk, &issuer, "grace");
    sign_in(&mut phone, &issuer, "grace");
    sign_in(&mut ada, &issuer, "ada");
    let listed = desk.script().told("/api/v1/sessions");
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert!(listed.iter().all(|session| session["signed_in_by"] == "corp" && session["browser"] == "Test/1 <b>"));
    assert_eq!(listed.iter().filter(|session| session["is_this"] == true).count(), 1);
    let of_phone = listed.iter().find(|session| session["is_this"] == false).unwrap();
    let end = format!("/api/v1/sessions/{}/end", of_phone["id"].as_str().unwrap());
    let page = desk.get("/");
    assert!(
        page.text().contains(&format!("action=\"{end}\"")) && page.text().contains("Test/1 &lt;b&gt;"),
        "{}",
        page.text()
    );
    assert!(!page.headers.contains_key("content-encoding"));

    // The id signs nobody in, and nobody else ends it.
    let name = desk.cookies.keys().next().unwrap().clone();
    let mut thief = Browser::new(&host);
    thief.cookies.insert(name, of_phone["id"].as_str().unwrap().to_owned());
    assert_eq!(thief.get("/").status, 303);
    ada.read_page_token();
    assert_eq!(ada.script().post(&end, "").status, 404);
    let ci = Browser::new(&host).caller.with_token(&token(&delivery, "ci", "admin", &[]));
    assert_eq!(ci.post(&end, "").status, 404);
    assert_eq!(ci.told("/api/v1/sessions"), json!([]));

    // A command of a session comes from a page of ours: neither without its token nor with that of another.
    let (of_desk, of_ada) = (desk.read_page_token(), ada.page_token.clone().unwrap());
    desk.page_token = None;
    assert_eq!(desk.script().post(&end, "").status, 403);
    for body in [String::new(), "page=".to_owned(), format!("page={of_ada}"), format!("other={of_desk}")] {
        assert_eq!(desk.form(&end, &body).status, 403, "{body}");
    }
    let own = desk.caller.host.clone();
    desk.page_token = Some(of_desk.clone());
    for (header, value) in [("Origin", "http://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")] {
        let mut caller = desk.script();
        caller.headers.retain(|(name, _)| name != header);
        assert_eq!(caller.with(header, value).post(&end, "").status, 403, "{header}: {value}");
    }
    assert_eq!(phone.get("/").status, 200, "it goes on at {own}");
    let ended = desk.form(&end, &format!("page={of_desk}"));
    assert_eq!((ended.status, ended.headers["location"].as_str()), (303, "/"));
    assert_eq!(phone.get("/").status, 303, "at once");
    assert_eq!(desk.script().post(&end, "").status, 404, "once");
    let out = desk.form("/sign-out", &format!("page={of_desk}"));
    assert_eq!((out.status, out.headers["location"].as_str()), (303, "/sign-in"));
    assert_eq!((desk.get("/").status, ada.get("/").status), (303, 200));
    delivery.stop();
}

#[test]
fn cookies_over_tls_are_for_this_host_alone() {
    let issuer = Issuer::start(false);
    let mut delivery = Delivery::by_hand();
    std::fs::write(delivery.root().join("client"), CLIENT_SECRET).unwrap();
    delivery.add_settings(&format!("[server]\nurl = 'https://tide.example'\n{}", corp(&issuer)));
    delivery.serve();
    let log = delivery.server_log();
    let address = super::address(&log);
    let caller = super::Caller { host: address, headers: Vec::new() };
    let get = |path: &str, cookie: &str| {
        let text =
            format!("GET {path} HTTP/1.1\r\nHost: tide.example\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
        caller.raw(text.as_bytes()).unwrap()
    };
    let begun = get("/sign-in/corp", "");
    let cookie = &begun.cookies[0];
    assert!(cookie.starts_with("__Host-tidegate-signing-in="), "{cookie}");
    assert!(cookie.contains("; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=600"), "{cookie}");
    let there = &begun.headers["location"];
    assert_eq!(query(there)["redirect_uri"], "https://tide.example/sign-in/corp/back");
    let back = issuer.admit(there, "grace", |_| ());
    let signed_in = get(&back, cookie.split(';').next().unwrap());
    let session = signed_in.cookies.iter().find(|cookie| cookie.starts_with("__Host-tidegate=")).unwrap();
    assert!(session.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{session}");
    assert!(signed_in.cookies.iter().all(|cookie| !cookie.contains("Domain")));
    assert_eq!(get("/", session.split(';').next().unwrap()).status, 200);
    delivery.stop();
}
