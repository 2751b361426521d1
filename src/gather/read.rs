//! Reads what is written so far, of all sources at the same time and with little memory: each waits
//! until what it has read is wanted.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::beginning::beginning;
use super::untar::Untar;
use super::{GatherError, Source, Wanted, Way, find, ways};
use crate::engine::ArchiveStream;
use crate::engine::inside::{Exec, Inside, LogRequest, Output};
use crate::host;
use crate::host::tail::{self, Follower, Lines};
use crate::logs::Moment;
use crate::logs::Record;
use crate::logs::assembler::Assembler;
use crate::logs::splitter::{Splitter, StampedSplitter};
use crate::observed::Container;

/// Bytes of records that are handed on at once.
const BATCH: usize = 64 << 10;

/// Batches of a source that may wait.
const WAITING: usize = 2;

const NANOSECONDS: Moment = 1_000_000_000;

/// The records of one source, as they come.
#[derive(Debug)]
pub struct Records {
    receiver: mpsc::Receiver<Vec<Record>>,
    batch: std::vec::IntoIter<Record>,
}

impl Iterator for Records {
    type Item = Record;

    /// Waits for the next record; not to be called where other work waits.
    fn next(&mut self) -> Option<Record> {
        loop {
            if let Some(record) = self.batch.next() {
                return Some(record);
            }
            self.batch = self.receiver.blocking_recv()?.into_iter();
        }
    }
}

/// Sources that are being read.
pub struct Reading {
    /// The records of each.
    pub records: Vec<Records>,
    /// Where each has come to, at its end.
    pub(super) ends: Vec<JoinHandle<Result<End, GatherError>>>,
}

impl Reading {
    /// Why sources could not be read, each with its place in the list. To be asked when the records
    /// have come to their end.
    pub async fn failures(self) -> Vec<(usize, GatherError)> {
        let mut failures = Vec::new();
        for (place, end) in self.ends.into_iter().enumerate() {
            match end.await {
                Ok(Ok(_)) | Err(_) | Ok(Err(GatherError::GivenUp)) => {}
                Ok(Err(error)) => failures.push((place, error)),
            }
        }
        failures
    }
}

/// Where a reading has come to.
pub(super) struct End {
    pub(super) assembler: Assembler,
    /// What is left of a line that is not complete yet.
    pub(super) splitter: Splitter,
    /// The file of this machine, from where it was read to.
    pub(super) file: Option<Follower>,
    /// The container that was read.
    pub(super) container: Option<String>,
}

impl End {
    /// Before the first line of a source.
    pub(super) fn before_all(place: usize, way: &Way) -> Self {
        Self {
            assembler: assembler(place, true, way),
            splitter: Splitter::default(),
            file: None,
            container: None,
        }
    }
}

fn assembler(place: usize, follows: bool, way: &Way) -> Assembler {
    // A file of this machine is followed from the place where it was read to.
    match (follows, way) {
        (false, _) | (_, Way::File(_)) => Assembler::new(place),
        _ => Assembler::resumable(place),
    }
}

/// Collects records that pass and hands them on in batches.
struct Collector<'a> {
    wanted: &'a Wanted,
    sender: mpsc::Sender<Vec<Record>>,
    batch: Vec<Record>,
    bytes: usize,
    /// The last that pass, where they have to be counted.
    last: Option<(usize, VecDeque<Record>)>,
}

impl<'a> Collector<'a> {
    fn new(wanted: &'a Wanted, sender: mpsc::Sender<Vec<Record>>, count: Option<usize>) -> Self {
        Self {
            wanted,
            sender,
            batch: Vec::new(),
            bytes: 0,
            last: count.map(|count| (count, VecDeque::new())),
        }
    }

    fn take(&mut self, record: Option<Record>) {
        let Some(record) = record.filter(|record| self.wanted.filter.passes(record)) else {
            return;
        };
        if let Some((count, last)) = &mut self.last {
            last.push_back(record);
            if last.len() > *count {
                last.pop_front();
            }
            return;
        }
        self.bytes += record.text.len();
        self.batch.push(record);
    }

    fn full(&mut self) -> Option<Vec<Record>> {
        if self.bytes < BATCH {
            return None;
        }
        self.bytes = 0;
        Some(std::mem::take(&mut self.batch))
    }

