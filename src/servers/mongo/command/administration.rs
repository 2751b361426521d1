//! Commands about the server itself: what it is, how it does, its feature compatibility version,
//! shutdown.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bson::Bson;
use bson::Document;
use bson::doc;

use super::super::catalog::Namespace;
use super::super::catalog::Operation;
use super::super::failure::Code;
use super::super::failure::Failure;
use super::super::log;
use super::super::log::Event;
use super::super::request::Request;
use super::Access;
use super::Answer;
use super::Definition;
use super::Engine;
use super::Run;
use super::Stop;
use super::collections::stored_bytes;
use super::count;
use super::writing::LARGEST_DOCUMENT;

/// The version of MongoDB whose behaviour this server follows.
const VERSION: &str = "8.0.0";

/// What the server says it really is.
const IMPLEMENTATION: &str = "toolkit bundled server";

/// The feature compatibility versions MongoDB 8.0 can have.
const FEATURE_VERSIONS: [&str; 2] = ["7.0", "8.0"];
const NEWEST_FEATURE_VERSION: &str = "8.0";
const FEATURE_VERSION: &str = "featureCompatibilityVersion";

pub(super) const COMMANDS: &[Definition] = &[
    Definition::of_server("ping", false, ping),
    Definition::of_server("buildInfo", false, build_info),
    Definition::of_server("buildinfo", false, build_info),
    Definition::of_server("getParameter", true, parameter),
    Definition {
        name: "setFeatureCompatibilityVersion",
        access: Access::Write,
        is_admin: true,
        run: Run::Engine(set_feature_version),
    },
    Definition::of_server("dbStats", false, database_statistics),
    Definition::of_server("dbstats", false, database_statistics),
    Definition::of_server("collStats", false, collection_statistics),
    Definition::of_server("serverStatus", false, server_status),
    Definition::of_server("getLog", true, server_log),
    Definition::of_server("connectionStatus", false, connection_status),
    Definition::of_server("whatsmyuri", false, own_address),
    Definition::of_server("getCmdLineOpts", true, command_line),
    Definition::of_server("hostInfo", false, host_info),
    Definition::of_server("fsync", true, sync),
    Definition::of_server("shutdown", true, shut_down),
];

/// The operations that store a document of the server itself.
pub(super) fn put(engine: &Engine, namespace: &Namespace, document: Document) -> Vec<Operation> {
    let mut operations = Vec::new();
    if engine.catalog.collection(namespace).is_none() {
        let uuid = bson::Uuid::new();
        operations.push(Operation::Create {
            namespace: namespace.clone(),
            uuid,
        });
    }
    let document = Arc::new(document);
    operations.push(Operation::Put {
        namespace: namespace.clone(),
        document,
    });
    operations
}

fn version_namespace() -> Namespace {
    Namespace::new("admin", "system.version")
}

fn put_version(engine: &Engine, version: &str) -> Vec<Operation> {
    put(
        engine,
        &version_namespace(),
        doc! {"_id": FEATURE_VERSION, "version": version},
    )
}

fn stored_version(engine: &Engine) -> Option<String> {
    let stored = engine
        .catalog
        .find(&version_namespace(), &FEATURE_VERSION.into())?;
    stored.get_str("version").ok().map(str::to_owned)
}

/// What a first start stores: a new server has the newest feature compatibility version.
pub(super) fn initial_version(engine: &Engine) -> Vec<Operation> {
    match stored_version(engine) {
        Some(_) => Vec::new(),
        None => put_version(engine, NEWEST_FEATURE_VERSION),
    }
}

fn ping(_engine: &mut Engine, _request: &Request) -> Answer {
    Ok(Document::new())
}

fn build_info(_engine: &mut Engine, _request: &Request) -> Answer {
    Ok(doc! {
        "version": VERSION,
        "gitVersion": "none",
        "implementation": IMPLEMENTATION,
        "implementationVersion": env!("CARGO_PKG_VERSION"),
        "modules": [],
        "javascriptEngine": "none",
        "versionArray": [8, 0, 0, 0],
        "bits": 64,
        "debug": false,
        "maxBsonObjectSize": count(LARGEST_DOCUMENT),
        "storageEngines": ["toolkit"],
    })
}

