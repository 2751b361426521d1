//! The settings that overleaf.rc knows: `lib/settings.toml`, embedded. The lowest layer of every
//! value is the default in that file; no default lives in code.

use serde::Deserialize;
use thiserror::Error;

const SETTINGS_TOML: &str = include_str!("../../lib/settings.toml");

/// What a value must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SettingType {
    /// Any text.
    Text,
    /// On for exactly `true`, off for everything else.
    Flag,
    /// A port, or a range of ports.
    Port,
    /// An IP address of this host.
    Address,
    /// A path; relative ones start at the instance's root.
    Path,
    /// An image reference.
    Image,
    /// A URL.
    Url,
    /// One of `choices`.
    Choice,
    /// The name of a Compose project.
    ProjectName,
    /// The tag of an image.
    Tag,
}

/// One key of overleaf.rc.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingRow {
    /// The key.
    pub name: String,
    /// What its value must look like.
    #[serde(rename = "type")]
    pub kind: SettingType,
    /// The value when no layer sets it.
    pub default: Option<String>,
    /// Whether the environment variable of the same name stands in for a missing key.
    #[serde(default)]
    pub environment: bool,
    /// Whether an empty value counts as a missing key.
    #[serde(default)]
    pub empty_is_unset: bool,
    /// A word that counts as a missing key.
    pub unset_word: Option<String>,
    /// Editions that read it, by [`crate::release::Edition::id`].
    pub editions: Vec<String>,
    /// First release on which it has an effect; `None` when it has one on the oldest known.
    pub since: Option<String>,
    /// Last release line on which it has an effect; `None` when it has one on the newest.
    pub until: Option<String>,
    /// Allowed values of a choice.
    #[serde(default)]
    pub choices: Vec<String>,
    /// Whether the value is a secret.
    #[serde(default)]
    pub secret: bool,
    /// One line on what it does.
    pub text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    setting: Vec<SettingRow>,
}

