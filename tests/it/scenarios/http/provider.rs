//! Signing in with an OpenID Connect provider that nobody here wrote.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
};

use serde_json::json;

use super::{
    Caller,
    browser::{Browser, with_issuers},
};
use crate::{scenarios::delivery::Delivery, support::tool};

pub(super) struct Provider {
    program: Child,
    host: String,
}

impl Provider {
    /// Starts it, and waits until it says that it listens; nothing where it is not installed.
    pub(super) fn start() -> Option<Self> {
        let program = tool("oidc-provider-mock-0.4.8/bin/oidc-provider-mock")?;
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let grace = json!({
            "sub": "grace", "email": "grace@corp.example", "email_verified": true, "groups": ["all-admins", "everybody"],
        });
        let mut started = Command::new(program);
        started.args(["--port", &free.port().to_string(), "--require-nonce", "true"]);
        started.args(["--user-claims", &grace.to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
        let mut program = started.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(program.stderr.take().unwrap()).lines();
        let said: Vec<String> =
            std::iter::from_fn(|| lines.next()?.ok()).take_while(|line| !line.contains("running on")).collect();
        assert!(program.try_wait().unwrap().is_none(), "it has ended: {said:?}");
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { program, host: free.to_string() })
    }

    /// The issuer that it is.
    pub(super) fn settings(&self) -> String {
        format!(
            "[[server.issuers]]\nname = 'mock'\nurl = 'http://{}'\nclient = 'tide'\nsecret = 'client'\nperson_claim = 'email'\n\
             people = {{ 'grace@corp.example' = 'grace' }}\ngroups = {{ all-admins = 'admins' }}\n",
            self.host
        )
    }

    /// What a person does there; where the browser is sent back to.
    fn answer(&self, location: &str, form: &str) -> String {
        let path = location.strip_prefix(&format!("http://{}", self.host)).unwrap_or_else(|| panic!("{location}"));
        let caller = Caller { host: self.host.clone(), headers: Vec::new() };
        let page = caller.get(path);
        assert!(page.status == 200 && page.text().contains("<code>tide</code>"), "{}", page.text());
        let answer = caller.send("POST", path, "application/x-www-form-urlencoded", form);
        assert_eq!(answer.status, 302, "{}", answer.text());
        let (_, path) = answer.headers["location"].split_once("/sign-in/").unwrap();
        format!("/sign-in/{path}")
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.program.kill().unwrap();
        self.program.wait().unwrap();
    }
}

#[test]
fn a_provider_that_nobody_here_wrote_signs_people_in() {
    let Some(provider) = Provider::start() else { return };
    let mut delivery = Delivery::by_hand();
    let settings = provider.settings();
    let host = with_issuers(&delivery, &settings);
    delivery.serve();
    let mut browser = Browser::new(&host);
    let there = browser.begin("mock", "/api/v1/me");
    let answer = browser.get(&provider.answer(&there, "sub=grace"));
    assert_eq!(answer.status, 303, "{}\n{}", answer.text(), delivery.server_log());
    let me = browser.script().told("/api/v1/me");
    assert_eq!((&me["name"], &me["signed_in_by"]), (&json!("grace"), &json!("mock")));
    assert_eq!(me["groups"], json!(["admins", "qa", "release-managers"]));
    // Who is not known here, and who changes their mind there.
    let mut other = Browser::new(&host);
    let there = other.begin("mock", "/");
    let refused = other.get(&provider.answer(&there, "sub=linus%40corp.example"));
    assert!(matches!(refused.status, 401 | 403) && other.session().is_none(), "{}", refused.text());
    let there = other.begin("mock", "/");
    assert_eq!(other.get(&provider.answer(&there, "action=deny")).status, 401);
    // It ends between the code and the token.
    let there = other.begin("mock", "/");
    let back = provider.answer(&there, "sub=grace");
    drop(provider);
    let page = other.get(&back);
    assert!(page.status == 503 && page.text().contains("mock does not answer"), "{}", page.text());
    assert_eq!(browser.get("/").status, 200, "who has signed in goes on");
    delivery.stop();
}
