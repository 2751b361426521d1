//! `toolkit serve`: runs one bundled server inside its container.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;

use super::super::{error::CommandError, exit};
use crate::deployment::ReplicaSet;
use crate::host::interrupt::Interrupt;
use crate::host::tail::{self, Follower, Lines};
use crate::probe;
use crate::servers::{forward, git_bridge, hang_up, mongo, redis, sharelatex};

/// Ports of the servers, those of the containers they stand in for.
const SITE: u16 = 80;
const API: u16 = 3000;
const HISTORY: u16 = 3100;
const DOCUMENT_UPDATER: u16 = 3003;
const PROJECT_HISTORY: u16 = 3054;
const GIT_BRIDGE: u16 = 8000;
const MONGO: u16 = 27017;
const REDIS: u16 = 6379;
/// How long a check may wait for the answer to an initiation.
const INITIATION: Duration = Duration::from_secs(5);

/// How often a file is looked at.
const FOLLOW_PAUSE: Duration = Duration::from_millis(100);

/// Run a bundled server; this is what the containers of `up --bundled` do
///
/// The bundled servers stand in for the images of Overleaf, MongoDB, Redis and git-bridge where no
/// registry can be reached. They are small programs of this project and are not Overleaf.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit serve redis --appendonly yes --dir /tmp/data --port 7000\n  toolkit serve mongo --check   # 0 when the server on this machine answers"
)]
pub struct Args {
    /// Which server
    #[arg(value_enum)]
    server: Server,
    /// Ask the running server whether it answers, and run none
    #[arg(long)]
    check: bool,
    /// With --check: initiate mongo's replica set if nobody did yet
    #[arg(long, value_name = "SET/HOST:PORT", requires = "check", hide = true)]
    initiate: Option<String>,
    /// Arguments as the real server takes them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Server {
    Sharelatex,
    Mongo,
    Redis,
    GitBridge,
    /// Copy the input and output to a port of this container
    #[value(hide = true)]
    Forward,
    /// Tell the processes with a variable that their terminal is gone
    #[value(hide = true)]
    HangUp,
    /// List, print or follow log files of this container
    #[value(hide = true)]
    Follow,
}

/// Runs the server until it is asked to stop, or checks the one that runs.
///
/// # Errors
/// The arguments are wrong, a port cannot be had, or the server fails.
pub async fn run(args: &Args, environment: BTreeMap<String, String>) -> Result<u8, CommandError> {
    // `--check` behind the arguments of the definition means the same.
    if args.check || args.arguments.iter().any(|argument| argument == "--check") {
        if let Some((set, member)) = args.initiate.as_deref().and_then(|set| set.split_once('/')) {
            initiate(set, member).await?;
        }
        return Ok(if check(args.server).await {
            exit::DONE
        } else {
            exit::FAILED
        });
    }
    if let Server::Forward = args.server {
        let port = args.arguments.first().and_then(|port| port.parse().ok());
        let port = port.ok_or_else(|| {
            CommandError::new("SERVE_USAGE", exit::USAGE, "`forward` needs a port")
        })?;
        let host = args.arguments.get(1).map_or("127.0.0.1", String::as_str);
        let served = forward::serve((host, port), tokio::io::stdin(), tokio::io::stdout()).await;
        return served.map(|()| exit::DONE).map_err(|error| failed(&error));
    }
    if let Server::HangUp = args.server {
        let mark = args.arguments.first().filter(|mark| !mark.is_empty());
        let mark = mark.ok_or_else(|| {
            CommandError::new("SERVE_USAGE", exit::USAGE, "`hang-up` needs a variable")
        })?;
        let done = hang_up::run(mark);
        return done.map(|()| exit::DONE).map_err(|error| failed(&error));
    }
    if let Server::Follow = args.server {
        return follow(&args.arguments).await.map(|()| exit::DONE);
    }
    let interrupt = Interrupt::listen()
        .map_err(|error| anyhow::Error::new(error).context("signals cannot be handled"))?;
    let shutdown = async move {
        interrupt.asked().await;
    };
    let log = std::io::stdout();
    let root = PathBuf::from("/");
    match args.server {
        Server::Mongo => {
            let parsed = mongo::Options::from_arguments(&args.arguments, Path::new("/data/db"));
            let (mut options, port) = parsed.map_err(|error| usage(&error))?;
            // The name under which the other containers know this one.
            options.address = format!("mongo:{port}");
            let listener = listen(port).await?;
            mongo::serve(listener, options, shutdown, log)
                .await
                .map_err(|error| failed(&error))?;
        }
        Server::Redis => {
            let parsed = redis::Options::from_arguments(&args.arguments, Path::new("/data"));
            let (options, port) = parsed.map_err(|error| usage(&error))?;
            let listener = listen(port).await?;
            redis::serve(listener, options, shutdown, log)
                .await
                .map_err(|error| failed(&error))?;
        }
        Server::GitBridge => {
            let listener = listen(GIT_BRIDGE).await?;
            let options = git_bridge::Options { environment, root };
            let served = git_bridge::serve(listener, options, shutdown, log).await;
            served.map_err(|error| failed(&error))?;
        }
        // They have returned above.
        Server::Forward | Server::HangUp | Server::Follow => {}
        Server::Sharelatex => {
            let listeners = sharelatex::Listeners {
                site: listen(SITE).await?,
                api: listen(API).await?,
                history: listen(HISTORY).await?,
                document_updater: listen_inside(DOCUMENT_UPDATER).await?,
                project_history: listen_inside(PROJECT_HISTORY).await?,
            };
            let options = sharelatex::Options::new(environment, root);
            return Ok(sharelatex::serve(listeners, options, shutdown, log).await);
        }
    }
    Ok(exit::DONE)
}

