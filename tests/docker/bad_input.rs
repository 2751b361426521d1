//! What a person gets wrong, or the world does: a clear error, and nothing half-made that the next
//! `up` trips over.

use std::net::TcpListener;
use std::process::Stdio;

use toolkit::compose::Service;
use toolkit::engine::{ContainerRequest, Engine};

use super::instance::Instance;

/// Turns the bundled servers off and names images that no registry has: the one they name is a
/// closed port of this machine.
fn without_images(instance: &Instance) {
    instance.sandbox.replace(
        "config/overleaf.rc",
        "BUNDLED_SERVERS=true",
        "BUNDLED_SERVERS=false",
    );
    for (from, to) in [
        ("MONGO_IMAGE=mongo", "MONGO_IMAGE=127.0.0.1:1/mongo"),
        ("REDIS_IMAGE=redis:7.4", "REDIS_IMAGE=127.0.0.1:1/redis:7.4"),
    ] {
        instance.sandbox.replace("config/overleaf.rc", from, to);
    }
    let rc = instance.sandbox.read("config/overleaf.rc");
    let image = "OVERLEAF_IMAGE_NAME=127.0.0.1:1/sharelatex\n";
    instance
        .sandbox
        .write("config/overleaf.rc", &format!("{rc}{image}"));
}

#[test]
fn a_taken_port_names_its_holder() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let held = TcpListener::bind(("127.0.0.1", instance.port)).unwrap();
    let ran = instance.run(&["up"]).ended_with(6);
    assert!(
        ran.stderr.starts_with("error[PORT_TAKEN]"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr
            .contains(&format!("(pid {})", std::process::id())),
        "{}",
        ran.stderr
    );
    assert_eq!(instance.ids(), []);
    drop(held);
    instance.run(&["up"]).succeeded();

    let Some(second) = Instance::new(&[]) else {
        return;
    };
    let (own, taken) = (second.port.to_string(), instance.port.to_string());
    second.sandbox.replace(
        "config/overleaf.rc",
        &format!("OVERLEAF_PORT={own}"),
        &format!("OVERLEAF_PORT={taken}"),
    );
    let ran = second.run(&["up"]).ended_with(6);
    let holder = format!("container `{}-sharelatex-1` holds it", instance.project);
    assert!(ran.stderr.contains(&holder), "{}", ran.stderr);
}

