//! Loads the files of a project: each is read, expanded and merged onto those before it; then short
//! forms become long ones, and what the specification implies is added.
//!
//! The rules are those of Docker Compose 2.40 (`docker compose config`).

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::complete::Completion;
use super::extend::Extension;
use super::interpolate::{Expansion, LookUp};
use super::long::Converter;
use super::node::{Map, Mark, Node, NodeKind};
use super::paths::Base;
use super::spec::{self, Shape};
use super::{Place, Problem, Project, merge, model, yaml};

/// A file of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path, for messages.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// Whether `$` in it is an ordinary character.
    pub is_literal: bool,
}

/// Reads the text of a file.
pub type Read<'a> = dyn Fn(&Path) -> io::Result<String> + 'a;

/// Reads the text of a file of variables: the text, its path, a look-up of variables. The names
/// come in order; one without a value is to be looked up.
pub type ReadVariables<'a> =
    dyn Fn(&str, &Path, &LookUp<'_>) -> Result<Vec<(String, Option<String>)>, String> + 'a;

/// What is loaded, and what loading needs to know.
pub struct Request<'a> {
    /// Name of the project.
    pub name: &'a str,
    /// Whether that name is given; otherwise the last `name:` of the files counts.
    pub is_named: bool,
    /// Folder at which relative paths start.
    pub folder: &'a Path,
    /// The files, each changing those before it.
    pub files: &'a [File],
    /// Variables for `$NAME`.
    pub variables: &'a LookUp<'a>,
    /// Active profiles; `*` stands for all.
    pub profiles: &'a [String],
    /// The user's home, for `~`.
    pub home: Option<&'a str>,
    /// Reads files that the definition names.
    pub read: &'a Read<'a>,
    /// Reads the grammar of files of variables.
    pub read_variables: &'a ReadVariables<'a>,
}

/// A project with what was odd about its files.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The project.
    pub project: Project,
    /// What was odd.
    pub warnings: Vec<Finding>,
    /// The services that no active profile brings, with their profiles.
    pub inactive: BTreeMap<String, Vec<String>>,
}

/// Something about a file, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What.
    pub text: String,
}

/// Why the files cannot be used: every problem found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError(pub Vec<Finding>);

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, finding) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            if finding.place.line > 0 {
                write!(f, "{}: ", finding.place)?;
            }
            f.write_str(&finding.text)?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

/// What went wrong while files are read and merged.
#[derive(Debug)]
pub(super) enum Failure {
    Problems(Vec<Problem>),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problems(vec![problem])
    }
}

impl From<yaml::YamlError> for Failure {
    fn from(error: yaml::YamlError) -> Self {
        Problem::new("", error.mark, &error.text).into()
    }
}

/// Loads one definition that names no variables and no other files.
///
/// # Errors
/// See [`LoadError`].
pub fn project(text: &str, name: &str) -> Result<Project, LoadError> {
    let file = File {
        path: PathBuf::from("compose.yaml"),
        text: text.to_owned(),
        is_literal: true,
    };
    let request = Request {
        name,
        is_named: true,
        folder: Path::new("/"),
        files: &[file],
        variables: &|_| None,
        profiles: &[],
        home: None,
        read: &|_| Err(io::ErrorKind::NotFound.into()),
        read_variables: &|_, _, _| Ok(Vec::new()),
    };
    load(&request).map(|loaded| loaded.project)
}

/// Loads the files of a project.
///
/// # Errors
/// See [`LoadError`].
pub fn load(request: &Request<'_>) -> Result<Loaded, LoadError> {
    let mut loader = Loader {
        request,
        files: Vec::new(),
        trail: Vec::new(),
        warnings: Vec::new(),
        inactive: BTreeMap::new(),
    };
    let project = match loader.project() {
        Ok(project) => project,
        Err(Failure::Problems(problems)) => {
            return Err(LoadError(loader.findings(problems)));
        }
    };
    let warnings = std::mem::take(&mut loader.warnings);
    Ok(Loaded {
        project,
        warnings: loader.findings(warnings),
        inactive: loader.inactive,
    })
}

/// The state of one load.
pub(super) struct Loader<'a> {
    pub(super) request: &'a Request<'a>,
    /// Every file that was read; marks point into this list.
    pub(super) files: Vec<PathBuf>,
    /// The included files that are being read, each included by the one before.
    pub(super) trail: Vec<String>,
    pub(super) warnings: Vec<Problem>,
    inactive: BTreeMap<String, Vec<String>>,
}

