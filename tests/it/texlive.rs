//! TeX Live packages: the image with them as a step of a plan, and what the command refuses.

use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;
use std::path::Path;
use std::time::Duration;

use toolkit::apply::{ApplyError, StepError};
use toolkit::compose::load;
use toolkit::deployment::Deployment;
use toolkit::engine::Engine;
use toolkit::engine::memory::MemoryEngine;
use toolkit::journal::Existing;
use toolkit::observe;
use toolkit::observed::{Container, ContainerState, Observed};
use toolkit::plan::{self, PullWish, UpRequest};
use toolkit::probe::projects;
use toolkit::rollback;
use toolkit::secret::Secret;
use toolkit::texlive::{Derived, TexLiveError};

use crate::convergence::{apply, titles};
use crate::sandbox::{Sandbox, bare};
use crate::servers_mongo::Running;

const BASE: &str = "own/overleaf:6.2.2";

fn derived() -> Derived {
    let packages = ["pgf-blur", "scheme-full"].map(str::to_owned);
    Derived::new("sharelatex", BASE, "6.2.2", &packages, None)
}

fn deployment(root: &Path) -> Deployment {
    let image = derived().reference;
    let text = format!("services: {{sharelatex: {{image: '{image}'}}, redis: {{image: 'r:1'}}}}");
    Deployment {
        texlive: Some(derived()),
        ..bare(&root.to_string_lossy(), load::project(&text, "p").unwrap())
    }
}

async fn observed(engine: &MemoryEngine, deployment: &Deployment) -> Observed {
    observe::everything(engine, deployment).await.unwrap()
}

#[tokio::test]
async fn the_image_is_built_before_its_container_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(folder.path());
    let engine = MemoryEngine::new(&["r:1"], &[BASE]);
    let request = UpRequest::default();
    let seen = observed(&engine, &deployment).await;
    let first = plan::up(&deployment, &seen, &request);
    let image = derived().reference;
    let expected = [
        format!("pull image `{BASE}`"),
        format!("build image `{image}`"),
    ];
    assert_eq!(titles(&first)[..2], expected);
    assert!(first.is_ordered());
    let at = |title: &str| titles(&first).iter().position(|t| t == title).unwrap();
    let made = &first.steps[at("create container `p-sharelatex-1`")];
    assert!(made.needs.contains(&1), "{made:?}");

    // Without a TeX Live in the image nothing can be installed into it.
    let error = apply(&engine, &deployment, &first).await.unwrap_err();
    let ApplyError::Step { source, .. } = error else {
        panic!("{error}")
    };
    let StepError::TexLive(TexLiveError::NoInstallation { image: named, .. }) = *source else {
        panic!("{source}")
    };
    assert_eq!(named, BASE);

    engine.put_into_image(BASE, &["/usr/local/texlive/2021", "/usr/local/texlive"]);
    let seen = observed(&engine, &deployment).await;
    let second = plan::up(&deployment, &seen, &request);
    assert_eq!(titles(&second)[0], expected[1]);
    apply(&engine, &deployment, &second).await.unwrap();
    let derivations = engine.derivations();
    let [made] = derivations.as_slice() else {
        panic!("{derivations:?}")
    };
    assert_eq!((made.base.as_str(), made.uses_cache), (BASE, false));
    let historic = "tlmgr option repository https://ftp.math.utah.edu/pub/tex/historic/systems/texlive/2021/tlnet-final";
    assert_eq!(made.programs[0].join(" "), historic);
    assert_eq!(
        made.programs[2].join(" "),
        "tlmgr install pgf-blur scheme-full"
    );
    let seen = observed(&engine, &deployment).await;
    assert!(plan::up(&deployment, &seen, &request).is_empty());
}

#[tokio::test]
async fn newer_images_are_looked_for_below_the_packages() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(folder.path());
    let image = derived().reference;
    let engine = MemoryEngine::new(&["r:1", BASE, &image], &[BASE, "r:1"]);
    let seen = observed(&engine, &deployment).await;
    let always = UpRequest {
        pull: PullWish::Always,
        ..UpRequest::default()
    };
    let refresh = plan::pull::refresh(&deployment, &seen, &always);
    assert_eq!(
        titles(&refresh),
        [
            "pull image `r:1`".to_owned(),
            format!("pull image `{BASE}`"),
            format!("build image `{image}`"),
        ]
    );
    assert_eq!(refresh.steps[2].needs, [1]);
    engine.put_into_image(BASE, &["/usr/local/texlive/2025"]);
    apply(&engine, &deployment, &refresh).await.unwrap();
    assert!(engine.derivations()[0].uses_cache);
}

#[tokio::test]
async fn what_may_not_be_pulled_is_what_the_image_is_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(folder.path());
    let never = UpRequest {
        pull: PullWish::Never,
        ..UpRequest::default()
    };
    let engine = MemoryEngine::new(&["r:1"], &[]);
    let seen = observed(&engine, &deployment).await;
    let refused = plan::pull::refused(&deployment, &seen, &never);
    assert_eq!(refused, [("sharelatex".to_owned(), BASE.to_owned())]);
    let engine = MemoryEngine::new(&["r:1", BASE], &[]);
    let seen = observed(&engine, &deployment).await;
    assert_eq!(plan::pull::refused(&deployment, &seen, &never), []);
}

