//! Images of an instance, and copies of its configuration.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use toolkit::compose::load;
use toolkit::engine::memory::MemoryEngine;
use toolkit::engine::stock::Stock;
use toolkit::images::{self, Bytes, Needs, Row};
use toolkit::observe;
use toolkit::observed::Observed;
use toolkit::plan;

use crate::convergence::titles;
use crate::sandbox::{Sandbox, bare};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn what_can_go_is_told_with_what_it_frees() {
    let project = load::project("services: {mongo: {image: 'mongo:8.0'}}", "p").unwrap();
    let deployment = bare("/srv", project);
    let engine = MemoryEngine::new(&["mongo:8.0", "mongo:7.0", "mongo:6.0", "other:1"], &[]);
    engine.set_size("mongo:7.0", 100, Some(60));
    engine.set_size("mongo:6.0", 80, Some(60));
    let needs = Needs::new(&deployment, None, &[], "now");
    let stored = engine.stored_images(true).await.unwrap();
    let rows = images::rows(&stored, &[], &needs);
    let going: Vec<&Row> = rows.iter().filter(|row| row.can_go()).collect();
    let names: Vec<&str> = going.iter().map(|row| row.reference.as_str()).collect();
    assert_eq!(names, ["mongo:6.0", "mongo:7.0"]);
    let expected = Bytes {
        at_least: 60,
        at_most: 180,
    };
    assert_eq!(images::freed(&going), expected);
    for row in going {
        engine.remove_image(&row.reference).await.unwrap();
    }
    let left = engine.stored_images(false).await.unwrap();
    assert_eq!(left.len(), 2);
}

#[tokio::test]
async fn a_pull_brings_what_is_missing_and_newer_ones_on_request() {
    let text = "services: {a: {image: 'a:1'}, b: {image: 'b:1'}, c: {image: 'b:1'}}";
    let deployment = bare("/srv", load::project(text, "p").unwrap());
    let engine = MemoryEngine::new(&["a:1", "t:1"], &[]);
    let all = ["a:1", "b:1", "t:1", "t:2"];
    let images = observe::images(&engine, all.into_iter()).await.unwrap();
    let observed = Observed {
        images,
        ..Observed::default()
    };
    let extra = ["t:1", "t:2"].map(|image| (image.to_owned(), "it is named".to_owned()));
    let pulls = |extra: &[(String, String)], anew| {
        titles(&plan::pull::images(
            &deployment,
            &observed,
            &[],
            extra,
            anew,
        ))
    };
    let of = |service: &str, anew| {
        let services = [service.to_owned()];
        titles(&plan::pull::images(
            &deployment,
            &observed,
            &services,
            &[],
            anew,
        ))
    };
    let pull = |image: &str| format!("pull image `{image}`");
    assert_eq!(pulls(&[], false), [pull("b:1")]);
    assert_eq!(pulls(&extra, false), [pull("b:1"), pull("t:2")]);
    let anew = ["a:1", "b:1", "t:1", "t:2"].map(pull);
    assert_eq!(pulls(&extra, true), anew);
    assert_eq!(of("a", false), Vec::<String>::new());
    assert_eq!(of("a", true), [pull("a:1")]);
    assert_eq!(of("c", true), [pull("b:1")]);
}

#[tokio::test]
async fn bundled_images_that_are_here_are_not_made_again() {
    let [a, b] = ["a", "b"].map(|name| format!("toolkit-bundled/{name}:1"));
    let text = format!("services: {{a: {{image: '{a}'}}, b: {{image: '{b}'}}}}");
    let mut deployment = bare("/srv", load::project(&text, "p").unwrap());
    deployment.bundled_images = [("a", &a), ("b", &b)]
        .map(|(service, image)| (service.to_owned(), image.clone()))
        .into();
    let engine = MemoryEngine::new(&[&a], &[]);
    let images = observe::images(&engine, [&*a, &*b].into_iter())
        .await
        .unwrap();
    let observed = Observed {
        images,
        ..Observed::default()
    };
    let plan = plan::pull::images(&deployment, &observed, &[], &[], false);
    assert_eq!(titles(&plan), ["make images of the bundled servers b"]);
}

