//! Images and containers of compiles on a real engine. What is removed was made here, under names that
//! nobody else has.

use std::path::Path;

use futures_util::StreamExt;
use serde_json::{Value, json};
use toolkit::bundled;
use toolkit::engine::Engine;
use toolkit::engine::inside::{ExecRequest, Inside};
use toolkit::engine::stock::Stock;
use toolkit::engine::{Derivation, EngineError};

use super::instance::{Instance, unique_name};
use super::raw::{self, Removed};
use crate::sandbox::PROGRAM;

/// An image of the program under a name of its own, with a label that makes it another one.
fn image(instance: &Instance, reference: &str, label: &str) -> Removed {
    let base = format!("toolkit-bundled/redis:{}", bundled::TAG);
    let derivation = Derivation {
        reference: reference.to_owned(),
        base: base.clone(),
        labels: [("toolkit-test".to_owned(), label.to_owned())].into(),
        ..Derivation::default()
    };
    let removed = Removed(format!("/images/{reference}"));
    instance.runtime.block_on(async {
        if instance.engine.image(&base).await.unwrap().is_none() {
            let images = [("redis".to_owned(), base)];
            let archive = bundled::archive(Path::new(PROGRAM), &images).unwrap();
            instance.engine.load(archive).await.unwrap();
        }
        let built = instance.engine.derive_image(&derivation, &|_| {});
        built.await.unwrap();
    });
    removed
}

/// A container that has been started; removed when it goes out of scope.
fn container(name: &str, image: &str, program: &[&str], labels: &Value) -> Removed {
    let body = json!({ "Image": image, "Entrypoint": program, "Labels": labels });
    let path = format!("/containers/create?name={name}");
    let removed = Removed(format!("/containers/{name}?force=true"));
    raw::order("POST", &path, &body.to_string());
    raw::order("POST", &format!("/containers/{name}/start"), "");
    removed
}

/// Waits until a container has ended.
fn ended(name: &str) {
    raw::order("POST", &format!("/containers/{name}/wait"), "");
}

fn exists(name: &str) -> bool {
    let path = format!("/containers/{name}/json");
    raw::request(&raw::socket(), "GET", &path, b"").0 == 200
}

fn data(instance: &Instance, arguments: &[&str]) -> Value {
    let ran = instance.run(&[arguments, &["--format", "json"]].concat());
    let ran = ran.succeeded();
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    answer["data"].clone()
}

