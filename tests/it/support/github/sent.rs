//! Deliveries of the App's webhook, signed as GitHub signs them.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    time::Duration,
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{
    server::{Shared, lock},
    state::Delivery,
};

/// How long it waits for an answer, as GitHub does.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends a delivery, and puts it on the list. The answer's status; none where nobody answered.
pub(super) fn deliver(shared: &Shared, guid: &str, event: &str, payload: &Value, again: bool) -> Option<u16> {
    let webhook = lock(&shared.state).app.webhook.clone();
    let status = webhook.and_then(|(url, secret)| post(&url, &secret, guid, event, &payload.to_string()));
    note(shared, guid, event, payload, again, status.unwrap_or(0));
    status
}

/// Puts a delivery on the list.
pub(super) fn note(shared: &Shared, guid: &str, event: &str, payload: &Value, again: bool, status: u16) {
    let mut state = lock(&shared.state);
    let id = state.number();
    let text = match status {
        200..=299 => "OK",
        0 => "failed to connect to host",
        _ => "Invalid HTTP Response",
    };
    let item = json!({
        "id": id, "guid": guid, "delivered_at": state.now_text(), "redelivery": again, "duration": 0.01, "status": text,
        "status_code": status, "event": event, "action": payload["action"], "installation_id": payload["installation"]["id"],
        "repository_id": payload["repository"]["id"], "throttled_at": null,
    });
    state.deliveries.push(Delivery { item, payload: payload.clone() });
}

fn post(url: &str, secret: &str, guid: &str, event: &str, body: &str) -> Option<u16> {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let signature: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut stream = TcpStream::connect(host).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: GitHub-Hookshot/0000000\r\nContent-Type: application/json\r\n\
         X-GitHub-Event: {event}\r\nX-GitHub-Delivery: {guid}\r\nX-Hub-Signature-256: sha256={signature}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    line.split(' ').nth(1)?.parse().ok()
}
