//! Anonymous volumes outlive their containers: what was written into one is there in the next container,
//! also after a failure or a kill between the two.

use super::instance::Instance;
use super::kill::killed;
use super::raw;

const FILE: &str = "config/docker-compose.override.yml";

/// An instance whose redis has an anonymous volume with a file in it, and the name of the volume.
fn with_a_file() -> Option<(Instance, String)> {
    let instance = Instance::new(&[])?;
    define(&instance, "environment: {COLOUR: blue}");
    instance.run(&["up"]).succeeded();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    tar.append_data(&mut header, "kept", &b"kept\n"[..])
        .unwrap();
    let archive = tar.into_inner().unwrap();
    let path = format!(
        "/containers/{}-redis-1/archive?path=/cache",
        instance.project
    );
    let (status, answer) = raw::request(&raw::socket(), "PUT", &path, &archive);
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    let volume = volume(&instance).unwrap();
    Some((instance, volume))
}

fn define(instance: &Instance, more: &str) {
    let text = format!("services:\n  redis:\n    volumes: [/cache]\n    {more}\n");
    instance.sandbox.write(FILE, &text);
}

/// The anonymous volume of redis; `None` where there is no such container.
fn volume(instance: &Instance) -> Option<String> {
    let mut containers = instance.containers().into_iter();
    // One that an interrupted run left in its stead has the volume, too.
    let name = format!("{}-redis-1", instance.project);
    let redis = containers.find(|found| found.name == name)?;
    Some(redis.anonymous["/cache"].clone())
}

/// The container is as configured and has the file.
fn check(instance: &Instance, expected: &str) {
    assert_eq!(volume(instance).as_deref(), Some(expected));
    let name = format!("{}-redis-1", instance.project);
    let engine = &instance.engine;
    let file = toolkit::engine::Engine::file(engine, &name, "/cache/kept");
    let file = instance.runtime.block_on(file).unwrap();
    assert_eq!(file.as_deref(), Some(&b"kept\n"[..]));
    assert_eq!(instance.plan(), "");
}

#[test]
fn a_file_in_an_anonymous_volume_is_there_in_the_next_container() {
    let Some((instance, volume)) = with_a_file() else {
        return;
    };
    for colour in ["red", "green"] {
        define(&instance, &format!("environment: {{COLOUR: {colour}}}"));
        instance.run(&["up"]).succeeded();
        check(&instance, &volume);
    }
    instance.run(&["down"]).succeeded();
    assert_eq!(instance.ids(), []);
    let path = format!("/volumes/{volume}");
    let (status, _) = raw::request(&raw::socket(), "GET", &path, b"");
    assert_eq!(status, 200, "`down` deletes no volume");
    // As with Docker Compose, what comes after a `down` begins anew.
    instance.run(&["up"]).succeeded();
    assert_ne!(self::volume(&instance), Some(volume));
}

#[test]
fn a_file_in_an_anonymous_volume_outlives_a_creation_that_fails() {
    let Some((instance, volume)) = with_a_file() else {
        return;
    };
    // No machine has it, which the engine sees at the creation.
    let refused = "cpuset: '8191'";
    define(&instance, refused);
    assert_ne!(instance.run(&["up"]).code, 0);
    assert_eq!(self::volume(&instance).as_ref(), Some(&volume));
    instance.run(&["rollback"]).succeeded();
    define(&instance, "environment: {COLOUR: blue}");
    check(&instance, &volume);

    define(&instance, refused);
    assert_ne!(instance.run(&["up"]).code, 0);
    assert_ne!(instance.run(&["up"]).code, 0);
    instance.run(&["stop", "mongo"]).succeeded();
    assert_eq!(self::volume(&instance).as_ref(), Some(&volume));
    define(&instance, "environment: {COLOUR: red}");
    instance.run(&["up"]).succeeded();
    check(&instance, &volume);
}

#[test]
fn a_file_in_an_anonymous_volume_outlives_a_kill() {
    let Some((instance, volume)) = with_a_file() else {
        return;
    };
    let mut wanted = 1;
    let (mut kills, mut gone) = (0, 0);
    // Whether a kill comes before the engine has the next request is not in our hands; a few rounds
    // meet the moment between removal and creation.
    for round in 0.. {
        define(&instance, &format!("environment: {{COLOUR: '{round}'}}"));
        let Some(found) = killed(&instance, "up", wanted) else {
            if gone > 0 {
                break;
            }
            assert!(round < 100, "{kills} kills, none at the moment in question");
            wanted = 1;
            continue;
        };
        kills += 1;
        wanted = found + 1;
        gone += u32::from(self::volume(&instance).is_none());
        let again = if round % 2 == 0 { "up" } else { "resume" };
        instance.run(&[again]).succeeded();
        check(&instance, &volume);
    }
    check(&instance, &volume);
    println!("{kills} kills, {gone} of them between removal and creation");
}