fn names(list: &Value, key: &str) -> Vec<String> {
    let list = list.as_array().unwrap().iter();
    let mut names: Vec<String> = list
        .map(|one| one[key].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// The identifier of a project or user that no other test has.
fn identifier(text: &str) -> String {
    toolkit::engine::digest(text.as_bytes())[..24].to_owned()
}

#[test]
fn only_stopped_compiles_of_the_instance_are_collected() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let own = format!("{}/tex:2025.1", instance.project);
    let other = format!("{}/other:1", instance.project);
    let _images = (
        image(&instance, &own, "own"),
        image(&instance, &other, "other"),
    );
    let variables = instance.sandbox.read("config/variables.env");
    let variables = format!("{variables}TEX_LIVE_DOCKER_IMAGE={own}\n");
    instance.sandbox.write("config/variables.env", &variables);

    let (project, hash) = (identifier(&instance.project), "0a".repeat(16));
    let name = |what: &str| format!("project-{project}-{}-{hash}", identifier(what));
    let ends = ["/toolkit", "--version"];
    let runs = ["/toolkit", "serve", "redis"];
    let none = json!({});
    let foreign = json!({ "com.docker.compose.project": "somebody-else" });
    let going = [name("one"), format!("project-{project}-{hash}")];
    let running = name("running");
    let of_project = name("labelled");
    let of_image = name("other");
    let of_name = format!("{}-project-{project}-{hash}", instance.project);
    let mut all = vec![
        container(&going[0], &own, &ends, &none),
        container(&going[1], &own, &ends, &none),
        container(&running, &own, &runs, &none),
        container(&of_project, &own, &ends, &foreign),
        container(&of_image, &other, &ends, &none),
        container(&of_name, &own, &ends, &none),
    ];
    for ends in [&going[0], &going[1], &of_project, &of_image, &of_name] {
        ended(ends);
    }

    let young = data(&instance, &["gc", "--yes"]);
    assert_eq!(young["removed"], 0, "{young}");
    let kept = |found: &Value, name: &str| {
        let mut kept = found["kept"].as_array().unwrap().iter();
        let found = kept.find(|kept| kept["name"] == name);
        found.map(|kept| kept["because"].as_str().unwrap().to_owned())
    };
    assert_eq!(kept(&young, &going[0]).as_deref(), Some("recent"));

    let planned = data(&instance, &["gc", "--older-than", "0s", "--dry-run"]);
    let mut expected = going.to_vec();
    expected.sort();
    assert_eq!(names(&planned["containers"], "name"), expected);
    for (name, because) in [
        (&running, "running"),
        (&of_project, "of-a-project"),
        (&of_image, "other-image"),
    ] {
        assert_eq!(kept(&planned, name).as_deref(), Some(because));
    }
    assert_eq!(kept(&planned, &of_name), None);
    let any = data(
        &instance,
        &["gc", "--older-than", "0s", "--any-image", "--dry-run"],
    );
    assert!(names(&any["containers"], "name").contains(&of_image));
    assert!(going.iter().all(|name| exists(name)));

    let ran = instance.run(&["gc", "--older-than", "0s"]).ended_with(2);
    assert!(ran.stderr.contains("NO_ANSWER"), "{}", ran.all());
    let done = data(&instance, &["gc", "--older-than", "0s", "--yes"]);
    assert_eq!(done["removed"], 2, "{done}");
    assert!(!going.iter().any(|name| exists(name)));
    for name in [&running, &of_project, &of_image, &of_name] {
        assert!(exists(name), "{name}");
    }
    all.clear();
}

#[test]
fn images_that_nothing_needs_can_go_and_no_others() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let name = format!("{}/tex", instance.project);
    let of = |tag: &str| format!("{name}:{tag}");
    let foreign = format!("{}-foreign:1", unique_name());
    let _images: Vec<Removed> = [of("1"), of("2"), of("3"), foreign.clone()]
        .iter()
        .map(|reference| image(&instance, reference, reference))
        .collect();
    let variables = instance.sandbox.read("config/variables.env");
    let variables = format!("{variables}TEX_LIVE_DOCKER_IMAGE={}\n", of("3"));
    instance.sandbox.write("config/variables.env", &variables);
    let user = format!("{}-user", instance.project);
    let used = container(&user, &of("2"), &["/toolkit", "--version"], &json!({}));
    ended(&user);

    let listed = data(&instance, &["images"]);
    let row = |listed: &Value, reference: &str| {
        let mut rows = listed["images"].as_array().unwrap().iter();
        rows.find(|row| row["image"] == reference).cloned()
    };
    for (tag, can_go) in [("1", true), ("2", false), ("3", false)] {
        let row = row(&listed, &of(tag)).unwrap();
        assert_eq!(row["can_go"], can_go, "{row}");
        assert!(row["size"].as_u64().unwrap() > 1 << 20, "{row}");
    }
    let of_container = row(&listed, &of("2")).unwrap()["needed_by"][0].clone();
    assert_eq!(of_container, json!({ "kind": "container", "name": user }));
    let of_variable = row(&listed, &of("3")).unwrap()["needed_by"][0].clone();
    assert_eq!(of_variable["name"], "TEX_LIVE_DOCKER_IMAGE");
    assert_eq!(row(&listed, &foreign), None);
    let sizes = data(&instance, &["images", "size"]);
    assert!(sizes["size"]["at_most"].as_u64() >= sizes["size"]["at_least"].as_u64());

    for (wanted, code, id) in [
        (foreign.clone(), 2, "UNKNOWN_IMAGE"),
        (of("2"), 6, "IMAGE_IN_USE"),
        (of("3"), 6, "IMAGE_IN_USE"),
    ] {
        let ran = instance.run(&["images", "prune", "--yes", &wanted]);
        let ran = ran.ended_with(code);
        assert!(ran.stderr.contains(id), "{}", ran.all());
    }
    let planned = data(&instance, &["images", "prune", "--dry-run", &name]);
    assert_eq!(names(&planned["images"], "image"), [of("1")]);
    let done = data(&instance, &["images", "prune", "--yes", &name]);
    assert_eq!(done["removed"], json!([of("1")]));
    drop(used);
    let done = data(&instance, &["images", "prune", "--yes", &name]);
    assert_eq!(done["removed"], json!([of("2")]));
    let is_here = |reference: &str| {
        let found = instance.runtime.block_on(instance.engine.image(reference));
        found.unwrap().is_some()
    };
    assert!(!is_here(&of("1")) && !is_here(&of("2")));
    assert!(is_here(&of("3")) && is_here(&foreign));
}

