//! A certificate that stands in until there is a real one: its own key has signed it, so that no
//! browser trusts it.

use rcgen::{CertificateParams, DistinguishedName, DnType, IsCa, KeyPair};
use time::{Duration, OffsetDateTime};

use super::SeedError;

/// How long it is good for.
const GOOD_FOR: Duration = Duration::days(365);

/// A private key and the certificate that it has signed itself, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The private key.
    pub private_key: String,
    /// The certificate.
    pub certificate: String,
}

/// Makes a pair for a host, from a moment on.
///
/// # Errors
/// The system gives no random numbers, or the host is none that a certificate can name.
pub fn pair(host: &str, now: OffsetDateTime) -> Result<Pair, SeedError> {
    made(host, now).map_err(|_| SeedError::Sample)
}

fn made(host: &str, now: OffsetDateTime) -> Result<Pair, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut wanted = CertificateParams::new(vec![host.to_owned()])?;
    wanted.distinguished_name = DistinguishedName::new();
    wanted.distinguished_name.push(DnType::CommonName, host);
    wanted.not_before = now;
    wanted.not_after = now + GOOD_FOR;
    // It signs no other certificates.
    wanted.is_ca = IsCa::ExplicitNoCa;
    let certificate = wanted.self_signed(&key)?;
    Ok(Pair {
        private_key: key.serialize_pem(),
        certificate: certificate.pem(),
    })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn each_pair_is_another_one() {
        let made = || pair("localhost", datetime!(2026-11-22 00:00:00 UTC)).unwrap();
        let (one, other) = (made(), made());
        assert_ne!(one.private_key, other.private_key);
        assert_ne!(one.certificate, other.certificate);
    }
}
