//! Checks of mongo and redis.

use super::{Ignores, Made, Operation, World, deployment, row, run};
use crate::labels;
use crate::observed::Container;
use crate::observed::machine::{Asked, MongoFacts, RedisFacts};

const EXTERNAL: &str = "MONGO_ENABLED=false\nMONGO_URL=mongodb://m.example/x\nREDIS_ENABLED=false\nREDIS_HOST=r.example\nREDIS_PORT=6379\n";

fn mongo_says(is_external: bool, version: &str, compatibility: Option<&str>) -> Asked<MongoFacts> {
    Asked::Answered {
        at: "m.example:27017".to_owned(),
        is_external,
        facts: MongoFacts {
            version: version.to_owned(),
            compatibility: compatibility.map(str::to_owned),
            set: Some("rs0".to_owned()),
            is_primary: true,
        },
    }
}

fn external(mongo: Asked<MongoFacts>) -> Made {
    Made::with(EXTERNAL, |made| made.machine.mongo = mongo)
}

fn configured(mongo: &str, version: &str) -> Made {
    let mut made = Made::of(deployment("", "", version));
    let service = made.deployment.project.services.get_mut("mongo").unwrap();
    service.image = format!("mongo:{mongo}");
    made
}

#[test]
fn the_server_and_the_release() {
    let finding = configured("7.0", "6.2.2").fails("MONGO_TOO_OLD");
    assert_eq!(finding.needed, "8.0 or later");
    configured("8.0", "6.2.2").passes("MONGO_TOO_OLD");
    configured("6.0.20", "5.5.8").passes("MONGO_TOO_OLD");
    configured("8.2", "6.2.2").fails("MONGO_TOO_NEW");
    configured("8.0.13", "6.2.2").passes("MONGO_TOO_NEW");
    external(mongo_says(true, "7.0.5", None)).fails("MONGO_TOO_OLD");
    external(mongo_says(true, "8.0.5", None)).passes("MONGO_TOO_OLD");
    external(Asked::default()).skips("MONGO_TOO_OLD");
    Made::new("BUNDLED_SERVERS=true\n").skips("MONGO_TOO_OLD");
    configured("latest", "6.2.2").skips("MONGO_TOO_OLD");
}

#[test]
fn the_server_and_the_data() {
    let data = |version: &str, configured_version: &str| {
        let mut made = configured(configured_version, "5.5.8");
        made.machine.mongo_data_version = Some(version.to_owned());
        made
    };
    let finding = data("8.0.4", "7.0").fails("MONGO_DOWNGRADE");
    assert!(finding.fix.contains("MONGO_VERSION=8.0"), "{}", finding.fix);
    data("8.0.4", "8.0.1").passes("MONGO_DOWNGRADE");
    data("7.0.4", "8").passes("MONGO_DOWNGRADE");
    let finding = data("5.0.4", "8.0").fails("MONGO_STEP_SKIPPED");
    assert!(finding.fix.contains("MONGO_VERSION=6.0"), "{}", finding.fix);
    data("7.0.1", "8.0").passes("MONGO_STEP_SKIPPED");
    data("8.0.1", "8.0").passes("MONGO_STEP_SKIPPED");
    configured("8.0", "6.2.2").skips("MONGO_DOWNGRADE");
    data("8.0.4", "7.0@sha256:ab").fails("MONGO_DOWNGRADE");
    let mut volume = data("8.0.4", "7.0");
    let mongo = volume.deployment.project.services.get_mut("mongo").unwrap();
    mongo.volumes.clear();
    volume.skips("MONGO_DOWNGRADE");
    let mut empty = data("8.0.4", "7.0");
    empty
        .machine
        .paths
        .values_mut()
        .for_each(|facts| facts.is_empty = true);
    assert_eq!(empty.skips("MONGO_DOWNGRADE"), "there is no data yet");

    let mut container = configured("7.0", "5.5.8");
    container.observed.containers.push(Container {
        service: "mongo".to_owned(),
        image: "mongo:8.0".to_owned(),
        ..Container::default()
    });
    let finding = container.fails("MONGO_DOWNGRADE");
    assert!(finding.because.contains("its container has that image"));
    container.machine.mongo = mongo_says(false, "6.0.1", None);
    container.passes("MONGO_DOWNGRADE");
    // What a bundled server leaves behind says nothing about a mongo.
    let bundled = &mut container.observed.containers[0];
    bundled.image = "toolkit-bundled/mongo:0a1b".to_owned();
    bundled
        .labels
        .insert(labels::BUNDLED.to_owned(), "true".to_owned());
    container.machine.mongo = Asked::default();
    container.skips("MONGO_DOWNGRADE");
}

