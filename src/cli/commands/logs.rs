//! `toolkit logs`: what the services write.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context as _;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::instance::{self, Instance};
use super::super::{Session, error::CommandError, exit, log_error};
use crate::compose::SpecDuration;
use crate::engine::Engine;
use crate::engine::docker::DockerEngine;
use crate::gather::{self, ChoiceError, Found, News, Reading, Source, Wanted, Way};
use crate::host;
use crate::host::interrupt::Interrupt;
use crate::host::tail::Lines;
use crate::logs::Filter;
use crate::logs::Moment;
use crate::logs::Record;
use crate::logs::level::Level;
use crate::logs::merge::{Merge, Window};
use crate::logs::moment;
use crate::logs::services::{self, Row};
use crate::observe;
use crate::observed::Container;
use crate::release::{APPLICATION, Catalogue, Edition, Version};
use crate::ui::logs::{Form, Printer, View};

/// Show what the services write
///
/// Without a name, all: the output of each container, and the log files of the application's services
/// such as `web` or `clsi`, in the order of their times. With --level, --grep and the like, -n counts
/// what passes. On a terminal, or with --format text, -v or --color always, the lines are rendered for
/// people; elsewhere they come as they were written.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit logs\n  toolkit logs -f web document-updater\n  toolkit logs --since 2h --level warn\n  toolkit logs -n all --grep 'project[_-]?id' clsi\n  toolkit logs -n all --format raw web >web.log"
)]
pub struct Args {
    #[command(flatten)]
    choice: Choice,
    /// From this level on: trace, debug, info, warn, error, fatal, or a number such as 50
    #[arg(long, value_name = "LEVEL")]
    level: Option<Level>,
    /// Without a name, only the output of containers, as Docker Compose shows it
    #[arg(long)]
    containers: bool,
}

/// Which lines are shown.
#[derive(Debug, clap::Args)]
pub(super) struct Choice {
    /// Services, such as `mongo` or `web`; all without a name
    #[arg(id = "logged_services", value_name = "SERVICES", value_delimiter = ',')]
    services: Vec<String>,
    /// Go on with what is written from now on
    #[arg(short, long, conflicts_with = "until")]
    follow: bool,
    /// How many of the last lines of each service, or `all` [default: 50, with --since all]
    #[arg(short = 'n', long, value_name = "N|all", overrides_with = "tail")]
    tail: Option<Tail>,
    /// From this time on: `2h` (ago), `18:00`, `2026-01-31 18:00` (local), or RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time, in the same forms
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// What a line has to hold: a regular expression
    #[arg(long, value_name = "PATTERN")]
    grep: Option<String>,
}

/// Lines that are shown where nothing is said.
const USUAL: u64 = 50;

#[derive(Debug, Clone, Copy)]
struct Tail(Lines);

impl FromStr for Tail {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self(Lines::All)),
            number => match number.parse() {
                Ok(count) => Ok(Self(Lines::Last(count))),
                Err(_) => Err("write a number, or `all`".to_owned()),
            },
        }
    }
}

/// Shows the logs.
///
/// # Errors
/// A name, a time or a pattern is none, or a log cannot be read.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let counts: fn(&Source) -> bool = if args.containers {
        |source| matches!(source.way, Way::Output { .. })
    } else {
        |_| true
    };
    show(session, &args.choice, args.level, counts).await
}

/// Shows the logs of those sources that count when none is named.
pub(super) async fn show(
    session: &Session,
    choice: &Choice,
    level: Option<Level>,
    counts: fn(&Source) -> bool,
) -> Result<u8, CommandError> {
    let wanted = Arc::new(choice.wanted(level)?);
    let (instance, engine) = instance::load_and_connect(session)?;
    let engine = Arc::new(engine.await?);
    let interrupt = Interrupt::listen().context("signals cannot be handled")?;
    // What is under way needs no end: Ctrl-C is how a log that is followed is left.
    session.works.store(true, Ordering::Relaxed);
    let shown = async {
        let project = instance.deployment.project.name.clone();
        let (facts, containers) = tokio::join!(engine.facts(), engine.project_containers(&project));
        let is_here = observe::machine::elsewhere(&facts?).is_none();
        let search = Search::new(&instance, choice, counts, is_here)?;
        let containers: Arc<[Container]> = containers?.into();
        let sources = sources(session, &search, &engine, &containers).await?;
        let shown = Shown {
            session,
            engine,
            project,
            containers,
            sources,
            wanted,
            search: Arc::new(search),
        };
        shown.show().await
    };
    tokio::select! {
        outcome = shown => outcome,
        exit_code = interrupt.asked() => Ok(exit_code),
    }
}

