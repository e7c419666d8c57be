//! Random histories of diamonds. What is really in each commit and each artifact is kept beside the engine: whatever it thinks
//! of provenance, nothing may be built from pins that no common commit gave (I12), and nothing waits for ever.

mod told;

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::Index, strategy::ValueTree as _, test_runner::TestRunner};

use told::{Diamond, HAPPENS, Move, VARIANTS, Which};

/// How many histories are counted, and in how many of these everything is to happen at the least.
const COUNTED: usize = 120;
const LEAST: usize = 6;

fn moves(by_hand: u32) -> impl Strategy<Value = Move> {
    let (index, flag) = (|| (0.0..1.0).prop_map(Which), any::<bool>);
    prop_oneof![
        5 => (prop::collection::vec(flag(), 3), flag()).prop_map(|(parts, told)| Move::Shared { parts, told }),
        2 => (index(), flag()).prop_map(|(which, told)| Move::Other { which, told }),
        1 => (index(), flag()).prop_map(|(to, told)| Move::Revert { to, told }),
        1 => (index(), index(), flag()).prop_map(|(which, to, told)| Move::Rewrite { which, to, told }),
        by_hand => (index(), index(), flag()).prop_map(|(which, to, told)| Move::ByHand { which, to, told }),
        3 => index().prop_map(|which| Move::Look { which }),
        24 => (index(), 0_u8..12).prop_map(|(which, how)| Move::Step { which, how }),
        2 => index().prop_map(|which| Move::Retry { which }),
        1 => index().prop_map(|variant| Move::Reload { variant }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: super::support::cases(), ..ProptestConfig::default() })]

    #[test]
    fn nothing_combines_what_no_commit_gave_and_nothing_waits_for_ever(
        number in 0..VARIANTS.len(), moves in prop::collection::vec(moves(0), 1..100), at in any::<Index>(),
    ) {
        let mut diamond = Diamond::new(number);
        diamond.plays(&moves);
        diamond.world.replays(at.index(diamond.world.log.len()));
    }

    /// Also when people set pins by hand, in between all of that.
    #[test]
    fn nothing_combines_and_nothing_waits_when_pins_are_set_by_hand(
        number in 0..VARIANTS.len(), moves in prop::collection::vec(moves(3), 1..100),
    ) {
        let mut diamond = Diamond::new(number);
        diamond.plays(&moves);
    }
}

/// The histories are of the kind that they are meant to be.
#[test]
fn a_history_without_mishap_waits_at_every_fan_in_and_builds() {
    for (number, fan_ins) in [(0, vec!["bake"]), (4, vec!["package-app", "bake", "deliver"])] {
        let mut diamond = Diamond::new(number);
        diamond.plays(&[Move::Shared { parts: vec![true; 3], told: true }]);
        for rule in fan_ins {
            let has = |told: &std::collections::BTreeSet<String>| told.iter().any(|run| run.starts_with(rule));
            assert!(has(&diamond.waited) && has(&diamond.begun), "{rule}: {:?} {:?}", diamond.waited, diamond.begun);
        }
    }
}

#[test]
fn all_that_is_hard_happens_in_histories() {
    let mut runner = TestRunner::deterministic();
    let mut happened: BTreeMap<&str, usize> = BTreeMap::new();
    for number in 0..COUNTED {
        let moves = prop::collection::vec(moves(3), 1..100).new_tree(&mut runner).unwrap().current();
        let mut diamond = Diamond::new(number % VARIANTS.len());
        drop(diamond.comes_to(&moves));
        for (what, _) in diamond.counts().into_iter().filter(|(_, times)| *times > 0) {
            *happened.entry(what).or_default() += 1;
        }
    }
    println!("of {COUNTED} histories, so many have it: {happened:#?}");
    for what in HAPPENS {
        assert!(happened.get(what).is_some_and(|times| *times >= LEAST), "{what}: {happened:?}");
    }
}

/// The image has an app that somebody chose, and tools of an older commit than the app's own repository by now: whoever waits is
/// told to make the app, and not what the app would be made from.
#[test]
fn what_was_chosen_gives_way_though_all_further_up_is_newer() {
    let first = Which(0.0);
    let push = |told| Move::Shared { parts: vec![false; 3], told };
    let step = |share, how| Move::Step { which: Which(share), how };
    let by_hand = |share, to| Move::ByHand { which: Which(share), to: Which(to), told: false };
    let moves = [
        push(true),
        step(0.0, 2),
        Move::Look { which: first },
        step(0.0, 3),
        push(false),
        by_hand(0.0, 0.0),
        push(true),
        Move::Rewrite { which: Which(0.625), to: first, told: false },
        step(0.67, 2),
        by_hand(0.0, 0.0),
        step(0.5, 3),
        by_hand(0.0, 0.0),
        by_hand(0.25, 0.5),
    ];
    Diamond::new(0).plays(&moves);
}

/// The base was pinned before Tidegate came and fits the app's commit. Then it is found to be of a newer one as well, while the app
/// is being packaged with it: what comes of that is of the older commit all the same, and not chosen by anybody.
#[test]
fn what_was_pinned_before_stays_right_for_all_that_it_was_right_for() {
    let first = Which(0.0);
    let shared = |parts: [bool; 3], told| Move::Shared { parts: parts.to_vec(), told };
    let step = |share| Move::Step { which: Which(share), how: 3 };
    let moves = [
        shared([true, false, true], false),
        Move::Look { which: first },
        Move::Revert { to: first, told: false },
        step(0.82),
        step(0.57),
        shared([false; 3], true),
        step(0.98),
        step(0.92),
        step(0.65),
        shared([false; 3], false),
        Move::Look { which: first },
    ];
    Diamond::new(5).plays(&moves);
}
