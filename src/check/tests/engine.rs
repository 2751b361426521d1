//! Checks of the engine and of its machine.

use super::{Made, deployment};
use crate::observed::Image;

#[test]
fn versions_of_the_engine() {
    let at = |api| Made::with("", |made| made.observed.engine.api = api);
    assert_eq!(at((1, 40)).fails("ENGINE_TOO_OLD").measured, "API 1.40");
    at((1, 41)).passes("ENGINE_TOO_OLD");
    assert_eq!(at((1, 41)).fails("ENGINE_OLD").needed, "API 1.42");
    at((1, 42)).passes("ENGINE_OLD");
}

#[test]
fn kinds_of_engines_are_named() {
    let good = Made::new("");
    let made = Made::with("", |made| {
        made.observed.engine.product = "Podman Engine".to_owned();
    });
    made.fails("ENGINE_PODMAN");
    good.passes("ENGINE_PODMAN");
    let made = Made::with("", |made| {
        made.observed.engine.operating_system_name = "Docker Desktop".to_owned();
    });
    made.fails("ENGINE_DESKTOP");
    good.passes("ENGINE_DESKTOP");
    let made = Made::with("", |made| {
        made.observed
            .engine
            .security
            .push("name=rootless".to_owned());
    });
    let finding = made.fails("ENGINE_ROOTLESS");
    assert!(
        finding.because.contains("such as 80"),
        "{}",
        finding.because
    );
    good.passes("ENGINE_ROOTLESS");
    let made = Made::with("", |made| {
        let root = "/var/snap/docker/common/var-lib-docker";
        made.observed.engine.root_folder = Some(root.into());
    });
    made.fails("ENGINE_SNAP");
    good.passes("ENGINE_SNAP");
}

#[test]
fn architectures() {
    let bundled = || Made::new("BUNDLED_SERVERS=true\n");
    let mut made = bundled();
    made.observed.engine.architecture = "arm64".to_owned();
    made.fails("BUNDLED_ARCHITECTURE");
    bundled().passes("BUNDLED_ARCHITECTURE");

    let foreign = |architecture: &str| {
        Made::with("", |made| {
            let image = Image {
                id: "1".to_owned(),
                architecture: architecture.to_owned(),
                ..Image::default()
            };
            let mongo = "mongo:8.0".to_owned();
            made.observed.images.insert(mongo, Some(image));
        })
    };
    let finding = foreign("arm64").fails("IMAGE_ARCHITECTURE");
    assert!(finding.text.contains("mongo:8.0"));
    foreign("386").passes("IMAGE_ARCHITECTURE");
    Made::new("").passes("IMAGE_ARCHITECTURE");
    let mut meant = foreign("arm64");
    let mongo = meant.deployment.project.services.get_mut("mongo").unwrap();
    mongo
        .rest
        .insert("platform".to_owned(), "linux/arm64".into());
    meant.passes("IMAGE_ARCHITECTURE");
    let mut empty = Made::new("");
    empty
        .observed
        .images
        .values_mut()
        .for_each(|image| *image = None);
    empty.skips("IMAGE_ARCHITECTURE");
}

#[test]
fn kernels_on_which_mongo_crashes() {
    let on = |kernel: &str, rc: &str| {
        Made::with(rc, |made| {
            made.observed.engine.kernel = kernel.to_owned();
        })
    };
    for kernel in ["6.19.0", "6.19.3-arch1-1", "7.0.0-30-generic", "7.0.13"] {
        let finding = on(kernel, "").fails("MONGO_KERNEL");
        assert!(finding.measured.contains(kernel));
    }
    for kernel in ["6.18.44-fc", "6.1.0-18-amd64", "7.0.14", "7.1.0", "10.0"] {
        on(kernel, "").passes("MONGO_KERNEL");
    }
    let mut avoided = on("6.19.0", "");
    let mongo = avoided
        .deployment
        .project
        .services
        .get_mut("mongo")
        .unwrap();
    let value = Some("glibc.pthread.rseq=1".to_owned());
    mongo
        .environment
        .0
        .insert("GLIBC_TUNABLES".to_owned(), value);
    avoided.passes("MONGO_KERNEL");
    let mut older = Made::of(deployment("MONGO_VERSION=6.0\n", "", "5.5.8"));
    older.observed.engine.kernel = "6.19.0".to_owned();
    older.passes("MONGO_KERNEL");
    on("6.19.0", "BUNDLED_SERVERS=true\n").skips("MONGO_KERNEL");
    on(
        "6.19.0",
        "MONGO_ENABLED=false\nMONGO_URL=mongodb://m.example/x\n",
    )
    .skips("MONGO_KERNEL");
    on("", "").skips("MONGO_KERNEL");
}

#[test]
fn processors_without_what_mongo_needs() {
    let with = |architecture: &str, features: &[&str]| {
        Made::with("", |made| {
            made.observed.engine.architecture = architecture.to_owned();
            let features = features.iter().map(ToString::to_string);
            made.machine.processor = Some(features.collect());
        })
    };
    let finding = with("amd64", &["sse4_2"]).fails("MONGO_PROCESSOR");
    assert_eq!(finding.needed, "AVX");
    with("amd64", &["avx"]).passes("MONGO_PROCESSOR");
    let finding = with("arm64", &["asimd", "crc32"]).fails("MONGO_PROCESSOR");
    assert_eq!(finding.needed, "ARMv8.2-A");
    with("arm64", &["atomics"]).passes("MONGO_PROCESSOR");
    with("s390x", &[]).skips("MONGO_PROCESSOR");
    let mut untold = Made::new("");
    untold.machine.processor = None;
    untold.skips("MONGO_PROCESSOR");
}
