//! One suite for every act: the same key is one effect, however often, by however many and after whatever death.

use std::time::Duration;

use tidegate::providers::{
    Fault,
    act::{Act, ActState, Found, FoundBy},
};

use crate::local_support::eventually;

/// An outside in which acts of one sort can be done.
pub(super) trait Outside {
    /// The act with this key; `other` is a request that is not that of the others.
    async fn act(&self, key: &str, other: bool) -> Box<dyn Act>;

    /// An act that goes on until it is cancelled.
    async fn endless(&self, key: &str) -> Box<dyn Act>;

    /// How often the effect of this key took place.
    async fn effects(&self, key: &str) -> usize;

    /// The outside forgets what was done under a handle.
    async fn forget(&self, handle: &str);

    /// Somebody else ends what goes on under a handle.
    async fn end_outside(&self, handle: &str);
}

pub(super) async fn ended(act: &dyn Act, handle: &str) -> ActState {
    eventually("the end of an act", async || match act.poll(handle).await.unwrap() {
        ActState::Running(_) => None,
        ended => Some(ended),
    })
    .await
}

fn is_done(state: &ActState) -> bool {
    matches!(state, ActState::Done(..))
}

/// All of it.
pub(super) async fn kept_by(outside: &impl Outside) {
    the_same_key_is_one_effect(outside).await;
    a_key_is_of_one_request(outside).await;
    what_is_forgotten_is_unknown(outside).await;
    what_ended_stays_ended(outside).await;
    what_goes_on_is_cancelled(outside).await;
    no_call_hangs(outside).await;
    a_long_key_is_found(outside).await;
}

/// The same key twice is one effect, by one of us or by two at once, also when the first answer was lost.
async fn the_same_key_is_one_effect(outside: &impl Outside) {
    let (first, second) = (
        outside.act("shop/deliver-1.19ac/deploy/run", false).await,
        outside.act("shop/deliver-1.19ac/deploy/run", false).await,
    );
    assert_eq!(first.find().await.unwrap(), Found::Nothing);
    let (one, other) = tokio::join!(first.start(), second.start());
    let handle = one.unwrap();
    assert_eq!(handle, other.unwrap());
    // The answer is lost: whoever comes next finds it.
    let next = outside.act("shop/deliver-1.19ac/deploy/run", false).await;
    if next.found_by() != FoundBy::Look {
        assert_eq!(next.find().await.unwrap(), Found::Here(handle.clone()));
    }
    assert_eq!(next.start().await.unwrap(), handle);
    assert!(is_done(&ended(&*next, &handle).await));
    assert_eq!(next.start().await.unwrap(), handle, "also when it has ended");
    assert!(is_done(&ended(&*next, &handle).await));
    assert_eq!(outside.effects("shop/deliver-1.19ac/deploy/run").await, 1);
}

/// The key with another request fails, and does nothing.
async fn a_key_is_of_one_request(outside: &impl Outside) {
    let act = outside.act("shop/deliver-2.19ac/deploy/run", false).await;
    let handle = act.start().await.unwrap();
    let other = outside.act("shop/deliver-2.19ac/deploy/run", true).await;
    let fault = other.start().await.unwrap_err();
    assert!(matches!(&fault, Fault::Fail { error, .. } if error.contains("was used for another")), "{fault:?}");
    assert!(is_done(&ended(&*act, &handle).await));
    assert_eq!(outside.effects("shop/deliver-2.19ac/deploy/run").await, 1);
}

/// What the outside has forgotten is unknown: it is not said to be undone, and not done again under its handle.
async fn what_is_forgotten_is_unknown(outside: &impl Outside) {
    let act = outside.act("shop/deliver-3.19ac/deploy/run", false).await;
    let handle = act.start().await.unwrap();
    assert!(is_done(&ended(&*act, &handle).await));
    outside.forget(&handle).await;
    let fault = act.poll(&handle).await.unwrap_err();
    assert!(
        matches!(&fault, Fault::Fail { error, .. } if error.contains("nobody can say what became of")),
        "{fault:?}"
    );
    act.cancel(&handle).await.unwrap();
}

/// What somebody else ended is said to be ended, and what has ended can be cancelled: it stays as it is.
async fn what_ended_stays_ended(outside: &impl Outside) {
    let act = outside.act("shop/deliver-4.19ac/deploy/run", false).await;
    let handle = act.start().await.unwrap();
    let state = ended(&*act, &handle).await;
    act.cancel(&handle).await.unwrap();
    assert_eq!(ended(&*act, &handle).await, state);
    let endless = outside.endless("shop/deliver-5.19ac/deploy/run").await;
    let handle = endless.start().await.unwrap();
    outside.end_outside(&handle).await;
    assert!(matches!(ended(&*endless, &handle).await, ActState::Failed { .. }), "it did not end by itself");
}

/// What goes on can be cancelled, once and again, by whoever comes.
async fn what_goes_on_is_cancelled(outside: &impl Outside) {
    let endless = outside.endless("shop/deliver-6.19ac/deploy/run").await;
    let handle = endless.start().await.unwrap();
    assert!(matches!(endless.poll(&handle).await.unwrap(), ActState::Running(_)));
    let other = outside.endless("shop/deliver-6.19ac/deploy/run").await;
    let (one, two) = tokio::join!(endless.cancel(&handle), other.cancel(&handle));
    one.unwrap();
    two.unwrap();
    let state = ended(&*endless, &handle).await;
    assert!(matches!(state, ActState::Cancelled | ActState::Failed { .. }), "{state:?}");
}

/// No call hangs: each has its own end, whatever goes on.
async fn no_call_hangs(outside: &impl Outside) {
    let endless = outside.endless("shop/deliver-7.19ac/deploy/run").await;
    let limit = Duration::from_secs(25);
    let handle = tokio::time::timeout(limit, endless.start()).await.unwrap_or_else(|_| panic!("start hangs")).unwrap();
    drop(tokio::time::timeout(limit, endless.poll(&handle)).await.unwrap_or_else(|_| panic!("poll hangs")));
    tokio::time::timeout(limit, endless.cancel(&handle)).await.unwrap_or_else(|_| panic!("cancel hangs")).unwrap();
}

/// A key that is longer than the outside takes is shortened to a digest, and found by it.
async fn a_long_key_is_found(outside: &impl Outside) {
    let key = format!("shop/{}-8.19ac/{}/run", "deliver".repeat(20), "deploy".repeat(20));
    let act = outside.act(&key, false).await;
    let handle = act.start().await.unwrap();
    assert!(handle.len() <= 128, "{handle}");
    assert_eq!(outside.act(&key, false).await.find().await.unwrap(), Found::Here(handle.clone()));
    let other = outside.act(&format!("{key}-2"), false).await;
    assert_eq!(other.find().await.unwrap(), Found::Nothing, "another long key is another act");
    assert!(is_done(&ended(&*act, &handle).await));
}
