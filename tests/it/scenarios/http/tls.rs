//! TLS, without a proxy.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::{DEADLINE, token};
use crate::{scenarios::delivery::Delivery, support::certificate};

/// What is answered to a client who trusts this authority; or why there is no answer.
fn asked(authority: &str, port: u16, request: &str) -> Result<String, std::io::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let client = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut stream = StreamOwned::new(client, stream);
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn with_a_certificate_the_server_speaks_tls_and_nothing_else() {
    let (chain, key, authority) = certificate::files();
    let (_, _, other) = certificate::files();
    let mut delivery = Delivery::by_hand();
    std::fs::write(delivery.root().join("chain.pem"), chain).unwrap();
    std::fs::write(delivery.root().join("key.pem"), &key).unwrap();
    delivery.add_settings("[server]\nlisten = '127.0.0.1:0'\ncertificate = 'chain.pem'\nkey = 'key.pem'\n");
    delivery.serve();
    let link = delivery.link();
    let (host, path) = link.strip_prefix("https://127.0.0.1:").unwrap().split_once('/').unwrap();
    let port: u16 = host.parse().unwrap();
    let head = |path: &str, more: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n{more}\r\n")
    };
    assert!(asked(&authority, port, &head("/healthz", "")).unwrap().ends_with("ok\n"));
    let ci = format!("Authorization: Bearer {}\r\n", token(&delivery, "ci", "viewer", &[]));
    assert!(asked(&authority, port, &head("/api/v1/me", &ci)).unwrap().contains("\"name\":\"token/ci\""));
    let signed_in = asked(&authority, port, &head(&format!("/{path}"), "")).unwrap();
    assert!(signed_in.contains("__Host-tidegate=") && signed_in.contains("; Secure"), "{signed_in}");
    // Whom another authority vouches for is another server.
    let why = asked(&other, port, &head("/healthz", "")).unwrap_err().to_string();
    assert!(why.contains("certificate"), "{why}");
    // Without TLS there is no answer, and the server goes on.
    let mut plain = TcpStream::connect(("127.0.0.1", port)).unwrap();
    plain.set_read_timeout(Some(DEADLINE)).unwrap();
    plain.write_all(head("/healthz", "").as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert!(asked(&authority, port, &head("/readyz", "")).unwrap().ends_with("ready\n"));
    delivery.stop();
    assert!(!delivery.server_log().contains(key.lines().nth(1).unwrap()), "the key is in no log");

    // A key of another certificate is said when the server starts.
    let (_, foreign, _) = certificate::files();
    std::fs::write(delivery.root().join("key.pem"), foreign).unwrap();
    let why = delivery.refused(&["serve"], 1);
    assert!(why.contains("as the certificate of [server]"), "{why}");
}
