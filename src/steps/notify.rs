//! Delivers notices: from the engine's terms to a mail server's or a webhook's, once per try, under the notice's id.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::given::milliseconds;
use crate::{
    engine::{Delivery, Message, NoticeWork},
    providers::{
        Fault,
        mail::{Mail, MailServer},
        webhook::{Post, Webhook},
    },
    rules::ChannelName,
};

/// How long one try may take in all: mail servers may look at a mail for long before they take it.
pub const DELIVERY_DEADLINE: Duration = Duration::from_secs(60);
/// As much of an error as goes into the log, in characters: a receiver may answer with a whole page.
const LONGEST_ERROR: usize = 1_000;

/// The channels of `tidegate.toml`, by name.
pub type Channels = BTreeMap<ChannelName, Channel>;

/// What a notice goes through.
pub enum Channel {
    /// Mail.
    Mail(MailServer),
    /// A web address.
    Webhook(Webhook),
}

/// Tries once to deliver a notice.
pub async fn deliver(work: &NoticeWork, channels: &Channels) -> Delivery {
    let NoticeWork { id, system, number, message } = work;
    let (via, notice) = (&message.via, message.notice.name());
    match send(id, message, channels).await {
        Ok(()) => {
            tracing::info!(%system, notice, number, %via, "a notice was delivered");
            Delivery::Delivered
        }
        Err(Fault::Retry { error, after }) => {
            tracing::warn!(%system, notice, number, %via, %error, "a notice is to be sent again");
            Delivery::Retry { error: shortened(&error), after_ms: after.map(milliseconds) }
        }
        Err(Fault::Fail { error, hint }) => {
            tracing::error!(%system, notice, number, %via, %error, %hint, "a notice cannot be delivered");
            Delivery::Failed { error: shortened(&error), hint }
        }
    }
}

async fn send(id: &str, message: &Message, channels: &Channels) -> Result<(), Fault> {
    let via = &message.via;
    let channel = channels.get(via).ok_or_else(|| {
        Fault::fail(format!("tidegate.toml has no channel `{via}`"), format!("add a section `[channels.{via}]` to it"))
    })?;
    match channel {
        Channel::Mail(server) => {
            let to = message.to.as_deref().ok_or_else(|| {
                Fault::fail(format!("`{via}` is mail, and the notification names no address"), "give it a `to`")
            })?;
            let mail = Mail { id, at_ms: message.at_ms, to, subject: &message.subject, text: &message.text };
            server.send(&mail, DELIVERY_DEADLINE).await
        }
        Channel::Webhook(webhook) => webhook.send(&Post { id, body: &body(message) }, DELIVERY_DEADLINE).await,
    }
}

/// The body of a webhook: `type`, `timestamp` and `data`, as Standard Webhooks advises.
fn body(message: &Message) -> String {
    let mut data = message.facts.clone();
    data.insert("subject".to_owned(), Value::from(message.subject.as_str()));
    data.insert("text".to_owned(), Value::from(message.text.as_str()));
    let at = chrono::DateTime::from_timestamp_millis(message.at_ms).unwrap_or_default();
    let timestamp = at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    json!({ "type": message.notice.name(), "timestamp": timestamp, "data": data }).to_string()
}

fn shortened(error: &str) -> String {
    if error.chars().count() <= LONGEST_ERROR {
        return error.to_owned();
    }
    error.chars().take(LONGEST_ERROR).chain(['…']).collect()
}
