//! `toolkit metrics`: the state of the instance as numbers, for Prometheus.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Mutex;

use super::super::instance::Instance;
use super::super::report::Kept;
use super::super::{Session, error::CommandError, exit, instance, now, report, state_folder};
use crate::bundled;
use crate::host;
use crate::host::durable;
use crate::host::http::{self, Page};
use crate::host::interrupt::Interrupt;
use crate::observe;
use crate::report::Measured;
use crate::ui::metrics;

/// How long one look may take; Prometheus gives up after 10 s by default.
const DEADLINE: Duration = Duration::from_secs(9);

/// What the format is called.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Print the state of the instance as metrics for Prometheus
///
/// The text goes to stdout, or into a file for the textfile collector of the node exporter, which
/// always reads a whole one. An engine that does not answer is a metric and no failure.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  toolkit metrics\n  toolkit metrics --output /var/lib/node_exporter/overleaf.prom   # from cron or a timer\n  toolkit metrics serve --listen 127.0.0.1:9841"
)]
pub struct Args {
    /// Write into this file, beside it first and then in its place
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<MetricsCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum MetricsCommand {
    /// Answer `GET /metrics` until Ctrl-C; every request looks anew
    ///
    /// There is no password and no TLS, so only this machine is listened to unless told otherwise.
    #[command(
        after_help = "Examples:\n  toolkit metrics serve\n  toolkit metrics serve --listen 127.0.0.1:9841\n  toolkit metrics serve --listen 10.0.0.5:9841 --allow-remote   # behind a firewall"
    )]
    Serve {
        /// Address and port
        #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9841")]
        listen: SocketAddr,
        /// Listen also where other machines can ask
        #[arg(long)]
        allow_remote: bool,
    },
}

/// Prints, writes or serves the metrics. A server that is asked to stop ends with 0.
///
/// # Errors
/// The configuration cannot be used, the file cannot be written, or the address cannot be had.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    if session.ui.is_json() {
        let error = CommandError::new("USAGE", exit::USAGE, "metrics have a format of their own");
        return Err(error.fix("`toolkit status --format json` tells the same as JSON"));
    }
    if let Some(MetricsCommand::Serve {
        listen,
        allow_remote,
    }) = &args.command
    {
        return serve(session, *listen, *allow_remote).await;
    }
    let instance = instance::load(session)?;
    let text = look(session, &instance, &|because| session.ui.warn(because)).await;
    match args.output.as_ref().filter(|_| !session.dry_run) {
        Some(path) => put(&session.current_folder.join(path), &text)?,
        None => session.ui.answer(&text),
    }
    Ok(exit::DONE)
}

/// Puts the text in place of a file. Anything else, such as a device or a link, is not replaced.
fn put(path: &Path, text: &str) -> Result<(), CommandError> {
    if host::is_replaceable(path) {
        return Ok(durable::put_public(path, text)?);
    }
    let message = format!("`{}` is not a file", path.display());
    Err(CommandError::new("OUTPUT_NOT_A_FILE", exit::USAGE, message)
        .state("nothing was written")
        .fix("name a file, or leave `--output` out and redirect the output"))
}

/// One look. What the engine does not tell is missing from the text; `warn` hears why.
async fn look(session: &Session, instance: &Instance, warn: &dyn Fn(&str)) -> String {
    let told = async {
        let engine = instance::engine(session, &instance.root).await?;
        report::measured(&engine, instance).await
    };
    let told = match tokio::time::timeout(DEADLINE, told).await {
        Ok(told) => told.map_err(|error| error.failure.message.clone()),
        Err(_) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
    };
    let local = match &told {
        Ok(told) => told.report.conditions.local.clone(),
        Err(because) => {
            warn(because);
            observe::condition::local(&instance.deployment, None).await
        }
    };
    let measured = Measured {
        at: now(),
        program: (env!("CARGO_PKG_VERSION"), bundled::TAG),
        engine: told,
        local,
        operation: report::operation_of(&state_folder(&instance.root)),
    };
    metrics::text(&instance.deployment, &measured)
}

async fn serve(
    session: &Session,
    listen: SocketAddr,
    allow_remote: bool,
) -> Result<u8, CommandError> {
    if !listen.ip().is_loopback() && !allow_remote {
        let message = format!("other machines could ask at `{listen}`");
        let error = CommandError::new("NOT_LOOPBACK", exit::USAGE, message);
        return Err(error
            .because("the metrics are served without a password and without TLS")
            .state("nothing was started")
            .fix("listen at 127.0.0.1, or add --allow-remote where a firewall or a proxy decides who may ask"));
    }
    let interrupt = Interrupt::listen()
        .map_err(|error| anyhow::Error::new(error).context("signals cannot be handled"))?;
    // To be asked to stop is how a server ends, and no failure to be told.
    session.works.store(true, Ordering::Relaxed);
    // What is wrong with the configuration is said before anything is served.
    let root = instance::load(session)?.root;
    let bound = TcpListener::bind(listen).await.map_err(|error| {
        let message = format!("cannot listen at `{listen}`");
        CommandError::new("LISTEN", exit::FAILED, message)
            .because(error.to_string())
            .fix("choose another port: --listen 127.0.0.1:PORT")
    })?;
    let address = bound.local_addr().unwrap_or(listen);
    session
        .ui
        .say(&format!("serving http://{address}/metrics until Ctrl-C"));
    // One look at a time: whoever asks meanwhile gets the next one.
    let kept = Mutex::new(Kept::default());
    let page = async |path: &str| {
        if path != "/metrics" {
            return plain(404, "the metrics are at /metrics\n".to_owned());
        }
        let mut kept = kept.lock().await;
        match kept.current(session, &root) {
            Ok(instance) => Page {
                status: 200,
                content_type: CONTENT_TYPE,
                text: look(session, instance, &|_| ()).await,
            },
            Err(error) => plain(500, format!("{}\n", error.failure.message)),
        }
    };
    tokio::select! {
        () = http::serve(bound, page) => {}
        _ = interrupt.asked() => {}
    }
    Ok(exit::DONE)
}

fn plain(status: u16, text: String) -> Page {
    Page {
        status,
        content_type: PLAIN,
        text,
    }
}