/// The embedded file is not well-formed. A test loads it, so no user sees this.
#[derive(Debug, Error)]
#[error("`lib/settings.toml` does not have the expected form")]
pub struct SettingsTomlError(#[from] toml::de::Error);

/// Loads all settings the program knows, in the order of the file.
///
/// # Errors
/// The embedded file is not well-formed; a unit test keeps this from happening.
pub fn load() -> Result<Vec<SettingRow>, SettingsTomlError> {
    let file: File = toml::from_str(SETTINGS_TOML)?;
    Ok(file.setting)
}

/// Whether a line of overleaf.rc assigns a secret setting.
#[must_use]
pub fn is_secret(line: &str) -> bool {
    let rows = load().unwrap_or_default();
    rows.iter()
        .any(|row| row.secret && line.contains(&format!("{}=", row.name)))
}

/// What is wrong with a value of this row, `None` when it is sound.
#[must_use]
pub fn objection(row: &SettingRow, value: &str) -> Option<String> {
    let is_sound = match row.kind {
        SettingType::Text | SettingType::Flag | SettingType::Url => true,
        SettingType::Port => is_port(value),
        SettingType::Address => value.is_empty() || is_address(value),
        SettingType::Path => !value.contains(['\0', ':']),
        SettingType::Image | SettingType::Tag => !value.contains(char::is_whitespace),
        SettingType::Choice => row.choices.iter().any(|choice| choice == value),
        SettingType::ProjectName => super::is_project_name(value),
    };
    if is_sound {
        return None;
    }
    Some(match row.kind {
        SettingType::Port => format!("`{value}` is not a port"),
        SettingType::Address if value.parse::<std::net::Ipv6Addr>().is_ok() => {
            format!("the IPv6 address `{value}` stands without brackets")
        }
        SettingType::Address => format!("`{value}` is not an IP address"),
        SettingType::Path => {
            "a path cannot hold a colon, which separates the parts of a mount".to_owned()
        }
        SettingType::Image => format!("`{value}` is not an image reference"),
        SettingType::Tag => format!("`{value}` is not an image tag"),
        SettingType::Choice => {
            format!("`{value}` is not a value for it")
        }
        SettingType::ProjectName => format!("`{value}` is not a project name"),
        SettingType::Text | SettingType::Flag | SettingType::Url => return None,
    })
}

/// What a sound value of this row looks like, as advice.
#[must_use]
pub fn advice(row: &SettingRow) -> String {
    match row.kind {
        SettingType::Text | SettingType::Url => "write the text in single quotes".to_owned(),
        SettingType::Flag => "write `true` or `false`".to_owned(),
        SettingType::Port => {
            "use a number from 1 to 65535, or a range such as 8080-8082".to_owned()
        }
        SettingType::Address => {
            "write an IPv4 address, or an IPv6 address in brackets such as `[::1]`".to_owned()
        }
        SettingType::Path => "name another path, or a symbolic link that points to it".to_owned(),
        SettingType::Image => "write `registry/name`, `name:tag` or `name@sha256:…`".to_owned(),
        SettingType::Tag => "write the tag as the registry has it".to_owned(),
        SettingType::Choice => format!("use one of {}", row.choices.join(", ")),
        SettingType::ProjectName => {
            "use lower-case letters, digits, `-` and `_`, starting with a letter or digit"
                .to_owned()
        }
    }
}

/// An address as Docker Compose takes it before a port: IPv6 stands in brackets.
fn is_address(value: &str) -> bool {
    let bracketed = value
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match bracketed {
        Some(inside) => inside.parse::<std::net::IpAddr>().is_ok(),
        None => value.parse::<std::net::Ipv4Addr>().is_ok(),
    }
}

/// A port number or a range such as `8000-8010`.
pub(super) fn is_port(value: &str) -> bool {
    let number = |text: &str| {
        let is_plain = text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse::<u16>().ok();
        number.filter(|number| is_plain && *number > 0)
    };
    let is_number = |text: &str| number(text).is_some();
    match value.split_once('-') {
        Some((low, high)) => is_number(low) && is_number(high) && number(low) <= number(high),
        None => is_number(value),
    }
}

/// A URL with a scheme and a host.
pub(super) fn is_url(value: &str) -> bool {
    value.split_once("://").is_some_and(|(scheme, rest)| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && !host.is_empty()
            && !value.contains(char::is_whitespace)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_settings_load_and_their_defaults_are_sound() {
        let rows = load().unwrap();
        for row in &rows {
            if let Some(default) = &row.default {
                assert_eq!(objection(row, default), None, "{}", row.name);
            }
            assert!(
                !row.text.is_empty() && !row.text.ends_with('.'),
                "{}",
                row.name
            );
            for version in [&row.since, &row.until].into_iter().flatten() {
                assert!(
                    version.contains('.')
                        && version.split('.').all(|part| part.parse::<u64>().is_ok()),
                    "{}: {version}",
                    row.name
                );
            }
        }
        let mut names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), rows.len(), "a setting is listed twice");
    }

    #[test]
    fn values_are_checked_by_type() {
        let rows = load().unwrap();
        let check = |name: &str, value: &str| {
            objection(rows.iter().find(|row| row.name == name).unwrap(), value).is_none()
        };
        assert!(check("OVERLEAF_PORT", "8080"));
        assert!(check("OVERLEAF_PORT", "8000-8010"));
        assert!(!check("OVERLEAF_PORT", "0"));
        assert!(!check("OVERLEAF_PORT", "80 "));
        assert!(!check("OVERLEAF_PORT", "+80"));
        assert!(!check("OVERLEAF_PORT", "8010-8000"));
        assert!(check("OVERLEAF_LISTEN_IP", "10.0.0.1"));
        assert!(check("OVERLEAF_LISTEN_IP", "[::1]"));
        assert!(!check("OVERLEAF_LISTEN_IP", "::1"));
        assert!(!check("OVERLEAF_LISTEN_IP", "[::1"));
        assert!(!check("OVERLEAF_LISTEN_IP", "localhost"));
        assert!(!check("OVERLEAF_DATA_PATH", "data/a:b"));
        assert!(!check("PROJECT_NAME", "Over leaf"));
        assert!(!check("EDITION", "gold"));
    }
}
