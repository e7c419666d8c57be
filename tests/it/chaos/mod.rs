//! Many systems of one server, some of which do all the harm they can at once: the others lose nothing, do nothing twice, and
//! wait hardly longer. `scripts/chaos` measures it with 50 systems; here a few are enough.

mod company;
mod harm;
mod slow;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use company::{Company, Ground, Member, Pinned};
use harm::Silence;

/// How long nothing may be pinned before it counts as lost.
const LONGEST: Duration = Duration::from_secs(170);
/// How often a system pushes where that is measured.
const PUSH_EVERY: Duration = Duration::from_secs(30);
/// How often a hostile system does the next thing.
const HARM_EVERY: Duration = Duration::from_secs(4);
/// How often it is looked whether something was pinned.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The most memory that the server may have.
const MOST_MEMORY_KIB: u64 = 2 << 20;

/// The end of all harm, also where a test fails.
struct End<'over>(&'over AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Lets each hostile system do the next thing: each another, and each its rules first.
fn harm(ground: &Ground, hostile: &[Member], silence: &Silence, turn: usize, kinds: &[usize]) {
    for (number, member) in hostile.iter().enumerate() {
        let turn = if turn == 0 { 0 } else { turn + number };
        harm::next(ground, member, silence, (kinds[turn % kinds.len()], turn));
    }
}

/// Waits until what was pushed is pinned, and returns how long each push waited.
fn wait_for_pins(company: &mut Company, waits: &mut Vec<Pinned>) {
    let begun = Instant::now();
    while company.members.iter().any(Member::waits) {
        waits.extend(company.members.iter_mut().filter_map(Member::pinned));
        let waiting: Vec<&str> =
            company.members.iter().filter(|one| one.waits()).map(|one| one.name.as_str()).collect();
        assert!(begun.elapsed() < LONGEST, "never pinned: {waiting:?}\n{}", company.log_tail());
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Nothing was lost, nothing done twice, and the log is as it must be.
fn assert_whole(company: &Company) {
    for member in &company.members {
        assert_eq!(member.lost_and_doubled(), (0, 0), "lost and doubled of {}", member.name);
    }
    company.verify_log().unwrap_or_else(|said| panic!("{said}"));
}

#[test]
fn hostile_systems_keep_nothing_from_the_others() {
    let mut company = Company::new(4, 2);
    company.serve();
    let (silence, mut waits, kinds) = (Silence::new(), Vec::new(), (0..harm::KINDS).collect::<Vec<_>>());
    // Each of the things that they do comes while something of the others is on its way.
    for round in 0..4 {
        company.members.iter_mut().for_each(|member| assert!(member.push()));
        let turns = if round == 0 { 0..1 } else { 3 * round - 2..3 * round + 1 };
        turns.for_each(|turn| harm(&company.ground, &company.hostile, &silence, turn, &kinds));
        wait_for_pins(&mut company, &mut waits);
    }
    let (_, most_kib) = company.memory_kib();
    assert!(most_kib < MOST_MEMORY_KIB, "the server had {most_kib} KiB");
    company.stop();
    assert_whole(&company);
}

/// Pushes to each system now and then for so long, and returns how long each push waited for its pin.
fn push_for(company: &mut Company, span: Duration) -> (Vec<Pinned>, u64) {
    let (begun, count) = (Instant::now(), u32::try_from(company.members.len()).unwrap());
    let mut due: Vec<Instant> = (0..count).map(|number| begun + PUSH_EVERY / count * number).collect();
    let (mut waits, mut most_kib, mut sampled) = (Vec::new(), 0, begun);
    while begun.elapsed() < span {
        for (member, due) in company.members.iter_mut().zip(&mut due) {
            waits.extend(member.pinned());
            if Instant::now() >= *due && member.push() {
                *due += PUSH_EVERY;
            }
        }
        if sampled.elapsed() > Duration::from_secs(1) {
            (most_kib, sampled) = (most_kib.max(company.memory_kib().0), Instant::now());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    wait_for_pins(company, &mut waits);
    (waits, most_kib)
}

/// The wait that so many of a hundred do not exceed.
fn quantile(waits: &[Pinned], of_hundred: usize) -> f64 {
    let mut sorted: Vec<Duration> = waits.iter().map(|pinned| pinned.took).collect();
    sorted.sort_unstable();
    sorted.get((sorted.len() * of_hundred).div_ceil(100).saturating_sub(1)).map_or(0.0, Duration::as_secs_f64)
}

/// `scripts/chaos SECONDS`: a third of the time it is quiet, then the hostile ones do what they can.
#[test]
#[ignore = "takes as long as it is told to; run by scripts/chaos"]
fn measured() {
    let number = |name: &str, otherwise: u64| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let (seconds, systems, hostile) =
        (number("CHAOS_SECONDS", 600), number("CHAOS_SYSTEMS", 50), number("CHAOS_HOSTILE", 5));
    let mut company = Company::new((systems - hostile).try_into().unwrap(), hostile.try_into().unwrap());
    company.serve();
    let list = |name: &str, all: usize| -> Vec<usize> {
        let listed = std::env::var(name).ok();
        listed
            .map_or_else(|| (0..all).collect(), |text| text.split(',').map(|number| number.parse().unwrap()).collect())
    };
    let (kinds, commands) = (list("CHAOS_HARMS", harm::KINDS), list("CHAOS_COMMANDS", harm::COMMANDS.len()));
    let (silence, mut first) = (Silence::with_commands(commands), Vec::new());
    company.members.iter_mut().for_each(|member| assert!(member.push()));
    wait_for_pins(&mut company, &mut first);
    let (quiet, quiet_kib) = push_for(&mut company, Duration::from_secs(seconds / 3));
    let (hostile, ground, over) =
        (std::mem::take(&mut company.hostile), company.ground.clone(), AtomicBool::new(false));
    let (loud, loud_kib, turns) = std::thread::scope(|scope| {
        let harming = scope.spawn(|| {
            let turns = (0..).take_while(|_| !over.load(Ordering::Relaxed));
            let does = |turn: usize| {
                harm(&ground, &hostile, &silence, turn, &kinds);
                std::thread::sleep(HARM_EVERY);
            };
            turns.map(does).count()
        });
        let end = End(&over);
        let (loud, loud_kib) = push_for(&mut company, Duration::from_secs(seconds - seconds / 3));
        drop(end);
        (loud, loud_kib, harming.join().unwrap())
    });
    let (_, most_kib) = company.memory_kib();
    println!("push to pin, {systems} systems, {} of them hostile, {seconds} s:", hostile.len());
    for (name, waits, kib) in [("quiet", &quiet, quiet_kib), ("hostile", &loud, loud_kib)] {
        let (count, p50, p99) = (waits.len(), quantile(waits, 50), quantile(waits, 99));
        println!("  {name:<8} {count} pushes, p50 {p50:.2} s, p99 {p99:.2} s, resident memory {} MiB", kib / 1024);
    }
    println!("  hostile ones did {} things; the server had at most {} MiB", turns * hostile.len(), most_kib / 1024);
    company.stop();
    slow::tell(&company, &loud);
    assert_whole(&company);
    println!("  0 lost, 0 doubled, verify-log content");
    assert!(most_kib < MOST_MEMORY_KIB, "the server had {most_kib} KiB");
}
