//! Overleaf releases and editions: what each release needs and which images an edition runs.
//!
//! The facts are rows of `lib/releases.toml`; a new release needs no code. Knows nothing of an
//! installation, of files or of Docker.

mod version;
pub mod way;

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use serde::Deserialize;
use thiserror::Error;

pub use version::{Version, VersionError};

/// The service of the application, in every edition and release.
pub const APPLICATION: &str = "sharelatex";

/// The database of the application where its URL names none.
pub const DATABASE: &str = "sharelatex";

const RELEASES_TOML: &str = include_str!("../lib/releases.toml");

/// Which Overleaf an instance runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Edition {
    /// Community Edition.
    Community,
    /// Server Pro.
    ServerPro,
    /// CEP, the community's extended edition.
    Extended,
}

impl Edition {
    /// The word used in `EDITION` and in the data files.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Community => "ce",
            Self::ServerPro => "pro",
            Self::Extended => "cep",
        }
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Community => "Community Edition",
            Self::ServerPro => "Server Pro",
            Self::Extended => "CEP",
        })
    }
}

/// The text is not one of `ce`, `pro`, `cep`.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not an edition; use `ce`, `pro` or `cep`")]
pub struct EditionError(pub String);

impl FromStr for Edition {
    type Err = EditionError;

    fn from_str(text: &str) -> Result<Self, EditionError> {
        match text {
            "ce" => Ok(Self::Community),
            "pro" => Ok(Self::ServerPro),
            "cep" => Ok(Self::Extended),
            other => Err(EditionError(other.to_owned())),
        }
    }
}

/// What one release needs, as `lib/releases.toml` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The release.
    pub version: Version,
    /// Why it was withdrawn, if it was.
    pub retracted: Option<String>,
    /// Why an upgrade that would pass it has to halt on it, if it has to.
    pub stop: Option<String>,
    /// Variables without which it refuses to start.
    pub needs: Vec<String>,
    /// Lowest MongoDB server that works.
    oldest_mongo: Option<String>,
    /// Lowest feature compatibility version of MongoDB that works.
    oldest_compatibility: Option<String>,
    /// Recommended Redis server.
    redis: Option<String>,
}

/// Which MongoDB servers go with a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MongoServers<'a> {
    /// The lowest that works.
    pub oldest: &'a str,
    /// The highest that is known to work, where that is known.
    pub newest: Option<&'a str>,
    /// The lowest feature compatibility version that works, where that is known.
    pub oldest_compatibility: Option<&'a str>,
}

/// What changed inside the container at a release and holds from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Era {
    /// Prefix of the variables: `SHARELATEX` or `OVERLEAF`.
    pub brand: String,
    /// Data folder in the `sharelatex` container.
    pub data: String,
    /// Log folder in the `sharelatex` container.
    pub log: String,
    /// Where git-bridge finds the application's internal API.
    pub git_bridge_api: String,
    /// Whether the application needs mongo to be a replica set.
    pub needs_replica_set: bool,
}

/// Image names of an edition, without tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditionImages {
    /// The application.
    pub sharelatex: String,
    /// The git integration; not every edition has one.
    pub git_bridge: Option<String>,
}

/// All that is known about releases.
#[derive(Debug, Clone)]
pub struct Catalogue {
    releases: Vec<Release>,
    eras: Vec<(Version, Era)>,
    images: Vec<(Edition, EditionImages)>,
    newest_mongo: Vec<(Version, String)>,
}

