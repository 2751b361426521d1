//! Percent-encoding, as addresses have it (RFC 3986).

/// A text as a part of a path or a value of a query: all but letters, digits and `-._~` is encoded.
#[must_use]
pub fn encoded(text: &str) -> String {
    let bytes = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    });
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_an_address_is_encoded() {
        assert_eq!(encoded("a-b_c.d~9"), "a-b_c.d~9");
        assert_eq!(encoded("a/b c?d=ä"), "a%2Fb%20c%3Fd%3D%C3%A4");
    }
}
