//! What a handler tells the account of calls of its answer.

/// What came of a call, where the account says more than its status.
#[derive(Debug, Clone, Default)]
pub(super) struct CameOf {
    /// The place of the event.
    pub(super) seq: Option<u64>,
    /// Who has signed in.
    pub(super) who: Option<(String, String)>,
    /// Why nothing was done.
    pub(super) why: Option<String>,
}
