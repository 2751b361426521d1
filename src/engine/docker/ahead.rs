//! The containers of a project, which can be asked for before they are needed: the engine answers while
//! the configuration is read.

use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
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
    /// Asks in the background, unless it is too late.
    pub(super) fn ask(&self, project: &str, asking: impl Future<Output = Answer> + Send + 'static) {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*place, Place::Free) {
            *place = Place::Asked(Asked {
                project: project.to_owned(),
                answer: tokio::spawn(asking),
            });
        }
    }

    /// The answer about a project, if it was asked for.
    pub(super) async fn take(&self, project: &str) -> Option<Answer> {
        match self.close() {
            Place::Asked(asked) if asked.project == project => asked.answer.await.ok(),
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
        let asking = async move { engine.look_at_containers(&name).await };
        self.ahead.ask(project, asking);
    }

    /// The containers of a project as they are now.
    pub(super) async fn look_at_containers(
        &self,
        project: &str,
    ) -> Result<Vec<Container>, EngineError> {
        let label = format!("{}={project}", labels::PROJECT);
        let filters = serde_json::json!(filter("label", label)).to_string();
        let path = format!(
            "/containers/json?all=true&filters={}",
            percent::encoded(&filters)
        );
        let doing = "list containers";
        let listed: Option<Vec<Listed>> = self.asked(doing, &path).await?;
        // An engine has a list, though an empty one: whoever has none is not the engine.
        let listed = listed.ok_or_else(|| EngineError::Missing {
            what: "the list of containers".to_owned(),
        })?;
        let ids = listed.iter().filter_map(|listed| listed.id.as_deref());
        let paths = ids.map(inspect::path);
        let shown = self.all_asked("inspect a container", paths).await?;
        // One that is gone between the two calls is left out.
        let shown = shown.into_iter().flatten();
        let mut containers: Vec<Container> = shown.map(|Shown(container)| container).collect();
        containers.retain(|container| !container.is_one_off());
        containers.sort_by(|a, b| (&a.service, &a.name).cmp(&(&b.service, &b.name)));
        Ok(containers)
    }
}

/// A container of a list.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ahead.ask("p", async { Ok(named("p-a-1")) });
        assert_eq!(ahead.take("p").await.unwrap().unwrap(), named("p-a-1"));
        assert!(ahead.take("p").await.is_none());
        ahead.ask("p", async { Ok(named("p-a-1")) });
        assert!(ahead.take("p").await.is_none(), "it would be an old one");
    }

    #[tokio::test]
    async fn an_answer_about_another_project_is_not_taken() {
        let ahead = Ahead::default();
        ahead.ask("p", async { Ok(named("p-a-1")) });
        assert!(ahead.take("q").await.is_none());
    }

    #[tokio::test]
    async fn a_change_makes_an_answer_worthless() {
        let ahead = Ahead::default();
        ahead.ask("p", async { Ok(named("p-a-1")) });
        ahead.forget();
        assert!(ahead.take("p").await.is_none());
    }
}
