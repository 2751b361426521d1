//! TLS to the servers that the application uses: what vouches for them, and why none comes about.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// The variable that names a file of the application's container with [`Trust::further`] certificates
/// (<https://nodejs.org/api/cli.html#node_extra_ca_certsfile>).
pub const FURTHER_CERTIFICATES: &str = "NODE_EXTRA_CA_CERTS";

/// Why no TLS came about.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TlsTrouble {
    /// The other side speaks something else.
    #[error("the server does not speak TLS here")]
    NotTls,
    /// Its certificate has signed itself.
    #[error("the server's certificate is signed by itself")]
    SelfSigned,
    /// Nobody that is trusted vouches for its certificate.
    #[error("nobody that is trusted vouches for the server's certificate")]
    UnknownIssuer,
    /// Its certificate is for other names.
    #[error("the server's certificate is not for `{wanted}`, but for {}", .presented.join(", "))]
    WrongName {
        /// The name it was asked for.
        wanted: String,
        /// The names it is for.
        presented: Vec<String>,
    },
    /// Its certificate is not valid any more, or not yet.
    #[error("the server's certificate is {0}")]
    NotNow(&'static str),
    /// The server ended the handshake.
    #[error("the server ends the connection in the middle of the TLS handshake")]
    Ended,
    /// Nothing came back.
    #[error("the server does not answer the TLS handshake within {} s", .0.as_secs())]
    Silent(Duration),
    /// Anything else.
    #[error("no TLS: {0}")]
    Other(String),
}

/// What vouches for a server, beside the certificates that Mozilla trusts.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Whether a certificate that nobody vouches for is accepted.
    pub accepts_any: bool,
    /// Further certificates that vouch for others, as PEM.
    pub further: String,
}

impl TlsTrouble {
    /// Whether the server speaks TLS, and its certificate is what is not accepted. The application may be
    /// less strict.
    #[must_use]
    pub fn is_about_trust(&self) -> bool {
        !matches!(self, Self::NotTls | Self::Ended | Self::Silent(_))
    }
}

impl Trust {
    /// The trust of an application with this environment, which tells by `NODE_TLS_REJECT_UNAUTHORIZED`
    /// whether it looks at certificates at all, without [`Self::further`] certificates.
    #[must_use]
    pub fn of<'a>(variable: impl Fn(&str) -> Option<&'a str>) -> Self {
        Self {
            accepts_any: variable("NODE_TLS_REJECT_UNAUTHORIZED") == Some("0"),
            further: String::new(),
        }
    }
}

/// Speaks TLS on a connection to a server of this name.
///
/// # Errors
/// The server does not, or its certificate is refused.
pub async fn connect<S>(stream: S, host: &str, trust: &Trust) -> Result<TlsStream<S>, TlsTrouble>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|_| TlsTrouble::Other(format!("`{host}` is no name of a server")))?;
    let connector = TlsConnector::from(Arc::new(configuration(trust)?));
    let connected = connector.connect(name, stream).await;
    connected.map_err(|error| trouble(&error, host))
}

fn configuration(trust: &Trust) -> Result<ClientConfig, TlsTrouble> {
    let other = |error: String| TlsTrouble::Other(error);
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = if trust.accepts_any {
        Arc::new(AnyCertificate(Arc::clone(&provider)))
    } else {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        // What is no certificate is passed over, as the application does.
        let further = CertificateDer::pem_slice_iter(trust.further.as_bytes());
        roots.add_parsable_certificates(further.filter_map(Result::ok));
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        verifier.build().map_err(|error| other(error.to_string()))?
    };
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| other(error.to_string()))?;
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

fn trouble(error: &io::Error, wanted: &str) -> TlsTrouble {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let Some(inner): Option<&Error> = inner else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => TlsTrouble::Ended,
            _ => TlsTrouble::Other(error.to_string()),
        };
    };
    let wrong_name = |presented: &[String]| TlsTrouble::WrongName {
        wanted: wanted.to_owned(),
        presented: match presented {
            [] => vec!["no name at all".to_owned()],
            names => names.iter().map(|name| bare(name)).collect(),
        },
    };
    match inner {
        Error::InvalidMessage(_) => TlsTrouble::NotTls,
        Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer => TlsTrouble::UnknownIssuer,
            CertificateError::NotValidForName => wrong_name(&[]),
            CertificateError::NotValidForNameContext { presented, .. } => wrong_name(presented),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                TlsTrouble::NotNow("not valid any more")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                TlsTrouble::NotNow("not valid yet")
            }
            // One that may sign others and is used by the server itself is of its own making.
            other if format!("{other:?}").contains("CaUsedAsEndEntity") => TlsTrouble::SelfSigned,
            other => TlsTrouble::Other(other.to_string()),
        },
        other => TlsTrouble::Other(other.to_string()),
    }
}

/// `DnsName("a.example")` and `IpAddress(192.0.2.1)` as a person writes them.
fn bare(name: &str) -> String {
    let inner = name.split_once('(').map_or(name, |(_, rest)| rest);
    inner.trim_matches(['"', ')']).to_owned()
}

/// Accepts every certificate: the operator has asked for that.
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
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn names_are_shown_as_a_person_writes_them() {
        assert_eq!(bare(r#"DnsName("a.example")"#), "a.example");
        assert_eq!(bare("IpAddress(192.0.2.1)"), "192.0.2.1");
        assert_eq!(bare("other"), "other");
    }
}
