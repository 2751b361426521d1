//! TeX Live packages and images, as text and as JSON.

use serde_json::{Value, json};

use super::words;
use crate::texlive::Derived;

/// What is known of the packages.
#[derive(Debug, Clone)]
pub struct Packages {
    /// The image with them; `None` when none are configured.
    pub derived: Option<Derived>,
    /// Whether the engine has it.
    pub is_built: bool,
    /// Whether the application's container runs it; `None` without a container.
    pub runs: Option<bool>,
    /// Year of the TeX Live, and where its packages come from; `None` where no image is here to look
    /// into.
    pub year: Option<(i32, String)>,
}

/// The packages for people.
#[must_use]
pub fn packages(found: &Packages) -> String {
    let Some(derived) = &found.derived else {
        return format!(
            "no packages: the application runs its image as it is\n{}",
            year(found)
        );
    };
    let image = match (found.is_built, found.runs) {
        (false, _) => "missing; `toolkit texlive build` makes it",
        (true, Some(true)) => "runs",
        (true, Some(false)) => "built; `toolkit up` switches to it",
        (true, None) => "built",
    };
    format!(
        "packages:    {}\nimage:       {} ({image})\nmade of:     {}\n{}",
        derived.packages.join(" "),
        derived.reference,
        derived.base,
        year(found)
    )
}

fn year(found: &Packages) -> String {
    match &found.year {
        Some((year, repository)) => format!("TeX Live:    {year}\nrepository:  {repository}\n"),
        None => String::new(),
    }
}

/// The packages for machines.
#[must_use]
pub fn packages_value(found: &Packages) -> Value {
    let derived = found.derived.as_ref();
    json!({
        "packages": derived.map(|derived| derived.packages.clone()).unwrap_or_default(),
        "image": derived.map(|derived| &derived.reference),
        "base": derived.map(|derived| &derived.base),
        "built": found.is_built,
        "runs": found.runs,
        "year": found.year.as_ref().map(|(year, _)| year),
        "repository": found.year.as_ref().map(|(_, repository)| repository),
    })
}

/// An image of sandboxed compiles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompileImage {
    /// The name under which projects know it; empty for those that name none and get the default.
    pub name: String,
    /// Whether projects may name it.
    pub is_listed: bool,
    /// Whether new projects get it.
    pub is_default: bool,
    /// Whether the engine has it.
    pub is_here: bool,
    /// How many projects name it; `None` when they were not counted.
    pub projects: Option<u64>,
}

impl CompileImage {
    /// What is wrong with it, for people.
    fn trouble(&self) -> &'static str {
        let is_used = self.projects.is_some_and(|number| number > 0);
        match (self.is_listed, self.is_here) {
            (false, _) if is_used => "not listed: its projects do not compile",
            (true, false) => "not here: `toolkit images pull --texlive`",
            (false, _) => "not listed",
            (true, true) => "",
        }
    }
}

/// The images of sandboxed compiles, for people.
#[must_use]
pub fn images(found: &[CompileImage]) -> String {
    if found.is_empty() {
        return "no image is listed\n".to_owned();
    }
    let name = |image: &CompileImage| match (image.name.as_str(), image.is_default) {
        ("", _) => "(none: the default)".to_owned(),
        (name, true) => format!("{name} (default)"),
        (name, false) => name.to_owned(),
    };
    let width = found.iter().map(|image| name(image).chars().count());
    let width = width.max().unwrap_or(0).max("IMAGE".len());
    let mut text = format!("{:width$}  PROJECTS  STATE\n", "IMAGE");
    for image in found {
        let number = image.projects.map_or("-".to_owned(), |n| n.to_string());
        let trouble = match image.name.is_empty() {
            true => "",
            false => image.trouble(),
        };
        let line = format!("{:width$}  {number:>8}  {trouble}", name(image));
        text.push_str(&format!("{}\n", line.trim_end()));
    }
    text
}

/// An image of sandboxed compiles, for machines.
#[must_use]
pub fn image_value(image: &CompileImage) -> Value {
    json!({
        "image": (!image.name.is_empty()).then_some(&image.name),
        "listed": image.is_listed,
        "default": image.is_default,
        "here": image.is_here,
        "projects": image.projects,
    })
}

/// What a change of the image of projects comes to, for people.
#[must_use]
pub fn remap(from: &str, to: &str, projects: u64) -> String {
    let number = words::count(usize::try_from(projects).unwrap_or(usize::MAX), "project");
    match projects {
        0 => format!("no project names `{from}`\n"),
        _ => format!("{number} would be changed from `{from}` to `{to}`\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_projects_from_compiling_is_said() {
        let image = |name: &str, is_listed, is_here, projects| CompileImage {
            name: name.to_owned(),
            is_listed,
            is_default: name == "q/s/t:3",
            is_here,
            projects,
        };
        let all = [
            image("", false, false, Some(4)),
            image("q/s/t:1", false, true, Some(12)),
            image("q/s/t:2", true, false, Some(0)),
            image("q/s/t:3", true, true, Some(1)),
        ];
        assert_eq!(
            images(&all),
            "\
IMAGE                PROJECTS  STATE
(none: the default)         4
q/s/t:1                    12  not listed: its projects do not compile
q/s/t:2                     0  not here: `toolkit images pull --texlive`
q/s/t:3 (default)           1
"
        );
    }
}
