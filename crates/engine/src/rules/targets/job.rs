//! A job: a command with its variables, which runs to its end. One run of it at a time.

use super::shape::{TargetLife, TargetShape};

pub(super) const SHAPE: TargetShape = TargetShape {
    name: "job",
    a: "a job",
    fields: &["cancel_updates", "grace"],
    deploy: &["command", "variables", "network"],
    needed: &["command"],
    takes_template: false,
    called,
};

/// As the users of job templates say it.
const fn called(life: TargetLife) -> Option<&'static str> {
    match life {
        TargetLife::Unprovisioned => Some("never run"),
        TargetLife::Available => Some("idle"),
        TargetLife::Busy => Some("running"),
        TargetLife::Provisioning
        | TargetLife::ProvisionFailed
        | TargetLife::Broken
        | TargetLife::DeleteScheduled
        | TargetLife::Deleting
        | TargetLife::Deleted
        | TargetLife::DeleteFailed => None,
    }
}
