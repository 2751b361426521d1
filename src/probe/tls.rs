//! Asks the TLS proxy: it has to serve the certificate that is configured, and to pass requests on to
//! the application.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::{first_line, http, not_ready};
use crate::deployment::TlsProxy;
use crate::host;
use crate::observed::Readiness;

/// Where the certificate lies in the container. Another configuration of nginx may not use it.
const CERTIFICATE_INSIDE: &str = "/certs/nginx_certificate.pem";

/// Path that is asked for.
const PATH: &str = "/status";

/// What nginx' configuration says about TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Uses {
    tls: bool,
    certificate: bool,
}

/// Asks once.
pub(super) async fn ask(proxy: &TlsProxy, address: SocketAddr) -> Readiness {
    let uses = match host::read_text(&proxy.configuration) {
        Ok(text) => uses(&text),
        // Whoever may not read it can still ask whether something answers.
        Err(_) => Uses {
            tls: true,
            certificate: false,
        },
    };
    if !uses.tls {
        return plain(proxy, address).await;
    }
    let served = match TcpStream::connect(address).await {
        Ok(stream) => handshake(stream, &proxy.server_name).await,
        Err(error) => return not_ready(first_line(&error.to_string())),
    };
    let stream = match served {
        Ok(stream) => stream,
        Err(error) => return not_ready(format!("no TLS: {}", first_line(&error.to_string()))),
    };
    if uses.certificate {
        let (_, connection) = stream.get_ref();
        let served = connection.peer_certificates().and_then(<[_]>::first);
        if let Some(because) = other_certificate(served, &proxy.certificate) {
            return Readiness::Misconfigured { because };
        }
    }
    through(http::get(stream, &proxy.server_name, PATH).await)
}

/// A configuration without TLS is asked as any other server.
async fn plain(proxy: &TlsProxy, address: SocketAddr) -> Readiness {
    match TcpStream::connect(address).await {
        Ok(stream) => through(http::get(stream, &proxy.server_name, PATH).await),
        Err(error) => not_ready(first_line(&error.to_string())),
    }
}

/// A refusal or a redirection is an answer of the operator's configuration; 5xx is none.
fn through(answer: Result<(u16, String), http::HttpError>) -> Readiness {
    match answer {
        Ok((status, _)) if status < 500 => Readiness::Ready,
        Ok((status, _)) => not_ready(format!(
            "the application behind it does not answer: {PATH} gives {status}"
        )),
        Err(error) => not_ready(first_line(&error.to_string())),
    }
}

/// What a configuration of nginx uses; comments do not count.
fn uses(configuration: &str) -> Uses {
    let lines = configuration
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    let mut uses = Uses {
        tls: false,
        certificate: false,
    };
    for line in lines {
        let mut words = line.trim_end_matches(';').split_whitespace();
        match words.next() {
            Some("listen") => uses.tls |= words.any(|word| matches!(word, "ssl" | "quic")),
            Some("ssl_certificate") => uses.certificate |= line.contains(CERTIFICATE_INSIDE),
            // What is elsewhere may use TLS as well.
            Some("include") if !line.contains("mime.types") => uses.tls = true,
            _ => {}
        }
    }
    uses
}

/// Says how the certificate that is served differs from the one in the file; `None` when it does
/// not, or when the file may not be read.
fn other_certificate(served: Option<&CertificateDer<'_>>, file: &Path) -> Option<String> {
    let text = match host::read_text(file) {
        Ok(text) => text,
        Err(error) if error.is_missing() => {
            return Some(format!("its certificate `{}` is missing", file.display()));
        }
        Err(_) => return None,
    };
    let Ok(configured) = CertificateDer::from_pem_slice(text.as_bytes()) else {
        return Some(format!("`{}` holds no certificate", file.display()));
    };
    if served == Some(&configured) {
        return None;
    }
    Some(format!(
        "it serves another certificate than the one in `{}`; `toolkit restart nginx` loads it",
        file.display()
    ))
}

type TlsStream = tokio_rustls::client::TlsStream<TcpStream>;

async fn handshake(stream: TcpStream, name: &str) -> std::io::Result<TlsStream> {
    let invalid = |text: String| std::io::Error::new(std::io::ErrorKind::InvalidInput, text);
    let provider = Arc::new(ring::default_provider());
    let configuration = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| invalid(format!("`{name}` is no name of a server")))?;
    let connector = TlsConnector::from(Arc::new(configuration));
    connector.connect(name, stream).await
}

/// Accepts every certificate: the question is which one is served, and nothing secret is sent. Who
/// may trust it is for browsers to decide; one of the operator's own making is common.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_tells_what_it_uses() {
        let seed = include_str!("../../lib/config-seed/nginx.conf");
        for (text, tls, certificate) in [
            (seed, true, true),
            ("server { }\nlisten 443;\n", false, false),
            (
                "listen 443 ssl;\nssl_certificate /other.pem;\n",
                true,
                false,
            ),
            ("# listen 443 ssl;\nlisten 80;\n", false, false),
            ("include /etc/nginx/conf.d/*.conf;\n", true, false),
        ] {
            assert_eq!(uses(text), Uses { tls, certificate }, "{text}");
        }
    }
}
