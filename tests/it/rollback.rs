//! Plans that go back to what stood before an operation.

use std::collections::BTreeMap;

use toolkit::compose::load;
use toolkit::deployment::Deployment;
use toolkit::journal::Existing;
use toolkit::observed::{Container, ContainerState, Image, Network, Observed};
use toolkit::plan::Plan;
use toolkit::{compose, labels, rollback};

use crate::sandbox::bare;

const DEFINITION: &str = "services:
  a: {image: 'x:1'}
  b: {image: 'x:1', depends_on: [a]}
  c: {image: 'x:1'}
";

fn previous() -> Deployment {
    bare("/srv", load::project(DEFINITION, "p").unwrap())
}

/// A container as the previous project made it, or with another definition.
fn container(service: &str, state: ContainerState, is_changed: bool) -> Container {
    let previous = previous();
    let hash = previous
        .project
        .services
        .get(service)
        .filter(|_| !is_changed)
        .map(compose::canonical::service_hash)
        .unwrap_or_default();
    Container {
        name: format!("p-{service}-1"),
        project: "p".to_owned(),
        service: service.to_owned(),
        image: "x:1".to_owned(),
        state,
        addresses: BTreeMap::from([("p_default".to_owned(), [10, 0, 0, 2].into())]),
        labels: BTreeMap::from([(labels::CONFIG_HASH.to_owned(), hash)]),
        ..Container::default()
    }
}

fn observed(containers: Vec<Container>) -> Observed {
    let network = Network {
        id: "n".to_owned(),
        name: "p_default".to_owned(),
        labels: BTreeMap::from([(labels::PROJECT.to_owned(), "p".to_owned())]),
        ..Network::default()
    };
    Observed {
        containers,
        networks: BTreeMap::from([(network.name.clone(), vec![network])]),
        ..Observed::default()
    }
}

fn stood(service: &str, running: bool) -> Existing {
    Existing {
        service: service.to_owned(),
        container: format!("p-{service}-1"),
        running,
    }
}

fn titles(plan: &Plan) -> Vec<String> {
    let steps = plan.steps.iter();
    steps.map(|step| step.action.to_string()).collect()
}

const RUNS: ContainerState = ContainerState::Running;
const STOPPED: ContainerState = ContainerState::Exited { exit_code: 0 };

#[test]
fn what_was_not_there_goes_with_its_network() {
    let now = observed(vec![
        container("a", RUNS, false),
        container("b", STOPPED, false),
    ]);
    let plan = rollback::plan(&previous(), &now, &[]);
    assert_eq!(
        titles(&plan),
        [
            "remove container `p-b-1`",
            "stop container `p-a-1`",
            "remove container `p-a-1`",
            "remove network `p_default`"
        ]
    );
}

#[test]
fn what_ran_is_made_as_it_was_and_the_rest_is_left_alone() {
    let now = observed(vec![
        container("a", RUNS, false),
        container("b", RUNS, true),
        container("c", STOPPED, false),
    ]);
    let before = [stood("a", true), stood("b", true), stood("c", false)];
    let plan = rollback::plan(&previous(), &now, &before);
    assert_eq!(
        titles(&plan),
        [
            "create container `p-b-1`",
            "stop container `p-b-1`",
            "remove container `p-b-1`",
            "put container `p-b-1` in its place",
            "start container `p-b-1`"
        ]
    );
    assert_eq!(rollback::running(&previous(), &before), ["a", "b"]);
}

#[test]
fn what_stood_still_stands_still_again() {
    // `c` was started, and the container of `b`, which did not run, was removed.
    let now = observed(vec![
        container("a", RUNS, false),
        container("c", RUNS, false),
    ]);
    let before = [stood("a", true), stood("b", false), stood("c", false)];
    let plan = rollback::plan(&previous(), &now, &before);
    assert_eq!(
        titles(&plan),
        [
            "create container `p-b-1`",
            "start container `p-b-1`",
            "stop container `p-c-1`",
            "stop container `p-b-1`"
        ]
    );
}

#[test]
fn an_operation_that_changed_nothing_needs_no_way_back() {
    let now = observed(vec![
        container("a", RUNS, false),
        container("b", STOPPED, true),
    ]);
    let before = [stood("a", true), stood("b", false)];
    assert_eq!(
        titles(&rollback::plan(&previous(), &now, &before)),
        Vec::<String>::new()
    );
}

