//! Single values of a service that have the right type and still mean nothing, and values that are written
//! in two ways.

use super::Completion;
use crate::compose::SpecDuration;
use crate::compose::node::{Node, NodeKind};

impl Completion<'_> {
    pub(super) fn check_values(&mut self, path: &str, service: &Node) {
        if let Some(policy) = service.get("pull_policy")
            && !is_pull_policy(policy.text().unwrap_or_default())
        {
            let text = "is not always, never, build, missing, refresh, daily, weekly or every_…";
            self.problem(&format!("{path}.pull_policy"), policy.mark, text);
        }
        if let Some(container) = service.get("container_name")
            && !is_container_name(container.text().unwrap_or_default())
        {
            let text =
                "must be two or more letters, digits, `_`, `.` or `-`, the first a letter or digit";
            self.problem(&format!("{path}.container_name"), container.mark, text);
        }
        if let Some(node) = service.get("oom_score_adj")
            && !matches!(node.kind, NodeKind::Integer(-1000..=1000))
        {
            let text = "must be between -1000 and 1000";
            self.problem(&format!("{path}.oom_score_adj"), node.mark, text);
        }
        self.check_image(path, service);
        self.check_scale(path, service);
        self.check_limits(path, service);
    }

    /// The images of the first file are made of settings, and what is wrong with those is said of them.
    fn check_image(&mut self, path: &str, service: &Node) {
        let Some(image) = service.get("image").filter(|image| image.mark.file > 0) else {
            return;
        };
        let name = image.text().unwrap_or_default();
        if !name.is_empty() && !is_image(name) {
            let text = format!(
                "is `{name}`, which is no image: it must be `[REGISTRY/]NAME[:TAG][@DIGEST]`, the \
                 name in lower case"
            );
            self.problem(&format!("{path}.image"), image.mark, &text);
        }
    }

    /// A container name cannot be had twice, and a service cannot ask for two numbers of containers.
    fn check_scale(&mut self, path: &str, service: &Node) {
        let (scale, replicas) = asked(service);
        for (key, node) in [("scale", scale), ("deploy.replicas", replicas)] {
            if let Some((_, node)) = node.filter(|(count, _)| *count < 0) {
                let text = "must be a number of containers, 0 or more";
                self.problem(&format!("{path}.{key}"), node.mark, text);
            }
        }
        if let (Some((scale, _)), Some((replicas, _))) = (scale, replicas)
            && scale != replicas
        {
            let text = "asks for different numbers with `scale` and `deploy.replicas`";
            self.problem(path, service.mark, text);
        }
        if containers(service) > 1
            && let Some(name) = service.get("container_name")
        {
            let text = "is one name, and the service asks for several containers";
            self.problem(&format!("{path}.container_name"), name.mark, text);
        }
    }

    /// A limit that can be written in two ways has one value.
    fn check_limits(&mut self, path: &str, service: &Node) {
        let resources = service
            .get("deploy")
            .and_then(|deploy| deploy.get("resources"));
        for (key, group, name) in [
            ("cpus", "limits", "cpus"),
            ("mem_limit", "limits", "memory"),
            ("mem_reservation", "reservations", "memory"),
            ("pids_limit", "limits", "pids"),
        ] {
            let other = resources
                .and_then(|resources| resources.get(group))
                .and_then(|group| group.get(name));
            if let (Some(one), Some(other)) = (service.get(key), other)
                && number(one) != number(other)
            {
                let text = format!("differs from `deploy.resources.{group}.{name}`");
                self.problem(&format!("{path}.{key}"), one.mark, &text);
            }
        }
    }
}

/// How many containers a service asks for.
pub(super) fn containers(service: &Node) -> i128 {
    let (scale, replicas) = asked(service);
    scale.or(replicas).map_or(1, |(count, _)| count)
}

/// A number of containers, and where it stands.
type Count<'a> = (i128, &'a Node);

/// The numbers of containers in `scale` and in `deploy.replicas`.
fn asked(service: &Node) -> (Option<Count<'_>>, Option<Count<'_>>) {
    fn count(node: &Node) -> Option<Count<'_>> {
        match node.kind {
            NodeKind::Integer(number) => Some((number, node)),
            _ => None,
        }
    }
    let replicas = service
        .get("deploy")
        .and_then(|deploy| deploy.get("replicas"));
    (
        service.get("scale").and_then(count),
        replicas.and_then(count),
    )
}

/// The number that a node holds or spells.
fn number(node: &Node) -> Option<f64> {
    node.printed().and_then(|text| text.parse().ok())
}

fn is_pull_policy(text: &str) -> bool {
    matches!(
        text,
        "" | "always"
            | "never"
            | "build"
            | "if_not_present"
            | "missing"
            | "refresh"
            | "daily"
            | "weekly"
    ) || text
        .strip_prefix("every_")
        .is_some_and(|interval| interval.parse::<SpecDuration>().is_ok())
}

