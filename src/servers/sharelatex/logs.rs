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

use super::environment::Brand;
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
    Contacts,
    Spelling,
}

impl Service {
    const ALL: [Self; 13] = [
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
        Self::Contacts,
        Self::Spelling,
    ];

    /// Those of the releases that have the brand; the container does not know its release.
    pub(super) fn of(brand: Brand) -> impl Iterator<Item = Self> {
        let is_old = brand == Brand::Sharelatex;
        let all = Self::ALL.into_iter();
        all.filter(move |service| is_old || !matches!(service, Self::Contacts | Self::Spelling))
    }

    /// The service with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }

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
            Self::Contacts => "contacts",
            Self::Spelling => "spelling",
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

/// How a log file makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rotation {
    /// It is copied and cut, as logrotate does it in the real container.
    Copy,
    /// It is renamed, and a new one is opened.
    Rename,
}

/// The size from which a log file is rotated, in bytes; the real ones are rotated once a day.
const LARGEST: u64 = 16 * 1024 * 1024;

/// How many old files are kept of each log.
const GENERATIONS: usize = 5;

/// A log file that is written to.
struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = append(&path)?;
        Ok(Self { path, file })
    }

    /// Adds a line. A full disk must not stop the service, and the log is where it would be told.
    fn write(&mut self, line: &str) {
        drop(self.file.write_all(format!("{line}\n").as_bytes()));
        let found = self.file.metadata();
        if found.is_ok_and(|found| found.len() > LARGEST) {
            drop(self.rotate(Rotation::Copy));
        }
    }

    fn rotate(&mut self, by: Rotation) -> io::Result<()> {
        let old = |number: usize| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..GENERATIONS).rev() {
            if old(number).exists() {
                std::fs::rename(old(number), old(number + 1))?;
            }
        }
        match by {
            Rotation::Copy => {
                std::fs::copy(&self.path, old(1))?;
                self.file.set_len(0)
            }
            Rotation::Rename => {
                std::fs::rename(&self.path, old(1))?;
                self.file = append(&self.path)?;
                Ok(())
            }
        }
    }
}

/// All open log files.
pub(super) struct ServiceLogs {
    hostname: String,
    container: ContainerLog,
    files: Mutex<BTreeMap<Service, LogFile>>,
    access: Mutex<Option<LogFile>>,
}

impl ServiceLogs {
    /// Opens every log file for appending; one that cannot be opened is named in `container` and
    /// then goes without, because a missing log is no reason to refuse service.
    pub(super) fn open(settings: &Settings, container: &ContainerLog) -> Self {
        let open = |path: PathBuf| match LogFile::open(path.clone()) {
            Ok(file) => Some(file),
            Err(error) => {
                container.line(format_args!("cannot write {}: {error}", path.display()));
                None
            }
        };
        let files = Service::of(settings.brand)
            .filter_map(|service| {
                let path = settings.logs.join(format!("{}.log", service.name()));
                Some((service, open(path)?))
            })
            .collect();
        Self {
            hostname: settings.hostname.clone(),
            container: container.clone(),
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
        let mut all = with_stack(&with_causes(error));
        if let (Some(all), Value::Object(fields)) = (all.as_object_mut(), fields) {
            all.extend(fields);
        }
        self.write(service, ERROR, message, all);
    }

    /// A message of any level; from errors on with a stack.
    pub(super) fn message(&self, service: Service, level: u8, message: &str, fields: Value) {
        let fields = match level {
            ERROR.. => with_stack(message),
            _ => fields,
        };
        self.write(service, level, message, fields);
    }

    /// A line on the container's output.
    pub(super) fn container(&self, message: &str) {
        self.container.line(message);
    }

    /// Makes room in a log file.
    pub(super) fn rotate(&self, service: Service, by: Rotation) -> io::Result<()> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        match files.get_mut(&service) {
            Some(file) => file.rotate(by),
            None => Ok(()),
        }
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
        file.write(&line);
    }

    /// A request to the site.
    pub(super) fn access(&self, access: &Access<'_>) {
        let mut file = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = file.as_mut() else {
            return;
        };
        file.write(&access_line(access, OffsetDateTime::now_utc()));
    }
}

/// The field of an error, with a stack as the real services write it.
fn with_stack(text: &str) -> Value {
    let stack = format!("Error: {text}\n    at work (bundled:1:1)\n    at serve (bundled:2:1)");
    json!({ "err": { "message": text, "name": "Error", "stack": stack } })
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
    fn a_file_keeps_five_generations_however_it_is_rotated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.log");
        let mut log = LogFile::open(path).unwrap();
        for number in 1..=7 {
            writeln!(log.file, "{number}").unwrap();
            let by = match number % 2 {
                0 => Rotation::Copy,
                _ => Rotation::Rename,
            };
            log.rotate(by).unwrap();
        }
        writeln!(log.file, "8").unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!(read("web.log").as_deref(), Some("8\n"));
        for (generation, number) in [(1, 7), (2, 6), (5, 3)] {
            let found = read(&format!("web.log.{generation}"));
            assert_eq!(found, Some(format!("{number}\n")));
        }
        assert_eq!(read("web.log.6"), None);
    }

    #[test]
    fn the_access_log_rotates_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let log = LogFile::open(path.clone()).unwrap();
        log.file.set_len(LARGEST).unwrap();
        let logs = ServiceLogs {
            hostname: String::new(),
            container: ContainerLog::new(io::sink()),
            files: Mutex::default(),
            access: Mutex::new(Some(log)),
        };
        let request = Access {
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
            method: "GET",
            target: "/status",
            status: 200,
            length: 2,
            agent: "",
        };
        logs.access(&request);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        let old = folder.path().join("access.log.1");
        assert!(std::fs::metadata(old).unwrap().len() > LARGEST);
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