#[test]
fn the_feature_compatibility_version() {
    let running = |compatibility: Option<&str>, wanted: &str, release: &str| {
        let mut made = configured(wanted, release);
        made.machine.mongo = mongo_says(false, "7.0.1", compatibility);
        made
    };
    let finding = running(Some("6.0"), "8.0", "5.5.8").fails("MONGO_COMPATIBILITY");
    assert!(
        finding.because.contains("MongoDB 8.0"),
        "{}",
        finding.because
    );
    running(Some("7.0"), "8.0", "5.5.8").passes("MONGO_COMPATIBILITY");
    running(None, "8.0", "5.5.8").skips("MONGO_COMPATIBILITY");
    let finding = external(mongo_says(true, "8.0.1", Some("6.0"))).fails("MONGO_COMPATIBILITY");
    assert!(
        finding.because.contains("Overleaf 6.2.2"),
        "{}",
        finding.because
    );
    configured("8.0", "6.2.2").skips("MONGO_COMPATIBILITY");
}

#[test]
fn an_external_mongo() {
    let silent = || Asked::Silent {
        at: "m.example:27017".to_owned(),
        because: "connection refused".to_owned(),
    };
    let finding = external(silent()).fails("MONGO_UNREACHABLE");
    assert_eq!(finding.because, "connection refused");
    external(mongo_says(true, "8.0.1", None)).passes("MONGO_UNREACHABLE");
    Made::new("").skips("MONGO_UNREACHABLE");

    let set = |name: Option<&str>, is_primary: bool| {
        let facts = MongoFacts {
            version: "8.0.1".to_owned(),
            compatibility: None,
            set: name.map(str::to_owned),
            is_primary,
        };
        external(Asked::Answered {
            at: "m.example:27017".to_owned(),
            is_external: true,
            facts,
        })
    };
    assert_eq!(
        set(None, true).fails("MONGO_REPLICA_SET").measured,
        "no replica set"
    );
    assert_eq!(
        set(Some("a"), false).fails("MONGO_REPLICA_SET").measured,
        "no primary"
    );
    set(Some("a"), true).passes("MONGO_REPLICA_SET");
    external(silent()).skips("MONGO_REPLICA_SET");
    Made::new("").skips("MONGO_REPLICA_SET");
}

#[test]
fn redis() {
    let says = |redis| Made::with(EXTERNAL, |made| made.machine.redis = redis);
    let answer = |version: &str| Asked::Answered {
        at: "r.example:6379".to_owned(),
        is_external: true,
        facts: RedisFacts {
            version: version.to_owned(),
        },
    };
    let silent = Asked::Silent {
        at: "r.example:6379".to_owned(),
        because: "connection refused".to_owned(),
    };
    says(silent).fails("REDIS_UNREACHABLE");
    says(answer("7.4.1")).passes("REDIS_UNREACHABLE");
    Made::new("").skips("REDIS_UNREACHABLE");
    assert_eq!(
        says(answer("6.2.1")).fails("REDIS_TOO_OLD").measured,
        "6.2.1"
    );
    says(answer("7.4.1")).passes("REDIS_TOO_OLD");
    Made::new("").passes("REDIS_TOO_OLD");
    Made::new("REDIS_IMAGE=redis:6.2\n").fails("REDIS_TOO_OLD");
}

#[test]
fn a_new_mongo_whose_data_tells_nothing_is_said() {
    let registry = row::load().unwrap();
    let blind = |found: &str, wanted: &str| {
        let mut made = Made::new("");
        let service = made.deployment.project.services.get_mut("mongo").unwrap();
        service.image = wanted.to_owned();
        if !found.is_empty() {
            made.observed.containers.push(Container {
                name: "mongo".to_owned(),
                service: "mongo".to_owned(),
                image: found.to_owned(),
                ..Container::default()
            });
        }
        let world = World {
            deployment: &made.deployment,
            observed: Ok(&made.observed),
            machine: &made.machine,
        };
        let ignores = Ignores::default();
        let checked = run(&registry, &world, Operation::Up, &ignores).unwrap();
        let blind = super::super::blind(&checked, &world);
        blind
            .into_iter()
            .map(|(id, _)| id.to_owned())
            .collect::<Vec<_>>()
    };
    let both = ["MONGO_DOWNGRADE", "MONGO_STEP_SKIPPED"];
    assert_eq!(blind("own/mongo:old", "mongo:8.0"), both);
    assert_eq!(blind("mongo:7.0", "own/mongo:new"), both);
    assert_eq!(blind("", "mongo:8.0"), both);
    assert_eq!(blind("mongo:7.0", "mongo:8.0"), [""; 0]);
    assert_eq!(blind("own/mongo:old", "own/mongo:old"), [""; 0]);
}
