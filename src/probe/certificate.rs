//! Reads a certificate in the PEM form: whose it is and until when it is good. Only the few fields
//! that are shown are looked at; nothing is verified, which is the business of those who connect.

use time::{Date, Month, OffsetDateTime, Time};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::observed::condition::Certificate;

/// Tags of ASN.1 that a certificate is made of.
const BOOLEAN: u8 = 0x01;
const OBJECT: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERAL_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;

/// The parts of a name that are shown, most telling first, by their object identifiers.
const NAME_PARTS: [(&str, &[u8]); 4] = [
    ("CN", &[0x55, 0x04, 0x03]),
    ("O", &[0x55, 0x04, 0x0a]),
    ("OU", &[0x55, 0x04, 0x0b]),
    ("C", &[0x55, 0x04, 0x06]),
];

/// The extension that holds the names a certificate is good for.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// Reads the first certificate of a text.
///
/// # Errors
/// It holds none, or one that cannot be read.
pub fn read(text: &str) -> Result<Certificate, String> {
    let first = CertificateDer::from_pem_slice(text.as_bytes())
        .map_err(|_| "it holds no certificate".to_owned())?;
    parse(&first).ok_or_else(|| "its certificate cannot be read".to_owned())
}

/// A row of values, each with its tag and length before it (DER).
#[derive(Clone, Copy)]
struct Row<'a>(&'a [u8]);

impl<'a> Row<'a> {
    /// The next value with its tag.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], rest) = self.0.split_first_chunk::<2>()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            // More than four bytes of length are more than any certificate has.
            let size = usize::from(first & 0x7f);
            let (bytes, rest) = rest.split_at_checked(size).filter(|_| size <= 4)?;
            let length = bytes
                .iter()
                .fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
            (length, rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The next value, which has to have this tag.
    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, content) = self.next()?;
        (found == tag).then_some(content)
    }
}

fn parse(der: &[u8]) -> Option<Certificate> {
    let mut certificate = Row(Row(der).expect(SEQUENCE)?);
    let mut body = Row(certificate.expect(SEQUENCE)?);
    let mut behind_version = body;
    if behind_version.expect(VERSION).is_some() {
        body = behind_version;
    }
    let (_serial, _algorithm, _issuer) = (body.next()?, body.next()?, body.next()?);
    let mut validity = Row(body.expect(SEQUENCE)?);
    let (not_before, not_after) = (moment(validity.next()?)?, moment(validity.next()?)?);
    let subject = Row(body.expect(SEQUENCE)?);
    let _key = body.next()?;
    let mut names = Vec::new();
    while let Some((tag, content)) = body.next() {
        if tag == EXTENSIONS {
            names = alternative_names(Row(content)).unwrap_or_default();
        }
    }
    let parts = name_parts(subject);
    let common = parts.iter().find(|(name, _)| *name == "CN");
    let subject = match (common, names.first()) {
        (Some((_, common)), _) => common.clone(),
        (None, Some(first)) => first.clone(),
        (None, None) => {
            let parts = parts.iter().map(|(name, value)| format!("{name}={value}"));
            parts.collect::<Vec<_>>().join(", ")
        }
    };
    Some(Certificate {
        subject,
        names,
        not_before,
        not_after,
    })
}

/// The parts of a name that are known here, in their order.
fn name_parts(mut name: Row<'_>) -> Vec<(&'static str, String)> {
    let mut parts = Vec::new();
    while let Some((_, set)) = name.next() {
        let mut set = Row(set);
        while let Some((_, pair)) = set.next() {
            let mut pair = Row(pair);
            let (Some(id), Some((_, value))) = (pair.expect(OBJECT), pair.next()) else {
                continue;
            };
            if let Some((known, _)) = NAME_PARTS.iter().find(|(_, known)| *known == id) {
                parts.push((*known, shown(value)));
            }
        }
    }
    parts
}

/// A text of a certificate, which is written to a terminal: without control characters.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().filter(|c| !c.is_control()).collect()
}

fn alternative_names(mut extensions: Row<'_>) -> Option<Vec<String>> {
    let mut all = Row(extensions.expect(SEQUENCE)?);
    while let Some(extension) = all.expect(SEQUENCE) {
        let mut extension = Row(extension);
        let id = extension.expect(OBJECT)?;
        let (mut tag, mut content) = extension.next()?;
        if tag == BOOLEAN {
            (tag, content) = extension.next()?;
        }
        // The names are a row of their own within a string of octets.
        if id == ALTERNATIVE_NAMES && tag == 0x04 {
            let mut found = Row(Row(content).expect(SEQUENCE)?);
            let mut names = Vec::new();
            while let Some((tag, name)) = found.next() {
                if tag == DNS_NAME {
                    names.push(shown(name));
                }
            }
            return Some(names);
        }
    }
    None
}

