//! Follows sources after what was written so far: through rotations of files, stops of containers,
//! and containers that are made anew. No line is left out and none comes twice.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::read::{BEFORE, End, lines_word, output_request};
use super::{GatherError, News, Reading, Source, Wanted, Way, find, ways};
use crate::engine::inside::{Inside, LogRequest, Output, OutputStream};
use crate::host::tail::{Follower, Lines};
use crate::logs::Record;
use crate::logs::assembler::Assembler;
use crate::logs::overlap::Overlap;
use crate::logs::splitter::{Splitter, StampedSplitter};
use crate::observed::Container;
use crate::observed::ContainerState;

/// How often a file of this machine is looked at, and how long a record waits for further lines.
const PAUSE: Duration = Duration::from_millis(100);

/// How often is looked whether a container runs again.
const AWAY: Duration = Duration::from_millis(300);

/// Lines of a file in a container that are read again after an interruption, to find where to go on.
const AGAIN: u64 = 20_000;

/// How far before the last line a container's output is read again, in seconds: the engine writes
/// down lines of its two streams a little out of order.
const OVERLAP: i64 = 2;

const NANOSECONDS: i64 = 1_000_000_000;

/// How often is looked for sources that were not there.
const LOOK: Duration = Duration::from_secs(10);

/// Begins to follow what was read, from where each reading has come to. What comes is sent until
/// nobody takes it any more. `look` gives the sources that are there now: those that come later are
/// followed from their first line.
pub fn follow<E, L, S>(
    engine: &Arc<E>,
    project: &str,
    sources: &[Source],
    wanted: &Arc<Wanted>,
    reading: Reading,
    look: L,
) -> mpsc::Receiver<News>
where
    E: Inside + Send + Sync + 'static,
    L: Fn() -> S + Send + 'static,
    S: Future<Output = Vec<Source>> + Send,
{
    let (sender, receiver) = mpsc::channel(1024);
    let start = Start {
        engine: Arc::clone(engine),
        project: project.to_owned(),
        wanted: Arc::clone(wanted),
    };
    for (source, end) in sources.iter().zip(reading.ends) {
        start.follow(source, end, sender.clone());
    }
    let mut known = sources.to_vec();
    // Looking alone keeps nobody waiting for news, unless there was nothing to begin with.
    let mut first = sources.is_empty().then(|| sender.clone());
    let sender = sender.downgrade();
    tokio::spawn(async move {
        loop {
            sleep(LOOK).await;
            let Some(sender) = sender.upgrade().filter(|sender| !sender.is_closed()) else {
                return;
            };
            for source in look().await {
                if known.iter().any(|one| is_same(one, &source)) {
                    continue;
                }
                let end = End::before_all(known.len(), &source.way);
                known.push(source.clone());
                // Whether somebody still takes it is asked before the next look.
                let _ = sender.send(News::Source(source.clone())).await;
                let end = tokio::spawn(std::future::ready(Ok(end)));
                start.follow(&source, end, sender.clone());
                drop(first.take());
            }
        }
    });
    receiver
}

/// Whether two sources are one. A file may be read in two ways, and a container may get company, by
/// which its service is called otherwise.
fn is_same(one: &Source, other: &Source) -> bool {
    match (&one.way, &other.way) {
        (Way::Output { .. }, _) | (_, Way::Output { .. }) => one.way == other.way,
        _ => one.service == other.service,
    }
}

/// What following begins with.
struct Start<E> {
    engine: Arc<E>,
    project: String,
    wanted: Arc<Wanted>,
}

impl<E: Inside + Send + Sync + 'static> Start<E> {
    /// Begins to follow a source.
    fn follow(
        &self,
        source: &Source,
        end: JoinHandle<Result<End, GatherError>>,
        sender: mpsc::Sender<News>,
    ) {
        let out = Out {
            wanted: Arc::clone(&self.wanted),
            sender,
            service: source.service.clone(),
        };
        let (engine, project) = (Arc::clone(&self.engine), self.project.clone());
        let way = source.way.clone();
        tokio::spawn(async move {
            let end = match end.await {
                Ok(Ok(end)) => end,
                Ok(Err(error)) => {
                    let service = &out.service;
                    out.note(format!("cannot read the log of `{service}`: {error}"))
                        .await;
                    return;
                }
                // It was given up with the program.
                Err(_) => return,
            };
            match way {
                Way::File(path) => {
                    tokio::task::spawn_blocking(move || follow_file(&path, end, &out));
                }
                Way::Output { service, number } => {
                    let place = (project.as_str(), service.as_str(), Some(number));
                    follow_output(&*engine, place, end, &out).await;
                }
                Way::Inside(path) => follow_inside(&*engine, &project, &path, end, &out).await,
            }
        });
    }
}