fn parameter(engine: &mut Engine, request: &Request) -> Answer {
    let is_all = request
        .body
        .get_str("getParameter")
        .is_ok_and(|name| name == "*");
    request.allow(&[FEATURE_VERSION]).map_err(|failure| {
        let message = format!("no option found to get: {failure}");
        Failure::new(Code::InvalidOptions, message)
    })?;
    if !is_all && !request.body.contains_key(FEATURE_VERSION) {
        return Err(Failure::new(Code::InvalidOptions, "no option found to get"));
    }
    Ok(doc! {FEATURE_VERSION: {"version": stored_version(engine)}})
}

fn set_feature_version(engine: &mut Engine, request: &Request) -> Answer {
    request.allow(&["confirm"])?;
    let fields = request.fields();
    let version = fields.required_text("setFeatureCompatibilityVersion")?;
    if !FEATURE_VERSIONS.contains(&version) {
        let message = format!(
            "invalid feature compatibility version '{version}'; expected '{}'",
            FEATURE_VERSIONS.join("' or '")
        );
        return Err(Failure::new(Code::Location4926900, message));
    }
    if fields.flag("confirm")? != Some(true) {
        let message = "a changed feature compatibility version may not be undone without support: \
                       run the command again with `confirm: true`";
        return Err(Failure::new(Code::Location7369100, message));
    }
    if stored_version(engine).as_deref() != Some(version) {
        let operations = put_version(engine, version);
        engine.record(&operations)?;
        engine.log.line(&Event::VersionSet { version });
    }
    Ok(Document::new())
}

/// Sums over documents, in bytes divided by the wanted scale.
struct Statistics {
    collections: usize,
    objects: usize,
    bytes: usize,
    indexes: usize,
}

impl Statistics {
    fn average(&self) -> f64 {
        if self.objects == 0 {
            0.0
        } else {
            self.bytes as f64 / self.objects as f64
        }
    }
}

fn statistics(engine: &Engine, is_meant: impl Fn(&Namespace) -> bool) -> Statistics {
    let mut sums = Statistics {
        collections: 0,
        objects: 0,
        bytes: 0,
        indexes: 0,
    };
    for (_, collection) in engine
        .catalog
        .collections()
        .filter(|(name, _)| is_meant(name))
    {
        sums.collections += 1;
        sums.objects += collection.documents().len();
        sums.bytes += stored_bytes(collection);
        sums.indexes += collection.indexes.len() + 1;
    }
    sums
}

fn scale(request: &Request) -> Result<usize, Failure> {
    match request.fields().amount("scale")? {
        Some(0) => Err(Failure::new(Code::BadValue, "the scale must be positive")),
        scale => Ok(scale.unwrap_or(1)),
    }
}

fn database_statistics(engine: &mut Engine, request: &Request) -> Answer {
    request.allow(&["scale", "freeStorage"])?;
    let scale = scale(request)?;
    let sums = statistics(engine, |namespace| namespace.database == request.database);
    let size = (sums.bytes / scale) as f64;
    Ok(doc! {
        "db": &request.database,
        "collections": count(sums.collections),
        "views": 0,
        "objects": count(sums.objects),
        "avgObjSize": sums.average(),
        "dataSize": size,
        "storageSize": size,
        "indexes": count(sums.indexes),
        "indexSize": 0.0,
        "totalSize": size,
        "scaleFactor": count(scale),
    })
}