impl Choice {
    fn wanted(&self, level: Option<Level>) -> Result<Wanted, CommandError> {
        let time = |text: &Option<String>| -> Result<Option<Moment>, CommandError> {
            let Some(text) = text else { return Ok(None) };
            let age = |text: &str| text.parse().ok().map(|age: SpecDuration| age.0);
            Ok(Some(moment::asked(text, super::super::now(), age)?))
        };
        let pattern = self.grep.as_deref().map(regex::bytes::Regex::new);
        let (since, until) = (time(&self.since)?, time(&self.until)?);
        if let (Some(from), Some(to), true) = (&self.since, &self.until, since > until) {
            return Err(log_error::no_time_between(from, to));
        }
        let filter = Filter {
            level,
            since,
            until,
            pattern: pattern.transpose()?,
        };
        let usual = match filter.since {
            Some(_) => Lines::All,
            None => Lines::Last(USUAL),
        };
        Ok(Wanted {
            lines: self.tail.map_or(usual, |tail| tail.0),
            filter,
            follow: self.follow,
        })
    }
}

/// How the sources that are meant are found.
struct Search {
    services: Vec<String>,
    log_folder: String,
    configured: Option<PathBuf>,
    version: Version,
    edition: Edition,
    names: Vec<String>,
    rows: Vec<Row>,
    waits: bool,
    is_here: bool,
    counts: fn(&Source) -> bool,
}

impl Search {
    fn new(
        instance: &Instance,
        choice: &Choice,
        counts: fn(&Source) -> bool,
        is_here: bool,
    ) -> Result<Self, CommandError> {
        let deployment = &instance.deployment;
        let catalogue = Catalogue::load().context("the release catalogue does not load")?;
        let era = catalogue.era(&deployment.version);
        let era = era.context("the release catalogue does not load")?;
        let inactive = deployment.inactive.keys().map(String::as_str);
        let inactive = inactive.filter(|name| choice.services.iter().any(|named| named == name));
        let services = deployment.project.start_order().into_iter().chain(inactive);
        Ok(Self {
            services: services.map(ToOwned::to_owned).collect(),
            log_folder: era.log.clone(),
            configured: instance.settings.sharelatex.log_path.clone(),
            version: deployment.version.clone(),
            edition: deployment.edition,
            names: choice.services.clone(),
            rows: services::load().context("the list of services does not load")?,
            waits: choice.follow,
            is_here,
            counts,
        })
    }

    /// The sources that are meant, and what there is to say about others.
    async fn sources(
        &self,
        engine: &DockerEngine,
        containers: &[Container],
        is_again: bool,
    ) -> Result<(Vec<Source>, Vec<String>), CommandError> {
        let services: Vec<&str> = self.services.iter().map(String::as_str).collect();
        let mut place = gather::Place {
            services: services.clone(),
            log_folder: &self.log_folder,
            configured: self.configured.as_deref(),
            waits: self.waits,
            is_here: self.is_here,
            names: &self.names,
            is_again,
        };
        let choose = |found: &Found| {
            let instance = gather::Instance {
                services: &services,
                version: &self.version,
                edition: self.edition,
            };
            gather::choose(found, &self.names, &self.rows, instance)
        };
        let mut found = gather::find(engine, containers, &place).await?;
        if self.names.is_empty() {
            found.sources.retain(self.counts);
        }
        Ok(match choose(&found) {
            // All names are told then.
            Err(ChoiceError::Unknown { .. }) if !is_again => {
                place.names = &[];
                choose(&gather::find(engine, containers, &place).await?)?
            }
            // It will have one when it is written.
            Err(none @ (ChoiceError::NoLog { .. } | ChoiceError::NoContainer { .. }))
                if self.waits =>
            {
                (Vec::new(), vec![none.to_string()])
            }
            other => other?,
        })
    }
}

