//! TeX Live packages on top of the application's image: which image holds them, and how it is made.
//! Pure: the time and what the engine says come in as values.

use serde::Deserialize;
use thiserror::Error;

use crate::compose::canonical;

const TEXLIVE_TOML: &str = include_str!("../lib/texlive.toml");

/// Repository of the images with packages.
pub const REPOSITORY: &str = "toolkit-texlive/sharelatex";

/// Digits of the hash in a tag.
const HASH: usize = 12;

/// What stands before the hash in a tag. The release before it goes on to be read as one.
const MARK: &str = "-texlive-";

/// The image with packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// Service that runs it.
    pub service: String,
    /// Its reference, which tells the release, and by a hash what it is made of.
    pub reference: String,
    /// The image it is made of.
    pub base: String,
    /// What is installed.
    pub packages: Vec<String>,
    /// Where it comes from; `None` for the repository of the year.
    pub repository: Option<String>,
}

/// Why packages cannot be installed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TexLiveError {
    /// The image has no TeX Live where one is looked for.
    #[error("image `{image}` has no TeX Live in `{folder}`")]
    NoInstallation {
        /// The image.
        image: String,
        /// The folder.
        folder: String,
    },
    /// No repository is known for the year.
    #[error("no repository is known for TeX Live {year}")]
    NoRepository {
        /// The year.
        year: i32,
    },
    /// The shipped rows are broken.
    #[error("`lib/texlive.toml` does not have the expected form")]
    Rows,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    successor_month: u8,
    repository: Vec<Row>,
    installation: Installation,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    serves: Serves,
    oldest: Option<i32>,
    url: String,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Serves {
    Newest,
    Frozen,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Installation {
    folder: String,
    oldest: i32,
}

fn rows() -> Result<Rows, TexLiveError> {
    toml::from_str(TEXLIVE_TOML).map_err(|_| TexLiveError::Rows)
}

/// Whether a text can be the name of a package, collection or scheme.
#[must_use]
pub fn is_package(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

impl Derived {
    /// The image of a release with packages.
    #[must_use]
    pub fn new(
        service: &str,
        base: &str,
        version: &str,
        packages: &[String],
        repository: Option<&str>,
    ) -> Self {
        let mut sorted = packages.to_vec();
        sorted.sort();
        sorted.dedup();
        let made_of = format!(
            "{base}\n{}\n{}",
            sorted.join(" "),
            repository.unwrap_or_default()
        );
        let digest = canonical::digest(made_of.as_bytes());
        let hash = digest.get(..HASH).unwrap_or(&digest);
        Self {
            service: service.to_owned(),
            reference: format!("{REPOSITORY}:{version}{MARK}{hash}"),
            base: base.to_owned(),
            packages: sorted,
            repository: repository.map(ToOwned::to_owned),
        }
    }

    /// The programs that install the packages. The repository stays set, so that one who runs `tlmgr`
    /// by hand gets the right one too.
    ///
    /// # Errors
    /// No repository is known for the year.
    pub fn programs(&self, year: i32, now: (i32, u8)) -> Result<Vec<Vec<String>>, TexLiveError> {
        let repository = match &self.repository {
            Some(own) => own.clone(),
            None => repository(year, now)?,
        };
        let program = |words: &[&str]| {
            let words = std::iter::once("tlmgr").chain(words.iter().copied());
            words.map(ToOwned::to_owned).collect::<Vec<String>>()
        };
        let mut install = program(&["install"]);
        install.extend(self.packages.iter().cloned());
        Ok(vec![
            program(&["option", "repository", &repository]),
            // An older `tlmgr` than that of the repository refuses to install anything.
            program(&["update", "--self"]),
            install,
            // Programs of new packages get their links.
            program(&["path", "add"]),
        ])
    }
}

/// Where the packages of a year come from at a time, which is a year and a month.
///
/// # Errors
/// The year is too long ago.
pub fn repository(year: i32, (this_year, month): (i32, u8)) -> Result<String, TexLiveError> {
    let rows = rows()?;
    let is_frozen = match this_year - year {
        ..=0 => false,
        1 => month >= rows.successor_month,
        _ => true,
    };
    let serves = if is_frozen {
        Serves::Frozen
    } else {
        Serves::Newest
    };
    let mut fitting = rows.repository.iter();
    let row =
        fitting.find(|row| row.serves == serves && row.oldest.is_none_or(|from| from <= year));
    row.map(|row| row.url.replace("{year}", &year.to_string()))
        .ok_or(TexLiveError::NoRepository { year })
}

/// The paths at which an image may have a TeX Live, the newest year first.
///
/// # Errors
/// The shipped rows are broken.
pub fn installations(this_year: i32) -> Result<Vec<String>, TexLiveError> {
    let Installation { folder, oldest } = rows()?.installation;
    let years = (oldest..=this_year + 1).rev();
    Ok(years.map(|year| format!("{folder}/{year}")).collect())
}

/// The year of the newest of the installations that an image has.
///
/// # Errors
/// It has none.
pub fn year(image: &str, found: &[String]) -> Result<i32, TexLiveError> {
    let years = found.iter().filter_map(|path| {
        let (_, last) = path.rsplit_once('/')?;
        last.parse().ok()
    });
    let newest = years.max();
    newest.map_or_else(
        || {
            Err(TexLiveError::NoInstallation {
                image: image.to_owned(),
                folder: rows()?.installation.folder,
            })
        },
        Ok,
    )
}

/// The tag of the release that the reference of an image with packages tells; other references as they
/// are.
#[must_use]
pub fn release_of(reference: &str) -> &str {
    match reference.strip_prefix(REPOSITORY) {
        Some(_) => reference.split(MARK).next().unwrap_or(reference),
        None => reference,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(packages: &[&str]) -> Derived {
        let packages: Vec<String> = packages.iter().map(ToString::to_string).collect();
        Derived::new("sharelatex", "own/overleaf:6.2.2", "6.2.2", &packages, None)
    }

    #[test]
    fn the_repository_is_that_of_the_year() {
        const MIRRORS: &str = "https://mirror.ctan.org/systems/texlive/tlnet";
        let historic = |year: i32| {
            format!("https://ftp.math.utah.edu/pub/tex/historic/systems/texlive/{year}/tlnet-final")
        };
        for (year, now, expected) in [
            (2026, (2026, 11), MIRRORS.to_owned()),
            (2026, (2027, 2), MIRRORS.to_owned()),
            (2026, (2027, 3), historic(2026)),
            (2025, (2026, 11), historic(2025)),
            (2021, (2026, 1), historic(2021)),
            (2027, (2026, 12), MIRRORS.to_owned()),
        ] {
            assert_eq!(repository(year, now), Ok(expected), "{year} {now:?}");
        }
        let none = TexLiveError::NoRepository { year: 2010 };
        assert_eq!(repository(2010, (2026, 11)), Err(none));
    }

    #[test]
    fn names_of_packages_are_words_that_are_no_options() {
        for name in [
            "pgf-blur",
            "scheme-full",
            "12many",
            "latex-bin.x86_64-linux",
        ] {
            assert!(is_package(name), "{name}");
        }
        for name in ["", "-all", "--force", "a b", "a;b", "../x", "$x", "é"] {
            assert!(!is_package(name), "{name}");
        }
    }

    #[test]
    fn the_reference_tells_what_the_image_is_made_of() {
        let one = derived(&["b", "a", "a"]);
        assert_eq!(one.packages, ["a", "b"]);
        assert_eq!(one, derived(&["a", "b"]));
        assert!(
            one.reference
                .starts_with("toolkit-texlive/sharelatex:6.2.2-texlive-")
        );
        assert_ne!(one.reference, derived(&["a"]).reference);
        assert_eq!(
            release_of(&one.reference),
            "toolkit-texlive/sharelatex:6.2.2"
        );
        assert_eq!(release_of("a/b:1-texlive-2"), "a/b:1-texlive-2");
    }

    #[test]
    fn packages_are_arguments_of_one_program() {
        let programs = derived(&["b", "a"]).programs(2026, (2026, 11)).unwrap();
        let lines: Vec<String> = programs.iter().map(|words| words.join(" ")).collect();
        assert_eq!(
            lines,
            [
                "tlmgr option repository https://mirror.ctan.org/systems/texlive/tlnet",
                "tlmgr update --self",
                "tlmgr install a b",
                "tlmgr path add",
            ]
        );
    }

    #[test]
    fn the_newest_installation_counts() {
        let paths = installations(2026).unwrap();
        assert_eq!(paths.first().unwrap(), "/usr/local/texlive/2027");
        let found = ["/usr/local/texlive/2024", "/usr/local/texlive/2025"].map(str::to_owned);
        assert_eq!(year("i", &found), Ok(2025));
        assert!(year("i", &[]).is_err());
    }
}
