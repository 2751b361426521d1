//! The scripts of the application, acted out against the container's databases: what the real ones are
//! documented to do and to print, as far as the toolkit and its tests ask for it.
//!
//! They run as programs of their own beside the server and know only the environment.

use std::collections::BTreeMap;
use std::path::Path;

use bson::DateTime;
use bson::Document;
use bson::doc;
use bson::oid::ObjectId;
use futures_util::TryStreamExt;

use super::DATABASE_DEADLINE;
use super::databases::DatabaseError;
use super::databases::Databases;
use super::documents::DocumentError;
use super::documents::Documents;
use super::environment;
use super::environment::EnvironmentError;
use crate::servers::container_log::with_causes;

/// Exit code of a script that is called in a wrong way.
const WRONG: u8 = 101;

/// Exit code of a script that failed.
const FAILED: u8 = 1;

/// How long a compile may take where nothing was set.
const COMPILE_TIMEOUT: i32 = 180;

/// What redis knows the waiting changes of histories by.
const HISTORIES: &str = "ProjectHistory:Ops:*";

/// What a script left behind.
#[derive(Debug, Default)]
pub struct Ran {
    /// Exit code.
    pub exit_code: u8,
    /// What goes to standard output.
    pub out: String,
    /// What goes to standard error.
    pub error: String,
}

/// Why a script failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error("{0}")]
    Said(String),
    #[error("Usage: {0}")]
    Usage(&'static str),
}

/// A script with what it needs.
struct Script<'a> {
    databases: Databases,
    arguments: &'a [String],
    site: String,
}

/// Runs the script of a service; `None` where it is none that is known.
pub async fn run(
    service: &str,
    path: &str,
    arguments: &[String],
    environment: &BTreeMap<String, String>,
) -> Option<Ran> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.trim_end_matches(".mjs").trim_end_matches(".js");
    let known = [
        ("web", "create-user"),
        ("web", "delete-user"),
        ("web", "change-compile-timeout"),
        ("web", "transfer-all-projects-to-user"),
        ("web", "disconnect_all_users"),
        ("web", "update_project_image_name"),
        ("document-updater", "flush_all"),
        ("project-history", "flush_all"),
    ];
    if !known.contains(&(service, name)) {
        return None;
    }
    let acted = act(service, name, arguments, environment).await;
    Some(match acted {
        Ok(out) => Ran {
            exit_code: 0,
            out,
            error: "Done.\n".to_owned(),
        },
        Err(failure) => Ran {
            exit_code: match failure {
                Failure::Usage(_) => WRONG,
                _ => FAILED,
            },
            out: String::new(),
            error: format!("{}\n", with_causes(&failure)),
        },
    })
}

async fn act(
    service: &str,
    name: &str,
    arguments: &[String],
    environment: &BTreeMap<String, String>,
) -> Result<String, Failure> {
    let settings = environment::read(environment, Path::new("/"))?;
    let url = ["OVERLEAF_SITE_URL", "SHARELATEX_SITE_URL"];
    let mut url = url.iter().filter_map(|name| environment.get(*name));
    let script = Script {
        databases: Databases::new(&settings, DATABASE_DEADLINE).await?,
        arguments,
        site: url
            .next()
            .map_or("http://localhost", String::as_str)
            .to_owned(),
    };
    match (service, name) {
        ("document-updater", _) => {
            let stuck = environment::stuck(&settings);
            flush_documents(Documents::new(script.databases, stuck)).await
        }
        ("project-history", _) => script.flush_histories().await,
        (_, "create-user") => script.create_user().await,
        (_, "delete-user") => script.delete_user().await,
        (_, "change-compile-timeout") => script.change_timeout().await,
        (_, "disconnect_all_users") => script.disconnect().await,
        (_, "update_project_image_name") => script.remap_images().await,
        _ => script.transfer().await,
    }
}

/// As the real one, it reports success whatever happened to the documents.
async fn flush_documents(documents: Documents) -> Result<String, Failure> {
    let flush = documents.flush_all().await?;
    Ok(format!(
        "flushed {} of {} documents, {} failed\n",
        flush.flushed,
        flush.total,
        flush.failures.len()
    ))
}

