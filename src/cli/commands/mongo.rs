//! `toolkit mongo`: mongo's own shell.

use super::super::conversation::{self, Conversation};
use super::super::{Session, error::CommandError, exit, instance, target};
use crate::engine::inside::{ExecRequest, Inside};
use crate::observed::Container;
use crate::release::APPLICATION;
use crate::release::DATABASE;
use crate::script::shells;

/// The service of mongo. The application can reach an external one.
const MONGO: &str = "mongo";

/// The shell that a mongo outside is asked with. It speaks to every server that a supported release
/// uses, also to those whose own images have the older one.
const CURRENT_SHELL: &str = "mongosh";

/// The first major version whose variables begin with OVERLEAF_.
const RENAMED: u64 = 5;

/// Open mongo's shell on the database of the application
///
/// `mongosh`, or `mongo` for servers before version 6. All arguments go to it; one that does not
/// begin with `-` and comes first names another database. With an external mongo it runs in the
/// application's container, where that has it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit mongo\n  toolkit mongo --quiet --eval 'db.users.countDocuments()'\n  toolkit mongo admin\n  toolkit mongo -T < commands.js"
)]
pub struct Args {
    /// No terminal for the shell, although there is one
    #[arg(short = 'T', long)]
    no_tty: bool,
    /// Arguments of mongo's shell
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Opens the shell.
///
/// # Errors
/// Its container does not run or does not have it, or the engine fails.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let instance = instance::load(session)?;
    let settings = &instance.settings;
    let engine = instance::engine(session, &instance.root).await?;
    let (container, command) = if settings.mongo.is_some() {
        let container = target::running(&engine, &instance, MONGO, None).await?;
        let database = database(&settings.mongo_url);
        let shell = &instance.deployment.mongo_shell;
        (container, inside(shell, database, &args.arguments))
    } else {
        let container = target::running(&engine, &instance, APPLICATION, None).await?;
        has_shell(&engine, &container, &settings.mongo_url).await?;
        let prefix = match instance.deployment.version.numbers() {
            (major, ..) if major >= RENAMED => "OVERLEAF",
            _ => "SHARELATEX",
        };
        let variable = format!("{prefix}_MONGO_URL");
        (container, outside(&variable, &args.arguments))
    };
    let conversation = Conversation {
        container: &container,
        request: ExecRequest::new(command),
        no_terminal: args.no_tty,
        becomes: Vec::new(),
    };
    conversation::hold(session, &engine, conversation).await
}

/// The command in mongo's own container.
fn inside(shell: &str, database: &str, arguments: &[String]) -> Vec<String> {
    let is_named = arguments.first().is_some_and(|first| is_database(first));
    let own = (!is_named).then(|| database.to_owned());
    let words = std::iter::once(shell.to_owned()).chain(own);
    words.chain(arguments.iter().cloned()).collect()
}

/// The command in the application's container. The URL may hold a password, so that the shell reads it
/// from the environment: arguments can be read by everybody.
fn outside(variable: &str, arguments: &[String]) -> Vec<String> {
    let (other, arguments) = match arguments.split_first() {
        Some((first, rest)) if is_database(first) => {
            let name = serde_json::Value::from(first.as_str());
            (format!(".getSiblingDB({name})"), rest)
        }
        _ => (String::new(), arguments),
    };
    let connect = format!("db = connect(process.env.{variable}){other}");
    let fixed = [CURRENT_SHELL, "--nodb", "--eval", &connect].map(str::to_owned);
    let is_program = |word: &String| {
        let name = word.split('=').next().unwrap_or_default();
        is_script(word) || matches!(name, "--eval" | "--file" | "-f")
    };
    let stays = match arguments.iter().any(is_program) {
        true => None,
        false => Some("--shell".to_owned()),
    };
    let words = fixed.into_iter().chain(stays);
    words.chain(arguments.iter().cloned()).collect()
}

/// Whether the first argument names a database.
fn is_database(word: &str) -> bool {
    !word.starts_with('-') && !is_script(word)
}

fn is_script(word: &str) -> bool {
    [".js", ".mongodb"].iter().any(|end| word.ends_with(end))
}

/// The database that a URL names.
fn database(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    let name = path.split('?').next().unwrap_or_default();
    if name.is_empty() { DATABASE } else { name }
}

async fn has_shell(
    engine: &impl Inside,
    container: &Container,
    url: &str,
) -> Result<(), CommandError> {
    let command = [CURRENT_SHELL, "--version"].map(str::to_owned);
    if shells::is_there(engine, &container.id, &command).await? {
        return Ok(());
    }
    let shown = crate::settings::disclosure::without_passwords(url);
    let message = "mongo is not a part of this instance, and its shell is not at hand";
    Err(CommandError::new("MONGO_EXTERNAL", exit::FAILED, message)
        .because(format!("MONGO_ENABLED is false; the application uses {shown}"))
        .because(format!(
            "the image of container `{}` has no `{CURRENT_SHELL}`",
            container.name
        ))
        .state("nothing was run")
        .fix("run `mongosh` on a machine that has it, with the URL that MONGO_URL in config/overleaf.rc holds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ')
            .filter(|word| !word.is_empty())
            .map(ToOwned::to_owned)
            .collect()
    }

    #[test]
    fn the_database_is_that_of_the_url() {
        for (url, name) in [
            ("mongodb://mongo/sharelatex", "sharelatex"),
            ("mongodb://u:p@a,b:27018/other?replicaSet=x", "other"),
            ("mongodb+srv://host/?tls=true", "sharelatex"),
            ("mongodb://mongo", "sharelatex"),
            ("mongo", "sharelatex"),
        ] {
            assert_eq!(database(url), name, "{url}");
        }
    }

    #[test]
    fn the_first_argument_may_name_a_database() {
        let command =
            |arguments: &str| inside("mongosh", "sharelatex", &words(arguments)).join(" ");
        assert_eq!(command(""), "mongosh sharelatex");
        assert_eq!(command("--eval x"), "mongosh sharelatex --eval x");
        assert_eq!(command("admin --eval x"), "mongosh admin --eval x");
        assert_eq!(command("a.js"), "mongosh sharelatex a.js");
    }

    #[test]
    fn no_url_is_on_the_command_line() {
        let command = |arguments: &str| outside("OVERLEAF_MONGO_URL", &words(arguments));
        let connect = "db = connect(process.env.OVERLEAF_MONGO_URL)";
        assert_eq!(
            command(""),
            ["mongosh", "--nodb", "--eval", connect, "--shell"]
        );
        assert_eq!(
            command("--eval 1"),
            ["mongosh", "--nodb", "--eval", connect, "--eval", "1"]
        );
    }
}
