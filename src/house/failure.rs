//! Why a question has no answer, so that whoever asks in another way than by typing can tell it apart.

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// There is no such thing.
    #[error("{0}")]
    None(String),
    /// The question can be meant in several ways, or in none.
    #[error("{0}")]
    Unclear(String),
}

impl Unanswered {
    /// There is no such thing.
    pub(crate) fn none(why: impl Into<String>) -> Self {
        Self::None(why.into())
    }

    /// It cannot be meant so.
    pub(crate) fn unclear(why: impl Into<String>) -> Self {
        Self::Unclear(why.into())
    }
}
