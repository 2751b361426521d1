//! `mongosh`: as much of mongo's shell as is needed to look at a database by hand and in scripts.
//! Answers are JSON. What it does not know it refuses by its name.

#![expect(
    clippy::disallowed_methods,
    reason = "a program of its own in a container, with that container's environment and files"
)]

mod language;

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use mongodb::error::{Error, ErrorKind};
use mongodb::options::ClientOptions;
use mongodb::{Client, Database};
use serde_json::Value;

use super::complain;
use language::{Argument, Statement, Step};

const NAME: &str = "mongosh";
const DATABASE: &str = "test";
/// How long the server may take to be found.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the arguments ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    url: String,
    database: String,
    texts: Vec<String>,
    stays: bool,
    is_quiet: bool,
    is_apart: bool,
}

/// Runs what is asked for, or talks.
pub(super) fn run(arguments: &[String]) -> ExitCode {
    let options = match options(arguments) {
        Ok(options) => options,
        Err(text) => {
            complain(NAME, &text);
            return ExitCode::FAILURE;
        }
    };
    if arguments.iter().any(|word| word == "--version") {
        say(&format!("{} (bundled)\n", env!("CARGO_PKG_VERSION")));
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(converse(&options));
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(error.to_string()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            complain(NAME, &text);
            ExitCode::FAILURE
        }
    }
}

fn options(arguments: &[String]) -> Result<Options, String> {
    let mut found = Options::default();
    let (mut host, mut port) = ("127.0.0.1".to_owned(), "27017".to_owned());
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let (flag, mut own) = match word.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
            _ => (word.as_str(), None),
        };
        let mut value = || {
            let value = own.take().or_else(|| words.next().cloned());
            value.ok_or_else(|| format!("{flag} needs a value"))
        };
        match flag {
            "--eval" => found.texts.push(value()?),
            "--file" | "-f" => found.texts.push(read(&value()?)?),
            "--host" => host = value()?,
            "--port" => port = value()?,
            "--quiet" => found.is_quiet = true,
            "--nodb" => found.is_apart = true,
            "--shell" => found.stays = true,
            "--norc" | "--version" => {}
            other if other.starts_with('-') => {
                return Err(format!("{other} is not known to this stand-in"));
            }
            url if url.contains("://") => found.url = word.clone(),
            file if file.ends_with(".js") => found.texts.push(read(file)?),
            database => database.clone_into(&mut found.database),
        }
    }
    if found.url.is_empty() {
        found.url = format!("mongodb://{host}:{port}/?directConnection=true");
    }
    Ok(found)
}

fn read(file: &str) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))
}

fn say(text: &str) {
    let mut output = std::io::stdout().lock();
    // Nobody reads on; the next read of the input ends it.
    let _ = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
}

/// Where the shell is.
struct Place {
    client: Option<Client>,
    database: String,
}

async fn converse(options: &Options) -> Result<(), String> {
    let mut place = Place {
        client: None,
        database: DATABASE.to_owned(),
    };
    if !options.is_apart {
        place.connect(&options.url).await?;
    }
    if !options.database.is_empty() {
        place.database.clone_from(&options.database);
    }
    for text in &options.texts {
        if place.all(text).await? {
            return Ok(());
        }
    }
    if !options.texts.is_empty() && !options.stays {
        return Ok(());
    }
    let is_prompted = std::io::stdin().is_terminal();
    if is_prompted && !options.is_quiet {
        say("The toolkit's stand-in for mongosh; `exit` ends it\n");
    }
    let mut text = String::new();
    loop {
        if is_prompted {
            let prompt = match text.is_empty() {
                true => format!("{}> ", place.database),
                false => "... ".to_owned(),
            };
            say(&prompt);
        }
        let line = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            read.map(|length| (length > 0).then_some(line))
        });
        let line = line.await.map_err(|error| error.to_string())?;
        let line = line.map_err(|error| error.to_string())?;
        let is_end = line.is_none();
        text.push_str(&line.unwrap_or_default());
        if language::is_open(&text) && !is_end {
            continue;
        }
        match place.all(&std::mem::take(&mut text)).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) if is_prompted => complain(NAME, &error),
            Err(error) => return Err(error),
        }
        if is_end {
            return Ok(());
        }
    }
}

