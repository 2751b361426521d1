//! What the commands about people, the site and its edits begin with: the instance, its engine and the
//! application's container; and how their errors read.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::instance::{self, Instance};
use super::{Session, error::CommandError, exit, target};
use crate::engine::Engine;
use crate::engine::docker::DockerEngine;
use crate::observed::Container;
use crate::people::actions::ActionError;
use crate::people::{self, Email, User};
use crate::release::APPLICATION;
use crate::site::SiteError;
use crate::stores::{StoreError, Stores};

/// How long a conversation with a store may take.
const STORE_DEADLINE: Duration = Duration::from_secs(30);

/// An instance whose people, site or edits a command is about.
#[derive(Debug)]
pub struct Place {
    /// The instance.
    pub instance: Instance,
    /// Its engine.
    pub engine: DockerEngine,
    /// The containers of its project.
    pub containers: Vec<Container>,
}

impl Place {
    /// The instance with what its engine has.
    ///
    /// # Errors
    /// The configuration cannot be used, or the engine cannot be asked.
    pub async fn find(session: &Session) -> Result<Self, CommandError> {
        Self::of(session, instance::load(session)?).await
    }

    /// As [`Place::find`], for an instance that is loaded already.
    ///
    /// # Errors
    /// The engine cannot be asked.
    pub async fn of(session: &Session, instance: Instance) -> Result<Self, CommandError> {
        let engine = instance::engine(session, &instance.root).await?;
        let project = &instance.deployment.project.name;
        let containers = engine.project_containers(project).await?;
        Ok(Self {
            instance,
            engine,
            containers,
        })
    }

    /// The running container of the application.
    ///
    /// # Errors
    /// It does not exist or does not run.
    pub async fn application(&self) -> Result<Container, CommandError> {
        target::running(&self.engine, &self.instance, APPLICATION, None).await
    }

    /// The application's container, whatever it does.
    #[must_use]
    pub fn container(&self) -> Option<&Container> {
        let mut containers = self.containers.iter();
        containers.find(|container| container.service == APPLICATION)
    }

    /// Its mongo and its redis.
    #[must_use]
    pub fn stores(&self) -> Stores<'_, DockerEngine> {
        Stores {
            engine: &self.engine,
            deployment: &self.instance.deployment,
            containers: &self.containers,
            deadline: STORE_DEADLINE,
        }
    }

    /// Everybody who has an account.
    ///
    /// # Errors
    /// Mongo cannot be asked.
    pub async fn users(&self) -> Result<Vec<User>, CommandError> {
        Ok(people::all(&self.stores()).await?)
    }

    /// The folder of the instance.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.instance.root
    }

    /// The URL under which people open the site.
    #[must_use]
    pub fn site(&self) -> &str {
        let urls = self.instance.deployment.urls.first();
        urls.map_or("http://localhost", String::as_str)
    }
}

/// Says how a command about accounts ended; machines get the data.
pub fn conclude(session: &Session, place: &Place, command: &str, data: &Value, text: &str) {
    if session.ui.is_json() {
        let schema = format!("toolkit.user.{command}/v1");
        session.ui.document(&schema, data, &place.instance.warnings);
    } else {
        session.ui.say(text);
    }
}

/// An address that was typed.
///
/// # Errors
/// It is none.
pub fn email(text: &str) -> Result<Email, CommandError> {
    text.parse().map_err(|error: people::EmailError| {
        CommandError::new("EMAIL_INVALID", exit::USAGE, error.to_string())
            .state("nothing was changed")
    })
}

/// The user with an address.
///
/// # Errors
/// Nobody has it.
pub fn known<'a>(users: &'a [User], email: &Email) -> Result<&'a User, CommandError> {
    if let Some(user) = people::find(users, email) {
        return Ok(user);
    }
    let error = CommandError::new(
        "USER_UNKNOWN",
        exit::FAILED,
        format!("nobody has an account with `{email}`"),
    )
    .state("nothing was changed");
    Err(match people::nearest(users, email) {
        Some(nearest) => error.fix(format!("did you mean `{nearest}`?")),
        None => error.command("toolkit user list"),
    })
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Unplaced { .. } => {
                Self::new("STORE_UNPLACED", exit::CONFIGURATION, message)
                    .fix("look at what the application is given: toolkit config show")
            }
            StoreError::NotRunning { service, .. } => {
                Self::new("NOT_RUNNING", exit::FAILED, message)
                    .command(format!("toolkit up {service}"))
            }
            StoreError::Failed { because, .. } => {
                Self::new("STORE_FAILED", exit::UNREACHABLE, message)
                    .because(because)
                    .command("toolkit status")
            }
            StoreError::Engine(error) => error.into(),
        }
    }
}

impl From<ActionError> for CommandError {
    fn from(error: ActionError) -> Self {
        let message = error.to_string();
        let missing = |known: Option<String>| {
            let error = Self::new("SCRIPT_MISSING", exit::FAILED, message.clone())
                .state("nothing was changed");
            known.into_iter().fold(error, Self::because)
        };
        match error {
            ActionError::NotInRelease { known, .. } => {
                missing(known).fix("upgrade, or do it in the browser as an administrator")
            }
            ActionError::NotInImage { paths, known } => {
                let tried = paths.iter().map(|path| format!("`{path}`"));
                let tried = crate::ui::words::list(&tried.collect::<Vec<_>>());
                missing(known)
                    .because(format!("the container does not have {tried}"))
                    .fix("an image of one's own has to be built with the modules of its release")
            }
            ActionError::Failed { ref lines, .. } => {
                let mut failed = Self::new("SCRIPT_FAILED", exit::FAILED, message);
                failed.failure.log.clone_from(lines);
                failed
                    .state("what the script had done before stands")
                    .fix("read what it says above")
            }
            ActionError::Script(error) => error.into(),
            ActionError::Engine(error) => error.into(),
            ActionError::Rows(cause) => {
                Self::new("BUG", exit::BUG, message).because(cause.to_string())
            }
        }
    }
}

impl From<SiteError> for CommandError {
    fn from(error: SiteError) -> Self {
        let message = error.to_string();
        match error {
            SiteError::Host(error) => error.into(),
            SiteError::Engine(error) => error.into(),
            SiteError::Unreadable(_) => Self::new("SITE_WISH_UNREADABLE", exit::FAILED, message)
                .because("it was changed, or a newer toolkit wrote it")
                .fix("run the newer toolkit, or remove the file: the site then counts as open"),
            SiteError::TooOld(_) => Self::new("SITE_CANNOT_CLOSE", exit::FAILED, message)
                .state("nothing was changed")
                .fix("close the editor in the browser, as an administrator, or stop it: toolkit stop sharelatex"),
        }
    }
}
