//! The containers of a project, which can be asked for before they are needed: the engine answers while
//! the configuration is read.
//!
//! To list containers takes an engine about half as long as to show each of them, and it does so with one
//! processor. So those that are likely to be there are looked at meanwhile, by their names. Only what is
//! listed counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, OnceLock, PoisonError};

use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::inspect::{self, Shown};
use super::{DockerEngine, filter};
use crate::engine::EngineError;
use crate::labels;
use crate::observed::Container;
use crate::percent;

/// Who is asked about, and the answer to come.
#[derive(Debug)]
struct Asked {
    project: String,
    /// Takes the names that are likely.
    likely: oneshot::Sender<Vec<String>>,
    answer: JoinHandle<Answer>,
}

type Answer = Result<Vec<Container>, EngineError>;

/// A place for one answer. It is given once, to whoever asks first, and is worthless as soon as this program
/// asks the engine to change anything.
#[derive(Debug, Default)]
pub(super) struct Ahead(Mutex<Place>);

#[derive(Debug, Default)]
enum Place {
    /// Nobody has asked yet.
    #[default]
    Free,
    /// The answer is on its way.
    Asked(Asked),
    /// It was given, or it is too late for one.
    Closed,
}

impl Ahead {
    /// Asks in the background, unless it is too late. What asks is told the likely names, if they become
    /// known.
    pub(super) fn ask<F>(
        &self,
        project: &str,
        asking: impl FnOnce(oneshot::Receiver<Vec<String>>) -> F,
    ) where
        F: Future<Output = Answer> + Send + 'static,
    {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*place, Place::Free) {
            let (likely, told) = oneshot::channel();
            *place = Place::Asked(Asked {
                project: project.to_owned(),
                likely,
                answer: tokio::spawn(asking(told)),
            });
        }
    }

    /// The answer about a project, if it was asked for.
    pub(super) async fn take(&self, project: &str, likely: &[String]) -> Option<Answer> {
        match self.close() {
            Place::Asked(asked) if asked.project == project => {
                // Where the list came first, nobody wants them any more.
                let _ = asked.likely.send(likely.to_vec());
                asked.answer.await.ok()
            }
            _ => None,
        }
    }

    /// Something changes: what was answered may not be so any more.
    pub(super) fn forget(&self) {
        if let Place::Asked(asked) = self.close() {
            asked.answer.abort();
        }
    }

    fn close(&self) -> Place {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut place, Place::Closed)
    }
}

impl DockerEngine {
    /// Asks for the containers of a project, for whoever wants them next, if nothing is changed through this
    /// connection meanwhile.
    pub fn ask_ahead(&self, project: &str) {
        let (engine, name) = (self.clone(), project.to_owned());
        let asking = |likely| async move { engine.look_at_containers(&name, likely).await };
        self.ahead.ask(project, asking);
    }

    /// The containers of a project as they are now. Those with likely names are looked at while the engine
    /// lists all; who does not know them drops the sender.
    pub(super) async fn look_at_containers(
        &self,
        project: &str,
        likely: oneshot::Receiver<Vec<String>>,
    ) -> Result<Vec<Container>, EngineError> {
        let listing = self.list_of_containers(project);
        tokio::pin!(listing);
        let (listed, early) = tokio::select! {
            biased;
            listed = &mut listing => (listed?, Vec::new()),
            likely = likely => {
                let names = OnceLock::new();
                let listing = async {
                    let listed: Vec<Listed> = listing.await?;
                    names.get_or_init(|| listed.iter().flat_map(Listed::names).collect());
                    Ok(listed)
                };
                // Once there is a list, nobody asks about what is not in it.
                let is_there = |name: &String| {
                    let names: Option<&BTreeSet<String>> = names.get();
                    names.is_none_or(|names| names.contains(name))
                };
                let named = likely.unwrap_or_default().into_iter().filter(is_there);
                // Where there is no answer about a name, it may be somebody else's: what counts is asked
                // about behind.
                let early = async { Ok(self.shown(named).await.unwrap_or_default()) };
                futures_util::try_join!(listing, early)?
            }
        };
        let mut found: BTreeMap<String, Container> = by_id(early);
        let ids = listed.into_iter().filter_map(|listed| listed.id);
        let ids: BTreeSet<String> = ids.collect();
        // A likely name may be that of somebody else's container, or have been given away since.
        found.retain(|id, _| ids.contains(id));
        let late = ids.into_iter().filter(|id| !found.contains_key(id));
        let late: Vec<String> = late.collect();
        found.extend(by_id(self.shown(late.into_iter()).await?));
        let mut containers: Vec<Container> = found.into_values().collect();
        containers.retain(|container| !container.is_one_off());
        containers.sort_by(|a, b| (&a.service, &a.name).cmp(&(&b.service, &b.name)));
        Ok(containers)
    }

