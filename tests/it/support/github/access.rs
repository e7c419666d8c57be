//! Who asks: an App by a JWT that it signed, an installation or a person by a token, or nobody.

use std::sync::OnceLock;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rcgen::{KeyPair, PKCS_RSA_SHA256, PublicKeyData as _};
use rustls::pki_types::alg_id::{RSA_ENCRYPTION, RSA_PKCS1_SHA256};
use serde_json::Value;

use super::{
    super::http::Request,
    state::{Asker, State},
};

/// The bytes of a PKCS#8 key of 2,048 bits before the PKCS#1 key in it.
const PKCS8_HEAD: usize = 26;

/// The key of the App; one in a process, for it takes a moment to make.
fn key() -> &'static KeyPair {
    static KEY: OnceLock<KeyPair> = OnceLock::new();
    KEY.get_or_init(|| KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap())
}

/// The App's private key as GitHub gives it out: PKCS#1 in PEM.
pub(crate) fn pem() -> String {
    let text = STANDARD.encode(&key().serialize_der()[PKCS8_HEAD..]);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n", lines.join("\n"))
}

/// Who sent a request, or what GitHub says of credentials that it does not take.
pub(super) fn asker(state: &State, request: &Request) -> Result<Asker, &'static str> {
    let Some(header) = request.header("authorization") else { return Ok(Asker::Nobody) };
    let (kind, credentials) = header.split_once(' ').unwrap_or((header, ""));
    let token = match kind.to_lowercase().as_str() {
        "bearer" if credentials.split('.').count() == 3 => return app(state, credentials).map(|()| Asker::App),
        "bearer" | "token" => credentials.to_owned(),
        "basic" => {
            let decoded = STANDARD.decode(credentials).map_err(|_| "Bad credentials")?;
            let text = String::from_utf8(decoded).map_err(|_| "Bad credentials")?;
            text.split_once(':').ok_or("Bad credentials")?.1.to_owned()
        }
        _ => return Err("Bad credentials"),
    };
    let token = state.tokens.get(&token).filter(|token| token.ends > state.now()).ok_or("Bad credentials")?;
    Ok(token.of.clone())
}

/// Checks a JWT of the App: its signature and its times.
fn app(state: &State, token: &str) -> Result<(), &'static str> {
    let unreadable = "A JSON web token could not be decoded";
    let (signed, signature) = token.rsplit_once('.').ok_or(unreadable)?;
    let parts: Vec<Value> = signed
        .split('.')
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok())
        .collect::<Option<_>>()
        .ok_or(unreadable)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| unreadable)?;
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    let mut fits = algorithms.all.iter().filter(|algorithm| {
        algorithm.public_key_alg_id() == RSA_ENCRYPTION && algorithm.signature_alg_id() == RSA_PKCS1_SHA256
    });
    let is_signed =
        fits.any(|algorithm| algorithm.verify_signature(key().der_bytes(), signed.as_bytes(), &signature).is_ok());
    if parts[0]["alg"] != "RS256" || !is_signed {
        return Err(unreadable);
    }
    let claims = &parts[1];
    let issuer = claims["iss"].as_u64().or_else(|| claims["iss"].as_str()?.parse().ok());
    if issuer != Some(state.app.id) {
        return Err("Integration not found");
    }
    let (Some(from), Some(until)) = (claims["iat"].as_i64(), claims["exp"].as_i64()) else {
        return Err("Missing 'issued at' claim ('iat') or 'expiration' claim ('exp')");
    };
    let now = state.now().timestamp();
    if from > now {
        return Err("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued");
    }
    if until <= now || until > now + 600 {
        return Err(
            "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
        );
    }
    Ok(())
}
