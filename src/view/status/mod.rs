//! What is told of a system as it stands: the lattice, what goes on in it, and what waits for whom.

mod holds;
mod releases;
mod remotes;
mod report;
mod untold;
mod versions;

pub use self::{
    holds::HoldStatus,
    releases::HalfReleased,
    remotes::RemoteCall,
    report::{
        FailedRun, HeadStatus, LiveRun, Past, RepositoryStatus, RulesCommit, RulesStatus, StatusReport, TargetStatus,
        UnreadStatus,
    },
    untold::UntoldNotice,
    versions::{Decided, StageVersions, VersionsStatus, VetoStatus},
};
