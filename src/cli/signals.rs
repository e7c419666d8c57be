//! The signals that end a command in order.

use tokio::signal::unix::{SignalKind, signal};

/// Comes back when the process is sent the first of these signals; never, where it cannot be told of them.
pub(super) async fn told_to_stop(kinds: &[SignalKind]) {
    let (sender, mut told) = tokio::sync::mpsc::channel(1);
    for kind in kinds {
        match signal(*kind) {
            Ok(mut signals) => {
                let sender = sender.clone();
                tokio::spawn(async move {
                    signals.recv().await;
                    // When it cannot be sent, it was told already.
                    sender.try_send(()).ok();
                });
            }
            Err(error) => tracing::warn!(?kind, %error, "this signal cannot be listened for"),
        }
    }
    drop(sender);
    if told.recv().await.is_none() {
        std::future::pending().await
    }
}
