//! Image references: `[registry/]name[:tag][@digest]`. Leaf module.

/// The tag or digest of an image reference, `None` when it has neither.
#[must_use]
pub fn tag(reference: &str) -> Option<&str> {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    last.split_once('@')
        .or_else(|| last.split_once(':'))
        .map(|(_, tag)| tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_registry_is_no_tag() {
        for (reference, expected) in [
            ("mongo", None),
            ("mongo:8.0", Some("8.0")),
            ("registry.local:5000/mongo", None),
            ("registry.local:5000/mongo:8.0", Some("8.0")),
            ("mongo@sha256:ab", Some("sha256:ab")),
        ] {
            assert_eq!(tag(reference), expected, "{reference}");
        }
    }
}