    /// Hands on what is ready.
    async fn send(&mut self) -> Result<(), GatherError> {
        match self.full() {
            Some(batch) => self.sender.send(batch).await.or(Err(GatherError::GivenUp)),
            None => Ok(()),
        }
    }

    fn rest(&mut self) -> Vec<Record> {
        let last = self.last.take().map(|(_, last)| Vec::from(last));
        last.unwrap_or_else(|| std::mem::take(&mut self.batch))
    }
}

/// Lines before the wanted ones of a source that will be followed: they are not shown, and tell where
/// to go on. Enough that one of them has a time, where any has.
pub(super) const BEFORE: u64 = 2000;

/// Takes the last lines of those that come, and remembers the others as delivered.
struct Last {
    count: usize,
    held: VecDeque<Vec<u8>>,
    before: Assembler,
}

impl Last {
    fn new(count: usize) -> Self {
        Self {
            count,
            held: VecDeque::new(),
            before: Assembler::resumable(0),
        }
    }

    fn push(&mut self, line: &[u8]) {
        self.held.push_back(line.to_vec());
        if self.held.len() > self.count
            && let Some(line) = self.held.pop_front()
        {
            self.before.push(&line, None);
        }
    }

    fn finish(self, assembler: &mut Assembler, collector: &mut Collector<'_>) {
        assembler.go_on_behind(self.before);
        for line in self.held {
            collector.take(assembler.push(&line, None));
        }
    }
}

/// Begins to read the sources, of which some are in these containers of the project.
pub fn read<E: Inside + Send + Sync + 'static>(
    engine: &Arc<E>,
    containers: &Arc<[Container]>,
    sources: &[Source],
    wanted: &Arc<Wanted>,
) -> Reading {
    let mut reading = Reading {
        records: Vec::new(),
        ends: Vec::new(),
    };
    for (place, source) in sources.iter().enumerate() {
        let (sender, receiver) = mpsc::channel(WAITING);
        reading.records.push(Records {
            receiver,
            batch: Vec::new().into_iter(),
        });
        let (engine, containers) = (Arc::clone(engine), Arc::clone(containers));
        let (wanted, way) = (Arc::clone(wanted), source.way.clone());
        let assembler = assembler(place, wanted.follow, &way);
        reading.ends.push(match way {
            Way::File(path) => {
                tokio::task::spawn_blocking(move || read_file(&path, &wanted, assembler, sender))
            }
            Way::Output { service, number } => tokio::spawn(async move {
                let container = numbered(&containers, &service, number);
                read_output(&*engine, container, &wanted, assembler, sender).await
            }),
            Way::Inside(path) => tokio::spawn(async move {
                read_inside(&*engine, &containers, &path, &wanted, assembler, sender).await
            }),
        });
    }
    reading
}

/// The id of a container.
fn numbered(containers: &[Container], service: &str, number: u32) -> Option<String> {
    let mut all = containers.iter();
    let found = all.find(|one| one.service == service && one.number() == number);
    found.map(|container| container.id.clone())
}

fn read_file(
    path: &Path,
    wanted: &Wanted,
    mut assembler: Assembler,
    sender: mpsc::Sender<Vec<Record>>,
) -> Result<End, GatherError> {
    let mut collector = Collector::new(wanted, sender, None);
    let mut splitter = Splitter::default();
    let file = host::open(path)?;
    let failed = |source| tail::cannot_read(path, source);
    let end = file.metadata().map_err(failed)?.len();
    let mut at = beginning(&file, end, wanted).map_err(failed)?;
    let mut block = vec![0; tail::BLOCK];
    while at < end {
        let length = tail::read_at(&file, &mut block, at).map_err(failed)?;
        // It was cut meanwhile.
        if length == 0 {
            break;
        }
        let length = length.min(usize::try_from(end - at).unwrap_or(usize::MAX));
        at += length as u64;
        let piece = block.get(..length).unwrap_or_default();
        splitter.push(piece, &mut |line| {
            collector.take(assembler.push(line, None));
        });
        if let Some(batch) = collector.full() {
            let sent = collector.sender.blocking_send(batch);
            sent.or(Err(GatherError::GivenUp))?;
        }
    }
    if !wanted.follow {
        splitter.finish(&mut |line| {
            collector.take(assembler.push(line, None));
        });
    }
    collector.take(assembler.finish());
    let rest = collector.rest();
    let sent = collector.sender.blocking_send(rest);
    sent.or(Err(GatherError::GivenUp))?;
    Ok(End {
        assembler,
        splitter,
        file: Some(Follower::new(path, Some((file, at)))),
        container: None,
    })
}

