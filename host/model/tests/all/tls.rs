//! Whom a back end over TLS must be, before it is sent a word.

use crate::fake::{self, Fake};
use crate::suite::soon;
use model::{Backend as _, Error, Listed, OpenAi, Trust};
use rcgen::{CertificateParams, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// An authority of one's own, whose certificate is in a file.
fn authority(file: &Path) -> Issuer<'static, KeyPair> {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    std::fs::write(file, params.self_signed(&key).expect("signed").pem()).expect("written");
    Issuer::new(params, key)
}

/// A server with a certificate for a name, good until a year; how many requests it got to read.
async fn server(issuer: &Issuer<'static, KeyPair>, name: &str, until: i32) -> (u16, Arc<std::sync::Mutex<usize>>) {
    let own = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(until, 1, 1));
    let leaf = params.signed_by(&own, issuer).expect("signed");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect("a certificate");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let seen = Arc::<std::sync::Mutex<usize>>::default();
    let noted = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                *noted.lock().expect("not poisoned") += 1;
                let body = r#"{"data": [{"id": "m"}]}"#;
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
                let _ =
                    stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        }
    });
    (port, seen)
}

async fn list(port: u16, roots: Option<&Path>) -> Result<Vec<Listed>, Error> {
    let fake = Fake::new(fake::openai).await;
    let mut remote = fake.remote("far");
    remote.address = format!("https://localhost:{port}").parse().expect("an address");
    let trust = Arc::new(Trust::new(roots.map(Path::to_owned)));
    OpenAi::new(remote, &trust).list(soon()).await
}

#[tokio::test]
async fn only_who_proves_its_name_to_an_authority_that_is_trusted_is_sent_anything() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, others) = (folder.path().join("ca.pem"), folder.path().join("other.pem"));
    let (issuer, _) = (authority(&file), authority(&others));

    let (port, seen) = server(&issuer, "localhost", 2100).await;
    let listed = list(port, Some(&file)).await.expect("it is who it says");
    assert_eq!((listed[0].name.as_str(), *seen.lock().expect("not poisoned")), ("m", 1));

    for (what, name, until, roots) in [
        ("another name", "example.com", 2100, Some(&file)),
        ("a certificate that has run out", "localhost", 2002, Some(&file)),
        ("an authority that is not trusted", "localhost", 2100, Some(&others)),
        ("an authority that only it knows", "localhost", 2100, None),
    ] {
        let (port, seen) = server(&issuer, name, until).await;
        let refused = list(port, roots.map(std::path::PathBuf::as_path)).await;
        assert!(matches!(refused, Err(Error::Unavailable { .. })), "{what}: {refused:?}");
        let said = refused.map_err(|error| error.to_string()).expect_err("it is refused");
        assert!(!said.contains(fake::KEY) && !said.contains(&port.to_string()), "{said}");
        assert_eq!(*seen.lock().expect("not poisoned"), 0, "{what}: nothing was sent, the key least of all");
    }
}
