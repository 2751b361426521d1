//! What `status` and `metrics` show of made-up instances: text, JSON, and numbers.

use std::path::PathBuf;

use time::OffsetDateTime;
use time::macros::datetime;
use toolkit::compose::load;
use toolkit::deployment::Deployment;
use toolkit::engine::inside::Usage;
use toolkit::labels;
use toolkit::observed::condition::{
    AppendOnly, Certificate, CertificateFile, Conditions, Disk, Local, MongoCondition, Pending,
    RedisCondition, Snapshot, Space,
};
use toolkit::observed::machine::Asked;
use toolkit::observed::{Container, ContainerState, Health, Observed, Readiness};
use toolkit::report::{Configuration, Measured, Operation, Report, Run, Told};
use toolkit::ui::words::Style;
use toolkit::ui::{metrics, status};

use super::sandbox::bare;

pub const NOW: OffsetDateTime = datetime!(2026-01-02 12:00:00 UTC);

const DEFINITIONS: &str = "services:
  mongo: {image: 'mongo:8.0'}
  redis: {image: 'redis:7.4'}
  sharelatex: {image: 'sharelatex:6.2.2', scale: 3, depends_on: [mongo, redis]}
";

pub fn deployment() -> Deployment {
    let project = load::project(DEFINITIONS, "p").unwrap();
    let mut deployment = bare("/srv", project);
    deployment.urls = vec!["http://localhost:8080".to_owned()];
    deployment
}

fn container(service: &str, number: u32) -> Container {
    let number = number.to_string();
    Container {
        id: format!("{service}{number}"),
        name: format!("p-{service}-{number}"),
        service: service.to_owned(),
        image: format!("{service}:1"),
        labels: [(labels::CONTAINER_NUMBER.to_owned(), number)].into(),
        state: ContainerState::Running,
        started_at: "2026-01-02T11:00:00.5Z".to_owned(),
        network_ids: ["n".to_owned()].into(),
        ..Container::default()
    }
}

/// Two of three replicas run, and one of them is ill.
pub fn observed() -> Observed {
    let mut ill = container("sharelatex", 2);
    ill.health = Some(Health::Unhealthy);
    ill.restarts = 4;
    let mut stopped = container("redis", 1);
    stopped.state = ContainerState::Exited { exit_code: 137 };
    let mut first = container("mongo", 1);
    first.health = Some(Health::Healthy);
    Observed {
        containers: vec![first, stopped, container("sharelatex", 1), ill],
        readiness: [("sharelatex".to_owned(), Readiness::Ready)].into(),
        ..Observed::default()
    }
}

fn answered<T>(at: &str, is_external: bool, facts: T) -> Asked<T> {
    Asked::Answered {
        at: at.to_owned(),
        is_external,
        facts,
    }
}

fn disk(holds: &[&str], free_gib: u64) -> Disk {
    let gib = 1 << 30;
    Disk {
        holds: holds.iter().map(|name| (*name).to_owned()).collect(),
        space: Ok(Space {
            free_bytes: free_gib * gib,
            total_bytes: 100 * gib,
        }),
    }
}

fn certificate(days: i64) -> CertificateFile {
    CertificateFile {
        path: PathBuf::from("/srv/config/cert.pem"),
        found: Ok(Certificate {
            subject: "tex.example.org".to_owned(),
            names: vec!["tex.example.org".to_owned()],
            not_before: NOW - time::Duration::days(10),
            not_after: NOW + time::Duration::days(days),
        }),
    }
}

/// Everything answers and nothing is to do.
pub fn well() -> Report {
    Report {
        conditions: Conditions {
            mongo: answered(
                "mongo",
                false,
                MongoCondition {
                    version: "8.0.4".to_owned(),
                    compatibility: Some("8.0".to_owned()),
                    set: Some("overleaf".to_owned()),
                    state: "primary".to_owned(),
                    members: Some((1, 1)),
                    data_bytes: Some(1 << 32),
                    disk_bytes: Some(1 << 31),
                },
            ),
            redis: answered("redis.example:6379", true, redis()),
            pending: answered(
                "redis.example:6379",
                true,
                Pending {
                    documents: 2,
                    histories: 1,
                    is_complete: true,
                },
            ),
            local: Local {
                disks: vec![
                    disk(&["/srv/data/overleaf", "/srv/data/mongo"], 40),
                    disk(&["images"], 5),
                ],
                certificate: Some(certificate(89)),
            },
        },
        operation: Ok(None),
        configuration: Configuration {
            steps: Vec::new(),
            applied: Ok(Some("2026-01-01T10:00:00Z".to_owned())),
            changed: Vec::new(),
        },
    }
}

fn redis() -> RedisCondition {
    RedisCondition {
        version: "7.4.1".to_owned(),
        memory_bytes: Some(3 << 20),
        is_loading: false,
        append_only: AppendOnly {
            is_enabled: true,
            is_write_ok: true,
            is_rewriting: false,
            is_rewrite_ok: true,
        },
        snapshot: Snapshot {
            last_save: NOW.unix_timestamp() - 250,
            is_ok: true,
            is_saving: false,
            changes: 7,
        },
    }
}

