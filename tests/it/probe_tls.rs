//! The probe of the TLS proxy, against a small TLS server of this test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use toolkit::deployment::{Probe, TlsProxy};
use toolkit::observed::Readiness;
use toolkit::probe;

/// A key and a certificate that it has signed itself, made by `openssl`.
pub fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (key, certificate) = (
        folder.join(format!("{name}.key")),
        folder.join(format!("{name}.pem")),
    );
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args(["-subj", "/CN=tex.example.org", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output();
    let made = made.expect("openssl is installed");
    assert!(made.status.success(), "{made:?}");
    (key, certificate)
}

/// Answers every request with a status; without a certificate it speaks no TLS.
async fn serve(listener: TcpListener, tls: Option<(PathBuf, PathBuf)>, status: u16) {
    let acceptor = tls.map(|(key, certificate)| {
        let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    });
    let answer = format!("HTTP/1.1 {status} Status\r\nContent-Length: 0\r\n\r\n");
    loop {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        // Whether the client is content with the answer is for the test to say.
        match &acceptor {
            Some(acceptor) => {
                if let Ok(mut stream) = acceptor.accept(socket).await {
                    let _ = stream.read(&mut request).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.flush().await;
                }
            }
            None => {
                let _ = socket.read(&mut request).await;
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        }
    }
}

#[tokio::test]
async fn the_proxy_serves_the_configured_certificate_and_reaches_the_application() {
    let folder = tempfile::tempdir().unwrap();
    let (key, own) = certificate(folder.path(), "own");
    let (_, other) = certificate(folder.path(), "other");
    let both = format!("{}{}", read(&own), read(&other));
    let chain = folder.path().join("chain.pem");
    std::fs::write(&chain, both).unwrap();
    let (usual, another) = (
        folder.path().join("usual.conf"),
        folder.path().join("another.conf"),
    );
    let text = "listen 443 ssl;\nssl_certificate /certs/nginx_certificate.pem;\n";
    std::fs::write(&usual, text).unwrap();
    std::fs::write(&another, "listen 443 ssl;\nssl_certificate /other.pem;\n").unwrap();
    let absent = folder.path().join("absent.pem");
    let tls = Some((key, own.clone()));
    for (tls, status, configured, configuration, expected) in [
        (&tls, 200, &own, &usual, "ready"),
        (&tls, 404, &chain, &usual, "ready"),
        (&tls, 200, &other, &another, "ready"),
        (&tls, 200, &other, &usual, "it serves another certificate"),
        (&tls, 200, &absent, &usual, "its certificate"),
        (
            &tls,
            502,
            &own,
            &usual,
            "the application behind it does not",
        ),
        (&None, 200, &own, &usual, "no TLS"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let probe = Probe::Tls(TlsProxy {
            port: 443,
            server_name: "tex.example.org".to_owned(),
            certificate: configured.clone(),
            configuration: configuration.clone(),
        });
        let readiness = tokio::select! {
            readiness = probe::ask(&probe, address, Duration::from_secs(20)) => readiness,
            () = serve(listener, tls.clone(), status) => unreachable!("it serves for ever"),
        };
        let said = match &readiness {
            Readiness::Ready => "ready",
            Readiness::NotReady { because } | Readiness::Misconfigured { because } => because,
            Readiness::NotInitiated => "not initiated",
        };
        assert!(said.starts_with(expected), "{expected}: {said}");
        let is_final = matches!(readiness, Readiness::Misconfigured { .. });
        assert_eq!(is_final, expected.contains("certificate"), "{said}");
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