impl Script<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        let start = format!("--{name}=");
        let mut values = self.arguments.iter();
        let value = values.find_map(|argument| argument.strip_prefix(&start));
        value.filter(|value| !value.is_empty())
    }

    fn collection(&self, name: &str) -> mongodb::Collection<Document> {
        self.databases.mongo().collection(name)
    }

    async fn user(&self, email: &str) -> Result<Option<Document>, Failure> {
        let users = self.collection("users");
        let found = users.find_one(doc! { "email": email });
        Ok(self.databases.in_mongo("look for a user", found).await?)
    }

    async fn set(&self, id: ObjectId, fields: Document) -> Result<(), Failure> {
        let users = self.collection("users");
        let change = users.update_one(doc! { "_id": id }, doc! { "$set": fields });
        self.databases.in_mongo("change a user", change).await?;
        Ok(())
    }

    async fn insert(&self, collection: &str, document: Document) -> Result<(), Failure> {
        let collection = self.collection(collection);
        let inserted = collection.insert_one(document);
        self.databases
            .in_mongo("store a document", inserted)
            .await?;
        Ok(())
    }

    async fn create_user(&self) -> Result<String, Failure> {
        let email = self.value("email");
        let email = email.ok_or(Failure::Usage("create-user [--admin] --email=ADDRESS"))?;
        let email = email.to_lowercase();
        let is_admin = self.arguments.iter().any(|argument| argument == "--admin");
        let id = match self.user(&email).await? {
            Some(known) => id_of(&known)?,
            None => {
                let id = ObjectId::new();
                let name = email.split('@').next().unwrap_or_default();
                let user = doc! {
                    "_id": id, "email": &email, "emails": [{ "email": &email }],
                    "first_name": name, "last_name": "", "isAdmin": false,
                    "signUpDate": DateTime::now(), "loginCount": 0,
                    "features": { "compileTimeout": COMPILE_TIMEOUT },
                };
                self.insert("users", user).await?;
                id
            }
        };
        self.set(id, doc! { "isAdmin": is_admin }).await?;
        let token = format!("{}{}", ObjectId::new(), ObjectId::new());
        let kept = doc! {
            "use": "password", "token": &token, "createdAt": DateTime::now(),
            "data": { "user_id": id.to_hex(), "email": &email },
        };
        self.insert("tokens", kept).await?;
        Ok(format!(
            "\nThe account {email} is there. Its password is set at:\n\n  {}/user/activate?token={token}&user_id={id}\n\n",
            self.site
        ))
    }

    async fn delete_user(&self) -> Result<String, Failure> {
        let email = self.value("email");
        let email = email.ok_or(Failure::Usage("delete-user --email=ADDRESS"))?;
        let Some(user) = self.user(email).await? else {
            return Ok(format!("{email} is not in the database\n"));
        };
        let id = id_of(&user)?;
        let projects = self.collection("projects");
        let owned = doc! { "owner_ref": id };
        let found = async { projects.find(owned.clone()).await?.try_collect().await };
        let found: Vec<Document> = self.databases.in_mongo("list projects", found).await?;
        for project in found {
            self.insert("deletedProjects", doc! { "project": project })
                .await?;
        }
        let gone = projects.delete_many(owned);
        self.databases.in_mongo("delete projects", gone).await?;
        self.insert("deletedUsers", doc! { "user": user }).await?;
        let users = self.collection("users");
        let gone = users.delete_one(doc! { "_id": id });
        self.databases.in_mongo("delete a user", gone).await?;
        Ok(String::new())
    }

    async fn change_timeout(&self) -> Result<String, Failure> {
        let usage =
            || Failure::Usage("change-compile-timeout --user-id=ID --compile-timeout=SECONDS");
        let id = self.value("user-id").ok_or_else(usage)?;
        let id = ObjectId::parse_str(id).map_err(|_| usage())?;
        let seconds = self
            .value("compile-timeout")
            .and_then(|text| text.parse().ok());
        let seconds: i32 = seconds
            .filter(|n| (1..=600).contains(n))
            .ok_or_else(usage)?;
        self.set(id, doc! { "features.compileTimeout": seconds })
            .await?;
        Ok(String::new())
    }

    async fn transfer(&self) -> Result<String, Failure> {
        let mut ids = Vec::new();
        for flag in ["from-user", "to-user"] {
            let email = self.value(flag);
            let email = email.ok_or_else(|| Failure::Said(format!("--{flag} is missing")))?;
            let user = self.user(email).await?;
            let user = user.ok_or_else(|| Failure::Said(format!("nobody is {email}")))?;
            ids.push(id_of(&user)?);
        }
        let (from, to) = (ids.first().copied(), ids.last().copied());
        let projects = self.collection("projects");
        let change = doc! { "$set": { "owner_ref": to } };
        let changed = projects.update_many(doc! { "owner_ref": from }, change);
        self.databases.in_mongo("change projects", changed).await?;
        Ok(String::new())
    }

    async fn remap_images(&self) -> Result<String, Failure> {
        let [from, to] = self.arguments else {
            return Err(Failure::Usage("update_project_image_name FROM TO"));
        };
        let projects = self.collection("projects");
        let change = doc! { "$set": { "imageName": to } };
        let changed = projects.update_many(doc! { "imageName": from }, change);
        self.databases.in_mongo("change projects", changed).await?;
        Ok(String::new())
    }

    async fn disconnect(&self) -> Result<String, Failure> {
        let mut redis = self.databases.redis().await?;
        let message = r#"{"room_id":"all","message":"forceDisconnect"}"#;
        redis::cmd("PUBLISH")
            .arg("editor-events")
            .arg(message)
            .exec_async(&mut redis)
            .await
            .map_err(self.databases.redis_failed("publish a message"))?;
        Ok("everybody is sent away\n".to_owned())
    }

    /// Nothing keeps a history here: what waits for one is dropped.
    async fn flush_histories(&self) -> Result<String, Failure> {
        let mut redis = self.databases.redis().await?;
        let failed = self.databases.redis_failed("list keys");
        let mut cursor = "0".to_owned();
        let mut number = 0;
        loop {
            let mut step = redis::cmd("SCAN");
            step.arg(&cursor).arg("MATCH").arg(HISTORIES);
            let (next, keys): (String, Vec<String>) =
                step.query_async(&mut redis).await.map_err(&failed)?;
            for key in keys {
                let drop = redis::cmd("DEL").arg(key).exec_async(&mut redis).await;
                drop.map_err(&failed)?;
                number += 1;
            }
            if next == "0" {
                return Ok(format!("{number} histories\n"));
            }
            cursor = next;
        }
    }
}

fn id_of(user: &Document) -> Result<ObjectId, Failure> {
    let id = user.get_object_id("_id");
    id.map_err(|_| Failure::Said("a user has no identifier".to_owned()))
}