fn is_container_name(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

/// Whether an engine can take it for an image. Engines differ in what a registry's name may be, so that
/// only what none of them takes is told.
fn is_image(text: &str) -> bool {
    let (named, digest) = match text.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (text, None),
    };
    let (name, tag) = match named.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (named, None),
    };
    let (registry, path) = match name.split_once('/') {
        Some((first, rest)) if first.contains(|c: char| !is_lower(c) && !"_-".contains(c)) => {
            (Some(first), rest)
        }
        _ => (None, name),
    };
    let is_registry = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ".:-[]".contains(c))
    };
    let is_part = |text: &str| {
        text.starts_with(is_lower)
            && text.ends_with(is_lower)
            && text.chars().all(|c| is_lower(c) || "._-".contains(c))
    };
    let is_tag = |text: &str| {
        (1..=128).contains(&text.len())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
            && !text.starts_with(['.', '-'])
    };
    let is_digest = |text: &str| {
        text.split_once(':').is_some_and(|(kind, digits)| {
            !kind.is_empty() && digits.len() >= 32 && digits.chars().all(|c| c.is_ascii_hexdigit())
        })
    };
    registry.is_none_or(is_registry)
        && path.split('/').all(is_part)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
}

fn is_lower(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::load;

    #[test]
    fn names_of_images_are_told_from_other_text() {
        let digest = format!("a/b@sha256:{}", "0a".repeat(32));
        for sound in [
            "redis",
            "redis:7.4",
            "my_org/a--b__c.d:Tag_1",
            "localhost/x",
            "127.0.0.1:5000/x/y:1",
            "[::1]:5000/x",
            "Registry.example/x",
            "quay.io/sharelatex/sharelatex-pro:5.1.0",
            &digest,
        ] {
            assert!(is_image(sound), "{sound}");
        }
        for wrong in [
            "Foo Bar",
            "a b",
            "Foo",
            "r.example/Foo:1",
            "foo:",
            "foo:bar:baz",
            "foo@sha256:12",
            "/foo",
            "-foo",
            "foo/",
            "foo:-1",
            "http://r.example/foo",
        ] {
            assert!(!is_image(wrong), "{wrong}");
        }
    }

    /// What is wrong with a file.
    fn said(text: &str) -> String {
        load::project(text, "p").unwrap_err().to_string()
    }

    /// What is wrong with two files.
    fn said_of_both(first: &str, second: &str) -> String {
        let file = |name: &str, text: &str| load::File {
            path: name.into(),
            text: text.to_owned(),
            is_literal: true,
        };
        let loaded = load::load(&load::Request {
            name: "p",
            is_named: true,
            folder: std::path::Path::new("/"),
            files: &[file("first", first), file("second", second)],
            variables: &|_| None,
            profiles: &[],
            home: None,
            read: &|_| Err(std::io::ErrorKind::NotFound.into()),
            read_variables: &|_, _, _| Ok(Vec::new()),
        });
        loaded.unwrap_err().to_string()
    }

    #[test]
    fn what_the_second_file_says_is_what_is_wrong() {
        let first = "services: {b: {image: 'made:of:settings', container_name: b1}}";
        let second = "services:\n  a:\n    image: Foo Bar\n    container_name: b1\n";
        let said = said_of_both(first, second);
        let said: Vec<&str> = said.lines().collect();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said[0].starts_with("second:3:5: `services.a.image` is `Foo Bar`, which is no image"),
            "{said:?}"
        );
        assert_eq!(
            said[1],
            "second:4:5: `services.a.container_name` is `b1`, the name of the container of `b`"
        );
    }

    #[test]
    fn there_are_no_fewer_containers_than_none() {
        for (key, line) in [
            ("scale", "    scale: -1"),
            ("deploy.replicas", "    deploy: {replicas: -1}"),
        ] {
            let said = said(&format!("services:\n  s:\n    image: i\n{line}\n"));
            let text = format!("`services.s.{key}` must be a number of containers, 0 or more");
            assert!(said.contains(&text), "{said}");
            assert!(said.contains(":4:"), "{said}");
        }
        let none = "services: {s: {image: i, scale: 0, deploy: {replicas: 0}}}";
        assert!(load::project(none, "p").is_ok());
    }

    #[test]
    fn a_name_that_another_service_gets_is_no_name() {
        let file = |name: &str, scale: i64| {
            format!(
                "services:\n  a: {{image: i, container_name: {name}}}\n  b: {{image: i, scale: {scale}}}\n"
            )
        };
        for (name, scale) in [("p-b-1", 1), ("p-b-2", 2)] {
            let said = said(&file(name, scale));
            let text = format!(
                "`services.a.container_name` is `{name}`, the name of the container of `b`"
            );
            assert!(said.contains(&text), "{said}");
        }
        for (name, scale) in [
            ("p-b-2", 1),
            ("p-b-1", 0),
            ("p-b-01", 1),
            ("q-b-1", 1),
            ("p-a-1", 1),
        ] {
            assert!(load::project(&file(name, scale), "p").is_ok(), "{name}");
        }
    }
}