/// Where the news of one source goes.
struct Out {
    wanted: Arc<Wanted>,
    sender: mpsc::Sender<News>,
    service: String,
}

impl Out {
    /// Sends records that pass; whether somebody still takes them.
    async fn records(&self, records: Vec<Record>) -> bool {
        for record in records {
            if self.wanted.filter.passes(&record)
                && self.sender.send(News::Record(record)).await.is_err()
            {
                return false;
            }
        }
        !self.sender.is_closed()
    }

    /// As `records`, for one and where nothing else waits.
    fn record(&self, record: Record) {
        if self.wanted.filter.passes(&record) {
            // Whether somebody still takes it is asked after the look at the file.
            let _ = self.sender.blocking_send(News::Record(record));
        }
    }

    async fn note(&self, text: String) {
        // Nobody is left to tell when the receiver is gone.
        let _ = self.sender.send(News::Note(text)).await;
    }
}

fn follow_file(path: &Path, end: End, out: &Out) {
    let (mut assembler, mut splitter) = (end.assembler, end.splitter);
    let follower = end.file;
    let mut follower = follower.unwrap_or_else(|| Follower::new(path, None));
    loop {
        let mut records = Vec::new();
        let mut came = false;
        // A file that cannot be read now may be readable after its rotation.
        let _ = follower.poll(&mut |piece| {
            came = true;
            splitter.push(piece, &mut |line| {
                records.extend(assembler.push(line, None));
            });
            // What comes all at once is handed on in between, so that it is not held.
            records.drain(..).for_each(|record| out.record(record));
        });
        if !came {
            if let Some(record) = assembler.finish() {
                out.record(record);
            }
            std::thread::sleep(PAUSE);
        }
        if out.sender.is_closed() {
            return;
        }
    }
}

/// What a container was when it was last read: read again is only another one, or another run.
#[derive(Default, PartialEq, Eq, Clone)]
struct Run {
    id: String,
    started_at: String,
}

async fn containers(engine: &impl Inside, project: &str) -> Option<Vec<Container>> {
    // An engine that is away comes back; until then there is nothing to say.
    engine.project_containers(project).await.ok()
}

/// Says that a container has ended, once.
async fn tell_end(container: &Container, told: &mut Option<Run>, run: &Run, out: &Out) {
    if container.state.is_running() || told.as_ref() == Some(run) {
        return;
    }
    *told = Some(run.clone());
    let what = match container.state {
        ContainerState::Exited { exit_code } | ContainerState::Restarting { exit_code } => {
            format!("has ended with exit code {exit_code}")
        }
        _ => "does not run".to_owned(),
    };
    let name = &container.name;
    out.note(format!(
        "container `{name}` {what}; waiting for it to start"
    ))
    .await;
}

async fn follow_output(
    engine: &impl Inside,
    (project, service, number): (&str, &str, Option<u32>),
    end: End,
    out: &Out,
) {
    let mut assembler = end.assembler;
    let mut known = end.container;
    let mut last = Run::default();
    let mut told = None;
    while !out.sender.is_closed() {
        let found = containers(engine, project).await;
        let found = found.unwrap_or_default().into_iter().find(|container| {
            container.service == service && number.is_none_or(|number| container.number() == number)
        });
        let Some(container) = found else {
            sleep(AWAY).await;
            continue;
        };
        let run = Run {
            id: container.id.clone(),
            started_at: container.started_at.clone(),
        };
        if !container.state.is_running() && run == last {
            tell_end(&container, &mut told, &run, out).await;
            sleep(AWAY).await;
            continue;
        }
        if known.as_ref() != Some(&container.id) {
            assembler.begin_anew();
            known = Some(container.id.clone());
        }
        last = run;
        let latest = assembler.latest();
        let since = latest.map(|latest| (latest / NANOSECONDS - OVERLAP).max(0));
        // Where nothing was read, nothing was there.
        let request = LogRequest {
            tail: None,
            since: since.or(output_request(&out.wanted).since),
            until: None,
            follow: true,
            timestamps: true,
        };
        if !stream_output(engine, &container.id, request, &mut assembler, out).await {
            return;
        }
        sleep(PAUSE).await;
    }
}

