//! `toolkit run-script`: runs a script of the application.

use clap::Parser;

use super::super::conversation::{self, Conversation};
use super::super::{Session, error::CommandError, exit, instance, instead, target, wait};
use crate::engine::inside::Inside;
use crate::release::APPLICATION;
use crate::script::listing::{self, Found, Listed};
use crate::script::{self, Calling, Script};
use crate::ui;

const LIST: &str = "ls";

/// Run a script of the application, with its environment and as its user
///
/// Paths start at the folder of the service `web`, or name a service of the application in front, as
/// in document-updater/scripts/flush_all.js. `run-script ls` lists what the image has, also while the
/// container is stopped.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit run-script ls\n  toolkit run-script modules/server-ce-scripts/scripts/create-user.mjs --admin --email=joe@example.com\n  toolkit run-script --service document-updater scripts/flush_all.js --dry-run"
)]
pub struct Args {
    /// The service of the application that the script belongs to [default: web]
    #[arg(long)]
    service: Option<String>,
    /// No terminal for the script, although there is one
    #[arg(short = 'T', long)]
    no_tty: bool,
    /// The script and its arguments, or `ls`
    #[arg(
        value_name = "SCRIPT",
        default_value = LIST,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    words: Vec<String>,
}

/// What may stand behind `ls`, where everything would else be the script's.
#[derive(Debug, Parser)]
#[command(name = "run-script", disable_help_flag = true)]
struct Behind {
    #[arg(long)]
    service: Option<String>,
    #[arg(long, value_parser = ["text", "json"])]
    format: Option<String>,
}

/// Runs the script, or lists what there is.
///
/// # Errors
/// There is no such script, the container does not run, or the engine fails.
pub fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let Some((LIST, behind @ [_, ..])) = split(&args.words) else {
        return wait(session, answer(args, session));
    };
    let typed = std::iter::once(LIST).chain(behind.iter().map(String::as_str));
    let behind = Behind::try_parse_from(typed).map_err(|error| {
        let first = error.to_string();
        let first = first.lines().next().unwrap_or_default();
        let message = format!("behind `ls`: {}", first.trim_start_matches("error: "));
        CommandError::new("USAGE", exit::USAGE, message)
            .because("`ls` takes `--service NAME` and `--format text|json`")
            .state("nothing was run")
    })?;
    let mut words = vec!["run-script".to_owned()];
    let service = behind.service.or_else(|| args.service.clone());
    words.extend(service.map(|service| format!("--service={service}")));
    words.extend(behind.format.map(|format| format!("--format={format}")));
    words.push(LIST.to_owned());
    instead::run(&words, session)
}

fn split(words: &[String]) -> Option<(&str, &[String])> {
    let (first, rest) = words.split_first()?;
    Some((first, rest))
}

async fn answer(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let instance = instance::load(session)?;
    let calling = script::calling(&instance.deployment.version)?;
    let engine = instance::engine(session, &instance.root).await?;
    let (path, arguments) = split(&args.words).unwrap_or((LIST, &[]));
    if path == LIST {
        let container = target::existing(&engine, &instance, APPLICATION).await?;
        exists(args, &engine, &container.id, &calling).await?;
        let services = services(args, &calling);
        let listed = listing::list(&engine, &container.id, &calling, &services).await?;
        if session.ui.is_json() {
            let data = ui::scripts::value(&listed);
            let warnings = &instance.warnings;
            session.ui.document("toolkit.scripts/v1", &data, warnings);
        } else {
            session.ui.answer(&ui::scripts::view(&listed));
        }
        return Ok(exit::DONE);
    }
    let container = target::running(&engine, &instance, APPLICATION, None).await?;
    exists(args, &engine, &container.id, &calling).await?;
    let wanted = Wanted {
        service: args.service.as_deref(),
        path,
        arguments,
    };
    let script = wanted
        .find(session, &engine, &container.id, &calling)
        .await?;
    let conversation = Conversation {
        container: &container,
        request: calling.request(&script),
        no_terminal: args.no_tty,
        becomes: calling.user.iter().cloned().collect(),
    };
    conversation::hold(session, &engine, conversation).await
}

/// Refuses a service that the application does not have.
async fn exists(
    args: &Args,
    engine: &impl Inside,
    container: &str,
    calling: &Calling,
) -> Result<(), CommandError> {
    let Some(service) = &args.service else {
        return Ok(());
    };
    if listing::found(engine, container, &calling.folder(service)).await? != Found::Nothing {
        return Ok(());
    }
    let message = format!("the application has no service `{service}`");
    let known: Vec<String> = calling
        .listed
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    let known = format!("those with scripts are {}", ui::words::list(&known));
    Err(CommandError::new("UNKNOWN_SERVICE", exit::USAGE, message)
        .because(known)
        .state("nothing was run")
        .command("toolkit run-script ls"))
}