    async fn list_of_containers(&self, project: &str) -> Result<Vec<Listed>, EngineError> {
        let label = format!("{}={project}", labels::PROJECT);
        let filters = serde_json::json!(filter("label", label)).to_string();
        let path = format!(
            "/containers/json?all=true&filters={}",
            percent::encoded(&filters)
        );
        let listed = self.asked("list containers", &path).await?;
        // An engine has a list, though an empty one: whoever has none is not the engine.
        listed.ok_or_else(|| EngineError::Missing {
            what: "the list of containers".to_owned(),
        })
    }

    /// The containers with these names or ids, without those that are not there.
    async fn shown(
        &self,
        names: impl Iterator<Item = String> + Send,
    ) -> Result<Vec<Container>, EngineError> {
        let paths = names.map(|name| inspect::path(&name));
        let shown = self.all_asked("inspect a container", paths).await?;
        let shown = shown.into_iter().flatten();
        Ok(shown.map(|Shown(container)| container).collect())
    }
}

fn by_id(containers: Vec<Container>) -> BTreeMap<String, Container> {
    let containers = containers.into_iter();
    containers.map(|found| (found.id.clone(), found)).collect()
}

/// A container of a list.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: Option<String>,
    names: Option<Vec<String>>,
}

impl Listed {
    fn names(&self) -> impl Iterator<Item = String> {
        let names = self.names.iter().flatten();
        names.map(|name| name.trim_start_matches('/').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use bytes::Bytes;
    use http_body_util::Full;
    use hyper::body::Incoming;
    use hyper::{Request, Response};
    use tempfile::TempDir;
    use tokio::sync::Semaphore;

    use super::super::ask::tests::{serve, words};
    use super::*;
    use crate::engine::Engine;

    /// What is there, by id and name: one whose name belonged to another one when it was asked about, one
    /// that is made aside, and one that runs once.
    const THERE: [(&str, &str); 4] = [
        ("1", "p-a-1"),
        ("2", "p-b-1"),
        ("3", "aside"),
        ("4", "p-a-run-4"),
    ];

    /// An engine that lists its containers once so many of them were looked at; counts what it is asked.
    struct Listing {
        asked: Arc<Mutex<Vec<String>>>,
        engine: DockerEngine,
        _folder: TempDir,
    }

    impl Listing {
        async fn new(late: u32) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let socket = folder.path().join("engine");
            let asked: Arc<Mutex<Vec<String>>> = Arc::default();
            let told = Arc::clone(&asked);
            let gate = Arc::new(Semaphore::new(0));
            let answer = move |request: Request<Incoming>| {
                let (told, gate) = (Arc::clone(&told), Arc::clone(&gate));
                async move {
                    let path = request.uri().path().replace("/v1.41", "");
                    let answer = Response::builder().header("Api-Version", "1.41");
                    let (status, body) = match path.as_str() {
                        "/_ping" => (200, "OK".to_owned()),
                        "/containers/json" => {
                            gate.acquire_many(late).await.unwrap().forget();
                            let listed = THERE.map(|(id, name)| {
                                serde_json::json!({"Id": id, "Names": [format!("/{name}")]})
                            });
                            (200, serde_json::json!(listed).to_string())
                        }
                        path => {
                            let name = path.split('/').nth(2).unwrap();
                            told.lock().unwrap().push(name.to_owned());
                            gate.add_permits(1);
                            shown(name)
                        }
                    };
                    let answer = answer.status(status).body(Full::<Bytes>::from(body));
                    Ok::<_, Infallible>(answer.unwrap())
                }
            };
            serve(&socket, answer);
            let endpoint = format!("unix://{}", socket.display());
            let engine = DockerEngine::connect(Some(&endpoint)).await.unwrap();
            Self {
                asked,
                engine,
                _folder: folder,
            }
        }

        /// What was looked at, in no order.
        fn asked(&self) -> Vec<String> {
            let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
            asked.sort();
            asked
        }
    }

    fn shown(name: &str) -> (u16, String) {
        let mut there = THERE.iter();
        let found = there.find(|(id, called)| *id == name || *called == name);
        let mut labels = serde_json::json!({labels::PROJECT: "p"});
        let (id, name) = match (found, name) {
            // Its name was given away between the two answers.
            (Some((_, "p-b-1")), "p-b-1") => ("0", "p-b-1"),
            (Some((id, name)), _) => (*id, *name),
            (None, "db") => return (400, r#"{"message":"more than one has it"}"#.to_owned()),
            _ => return (404, r#"{"message":"no such container"}"#.to_owned()),
        };
        if name == "p-a-run-4" {
            labels[labels::ONE_OFF] = "True".into();
        }
        let name = format!("/{name}");
        let body = serde_json::json!({"Id": id, "Name": name, "Config": {"Labels": labels}});
        (200, body.to_string())
    }

    #[tokio::test]
    async fn likely_containers_are_looked_at_before_there_is_a_list() {
        let likely = words(&["p-a-1", "p-b-1", "p-c-1"]);
        for is_asked_ahead in [true, false] {
            let listing = Listing::new(3).await;
            let engine = &listing.engine;
            if is_asked_ahead {
                engine.ask_ahead("p");
            }
            let found = engine.containers_and_stand_ins("p", &likely).await.unwrap();
            let found: Vec<(&str, &str)> = found.iter().map(|c| (&*c.id, &*c.name)).collect();
            assert_eq!(found, [("3", "aside"), ("1", "p-a-1"), ("2", "p-b-1")]);
            // What is not known by its id yet comes behind.
            let all = ["2", "3", "4", "p-a-1", "p-b-1", "p-c-1"];
            assert_eq!(listing.asked(), all);
        }
    }

    #[tokio::test]
    async fn a_likely_name_without_an_answer_does_no_harm() {
        let listing = Listing::new(1).await;
        let engine = &listing.engine;
        let likely = words(&["db", "p-a-1"]);
        let found = engine.containers_and_stand_ins("p", &likely).await.unwrap();
        assert_eq!(found.len(), 3);
        assert!(listing.asked().contains(&"db".to_owned()));
    }

    #[tokio::test]
    async fn nobody_asks_about_what_is_not_in_the_list() {
        let listing = Listing::new(8).await;
        let engine = &listing.engine;
        // More than are asked about at once; the last one is there.
        let mut likely: Vec<String> = (1..1000).map(|number| format!("p-c-{number}")).collect();
        likely.push("p-a-1".to_owned());
        let found = engine.containers_and_stand_ins("p", &likely).await.unwrap();
        assert_eq!(found.len(), 3);
        let asked = listing.asked();
        assert!(asked.len() < 999, "{}", asked.len());
        assert_eq!(asked.iter().filter(|name| *name == "p-a-1").count(), 1);
        assert!(!asked.contains(&"1".to_owned()), "{asked:?}");
    }

    fn named(name: &str) -> Vec<Container> {
        let name = name.to_owned();
        vec![Container {
            name,
            ..Container::default()
        }]
    }

    #[tokio::test]
    async fn an_answer_is_given_once() {
        let ahead = Ahead::default();
        ahead.ask("p", |_| async { Ok(named("p-a-1")) });
        assert_eq!(ahead.take("p", &[]).await.unwrap().unwrap(), named("p-a-1"));
        assert!(ahead.take("p", &[]).await.is_none());
        ahead.ask("p", |_| async { Ok(named("p-a-1")) });
        assert!(
            ahead.take("p", &[]).await.is_none(),
            "it would be an old one"
        );
    }

    #[tokio::test]
    async fn an_answer_about_another_project_is_not_taken() {
        let ahead = Ahead::default();
        ahead.ask("p", |_| async { Ok(named("p-a-1")) });
        assert!(ahead.take("q", &[]).await.is_none());
    }

    #[tokio::test]
    async fn a_change_makes_an_answer_worthless() {
        let ahead = Ahead::default();
        ahead.ask("p", |_| async { Ok(named("p-a-1")) });
        ahead.forget();
        assert!(ahead.take("p", &[]).await.is_none());
    }
}
