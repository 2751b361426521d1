//! Image references: `[registry/]name[:tag][@digest]`. Leaf module.

/// The tag or digest of an image reference, `None` when it has neither.
#[must_use]
pub fn tag(reference: &str) -> Option<&str> {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    last.split_once('@')
        .or_else(|| last.split_once(':'))
        .map(|(_, tag)| tag)
}

/// The version that the tag of a reference begins with, as in `mongo:8.0.4-noble`; a digest behind the
/// tag does not take it away. `None` when the tag begins with no number.
#[must_use]
pub fn version(reference: &str) -> Option<&str> {
    let tag = tag(reference.split('@').next()?)?;
    tag.starts_with(|c: char| c.is_ascii_digit()).then_some(tag)
}

/// The reference with a tag; one that already has a tag or digest is kept.
#[must_use]
pub fn with_tag(reference: &str, tag_if_none: &str) -> String {
    match tag(reference) {
        Some(_) => reference.to_owned(),
        None => format!("{reference}:{tag_if_none}"),
    }
}

/// Whether the reference names an image by its digest.
#[must_use]
pub fn has_digest(reference: &str) -> bool {
    reference.contains('@')
}

/// The reference as the engine lists it: without the registry and the folder that are meant where none is
/// said, and with the tag that is meant.
#[must_use]
pub fn familiar(reference: &str) -> String {
    let short = ["docker.io/", "index.docker.io/"]
        .iter()
        .find_map(|registry| reference.strip_prefix(registry))
        .unwrap_or(reference);
    let short = match short.strip_prefix("library/") {
        Some(name) if !name.contains('/') => name,
        _ => short,
    };
    with_tag(short, "latest")
}

/// The name of an image without tag and digest, as the engine lists it.
#[must_use]
pub fn repository(reference: &str) -> String {
    let named = familiar(reference);
    let name = named.split('@').next().unwrap_or(&named);
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name.to_owned(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_never_doubled() {
        for (reference, expected) in [
            ("a/b", "a/b:1"),
            ("host:5000/b", "host:5000/b:1"),
            ("a/b:2", "a/b:2"),
            ("b@sha256:ab", "b@sha256:ab"),
        ] {
            assert_eq!(with_tag(reference, "1"), expected);
        }
    }

    #[test]
    fn a_version_is_a_tag_that_begins_with_a_number() {
        for (reference, expected) in [
            ("mongo:8.0.4-noble", Some("8.0.4-noble")),
            ("mongo:8.0@sha256:ab", Some("8.0")),
            ("mongo:latest", None),
            ("mongo@sha256:12", None),
            ("registry.local:5000/mongo", None),
        ] {
            assert_eq!(version(reference), expected, "{reference}");
        }
    }

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

    #[test]
    fn a_reference_reads_as_the_engine_lists_it() {
        for (reference, listed, name) in [
            ("mongo", "mongo:latest", "mongo"),
            ("docker.io/library/mongo:8.0", "mongo:8.0", "mongo"),
            ("docker.io/a/b:1", "a/b:1", "a/b"),
            ("library/a/b:1", "library/a/b:1", "library/a/b"),
            ("r:5000/b", "r:5000/b:latest", "r:5000/b"),
            ("r:5000/b:1@sha256:ab", "r:5000/b:1@sha256:ab", "r:5000/b"),
            ("b@sha256:ab", "b@sha256:ab", "b"),
        ] {
            assert_eq!(familiar(reference), listed, "{reference}");
            assert_eq!(repository(reference), name, "{reference}");
        }
    }
}
