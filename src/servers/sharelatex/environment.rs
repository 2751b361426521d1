//! What the container's environment says: brand, databases, folders, and the fault to act out.
//!
//! Pure: it reads a map and builds paths; it never looks at the machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use bson::oid::ObjectId;

/// The switch for fault rehearsals.
pub(super) const FAULT: &str = "TOOLKIT_BUNDLED_FAULT";

/// The environment names of the brand in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Brand {
    /// `OVERLEAF_…`, release 5.0 and later.
    Overleaf,
    /// `SHARELATEX_…`, releases before 5.0.
    Sharelatex,
}

impl Brand {
    /// `SHARELATEX_MONGO_URL` without `OVERLEAF_MONGO_URL` means a release before 5.0.
    pub(super) fn of(environment: &BTreeMap<String, String>) -> Self {
        let has = |name: &str| environment.contains_key(name);
        if has("SHARELATEX_MONGO_URL") && !has("OVERLEAF_MONGO_URL") {
            Self::Sharelatex
        } else {
            Self::Overleaf
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Overleaf => "OVERLEAF_",
            Self::Sharelatex => "SHARELATEX_",
        }
    }

    /// The name of its folders in `/etc`, `/var/lib` and `/var/log`.
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Overleaf => "overleaf",
            Self::Sharelatex => "sharelatex",
        }
    }
}

/// A misbehaviour to act out, chosen with `TOOLKIT_BUNDLED_FAULT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// `exit-at-start:<code>`: end at once with this code.
    ExitAtStart(u8),
    /// `never-ready`: boot, and then never answer.
    NeverReady,
    /// `stuck-document`: every flush refuses its document; with an id, that one only.
    StuckDocument(Stuck),
}

/// The documents that a flush refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stuck {
    /// None.
    Nothing,
    /// Every one.
    Everything,
    /// This one.
    One(ObjectId),
}

/// The documents that a flush refuses on request.
pub(super) fn stuck(settings: &Settings) -> Stuck {
    match settings.fault {
        Some(Fault::StuckDocument(stuck)) => stuck,
        _ => Stuck::Nothing,
    }
}

/// Where Redis is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RedisTarget {
    pub(super) host: String,
    pub(super) port: u16,
    /// Empty counts as none.
    pub(super) password: Option<String>,
}

impl RedisTarget {
    /// `host:port`, for messages.
    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Everything the server needs to know, complete and with paths below the root.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) brand: Brand,
    /// The variable that holds `mongo_url`, for messages.
    pub(super) mongo_variable: String,
    /// May hold a password: never printed.
    pub(super) mongo_url: String,
    pub(super) redis: RedisTarget,
    /// The plain `REDIS_…` family when it names another server than the branded one.
    pub(super) other_redis: Option<RedisTarget>,
    pub(super) site_status: PathBuf,
    /// `/var/lib/overleaf`.
    pub(super) library: PathBuf,
    /// `/var/log/overleaf`.
    pub(super) logs: PathBuf,
    /// `/var/log/nginx`.
    pub(super) nginx_logs: PathBuf,
    pub(super) app_name: String,
    pub(super) hostname: String,
    pub(super) is_server_pro: bool,
    pub(super) is_editor_open: bool,
    pub(super) is_git_bridge_enabled: bool,
    pub(super) is_admin_check_failure_allowed: bool,
    pub(super) fault: Option<Fault>,
}

/// A variable that cannot be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum EnvironmentError {
    /// Not a port number.
    #[error("`{variable}` is `{value}`, expected a port number from 1 to 65535")]
    Port {
        /// The variable.
        variable: String,
        /// What it holds.
        value: String,
    },
    /// Not a known fault.
    #[error(
        "`{FAULT}` is `{value}`, expected `exit-at-start:<code>`, `never-ready`, `stuck-document` or `stuck-document:<id>`"
    )]
    Fault {
        /// What it holds.
        value: String,
    },
}

