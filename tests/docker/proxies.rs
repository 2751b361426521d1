//! Proxies of the Docker client's configuration: new containers get them, and none is made anew for them.

use super::instance::Instance;

const FILE: &str = "config/docker-compose.override.yml";

/// What redis has in a variable.
fn variable(instance: &Instance, name: &str) -> Option<String> {
    let mut containers = instance.containers().into_iter();
    let redis = containers.find(|found| found.service == "redis").unwrap();
    redis.environment.0.get(name).cloned()
}

#[test]
fn containers_get_them_and_keep_them() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let config = r#"{"proxies": {"default": {"noProxy": "redis,mongo,localhost"}}}"#;
    instance.sandbox.write(".docker/config.json", config);
    instance.run(&["up"]).succeeded();
    let expected = Some("redis,mongo,localhost".to_owned());
    assert_eq!(variable(&instance, "NO_PROXY"), expected);
    assert_eq!(variable(&instance, "no_proxy"), expected);
    assert_eq!(instance.plan(), "");
    // Somebody else, who has no such configuration, leaves them.
    std::fs::remove_file(instance.sandbox.root().join(".docker/config.json")).unwrap();
    assert_eq!(instance.plan(), "");
    // What the definition says counts, and is gone when it says so no more.
    let own = "services: {redis: {environment: {NO_PROXY: own}}}\n";
    instance.sandbox.write(FILE, own);
    instance.run(&["up"]).succeeded();
    assert_eq!(variable(&instance, "NO_PROXY").as_deref(), Some("own"));
    instance.sandbox.write(FILE, "services: {}\n");
    assert!(instance.plan().contains("NO_PROXY"), "{}", instance.plan());
}
