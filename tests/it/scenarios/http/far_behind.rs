//! A reader of the changes that is 100,000 events behind: they come from the logs, page by page, and the server holds none.

use std::sync::Arc;

use tidegate::{
    engine::{Command, Decision, Event, Principal, Recorded},
    house::House,
    rules::SystemName,
};

use super::{caller, changes::Reader, token};
use crate::scenarios::delivery::Delivery;

const SYSTEMS: u64 = 25;
const EVENTS: u64 = 4_000;
/// How much more the server may hold while it tells, in KiB: the events of all logs are several times as long.
const MOST_MORE_KIB: u64 = 32 * 1024;

/// Writes the logs of all systems at once, as the store takes them.
fn write_logs(delivery: &Delivery) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let house = Arc::new(House::open(&delivery.config()).await.unwrap());
        let mut writers = tokio::task::JoinSet::new();
        for number in 0..SYSTEMS {
            let house = Arc::clone(&house);
            writers.spawn(async move {
                let system = SystemName::new(&format!("far-{number:02}")).unwrap();
                for seq in 1..=EVENTS {
                    let command = Command::Pause { reason: format!("{} {seq}", "why ".repeat(60)) };
                    let event = Event::Command { by: Principal::named("tester"), command, key: None };
                    let recorded = Recorded { seq, at_ms: 1_800_000_000_000 + seq.cast_signed(), event };
                    house.ledger.store().append(&system, &recorded, &Decision::default(), None).await.unwrap();
                }
            });
        }
        while let Some(written) = writers.join_next().await {
            written.unwrap();
        }
    });
}

/// A figure of the server's memory, in KiB.
fn memory(delivery: &Delivery, figure: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", delivery.server_id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(figure)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_reader_far_behind_is_told_all_of_it_once_over_cut_connections_and_a_killed_server() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    delivery.stop();
    write_logs(&delivery);
    delivery.serve();
    let all = token(&delivery, "all", "viewer", &[]);
    let places: Vec<String> = (0..SYSTEMS).map(|number| format!("far-{number:02}:0")).collect();
    let path = format!("/api/v1/events?after={}", places.join(","));
    let asks = caller(&delivery).with_token(&all);
    let mut reader = Reader::new(&asks, &path);
    let mut told = vec![0; usize::try_from(SYSTEMS).unwrap()];
    let mut before = memory(&delivery, "VmRSS:");
    let (mut count, mut most_more) = (0, 0);
    while count < SYSTEMS * EVENTS {
        let event = reader.event().unwrap_or_else(|| panic!("it ended after {count} events"));
        let Some(number) = event["system"].as_str().unwrap().strip_prefix("far-") else { continue };
        let last = &mut told[number.parse::<usize>().unwrap()];
        *last += 1;
        assert_eq!(event["seq"].as_u64(), Some(*last), "far-{number}: no gap, and no repeat");
        count += 1;
        if count == 30_000 {
            // The connection is cut.
            reader = Reader::new(&asks.with("Last-Event-ID", &reader.id), &path);
        }
        if count == 60_000 {
            most_more = memory(&delivery, "VmHWM:").saturating_sub(before);
            delivery.kill();
            let id = reader.id.clone();
            delivery.serve();
            reader = Reader::new(&caller(&delivery).with_token(&all).with("Last-Event-ID", &id), &path);
            before = memory(&delivery, "VmRSS:");
        }
    }
    most_more = most_more.max(memory(&delivery, "VmHWM:").saturating_sub(before));
    println!("{count} events were told, and the server held {most_more} KiB more");
    assert!(most_more < MOST_MORE_KIB, "the server held {most_more} KiB more");
}