/// The request for a container's output.
pub(super) fn output_request(wanted: &Wanted) -> LogRequest {
    let filter = &wanted.filter;
    LogRequest {
        tail: match wanted.lines {
            Lines::Last(count) if filter.is_empty() => Some(count),
            _ => None,
        },
        since: filter.since.map(|since| since.div_euclid(NANOSECONDS)),
        until: filter.until.map(|until| until.div_euclid(NANOSECONDS) + 1),
        follow: false,
        timestamps: true,
    }
}

async fn read_output(
    engine: &impl Inside,
    container: Option<String>,
    wanted: &Wanted,
    mut assembler: Assembler,
    sender: mpsc::Sender<Vec<Record>>,
) -> Result<End, GatherError> {
    if let Some(container) = &container {
        let mut collector = Collector::new(wanted, sender, wanted.counted());
        let mut splitter = StampedSplitter::default();
        let mut request = output_request(wanted);
        // Where nothing is shown, the last line tells from when on is followed.
        let mut before = Assembler::resumable(0);
        let is_silent = wanted.follow && request.tail == Some(0);
        if is_silent {
            request.tail = Some(1);
        }
        let mut output = engine.logs(container, request);
        while let Some(piece) = output.next().await {
            let piece = piece?.into_bytes();
            splitter.push(&piece, &mut |stamp, line| match is_silent {
                true => drop(before.push(line, stamp)),
                false => collector.take(assembler.push(line, stamp)),
            });
            collector.send().await?;
        }
        splitter.finish(&mut |stamp, line| match is_silent {
            true => drop(before.push(line, stamp)),
            false => collector.take(assembler.push(line, stamp)),
        });
        if is_silent {
            assembler.go_on_behind(before);
        }
        collector.take(assembler.finish());
        let rest = collector.rest();
        let sent = collector.sender.send(rest).await;
        sent.or(Err(GatherError::GivenUp))?;
    }
    Ok(End {
        assembler,
        splitter: Splitter::default(),
        file: None,
        container,
    })
}

/// The number of lines as `tail` takes it.
pub(super) fn lines_word(lines: Lines) -> String {
    match lines {
        Lines::All => "+1".to_owned(),
        Lines::Last(count) => count.to_string(),
    }
}

async fn read_inside(
    engine: &impl Inside,
    containers: &[Container],
    path: &str,
    wanted: &Wanted,
    mut assembler: Assembler,
    sender: mpsc::Sender<Vec<Record>>,
) -> Result<End, GatherError> {
    let (lines, last) = match wanted.lines {
        _ if wanted.counted().is_some() => (Lines::All, None),
        Lines::Last(count) if wanted.follow && count < BEFORE => {
            (Lines::Last(BEFORE), usize::try_from(count).ok())
        }
        lines => (lines, None),
    };
    let opened = open_inside(engine, containers, path, lines).await?;
    // An archive has no end to begin at.
    let counted = match (&opened.archive, wanted.lines) {
        (Some(_), Lines::Last(count)) => usize::try_from(count).ok(),
        _ => wanted.counted(),
    };
    let mut collector = Collector::new(wanted, sender, counted);
    let mut splitter = Splitter::default();
    let last = last.filter(|_| opened.archive.is_none());
    let mut last = last.map(Last::new);
    let (mut content, container) = opened.content();
    while let Some(piece) = content.next().await {
        splitter.push(&piece?, &mut |line| match &mut last {
            Some(last) => last.push(line),
            None => collector.take(assembler.push(line, None)),
        });
        collector.send().await?;
    }
    // Half a line comes again with the rest of it.
    if !wanted.follow {
        splitter.finish(&mut |line| match &mut last {
            Some(last) => last.push(line),
            None => collector.take(assembler.push(line, None)),
        });
    }
    if let Some(last) = last {
        last.finish(&mut assembler, &mut collector);
    }
    collector.take(assembler.finish());
    let rest = collector.rest();
    let sent = collector.sender.send(rest).await;
    sent.or(Err(GatherError::GivenUp))?;
    Ok(End {
        assembler,
        splitter,
        file: None,
        container: Some(container),
    })
}

