//! Certificates that no machine knows, made when a test begins.

use rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer};
use std::sync::Arc;

/// A certificate to `localhost` with its key, and the authority that vouches for it.
pub(crate) fn certified() -> (Arc<ServerConfig>, String) {
    let (own, key, authority) = made();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = config.with_no_client_auth().with_single_cert(vec![own.der().clone()], key.into()).unwrap();
    (Arc::new(config), authority)
}

/// The same as texts, in PEM: the certificate, its key, and the authority.
pub(crate) fn files() -> (String, String, String) {
    let (own, key, authority) = made();
    (own.pem(), key.serialize_pem(), authority)
}

fn made() -> (rcgen::Certificate, rcgen::KeyPair, String) {
    let (authority_key, key) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let own = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    (own, key, pem)
}
