//! Posts to a web address, signed as Standard Webhooks says (<https://www.standardwebhooks.com>, version 1): `webhook-id`
//! tells a message that comes twice, `webhook-timestamp` one that is old, and `webhook-signature` one that is not ours.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{StatusCode, header::RETRY_AFTER, redirect::Policy};
use sha2::Sha256;

use crate::providers::{Fault, Secret, files, http_check::is_local};

/// What a secret begins with whose rest is base64.
const SECRET_PREFIX: &str = "whsec_";
/// The lengths of a key in bytes that Standard Webhooks demands.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// How many secrets may sign at once: while they are rotated, the old and the new one.
const MOST_SECRETS: usize = 4;
/// As much of an answer as is read and quoted.
const EXCERPT_BYTES: usize = 500;

/// A web address that takes what we post.
pub struct Webhook {
    url: reqwest::Url,
    /// As much of the address as may be shown: what follows the host may be a secret itself.
    place: String,
    keys: Vec<SigningKey>,
    client: reqwest::Client,
}

/// The bytes that sign.
struct SigningKey(Vec<u8>);

/// One message.
#[derive(Debug, Clone, Copy)]
pub struct Post<'post> {
    /// What makes it this message, the same at every try; without `.`.
    pub id: &'post str,
    /// JSON, the same at every try.
    pub body: &'post str,
}

impl Webhook {
    /// The receiver at this address, for which each of the secrets signs. A secret is `whsec_` and the base64 of 24 to 64
    /// bytes, or a text of 24 to 64 bytes.
    ///
    /// # Errors
    /// When the address is not http or https, or a secret is not one.
    pub fn new(url: &str, secrets: &[Secret]) -> Result<Self, Fault> {
        let address = reqwest::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let address = address.ok_or_else(|| {
            Fault::fail("the `url` is not an http or https address", "write it as `https://host/path`")
        })?;
        if secrets.is_empty() || secrets.len() > MOST_SECRETS {
            return Err(Fault::fail(
                format!("there are {} secrets", secrets.len()),
                format!("give 1 to {MOST_SECRETS}, one a line"),
            ));
        }
        let keys = secrets.iter().map(SigningKey::of).collect::<Result<_, _>>()?;
        let host = address.host_str().unwrap_or_default();
        let place = format!("{}://{host}/…", address.scheme());
        let client = reqwest::Client::builder().redirect(Policy::none()).user_agent("tidegate");
        // This machine is not behind its own proxy.
        let client = if is_local(host) { client.no_proxy() } else { client };
        let client = client.build().map_err(|error| Fault::fail(files::reasons(&error), ""))?;
        Ok(Self { url: address, place, keys, client })
    }

    /// Posts a message. When this succeeds, the receiver has said that it has it. `deadline` is for all of it.
    ///
    /// # Errors
    /// [`Fault::Retry`] for a receiver that cannot be reached or does not answer, and for 5xx, 408, 425 and 429, with
    /// what `Retry-After` asks for; whether it has the message may then be in doubt, and its id tells when it comes again.
    /// [`Fault::Fail`] for any other answer but 2xx.
    pub async fn send(&self, post: &Post<'_>, deadline: Duration) -> Result<(), Fault> {
        let tried = format!("POST {}", self.place);
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let signatures: Vec<String> = self.keys.iter().map(|key| key.sign(post.id, now_s, post.body)).collect();
        let request = self
            .client
            .post(self.url.clone())
            .timeout(deadline)
            .header("content-type", "application/json")
            .header("webhook-id", post.id)
            .header("webhook-timestamp", now_s)
            .header("webhook-signature", signatures.join(" "))
            .body(post.body.to_owned());
        let failed = |error: reqwest::Error| Fault::retry(format!("{tried}: {}", files::reasons(&error.without_url())));
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let after = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, now_s));
        let mut body = Vec::new();
        while body.len() < EXCERPT_BYTES {
            let Ok(Some(chunk)) = response.chunk().await else { break };
            body.extend_from_slice(&chunk);
        }
        body.truncate(EXCERPT_BYTES);
        let error = format!("{tried}: answered {status}; it said: {}", String::from_utf8_lossy(&body));
        Err(verdict(status, error, after))
    }
}

/// What an answer that is not 2xx means for the next try.
fn verdict(status: StatusCode, error: String, after: Option<Duration>) -> Fault {
    if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
        return Fault::Retry { error, after };
    }
    let hint = match status.as_u16() {
        300..=399 => "redirects are not followed: give the channel the final `url`",
        401 | 403 => "check the channel's secret here and there",
        404 | 410 => "nobody takes it there any more: check the channel's `url`",
        _ => "the receiver's log says what it does not like",
    };
    Fault::fail(error, hint)
}

/// How long `Retry-After` asks to wait: seconds, or an HTTP date (RFC 9110, 10.2.3).
fn retry_after(value: &str, now_s: u64) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = chrono::DateTime::parse_from_rfc2822(value.trim()).ok()?.timestamp();
    Some(Duration::from_secs(u64::try_from(at).ok()?.saturating_sub(now_s)))
}

impl SigningKey {
    fn of(secret: &Secret) -> Result<Self, Fault> {
        let text = secret.expose();
        let key = match text.strip_prefix(SECRET_PREFIX) {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| {
                Fault::fail("a secret begins with `whsec_`, and what follows is not base64", "copy it whole")
            })?,
            None => text.as_bytes().to_vec(),
        };
        if !KEY_BYTES.contains(&key.len()) {
            return Err(Fault::fail(
                format!("a secret has {} bytes, and must have 24 to 64", key.len()),
                "make one: echo whsec_$(head -c 32 /dev/urandom | base64)",
            ));
        }
        Ok(Self(key))
    }

    /// `v1,` and the base64 of the HMAC-SHA256 of `id.timestamp.body`.
    fn sign(&self, id: &str, at_s: u64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{at_s}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks libraries.
    #[test]
    fn the_signature_is_that_of_the_standard() {
        let key = SigningKey::of(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap();
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_by_a_date() {
        assert_eq!(retry_after("120", 0), Some(Duration::from_secs(120)));
        let date = "Fri, 20 Nov 2026 12:00:30 GMT";
        assert_eq!(retry_after(date, 1_795_176_000), Some(Duration::from_secs(30)));
        assert_eq!(retry_after(date, 1_795_180_000), Some(Duration::ZERO), "a date that has passed");
        assert_eq!(retry_after("soon", 0), None);
    }

    #[test]
    fn a_secret_is_long_enough_and_never_printed() {
        for bad in ["", "short", "whsec_", "whsec_%%%", &format!("whsec_{}", STANDARD.encode([1; 8])), &"x".repeat(65)]
        {
            assert!(SigningKey::of(&Secret::new(bad)).is_err(), "{bad}");
        }
        assert!(SigningKey::of(&Secret::new("a text of at least twenty-four bytes")).is_ok());
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }
}