impl Place {
    async fn connect(&mut self, url: &str) -> Result<(), String> {
        let options = ClientOptions::parse(url).await;
        let mut options = options.map_err(|error| error.to_string())?;
        options.server_selection_timeout = Some(PATIENCE);
        if let Some(database) = &options.default_database {
            self.database.clone_from(database);
        }
        let client = Client::with_options(options);
        self.client = Some(client.map_err(|error| error.to_string())?);
        Ok(())
    }

    fn database(&self, name: &str) -> Result<Database, String> {
        let client = self.client.as_ref();
        let client = client.ok_or("there is no connection: db = connect(process.env.NAME)")?;
        Ok(client.database(name))
    }

    /// Runs all statements of a text; whether the last was to end.
    async fn all(&mut self, text: &str) -> Result<bool, String> {
        let statements = language::parse(text).map_err(|error| error.to_string())?;
        for statement in statements {
            match statement {
                Statement::Exit => return Ok(true),
                Statement::Use(name) => {
                    say(&format!("switched to db {name}\n"));
                    self.database = name;
                }
                Statement::Show(what) => self.show(&what).await?,
                Statement::Connect(name) => {
                    let url = std::env::var(&name).map_err(|_| format!("{name} is not set"))?;
                    self.connect(&url).await?;
                }
                Statement::Value(argument) => {
                    if let Some(value) = self.value(&argument).await? {
                        say(&format!("{}\n", shown(&value)));
                    }
                }
            }
        }
        Ok(false)
    }

    async fn show(&self, what: &str) -> Result<(), String> {
        let names = match what {
            "collections" | "tables" => {
                let database = self.database(&self.database)?;
                database.list_collection_names().await
            }
            "dbs" | "databases" => {
                let client = self.client.as_ref().ok_or("there is no connection")?;
                client.list_database_names().await
            }
            other => return Err(format!("show {other} is not known to this stand-in")),
        };
        let mut names = names.map_err(|error| error.to_string())?;
        names.sort();
        names.iter().for_each(|name| say(&format!("{name}\n")));
        Ok(())
    }

    /// The value of an argument; `None` when there is nothing to show.
    async fn value(&self, argument: &Argument) -> Result<Option<Bson>, String> {
        let steps = match argument {
            Argument::Value(value) => return Ok(Some(value.clone())),
            Argument::Chain(steps) => steps,
        };
        let Some((first, rest)) = steps.split_first() else {
            return Ok(None);
        };
        let unknown = || format!("`{}` is not known to this stand-in", first.name);
        match (first.name.as_str(), first.arguments.as_deref()) {
            ("db", None) => self.of_database(&self.database, rest).await.map(Some),
            ("rs", None) => self.of_replica_set(rest).await.map(Some),
            ("print" | "printjson", Some([argument])) => {
                if let Some(value) = Box::pin(self.value(argument)).await? {
                    say(&format!("{}\n", shown(&value)));
                }
                Ok(None)
            }
            ("JSON" | "EJSON", None) => match rest {
                [Step { name, arguments }] if name == "stringify" => {
                    let argument = arguments.iter().flatten().next().ok_or_else(unknown)?;
                    let value = Box::pin(self.value(argument)).await?.unwrap_or(Bson::Null);
                    Ok(Some(Bson::String(json(&value).to_string())))
                }
                _ => Err(unknown()),
            },
            _ => Err(unknown()),
        }
    }

    async fn of_replica_set(&self, steps: &[Step]) -> Result<Bson, String> {
        let (first, rest) = steps.split_first().ok_or("rs: a call is missing")?;
        let command = match (first.name.as_str(), argument(first, 0)) {
            ("status", _) => doc! { "replSetGetStatus": 1 },
            ("conf" | "config", _) => doc! { "replSetGetConfig": 1 },
            ("initiate", Some(Bson::Document(set))) => doc! { "replSetInitiate": set.clone() },
            (other, _) => return Err(format!("rs.{other} is not known to this stand-in")),
        };
        let answer = self.command("admin", command).await?;
        let answer = match answer.get("config") {
            Some(config) if first.name.starts_with("conf") => config.clone(),
            _ => Bson::Document(answer),
        };
        field(answer, rest)
    }

    async fn command(&self, database: &str, command: Document) -> Result<Document, String> {
        let answer = self.database(database)?.run_command(command).await;
        answer.map_err(|error| server_error(&error))
    }

