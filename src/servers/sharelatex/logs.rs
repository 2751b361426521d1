//! The log files of the services, in the shape the real ones have: bunyan JSON lines per service
//! and nginx' access lines.
//!
//! It knows names and formats; what happened is told by the caller.
#![expect(
    clippy::disallowed_methods,
    reason = "a server runs alone in its container and owns its data folder"
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

use super::environment::Settings;
use crate::servers::container_log::ContainerLog;
use crate::servers::container_log::with_causes;

/// A service of the container that keeps a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Service {
    Web,
    WebApi,
    RealTime,
    DocumentUpdater,
    Docstore,
    Filestore,
    ProjectHistory,
    HistoryV1,
    Clsi,
    Chat,
    Notifications,
}

impl Service {
    pub(super) const ALL: [Self; 11] = [
        Self::Web,
        Self::WebApi,
        Self::RealTime,
        Self::DocumentUpdater,
        Self::Docstore,
        Self::Filestore,
        Self::ProjectHistory,
        Self::HistoryV1,
        Self::Clsi,
        Self::Chat,
        Self::Notifications,
    ];

    /// The name of its log file without `.log`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::WebApi => "web-api",
            Self::RealTime => "real-time",
            Self::DocumentUpdater => "document-updater",
            Self::Docstore => "docstore",
            Self::Filestore => "filestore",
            Self::ProjectHistory => "project-history",
            Self::HistoryV1 => "history-v1",
            Self::Clsi => "clsi",
            Self::Chat => "chat",
            Self::Notifications => "notifications",
        }
    }
}

/// bunyan's levels.
const INFO: u8 = 30;
const ERROR: u8 = 50;

/// One request, for the access log.
pub(super) struct Access<'a> {
    pub(super) peer: std::net::IpAddr,
    pub(super) method: &'a str,
    /// Path and query.
    pub(super) target: &'a str,
    pub(super) status: u16,
    /// Bytes of the reply.
    pub(super) length: u64,
    pub(super) agent: &'a str,
}

/// All open log files.
pub(super) struct ServiceLogs {
    hostname: String,
    files: Mutex<BTreeMap<Service, File>>,
    access: Mutex<Option<File>>,
}

impl ServiceLogs {
    /// Opens every log file for appending; one that cannot be opened is named in `container` and
    /// then goes without, because a missing log is no reason to refuse service.
    pub(super) fn open(settings: &Settings, container: &ContainerLog) -> Self {
        let open = |path: PathBuf| match append(&path) {
            Ok(file) => Some(file),
            Err(error) => {
                container.line(format_args!("cannot write {}: {error}", path.display()));
                None
            }
        };
        let files = Service::ALL
            .into_iter()
            .filter_map(|service| {
                let path = settings.logs.join(format!("{}.log", service.name()));
                Some((service, open(path)?))
            })
            .collect();
        Self {
            hostname: settings.hostname.clone(),
            files: Mutex::new(files),
            access: Mutex::new(open(settings.nginx_logs.join("access.log"))),
        }
    }

    /// Something went as it should.
    pub(super) fn info(&self, service: Service, message: &str, fields: Value) {
        self.write(service, INFO, message, fields);
    }

    /// Something failed; `fields` say with what.
    pub(super) fn error(&self, service: Service, message: &str, error: &dyn Error, fields: Value) {
        let text = with_causes(error);
        let mut all = json!({
            "err": { "message": text, "name": "Error", "stack": format!("Error: {text}") }
        });
        if let (Some(all), Value::Object(fields)) = (all.as_object_mut(), fields) {
            all.extend(fields);
        }
        self.write(service, ERROR, message, all);
    }

    fn write(&self, service: Service, level: u8, message: &str, fields: Value) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = files.get_mut(&service) else {
            return;
        };
        let line = entry(
            service.name(),
            &self.hostname,
            level,
            message,
            fields,
            OffsetDateTime::now_utc(),
        );
        // A full disk must not stop the service, and the log is where it would be told.
        drop(writeln!(file, "{line}"));
    }

    /// A request to the site.
    pub(super) fn access(&self, access: &Access<'_>) {
        let mut file = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = file.as_mut() else {
            return;
        };
        let line = access_line(access, OffsetDateTime::now_utc());
        // As above: nothing to tell it to.
        drop(writeln!(file, "{line}"));
    }
}

fn append(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

const BUNYAN_TIME: StaticFormatDescription = format_description!(
    version = 2,
    "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
);

const ACCESS_TIME: StaticFormatDescription = format_description!(
    version = 2,
    "[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000"
);

/// `time`, which is UTC, in `format`.
fn format_time(time: OffsetDateTime, format: StaticFormatDescription) -> String {
    // Both formats name only parts that a complete time has, so this cannot fail.
    time.format(format).unwrap_or_default()
}

/// `time`, which is UTC, as the services write it: `2026-11-20T23:18:16.000Z`.
pub(super) fn timestamp(time: OffsetDateTime) -> String {
    format_time(time, BUNYAN_TIME)
}

fn entry(
    name: &str,
    hostname: &str,
    level: u8,
    message: &str,
    fields: Value,
    time: OffsetDateTime,
) -> String {
    let mut line = Map::new();
    line.insert("name".into(), name.into());
    line.insert("hostname".into(), hostname.into());
    line.insert("pid".into(), std::process::id().into());
    line.insert("level".into(), level.into());
    if let Value::Object(fields) = fields {
        line.extend(fields);
    }
    line.insert("msg".into(), message.into());
    line.insert("time".into(), timestamp(time).into());
    line.insert("v".into(), 0.into());
    Value::Object(line).to_string()
}

fn access_line(access: &Access<'_>, time: OffsetDateTime) -> String {
    let Access {
        peer,
        method,
        target,
        status,
        length,
        agent,
    } = access;
    let time = format_time(time, ACCESS_TIME);
    // A quote in the agent would end its field.
    let agent = agent.replace('"', "\\x22");
    format!(
        "{peer} - - [{time}] \"{method} {target} HTTP/1.1\" {status} {length} \"-\" \"{agent}\""
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const TIME: OffsetDateTime = datetime!(2026-11-20 23:18:16 UTC);

    #[test]
    fn entries_are_bunyan_lines() {
        let line = entry("web", "host", INFO, "started", json!({ "port": 80 }), TIME);
        let pid = std::process::id();
        assert_eq!(
            line,
            format!(
                r#"{{"name":"web","hostname":"host","pid":{pid},"level":30,"port":80,"msg":"started","time":"2026-11-20T23:18:16.000Z","v":0}}"#
            )
        );
    }

    #[test]
    fn access_lines_are_nginx_combined_lines() {
        let access = Access {
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
            method: "GET",
            target: "/status?x=1",
            status: 200,
            length: 18,
            agent: "a\"b",
        };
        assert_eq!(
            access_line(&access, TIME),
            r#"127.0.0.1 - - [20/Nov/2026:23:18:16 +0000] "GET /status?x=1 HTTP/1.1" 200 18 "-" "a\x22b""#
        );
    }
}
