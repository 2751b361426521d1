//! The start, script by script as the real image's init folder has them: refuse old or missing
//! settings, make folders, put the site status back, check the databases, run migrations.
//!
//! It prepares and checks only; nothing answers requests yet. Not acted out because nothing here
//! would use them: generated secrets, the `dockerhost` name, nginx' configuration.
#![expect(
    clippy::disallowed_methods,
    reason = "a server runs alone in its container and owns its data folder"
)]

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use bson::DateTime;
use bson::Document;
use bson::doc;

use super::databases::DatabaseError;
use super::databases::Databases;
use super::environment::Brand;
use super::environment::Settings;
use super::environment::below;
use super::site_status::SiteStatus;
use super::site_status::SiteStatusError;
use crate::servers::container_log::ContainerLog;

/// The user that the real image's services run as (`www-data`).
const APPLICATION_USER: u32 = 33;

/// The folders below `/var/lib/overleaf`.
const DATA_FOLDERS: [&str; 9] = [
    "data",
    "data/compiles",
    "data/output",
    "data/cache",
    "data/template_files",
    "data/history",
    "tmp/projectHistories",
    "tmp/dumpFolder",
    "tmp/uploads",
];

/// A script of the start that failed.
#[derive(Debug, thiserror::Error)]
#[error("{script} failed")]
pub(super) struct BootError {
    pub(super) script: &'static str,
    #[source]
    pub(super) source: ScriptError,
}

/// Why a script failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScriptError {
    /// Folders of releases before 5.0 are mounted.
    #[error("folders of releases before 5.0 are mounted: {}; mount `/var/lib/overleaf` and `/var/log/overleaf` instead", quoted(.paths))]
    OldFolders {
        /// The folders as the container sees them.
        paths: Vec<String>,
    },
    /// Variables of releases before 5.0 are set.
    #[error("variables of releases before 5.0 are set: {}; their names start with `OVERLEAF_` now", quoted(.names))]
    OldNames {
        /// The variables.
        names: Vec<String>,
    },
    /// The secret for invitations is missing.
    #[error("`OVERLEAF_INVITE_TOKEN_SECRET` is missing or empty")]
    MissingSecret,
    /// A folder cannot be made.
    #[error("cannot make folder `{path}`")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The owner of a folder cannot be changed.
    #[error("cannot give folder `{path}` to user {APPLICATION_USER}")]
    Owner {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The site status file.
    #[error(transparent)]
    SiteStatus(#[from] SiteStatusError),
    /// A database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

fn quoted(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// Runs all scripts in order; the first failure ends the start.
pub(super) async fn boot(
    environment: &BTreeMap<String, String>,
    root: &Path,
    settings: &Settings,
    deadline: Duration,
    log: &ContainerLog,
) -> Result<Databases, BootError> {
    let run = |script| {
        log.line(format_args!("*** Running /etc/my_init.d/{script}..."));
        move |source| BootError { script, source }
    };
    if settings.brand == Brand::Overleaf {
        let failed = run("000_check_for_old_bind_mounts_5.sh");
        refuse_old_folders(root).map_err(failed)?;
        let failed = run("000_check_for_old_env_vars_5.sh");
        refuse_old_names(environment).map_err(failed)?;
        let failed = run("000_check_missing_secrets.sh");
        require_secret(environment).map_err(failed)?;
    }

    let failed = run("100_make_overleaf_data_dirs.sh");
    make_folders(settings, log).map_err(failed)?;

    let failed = run("100_restore_site_status.sh");
    let status = SiteStatus::new(settings.site_status.clone());
    let is_restored = status.restore().map_err(|error| failed(error.into()))?;
    if is_restored {
        log.line("the site status from before the last stop is back");
    }

    let failed = run("500_check_db_access.sh");
    let databases = check_databases(settings, deadline, log)
        .await
        .map_err(|error| failed(error.into()))?;

    let failed = run("900_run_web_migrations.sh");
    let edition = if settings.is_server_pro {
        "server-pro"
    } else {
        "server-ce"
    };
    log.line(format_args!("Running migrations for {edition}"));
    record_migration(&databases)
        .await
        .map_err(|error| failed(error.into()))?;
    log.line("Finished migrations");
    Ok(databases)
}

fn refuse_old_folders(root: &Path) -> Result<(), ScriptError> {
    let paths: Vec<String> = [
        "/etc/sharelatex",
        "/var/lib/sharelatex",
        "/var/log/sharelatex",
    ]
    .into_iter()
    .filter(|path| below(root, path).exists())
    .map(str::to_owned)
    .collect();
    if paths.is_empty() {
        Ok(())
    } else {
        Err(ScriptError::OldFolders { paths })
    }
}

fn refuse_old_names(environment: &BTreeMap<String, String>) -> Result<(), ScriptError> {
    let names: Vec<String> = environment
        .keys()
        .filter(|name| name.contains("SHARELATEX"))
        .cloned()
        .collect();
    if names.is_empty() {
        Ok(())
    } else {
        Err(ScriptError::OldNames { names })
    }
}

/// The container does not know its release, so this asks wherever `OVERLEAF_MONGO_URL` is in use,
/// although the real image does so only from 6.2 on.
fn require_secret(environment: &BTreeMap<String, String>) -> Result<(), ScriptError> {
    let is_set = |name: &str| environment.get(name).is_some_and(|value| !value.is_empty());
    if is_set("OVERLEAF_MONGO_URL") && !is_set("OVERLEAF_INVITE_TOKEN_SECRET") {
        Err(ScriptError::MissingSecret)
    } else {
        Ok(())
    }
}

fn make_folders(settings: &Settings, log: &ContainerLog) -> Result<(), ScriptError> {
    let folders = DATA_FOLDERS
        .iter()
        .map(|folder| settings.library.join(folder))
        .chain([settings.logs.clone()]);
    for path in folders {
        if let Err(source) = std::fs::create_dir_all(&path) {
            return Err(ScriptError::Folder { path, source });
        }
        match give(&path, APPLICATION_USER) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                log.line(format_args!("{} keeps its owner: {error}", path.display()));
            }
            Err(source) => return Err(ScriptError::Owner { path, source }),
        }
    }
    Ok(())
}

/// Makes `path` belong to `user`, if this process is the one that may do so.
fn give(path: &Path, user: u32) -> io::Result<()> {
    // Only root can give things away, and tests run as somebody else.
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|itself| itself.uid() == 0);
    if is_root {
        std::os::unix::fs::chown(path, Some(user), Some(user))
    } else {
        Ok(())
    }
}

