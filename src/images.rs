//! Which images of the engine an instance needs, which of them can go, and what that frees. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::compiles;
use crate::compose::Project;
use crate::deployment::Deployment;
use crate::engine::stock::{ListedContainer, StoredImage};
use crate::image;
use crate::labels;
use crate::release::APPLICATION;
use crate::texlive;

/// What the names of the images of the bundled servers begin with.
const BUNDLED: &str = "toolkit-bundled/";

/// Why an image is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// A container is made of it; its name.
    Container(String),
    /// A service is configured to run it.
    Service(String),
    /// The image that a service runs is made of it.
    Base(String),
    /// A variable names it for compiles.
    Variable(String),
    /// What was last applied needs it, so that `rollback` can go back to it.
    Previous(String),
    /// It holds the bundled servers of this program.
    Program,
    /// It came from no registry, so that nothing could bring it back.
    OnlyCopy,
}

/// What an instance needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Uses by reference, as the engine lists it.
    by_reference: BTreeMap<String, BTreeSet<Use>>,
    /// Names of images, without tags, that this instance has to do with.
    repositories: BTreeSet<String>,
    /// Tag of the bundled servers of this program.
    bundled_tag: String,
}

impl Needs {
    /// What a deployment needs, and what was last applied. `names` are further images that its release
    /// may run, with or without tags.
    #[must_use]
    pub fn new(
        deployment: &Deployment,
        previous: Option<&Project>,
        names: &[String],
        bundled_tag: &str,
    ) -> Self {
        let mut needs = Self {
            bundled_tag: bundled_tag.to_owned(),
            ..Self::default()
        };
        for (name, service) in &deployment.project.services {
            needs.add(&service.image, Use::Service(name.clone()));
        }
        if let Some(derived) = &deployment.texlive {
            needs.add(&derived.base, Use::Base(derived.service.clone()));
        }
        for found in compiles::images(&deployment.project) {
            needs.add(&found.reference, Use::Variable(found.variable.to_owned()));
        }
        for (name, service) in previous.into_iter().flat_map(|project| &project.services) {
            needs.add(&service.image, Use::Previous(name.clone()));
        }
        for found in previous.into_iter().flat_map(compiles::images) {
            // What runs compiles with them until the next `up`.
            needs.add(&found.reference, Use::Previous(APPLICATION.to_owned()));
        }
        let names = names.iter().map(|name| image::repository(name));
        needs.repositories.extend(names);
        needs
    }

    fn add(&mut self, reference: &str, why: Use) {
        self.repositories.insert(image::repository(reference));
        let uses = self.by_reference.entry(key(reference));
        uses.or_default().insert(why);
    }

    fn concerns(&self, reference: &str) -> bool {
        let name = image::repository(reference);
        name.starts_with(BUNDLED)
            || name == texlive::REPOSITORY
            || self.repositories.contains(&name)
    }

    fn uses(&self, reference: &str) -> BTreeSet<Use> {
        let reference = key(reference);
        let mut uses = self
            .by_reference
            .get(&reference)
            .cloned()
            .unwrap_or_default();
        if reference.starts_with(BUNDLED) && image::tag(&reference) == Some(&*self.bundled_tag) {
            uses.insert(Use::Program);
        }
        uses
    }
}

/// What references of the same image have in common. The tag before a digest is for people: the engine
/// looks at the digest.
fn key(reference: &str) -> String {
    match reference.split_once('@') {
        Some((_, digest)) => format!("{}@{digest}", image::repository(reference)),
        None => image::familiar(reference),
    }
}

/// An image that the instance has to do with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its reference; its id where it has none any more.
    pub reference: String,
    /// Full id; `None` when the engine does not have it.
    pub id: Option<String>,
    /// Its digest in its registry; `None` for one that was made here, or is not here.
    pub digest: Option<String>,
    /// When it was built, in seconds since 1970.
    pub created: i64,
    /// Its size in bytes, with what it shares with others.
    pub size: u64,
    /// What of that it shares with other images; `None` when the engine does not say.
    pub shared: Option<u64>,
    /// How many references the image has, on the whole engine.
    pub references: usize,
    /// Why it is kept.
    pub uses: BTreeSet<Use>,
}

impl Row {
    /// Whether nothing needs it, so that it can be removed.
    #[must_use]
    pub fn can_go(&self) -> bool {
        self.id.is_some() && self.uses.is_empty()
    }

