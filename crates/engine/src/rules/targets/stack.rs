//! A stack: what a template describes, created and updated as a whole.

use super::shape::{TargetLife, TargetShape};

pub(super) const SHAPE: TargetShape = TargetShape {
    name: "stack",
    a: "a stack",
    fields: &["cancel_updates"],
    deploy: &["parameters", "secrets"],
    needed: &[],
    takes_template: true,
    called,
};

/// As the users of o5 say it.
const fn called(life: TargetLife) -> Option<&'static str> {
    match life {
        TargetLife::Unprovisioned => Some("absent"),
        TargetLife::Provisioning => Some("CREATING"),
        TargetLife::Busy => Some("MIGRATING"),
        TargetLife::Available => Some("STABLE"),
        TargetLife::ProvisionFailed
        | TargetLife::Broken
        | TargetLife::DeleteScheduled
        | TargetLife::Deleting
        | TargetLife::Deleted
        | TargetLife::DeleteFailed => None,
    }
}