#[test]
fn a_copy_of_the_configuration_is_private_and_overwrites_nothing() {
    let sandbox = Sandbox::initialised(&[]);
    let run = |arguments: &[&str]| {
        let ran = sandbox.run(&[&["backup-config", "--format", "json"], arguments].concat());
        let ran = ran.succeeded();
        let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(answer["schema"], "toolkit.backup-config/v1");
        let path = answer["data"]["path"].as_str().unwrap().to_owned();
        let path = path.replace("[ROOT]", &sandbox.root().to_string_lossy());
        (path, answer["data"]["files"].as_u64().unwrap())
    };
    let secrets = sandbox.read("config/variables.env");
    let root = sandbox.root();
    // The destination is what is made, with its folders.
    for (form, name) in [
        ("copy", "kept/config"),
        ("zip", "kept/config.zip"),
        ("tar", "kept/config.tar"),
    ] {
        let (made, files) = run(&["-m", form, name]);
        assert_eq!(files, 3);
        assert_eq!(Path::new(&made), root.join(name));
        is_private_copy(Path::new(&made), &secrets);
    }
    assert_eq!(mode(&root.join("kept")), 0o700);
    // A folder that is there, or one that ends with a slash, gets something in it.
    for (form, folder, ending) in [
        ("copy", "kept", ""),
        ("tar", "kept", ".tar"),
        ("zip", "new/", ".zip"),
    ] {
        let (made, _) = run(&["-m", form, folder]);
        let made = Path::new(&made);
        assert_eq!(made.parent(), Some(&*root.join(folder)));
        let name = made.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("backup-config-") && name.ends_with(ending));
        is_private_copy(made, &secrets);
    }
    for (form, name) in [("zip", "kept/config.zip"), ("copy", "kept/config.tar")] {
        for flags in [&["--dry-run"][..], &[]] {
            let before = std::fs::read(root.join(name)).unwrap();
            let arguments = [&["backup-config", "-m", form, name], flags].concat();
            let ran = sandbox.run(&arguments).ended_with(1);
            assert!(ran.stderr.contains("exists already"), "{}", ran.all());
            assert_eq!(std::fs::read(root.join(name)).unwrap(), before);
        }
    }
    let (planned, _) = run(&["--dry-run", "elsewhere"]);
    assert!(!Path::new(&planned).exists() && !sandbox.root().join("elsewhere").exists());
    for inside in ["config", "config/kept", "kept/../config"] {
        let ran = sandbox.run(&["backup-config", inside]).ended_with(2);
        assert!(ran.stderr.contains("lies within config/"), "{}", ran.all());
    }
    sandbox.write("file", "");
    sandbox.run(&["backup-config", "file"]).ended_with(1);
}

/// Whether a copy of a configuration holds its secrets, and is for its owner only.
#[track_caller]
fn is_private_copy(made: &Path, secrets: &str) {
    if made.is_dir() {
        assert_eq!(mode(made), 0o700);
        assert_eq!(mode(&made.join("variables.env")), 0o600);
        let kept = std::fs::read_to_string(made.join("variables.env")).unwrap();
        assert_eq!(kept, secrets);
    } else {
        assert_eq!(mode(made), 0o600);
        let bytes = std::fs::read(made).unwrap();
        let held = String::from_utf8_lossy(&bytes);
        assert!(held.contains("config/variables.env") && held.contains(secrets));
    }
}

#[test]
fn without_an_engine_nothing_is_told_of_images() {
    let sandbox = Sandbox::initialised(&[]).environment("DOCKER_HOST", "unix:///nonexistent");
    for arguments in [
        &["images"][..],
        &["images", "size"],
        &["images", "pull"],
        &["images", "prune", "--yes"],
        &["gc", "--dry-run"],
    ] {
        sandbox.run(arguments).ended_with(8);
    }
}