    /// Whether it can be removed when somebody asks for this very one.
    #[must_use]
    pub fn can_go_when_named(&self) -> bool {
        self.id.is_some() && self.uses.iter().all(|why| *why == Use::OnlyCopy)
    }
}

/// The images that the instance has to do with, by reference: those that the engine has, and those that
/// are needed and missing.
#[must_use]
pub fn rows(stored: &[StoredImage], containers: &[ListedContainer], needs: &Needs) -> Vec<Row> {
    let mut rows = Vec::new();
    for found in stored {
        let of_containers = of_containers(found, containers);
        for reference in own_references(found, needs) {
            let mut uses = needs.uses(&reference);
            let pinned = digest_in(found, &image::repository(&reference));
            if let Some(pinned) = &pinned {
                uses.extend(needs.uses(pinned));
            }
            uses.extend(of_containers.iter().cloned());
            if uses.is_empty() && found.digests.is_empty() && !is_ours(found) {
                uses.insert(Use::OnlyCopy);
            }
            let digest = pinned.and_then(|name| Some(name.split_once('@')?.1.to_owned()));
            rows.push(Row {
                reference,
                id: Some(found.id.clone()),
                digest,
                created: found.created,
                size: found.size,
                shared: found.shared,
                references: found.references.len().max(1),
                uses,
            });
        }
    }
    let is_here = |reference: &str| {
        stored.iter().any(|found| {
            let mut names = found.references.iter().chain(&found.digests);
            names.any(|name| key(name) == reference)
        })
    };
    for (reference, uses) in &needs.by_reference {
        let only_before = uses.iter().all(|why| matches!(why, Use::Previous(_)));
        if !only_before && !is_here(reference) {
            rows.push(Row {
                reference: reference.clone(),
                id: None,
                digest: None,
                created: 0,
                size: 0,
                shared: None,
                references: 0,
                uses: uses.clone(),
            });
        }
    }
    rows.sort_by(|a, b| a.reference.cmp(&b.reference));
    rows
}

/// The references of an image that this instance has to do with. One that lost its last is named by its
/// digest or its id.
fn own_references(found: &StoredImage, needs: &Needs) -> Vec<String> {
    let named = found.references.iter();
    let own: Vec<String> = named
        .filter(|reference| needs.concerns(reference))
        .cloned()
        .collect();
    if !found.references.is_empty() {
        return own;
    }
    let mut digests = found.digests.iter();
    if let Some(digest) = digests.find(|digest| needs.concerns(digest)) {
        return vec![digest.clone()];
    }
    let is_nameless = found.digests.is_empty();
    let nameless = (is_ours(found) && is_nameless).then(|| found.id.clone());
    nameless.into_iter().collect()
}

/// Whether this program made an image, and can make it again.
fn is_ours(found: &StoredImage) -> bool {
    let mut labels = [labels::BUNDLED, labels::TEXLIVE].into_iter();
    labels.any(|label| found.labels.contains_key(label))
}

fn digest_in(found: &StoredImage, repository: &str) -> Option<String> {
    let mut digests = found.digests.iter();
    let digest = digests.find(|digest| image::repository(digest) == repository)?;
    Some(image::familiar(digest))
}

fn of_containers(found: &StoredImage, containers: &[ListedContainer]) -> Vec<Use> {
    let is_of = |container: &&ListedContainer| {
        // An engine may show the id of one platform of an image; its name then tells.
        let by_name = found
            .references
            .iter()
            .any(|reference| image::familiar(reference) == image::familiar(&container.image));
        container.image_id == found.id || by_name
    };
    let users = containers.iter().filter(is_of);
    users
        .map(|container| Use::Container(container.name.clone()))
        .collect()
}

/// Bytes between two bounds: layers that images share are there once, and an engine tells of each image
/// only how much it shares, not with which.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bytes {
    /// So many at least.
    pub at_least: u64,
    /// So many at most.
    pub at_most: u64,
}

impl std::ops::AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        self.at_least += other.at_least;
        self.at_most += other.at_most;
    }
}