/// A moment as certificates write it: `YYMMDDHHMMSSZ`, or with four digits of the year.
fn moment((tag, content): (u8, &[u8])) -> Option<OffsetDateTime> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i32 = year.parse().ok()?;
            // Years from 50 on are of the last century (RFC 5280).
            (year + if year < 50 { 2000 } else { 1900 }, rest)
        }
        GENERAL_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let mut rest = rest;
    let mut two = || -> Option<u8> {
        let (digits, left) = rest.split_at_checked(2)?;
        rest = left;
        digits.parse().ok()
    };
    let (month, day) = (two()?, two()?);
    let (hour, minute, second) = (two()?, two()?, two()?);
    let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()?;
    let time = Time::from_hms(hour, minute, second).ok()?;
    Some(OffsetDateTime::new_utc(date, time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    /// Of a key that nobody has, made by `openssl` with a common name and two names it is good for.
    const NAMED: &str = "\
-----BEGIN CERTIFICATE-----
MIIB9jCCAZugAwIBAgIUHZgsEBgVAh3qlHoDswyRAByoo+wwCgYIKoZIzj0EAwIw
OTELMAkGA1UEBhMCREUxEDAOBgNVBAoMB0V4YW1wbGUxGDAWBgNVBAMMD3RleC5l
eGFtcGxlLm9yZzAeFw0yNjExMjExODQ5MTVaFw0zNjExMTgxODQ5MTVaMDkxCzAJ
BgNVBAYTAkRFMRAwDgYDVQQKDAdFeGFtcGxlMRgwFgYDVQQDDA90ZXguZXhhbXBs
ZS5vcmcwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ3tvJGgt22dOJ8WSKbnKkf
dWaVlMZLxa7LWAr/oQI8SHQcRH2QetNbp5eRVts/Sa2+IFI8JmiBMCjPbApJFOsc
o4GAMH4wHQYDVR0OBBYEFJ6uAsrvHlTD1ntGFys9A9CgFe5LMB8GA1UdIwQYMBaA
FJ6uAsrvHlTD1ntGFys9A9CgFe5LMA8GA1UdEwEB/wQFMAMBAf8wKwYDVR0RBCQw
IoIPdGV4LmV4YW1wbGUub3Jngg93d3cuZXhhbXBsZS5vcmcwCgYIKoZIzj0EAwID
SQAwRgIhAP+O7/Nu2OYoCnyvoYUffYlfEGS8vvqMWIXnbnQTbb1WAiEA4hsVhR4W
Erud4D5BAeTmlpS6vAPKk64/jh/68uCKLhI=
-----END CERTIFICATE-----
";

    /// The same without a common name, and good until 2081.
    const UNNAMED: &str = "\
-----BEGIN CERTIFICATE-----
MIIBezCCASGgAwIBAgIUCqsPy/76fTOP2wht7pUfhS4H2M0wCgYIKoZIzj0EAwIw
EjEQMA4GA1UECgwHRXhhbXBsZTAgFw0yNjExMjExODQ5MzRaGA8yMDgxMDgyNDE4
NDkzNFowEjEQMA4GA1UECgwHRXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABG/dqGAdBGBzvLOYsxXfUdNMexg0XkAgg01tcbU2JMgok7TqX+usI4CDCAcw
JhgSaVQwN6lXMzP8AbSFbrTciRejUzBRMB0GA1UdDgQWBBTuHRZL0xH/uHNOyqY1
bPjRo6HKmjAfBgNVHSMEGDAWgBTuHRZL0xH/uHNOyqY1bPjRo6HKmjAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIBma9fVXvILc9NEOZ6/IaawVsk/A
556HT4xvVrcRUgYkAiEAtilS+oaNCUTB6TqEzUoIgd9YukO8L21+o8splFjkJ40=
-----END CERTIFICATE-----
";

    #[test]
    fn what_is_shown_of_a_certificate_is_read() {
        let named = read(NAMED).unwrap();
        assert_eq!(named.subject, "tex.example.org");
        assert_eq!(named.names, ["tex.example.org", "www.example.org"]);
        assert_eq!(named.not_before, datetime!(2026-11-21 18:49:15 UTC));
        assert_eq!(named.not_after, datetime!(2036-11-18 18:49:15 UTC));
        let unnamed = read(UNNAMED).unwrap();
        assert_eq!(unnamed.subject, "O=Example");
        assert_eq!(unnamed.not_after.year(), 2081);
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        assert_eq!(read("").unwrap_err(), "it holds no certificate");
        let other = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(read(other).unwrap_err(), "its certificate cannot be read");
        // However it is cut or changed, it is read or refused.
        let whole = CertificateDer::from_pem_slice(NAMED.as_bytes()).unwrap();
        for length in 0..whole.len() {
            let _ = parse(&whole[..length]);
            let mut changed = whole.to_vec();
            changed[length] = changed[length].wrapping_add(0x7f);
            let _ = parse(&changed);
        }
    }
}