#[test]
fn a_foreign_container_with_our_name_is_left_alone() {
    let Some(first) = Instance::new(&[]) else {
        return;
    };
    let Some(second) = Instance::new(&[]) else {
        return;
    };
    first.run(&["up"]).succeeded();
    let before = first.ids();
    // The same project name from another folder: its containers belong to the first instance.
    let (own, other) = (second.project.clone(), first.project.clone());
    second.sandbox.replace(
        "config/overleaf.rc",
        &format!("PROJECT_NAME={own}"),
        &format!("PROJECT_NAME={other}"),
    );
    for command in ["up", "down"] {
        let ran = second.run(&[command]).ended_with(6);
        assert!(
            ran.stderr.starts_with("error[PROJECT_NAME_TAKEN]"),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(first.ids(), before);
}

#[test]
fn a_stranger_that_holds_a_name_of_ours_is_left_alone() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    let image = instance.containers()[0].image.clone();
    instance.run(&["down"]).succeeded();
    let service = Service {
        image,
        ..Service::default()
    };
    let name = format!("{}-redis-1", instance.project);
    let stranger = ContainerRequest::new(&name, "none", &service);
    instance
        .runtime
        .block_on(instance.engine.create_container(&stranger))
        .unwrap();
    let ran = instance.run(&["up"]);
    let kept = instance
        .runtime
        .block_on(instance.engine.container(&name))
        .unwrap();
    instance
        .runtime
        .block_on(instance.engine.remove(&name))
        .unwrap();
    let ran = ran.ended_with(6);
    assert!(
        ran.stderr.starts_with("error[CONTAINER_NAME_TAKEN]"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains(&format!("docker rm {name}")),
        "{}",
        ran.stderr
    );
    assert!(kept.is_some());
    assert_eq!(instance.ids(), []);
    instance.run(&["up"]).succeeded();
}

/// A registry on this machine that answers and has nothing.
fn empty_registry() -> u16 {
    use std::io::{BufRead, BufReader, Write};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let mut request = String::new();
            while reader.read_line(&mut request).is_ok_and(|read| read > 2) {}
            let body = if request.contains("/manifests/") {
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#
            } else {
                "{}"
            };
            let status = if body.len() > 2 {
                "404 Not Found"
            } else {
                "200 OK"
            };
            // The engine may have gone away; the test looks at what the program says.
            let _ = write!(
                reader.get_mut(),
                "HTTP/1.1 {status}\r\nDocker-Distribution-Api-Version: registry/2.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    port
}

#[test]
fn an_image_that_no_registry_has_is_named() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    without_images(&instance);
    let registry = format!("127.0.0.1:{}", empty_registry());
    instance
        .sandbox
        .replace("config/overleaf.rc", "127.0.0.1:1", &registry);
    let ran = instance.run(&["up"]).ended_with(1);
    assert!(
        ran.stderr.contains("error[IMAGE_UNAVAILABLE]"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains(&format!("`{registry}/")),
        "{}",
        ran.stderr
    );
    assert_eq!(instance.ids(), []);
}

#[test]
fn a_data_path_that_is_a_file_is_refused() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.sandbox.write("data/mongo", "not a folder");
    let ran = instance.run(&["up"]).ended_with(6);
    assert!(
        ran.stderr.starts_with("error[DATA_PATH_NOT_A_FOLDER]"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("MONGO_DATA_PATH"), "{}", ran.stderr);
    assert_eq!(instance.ids(), []);
    std::fs::remove_file(instance.sandbox.root().join("data/mongo")).unwrap();
    instance.run(&["up"]).succeeded();
}

#[test]
fn a_registry_that_does_not_answer_is_told_from_a_wrong_name() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    without_images(&instance);
    let ran = instance.run(&["up"]).ended_with(8);
    assert!(
        ran.stderr.contains("error[REGISTRY_UNREACHABLE]"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("toolkit up --bundled"),
        "{}",
        ran.stderr
    );
    assert_eq!(instance.ids(), []);
    // The way out that the error names works.
    instance.run(&["up", "--bundled"]).succeeded();
    assert!(
        instance
            .sandbox
            .read("config/overleaf.rc")
            .contains("\nBUNDLED_SERVERS=true\n")
    );
    assert_eq!(instance.planned(), 0);
}

#[test]
fn a_container_that_ends_at_once_is_shown_with_its_log() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let variables = instance.sandbox.read("config/variables.env");
    instance.sandbox.write(
        "config/variables.env",
        &format!("{variables}TOOLKIT_BUNDLED_FAULT=exit-at-start:3\n"),
    );
    let ran = instance.run(&["up"]).ended_with(1);
    assert!(
        ran.stderr.contains("error[SERVICE_FAILED]: `sharelatex`"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("exit code 3"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("last lines of its log:"),
        "{}",
        ran.stderr
    );
    instance.sandbox.write("config/variables.env", &variables);
    instance.run(&["up"]).succeeded();
    assert_eq!(instance.planned(), 0);
}

#[test]
fn a_service_that_is_never_ready_ends_the_wait_at_the_deadline() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let variables = instance.sandbox.read("config/variables.env");
    instance.sandbox.write(
        "config/variables.env",
        &format!("{variables}TOOLKIT_BUNDLED_FAULT=never-ready\n"),
    );
    let ran = instance.run(&["up", "--timeout", "15s"]).ended_with(9);
    assert!(
        ran.stderr
            .contains("error[SERVICE_NOT_READY]: `sharelatex`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_second_run_is_told_who_is_at_work() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let lock = instance.sandbox.root().join(".toolkit/lock");
    let mut first = instance
        .sandbox
        .command(&["up", "--progress", "plain"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // The first line comes after the lock was taken.
    let mut lines = super::crash::lines(first.stderr.take().unwrap());
    lines.next().unwrap();
    let ran = instance.run(&["down"]).ended_with(7);
    assert!(ran.stderr.starts_with("error[LOCKED]"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains(&format!(
            "`toolkit up --progress plain` (pid {}) of ",
            first.id()
        )),
        "{}",
        ran.stderr
    );
    assert!(lock.exists());
    for _ in lines {}
    assert!(first.wait().unwrap().success());
    instance.run(&["down", "--lock-wait", "10s"]).succeeded();
}

/// No secret reaches any output, whatever the command and however much talk is asked for.
#[test]
fn secrets_stay_out_of_every_output() {
    const MARKER: &str = "MARKERMARKERMARKERMARKER";
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let variables = instance.sandbox.read("config/variables.env");
    let marked: Vec<String> = variables
        .lines()
        .map(|line| match line.split_once('=') {
            Some((name, _)) if name.ends_with("_SECRET") || name.ends_with("_PASSWORD") => {
                format!("{name}={MARKER}")
            }
            _ => line.to_owned(),
        })
        .collect();
    instance
        .sandbox
        .write("config/variables.env", &(marked.join("\n") + "\n"));
    for command in [
        &["plan"][..],
        &["up"],
        &["status"],
        &["stop"],
        &["start"],
        &["restart"],
        &["compose", "hash"],
    ] {
        for format in ["text", "json"] {
            let arguments = [command, &["-vv", "--format", format]].concat();
            let ran = instance.run(&arguments).succeeded();
            assert!(!ran.all().contains(MARKER), "{arguments:?}");
        }
    }
    for container in instance.containers() {
        assert!(!format!("{container:?}").contains(MARKER));
        assert!(
            container
                .labels
                .values()
                .all(|value| !value.contains(MARKER))
        );
    }
    instance
        .sandbox
        .replace("config/variables.env", MARKER, "ANOTHERMARKER");
    let ran = instance.run(&["plan", "-vv"]).succeeded();
    assert!(!ran.all().contains("MARKER"), "{}", ran.all());
    instance.run(&["down", "-vv"]).succeeded();
}
