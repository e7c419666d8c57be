//! Where the time of slow pushes went, as the log of their systems tells: the look, the waits for places, the steps, the push.

use tidegate::{engine::Event, house::House, rules::SystemName};

use super::company::{Company, Pinned};

/// How many of the slowest are told.
const MOST: usize = 12;

/// Prints what the log has between each of the slowest pushes and its pin, and when: milliseconds after the push began.
pub(super) fn tell(company: &Company, pushes: &[Pinned]) {
    let mut slowest: Vec<&Pinned> = pushes.iter().collect();
    slowest.sort_by_key(|pinned| std::cmp::Reverse(pinned.took));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let house = runtime.block_on(House::open(&company.root().join("tidegate.toml"))).unwrap();
    for Pinned { system, at_ms, took } in slowest.into_iter().take(MOST) {
        println!("  {system}, {:.2} s:", took.as_secs_f64());
        let name = SystemName::new(system.as_str()).unwrap();
        let rows = runtime.block_on(house.ledger.store().log(&name, 0, 1_000_000)).unwrap();
        let until = at_ms + i64::try_from(took.as_millis()).unwrap() + 1_000;
        for row in rows.iter().filter(|row| (*at_ms..=until).contains(&row.at_ms)) {
            let Ok(event) = serde_json::from_slice::<Event>(&row.event) else { continue };
            let said = match event {
                Event::Outcome { effect, waited_ms, .. } => format!("{effect} (waited {waited_ms} ms for a place)"),
                other => serde_json::to_string(&other).unwrap().chars().take(80).collect(),
            };
            println!("    +{:>6} ms  {said}", row.at_ms - at_ms);
        }
    }
}