/// The shipped catalogue does not hold together. A test loads it, so no user sees this.
#[derive(Debug, Error)]
pub enum CatalogueError {
    /// The file is not the TOML that is expected.
    #[error("`lib/releases.toml` does not have the expected form")]
    Form(#[from] toml::de::Error),
    /// A version in the file is not a version.
    #[error("`lib/releases.toml` has a bad version")]
    Version(#[from] VersionError),
    /// An edition in the file is not an edition.
    #[error("`lib/releases.toml` has a bad edition")]
    Edition(#[from] EditionError),
    /// The file lacks the rows for something.
    #[error("`lib/releases.toml` has no {what}")]
    Missing {
        /// What is not there.
        what: String,
    },
}

impl Catalogue {
    /// All releases that are known, in the order of the file.
    #[must_use]
    pub fn releases(&self) -> &[Release] {
        &self.releases
    }

    /// Loads the catalogue that the program carries; it is read once.
    ///
    /// # Errors
    /// The embedded file is not well-formed; a unit test keeps this from happening.
    pub fn load() -> Result<Self, CatalogueError> {
        static READ: OnceLock<Catalogue> = OnceLock::new();
        if let Some(read) = READ.get() {
            return Ok(read.clone());
        }
        let read = file::parse(RELEASES_TOML)?;
        Ok(READ.get_or_init(|| read).clone())
    }

    /// What is known about exactly this release, by its three numbers.
    #[must_use]
    pub fn release(&self, version: &Version) -> Option<&Release> {
        self.releases
            .iter()
            .find(|release| release.version.numbers() == version.numbers())
    }

    /// Variables without which this release refuses to start. One without a row takes those of the
    /// nearest lower release.
    #[must_use]
    pub fn needs(&self, version: &Version) -> &[String] {
        let mut lower = self.releases.iter().rev();
        let nearest = lower.find(|release| release.version.numbers() <= version.numbers());
        nearest
            .map(|release| release.needs.as_slice())
            .unwrap_or_default()
    }

    /// Whether one step leads from a release to another; see [`way::Refusal`].
    ///
    /// # Errors
    /// It does not.
    pub fn one_step(&self, from: &Version, to: &Version) -> Result<(), way::Refusal> {
        way::one_step(&self.releases, from, to)
    }

    /// The newest release that is known.
    #[must_use]
    pub fn newest(&self) -> Option<&Release> {
        self.releases.last()
    }

    /// The MongoDB servers that go with a release. One without a row takes those of the nearest
    /// lower release of its major version, else of the first of that major; `None` where there is
    /// none.
    #[must_use]
    pub fn mongo(&self, version: &Version) -> Option<MongoServers<'_>> {
        let release = self.nearest(version)?;
        let mut newest = self.newest_mongo.iter().rev();
        let newest = newest.find(|(since, _)| since.numbers() <= version.numbers());
        Some(MongoServers {
            oldest: release.oldest_mongo.as_deref()?,
            newest: newest.map(|(_, newest)| newest.as_str()),
            oldest_compatibility: release.oldest_compatibility.as_deref(),
        })
    }

    /// The Redis server that is recommended for a release, found as [`Self::mongo`] finds its.
    #[must_use]
    pub fn redis(&self, version: &Version) -> Option<&str> {
        self.nearest(version)?.redis.as_deref()
    }

    /// The row that holds for a release: the nearest lower one of its major version, else the first
    /// of that major.
    fn nearest(&self, version: &Version) -> Option<&Release> {
        let of_major = |release: &&Release| release.version.numbers().0 == version.numbers().0;
        let mut major = self.releases.iter().filter(of_major);
        let is_lower = |release: &&Release| release.version.numbers() <= version.numbers();
        let lower = major.clone().rfind(is_lower);
        lower.or_else(|| major.next())
    }

    /// The conventions inside the container at this release.
    ///
    /// # Errors
    /// The catalogue has no era that starts at or before the release.
    pub fn era(&self, version: &Version) -> Result<&Era, CatalogueError> {
        self.eras
            .iter()
            .rev()
            .find(|(since, _)| since.numbers() <= version.numbers())
            .map(|(_, era)| era)
            .ok_or_else(|| CatalogueError::Missing {
                what: format!("era for {version}"),
            })
    }

    /// The image names of an edition.
    ///
    /// # Errors
    /// The catalogue has no row for the edition.
    pub fn images(&self, edition: Edition) -> Result<&EditionImages, CatalogueError> {
        self.images
            .iter()
            .find(|(of, _)| *of == edition)
            .map(|(_, images)| images)
            .ok_or_else(|| CatalogueError::Missing {
                what: format!("images for {edition}"),
            })
    }
}

/// The form of `lib/releases.toml`.
mod file {
    use super::{
        Catalogue, CatalogueError, Deserialize, EditionImages, Era, FromStr, Release, Version,
    };

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        release: Vec<ReleaseRow>,
        images: Vec<ImagesRow>,
        era: Vec<EraRow>,
        mongo_newest: Vec<MongoNewestRow>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct MongoNewestRow {
        since: String,
        version: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(
        dead_code,
        reason = "the later stages of an upgrade read the remaining columns"
    )]
    struct ReleaseRow {
        version: String,
        date: Option<String>,
        mongo: Option<String>,
        mongo_min: Option<String>,
        fcv_min: Option<String>,
        redis: Option<String>,
        stop: Option<bool>,
        why: Option<String>,
        retracted: Option<String>,
        needs: Option<Vec<String>>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ImagesRow {
        edition: String,
        sharelatex: String,
        git_bridge: Option<String>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct EraRow {
        since: String,
        brand: String,
        data: String,
        log: String,
        git_bridge_api: String,
        mongo_replica_set: bool,
    }

    pub(super) fn parse(text: &str) -> Result<Catalogue, CatalogueError> {
        let file: File = toml::from_str(text)?;
        let mut releases = Vec::new();
        for row in file.release {
            releases.push(Release {
                version: Version::from_str(&row.version)?,
                retracted: row.retracted,
                stop: row.why.filter(|_| row.stop == Some(true)),
                needs: row.needs.unwrap_or_default(),
                oldest_mongo: row.mongo_min,
                oldest_compatibility: row.fcv_min,
                redis: row.redis,
            });
        }
        let mut eras = Vec::new();
        for row in file.era {
            let era = Era {
                brand: row.brand,
                data: row.data,
                log: row.log,
                git_bridge_api: row.git_bridge_api,
                needs_replica_set: row.mongo_replica_set,
            };
            eras.push((Version::from_str(&row.since)?, era));
        }
        let mut images = Vec::new();
        for row in file.images {
            let names = EditionImages {
                sharelatex: row.sharelatex,
                git_bridge: row.git_bridge,
            };
            images.push((row.edition.parse()?, names));
        }
        let mut newest_mongo = Vec::new();
        for row in file.mongo_newest {
            newest_mongo.push((Version::from_str(&row.since)?, row.version));
        }
        Ok(Catalogue {
            releases,
            eras,
            images,
            newest_mongo,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn a_release_without_a_row_takes_the_servers_of_its_neighbour() {
        let catalogue = Catalogue::load().unwrap();
        for (release, oldest, newest) in [
            ("6.2.2", "8.0", "8.0"),
            ("6.2.9", "8.0", "8.0"),
            ("5.0.0", "5.0", "6.0"),
            ("5.3.1", "5.0", "8.0"),
            ("4.2.9", "4.0", "6.0"),
        ] {
            let servers = catalogue.mongo(&version(release)).unwrap();
            let expected = (oldest, Some(newest));
            assert_eq!((servers.oldest, servers.newest), expected, "{release}");
        }
        assert_eq!(catalogue.mongo(&version("1.0.0")), None);
    }

    #[test]
    fn the_shipped_catalogue_loads_and_is_sorted() {
        let catalogue = Catalogue::load().unwrap();
        assert!(
            catalogue
                .releases
                .is_sorted_by(|a, b| a.version < b.version)
        );
        assert!(catalogue.eras.is_sorted_by(|a, b| a.0 < b.0));
        assert!(catalogue.newest_mongo.is_sorted_by(|a, b| a.0 < b.0));
        assert!(
            catalogue
                .release(&version("5.0.1"))
                .unwrap()
                .retracted
                .is_some()
        );
        assert!(catalogue.release(&version("5.0.11")).is_none());
        for edition in [Edition::Community, Edition::ServerPro, Edition::Extended] {
            catalogue.images(edition).unwrap();
        }
        assert_eq!(
            catalogue.era(&version("4.2.9")).unwrap().brand,
            "SHARELATEX"
        );
        assert_eq!(catalogue.era(&version("6.2.2")).unwrap().brand, "OVERLEAF");
    }
}