async fn check_databases(
    settings: &Settings,
    deadline: Duration,
    log: &ContainerLog,
) -> Result<Databases, DatabaseError> {
    let databases = Databases::new(settings, deadline).await?;
    log.line(
        databases
            .check_mongo(settings.is_admin_check_failure_allowed)
            .await?,
    );
    log.line(databases.check_redis().await?);
    if let Some(other) = &settings.other_redis {
        log.line(format_args!(
            "`REDIS_HOST`, `REDIS_PORT` and `REDIS_PASSWORD` differ from the branded variables (`{}`, `{}`); Overleaf's services read either family",
            other.address(),
            settings.redis.address()
        ));
    }
    Ok(databases)
}

/// Leaves the trace that a run of the real migrations leaves.
async fn record_migration(databases: &Databases) -> Result<(), DatabaseError> {
    let migrations = databases.mongo().collection::<Document>("migrations");
    databases
        .in_mongo(
            "record a migration",
            migrations
                .update_one(
                    doc! { "name": "toolkit_bundled_server_start" },
                    doc! { "$set": { "migratedAt": DateTime::now() } },
                )
                .upsert(true),
        )
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(names: &[(&str, &str)]) -> BTreeMap<String, String> {
        names
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn old_names_and_a_missing_secret_are_refused_by_name() {
        let url = ("OVERLEAF_MONGO_URL", "mongodb://mongo/sharelatex");
        let secret = "OVERLEAF_INVITE_TOKEN_SECRET";
        let check = |pairs: &[(&str, &str)]| {
            let environment = environment(pairs);
            refuse_old_names(&environment)
                .and_then(|()| require_secret(&environment))
                .map_err(|error| error.to_string())
        };

        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[url, (secret, "0123456789abcdef")]), Ok(()));
        let missing = Err(format!("`{secret}` is missing or empty"));
        assert_eq!(check(&[url]), missing);
        assert_eq!(check(&[url, (secret, "")]), missing);
        assert_eq!(
            check(&[url, ("ENABLE_SHARELATEX_X", ""), ("SHARELATEX_Y", "")]),
            Err(
                "variables of releases before 5.0 are set: `ENABLE_SHARELATEX_X`, `SHARELATEX_Y`; their names start with `OVERLEAF_` now"
                    .to_owned()
            )
        );
    }

    #[test]
    fn old_folders_are_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        assert!(refuse_old_folders(root.path()).is_ok());
        std::fs::create_dir_all(root.path().join("var/lib/sharelatex")).unwrap();
        let error = refuse_old_folders(root.path()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("mounted: `/var/lib/sharelatex`;")
        );
    }
}
