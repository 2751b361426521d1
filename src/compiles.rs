//! Sandboxed compiles: the images that they may use, and the containers that they leave behind. Pure.

use crate::compose::Project;
use crate::engine::stock::ListedContainer;
use crate::image;
use crate::labels;
use crate::observed::{Container, ContainerState};
use crate::release::APPLICATION;

/// What the name of a compile's container begins with.
const PREFIX: &str = "project-";

/// Digits of the identifier of a project or a user, and of the hash behind them.
const ID: usize = 24;
const HASH: usize = 32;

/// An image of compiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileImage {
    /// Reference under which the engine is asked for it.
    pub reference: String,
    /// The variable that names it.
    pub variable: &'static str,
}

/// Whether the application compiles in containers of their own.
#[must_use]
pub fn is_sandboxed(project: &Project) -> bool {
    let is_on = |name| variable(project, name) == Some("true");
    is_on("SANDBOXED_COMPILES") || is_on("DOCKER_RUNNER")
}

/// The image that new projects get, under the name by which projects know it.
#[must_use]
pub fn default_image(project: &Project) -> Option<&str> {
    default_of(&|name| variable(project, name))
}

fn default_of<'a>(variable: &impl Fn(&str) -> Option<&'a str>) -> Option<&'a str> {
    let names = ["TEX_LIVE_DOCKER_IMAGE", "TEXLIVE_IMAGE"];
    names.iter().find_map(|name| variable(name))
}

/// The images that projects may name.
#[must_use]
pub fn selectable(project: &Project) -> Vec<&str> {
    selectable_of(&|name| variable(project, name))
}

/// The images that projects may name as an application runs now.
#[must_use]
pub fn selectable_now(application: &Container) -> Vec<&str> {
    selectable_of(&|name| plain(application.environment.0.get(name)?))
}

fn selectable_of<'a>(variable: &impl Fn(&str) -> Option<&'a str>) -> Vec<&'a str> {
    let all = variable("ALL_TEX_LIVE_DOCKER_IMAGES").unwrap_or_default();
    let mut images: Vec<&str> = listed(all).collect();
    images.extend(default_of(variable));
    let mut seen = Vec::new();
    images.retain(|image| {
        let is_new = !seen.contains(image);
        seen.push(*image);
        is_new
    });
    images
}

/// All images that compiles are started from, each once.
#[must_use]
pub fn images(project: &Project) -> Vec<CompileImage> {
    let mut all: Vec<CompileImage> = Vec::new();
    for name in [
        "TEX_LIVE_DOCKER_IMAGE",
        "TEXLIVE_IMAGE",
        "ALL_TEX_LIVE_DOCKER_IMAGES",
        "ALLOWED_IMAGES",
        "PANDOC_IMAGE",
        "PDFTOCAIRO_IMAGE",
    ] {
        for image in listed(variable(project, name).unwrap_or_default()) {
            let reference = engine_reference(project, image);
            if all.iter().all(|known| known.reference != reference) {
                let variable = name;
                all.push(CompileImage {
                    reference,
                    variable,
                });
            }
        }
    }
    all
}

/// The reference under which the application asks the engine for an image: two parts of its name may be
/// replaced by those of another registry.
#[must_use]
pub fn engine_reference(project: &Project, image: &str) -> String {
    let names = ["TEX_LIVE_IMAGE_NAME_OVERRIDE", "TEX_LIVE_DOCKER_IMAGE_ROOT"];
    let root = names.iter().find_map(|name| variable(project, name));
    let third = image.splitn(3, '/').nth(2);
    match root.zip(third) {
        Some((root, rest)) => format!("{}/{rest}", root.trim_end_matches('/')),
        None => image.to_owned(),
    }
}

/// Entries of a list with commas or blanks between them.
fn listed(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| c == ',' || c.is_whitespace());
    words.filter(|word| !word.is_empty())
}

fn variable<'a>(project: &'a Project, name: &str) -> Option<&'a str> {
    let application = project.services.get(APPLICATION)?;
    plain(application.environment.0.get(name)?.as_deref()?)
}

/// A value without blanks and quotes around it, where anything is left.
fn plain(value: &str) -> Option<&str> {
    let value = value.trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then_some(value)
}

/// Whether a container has the name of a compile: `project-PROJECT[-USER]-HASH`.
#[must_use]
pub fn is_compile(name: &str) -> bool {
    let is_hexadecimal = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let Some(rest) = name.strip_prefix(PREFIX) else {
        return false;
    };
    let parts: Vec<&str> = rest.split('-').collect();
    match parts.as_slice() {
        [project, hash] => is_hexadecimal(project, ID) && is_hexadecimal(hash, HASH),
        [project, user, hash] => {
            is_hexadecimal(project, ID) && is_hexadecimal(user, ID) && is_hexadecimal(hash, HASH)
        }
        _ => false,
    }
}

/// Why a compile's container is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// It runs, or may.
    Running,
    /// It carries the label of a Compose project.
    OfProject,
    /// Its image is none of those that compiles of this instance use.
    OtherImage,
    /// It has not stopped for long enough.
    Recent,
}

impl Kept {
    /// The reason, as an identifier for machines.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::OfProject => "of-a-project",
            Self::OtherImage => "other-image",
            Self::Recent => "recent",
        }
    }
}

