//! The events of the logs as they come: each once, in order, whatever becomes of the connection and the server.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
};

use serde_json::Value;

use super::{Caller, caller, last, token};
use crate::scenarios::delivery::Delivery;

/// Somebody who reads the changes.
pub(super) struct Reader {
    lines: BufReader<TcpStream>,
    /// The `id` of what came last.
    pub(super) id: String,
}

impl Reader {
    pub(super) fn new(caller: &Caller, path: &str) -> Self {
        let mut stream = caller.connect();
        stream.write_all(caller.head("GET", path, None).as_bytes()).unwrap();
        let mut reader = Self { lines: BufReader::new(stream), id: String::new() };
        let head: Vec<String> = std::iter::from_fn(|| reader.line()).take_while(|line| !line.is_empty()).collect();
        assert!(head[0].contains(" 200 "), "{head:?}");
        for header in ["content-type: text/event-stream", "x-accel-buffering: no"] {
            assert!(head.iter().any(|line| line.to_lowercase() == header), "{head:?}");
        }
        reader
    }

    /// The next line; nothing when the server has gone.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap_or_default();
        line.ends_with('\n').then(|| line.trim_end().to_owned())
    }

    /// The next event.
    pub(super) fn event(&mut self) -> Option<Value> {
        let mut next = self.id.clone();
        loop {
            // Between the lines stand the lengths of the pieces in which they are sent.
            let line = self.line()?;
            if let Some(id) = line.strip_prefix("id: ") {
                id.clone_into(&mut next);
            }
            if let Some(data) = line.strip_prefix("data: ") {
                self.id = next;
                return Some(serde_json::from_str(data).unwrap());
            }
        }
    }

    /// Reads until the event of each of these places has come; what came.
    fn until(&mut self, ends: &[(&str, u64)]) -> Vec<(String, u64)> {
        let mut came = Vec::new();
        let is_there = |came: &[(String, u64)], (system, seq): &(&str, u64)| {
            came.iter().any(|(of, place)| of == system && place == seq)
        };
        while !ends.iter().all(|end| is_there(&came, end)) {
            let event = self.event().unwrap_or_else(|| panic!("it ended after {came:?}"));
            came.push((event["system"].as_str().unwrap().to_owned(), event["seq"].as_u64().unwrap()));
        }
        came
    }
}

fn places(came: &[(String, u64)], system: &str) -> Vec<u64> {
    came.iter().filter(|(of, _)| of == system).map(|(_, seq)| *seq).collect()
}

/// Moves a system so many times.
fn moved(delivery: &Delivery, system: &str, times: u64) -> u64 {
    for _ in 0..times {
        delivery.granted(&["pause", "--system", system, "--reason", "a look"]);
        delivery.granted(&["resume", "--system", system]);
    }
    last(delivery, system)
}

#[test]
fn no_event_is_lost_and_none_comes_twice_over_a_killed_server() {
    let mut delivery = Delivery::by_hand();
    delivery.serve_with_billing("");
    let all = token(&delivery, "all", "viewer", &[]);
    let path = "/api/v1/events?after=webshop:0,billing:0";
    let asks = caller(&delivery).with_token(&all);
    let mut reader = Reader::new(&asks, path);
    let first = moved(&delivery, "webshop", 2);
    let mut came = reader.until(&[("webshop", first)]);
    // Killed while it tells; what is recorded meanwhile comes afterwards.
    delivery.kill();
    while let Some(event) = reader.event() {
        came.push((event["system"].as_str().unwrap().to_owned(), event["seq"].as_u64().unwrap()));
    }
    let between = moved(&delivery, "webshop", 2);
    moved(&delivery, "billing", 1);
    delivery.serve();
    let asks = caller(&delivery).with_token(&all).with("Last-Event-ID", &reader.id);
    let mut reader = Reader::new(&asks, path);
    let second = moved(&delivery, "billing", 1);
    assert!(between > first);
    came.extend(reader.until(&[("webshop", between), ("billing", second)]));
    for system in ["webshop", "billing"] {
        let places = places(&came, system);
        let whole: Vec<u64> = (1..=u64::try_from(places.len()).unwrap()).collect();
        assert_eq!(places, whole, "{system}: no gap, and no repeat");
    }
    assert!(places(&came, "webshop").len() as u64 >= between);
    delivery.stop();
    while reader.event().is_some() {}
    let log = delivery.server_log();
    assert!(!log.contains("were cut off"), "streams end when they are told to: {log}");
}

#[test]
fn a_reader_is_told_what_they_may_see_and_no_longer_than_they_may() {
    let mut delivery = Delivery::by_hand();
    delivery.serve_with_billing("");
    let nobody = caller(&delivery);
    let one = nobody.with_token(&token(&delivery, "one", "viewer", &["billing"]));
    let mut reader = Reader::new(&one, "/api/v1/events?after=billing:0");
    moved(&delivery, "webshop", 1);
    let seq = moved(&delivery, "billing", 1);
    let came = reader.until(&[("billing", seq)]);
    assert!(came.iter().all(|(system, _)| system == "billing"), "{came:?}");
    // Without a place, what comes from now on.
    let mut fresh = Reader::new(&one, "/api/v1/events");
    let seq = moved(&delivery, "billing", 1);
    let came = fresh.until(&[("billing", seq)]);
    assert!(came.len() <= 3, "{came:?}");
    delivery.granted(&["token", "revoke", "one"]);
    moved(&delivery, "billing", 1);
    let more = std::iter::from_fn(|| reader.event()).count();
    assert!(more <= 3, "it ended, and what came before the token did was told: {more}");
}

#[test]
fn one_person_has_only_so_many_streams() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let one = caller(&delivery).with_token(&token(&delivery, "one", "viewer", &[]));
    let readers: Vec<Reader> = (0..16).map(|_| Reader::new(&one, "/api/v1/events")).collect();
    let refused = one.get("/api/v1/events");
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(one.get("/api/v1/me").status, 200, "questions are answered");
    drop(readers);
}