/// Reads a container's output to its end; whether somebody still takes it.
async fn stream_output(
    engine: &impl Inside,
    id: &str,
    request: LogRequest,
    assembler: &mut Assembler,
    out: &Out,
) -> bool {
    assembler.read_again();
    let mut splitter = StampedSplitter::default();
    let mut output = engine.logs(id, request);
    loop {
        let mut records = Vec::new();
        let next = match assembler.has_pending() {
            true => timeout(PAUSE, output.next()).await,
            false => Ok(output.next().await),
        };
        let is_going_on = match next {
            Ok(Some(Ok(piece))) => {
                splitter.push(&piece.into_bytes(), &mut |stamp, line| {
                    records.extend(assembler.push(line, stamp));
                });
                true
            }
            // Half a line comes again with the next reading.
            Ok(Some(Err(_))) => false,
            Ok(None) => {
                splitter.finish(&mut |stamp, line| records.extend(assembler.push(line, stamp)));
                false
            }
            Err(_) => {
                records.extend(assembler.finish());
                true
            }
        };
        if !is_going_on {
            records.extend(assembler.finish());
        }
        if !out.records(records).await {
            return false;
        }
        if !is_going_on {
            return true;
        }
    }
}

async fn follow_inside(engine: &impl Inside, project: &str, path: &str, end: End, out: &Out) {
    let mut assembler = end.assembler;
    let mut known = end.container;
    let mut told = None;
    while !out.sender.is_closed() {
        let found = containers(engine, project).await.unwrap_or_default();
        let application = find::application(&found);
        if let Some(container) = application.filter(|found| !found.state.is_running()) {
            let run = Run {
                id: container.id.clone(),
                started_at: container.started_at.clone(),
            };
            // Of all files in it, one tells.
            if Path::new(path).file_stem() == Some("web".as_ref()) {
                tell_end(container, &mut told, &run, out).await;
            }
        }
        if let Some(container) = application.filter(|found| found.state.is_running())
            && let Ok(row) = ways::program(engine, &container.id).await
        {
            let is_same = known.as_ref() == Some(&container.id);
            known = Some(container.id.clone());
            if !is_same && !find::is_mounted(container, path) {
                assembler.begin_anew();
            }
            let overlap = assembler.overlap();
            let lines = match (&overlap, assembler.latest()) {
                (Some(overlap), _) => Lines::Last(BEFORE.max(overlap.known() as u64)),
                (None, Some(_)) if is_same => Lines::Last(AGAIN),
                // Where nothing was read, nothing was there.
                _ => Lines::All,
            };
            let lines = lines_word(lines);
            let started = row.follow(engine, &container.id, &lines, path).await;
            if let Ok(mut exec) = started
                && !stream_inside(&mut exec.output, &mut assembler, out).await
            {
                return;
            }
        }
        sleep(AWAY).await;
    }
}

/// Reads what a program in a container prints to its end; whether somebody still takes it.
async fn stream_inside(
    output: &mut OutputStream<'static>,
    assembler: &mut Assembler,
    out: &Out,
) -> bool {
    let mut overlap = assembler.overlap().unwrap_or_else(|| {
        assembler.read_again();
        Overlap::default()
    });
    let mut splitter = Splitter::default();
    loop {
        let mut records = Vec::new();
        let next = match assembler.has_pending() || overlap.is_waiting() {
            true => timeout(PAUSE, output.next()).await,
            false => Ok(output.next().await),
        };
        match next {
            Ok(Some(Ok(Output::Out(piece)))) => {
                splitter.push(&piece, &mut |line| {
                    overlap.push(line, &mut |line| {
                        records.extend(assembler.push(line, None));
                    });
                });
            }
            Ok(Some(Ok(Output::Error(_)))) => {}
            Err(_) => {
                overlap.pause(&mut |line| records.extend(assembler.push(line, None)));
                records.extend(assembler.finish());
            }
            // Half a line comes again with the next reading.
            Ok(Some(Err(_)) | None) => {
                records.extend(assembler.finish());
                return out.records(records).await;
            }
        }
        if !out.records(records).await {
            return false;
        }
    }
}