fn services(args: &Args, calling: &Calling) -> Vec<String> {
    match &args.service {
        Some(service) => vec![service.clone()],
        None => calling.listed.clone(),
    }
}

/// A script as it was typed.
struct Wanted<'a> {
    service: Option<&'a str>,
    path: &'a str,
    arguments: &'a [String],
}

impl Wanted<'_> {
    /// The scripts that may be meant, the likeliest first.
    fn readings(&self, calling: &Calling) -> Vec<Script> {
        let of = |service: &str, path: &str| Script {
            service: service.to_owned(),
            path: path.to_owned(),
            arguments: self.arguments.to_vec(),
        };
        let below = self.path.strip_prefix(&format!("{}/", calling.services));
        if let Some((service, path)) = below.and_then(|path| path.split_once('/')) {
            return vec![of(service, path)];
        }
        let path = self.path.strip_prefix("./").unwrap_or(self.path);
        if let Some(service) = self.service {
            return vec![of(service, path)];
        }
        let own = of(&calling.service, path);
        match path.split_once('/') {
            Some((service, path)) => vec![own, of(service, path)],
            None => vec![own],
        }
    }

    /// The script, looked up in the container.
    async fn find(
        &self,
        session: &Session,
        engine: &impl Inside,
        container: &str,
        calling: &Calling,
    ) -> Result<Script, CommandError> {
        let readings = self.readings(calling);
        for reading in &readings {
            let path = format!("{}/{}", calling.folder(&reading.service), reading.path);
            match listing::found(engine, container, &path).await? {
                Found::File => return Ok(reading.clone()),
                Found::Folder => return Err(folder(&path)),
                Found::Nothing => {}
            }
        }
        for reading in &readings {
            let Some(other) = listing::renamed(&reading.path) else {
                continue;
            };
            let path = format!("{}/{other}", calling.folder(&reading.service));
            if listing::found(engine, container, &path).await? == Found::File {
                let text = format!(
                    "`{}` is named `{other}` in this release; that one is run",
                    reading.path
                );
                session.ui.warn(&text);
                return Ok(Script {
                    path: other,
                    ..reading.clone()
                });
            }
        }
        let mut services = calling.listed.clone();
        services.extend(self.service.map(ToOwned::to_owned));
        services.dedup();
        let listed = listing::list(engine, container, calling, &services).await?;
        let wanted = readings.last().or(readings.first());
        let near = wanted.map(|wanted| listing::nearest(&listed, wanted));
        Err(missing(self.path, calling, &near.unwrap_or_default()))
    }
}

fn folder(path: &str) -> CommandError {
    let message = format!("`{path}` is a folder");
    CommandError::new("NO_SUCH_SCRIPT", exit::USAGE, message)
        .state("nothing was run")
        .command("toolkit run-script ls")
}

fn missing(path: &str, calling: &Calling, near: &[&Listed]) -> CommandError {
    let message = format!("there is no script `{path}`");
    let mut error =
        CommandError::new("NO_SUCH_SCRIPT", exit::USAGE, message).state("nothing was run");
    for one in near {
        let name = ui::scripts::name(one, &calling.service);
        error = error.fix(format!("did you mean `{name}`?"));
    }
    error.command("toolkit run-script ls")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(service: Option<&str>, path: &str) -> Vec<String> {
        let calling = script::calling(&"6.2.2".parse().unwrap()).unwrap();
        let wanted = Wanted {
            service,
            path,
            arguments: &[],
        };
        let all = wanted.readings(&calling).into_iter();
        all.map(|one| format!("{} {}", one.service, one.path))
            .collect()
    }

    #[test]
    fn a_path_is_read_in_all_the_ways_it_may_be_meant() {
        assert_eq!(
            readings(None, "scripts/x.js"),
            ["web scripts/x.js", "scripts x.js"]
        );
        assert_eq!(
            readings(None, "document-updater/scripts/flush_all.js"),
            [
                "web document-updater/scripts/flush_all.js",
                "document-updater scripts/flush_all.js"
            ]
        );
        assert_eq!(
            readings(Some("history-v1"), "./storage/x.mjs"),
            ["history-v1 storage/x.mjs"]
        );
        assert_eq!(
            readings(None, "/overleaf/services/web/scripts/x.js"),
            ["web scripts/x.js"]
        );
        assert_eq!(readings(None, "x"), ["web x"]);
    }
}
