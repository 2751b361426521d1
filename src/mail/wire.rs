//! Lines to and from a mail server, on a connection of any kind, and the change to TLS on it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsConnector;
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

/// Longest line of a reply; the standard allows 512 bytes.
const LONGEST_LINE: usize = 4096;

/// Bytes that are read at once.
const PIECE: usize = 4096;

/// A connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

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

/// Why a line did not come or go.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// The other side has ended the connection.
    #[error("the server ends the connection")]
    Ended,
    /// Nothing came in time.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// A line is too long, or not text.
    #[error("the server does not answer in lines")]
    NotLines,
    /// The system says why.
    #[error("the connection breaks: {0}")]
    Broken(String),
}

/// What vouches for a server.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Whether a certificate that nobody vouches for is accepted.
    pub accepts_any: bool,
    /// Further certificates that vouch for others, as PEM.
    pub further: String,
}

/// A connection that carries lines.
pub struct Wire {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
    deadline: Duration,
}

impl Wire {
    /// Lines over a connection; each answer may take as long as the deadline.
    #[must_use]
    pub fn new(stream: impl Stream + 'static, deadline: Duration) -> Self {
        Self {
            stream: Box::new(stream),
            received: Vec::new(),
            deadline,
        }
    }

    /// The next line without its end. What is no text or would move the cursor is replaced.
    ///
    /// # Errors
    /// None comes.
    pub async fn line(&mut self) -> Result<String, WireError> {
        let read = tokio::time::timeout(self.deadline, self.line_bytes()).await;
        let bytes = read.map_err(|_| WireError::Silent(self.deadline))??;
        let text = String::from_utf8_lossy(&bytes);
        let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        Ok(text.trim_end().chars().map(plain).collect())
    }

    async fn line_bytes(&mut self) -> Result<Vec<u8>, WireError> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.received.drain(..=end).collect();
                line.pop();
                return Ok(line);
            }
            if self.received.len() > LONGEST_LINE {
                return Err(WireError::NotLines);
            }
            let mut piece = [0; PIECE];
            let number = self
                .stream
                .read(&mut piece)
                .await
                .map_err(|error| of_io(&error))?;
            match piece.get(..number) {
                None | Some([]) => return Err(WireError::Ended),
                Some(bytes) => self.received.extend_from_slice(bytes),
            }
        }
    }

    /// Sends a text as it is.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn send(&mut self, text: &str) -> Result<(), WireError> {
        let sent = async {
            self.stream.write_all(text.as_bytes()).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(self.deadline, sent).await {
            Ok(outcome) => outcome.map_err(|error| of_io(&error)),
            Err(_) => Err(WireError::Silent(self.deadline)),
        }
    }

    /// Speaks TLS from here on; gives its version.
    ///
    /// # Errors
    /// The server does not, or its certificate is refused.
    pub async fn into_tls(self, host: &str, trust: &Trust) -> Result<(Self, String), TlsTrouble> {
        // What came before the handshake was not protected and must not count as if it were.
        if !self.received.is_empty() {
            return Err(TlsTrouble::NotTls);
        }
        let name = ServerName::try_from(host.to_owned());
        let name =
            name.map_err(|_| TlsTrouble::Other(format!("`{host}` is no name of a server")))?;
        let connector = TlsConnector::from(Arc::new(configuration(trust)?));
        let handshake = connector.connect(name, self.stream);
        let stream = match tokio::time::timeout(self.deadline, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(trouble(&error, host)),
            Err(_) => return Err(TlsTrouble::Silent(self.deadline)),
        };
        let version = stream.get_ref().1.protocol_version();
        let version = version.and_then(|version| version.as_str());
        let version = version
            .unwrap_or("TLS")
            .replace('_', ".")
            .replacen("TLSv", "TLS ", 1);
        let wire = Self {
            stream: Box::new(stream),
            received: Vec::new(),
            deadline: self.deadline,
        };
        Ok((wire, version))
    }
}

fn of_io(error: &io::Error) -> WireError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => WireError::Ended,
        _ => WireError::Broken(error.to_string()),
    }
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
        return match of_io(error) {
            WireError::Ended => TlsTrouble::Ended,
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

/// `DnsName("a.example")` as a person writes it.
fn bare(name: &str) -> String {
    match name.split_once('"') {
        Some((_, rest)) => rest.trim_end_matches(['"', ')']).to_owned(),
        None => name.to_owned(),
    }
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