/// What a program in a container writes.
fn said(instance: &Instance, container: &str, command: &[&str]) -> String {
    instance.runtime.block_on(async {
        let request = ExecRequest::new(command.iter().copied());
        let mut exec = instance.engine.exec(container, &request).await.unwrap();
        let mut text = Vec::new();
        while let Some(piece) = exec.output.next().await {
            text.extend(piece.unwrap().into_bytes());
        }
        String::from_utf8(text).unwrap()
    })
}

/// What a build that failed leaves on the engine.
fn unfinished(instance: &Instance, packages: &str) -> Vec<Removed> {
    let stored = instance
        .runtime
        .block_on(instance.engine.stored_images(false));
    let stored = stored.unwrap().into_iter();
    let own = stored.filter(|found| {
        let label = found.labels.get(toolkit::labels::TEXLIVE);
        label.is_some_and(|named| named == packages)
    });
    own.map(|found| Removed(format!("/images/{}", found.id)))
        .collect()
}

#[test]
fn packages_come_with_an_image_of_their_own() {
    // Goes after the instance, whose container uses the image.
    let mut made = Vec::new();
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let package = format!("pkg-{}", instance.project);
    let before = instance.sandbox.read("config/overleaf.rc");
    let unknown = format!("no-such-{}", instance.project);
    let ran = instance.run(&["texlive", "install", &unknown]);
    made.extend(unfinished(&instance, &unknown));
    let ran = ran.ended_with(1);
    assert!(ran.stderr.contains("IMAGE_BUILD"), "{}", ran.all());
    assert!(
        ran.stderr.contains("not present in repository"),
        "{}",
        ran.all()
    );
    assert_eq!(instance.sandbox.read("config/overleaf.rc"), before);

    instance
        .run(&["texlive", "install", "--dry-run", &package])
        .succeeded();
    assert_eq!(instance.sandbox.read("config/overleaf.rc"), before);
    instance.run(&["texlive", "install", &package]).succeeded();
    let line = format!("TEXLIVE_PACKAGES={package}\n");
    let after = instance.sandbox.read("config/overleaf.rc");
    assert!(after.contains(&line), "{after}");
    let found = data(&instance, &["texlive", "list"]);
    let image = found["image"].as_str().unwrap().to_owned();
    made.push(Removed(format!("/images/{image}")));
    assert_eq!(
        (&found["built"], &found["year"]),
        (&json!(true), &json!(2025))
    );
    assert_eq!(found["runs"], Value::Null);

    instance.run(&["up"]).succeeded();
    assert_eq!(instance.planned(), 0);
    let asked = said(
        &instance,
        &format!("{}-sharelatex-1", instance.project),
        &["tlmgr", "info"],
    );
    let historic = "https://ftp.math.utah.edu/pub/tex/historic/systems/texlive/2025/tlnet-final";
    assert_eq!(asked, format!("repository {historic}\n{package}\n"));
    assert_eq!(data(&instance, &["texlive", "list"])["runs"], true);
    let listed = data(&instance, &["images"]);
    let rows = listed["images"].as_array().unwrap();
    let own = rows.iter().find(|row| row["image"] == *image).unwrap();
    assert_eq!(own["can_go"], false, "{own}");

    instance.run(&["texlive", "remove", &package]).succeeded();
    let plan = instance.plan();
    assert!(plan.contains("toolkit-bundled/sharelatex"), "{plan}");
    let nothing = instance.runtime.block_on(async {
        let paths = ["/usr/local/texlive/2025", "/nowhere"].map(str::to_owned);
        let found = instance
            .engine
            .paths_in_image(&image, &paths)
            .await
            .unwrap();
        assert_eq!(found, [paths[0].clone()]);
        instance
            .engine
            .paths_in_image("toolkit-test/none:1", &paths)
            .await
    });
    assert!(
        matches!(nothing, Err(EngineError::Missing { .. })),
        "{nothing:?}"
    );
}