/// What the removal of these rows frees. A reference of an image that keeps another one frees nothing.
#[must_use]
pub fn freed(rows: &[&Row]) -> Bytes {
    let mut by_id: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        if let Some(id) = &row.id {
            by_id.entry(id).or_default().push(row);
        }
    }
    by_id.retain(|_, rows| rows.first().is_some_and(|row| rows.len() >= row.references));
    let images: Vec<&Row> = by_id
        .values()
        .filter_map(|rows| rows.first())
        .copied()
        .collect();
    let own = |row: &Row| row.shared.map(|shared| row.size.saturating_sub(shared));
    let at_least = images.iter().filter_map(|row| own(row)).sum();
    let at_most = match images.as_slice() {
        [only] => own(only).unwrap_or(only.size),
        all => all.iter().map(|row| row.size).sum(),
    };
    Bytes { at_least, at_most }
}

/// What all rows together take: what they share is there once at least. Nothing is known of the least
/// where an engine does not tell what they share.
#[must_use]
pub fn taken(rows: &[Row]) -> Bytes {
    let mut images: BTreeMap<&str, &Row> = BTreeMap::new();
    for row in rows {
        if let Some(id) = &row.id {
            images.insert(id, row);
        }
    }
    let at_most = images.values().map(|row| row.size).sum();
    let own = |row: &&Row| Some(row.size.saturating_sub(row.shared?));
    let own: Option<u64> = images.values().map(own).sum();
    let shared = images.values().filter_map(|row| row.shared).max();
    let at_least = match (own, images.len()) {
        (Some(own), _) => own + shared.unwrap_or(0),
        (None, 1) => at_most,
        (None, _) => 0,
    };
    Bytes { at_least, at_most }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::testing::deployment;
    use crate::observed::ContainerState;

    fn stored(id: &str, references: &[&str], size: u64, shared: Option<u64>) -> StoredImage {
        StoredImage {
            id: id.to_owned(),
            references: references.iter().map(ToString::to_string).collect(),
            digests: references.iter().map(|name| pulled(name)).collect(),
            size,
            shared,
            ..StoredImage::default()
        }
    }

    fn pulled(reference: &str) -> String {
        format!("{}@sha256:0", image::repository(reference))
    }

    fn container(name: &str, image: &str, image_id: &str) -> ListedContainer {
        ListedContainer {
            id: name.to_owned(),
            name: name.to_owned(),
            image: image.to_owned(),
            image_id: image_id.to_owned(),
            state: ContainerState::Exited { exit_code: 0 },
            status: String::new(),
            created: 0,
            written: None,
            labels: BTreeMap::new(),
        }
    }

    fn needs() -> Needs {
        let variables = "SANDBOXED_COMPILES=true\nTEX_LIVE_DOCKER_IMAGE=q/s/texlive:2\n";
        let now = deployment("EDITION=cep\n", variables, "6.2.2-ext-v5.0");
        let before = deployment("EDITION=cep\n", "", "6.1.2-ext-v4.1");
        Needs::new(
            &now,
            Some(&before.project),
            &["own/bridge".to_owned()],
            "now",
        )
    }

    fn shown(rows: &[Row]) -> Vec<(String, bool, bool)> {
        let rows = rows.iter();
        rows.map(|row| (row.reference.clone(), row.id.is_some(), row.can_go()))
            .collect()
    }

    #[test]
    fn only_what_the_instance_names_is_listed_and_only_what_nothing_needs_can_go() {
        let images = [
            stored("1", &["mongo:8.0", "mongo:8"], 10, None),
            stored("2", &["mongo:7.0"], 10, None),
            stored("3", &["mongo:6.0"], 10, None),
            stored("4", &["postgres:1", "redis:6"], 10, None),
            stored("5", &["overleafcep/sharelatex:6.1.2-ext-v4.1"], 10, None),
            stored("6", &["overleafcep/sharelatex:6.0.1-ext-v3.3"], 10, None),
            stored("7", &["q/s/texlive:1"], 10, None),
            stored(
                "8",
                &["toolkit-bundled/mongo:now", "toolkit-bundled/mongo:old"],
                10,
                None,
            ),
            stored("9", &["own/bridge:1"], 10, None),
        ];
        let containers = [
            container("a", "mongo:7.0", "2"),
            container("b", "sha256:3", "3"),
        ];
        let found = rows(&images, &containers, &needs());
        let row = |reference: &str, is_here, can_go| (reference.to_owned(), is_here, can_go);
        assert_eq!(
            shown(&found),
            [
                row("mongo:6.0", true, false),
                row("mongo:7.0", true, false),
                row("mongo:8", true, true),
                row("mongo:8.0", true, false),
                row("overleafcep/sharelatex:6.0.1-ext-v3.3", true, true),
                row("overleafcep/sharelatex:6.1.2-ext-v4.1", true, false),
                row("overleafcep/sharelatex:6.2.2-ext-v5.0", false, false),
                row("own/bridge:1", true, true),
                row("q/s/texlive:1", true, true),
                row("q/s/texlive:2", false, false),
                row("redis:6", true, true),
                row("redis:7.4", false, false),
                row("toolkit-bundled/mongo:now", true, false),
                row("toolkit-bundled/mongo:old", true, true),
            ]
        );
    }

    #[test]
    fn what_came_from_no_registry_goes_only_when_it_is_named() {
        let mut built = stored("1", &["own/bridge:1"], 10, None);
        built.digests.clear();
        let mut ours = stored("2", &["toolkit-bundled/mongo:old"], 10, None);
        ours.digests.clear();
        ours.labels = [(labels::BUNDLED.to_owned(), "true".to_owned())].into();
        let found = rows(&[built, ours], &[], &needs());
        let here = found.iter().filter(|row| row.id.is_some());
        let here: Vec<_> = here
            .map(|row| (&*row.reference, row.can_go(), row.can_go_when_named()))
            .collect();
        assert_eq!(
            here,
            [
                ("own/bridge:1", false, true),
                ("toolkit-bundled/mongo:old", true, true)
            ]
        );
    }

    #[test]
    fn an_image_without_a_name_is_known_by_its_digest_or_its_label() {
        let mut moved = stored("1", &[], 5, None);
        moved.digests = vec!["mongo@sha256:ab".to_owned()];
        let mut foreign = stored("2", &[], 5, None);
        foreign.digests = vec!["postgres@sha256:ab".to_owned()];
        let mut built = stored("sha256:3", &[], 5, None);
        built.labels = [(labels::TEXLIVE.to_owned(), "a".to_owned())].into();
        let nameless = stored("4", &[], 5, None);
        let found = rows(&[moved, foreign, built, nameless], &[], &needs());
        let here = found.iter().filter(|row| row.id.is_some());
        let here: Vec<&str> = here.map(|row| row.reference.as_str()).collect();
        assert_eq!(here, ["mongo@sha256:ab", "sha256:3"]);
    }

    #[test]
    fn an_image_that_is_pinned_by_digest_is_needed() {
        let mut pinned = stored("1", &["mongo:8.0"], 5, None);
        pinned.digests = vec!["mongo@sha256:ab".to_owned()];
        let rc = "MONGO_DOCKER_IMAGE=mongo:8.0.4@sha256:ab\n";
        let needs = Needs::new(&deployment(rc, "", "6.2.2"), None, &[], "now");
        let found = rows(&[pinned], &[], &needs);
        let mongo = found
            .iter()
            .filter(|row| row.reference.starts_with("mongo"));
        let mongo: Vec<_> = mongo.map(|row| (&*row.reference, row.can_go())).collect();
        assert_eq!(mongo, [("mongo:8.0", false)]);
    }

    #[test]
    fn shared_layers_are_not_counted_twice() {
        let row = |id: &str, size, shared, references| Row {
            reference: format!("x:{id}"),
            id: Some(id.to_owned()),
            digest: None,
            created: 0,
            size,
            shared,
            references,
            uses: BTreeSet::new(),
        };
        let bytes = |at_least, at_most| Bytes { at_least, at_most };
        let (a, b) = (row("a", 10, Some(4), 1), row("b", 8, Some(4), 1));
        assert_eq!(freed(&[&a]), bytes(6, 6));
        assert_eq!(freed(&[&a, &b]), bytes(10, 18));
        assert_eq!(freed(&[&a, &a]), bytes(6, 6));
        assert_eq!(freed(&[&row("c", 9, None, 1)]), bytes(0, 9));
        assert_eq!(freed(&[&row("d", 9, Some(0), 2)]), bytes(0, 0));
        assert_eq!(freed(&[]), Bytes::default());
        let unknown = row("c", 9, None, 1);
        assert_eq!(taken(&[a.clone(), a.clone(), b]), bytes(14, 18));
        assert_eq!(taken(&[a, unknown.clone()]), bytes(0, 19));
        assert_eq!(taken(&[unknown]), bytes(9, 9));
    }
}
