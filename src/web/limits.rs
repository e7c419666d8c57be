//! How much anybody may ask: so many calls a second of each person, program and address, with some saved up for a burst; and fewer
//! tries to sign in that fail.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use governor::{
    DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};

use super::problem::{Problem, ProblemKind};

/// How many calls a second each may make, unless the settings say otherwise.
pub(super) const CALLS_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).unwrap();
/// For how many seconds calls are saved up.
const BURST_SECONDS: u32 = 10;
/// How often an address may fail to sign in: so many at once, and one more each time that this has passed. More where more calls are
/// allowed than at first.
const TRIES: NonZeroU32 = NonZeroU32::new(20).unwrap();
const TRY_EVERY: Duration = Duration::from_secs(6);
/// How many calls of strangers, and how many that were too many, are written down in a minute: others would push out what is worth keeping.
const EXCESS_NOTED: NonZeroU32 = NonZeroU32::new(60).unwrap();
/// How many callers are known before those are forgotten who have not asked lately.
const MOST_KNOWN: usize = 10_000;
const FAILED_TRIES: &str = "failed tries to sign in from one address";

pub(super) struct Limits {
    people: DefaultKeyedRateLimiter<String>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    tries: DefaultKeyedRateLimiter<IpAddr>,
    /// Whose tries failed too often, and until when they wait.
    shut: Mutex<BTreeMap<IpAddr, Instant>>,
    excess: DefaultDirectRateLimiter,
}

impl Limits {
    pub(super) fn new(calls_per_second: NonZeroU32) -> Self {
        let burst = calls_per_second.saturating_mul(NonZeroU32::MIN.saturating_add(BURST_SECONDS - 1));
        let calls = Quota::per_second(calls_per_second).allow_burst(burst);
        let more = (calls_per_second.get() / CALLS_PER_SECOND).max(1);
        let at_once = TRIES.saturating_mul(NonZeroU32::MIN.saturating_add(more - 1));
        let tries =
            Quota::with_period(TRY_EVERY / more).unwrap_or_else(|| Quota::per_minute(TRIES)).allow_burst(at_once);
        Self {
            people: RateLimiter::keyed(calls),
            addresses: RateLimiter::keyed(calls),
            tries: RateLimiter::keyed(tries),
            shut: Mutex::default(),
            excess: RateLimiter::direct(Quota::per_minute(EXCESS_NOTED)),
        }
    }

    /// One more call of somebody who has signed in.
    pub(super) fn of_person(&self, name: &str) -> Result<(), Problem> {
        one_more(&self.people, &name.to_owned(), "calls of one person or program")
    }

    /// One more call of somebody who has not.
    pub(super) fn of_address(&self, address: IpAddr) -> Result<(), Problem> {
        one_more(&self.addresses, &net_of(address), "calls from one address")
    }

    /// One more try to sign in that failed, or one with a token that is not good.
    pub(super) fn of_failed_try(&self, address: IpAddr) -> Result<(), Problem> {
        let address = net_of(address);
        one_more(&self.tries, &address, FAILED_TRIES).inspect_err(|problem| {
            let wait = Duration::from_secs(problem.again_after_s.unwrap_or_default().into());
            let mut shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            shut.retain(|_, until| *until > now);
            shut.insert(address, now + wait);
        })
    }

    /// Whether an address may try to sign in: not for a while where its tries failed. Those that succeed are not counted: many people
    /// may have one address.
    pub(super) fn may_try(&self, address: IpAddr) -> Result<(), Problem> {
        let shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        match shut.get(&net_of(address)).and_then(|until| until.checked_duration_since(Instant::now())) {
            Some(wait) => Err(too_many(FAILED_TRIES, wait)),
            None => Ok(()),
        }
    }

    /// Whether a call is written down that came from a stranger, or was one too many.
    pub(super) fn notes_excess(&self) -> bool {
        self.excess.check().is_ok()
    }
}

/// Whoever has one address of version 6 has all of its /64.
fn net_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => IpAddr::V6((six.to_bits() >> 64 << 64).into()),
        four @ IpAddr::V4(_) => four,
    }
}

fn one_more<K: std::hash::Hash + Eq + Clone>(
    limiter: &DefaultKeyedRateLimiter<K>,
    key: &K,
    what: &str,
) -> Result<(), Problem> {
    if limiter.len() > MOST_KNOWN {
        limiter.retain_recent();
    }
    limiter.check_key(key).map_err(|until| too_many(what, until.wait_time_from(DefaultClock::default().now())))
}

fn too_many(what: &str, wait: Duration) -> Problem {
    let wait = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
    let problem = Problem::new(ProblemKind::TooMuch, format!("too many {what}: ask again in {wait} s"));
    Problem { again_after_s: Some(wait), ..problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_bucket_of_their_own() {
        let limits = Limits::new(NonZeroU32::MIN);
        let asked = |name: &str| (0..50).take_while(|_| limits.of_person(name).is_ok()).count();
        assert!((10..13).contains(&asked("grace")), "ten seconds are saved up");
        assert!((10..13).contains(&asked("ada")), "what one asks takes nothing from another");
        let Err(refused) = limits.of_person("grace") else { panic!("it is more than one a second") };
        assert_eq!((refused.status, refused.again_after_s), (429, Some(1)));
    }

    #[test]
    fn tries_are_fewer_and_a_network_is_one_address() {
        let limits = Limits::new(CALLS_PER_SECOND);
        let address = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text}"));
        let tried = |text| (0..100).take_while(|_| limits.of_failed_try(address(text)).is_ok()).count();
        assert_eq!((tried("192.0.2.1"), tried("192.0.2.1"), tried("192.0.2.2")), (20, 0, 20));
        assert_eq!((tried("2001:db8::1"), tried("2001:db8::2"), tried("2001:db8:0:1::1")), (20, 0, 20));
        assert!(limits.may_try(address("192.0.2.9")).is_ok());
        let Err(refused) = limits.may_try(address("192.0.2.1")) else { panic!("they are used up") };
        assert!(refused.again_after_s.is_some_and(|wait| (1..=7).contains(&wait)), "{refused:?}");
        assert!(limits.of_address(address("192.0.2.1")).is_ok(), "and questions go on");
    }
}
