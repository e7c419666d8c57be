//! The rows of the kinds that the engine plans by itself; those of the rules' actions are in `rules/kind.rs`. What a kind
//! means to freezes, approvals, history and figures is said in its row and nowhere else.

use super::task::Task;
use crate::rules::{Kind, Moves, Pace, Part};

/// A gate that the engine adds to a plan.
const fn gate(name: &'static str, part: Part, a_hotfix_may_skip: bool) -> Kind {
    Kind { a_hotfix_may_skip, ..step(name, Pace::Gate, Moves::Nothing, part, false) }
}

/// A step that the engine adds to a plan. Templates name none of them, so they have no outputs.
const fn step(name: &'static str, pace: Pace, moves: Moves, part: Part, holds_target: bool) -> Kind {
    Kind { name, pace, moves, part, needs_template: false, holds_target, a_hotfix_may_skip: false, outputs: &[] }
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
            Self::FanIn => const { &gate("fan-in", Part::Other, false) },
            Self::Soak { .. } => const { &gate("soak", Part::Other, true) },
            Self::Window { .. } => const { &gate("window", Part::Other, true) },
            Self::Consent(_) => const { &gate("approve", Part::Approval, false) },
            Self::Require(_) => const { &step("require", Pace::Call, Moves::Nothing, Part::Other, false) },
            Self::CheckMerge(_) => const { &step("check-merge", Pace::Call, Moves::Nothing, Part::Other, false) },
            Self::Merge(_) => const { &step("merge", Pace::Call, Moves::Merge, Part::Other, true) },
            Self::CheckRestore(_) => const { &step("check-restore", Pace::Call, Moves::Nothing, Part::Other, false) },
            Self::Restore(_) => const { &step("restore", Pace::Call, Moves::Back, Part::Other, true) },
            Self::Release(_) => const { &step("release", Pace::Question, Moves::Others, Part::Other, false) },
        }
    }
}