/// Lists, prints or follows files, as `lib/followers.toml` asks for it. Reading ends
/// with the input.
async fn follow(arguments: &[String]) -> Result<(), CommandError> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["list", folders @ ..] => {
            let mut text = String::new();
            for folder in folders {
                for file in tail::logs_of(Path::new(folder))? {
                    text.push_str(&format!("{}\n", file.display()));
                }
            }
            std::io::stdout().write_all(text.as_bytes())
        }
        ["read", lines, path] => {
            let (path, lines) = (PathBuf::from(path), lines_of(lines)?);
            let copy = tokio::task::spawn_blocking(move || {
                tail::copy(&path, lines, &mut std::io::stdout().lock())
            });
            tokio::select! {
                copied = copy => copied.context("the copying was given up")?,
                () = input_ended() => Ok(()),
            }
        }
        ["follow", lines, path] => {
            let mut follower = Follower::open(Path::new(path), lines_of(lines)?)
                .map_err(|error| failed(&error))?;
            let follow = async {
                loop {
                    print_new(&mut follower)?;
                    tokio::time::sleep(FOLLOW_PAUSE).await;
                }
            };
            tokio::select! {
                outcome = follow => outcome,
                () = input_ended() => Ok(()),
            }
        }
        _ => {
            let message = "`follow` needs `list FOLDER…`, `read N PATH` or `follow N PATH`";
            return Err(CommandError::new("SERVE_USAGE", exit::USAGE, message));
        }
    };
    outcome.map_err(|error| failed(&error))
}

/// Waits for the end of the input, which comes with the end of whoever reads the output.
async fn input_ended() {
    let mut nothing = tokio::io::sink();
    // An input that breaks has ended as well.
    let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut nothing).await;
}

/// Prints what is new in a file.
fn print_new(follower: &mut Follower) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let mut written = Ok(());
    // A file that cannot be read now may be readable after its rotation.
    let _ = follower.poll(&mut |piece| {
        if written.is_ok() {
            written = out.write_all(piece);
        }
    });
    written?;
    out.flush()
}

/// The number of lines as `tail` takes it: `N` from the end, or `+1` for all.
fn lines_of(word: &str) -> Result<Lines, CommandError> {
    match (word, word.parse()) {
        ("+1", _) => Ok(Lines::All),
        (_, Ok(count)) => Ok(Lines::Last(count)),
        _ => Err(CommandError::new(
            "SERVE_USAGE",
            exit::USAGE,
            "`follow` needs a number of lines",
        )),
    }
}

/// Initiates the replica set of the mongo on this machine; a set that has been is no error.
async fn initiate(set: &str, member: &str) -> Result<(), CommandError> {
    let set = ReplicaSet {
        service: "mongo".to_owned(),
        name: set.to_owned(),
        member: member.to_owned(),
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, MONGO));
    let initiated = probe::initiate(&set, address, INITIATION).await;
    initiated.map(|_| ()).map_err(|error| failed(&error))
}

async fn check(server: Server) -> bool {
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match server {
        Server::Mongo => mongo::is_answering(local(MONGO)).await,
        Server::Redis => redis::is_answering(local(REDIS)).await,
        Server::Sharelatex => sharelatex::is_answering(local(SITE)).await,
        Server::GitBridge => git_bridge::is_answering(local(GIT_BRIDGE)).await,
        Server::Forward | Server::HangUp | Server::Follow => false,
    }
}

async fn listen(port: u16) -> Result<TcpListener, CommandError> {
    bind(Ipv4Addr::UNSPECIFIED, port).await
}

/// For programs in the same container only.
async fn listen_inside(port: u16) -> Result<TcpListener, CommandError> {
    bind(Ipv4Addr::LOCALHOST, port).await
}

async fn bind(address: Ipv4Addr, port: u16) -> Result<TcpListener, CommandError> {
    let listener = TcpListener::bind((address, port)).await;
    Ok(listener.with_context(|| format!("port {port} cannot be had"))?)
}

fn usage(error: &dyn std::error::Error) -> CommandError {
    CommandError::new("SERVE_USAGE", exit::USAGE, error.to_string())
}

fn failed(error: &dyn std::error::Error) -> CommandError {
    let mut failure = CommandError::new("SERVE_FAILED", exit::FAILED, error.to_string());
    let mut source = error.source();
    while let Some(cause) = source {
        failure = failure.because(cause.to_string());
        source = cause.source();
    }
    failure
}
