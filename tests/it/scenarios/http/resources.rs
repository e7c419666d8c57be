//! What can be asked besides what the command line shows: open questions, what is held, versions, searches, parts of documents,
//! logs as they come, predictions, and what is late.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    sync::Arc,
};

use serde_json::{Value, json};
use tidegate::{
    house::{House, server_settings::ServerSettings},
    web::Listening,
};
use tokio_util::sync::CancellationToken;

use super::{Caller, caller, same::fits, token};
use crate::scenarios::{
    NEW_VERSION,
    delivery::{COMPONENT, Delivery},
};

/// A command of the component that bakes.
const INSTALL: &str = "- cp opt/webshop/VERSION srv/webshop/VERSION";
const OF: &str = "/api/v1/systems/webshop";

/// What is told there, which is as the description says.
fn told(caller: &Caller, name: &str, path: &str) -> Value {
    let document = caller.told(path);
    fits(&caller.told("/api"), name, &document);
    document
}

#[test]
fn open_questions_holds_and_versions_are_told_with_who_can_end_them() {
    let mut delivery = Delivery::careful();
    delivery.serve_with_billing("");
    let nobody = caller(&delivery);
    let all = nobody.with_token(&token(&delivery, "all", "admin", &[]));
    let other = nobody.with_token(&token(&delivery, "other", "viewer", &["billing"]));
    let commit = delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let run = delivery.asking("deliver", "dev").id.to_string();
    let questions = told(&all, "system_approvals", &format!("{OF}/approvals"));
    let [question] = questions["items"].as_array().unwrap().as_slice() else { panic!("{questions}") };
    assert_eq!((&question["run"], &question["needed"], &question["asks"]), (&json!(run), &json!(1), &json!(["qa"])));
    assert_eq!(question["given"], json!([]));
    assert!(question["waiting"]["for_what"].as_str().unwrap().contains("approval by qa (0 of 1)"), "{question}");
    let shown = told(&all, "run", &format!("{OF}/runs/{run}"));
    assert_eq!(shown["asks_for"], question["digest"], "an approval is of what is told");
    assert_eq!(told(&all, "approvals", "/api/v1/approvals"), questions);
    assert_eq!(
        told(&other, "approvals", "/api/v1/approvals")["items"],
        json!([]),
        "it is of a system that is not theirs"
    );
    assert_eq!(other.get("/api/v1/approvals?system=webshop").status, 404);

    delivery.granted(&["freeze", "--system", "webshop", "--stage", "qa", "--for", "3h", "--reason", "the fair"]);
    delivery.granted(&["veto", "ffffffff", "--system", "webshop", "--reason", "it leaks"]);
    let held = told(&all, "holds", &format!("{OF}/holds"));
    let (freeze, veto) = (&held["holds"][0], &held["vetoes"][0]);
    assert_eq!(
        (&freeze["name"], &freeze["reason"], &freeze["by"]),
        (&json!("freeze-1"), &json!("the fair"), &json!("tester"))
    );
    assert!(freeze["until_ms"].as_i64() > freeze["since_ms"].as_i64(), "{freeze}");
    assert_eq!((&veto["what"], &veto["reason"]), (&json!("ffffffff"), &json!("it leaks")));
    assert!(held["windows"].is_array() && held["pins"] == json!([]), "{held}");

    delivery.granted_as("grace", &["approve", &run, "--system", "webshop"]);
    delivery.done("deliver", "dev");
    delivery.granted(&["pin", "dev", "--system", "webshop", "--reason", "the fair"]);
    let versions = told(&all, "versions", &format!("{OF}/versions?stage=dev"));
    let newest = &versions[0]["versions"][0];
    assert_eq!((&newest["version"], &versions[0]["here"]), (&json!(run), &json!(run)), "{versions}");
    assert_eq!(newest["set"]["software"], json!(commit));
    assert!(!newest["artifacts"].as_array().unwrap().is_empty(), "{newest}");
    assert_eq!(told(&all, "holds", &format!("{OF}/holds"))["pins"][0]["version"], json!(run));
    assert_eq!(all.get(&format!("{OF}/versions?stage=moon")).status, 404);

    delivery.granted(&["promote", "dev", "qa", "--system", "webshop"]);
    let promotions = told(&all, "promotions", &format!("{OF}/promotions?stage=qa"));
    let promotion = &promotions["items"][0];
    assert_eq!((&promotion["from"], &promotion["to"]), (&json!("dev"), &json!("qa")), "{promotions}");
    assert!(promotion["waiting"]["for_what"].as_str().is_some(), "{promotion}");
    let runs = |state: &str| all.told(&format!("{OF}/runs?state={state}"))["items"].as_array().unwrap().clone();
    assert!(runs("DONE").iter().all(|run| run["state"] == "DONE") && !runs("DONE").is_empty());
    assert_eq!(runs("FAILED"), Vec::<Value>::new());
    assert_eq!(all.get(&format!("{OF}/runs?state=GREEN")).status, 400);
}