fn collection_statistics(engine: &mut Engine, request: &Request) -> Answer {
    request.allow(&["scale"])?;
    let scale = scale(request)?;
    let wanted = request.namespace()?;
    let sums = statistics(engine, |namespace| *namespace == wanted);
    let size = count(sums.bytes / scale);
    Ok(doc! {
        "ns": wanted.to_string(),
        "count": count(sums.objects),
        "size": size.clone(),
        "avgObjSize": sums.average(),
        "storageSize": size.clone(),
        "totalSize": size,
        "nindexes": count(sums.indexes),
        "totalIndexSize": 0,
        "indexSizes": {},
        "capped": false,
        "scaleFactor": count(scale),
    })
}

fn server_status(engine: &mut Engine, _request: &Request) -> Answer {
    let uptime = engine.started_at.elapsed();
    Ok(doc! {
        "host": &engine.options.address,
        "version": VERSION,
        "implementation": IMPLEMENTATION,
        "process": "mongod",
        "pid": i64::from(std::process::id()),
        "uptime": uptime.as_secs_f64().floor(),
        "uptimeMillis": i64::try_from(uptime.as_millis()).unwrap_or(i64::MAX),
        "localTime": bson::DateTime::now(),
        "connections": {"current": count(engine.connections.load(Ordering::Relaxed))},
        "storageEngine": {"name": "toolkit", "persistent": true},
    })
}

fn server_log(engine: &mut Engine, request: &Request) -> Answer {
    match request.fields().required_text("getLog")? {
        "*" => Ok(doc! {"names": ["global", "startupWarnings"]}),
        "startupWarnings" | "global" => {
            let replica_set = engine.options.replica_set.as_deref();
            let event = Event::Starting {
                folder: &engine.options.data,
                replica_set,
            };
            Ok(doc! {"totalLinesWritten": 1, "log": [log::line(engine.started, &event)]})
        }
        other => {
            let message = format!("no log named '{other}'");
            Err(Failure::new(Code::BadValue, message))
        }
    }
}

fn connection_status(_engine: &mut Engine, request: &Request) -> Answer {
    let mut status = doc! {"authenticatedUsers": [], "authenticatedUserRoles": []};
    if request.fields().flag("showPrivileges")?.unwrap_or(false) {
        status.insert("authenticatedUserPrivileges", Bson::Array(Vec::new()));
    }
    Ok(doc! {"authInfo": status})
}

fn own_address(_engine: &mut Engine, request: &Request) -> Answer {
    Ok(doc! {"you": request.peer.address.to_string()})
}

fn command_line(engine: &mut Engine, _request: &Request) -> Answer {
    let path = engine.options.data.display().to_string();
    let mut arguments = vec!["mongod".to_owned(), "--dbpath".to_owned(), path.clone()];
    let mut parsed = doc! {"storage": {"dbPath": path}};
    if let Some(set) = &engine.options.replica_set {
        arguments.extend(["--replSet".to_owned(), set.clone()]);
        parsed.insert("replication", doc! {"replSet": set});
    }
    Ok(doc! {"argv": arguments, "parsed": parsed})
}

fn host_info(engine: &mut Engine, _request: &Request) -> Answer {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(doc! {
        "system": {
            "currentTime": bson::DateTime::now(),
            "hostname": &engine.options.address,
            "cpuAddrSize": 64,
            "numCores": count(processors),
            "cpuArch": std::env::consts::ARCH,
        },
        "os": {"type": std::env::consts::OS, "name": IMPLEMENTATION, "version": VERSION},
        "extra": {},
    })
}

/// Every write is on disk when it is confirmed; this makes sure once more.
fn sync(engine: &mut Engine, request: &Request) -> Answer {
    request.allow(&["lock", "async"])?;
    if request.fields().flag("lock")?.unwrap_or(false) {
        return Err(Failure::unsupported("fsync.lock"));
    }
    match engine.store.sync() {
        Ok(()) => Ok(doc! {"numFiles": 1}),
        Err(error) => Err(engine.fault(error)),
    }
}

fn shut_down(engine: &mut Engine, request: &Request) -> Answer {
    request.allow(&["force", "timeoutSecs"])?;
    engine.stop = Some(Stop::Requested);
    Ok(Document::new())
}
