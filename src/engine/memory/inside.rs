//! Programs in containers of the engine in memory: they answer what a test told them to.

use bytes::Bytes;

use super::{MemoryEngine, World};
use crate::engine::inside::{
    Exec, ExecRequest, ExecState, Inside, LogRequest, Output, OutputStream, Processes,
    TerminalSize, Usage,
};
use crate::engine::{ArchiveStream, ByteStream, EngineError, PutFile};

/// What programs answer whose command holds a text.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    part: String,
    output: String,
    exit_code: i64,
}

/// A program that ran.
#[derive(Debug, Clone)]
pub(super) struct Run {
    container: String,
    request: ExecRequest,
    exit_code: i64,
}

impl MemoryEngine {
    /// Lets programs whose command, joined by blanks, holds a text write this and end so. Of several, the
    /// one told last counts.
    pub fn answer(&self, part: &str, output: &str, exit_code: i64) {
        let answer = Answer {
            part: part.to_owned(),
            output: output.to_owned(),
            exit_code,
        };
        self.world().answers.push(answer);
    }

    /// What was run so far: the container and what was asked for.
    #[must_use]
    pub fn runs(&self) -> Vec<(String, ExecRequest)> {
        let world = self.world();
        let runs = world.runs.iter();
        runs.map(|run| (run.container.clone(), run.request.clone()))
            .collect()
    }

    /// Puts a file into a container.
    pub fn put_file(&self, container: &str, path: &str, content: &[u8]) {
        if let Some(stored) = self.world().containers.get_mut(container) {
            stored.files.insert(path.to_owned(), content.to_vec());
        }
    }
}

fn running(world: &World, container: &str, doing: &str) -> Result<(), EngineError> {
    let mut stored = world.containers.values();
    let found = stored.find(|s| s.container.name == container || s.container.id == container);
    let found = found.ok_or_else(|| EngineError::Missing {
        what: format!("container `{container}`"),
    })?;
    if found.container.state.is_running() {
        return Ok(());
    }
    Err(EngineError::Refused {
        doing: doing.to_owned(),
        message: format!("container {container} is not running"),
    })
}

impl Inside for MemoryEngine {
    async fn exec(&self, container: &str, request: &ExecRequest) -> Result<Exec, EngineError> {
        let doing = format!("run a program in container `{container}`");
        let mut world = self.world();
        running(&world, container, &doing)?;
        let command = request.command.join(" ");
        let answers = world.answers.iter().rev();
        let answer = answers
            .into_iter()
            .find(|answer| command.contains(&answer.part));
        let (output, exit_code) = match answer {
            Some(answer) => (answer.output.clone(), answer.exit_code),
            None => (format!("{command}: not found\n"), 127),
        };
        world.runs.push(Run {
            container: container.to_owned(),
            request: request.clone(),
            exit_code,
        });
        let id = format!("exec-{}", world.runs.len() - 1);
        let piece = Ok(Output::Out(Bytes::from(output)));
        Ok(Exec {
            id,
            output: Box::pin(futures_util::stream::iter([piece])),
            input: Box::pin(tokio::io::sink()),
        })
    }

    async fn resize(&self, _exec: &str, _size: TerminalSize) -> Result<(), EngineError> {
        Ok(())
    }

    async fn exec_state(&self, exec: &str) -> Result<ExecState, EngineError> {
        let world = self.world();
        let number = exec.strip_prefix("exec-");
        let number = number.and_then(|digits| digits.parse::<usize>().ok());
        let run = number.and_then(|number| world.runs.get(number));
        let run = run.ok_or_else(|| EngineError::Missing {
            what: format!("program `{exec}`"),
        })?;
        Ok(ExecState {
            is_running: false,
            exit_code: Some(run.exit_code),
        })
    }

    async fn open_stream_from(
        &self,
        container: &str,
        host: &str,
        port: u16,
    ) -> Result<ByteStream, EngineError> {
        let doing = format!("reach `{host}:{port}` from container `{container}`");
        running(&self.world(), container, &doing)?;
        let message = "there is no network in memory".to_owned();
        Err(EngineError::Refused { doing, message })
    }

    async fn put_files(&self, container: &str, files: &[PutFile]) -> Result<(), EngineError> {
        let mut world = self.change(format!("put files into container `{container}`"))?;
        let stored = world.containers.get_mut(container);
        let stored = stored.ok_or_else(|| EngineError::Missing {
            what: format!("container `{container}`"),
        })?;
        for file in files {
            let content = file.content.expose().as_bytes().to_vec();
            stored.files.insert(file.target.clone(), content);
        }
        Ok(())
    }

    fn logs(&self, container: &str, request: LogRequest) -> OutputStream<'_> {
        let world = self.world();
        let mut all = world.containers.values();
        let found = all.find(|s| s.container.name == container || s.container.id == container);
        let Some(stored) = found else {
            let what = format!("container `{container}`");
            return Box::pin(futures_util::stream::iter([Err(EngineError::Missing {
                what,
            })]));
        };
        let lines = &stored.lines;
        let tail = request.tail.and_then(|tail| usize::try_from(tail).ok());
        let first = tail.map_or(0, |tail| lines.len().saturating_sub(tail));
        let numbered = lines.iter().enumerate().skip(first);
        // One line a second, from the beginning of time.
        let pieces: Vec<Result<Output, EngineError>> = numbered
            .map(|(number, line)| {
                let (minutes, seconds) = (number / 60, number % 60);
                let time = format!("1970-01-01T00:{minutes:02}:{seconds:02}.000000000Z ");
                let time = if request.timestamps {
                    time.as_str()
                } else {
                    ""
                };
                Ok(Output::Out(Bytes::from(format!("{time}{line}\n"))))
            })
            .collect();
        Box::pin(futures_util::stream::iter(pieces))
    }

    async fn archive(
        &self,
        container: &str,
        path: &str,
    ) -> Result<Option<ArchiveStream>, EngineError> {
        let world = self.world();
        let Some(stored) = world.containers.get(container) else {
            return Ok(None);
        };
        let parent = path.trim_end_matches('/').rsplit_once('/');
        let parent = parent.map_or("", |(parent, _)| parent);
        let folder = format!("{}/", path.trim_end_matches('/'));
        let mut builder = tar::Builder::new(Vec::new());
        let mut is_empty = true;
        for (name, content) in &stored.files {
            if name != path && !name.starts_with(&folder) {
                continue;
            }
            is_empty = false;
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            let inside = name.strip_prefix(parent).unwrap_or(name);
            let inside = inside.trim_start_matches('/');
            let added = builder.append_data(&mut header, inside, content.as_slice());
            added.map_err(|error| EngineError::Broken {
                doing: "read files of a container".to_owned(),
                cause: error.to_string(),
            })?;
        }
        if is_empty {
            return Ok(None);
        }
        let archive = builder.into_inner();
        Ok(Some(Box::pin(futures_util::stream::iter([
            archive.map(Bytes::from)
        ]))))
    }

    async fn processes(&self, container: &str) -> Result<Processes, EngineError> {
        running(&self.world(), container, "list processes")?;
        Ok(Processes {
            titles: vec!["PID".to_owned(), "CMD".to_owned()],
            rows: vec![vec!["1".to_owned(), "server".to_owned()]],
        })
    }

    async fn signal(&self, container: &str, signal: &str) -> Result<(), EngineError> {
        running(
            &self.world(),
            container,
            &format!("send the signal {signal}"),
        )
    }

    async fn usage(&self, container: &str) -> Result<Usage, EngineError> {
        running(&self.world(), container, "tell what a container uses")?;
        Ok(Usage::default())
    }
}
