//! `extends`: a service that starts from another one. `include`: a file that joins in as a project
//! of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Problem;
use super::interpolate::LookUp;
use super::load::{Failure, File, Loader};
use super::merge;
use super::node::{Map, Mark, Node, NodeKind};
use super::paths::Base;
use super::spec::{self, Shape};

/// Carries out `extends` and `include` of one document.
pub(super) struct Extension<'l, 'r, 'v> {
    pub(super) loader: &'l mut Loader<'r>,
    pub(super) variables: &'v LookUp<'v>,
    pub(super) base: Base<'v>,
    /// The file whose services these are.
    pub(super) place: &'v Path,
}

/// How many files may include each other.
const DEEPEST: usize = 20;

/// How many services may extend each other.
const LONGEST: usize = 100;

/// How many files one project may read: files that include others twice multiply.
const MOST_FILES: usize = 10_000;

/// Services that extend each other, by file and name.
type Seen = BTreeSet<(PathBuf, String)>;

impl Extension<'_, '_, '_> {
    /// The documents that are included, which the document changes, and the document itself.
    pub(super) fn carry_out(&mut self, mut document: Node) -> Result<(Vec<Node>, Node), Failure> {
        let mut included = Vec::new();
        if let Some(include) = document.map_mut().and_then(|map| map.remove("include")) {
            let Some(entries) = include.list() else {
                let text = format!("is {}, but must be a list of files", include.describe());
                return Err(Problem::new("include", include.mark, &text).into());
            };
            for entry in entries {
                included.push(self.included(entry)?);
            }
            conflicts(&included, &document)?;
        }
        let services = document.get("services").and_then(Node::map).cloned();
        let Some(services) = services else {
            return Ok((included, document));
        };
        let mut extended = Map::new();
        for (name, service) in &services {
            let mut seen = Seen::from([(self.place.to_owned(), name.clone())]);
            let service = self.extended(name, service.clone(), &services, &mut seen)?;
            extended.insert(name.clone(), service);
        }
        if let Some(slot) = document.map_mut().and_then(|map| map.get_mut("services")) {
            slot.kind = NodeKind::Map(extended);
        }
        Ok((included, document))
    }

    fn extended(
        &mut self,
        name: &str,
        mut service: Node,
        services: &Map,
        seen: &mut Seen,
    ) -> Result<Node, Failure> {
        let Some(extends) = service.map_mut().and_then(|map| map.remove("extends")) else {
            return Ok(service);
        };
        let path = format!("services.{name}.extends");
        let of = |key: &str| extends.get(key).and_then(Node::printed);
        let (target, file) = match extends.text() {
            Some(target) => (target.to_owned(), None),
            None => match of("service") {
                Some(target) => (target, of("file")),
                None => {
                    let text = "must be the name of a service, or `service` and `file`";
                    return Err(Problem::new(&path, extends.mark, text).into());
                }
            },
        };
        let place = match &file {
            Some(file) => self.base.absolute(file).into(),
            None => self.place.to_owned(),
        };
        if !seen.insert((place, target.clone())) {
            let text = format!("comes back to itself through `{target}`");
            return Err(Problem::new(&path, extends.mark, &text).into());
        }
        if seen.len() > LONGEST {
            let text = "goes too deep: too many services extend each other";
            return Err(Problem::new(&path, extends.mark, text).into());
        }
        let mut start = match file {
            Some(file) => self.service_of_file(&file, &target, &path, extends.mark, seen)?,
            None => {
                let found = services.get(&target).cloned();
                let found = found.ok_or_else(|| unknown(&target, &path, extends.mark))?;
                self.extended(&target, found, services, seen)?
            }
        };
        let mark = service.mark;
        merge::onto(&mut start, service, Shape::Object(&spec::SERVICE))?;
        start.mark = mark;
        Ok(start)
    }

    /// A service of another file, its paths made absolute from that file's folder.
    fn service_of_file(
        &mut self,
        file: &str,
        target: &str,
        path: &str,
        mark: Mark,
        seen: &mut Seen,
    ) -> Result<Node, Failure> {
        let place = self.base.absolute(file);
        let folder = Path::new(&place).parent().unwrap_or(Path::new("/"));
        let base = Base {
            folder,
            home: self.base.home,
        };
        let file = self.file(&place, path, mark)?;
        let mut root = Node::at(NodeKind::Map(Map::new()), mark);
        // Of that file only this service counts: what others extend, and what it includes, does not.
        for mut document in self.loader.expanded(&file, self.variables)? {
            document.map_mut().and_then(|map| map.remove("include"));
            merge::onto(&mut root, document, Shape::Object(&spec::FILE))?;
        }
        let services = root.get("services").and_then(Node::map).cloned();
        let services = services.unwrap_or_default();
        let found = services.get(target).cloned();
        let found = found.ok_or_else(|| unknown(target, path, mark))?;
        let mut inner = Extension {
            loader: self.loader,
            variables: self.variables,
            base,
            place: &file.path,
        };
        let found = inner.extended(target, found, &services, seen)?;
        let only = Map::from([(target.to_owned(), found)]);
        let services = Node::at(NodeKind::Map(only), mark);
        let root = Node::at(
            NodeKind::Map(Map::from([("services".to_owned(), services)])),
            mark,
        );
        let mut root = self.loader.long_form(&root)?;
        let service = root
            .map_mut()
            .and_then(|map| map.get_mut("services"))
            .and_then(Node::map_mut)
            .and_then(|map| map.remove(target));
        let mut service = service.ok_or_else(|| unknown(target, path, mark))?;
        base.service(&mut service);
        Ok(service)
    }

    /// A file that the key at `path` names.
    fn file(&self, place: &str, path: &str, mark: Mark) -> Result<File, Failure> {
        if self.loader.files.len() > MOST_FILES {
            let text = "reads too many files";
            return Err(Problem::new(path, mark, text).into());
        }
        let text = (self.loader.request.read)(Path::new(place)).map_err(|error| {
            let text = format!("names the file `{place}`, which cannot be read: {error}");
            Failure::from(Problem::new(path, mark, &text))
        })?;
        Ok(File {
            path: place.into(),
            text,
            is_literal: false,
        })
    }

    /// An included file with its documents merged.
    fn read(&mut self, place: &str, base: Base<'_>, mark: Mark) -> Result<Node, Failure> {
        let refuse = |text: &str| Failure::from(Problem::new("include", mark, text));
        if self.loader.trail.iter().any(|open| open == place) {
            return Err(refuse(&format!(
                "comes back to `{place}`, which includes this file"
            )));
        }
        if self.loader.trail.len() >= DEEPEST {
            return Err(refuse("goes too deep: too many files include each other"));
        }
        let file = self.file(place, "include", mark)?;
        self.loader.trail.push(place.to_owned());
        let mut root = Node::at(NodeKind::Map(Map::new()), mark);
        for document in self.loader.documents(&file, self.variables, base)? {
            merge::onto(&mut root, document, Shape::Object(&spec::FILE))?;
        }
        self.loader.trail.pop();
        Ok(root)
    }

    fn included(&mut self, entry: &Node) -> Result<Node, Failure> {
        let mark = entry.mark;
        let texts = |key: &str| -> Vec<String> {
            let node = entry.get(key);
            let list = node.and_then(Node::list).unwrap_or_default().iter();
            let single = node.and_then(Node::printed).into_iter();
            list.filter_map(Node::printed).chain(single).collect()
        };
        let paths = match entry.text() {
            Some(path) => vec![path.to_owned()],
            None => texts("path"),
        };
        let Some(first) = paths.first() else {
            let text = "must name a file, or hold `path`";
            return Err(Problem::new("include", mark, text).into());
        };
        let first = self.base.absolute(first);
        let folder = entry
            .get("project_directory")
            .and_then(Node::text)
            .map_or_else(
                || {
                    let parent = Path::new(&first).parent();
                    parent.map_or_else(String::new, |parent| parent.display().to_string())
                },
                |folder| self.base.absolute(folder),
            );
        let env_files = match texts("env_file") {
            files if files.is_empty() => vec![(format!("{folder}/.env"), false)],
            files => files
                .iter()
                .map(|file| (self.base.absolute(file), true))
                .collect(),
        };
        let own = self.variables_of(&env_files, mark)?;
        let outer = self.variables;
        let look_up = |name: &str| outer(name).or_else(|| own.get(name).cloned());
        let base = Base {
            folder: Path::new(&folder),
            home: self.base.home,
        };
        let mut inner = Extension {
            loader: self.loader,
            variables: &look_up,
            base,
            place: self.place,
        };
        let mut root = Node::at(NodeKind::Map(Map::new()), mark);
        for path in &paths {
            let place = self.base.absolute(path);
            let document = inner.read(&place, base, mark)?;
            merge::onto(&mut root, document, Shape::Object(&spec::FILE))?;
        }
        let mut root = inner.loader.long_form(&root)?;
        let services = root.map_mut().and_then(|map| map.get_mut("services"));
        let services = services.and_then(Node::map_mut);
        for service in services.into_iter().flat_map(|map| map.values_mut()) {
            base.service(service);
        }
        base.sections(&mut root);
        Ok(root)
    }

    fn variables_of(
        &self,
        files: &[(String, bool)],
        mark: Mark,
    ) -> Result<std::collections::BTreeMap<String, String>, Failure> {
        let mut own = std::collections::BTreeMap::new();
        for (file, is_required) in files {
            let refuse = |text: String| Failure::from(Problem::new("include", mark, &text));
            let text = match (self.loader.request.read)(Path::new(file)) {
                Ok(text) => text,
                Err(_) if !is_required => continue,
                Err(error) => {
                    return Err(refuse(format!(
                        "names `{file}`, which cannot be read: {error}"
                    )));
                }
            };
            let read = (self.loader.request.read_variables)(&text, Path::new(file), self.variables);
            let entries = read.map_err(refuse)?;
            own.extend(
                entries
                    .into_iter()
                    .filter_map(|(name, value)| value.map(|value| (name, value))),
            );
        }
        Ok(own)
    }
}

fn unknown(target: &str, path: &str, mark: Mark) -> Failure {
    let text = format!("names the service `{target}`, which the file does not define");
    Problem::new(path, mark, &text).into()
}

/// What is included may not define what the including file defines too.
fn conflicts(included: &[Node], document: &Node) -> Result<(), Failure> {
    for section in ["services", "networks", "volumes", "secrets", "configs"] {
        let own = document.get(section).and_then(Node::map);
        for root in included {
            let theirs = root.get(section).and_then(Node::map);
            let same = theirs
                .into_iter()
                .flat_map(Map::keys)
                .find(|name| own.is_some_and(|own| own.contains_key(*name)));
            if let Some(name) = same {
                let mark = own
                    .and_then(|own| own.get(name))
                    .map_or(document.mark, |node| node.mark);
                let text = "is defined in an included file as well";
                return Err(Problem::new(&format!("{section}.{name}"), mark, text).into());
            }
        }
    }
    Ok(())
}