/// Reads `environment`; all paths come out below `root`.
pub(super) fn read(
    environment: &BTreeMap<String, String>,
    root: &Path,
) -> Result<Settings, EnvironmentError> {
    let brand = Brand::of(environment);
    let value = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let branded = |name: &str| value(&format!("{}{name}", brand.prefix()));
    let is_true = |name: &str| value(name).is_some_and(|value| value == "true");

    let family = |host: &str, port: &str, password: &str| {
        let target = RedisTarget {
            host: value(host)?.clone(),
            port: match parse_port(port, value(port)) {
                Ok(port) => port,
                Err(error) => return Some(Err(error)),
            },
            password: value(password).cloned(),
        };
        Some(Ok(target))
    };
    let prefix = brand.prefix();
    let branded_redis = family(
        &format!("{prefix}REDIS_HOST"),
        &format!("{prefix}REDIS_PORT"),
        &format!("{prefix}REDIS_PASS"),
    )
    .transpose()?;
    let plain_redis = family("REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD").transpose()?;
    let redis = branded_redis
        .or_else(|| plain_redis.clone())
        .unwrap_or_else(|| RedisTarget {
            host: "dockerhost".to_owned(),
            port: REDIS_PORT,
            password: None,
        });

    let folder = brand.folder();
    let site_status = match value("SITE_MAINTENANCE_FILE") {
        Some(path) => below(root, path),
        None => below(root, &format!("/etc/{folder}/site_status")),
    };
    Ok(Settings {
        brand,
        mongo_variable: format!("{prefix}MONGO_URL"),
        mongo_url: branded("MONGO_URL")
            .cloned()
            .unwrap_or_else(|| "mongodb://dockerhost/sharelatex".to_owned()),
        other_redis: plain_redis.filter(|plain| *plain != redis),
        redis,
        site_status,
        library: below(root, &format!("/var/lib/{folder}")),
        logs: below(root, &format!("/var/log/{folder}")),
        nginx_logs: below(root, "/var/log/nginx"),
        app_name: branded("APP_NAME")
            .cloned()
            .unwrap_or_else(|| "Overleaf Community Edition".to_owned()),
        hostname: value("HOSTNAME")
            .cloned()
            .unwrap_or_else(|| "localhost".to_owned()),
        is_server_pro: branded("IS_SERVER_PRO").is_some_and(|value| value == "true"),
        is_editor_open: value("EDITOR_OPEN").is_none_or(|value| value != "false"),
        is_git_bridge_enabled: is_true("GIT_BRIDGE_ENABLED"),
        is_admin_check_failure_allowed: is_true("ALLOW_MONGO_ADMIN_CHECK_FAILURES"),
        fault: value(FAULT).map(|value| parse_fault(value)).transpose()?,
    })
}

/// Redis' own default.
const REDIS_PORT: u16 = 6379;

fn parse_port(variable: &str, value: Option<&String>) -> Result<u16, EnvironmentError> {
    let Some(value) = value else {
        return Ok(REDIS_PORT);
    };
    match value.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(EnvironmentError::Port {
            variable: variable.to_owned(),
            value: value.clone(),
        }),
    }
}

fn parse_fault(value: &str) -> Result<Fault, EnvironmentError> {
    let exit_code = value
        .strip_prefix("exit-at-start:")
        .and_then(|code| code.parse().ok());
    match (value, exit_code) {
        (_, Some(code)) => Ok(Fault::ExitAtStart(code)),
        ("never-ready", _) => Ok(Fault::NeverReady),
        ("stuck-document", _) => Ok(Fault::StuckDocument(Stuck::Everything)),
        _ => match stuck_id(value) {
            Some(id) => Ok(Fault::StuckDocument(Stuck::One(id))),
            None => Err(EnvironmentError::Fault {
                value: value.to_owned(),
            }),
        },
    }
}

