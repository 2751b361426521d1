//! How an instance does, as Prometheus reads it: the text format, version 0.0.4.

use std::collections::BTreeMap;
use std::fmt::Display;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::deployment::Deployment;
use crate::observed::condition::{Local, MongoCondition, Pending, RedisCondition};
use crate::observed::machine::Asked;
use crate::observed::{Container, Health, Observed};
use crate::report::{Measured, Operation, Report, Told};

/// Nanoseconds of a second.
const NANOSECONDS: f64 = 1e9;

/// The text, one family after the other.
#[must_use]
pub fn text(deployment: &Deployment, measured: &Measured) -> String {
    let mut page = Page::default();
    let (version, build) = measured.program;
    page.gauge(
        "info",
        "What is measured, and by which program.",
        &[
            ("version", version),
            ("build", build),
            ("project", &deployment.project.name),
            ("edition", deployment.edition.id()),
            ("release", &deployment.version.to_string()),
        ],
        1,
    );
    page.gauge(
        "measured_timestamp_seconds",
        "When all this was measured.",
        &[],
        measured.at.unix_timestamp(),
    );
    page.gauge(
        "engine_reachable",
        "Whether the container engine answered; without it, less is told.",
        &[],
        flag(measured.engine.is_ok()),
    );
    local(&mut page, &measured.local);
    operation(&mut page, &measured.operation);
    if let Ok(told) = &measured.engine {
        services(&mut page, deployment, &told.observed);
        containers(&mut page, told);
        stores(&mut page, &told.report);
        configuration(&mut page, &told.report);
    }
    page.text()
}

fn flag(is_so: bool) -> u8 {
    u8::from(is_so)
}

/// A label and its value.
type Label<'a> = (&'a str, &'a str);

/// Families with their samples, each family once and in the order in which they began.
#[derive(Default)]
struct Page {
    families: Vec<(String, String)>,
    samples: BTreeMap<String, String>,
}

impl Page {
    fn gauge(&mut self, name: &str, help: &str, labels: &[Label<'_>], value: impl Display) {
        self.sample("gauge", name, help, labels, value);
    }

    /// A value that only grows, until what it counts begins anew.
    fn counter(&mut self, name: &str, help: &str, labels: &[Label<'_>], value: impl Display) {
        self.sample("counter", name, help, labels, value);
    }

    fn sample(
        &mut self,
        kind: &str,
        name: &str,
        help: &str,
        labels: &[Label<'_>],
        value: impl Display,
    ) {
        let name = format!("toolkit_{name}");
        let lines = self.samples.entry(name.clone()).or_insert_with(|| {
            let head = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
            self.families.push((name.clone(), head));
            String::new()
        });
        let labels = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)));
        let labels = labels.collect::<Vec<_>>().join(",");
        let labels = match labels.as_str() {
            "" => String::new(),
            labels => format!("{{{labels}}}"),
        };
        lines.push_str(&format!("{name}{labels} {value}\n"));
    }

    fn text(&self) -> String {
        let families = self.families.iter();
        families
            .map(|(name, head)| {
                let samples = self.samples.get(name).map_or("", String::as_str);
                format!("{head}{samples}")
            })
            .collect()
    }
}

/// The value of a label, as the format wants it.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn local(page: &mut Page, local: &Local) {
    for disk in &local.disks {
        let Ok(space) = &disk.space else { continue };
        for path in &disk.holds {
            let labels = [("holds", path.as_str())];
            page.gauge(
                "disk_free_bytes",
                "What is left on the filesystem of a data folder, or of the engine's images.",
                &labels,
                space.free_bytes,
            );
            page.gauge(
                "disk_size_bytes",
                "Size of the filesystem of a data folder, or of the engine's images.",
                &labels,
                space.total_bytes,
            );
        }
    }
    if let Some(file) = &local.certificate {
        page.gauge(
            "certificate_readable",
            "Whether the certificate of the TLS proxy could be read.",
            &[],
            flag(file.found.is_ok()),
        );
        if let Ok(found) = &file.found {
            page.gauge(
                "certificate_expiry_timestamp_seconds",
                "Until when the certificate of the TLS proxy is good.",
                &[("subject", &found.subject)],
                found.not_after.unix_timestamp(),
            );
        }
    }
}