/// Why a container is left alone whatever its age, or `None`; only for names of compiles.
#[must_use]
pub fn kept(
    container: &ListedContainer,
    images: &[CompileImage],
    own_project: &str,
    any_image: bool,
) -> Option<Kept> {
    let is_over = matches!(
        container.state,
        ContainerState::Created | ContainerState::Exited { .. } | ContainerState::Broken
    );
    let label = container.labels.get(labels::PROJECT);
    if !is_over {
        Some(Kept::Running)
    } else if label.is_some_and(|project| project != own_project) {
        Some(Kept::OfProject)
    } else {
        let is_known = |image: &CompileImage| {
            image::familiar(&image.reference) == image::familiar(&container.image)
        };
        let is_foreign = !any_image && !images.iter().any(is_known);
        is_foreign.then_some(Kept::OtherImage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::load;

    fn project(variables: &str) -> Project {
        let text = format!("services: {{sharelatex: {{image: 'x:1', environment: {variables}}}}}");
        load::project(&text, "p").unwrap()
    }

    #[test]
    fn only_names_of_compiles_are_taken() {
        let (project, hash) = ("a".repeat(24), "0123456789abcdef".repeat(2));
        for name in [
            format!("project-{project}-{hash}"),
            format!("project-{project}-{project}-{hash}"),
        ] {
            assert!(is_compile(&name), "{name}");
        }
        for name in [
            format!("project-{project}"),
            format!("project-{hash}-{project}"),
            format!("my-project-{project}-{hash}"),
            format!("project-{project}-{hash}-1"),
            format!("project-{project}-{project}-{project}-{hash}"),
            format!("project-{}-{hash}", "A".repeat(24)),
            format!("project-{}-{hash}", "g".repeat(24)),
            "project-a-b".to_owned(),
            "sharelatex".to_owned(),
        ] {
            assert!(!is_compile(&name), "{name}");
        }
    }

    #[test]
    fn lists_are_read_as_the_application_reads_them() {
        let own = project(
            "{TEX_LIVE_DOCKER_IMAGE: 'q/s/t:2', ALL_TEX_LIVE_DOCKER_IMAGES: 'q/s/t:2, q/s/t:1', ALLOWED_IMAGES: 'q/s/t:1 q/s/u:1'}",
        );
        let references = |project: &Project| -> Vec<String> {
            let images = images(project).into_iter();
            images.map(|image| image.reference).collect()
        };
        assert_eq!(references(&own), ["q/s/t:2", "q/s/t:1", "q/s/u:1"]);
        assert_eq!(selectable(&own), ["q/s/t:2", "q/s/t:1"]);
        let now = |name: &str| match name {
            "ALL_TEX_LIVE_DOCKER_IMAGES" => Some("q/s/t:2 q/s/t:1"),
            "TEXLIVE_IMAGE" => Some("q/s/t:3"),
            _ => None,
        };
        assert_eq!(selectable_of(&now), ["q/s/t:2", "q/s/t:1", "q/s/t:3"]);
        let moved = project(
            "{TEX_LIVE_DOCKER_IMAGE: 'q/s/t:2', TEX_LIVE_IMAGE_NAME_OVERRIDE: 'r:5000/tex'}",
        );
        assert_eq!(references(&moved), ["r:5000/tex/t:2"]);
        assert_eq!(references(&project("{}")), Vec::<String>::new());
        assert!(!is_sandboxed(&own));
        assert!(is_sandboxed(&project("{SANDBOXED_COMPILES: 'true'}")));
    }

    #[test]
    fn what_is_not_a_stopped_compile_of_this_instance_is_kept() {
        let images = [CompileImage {
            reference: "q/s/t:2".to_owned(),
            variable: "TEX_LIVE_DOCKER_IMAGE",
        }];
        let container = |state, image: &str, label: Option<&str>| ListedContainer {
            id: "1".to_owned(),
            name: String::new(),
            image: image.to_owned(),
            image_id: String::new(),
            state,
            status: String::new(),
            created: 0,
            written: None,
            labels: label
                .map(|name| (labels::PROJECT.to_owned(), name.to_owned()))
                .into_iter()
                .collect(),
        };
        let over = ContainerState::Exited { exit_code: 0 };
        for (found, any_image, expected) in [
            (container(over, "q/s/t:2", None), false, None),
            (container(over, "q/s/t:2", Some("own")), false, None),
            (
                container(ContainerState::Created, "q/s/t:2", None),
                false,
                None,
            ),
            (
                container(over, "q/s/t:3", None),
                false,
                Some(Kept::OtherImage),
            ),
            (container(over, "q/s/t:3", None), true, None),
            (
                container(over, "q/s/t:2", Some("x")),
                true,
                Some(Kept::OfProject),
            ),
            (
                container(ContainerState::Running, "q/s/t:2", None),
                true,
                Some(Kept::Running),
            ),
            (
                container(ContainerState::Paused, "q/s/t:2", None),
                true,
                Some(Kept::Running),
            ),
        ] {
            assert_eq!(
                kept(&found, &images, "own", any_image),
                expected,
                "{found:?}"
            );
        }
    }
}