/// Little answers and much is wrong.
pub fn ill() -> Report {
    let mut report = well();
    let conditions = &mut report.conditions;
    if let Asked::Answered { facts, .. } = &mut conditions.mongo {
        facts.state = "secondary".to_owned();
        facts.compatibility = None;
        facts.members = Some((1, 3));
        facts.disk_bytes = None;
    }
    conditions.redis = Asked::NotAsked {
        because: "`redis` does not run".to_owned(),
    };
    conditions.pending = Asked::Silent {
        at: "redis".to_owned(),
        because: "Connection refused".to_owned(),
    };
    conditions.local.disks = vec![Disk {
        holds: vec!["/srv/data/overleaf".to_owned()],
        space: Err("the engine at `tcp://far:1` is on another machine".to_owned()),
    }];
    conditions.local.certificate = Some(certificate(-3));
    report.operation = Ok(Some(Operation {
        id: "20260102T030405Z-1a2b3c".to_owned(),
        command: "up".to_owned(),
        started: "2026-01-02T03:04:05Z".to_owned(),
        done: 1,
        steps: 4,
        ending: None,
        run: None,
    }));
    report.configuration = Configuration {
        steps: vec!["start container `p-redis-1`".to_owned()],
        applied: Ok(Some("2026-01-01T10:00:00Z".to_owned())),
        changed: vec!["config/overleaf.rc".to_owned()],
    };
    report
}

fn shown(report: &Report) -> String {
    status::view(&deployment(), &observed(), report, NOW, Style::default())
}

#[test]
fn status_view_shows_everything_on_one_screen() {
    insta::assert_snapshot!(shown(&well()));
}

#[test]
fn status_view_says_why_a_part_is_not_known() {
    let text = shown(&ill());
    let (_, parts) = text.split_once("\n\nmongo ").unwrap();
    insta::assert_snapshot!(parts);
}

#[test]
fn status_view_tells_a_run_that_goes_on_from_one_that_did_not_end() {
    let mut report = ill();
    if let Ok(Some(operation)) = &mut report.operation {
        operation.run = Some(Run {
            process: 812,
            step: Some("pull image `mongo:8.0`".to_owned()),
        });
    }
    report.configuration.steps = vec!["x".to_owned(); 5];
    report.configuration.applied = Ok(None);
    report.conditions.local.certificate = Some(certificate(0));
    let text = shown(&report);
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn status_document_keeps_its_fields_and_adds_the_parts() {
    let value = status::value(&deployment(), &observed(), &well(), NOW);
    let services = value["services"].as_array().unwrap();
    // What version 1 of the schema has always had.
    for field in [
        "service",
        "container",
        "state",
        "exit_code",
        "health",
        "ready",
        "reason",
        "restarts",
        "started_at",
        "image",
        "bundled",
    ] {
        assert!(services[0].get(field).is_some(), "{field}");
    }
    let replicas = services[2]["containers"].as_array().unwrap();
    let states: Vec<&str> = replicas
        .iter()
        .map(|found| found["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["running", "running", "missing"]);
    let parts = [
        "mongo",
        "redis",
        "pending",
        "disks",
        "certificate",
        "operation",
        "configuration",
    ];
    let parts: serde_json::Map<String, serde_json::Value> = parts
        .into_iter()
        .map(|part| (part.to_owned(), value[part].clone()))
        .collect();
    insta::assert_snapshot!(serde_json::to_string_pretty(&parts).unwrap());
    let value = status::value(&deployment(), &observed(), &ill(), NOW);
    assert_eq!(value["pending"]["answered"], false);
    assert_eq!(value["pending"]["at"], "redis");
    assert_eq!(value["redis"]["reason"], "`redis` does not run");
    assert_eq!(value["operation"]["running"], false);
    assert_eq!(value["certificate"]["days_left"], -3);
}

#[test]
fn a_service_that_is_to_have_no_container_misses_none() {
    let text = DEFINITIONS.replace("scale: 3", "scale: 0");
    let deployment = bare("/srv", load::project(&text, "p").unwrap());
    let mut observed = observed();
    let others = ["mongo", "redis"];
    observed
        .containers
        .retain(|found| others.contains(&found.service.as_str()));
    let value = status::value(&deployment, &observed, &well(), NOW);
    let service = &value["services"][2];
    assert_eq!(service["service"], "sharelatex");
    assert_eq!(
        (&service["state"], &service["reason"]),
        (&serde_json::json!("none"), &serde_json::Value::Null)
    );
    let text = status::view(&deployment, &observed, &well(), NOW, Style::default());
    let line = text.lines().find(|line| line.starts_with("sharelatex"));
    assert!(line.unwrap().contains("none, as configured"), "{text}");
}

/// What `metrics` is given.
pub fn measured(report: Report) -> Measured {
    Measured {
        at: NOW,
        program: ("0.1.0", "00da526dd1bdaade"),
        local: report.conditions.local.clone(),
        operation: report.operation.clone(),
        engine: Ok(Told {
            observed: observed(),
            report,
            usage: [(
                "p-mongo-1".to_owned(),
                Usage {
                    processor: 1_500_000_000,
                    memory: 4096,
                    memory_limit: 1 << 33,
                    processes: 12,
                },
            )]
            .into(),
        }),
    }
}

/// The text of a measurement of the made-up deployment.
pub fn metrics_text(measured: &Measured) -> String {
    metrics::text(&deployment(), measured)
}