fn stuck_id(value: &str) -> Option<ObjectId> {
    let id = value.strip_prefix("stuck-document:")?;
    ObjectId::parse_str(id).ok()
}

/// The absolute `path` of the container, below `root`.
pub(super) fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn settings(pairs: &[(&str, &str)]) -> Result<Settings, EnvironmentError> {
        read(&environment(pairs), Path::new("/sandbox"))
    }

    #[test]
    fn both_brands_are_understood() {
        let overleaf = settings(&[
            ("OVERLEAF_MONGO_URL", "mongodb://mongo/sharelatex"),
            ("OVERLEAF_REDIS_HOST", "redis"),
            ("OVERLEAF_REDIS_PASS", "secret"),
            ("OVERLEAF_APP_NAME", "Ours"),
            ("REDIS_HOST", "redis"),
            ("REDIS_PASSWORD", "secret"),
        ])
        .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(overleaf.brand, Brand::Overleaf);
        assert_eq!(overleaf.redis.address(), "redis:6379");
        assert_eq!(overleaf.redis.password.as_deref(), Some("secret"));
        assert_eq!(overleaf.other_redis, None);
        assert_eq!(overleaf.app_name, "Ours");
        assert_eq!(overleaf.library, Path::new("/sandbox/var/lib/overleaf"));
        assert_eq!(
            overleaf.site_status,
            Path::new("/sandbox/etc/overleaf/site_status")
        );

        let sharelatex = settings(&[
            ("SHARELATEX_MONGO_URL", "mongodb://mongo/sharelatex"),
            ("SHARELATEX_REDIS_HOST", "redis"),
            ("SHARELATEX_REDIS_PORT", "7000"),
            ("REDIS_HOST", "other"),
            ("SITE_MAINTENANCE_FILE", "/etc/x/status"),
        ])
        .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(sharelatex.brand, Brand::Sharelatex);
        assert_eq!(sharelatex.redis.address(), "redis:7000");
        assert_eq!(
            sharelatex.other_redis.map(|other| other.address()),
            Some("other:6379".to_owned())
        );
        assert_eq!(sharelatex.logs, Path::new("/sandbox/var/log/sharelatex"));
        assert_eq!(sharelatex.site_status, Path::new("/sandbox/etc/x/status"));
    }

    #[test]
    fn defaults_are_those_of_the_real_image() {
        let settings = settings(&[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(settings.mongo_url, "mongodb://dockerhost/sharelatex");
        assert_eq!(settings.redis.address(), "dockerhost:6379");
    }

    #[test]
    fn faults_and_ports_are_parsed_or_named() {
        let fault = |value: &str| settings(&[(FAULT, value)]).map(|settings| settings.fault);
        assert_eq!(fault(""), Ok(None));
        assert_eq!(fault("exit-at-start:7"), Ok(Some(Fault::ExitAtStart(7))));
        assert_eq!(fault("never-ready"), Ok(Some(Fault::NeverReady)));
        let stuck = |stuck| Ok(Some(Fault::StuckDocument(stuck)));
        assert_eq!(fault("stuck-document"), stuck(Stuck::Everything));
        let id = "64b7f0c0a1b2c3d4e5f60719";
        assert_eq!(
            fault(&format!("stuck-document:{id}")),
            stuck(Stuck::One(ObjectId::parse_str(id).unwrap()))
        );
        for value in [
            "exit-at-start:256",
            "exit-at-start:",
            "stuck-document:x",
            "other",
        ] {
            assert_eq!(
                fault(value),
                Err(EnvironmentError::Fault {
                    value: value.to_owned()
                })
            );
        }
        for value in ["0", "65536", "x"] {
            let result = settings(&[("REDIS_HOST", "redis"), ("REDIS_PORT", value)]);
            assert_eq!(
                result.map(|_| ()),
                Err(EnvironmentError::Port {
                    variable: "REDIS_PORT".to_owned(),
                    value: value.to_owned()
                })
            );
        }
    }
}