#[test]
fn a_second_network_goes_only_where_it_is_of_the_project() {
    let before = [stood("a", true)];
    for (owner, goes) in [(Some("p"), true), (Some("other"), false), (None, false)] {
        let mut now = observed(vec![container("a", RUNS, false)]);
        let owner = owner.map(|owner| (labels::PROJECT.to_owned(), owner.to_owned()));
        let second = Network {
            id: "o".to_owned(),
            name: "p_default".to_owned(),
            labels: owner.into_iter().collect(),
            ..Network::default()
        };
        now.networks.get_mut("p_default").unwrap().push(second);
        let plan = rollback::plan(&previous(), &now, &before);
        let expected: &[&str] = match goes {
            true => &["remove network `p_default`"],
            false => &[],
        };
        assert_eq!(titles(&plan), expected);
    }
}

#[test]
fn an_image_that_was_pulled_meanwhile_is_no_reason() {
    let mut now = observed(vec![
        container("a", RUNS, false),
        container("b", RUNS, true),
    ]);
    let newer = Image {
        id: "sha256:newer".to_owned(),
        ..Image::default()
    };
    now.images.insert("x:1".to_owned(), Some(newer));
    let before = [stood("a", true), stood("b", true)];
    let plan = rollback::plan(&previous(), &now, &before);
    assert_eq!(
        titles(&plan)[1..3],
        ["stop container `p-b-1`", "remove container `p-b-1`"]
    );
    assert_eq!(titles(&plan).len(), 5);
}

#[test]
fn of_several_containers_the_one_that_stood_still_does_so_again() {
    let mut previous = previous();
    let text = "services: {a: {image: 'x:1', scale: 2}}";
    previous.project = load::project(text, "p").unwrap();
    let replica = |number: u32, state: ContainerState| {
        let mut container = container("a", state, true);
        let service = previous.project.services.get("a").unwrap();
        let hash = compose::canonical::service_hash(service);
        container
            .labels
            .insert(labels::CONFIG_HASH.to_owned(), hash);
        let label = labels::CONTAINER_NUMBER.to_owned();
        container.labels.insert(label, number.to_string());
        container.name = format!("p-a-{number}");
        container
    };
    let before = [
        stood("a", false),
        Existing {
            container: "p-a-2".to_owned(),
            ..stood("a", true)
        },
    ];
    // The one that ran was stopped, the other one was started.
    let now = observed(vec![replica(1, RUNS), replica(2, STOPPED)]);
    assert_eq!(
        titles(&rollback::plan(&previous, &now, &before)),
        ["start container `p-a-2`", "stop container `p-a-1`"]
    );
}

#[test]
fn images_older_than_what_used_the_data_are_told() {
    let told = |service: &str, from: &str, to: &str, state: ContainerState| {
        let mut previous = previous();
        let text = format!("services: {{{service}: {{image: '{to}'}}}}");
        previous.project = load::project(&text, "p").unwrap();
        let mut now = container(service, state, true);
        now.image = from.to_owned();
        let found = rollback::downgrades(&previous, &observed(vec![now]), &[stood(service, true)]);
        found
            .into_iter()
            .map(|found| found.service)
            .collect::<Vec<_>>()
    };
    let (app, none) = ("sharelatex", Vec::<String>::new());
    let (old, new) = ("sharelatex/sharelatex:5.5.8", "sharelatex/sharelatex:6.0.1");
    assert_eq!(told(app, new, old, RUNS), [app]);
    assert_eq!(told(app, new, old, STOPPED), [app]);
    assert_eq!(told(app, new, old, ContainerState::Created), none);
    assert_eq!(told(app, old, new, RUNS), none);
    assert_eq!(told(app, new, "mine:latest", RUNS), none);
    assert_eq!(told("mongo", "mongo:8.0", "mongo:7.0.5", RUNS), ["mongo"]);
    assert_eq!(
        told("mongo", "mongo:8.0.4@sha256:a", "mongo:8.0", RUNS),
        none
    );
    assert_eq!(told("mongo", "mongo:10.0", "mongo:8", RUNS), ["mongo"]);
    assert_eq!(told("mongo", "mongo:8", "mongo:8.0", RUNS), none);
    assert_eq!(told("mongo", "mongo:4.4", "mongo:4.2", RUNS), ["mongo"]);
    assert_eq!(told("redis", "redis:8", "redis:7", RUNS), none);
    // What was not there before goes, whatever it is.
    let now = observed(vec![container("a", RUNS, true)]);
    assert_eq!(rollback::downgrades(&previous(), &now, &[]), []);
}