    async fn of_database(&self, name: &str, steps: &[Step]) -> Result<Bson, String> {
        let Some((first, rest)) = steps.split_first() else {
            return Ok(Bson::String(name.to_owned()));
        };
        if first.arguments.is_none() {
            return self.of_collection(name, &first.name, rest).await;
        }
        let text = || match argument(first, 0) {
            Some(Bson::String(text)) => Ok(text.clone()),
            _ => Err(format!("db.{} needs a text", first.name)),
        };
        let document = || match argument(first, 0) {
            Some(Bson::Document(document)) => Ok(document.clone()),
            Some(Bson::String(command)) => Ok(doc! { command: 1 }),
            _ => Err(format!("db.{} needs a document", first.name)),
        };
        let answer = match first.name.as_str() {
            "getSiblingDB" => return Box::pin(self.of_database(&text()?, rest)).await,
            "getCollection" => return self.of_collection(name, &text()?, rest).await,
            "getName" => Bson::String(name.to_owned()),
            "stats" => Bson::Document(self.command(name, doc! { "dbStats": 1 }).await?),
            "runCommand" => Bson::Document(self.command(name, document()?).await?),
            "adminCommand" => Bson::Document(self.command("admin", document()?).await?),
            "hello" => Bson::Document(self.command(name, doc! { "hello": 1 }).await?),
            "isMaster" => Bson::Document(self.command(name, doc! { "isMaster": 1 }).await?),
            "version" => {
                let answer = self.command("admin", doc! { "buildInfo": 1 }).await?;
                answer.get("version").cloned().unwrap_or(Bson::Null)
            }
            "getCollectionNames" => {
                let names = self.database(name)?.list_collection_names().await;
                let mut names = names.map_err(|error| error.to_string())?;
                names.sort();
                Bson::Array(names.into_iter().map(Bson::String).collect())
            }
            other => return Err(format!("db.{other} is not known to this stand-in")),
        };
        field(answer, rest)
    }

    async fn of_collection(
        &self,
        database: &str,
        name: &str,
        steps: &[Step],
    ) -> Result<Bson, String> {
        let Some((first, rest)) = steps.split_first() else {
            return Ok(Bson::String(format!("{database}.{name}")));
        };
        if first.arguments.is_none() {
            let longer = format!("{name}.{}", first.name);
            return Box::pin(self.of_collection(database, &longer, rest)).await;
        }
        let collection = self.database(database)?.collection::<Document>(name);
        let filter = match argument(first, 0) {
            Some(Bson::Document(filter)) => filter.clone(),
            None => Document::new(),
            Some(_) => return Err(format!("{} needs a document", first.name)),
        };
        let projection = match argument(first, 1) {
            Some(Bson::Document(projection)) => Some(projection.clone()),
            _ => None,
        };
        let answer = match first.name.as_str() {
            "find" => {
                let mut find = collection.find(filter);
                if let Some(projection) = projection {
                    find = find.projection(projection);
                }
                for step in rest {
                    let number = argument(step, 0).and_then(Bson::as_i32);
                    find = match (step.name.as_str(), number, argument(step, 0)) {
                        ("limit", Some(number), _) => find.limit(i64::from(number)),
                        ("skip", Some(number), _) => find.skip(number.unsigned_abs().into()),
                        ("sort", _, Some(Bson::Document(order))) => find.sort(order.clone()),
                        ("toArray" | "pretty", ..) => find,
                        (other, ..) => {
                            return Err(format!("find().{other} is not known to this stand-in"));
                        }
                    };
                }
                let found = async { find.await?.try_collect::<Vec<Document>>().await };
                let found = found
                    .await
                    .map(|found| found.into_iter().map(Bson::Document));
                return found
                    .map(|found| Bson::Array(found.collect()))
                    .map_err(|error| server_error(&error));
            }
            "findOne" => {
                let found = collection.find_one(filter).await;
                found.map(|found| found.map_or(Bson::Null, Bson::Document))
            }
            "countDocuments" | "count" => {
                let counted = collection.count_documents(filter).await;
                counted.map(|number| Bson::Int64(i64::try_from(number).unwrap_or(i64::MAX)))
            }
            "insertOne" => {
                let inserted = collection.insert_one(filter).await;
                inserted.map(|done| {
                    Bson::Document(doc! { "acknowledged": true, "insertedId": done.inserted_id })
                })
            }
            other => return Err(format!("db.{name}.{other} is not known to this stand-in")),
        };
        let answer = answer.map_err(|error| server_error(&error))?;
        field(answer, rest)
    }
}