/// A file of a container that is being read.
struct Opened {
    container: String,
    archive: Option<ArchiveStream>,
    program: Option<Exec>,
}

type Content = BoxStream<'static, Result<Bytes, GatherError>>;

impl Opened {
    /// Its bytes as they come, and its container.
    fn content(self) -> (Content, String) {
        let container = self.container;
        let content: Content = match (self.archive, self.program) {
            (Some(archive), _) => {
                let mut untar = Untar::default();
                let content = archive.map(move |piece| {
                    // A file that grows while it is read may cut the archive short.
                    let piece = piece.unwrap_or_default();
                    let mut content = Vec::new();
                    untar.push(&piece, &mut |_| {}, &mut |bytes| {
                        content.extend_from_slice(bytes);
                    });
                    Ok(Bytes::from(content))
                });
                content.boxed()
            }
            (_, Some(program)) => {
                let Exec { output, input, .. } = program;
                let content = output.try_filter_map(move |piece| {
                    // The program ends with its input.
                    let _ = &input;
                    let piece = match piece {
                        Output::Out(bytes) => Some(bytes),
                        Output::Error(_) => None,
                    };
                    std::future::ready(Ok(piece))
                });
                content.map_err(GatherError::from).boxed()
            }
            (None, None) => futures_util::stream::empty().boxed(),
        };
        (content, container)
    }
}

/// Opens a file of the application's container: by a program while it runs, else by the engine.
async fn open_inside(
    engine: &impl Inside,
    containers: &[Container],
    path: &str,
    lines: Lines,
) -> Result<Opened, GatherError> {
    let container = find::application(containers).ok_or_else(|| GatherError::Missing {
        what: "container of the application".to_owned(),
    })?;
    let id = container.id.clone();
    if container.state.is_running()
        && let Ok(row) = ways::program(engine, &id).await
    {
        let exec = row.read(engine, &id, &lines_word(lines), path).await?;
        return Ok(Opened {
            container: id,
            archive: None,
            program: Some(exec),
        });
    }
    let archive = engine.archive(&id, path).await?;
    let archive = archive.ok_or_else(|| GatherError::Missing {
        what: format!("file `{path}` in container `{}`", container.name),
    })?;
    Ok(Opened {
        container: id,
        archive: Some(archive),
        program: None,
    })
}

/// Hands on the bytes of one source as they were written; it is in one of these containers of the
/// project, or a file of this machine, of which nothing comes: the system copies those.
///
/// # Errors
/// It cannot be read, or nobody takes the bytes any more.
pub async fn copy(
    engine: &impl Inside,
    containers: &[Container],
    source: &Source,
    lines: Lines,
    sender: &mpsc::Sender<Vec<u8>>,
) -> Result<(), GatherError> {
    let mut content: BoxStream<'_, Result<Bytes, GatherError>> = match &source.way {
        Way::File(_) => return Ok(()),
        Way::Output { service, number } => {
            let Some(container) = numbered(containers, service, *number) else {
                return Ok(());
            };
            let request = LogRequest {
                tail: match lines {
                    Lines::All => None,
                    Lines::Last(count) => Some(count),
                },
                ..LogRequest::default()
            };
            let output = engine.logs(&container, request);
            let output = output.map_ok(Output::into_bytes).map_err(GatherError::from);
            output.boxed()
        }
        Way::Inside(path) => {
            open_inside(engine, containers, path, lines)
                .await?
                .content()
                .0
        }
    };
    let mut batch = Vec::with_capacity(2 * BATCH);
    while let Some(piece) = content.next().await {
        batch.extend_from_slice(&piece?);
        if batch.len() >= BATCH {
            let full = std::mem::replace(&mut batch, Vec::with_capacity(2 * BATCH));
            let sent = sender.send(full).await;
            sent.or(Err(GatherError::GivenUp))?;
        }
    }
    sender.send(batch).await.or(Err(GatherError::GivenUp))
}
