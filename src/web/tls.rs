//! TLS, by rustls: the certificate and its key, from files.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

/// What speaks TLS with this certificate.
///
/// # Errors
/// When a file cannot be read, has something else in it, or the two do not belong together.
pub(super) fn acceptor(certificate: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let of = |what: &str, path: &Path| format!("cannot use {} as the {what} of [server]", path.display());
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.with_context(|| of("certificate", certificate))?;
    let private = PrivateKeyDer::from_pem_file(key).with_context(|| of("key", key))?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .with_context(|| of("certificate", certificate))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
