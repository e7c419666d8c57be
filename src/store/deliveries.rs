//! What forges delivered: each once, by its number, until what it asks for is done; and then for as long as somebody might
//! deliver it again.

/// For how long a delivery that is done is known: longer than a forge delivers it again (GitHub: 3 days, an Enterprise Server 7).
pub(super) const KEPT_MS: i64 = 8 * 24 * 60 * 60 * 1_000;
/// How many deliveries are kept, the newest of those that are done; and within how many those lie that are not, before no more
/// are taken.
pub(super) const MOST_DELIVERIES: u32 = 200_000;

/// A delivery. Times are in milliseconds since 1970, UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What names it: the same again is the same delivery.
    pub guid: String,
    /// What the forge calls that which happened.
    pub event: String,
    /// What is to be done because of it, as JSON; nothing where it is only counted.
    pub heard: Option<String>,
    /// When it came.
    pub received_ms: i64,
    /// What became of it; none before that is done.
    pub outcome: Option<String>,
}

/// What becomes of deliveries.
#[derive(Debug, Clone)]
pub enum DeliveryNote {
    /// One came. It is taken once: not where it is known, and not where too many wait.
    Taken {
        /// Which.
        delivery: Delivery,
    },
    /// What they ask for is done.
    Done {
        /// Which.
        guids: Vec<String>,
        /// What became of them.
        outcome: String,
        /// When.
        at_ms: i64,
    },
    /// The forge is asked to deliver one again. That is noted once.
    AskedFor {
        /// Which.
        guid: String,
        /// When.
        at_ms: i64,
    },
    /// The forge did not hear that it was asked.
    NotAskedFor {
        /// Which.
        guid: String,
    },
    /// The forge has told which ones it did not get rid of, up to a time.
    Listed {
        /// That time.
        until_ms: i64,
    },
}
