//! Secrets: 256 random bits as text, their hashes, and what follows from them.

use std::{
    fs::File,
    io::{self, Read as _},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// The hash of a secret.
pub(super) type Hash = [u8; 32];

/// 256 random bits as text.
pub(super) fn random() -> io::Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept and compared of a secret: how long that takes tells nothing of it.
pub(super) fn sha256(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

/// What follows from a secret and tells nothing of it.
pub(super) fn derived(secret: &str, what: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(what.as_bytes());
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}