/// Finds the sources that are meant.
async fn sources(
    session: &Session,
    search: &Search,
    engine: &DockerEngine,
    containers: &[Container],
) -> Result<Vec<Source>, CommandError> {
    let (sources, notes) = search.sources(engine, containers, false).await?;
    let is_told = !notes.is_empty();
    for note in notes {
        session.ui.say(&note);
    }
    if sources.is_empty() && search.waits && !is_told {
        session.ui.say("there is no log yet");
    }
    if sources.is_empty() && !search.waits {
        return Err(
            CommandError::new("NO_LOG", exit::FAILED, "there is no log yet")
                .because(format!(
                    "`{APPLICATION}` has no container that has written one"
                ))
                .state("nothing was changed")
                .command("toolkit up"),
        );
    }
    Ok(sources)
}

/// What is being shown.
struct Shown<'a> {
    session: &'a Session,
    engine: Arc<DockerEngine>,
    project: String,
    containers: Arc<[Container]>,
    sources: Vec<Source>,
    wanted: Arc<Wanted>,
    search: Arc<Search>,
}

impl Shown<'_> {
    async fn show(&self) -> Result<u8, CommandError> {
        let output = self
            .session
            .ui
            .output()
            .map_err(|error| unwritable(&error))?;
        let printed = match self.copied() {
            Some(source) => self.copy(source, output).await,
            None => self.print(output).await,
        };
        match printed {
            Ok(()) => Ok(exit::DONE),
            Err(Ended::Reader) => Ok(exit::DONE),
            Err(Ended::Failure(error)) => Err(error),
        }
    }

    /// The one source whose bytes are wanted as they are.
    fn copied(&self) -> Option<&Source> {
        let wanted = &self.wanted;
        let is_plain = self.session.logs_are_raw && wanted.filter.is_empty() && !wanted.follow;
        match self.sources.as_slice() {
            // Without a program there is no end of a file in a container to begin at.
            [only] if is_plain => match only.way {
                Way::Inside(_) => (wanted.lines == Lines::All).then_some(only),
                _ => Some(only),
            },
            _ => None,
        }
    }

    async fn copy(&self, source: &Source, mut output: File) -> Result<(), Ended> {
        let lines = self.wanted.lines;
        if let Way::File(path) = &source.way {
            let path = path.clone();
            let copied = blocking(move || host::tail::copy(&path, lines, &mut output));
            return Ok(copied.await??);
        }
        let (sender, mut receiver) = mpsc::channel::<Vec<u8>>(4);
        let writer = blocking(move || -> io::Result<()> {
            while let Some(bytes) = receiver.blocking_recv() {
                io::Write::write_all(&mut output, &bytes)?;
            }
            Ok(())
        });
        let (engine, containers) = (Arc::clone(&self.engine), Arc::clone(&self.containers));
        let source = source.clone();
        // A task of its own is woken by the thread that hears from the engine, and needs no other.
        let read = tokio::spawn(async move {
            gather::copy(&*engine, &containers, &source, lines, &sender).await
        });
        let (read, written) = tokio::join!(read, writer);
        written??;
        let read = read.context("the work on a log was given up");
        let read = read.map_err(CommandError::from)?;
        Ok(read.map_err(CommandError::from)?)
    }

    async fn print(&self, output: File) -> Result<(), Ended> {
        let mut reading = gather::read(&self.engine, &self.containers, &self.sources, &self.wanted);
        let records = std::mem::take(&mut reading.records);
        let mut printer = Printer::new(self.view(), output);
        let printer = blocking(move || -> io::Result<Printer<File>> {
            for record in Merge::new(records) {
                printer.print(&record)?;
            }
            printer.flush()?;
            Ok(printer)
        });
        let printer = printer.await??;
        if self.wanted.follow {
            return self.follow(reading, printer).await;
        }
        let failures = reading.failures().await.into_iter();
        let mut failures = failures.filter_map(|(place, error)| {
            let service = &self.sources.get(place)?.service;
            Some(CommandError::unreadable_log(service, error))
        });
        let Some(first) = failures.next() else {
            return Ok(());
        };
        let error = failures.fold(first, |first, other| first.because(other.failure.message));
        Err(error.state("the other logs were shown").into())
    }

    async fn follow(&self, reading: Reading, mut printer: Printer<File>) -> Result<(), Ended> {
        let (engine, wanted) = (&self.engine, &self.wanted);
        let place = (
            Arc::clone(engine),
            Arc::clone(&self.search),
            self.project.clone(),
        );
        let look = move || {
            let (engine, search, project) = place.clone();
            async move {
                // What cannot be told now may be at the next look.
                let Ok(containers) = engine.project_containers(&project).await else {
                    return Vec::new();
                };
                let sources = search.sources(&engine, &containers, true).await;
                sources.map(|(sources, _)| sources).unwrap_or_default()
            }
        };
        let sources = &self.sources;
        let mut news = gather::follow(engine, &self.project, sources, wanted, reading, look);
        let (sender, mut receiver) = mpsc::channel::<(Option<String>, Vec<Record>)>(4);
        let writer = blocking(move || -> io::Result<()> {
            while let Some((joined, records)) = receiver.blocking_recv() {
                joined.into_iter().for_each(|service| printer.join(service));
                for record in &records {
                    printer.print(record)?;
                }
                printer.flush()?;
            }
            Ok(())
        });
        let mut closed = std::pin::pin!(host::output::closed());
        let (mut window, begun) = (Window::default(), Instant::now());
        // One source is in order.
        let mut is_alone = self.sources.len() == 1;
        let is_lost = loop {
            let due = window.due().map(|due| begun + due);
            let timer = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let (mut joined, mut released) = (None, Vec::new());
            tokio::select! {
                news = news.recv() => match news {
                    Some(News::Record(record)) if is_alone => released.push(record),
                    Some(News::Record(record)) => window.push(record, begun.elapsed()),
                    Some(News::Source(source)) => {
                        is_alone = false;
                        joined = Some(source.service);
                    }
                    Some(News::Note(note)) => self.session.ui.say(&note),
                    // A source that can be read is followed until somebody ends that.
                    None => break true,
                },
                () = timer => {}
                () = &mut closed => return Err(Ended::Reader),
            }
            released.extend(window.release(begun.elapsed()));
            let is_nothing = joined.is_none() && released.is_empty();
            if !is_nothing && sender.send((joined, released)).await.is_err() {
                break false;
            }
        };
        drop(sender);
        writer.await??;
        if is_lost {
            let text = "no log can be followed any more";
            let error = CommandError::new("LOG_UNREADABLE", exit::FAILED, text);
            return Err(error.command("toolkit status").into());
        }
        Ok(())
    }

    fn view(&self) -> View {
        let ui = &self.session.ui;
        View {
            form: match (self.session.logs_are_raw, ui.is_json()) {
                (true, _) => Form::Raw,
                (_, true) => Form::Json,
                _ => Form::Text,
            },
            services: self.sources.iter().map(|one| one.service.clone()).collect(),
            zone: super::super::now().offset(),
            style: ui.answer_style(),
            is_verbose: ui.verbosity() > 0,
        }
    }
}

/// Why the showing has ended early.
enum Ended {
    /// Nobody reads any more, which is no failure.
    Reader,
    Failure(CommandError),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Reader,
            _ => Self::Failure(unwritable(&error)),
        }
    }
}

impl From<CommandError> for Ended {
    fn from(error: CommandError) -> Self {
        Self::Failure(error)
    }
}

fn unwritable(error: &io::Error) -> CommandError {
    CommandError::new(
        "OUTPUT",
        exit::FAILED,
        "a log cannot be copied to the output",
    )
    .because(error.to_string())
    .state("nothing was changed")
    .fix("see that the log may be read and that the disk of the output has room")
}

/// Begins at once what waits for files, beside everything else.
fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Result<T, CommandError>> {
    let task = tokio::task::spawn_blocking(work);
    async move {
        let done = task.await;
        Ok(done.context("the work on a log was given up")?)
    }
}
