//! A certificate that stands in until there is a real one: its own key has signed it, so that no
//! browser trusts it. Written in DER, the binary form of ASN.1.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use super::SeedError;

/// How long it is good for.
const GOOD_FOR: Duration = Duration::days(365);

/// First year that the short form of a moment cannot say.
const LONG_YEAR: i32 = 2050;

/// Tags of ASN.1.
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const OCTETS: u8 = 0x04;
const OBJECT: u8 = 0x06;
const TEXT: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERAL_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// Object identifiers: what signs, the kind of the key, its curve, and parts of a certificate.
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P_256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

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
/// The system gives no random numbers.
pub fn pair(host: &str, now: OffsetDateTime) -> Result<Pair, SeedError> {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| SeedError::Sample)?;
    let key = EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &random);
    let key = key.map_err(|_| SeedError::Sample)?;
    let mut serial = [0; 16];
    random.fill(&mut serial).map_err(|_| SeedError::Sample)?;
    let body = body(host, now, &serial, key.public_key().as_ref());
    let signature = key.sign(&random, &body).map_err(|_| SeedError::Sample)?;
    let certificate = sequence(&[&body, &signed_how(), &bits(signature.as_ref())]);
    Ok(Pair {
        private_key: pem("PRIVATE KEY", made.as_ref()),
        certificate: pem("CERTIFICATE", &certificate),
    })
}

/// What is signed.
fn body(host: &str, now: OffsetDateTime, serial: &[u8], public_key: &[u8]) -> Vec<u8> {
    let name = object(COMMON_NAME);
    let name = sequence(&[&name, &value(TEXT, host.as_bytes())]);
    let name = sequence(&[&value(SET, &name)]);
    let alternative = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => value(IP_ADDRESS, &address.octets()),
        Ok(IpAddr::V6(address)) => value(IP_ADDRESS, &address.octets()),
        Err(_) => value(DNS_NAME, host.as_bytes()),
    };
    let alternative = value(OCTETS, &sequence(&[&alternative]));
    let is_critical = value(BOOLEAN, &[0xff]);
    // Empty constraints: it signs no other certificates.
    let constraints = value(OCTETS, &sequence(&[]));
    let extensions = sequence(&[
        &sequence(&[&object(ALTERNATIVE_NAMES), &alternative]),
        &sequence(&[&object(BASIC_CONSTRAINTS), &is_critical, &constraints]),
    ]);
    let kind = sequence(&[&object(EC_PUBLIC_KEY), &object(P_256)]);
    // The first byte keeps the number positive and from being written in another way.
    let serial = [&[0x01], serial].concat();
    sequence(&[
        &value(VERSION, &value(INTEGER, &[2])),
        &value(INTEGER, &serial),
        &signed_how(),
        &name,
        &sequence(&[&moment(now), &moment(now + GOOD_FOR)]),
        &name,
        &sequence(&[&kind, &bits(public_key)]),
        &value(EXTENSIONS, &extensions),
    ])
}

fn signed_how() -> Vec<u8> {
    sequence(&[&object(ECDSA_WITH_SHA256)])
}

fn moment(at: OffsetDateTime) -> Vec<u8> {
    let short = format_description!("[year repr:last_two][month][day][hour][minute][second]Z");
    let long = format_description!("[year][month][day][hour][minute][second]Z");
    let at = at.to_offset(time::UtcOffset::UTC);
    let (tag, text) = if at.year() < LONG_YEAR {
        (UTC_TIME, at.format(short))
    } else {
        (GENERAL_TIME, at.format(long))
    };
    value(tag, text.unwrap_or_default().as_bytes())
}

fn object(identifier: &[u8]) -> Vec<u8> {
    value(OBJECT, identifier)
}

/// Whole bytes as a string of bits: none of the last byte is unused.
fn bits(bytes: &[u8]) -> Vec<u8> {
    value(BITS, &[&[0], bytes].concat())
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    value(SEQUENCE, &parts.concat())
}

/// A value with its tag and length before it.
fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let bytes: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut written = vec![tag];
    match bytes.as_slice() {
        [] => written.push(0),
        [short @ ..=0x7f] => written.push(*short),
        // The highest bit tells that the length takes several bytes, and how many; never above 8.
        long => {
            written.push(0x80 | u8::try_from(long.len()).unwrap_or(0));
            written.extend(long);
        }
    }
    written.extend(content);
    written
}

fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let lines = encoded.as_bytes().chunks(64);
    let lines = lines.map(|line| format!("{}\n", String::from_utf8_lossy(line)));
    let lines: String = lines.collect();
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn lengths_and_moments_are_written_in_their_shortest_form() {
        assert_eq!(value(OCTETS, &[]), [0x04, 0]);
        assert_eq!(value(OCTETS, &[7; 0x7f])[..3], [0x04, 0x7f, 7]);
        assert_eq!(value(OCTETS, &[7; 0x80])[..4], [0x04, 0x81, 0x80, 7]);
        assert_eq!(value(OCTETS, &[7; 0x100])[..5], [0x04, 0x82, 0x01, 0x00, 7]);
        assert_eq!(
            moment(datetime!(2026-11-22 01:02:03 +1)),
            *b"\x17\x0d261122000203Z"
        );
        assert_eq!(
            moment(datetime!(2050-01-01 00:00:00 UTC)),
            *b"\x18\x0f20500101000000Z"
        );
    }

    #[test]
    fn each_pair_is_another_one() {
        let made = || pair("localhost", datetime!(2026-11-22 00:00:00 UTC)).unwrap();
        let (one, other) = (made(), made());
        assert_ne!(one.private_key, other.private_key);
        assert_ne!(one.certificate, other.certificate);
    }
}