#[tokio::test]
async fn a_bundled_base_is_loaded_only_to_be_built_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut deployment = deployment(folder.path());
    let bundled = [("sharelatex", BASE), ("redis", "r:1")];
    deployment.bundled_images = bundled
        .map(|(service, image)| (service.to_owned(), image.to_owned()))
        .into();
    let image = derived().reference;
    let first = |seen: &Observed| {
        let plan = plan::up(&deployment, seen, &UpRequest::default());
        titles(&plan)[..2].to_vec()
    };
    let engine = MemoryEngine::new(&["r:1"], &[]);
    let loaded = "make images of the bundled servers sharelatex".to_owned();
    let built = format!("build image `{image}`");
    let seen = observed(&engine, &deployment).await;
    assert_eq!(first(&seen), [loaded, built]);
    let engine = MemoryEngine::new(&["r:1", &image], &[]);
    let seen = observed(&engine, &deployment).await;
    assert!(first(&seen)[0].starts_with("create network"));
}

#[test]
fn a_downgrade_is_seen_below_the_packages() {
    let packages = ["a".to_owned()];
    let older = Derived::new("sharelatex", "own/overleaf:6.1.0", "6.1.0", &packages, None);
    let text = format!("services: {{sharelatex: {{image: '{}'}}}}", older.reference);
    let previous = bare("/srv", load::project(&text, "p").unwrap());
    let container = Container {
        name: "p-sharelatex-1".to_owned(),
        service: "sharelatex".to_owned(),
        image: BASE.to_owned(),
        state: ContainerState::Running,
        ..Container::default()
    };
    let seen = Observed {
        containers: vec![container],
        ..Observed::default()
    };
    let before = [Existing {
        service: "sharelatex".to_owned(),
        container: "p-sharelatex-1".to_owned(),
        running: true,
    }];
    assert_eq!(rollback::downgrades(&previous, &seen, &before).len(), 1);
}

#[test]
fn what_cannot_be_installed_changes_nothing() {
    let sandbox = Sandbox::initialised(&[]).environment("DOCKER_HOST", "unix:///nonexistent");
    let before = sandbox.read("config/overleaf.rc");
    for (arguments, code, id) in [
        (&["install", "a;b"][..], 2, "PACKAGE_NAME"),
        (&["install", "--", "--force"], 2, "PACKAGE_NAME"),
        (&["remove", "pgf-blur"], 2, "PACKAGE_UNKNOWN"),
        (&["install", "pgf-blur"], 8, "ENGINE_UNREACHABLE"),
        (&["list"], 8, "ENGINE_UNREACHABLE"),
        (
            &["remap", "--from", "a:1", "--to", "b:1"],
            3,
            "IMAGE_NOT_LISTED",
        ),
        (&["remap", "--from", "a:1", "--to", "b;1"], 2, "IMAGE_NAME"),
    ] {
        let ran = sandbox.run(&[&["texlive"], arguments].concat());
        let ran = ran.ended_with(code);
        assert!(ran.stderr.contains(id), "{}", ran.all());
        assert_eq!(sandbox.read("config/overleaf.rc"), before);
    }
    sandbox.run(&["texlive", "build"]).succeeded();
}

#[test]
fn packages_of_the_configuration_are_read_with_care() {
    let sandbox = Sandbox::initialised(&["--edition", "pro"]);
    let ran = sandbox.run(&["texlive", "install", "a"]).ended_with(2);
    assert!(ran.stderr.contains("TEXLIVE_EDITION"), "{}", ran.all());
    let sandbox = Sandbox::initialised(&[]);
    let rc = sandbox.read("config/overleaf.rc");
    sandbox.write(
        "config/overleaf.rc",
        &format!("{rc}TEXLIVE_PACKAGES='a -b'\n"),
    );
    let ran = sandbox.run(&["compose", "config"]).ended_with(3);
    assert!(
        ran.stderr.contains("`-b` is not the name of a package"),
        "{}",
        ran.all()
    );
    sandbox.write(
        "config/overleaf.rc",
        &format!("{rc}TEXLIVE_PACKAGES='b a'\n"),
    );
    let shown = sandbox.run(&["compose", "config"]).succeeded().stdout;
    assert!(
        shown.contains("toolkit-texlive/sharelatex:6.2.2-texlive-"),
        "{shown}"
    );
}

#[tokio::test]
async fn projects_are_counted_by_the_image_they_name() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), None).await;
    let url = format!("mongodb://{}/?directConnection=true", server.address);
    let options = ClientOptions::parse(&url).await.unwrap();
    let client = mongodb::Client::with_options(options).unwrap();
    let projects_of = client
        .database("sharelatex")
        .collection::<Document>("projects");
    let names = ["q/s/t:1", "q/s/t:2", "q/s/t:1"];
    let mut all: Vec<Document> = names.iter().map(|name| doc! {"imageName": name}).collect();
    all.push(doc! {"name": "old"});
    projects_of.insert_many(all).await.unwrap();
    let url = Secret::new("mongodb://mongo/sharelatex");
    let deadline = Duration::from_secs(20);
    let counted = projects::image_names(&url, Some(server.address), deadline).await;
    let expected = [("", 1), ("q/s/t:1", 2), ("q/s/t:2", 1)];
    let expected = expected.map(|(name, number)| (name.to_owned(), number));
    assert_eq!(counted, Ok(expected.into()));
    let silent = "127.0.0.1:1".parse().unwrap();
    let none = projects::image_names(&url, Some(silent), Duration::from_millis(200)).await;
    none.unwrap_err();
}

#[tokio::test]
async fn an_image_can_be_looked_into_only_when_it_is_there() {
    let engine = MemoryEngine::new(&["a:1"], &[]);
    engine.put_into_image("a:1", &["/x"]);
    let paths = ["/x", "/y"].map(str::to_owned);
    assert_eq!(engine.paths_in_image("a:1", &paths).await.unwrap(), ["/x"]);
    engine.paths_in_image("b:1", &paths).await.unwrap_err();
}