/// What the server says, without the driver's own words around it.
fn server_error(error: &Error) -> String {
    match &*error.kind {
        ErrorKind::Command(refused) => {
            format!(
                "MongoServerError[{}]: {}",
                refused.code_name, refused.message
            )
        }
        other => format!("MongoServerError: {other}"),
    }
}

fn argument(step: &Step, at: usize) -> Option<&Bson> {
    let arguments = step.arguments.as_ref()?;
    arguments.get(at)?.value()
}

/// A field of an answer.
fn field(answer: Bson, steps: &[Step]) -> Result<Bson, String> {
    let mut found = answer;
    for step in steps {
        found = match found {
            Bson::Document(document) if step.arguments.is_none() => {
                document.get(&step.name).cloned().unwrap_or(Bson::Null)
            }
            _ => return Err(format!("`{}` is not known to this stand-in", step.name)),
        };
    }
    Ok(found)
}

/// A value as it is shown: texts as they are, the rest as JSON.
fn shown(value: &Bson) -> String {
    match value {
        Bson::String(text) => text.clone(),
        value => {
            let value = json(value);
            serde_json::to_string_pretty(&value).unwrap_or_else(|_| value.to_string())
        }
    }
}

/// A value as relaxed extended JSON; of the rarer kinds what their own notation is.
fn json(value: &Bson) -> Value {
    match value {
        Bson::Null | Bson::Undefined => Value::Null,
        Bson::Boolean(value) => (*value).into(),
        Bson::Int32(value) => (*value).into(),
        Bson::Int64(value) => (*value).into(),
        Bson::Double(value) => (*value).into(),
        Bson::String(value) => value.as_str().into(),
        Bson::Array(values) => values.iter().map(json).collect(),
        Bson::Document(document) => {
            let fields = document.iter();
            let fields = fields.map(|(name, value)| (name.clone(), json(value)));
            Value::Object(fields.collect())
        }
        Bson::ObjectId(id) => serde_json::json!({ "$oid": id.to_hex() }),
        Bson::DateTime(at) => match at.try_to_rfc3339_string() {
            Ok(text) => serde_json::json!({ "$date": text }),
            Err(_) => serde_json::json!({ "$date": at.timestamp_millis() }),
        },
        Bson::Timestamp(at) => {
            serde_json::json!({ "$timestamp": { "t": at.time, "i": at.increment } })
        }
        other => other.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_those_of_the_real_shell() {
        let parsed = |text: &str| {
            let words: Vec<String> = text.split(' ').map(ToOwned::to_owned).collect();
            options(&words)
        };
        let found = parsed("sharelatex --quiet --eval db --eval=rs.status() --port 7").unwrap();
        assert_eq!(found.database, "sharelatex");
        assert_eq!(found.texts, ["db", "rs.status()"]);
        assert_eq!(found.url, "mongodb://127.0.0.1:7/?directConnection=true");
        assert!(found.is_quiet && !found.stays && !found.is_apart);
        let found = parsed("--nodb --shell mongodb://x/y").unwrap();
        assert_eq!(found.url, "mongodb://x/y");
        assert!(found.is_apart && found.stays);
        assert!(parsed("--tls").is_err());
        assert!(parsed("--eval").is_err());
    }

    #[test]
    fn answers_are_json_and_texts_are_plain() {
        assert_eq!(shown(&Bson::String("a\"b".to_owned())), "a\"b");
        assert_eq!(shown(&Bson::Int64(3)), "3");
        assert_eq!(
            shown(&Bson::Document(doc! { "ok": 1 })),
            "{\n  \"ok\": 1\n}"
        );
        let status = Bson::Document(doc! { "set": { "name": "x" } });
        let step = |name: &str| Step {
            name: name.to_owned(),
            arguments: None,
        };
        let name = field(status, &[step("set"), step("name")]);
        assert_eq!(name, Ok(Bson::String("x".to_owned())));
    }
}