fn operation(page: &mut Page, found: &Result<Option<Operation>, String>) {
    let is = |goes_on: bool| match found {
        // What failed or was interrupted has ended, and stops no other command.
        Ok(Some(operation)) => operation.ending.is_none() && operation.run.is_some() == goes_on,
        _ => false,
    };
    // A journal that cannot be read stops every command as an unfinished operation does.
    page.gauge(
        "operation_unfinished",
        "Whether an operation did not end, and waits for resume or rollback.",
        &[],
        flag(is(false) || found.is_err()),
    );
    page.gauge(
        "operation_running",
        "Whether an operation goes on.",
        &[],
        flag(is(true)),
    );
}

fn services(page: &mut Page, deployment: &Deployment, observed: &Observed) {
    let lacking = observed.shortcomings(&deployment.project);
    for service in deployment.project.start_order() {
        let is_lacking = lacking.iter().any(|(name, _)| name == service);
        page.gauge(
            "service_working",
            "Whether a service does its work, as far as its checks tell.",
            &[("service", service)],
            flag(!is_lacking),
        );
    }
}

fn containers(page: &mut Page, told: &Told) {
    for found in &told.observed.containers {
        let labels = [
            ("service", found.service.as_str()),
            ("container", found.name.as_str()),
        ];
        container(page, found, &labels);
        let Some(usage) = told.usage.get(&found.name) else {
            continue;
        };
        #[expect(clippy::cast_precision_loss, reason = "a share of a second is enough")]
        let seconds = usage.processor as f64 / NANOSECONDS;
        page.counter(
            "container_cpu_seconds_total",
            "Processor time of a container since it was started.",
            &labels,
            seconds,
        );
        for (name, help, value) in [
            (
                "container_memory_bytes",
                "Memory of a container, without what the kernel can drop.",
                usage.memory,
            ),
            (
                "container_memory_limit_bytes",
                "The most memory a container may have.",
                usage.memory_limit,
            ),
            (
                "container_processes",
                "Processes and threads of a container.",
                usage.processes,
            ),
        ] {
            page.gauge(name, help, &labels, value);
        }
    }
}