#[test]
fn a_text_is_found_in_what_its_seeker_may_look_at() {
    let mut delivery = Delivery::careful();
    delivery.serve_with_billing("");
    let nobody = caller(&delivery);
    let all = nobody.with_token(&token(&delivery, "all", "viewer", &[]));
    let other = nobody.with_token(&token(&delivery, "other", "viewer", &["billing"]));
    let commit = delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let run = delivery.asking("deliver", "dev").id.to_string();
    let found = |caller: &Caller, text: &str| {
        let found = told(caller, "search", &format!("/api/v1/search?q={text}"));
        let named =
            |found: &Value| (found["kind"].as_str().unwrap().to_owned(), found["name"].as_str().unwrap().to_owned());
        found["items"].as_array().unwrap().iter().map(named).collect::<Vec<_>>()
    };
    let has = |text: &str, kind: &str, name: &str| {
        let found = found(&all, text);
        assert!(found.contains(&(kind.to_owned(), name.to_owned())), "{text}: {found:?}");
    };
    has("webs", "system", "webshop");
    has(&run, "run", &run);
    has(&commit[..10], "commit", &format!("software@{commit}"));
    has("sell%20more", "commit", &format!("software@{commit}"));
    has("ami-", "artifact", delivery.done("bake", "dev").steps[0].outputs["ami"].as_str().unwrap());
    has("grace", "person", "grace");
    assert_eq!(found(&all, "nothing-has-this"), []);
    for text in [run.as_str(), "webshop", &commit[..10], "ami-"] {
        assert_eq!(found(&other, text), [], "{text} is of another system");
    }
    let few = all.told("/api/v1/search?q=e-&limit=1");
    assert!(few["items"].as_array().unwrap().len() == 1 && few["shortened"] == true, "{few}");
    for bad in ["q=x", "q=", "limit=5", &format!("q={}", "x".repeat(101)), "q=xx&limit=51"] {
        assert_eq!(all.get(&format!("/api/v1/search?{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn a_part_of_a_document_is_no_whole_one_and_names_are_known() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let all = caller(&delivery).with_token(&token(&delivery, "all", "operator", &[]));
    let answer = all.get(&format!("{OF}/status?fields=system,stages"));
    assert_eq!(answer.headers["content-type"], "application/vnd.tidegate.part+json");
    assert_eq!(answer.json(), json!({ "system": "webshop", "stages": ["dev", "qa", "main"] }));
    let page = all.told(&format!("{OF}/events?from=1&limit=2&fields=seq"));
    assert_eq!(page["items"], json!([{ "seq": 1 }, { "seq": 2 }]));
    assert!(page["next"].is_string());
    let tagged = all.with("If-None-Match", &answer.headers["etag"]).get(&format!("{OF}/status?fields=system,stages"));
    assert_eq!(tagged.status, 304);
    let wrong = all.get(&format!("{OF}/status?fields=colour"));
    assert!(wrong.status == 400 && wrong.text().contains("there is no field `colour` here; there are: "), "{wrong:?}");

    let me = told(&all, "me", "/api/v1/me");
    assert_eq!(
        me["permissions"],
        json!([{ "system": "webshop", "everywhere": ["view", "operate", "hold"], "stages": {} }])
    );
}

#[test]
fn a_log_that_is_followed_comes_as_it_is_printed_and_ends() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let all = caller(&delivery).with_token(&token(&delivery, "all", "viewer", &[]));
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("bake", "dev");
    let slow = COMPONENT.replace(INSTALL, &format!("{INSTALL}\n            - sleep 4"));
    delivery.image.commit("dev", "Take your time", &[("components/webshop.yaml", &slow)]);
    let run = delivery.wait("a bake at work", |state| {
        let run = state.live_runs().find(|run| run.subject.name() == "bake" && run.stage.as_str() == "dev")?;
        run.steps[0].handle.as_ref().map(|_| run.id.to_string())
    });
    let path = format!("{OF}/runs/{run}/steps/bake/log");
    let mut stream = all.connect();
    stream.write_all(all.head("GET", &format!("{path}?follow=true"), None).as_bytes()).unwrap();
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    while !line.starts_with("building ") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended before anything was printed");
    }
    let shown = all.told(&format!("{OF}/runs/{run}"));
    assert_ne!(shown["run"]["state"], "DONE", "it is told while the step goes on");
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("\ndone\n"), "{rest}");
    let whole = all.get(&path).text();
    assert!(whole.contains("building ") && whole.ends_with("done\n"), "{whole}");
    assert_eq!(all.get(&format!("{path}?follow=maybe")).status, 400);
    assert_eq!(all.with("Range", "bytes=0-").get(&format!("{path}?follow=true")).status, 400);
    let none = format!("{OF}/runs/{run}/steps/none/log?follow=true");
    assert_eq!(all.get(&none).status, 404);
}

#[test]
fn predictions_have_places_and_touch_nothing() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let nobody = caller(&delivery);
    let (ada, grace) = (token(&delivery, "ada", "viewer", &[]), token(&delivery, "grace", "viewer", &[]));
    let path = format!("{OF}/predictions");
    let seq = super::last(&delivery, "webshop");
    let asked = r#"{"suppose":{"type":"run","rule":"package","stage":"dev"}}"#;
    let answer = nobody.with_token(&ada).post(&path, asked);
    assert_eq!(answer.status, 200, "{}", answer.text());
    fits(&nobody.told("/api"), "predict", &answer.json());
    assert_eq!(super::last(&delivery, "webshop"), seq, "nothing is touched");
    // Many at once: each is predicted, or told that there is no place.
    let asks: Vec<_> = (0..12)
        .map(|number| {
            let caller = nobody.with_token(if number % 2 == 0 { &ada } else { &grace });
            let (path, asked) = (path.clone(), asked.to_owned());
            std::thread::spawn(move || caller.post(&path, &asked))
        })
        .collect();
    let answers: Vec<_> = asks.into_iter().map(|ask| ask.join().unwrap()).collect();
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!(count(200) + count(429) + count(503), 12, "{answers:?}");
    assert!(count(200) >= 1 && count(429) >= 1, "{answers:?}");
    assert!(
        answers.iter().filter(|answer| answer.status != 200).all(|answer| answer.headers.contains_key("retry-after"))
    );
    let ada = nobody.with_token(&ada);
    for (bad, status, said) in [
        (r#"{"suppose":{"type":"dance"}}"#, 422, "unknown variant"),
        (r#"{"suppose":{"type":"until","time":"2001-01-01"}}"#, 400, "is in the past"),
        (r#"{"suppose":{"type":"until","time":"900d"}}"#, 400, "days ahead"),
        (r#"{"suppose":{"type":"until","time":"3d"},"days":0}"#, 400, "from 1 to 366"),
        (r#"{"suppose":{"type":"until","time":"3d","now":1}}"#, 422, "unknown field"),
        (r#"{"suppose":{"type":"push","repository":"software","stage":"dev","force":true}}"#, 400, "a forced push"),
        (r#"{"suppose":{"type":"rollback","stage":"dev"}}"#, 409, ""),
        (r#"{"suppose":{"type":"until","time":"3d"},"rules":{"name":"x.yaml","text":"version: 7"}}"#, 422, "x.yaml"),
    ] {
        let answer = ada.post(&path, bad);
        assert!(answer.status == status && answer.text().contains(said), "{bad}: {}", answer.text());
    }
}

#[test]
fn what_is_late_is_named_to_whoever_may_look() {
    let mut delivery = Delivery::by_hand();
    delivery.serve_with_billing("");
    let all = token(&delivery, "all", "viewer", &[]);
    let other = token(&delivery, "other", "viewer", &["billing"]);
    assert_eq!(caller(&delivery).get("/readyz").text(), "ready\n");
    delivery.kill();
    delivery.change_database("UPDATE effects SET claimed_by = NULL, again_ms = NULL, due_ms = due_ms - 7200000");
    // A server without a driver: what is due stays where it is.
    let (told, address) = std::sync::mpsc::channel();
    let (config, stop) = (delivery.config(), CancellationToken::new());
    let ends = stop.clone();
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let house = Arc::new(House::open(&config).await.unwrap());
            let listening = Listening::at(&ServerSettings::default()).await.unwrap().unwrap();
            told.send(listening.address().to_string()).unwrap();
            let server = listening.server(house, None, ends);
            listening.answer(server).await;
        });
    });
    let nobody = Caller { host: address.recv().unwrap(), headers: Vec::new() };
    let said = |caller: &Caller| {
        let answer = caller.get("/readyz");
        assert_eq!((answer.status, answer.headers["retry-after"].as_str()), (503, "5"));
        answer.json()["detail"].as_str().unwrap().to_owned()
    };
    for caller in [&nobody, &nobody.with_token(&other)] {
        let said = said(caller);
        assert!(said.contains("due and not begun") && !said.contains("webshop"), "{said}");
    }
    let said = said(&nobody.with_token(&all));
    assert!(said.contains("webshop watch/software#") && said.contains(", due for 7"), "{said}");
    stop.cancel();
    server.join().unwrap();
}
