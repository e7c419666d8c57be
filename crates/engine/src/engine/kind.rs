//! The rows of the kinds that the engine plans by itself; those of the rules' actions are in `rules/kind.rs`. What a kind
//! means to freezes, approvals, history and figures is said in its row and nowhere else.

use super::task::Task;
use crate::rules::{AtTarget, Kind, Moves, Operation, Pace, Part};

/// A gate that the engine adds to a plan.
const fn gate(name: &'static str, part: Part, a_hotfix_may_skip: bool) -> Kind {
    Kind { a_hotfix_may_skip, ..step(name, Pace::Gate, Moves::Nothing, part, false) }
}

/// A step that the engine adds to a plan. Templates name none of them, so they have no outputs.
const fn step(name: &'static str, pace: Pace, moves: Moves, part: Part, holds_target: bool) -> Kind {
    let at_target = AtTarget::Nothing;
    Kind {
        name,
        pace,
        moves,
        part,
        needs_template: false,
        holds_target,
        at_target,
        a_hotfix_may_skip: false,
        outputs: &[],
    }
}

/// The same row for what looks at a target or acts on it.
const fn at_target(at_target: AtTarget, kind: Kind) -> Kind {
    Kind { at_target, ..kind }
}

/// Something that is done to a target because somebody asked for it.
const fn operation(operation: Operation) -> Kind {
    let step = step(operation.name(), Pace::Long, Moves::Target, Part::Other, true);
    Kind { at_target: AtTarget::Plans, ..step }
}

impl Task {
    /// Whether it stands for the window of a promotion, which its merges heed.
    pub(super) const fn is_window(&self) -> bool {
        matches!(self, Self::Window { .. })
    }

    /// Its row of the table.
    #[must_use]
    pub const fn kind(&self) -> &'static Kind {
        match self {
            Self::Action(action) => action.kind(),
            Self::Bundle => const { &gate("bundle", Part::Package, false) },
            Self::FanIn => const { &gate("fan-in", Part::Other, false) },
            Self::Soak { .. } => const { &gate("soak", Part::Other, true) },
            Self::Window { .. } => const { &gate("window", Part::Other, true) },
            Self::Consent(_) => const { &gate("approve", Part::Approval, false) },
            Self::Require(_) => const { &step("require", Pace::Call, Moves::Nothing, Part::Other, false) },
            Self::CheckMerge(_) => const { &step("check-merge", Pace::Call, Moves::Nothing, Part::Other, false) },
            Self::Merge(_) => const { &step("merge", Pace::Call, Moves::Merge, Part::Other, true) },
            Self::CheckRestore(_) => const { &step("check-restore", Pace::Call, Moves::Nothing, Part::Other, false) },
            Self::Restore(_) => const { &step("restore", Pace::Call, Moves::Back, Part::Other, true) },
            Self::Plan(_) => {
                const { &at_target(AtTarget::Shows, step("plan", Pace::Call, Moves::Nothing, Part::Other, false)) }
            }
            Self::Operate(Operation::Provision) => const { &operation(Operation::Provision) },
            Self::Operate(Operation::Delete) => const { &operation(Operation::Delete) },
            Self::Operate(Operation::Recover) => const { &operation(Operation::Recover) },
            Self::Act(_) => {
                const { &at_target(AtTarget::Acts, step("act", Pace::Long, Moves::Nothing, Part::Other, true)) }
            }
            Self::Release(_) => const { &step("release", Pace::Question, Moves::Others, Part::Other, false) },
        }
    }
}