fn container(page: &mut Page, found: &Container, labels: &[Label<'_>]) {
    page.gauge(
        "container_running",
        "Whether a container runs.",
        labels,
        flag(found.state.is_running()),
    );
    if let Some(health) = found.health {
        page.gauge(
            "container_healthy",
            "Whether the health check of a container succeeds; only of those that have one.",
            labels,
            flag(health == Health::Healthy),
        );
    }
    page.counter(
        "container_restarts_total",
        "How often the engine has restarted a container.",
        labels,
        found.restarts,
    );
    if let Ok(at) = OffsetDateTime::parse(&found.started_at, &Rfc3339)
        && found.state.is_running()
    {
        page.gauge(
            "container_start_timestamp_seconds",
            "When a container was started.",
            labels,
            at.unix_timestamp(),
        );
    }
    let image = [labels, &[("image", found.image.as_str())]].concat();
    page.gauge("container_info", "The image of a container.", &image, 1);
}

fn stores(page: &mut Page, report: &Report) {
    let conditions = &report.conditions;
    for (store, is_up) in [
        ("mongo", is_answered(&conditions.mongo)),
        ("redis", is_answered(&conditions.redis)),
    ] {
        page.gauge(
            "store_answering",
            "Whether mongo or redis answered.",
            &[("store", store)],
            flag(is_up),
        );
    }
    if let Asked::Answered { facts, .. } = &conditions.mongo {
        mongo(page, facts);
    }
    if let Asked::Answered { facts, .. } = &conditions.redis {
        redis(page, facts);
    }
    if let Asked::Answered { facts, .. } = &conditions.pending {
        pending(page, *facts);
    }
}

fn is_answered<T>(part: &Asked<T>) -> bool {
    matches!(part, Asked::Answered { .. })
}

fn mongo(page: &mut Page, found: &MongoCondition) {
    page.gauge(
        "mongo_info",
        "Versions and state of mongo.",
        &[
            ("version", &found.version),
            (
                "compatibility",
                found.compatibility.as_deref().unwrap_or_default(),
            ),
            ("replica_set", found.set.as_deref().unwrap_or_default()),
            ("state", &found.state),
        ],
        1,
    );
    page.gauge(
        "mongo_takes_writes",
        "Whether mongo is a primary, or runs without a replica set.",
        &[],
        flag(found.takes_writes()),
    );
    let sizes = [
        (
            "mongo_data_bytes",
            "Size of the documents of the application, before compression.",
            found.data_bytes,
        ),
        (
            "mongo_disk_bytes",
            "What the application's database takes on the disk, with its indexes.",
            found.disk_bytes,
        ),
    ];
    for (name, help, size) in sizes {
        if let Some(size) = size {
            page.gauge(name, help, &[], size);
        }
    }
}

fn redis(page: &mut Page, found: &RedisCondition) {
    page.gauge(
        "redis_info",
        "Version of redis.",
        &[("version", &found.version)],
        1,
    );
    if let Some(bytes) = found.memory_bytes {
        page.gauge(
            "redis_memory_bytes",
            "What the data of redis takes in memory.",
            &[],
            bytes,
        );
    }
    let (file, snapshot) = (&found.append_only, &found.snapshot);
    for (name, help, is_so) in [
        (
            "redis_loading",
            "Whether redis reads its data.",
            found.is_loading,
        ),
        (
            "redis_aof_enabled",
            "Whether redis has an append-only file.",
            file.is_enabled,
        ),
        (
            "redis_aof_write_ok",
            "Whether the last write to the append-only file went well.",
            file.is_write_ok,
        ),
        (
            "redis_aof_rewriting",
            "Whether the append-only file is being rewritten.",
            file.is_rewriting,
        ),
        (
            "redis_aof_rewrite_ok",
            "Whether the last rewrite of the append-only file went well.",
            file.is_rewrite_ok,
        ),
        (
            "redis_rdb_save_ok",
            "Whether the last snapshot went well.",
            snapshot.is_ok,
        ),
    ] {
        page.gauge(name, help, &[], flag(is_so));
    }
    page.gauge(
        "redis_rdb_last_save_timestamp_seconds",
        "When the last snapshot was made.",
        &[],
        snapshot.last_save,
    );
    page.gauge(
        "redis_rdb_changes",
        "Changes since the last snapshot.",
        &[],
        snapshot.changes,
    );
}

fn pending(page: &mut Page, found: Pending) {
    page.gauge(
        "pending_documents",
        "Documents that redis holds while they are edited.",
        &[],
        found.documents,
    );
    page.gauge(
        "pending_histories",
        "Projects whose history waits in redis.",
        &[],
        found.histories,
    );
    page.gauge(
        "pending_counted",
        "Whether all keys were counted; else there may be more.",
        &[],
        flag(found.is_complete),
    );
}

fn configuration(page: &mut Page, report: &Report) {
    page.gauge(
        "configuration_steps",
        "Steps that `toolkit up` would do.",
        &[],
        report.configuration.steps.len(),
    );
    let applied = report.configuration.applied.as_ref().ok();
    let at = applied.and_then(|at| OffsetDateTime::parse(at.as_ref()?, &Rfc3339).ok());
    if let Some(at) = at {
        page.gauge(
            "configuration_applied_timestamp_seconds",
            "When the configuration was last applied completely.",
            &[],
            at.unix_timestamp(),
        );
    }
}