impl Loader<'_> {
    fn findings(&self, mut problems: Vec<Problem>) -> Vec<Finding> {
        problems.sort_by_key(|problem| problem.mark);
        problems.dedup();
        problems
            .into_iter()
            .map(|problem| Finding {
                place: self.place(problem.mark),
                text: if problem.path.is_empty() {
                    problem.text
                } else {
                    format!("`{}` {}", problem.path, problem.text)
                },
            })
            .collect()
    }

    fn place(&self, mark: Mark) -> Place {
        Place {
            file: self.files.get(mark.file).cloned().unwrap_or_default(),
            line: mark.line,
            column: mark.column,
        }
    }

    fn project(&mut self) -> Result<Project, Failure> {
        let base = Base {
            folder: self.request.folder,
            home: self.request.home,
        };
        let mut root = Node::new(NodeKind::Map(Map::new()));
        for file in self.request.files {
            for document in self.documents(file, self.request.variables, base)? {
                merge::onto(&mut root, document, Shape::Object(&spec::FILE))?;
            }
        }
        let name = self.name(&root);
        let root = self.long_form(&root)?;
        let mut completion = Completion::new(self.request, &name, root);
        completion.run(base);
        self.warnings.append(&mut completion.warnings);
        self.inactive = std::mem::take(&mut completion.inactive);
        if !completion.problems.is_empty() {
            return Err(Failure::Problems(completion.problems));
        }
        let mut project = model::project(&name, &completion.root);
        self.note_places(&completion.root, &mut project);
        Ok(project)
    }

    /// The name of the project. One that stands in a file is made lower-case, and what a name cannot
    /// hold is left out.
    fn name(&self, root: &Node) -> String {
        let given = self.request.name.to_owned();
        let Some(text) = root.get("name").and_then(Node::text) else {
            return given;
        };
        if self.request.is_named {
            return given;
        }
        let lower = text.to_ascii_lowercase();
        let kept: String = lower
            .chars()
            .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
            .collect();
        let kept = kept.trim_start_matches(['-', '_']);
        if kept.is_empty() {
            given
        } else {
            kept.to_owned()
        }
    }

    /// The documents of a file, expanded, with `extends` and `include` carried out.
    pub(super) fn documents(
        &mut self,
        file: &File,
        variables: &LookUp<'_>,
        base: Base<'_>,
    ) -> Result<Vec<Node>, Failure> {
        let mut documents = Vec::new();
        for document in self.expanded(file, variables)? {
            let mut extension = Extension {
                loader: self,
                variables,
                base,
                place: &file.path,
            };
            let (included, document) = extension.carry_out(document)?;
            documents.extend(included);
            documents.push(document);
        }
        Ok(documents)
    }

    /// The documents of a file, expanded.
    pub(super) fn expanded(
        &mut self,
        file: &File,
        variables: &LookUp<'_>,
    ) -> Result<Vec<Node>, Failure> {
        let number = self.files.len();
        self.files.push(file.path.clone());
        let mut documents = Vec::new();
        for mut document in yaml::documents(&file.text, number)? {
            if document.map().is_none() {
                let text = format!(
                    "must be a mapping such as `services:`, not {}",
                    document.describe()
                );
                return Err(Problem::new("the file", document.mark, &text).into());
            }
            if !file.is_literal {
                let mut expansion = Expansion {
                    look_up: variables,
                    problems: Vec::new(),
                    warnings: Vec::new(),
                };
                expansion.expand(&mut document, Shape::Object(&spec::FILE), "");
                self.warnings.append(&mut expansion.warnings);
                if !expansion.problems.is_empty() {
                    return Err(Failure::Problems(expansion.problems));
                }
            }
            if let Some(services) = document.get("services")
                && services.tag.is_none()
                && services.map().is_none()
            {
                let text = format!("must be a mapping of services, not {}", services.describe());
                return Err(Problem::new("services", services.mark, &text).into());
            }
            documents.push(document);
        }
        Ok(documents)
    }

    /// Checks a tree and gives its long form.
    pub(super) fn long_form(&mut self, root: &Node) -> Result<Node, Failure> {
        let mut converter = Converter::default();
        let mark = root.mark;
        let mut long = Map::new();
        for (key, value) in root.map().into_iter().flatten() {
            let (key, value) = (key.clone(), value.clone());
            let converted = match key.as_str() {
                "services" => converter.named(value, &spec::SERVICE, &key),
                "networks" => converter.named(nulls_as_maps(value), &spec::NETWORK, &key),
                "volumes" => converter.named(nulls_as_maps(value), &spec::VOLUME, &key),
                "secrets" => converter.named(value, &spec::SECRET, &key),
                "configs" => converter.named(value, &spec::CONFIG, &key),
                _ if key.starts_with("x-") => value,
                "name" | "version" => {
                    converter.convert(value, Shape::Text, &key);
                    continue;
                }
                "models" => continue,
                _ => {
                    let node = Node::at(NodeKind::Map(Map::from([(key.clone(), value)])), mark);
                    converter.object(node, &spec::FILE, "");
                    continue;
                }
            };
            long.insert(key, converted);
        }
        self.warnings.append(&mut converter.warnings);
        if !converter.problems.is_empty() {
            return Err(Failure::Problems(converter.problems));
        }
        let mut root = Node::at(NodeKind::Map(long), mark);
        // Long forms can show that two entries mean the same: a port inside a range, a link.
        merge::fold(&mut root, Shape::Object(&spec::FILE));
        Ok(root)
    }

    /// Remembers where the keys stand that files after the first set.
    fn note_places(&self, root: &Node, project: &mut Project) {
        for section in ["services", "networks", "volumes", "secrets", "configs"] {
            let entries = root.get(section).and_then(Node::map).into_iter().flatten();
            for (name, node) in entries {
                let path = format!("{section}.{name}");
                self.note(&path, node, project, 2);
            }
        }
    }

    fn note(&self, path: &str, node: &Node, project: &mut Project, depth: usize) {
        if node.mark.file > 0 && node.mark.line > 0 {
            project
                .places
                .insert(path.to_owned(), self.place(node.mark));
        }
        if depth == 0 {
            return;
        }
        match &node.kind {
            NodeKind::Map(map) => {
                for (key, value) in map {
                    self.note(&format!("{path}.{key}"), value, project, depth - 1);
                }
            }
            NodeKind::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.note(&format!("{path}[{at}]"), item, project, depth - 1);
                }
            }
            _ => {}
        }
    }
}

/// `volumes: {data: }` declares a volume with defaults.
fn nulls_as_maps(mut node: Node) -> Node {
    let entries = node.map_mut().into_iter().flat_map(|map| map.values_mut());
    for value in entries.filter(|value| value.is_null()) {
        value.kind = NodeKind::Map(Map::new());
    }
    node
}
