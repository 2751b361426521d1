//! The scripts that commands about people run, on the engine in memory: which one is taken, with which
//! words, and what becomes of one that fails or is not there.

use toolkit::compose::Service;
use toolkit::engine::memory::MemoryEngine;
use toolkit::engine::{ContainerRequest, Engine};
use toolkit::people::actions::{self, About, Action, ActionError};
use toolkit::release::Version;

const FOLDER: &str = "/overleaf/services/web/modules/server-ce-scripts/scripts";

/// An engine with one running container that has these files.
async fn engine(files: &[&str]) -> MemoryEngine {
    let engine = MemoryEngine::new(&["app:1"], &[]);
    let service = Service {
        image: "app:1".to_owned(),
        ..Service::default()
    };
    let request = ContainerRequest::new("app", "sharelatex", &service);
    engine.create_container(&request).await.unwrap();
    engine.start("app").await.unwrap();
    for file in files {
        engine.put_file("app", file, b"// a script\n");
    }
    engine
}

fn version() -> Version {
    Version::new(6, 2, 2)
}

#[tokio::test]
async fn the_newer_name_of_a_script_is_taken() {
    let (old, new) = (
        format!("{FOLDER}/create-user.js"),
        format!("{FOLDER}/create-user.mjs"),
    );
    for (files, expected) in [
        (vec![old.as_str()], "create-user.js"),
        (vec![old.as_str(), new.as_str()], "create-user.mjs"),
    ] {
        let engine = engine(&files).await;
        let version = version();
        let found = actions::find(&engine, "app", &version, Action::CreateAdmin).await;
        let found = found.unwrap();
        engine.answer("create-user", "done\n", 0);
        let values = [("email", "a@example.org")];
        assert_eq!(found.run(&engine, &values).await.unwrap().text(), "done\n");
        let (container, request) = engine.runs().remove(0);
        assert_eq!(container, "app");
        let end = request.command.len() - 3;
        let path = format!("modules/server-ce-scripts/scripts/{expected}");
        assert_eq!(
            request.command[end..],
            [path.as_str(), "--admin", "--email=a@example.org"]
        );
    }
}

#[tokio::test]
async fn a_script_that_is_not_there_or_fails_is_told() {
    let engine = engine(&[&format!("{FOLDER}/delete-user.mjs")]).await;
    let version = version();
    let missing = actions::find(&engine, "app", &version, Action::Transfer).await;
    let Err(ActionError::NotInImage { paths, .. }) = missing else {
        panic!("{missing:?}")
    };
    assert_eq!(
        paths,
        [format!("{FOLDER}/transfer-all-projects-to-user.mjs")]
    );
    let old = Version::new(5, 4, 1);
    let missing = actions::find(&engine, "app", &old, Action::DeleteSilently).await;
    assert!(matches!(
        missing,
        Err(ActionError::NotInRelease { known: Some(_), .. })
    ));

    let found = actions::find(&engine, "app", &version, Action::Delete)
        .await
        .unwrap();
    engine.answer("delete-user", "first\n\nno such thing\n", 1);
    let failed = found.run(&engine, &[("email", "a@example.org")]).await;
    let Err(ActionError::Failed {
        exit_code, lines, ..
    }) = failed
    else {
        panic!("{failed:?}")
    };
    assert_eq!(
        (exit_code, lines),
        (1, vec!["first".to_owned(), "no such thing".to_owned()])
    );
}

#[tokio::test]
async fn scripts_that_help_are_those_of_the_container() {
    let there = "/overleaf/services/project-history/scripts/force_resync.js";
    let engine = engine(&[there]).await;
    let version = version();
    let about = [About::Documents, About::Histories];
    let found = actions::helping(&engine, "app", &version, &about)
        .await
        .unwrap();
    let paths: Vec<&str> = found.iter().map(|help| help.path.as_str()).collect();
    assert_eq!(paths, ["scripts/force_resync.js"]);
}
