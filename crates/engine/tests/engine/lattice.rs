//! Random histories of whole systems: rows and diamonds, three stages, pushes to any of them, nights, edits of the rules and
//! rollbacks. What is really in each commit and each artifact is kept beside the engine, and tells of what is built (I12),
//! of what runs (I13), and of where that comes from (I14).

mod told;
mod truth;
mod versions;

use proptest::{prelude::*, sample::Index};

use super::support::{World, random_moves};
use told::{Lattice, Move, SYSTEMS};

fn moves() -> impl Strategy<Value = Move> {
    let (index, flag) = (any::<Index>, any::<bool>);
    prop_oneof![
        6 => (index(), flag(), flag()).prop_map(|(place, source, told)| Move::Push { place, source, told }),
        1 => (index(), index(), index()).prop_map(|(of, from, to)| Move::Merge { of, from, to }),
        2 => index().prop_map(|which| Move::Look { which }),
        28 => (index(), 0_u8..24).prop_map(|(which, how)| Move::Step { which, how }),
        2 => index().prop_map(|which| Move::Fire { which }),
        1 => Just(Move::Night),
        1 => index().prop_map(|edit| Move::Edit { edit }),
        2 => (index(), index()).prop_map(|(at, to)| Move::RollBack { at, to }),
        1 => (index(), index()).prop_map(|(from, version)| Move::Promote { from, version }),
        1 => (index(), index()).prop_map(|(rule, at)| Move::Start { rule, at }),
        2 => index().prop_map(|which| Move::Retry { which }),
        1 => (1_usize..4).prop_map(|times| Move::Deliver { times }),
    ]
}

/// So many histories, for who asks something else of them.
pub(super) fn random(count: u32) -> impl Iterator<Item = World> {
    random_moves(count, (0..SYSTEMS.len(), prop::collection::vec(moves(), 1..60))).map(|(number, moves)| {
        let mut lattice = Lattice::new(number);
        moves.iter().for_each(|step| lattice.play(step));
        lattice.world
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: super::support::cases(), ..ProptestConfig::default() })]

    #[test]
    fn what_is_built_and_what_runs_is_what_the_stage_says(
        number in 0..SYSTEMS.len(), moves in prop::collection::vec(moves(), 1..100), at in any::<Index>(),
    ) {
        let mut lattice = Lattice::new(number);
        for step in &moves {
            lattice.play(step);
        }
        lattice.rests();
        lattice.whatever_runs_is_explained();
        lattice.world.replays(at.index(lattice.world.log.len()));
    }
}

/// The histories are of the kind that they are meant to be.
#[test]
fn what_is_pushed_without_mishap_comes_to_run_everywhere() {
    for number in 0..SYSTEMS.len() {
        let mut lattice = Lattice::new(number);
        lattice.play(&Move::Deliver { times: 2 });
        assert_eq!(lattice.whatever_runs_is_explained(), (6, 0), "each of two pushes in three stages");
        lattice.play(&Move::Night);
        lattice.rests();
        assert_eq!(lattice.whatever_runs_is_explained(), (6, 0));
    }
}
