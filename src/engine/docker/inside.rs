//! Programs in containers and what they write.

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, ResizeExecOptions};
use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, KillContainerOptionsBuilder, LogsOptionsBuilder,
    StatsOptionsBuilder, TopOptions,
};
use futures_util::{StreamExt, TryStreamExt};

use super::DockerEngine;
use super::attach;
use super::failure::{failure, unless_missing};
use super::forward;
use crate::engine::inside::{
    Exec, ExecRequest, ExecState, Inside, LogRequest, Output, OutputStream, Processes,
    TerminalSize, Usage,
};
use crate::engine::{ArchiveStream, ByteStream, EngineError, PutFile};

/// Keys that make the engine let go of a program. Without any it takes Ctrl-P and Ctrl-Q, and it can
/// name no byte above 127. The first of them is held back until the next key comes, so it is the one
/// that shows least when it does: Ctrl-@ (also Ctrl-Space), which sets a mark in line editors or
/// begins a command of two keys. That the rest comes behind it in this order is an accident that does
/// not happen.
const DETACH: &str = "ctrl-@,ctrl-^,ctrl-],ctrl-^,ctrl-@,ctrl-],ctrl-@";

/// Memory that the kernel can drop at once, under the first and the second version of control groups.
const DROPPABLE: [&str; 2] = ["total_inactive_file", "inactive_file"];

fn output(piece: LogOutput) -> Option<Output> {
    match piece {
        LogOutput::StdErr { message } => Some(Output::Error(message)),
        LogOutput::StdOut { message } | LogOutput::Console { message } => {
            Some(Output::Out(message))
        }
        LogOutput::StdIn { .. } => None,
    }
}

impl Inside for DockerEngine {
    async fn exec(&self, container: &str, request: &ExecRequest) -> Result<Exec, EngineError> {
        let doing = format!("run a program in container `{container}`");
        let failed = |error| self.failure(&doing, error);
        let environment = request.environment.iter();
        let options = CreateExecOptions {
            attach_stdin: Some(request.has_input),
            detach_keys: Some(DETACH.to_owned()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(request.terminal.is_some()),
            env: Some(
                environment
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect(),
            ),
            cmd: Some(request.command.clone()),
            user: request.user.clone(),
            working_dir: request.folder.clone(),
            ..CreateExecOptions::default()
        };
        let created = self.client.create_exec(container, options).await;
        let id = created.map_err(failed)?.id;
        let attached = attach::start(self, &id, request.terminal.is_some()).await;
        let attached = attached.map_err(failed)?;
        if let Some(size) = request.terminal {
            // It has no size before; a program that has ended already needs none.
            let _ = self.resize(&id, size).await;
        }
        let endpoint = self.endpoint.clone();
        let output = attached.output;
        let output =
            output.map_err(move |error| failure(&endpoint, &doing, Error::IOError { err: error }));
        Ok(Exec {
            id,
            output: Box::pin(output),
            input: attached.input,
        })
    }

    async fn resize(&self, exec: &str, size: TerminalSize) -> Result<(), EngineError> {
        let options = ResizeExecOptions {
            height: size.rows,
            width: size.columns,
        };
        let resized = self.client.resize_exec(exec, options).await;
        resized.map_err(|error| self.failure("resize a terminal", error))
    }

    async fn exec_state(&self, exec: &str) -> Result<ExecState, EngineError> {
        let state = self.client.inspect_exec(exec).await;
        let state = state.map_err(|error| self.failure("tell how a program ended", error))?;
        Ok(ExecState {
            is_running: state.running.unwrap_or(false),
            exit_code: state.exit_code,
        })
    }

    async fn open_stream_from(
        &self,
        container: &str,
        host: &str,
        port: u16,
    ) -> Result<ByteStream, EngineError> {
        forward::open_from(self, container, host, port).await
    }

    async fn put_files(&self, container: &str, files: &[PutFile]) -> Result<(), EngineError> {
        self.upload(container, files).await
    }

    fn logs(&self, container: &str, request: LogRequest) -> OutputStream<'_> {
        let tail = request
            .tail
            .map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        // The API takes seconds as 32 bits here, which ends in 2038; later moments are as good as none.
        let seconds = |at: Option<i64>| at.and_then(|at| i32::try_from(at).ok()).unwrap_or(0);
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .follow(request.follow)
            .since(seconds(request.since))
            .until(seconds(request.until))
            .timestamps(request.timestamps)
            .tail(&tail)
            .build();
        let all = self.client.logs(container, Some(options));
        Box::pin(all.filter_map(|piece| {
            let piece = match piece {
                Ok(piece) => output(piece).map(Ok),
                Err(error) => Some(Err(self.failure("read a log", error))),
            };
            std::future::ready(piece)
        }))
    }

    async fn archive(
        &self,
        container: &str,
        path: &str,
    ) -> Result<Option<ArchiveStream>, EngineError> {
        let options = DownloadFromContainerOptionsBuilder::new()
            .path(path)
            .build();
        let answer = self
            .client
            .download_from_container(container, Some(options));
        let mut answer = Box::pin(answer);
        // The first piece tells whether there is anything.
        let first = match answer.try_next().await {
            Ok(first) => first,
            Err(error) => {
                let error = self.failure("read files of a container", error);
                return unless_missing(error);
            }
        };
        let Some(first) = first else {
            return Ok(None);
        };
        let first = futures_util::stream::once(std::future::ready(Ok(first)));
        let all = first.chain(answer.map_err(std::io::Error::other));
        Ok(Some(Box::pin(all)))
    }

    async fn processes(&self, container: &str) -> Result<Processes, EngineError> {
        let top = self.client.top_processes(container, None::<TopOptions>);
        let top = top
            .await
            .map_err(|error| self.failure("list processes", error))?;
        Ok(Processes {
            titles: top.titles.unwrap_or_default(),
            rows: top.processes.unwrap_or_default(),
        })
    }

    async fn signal(&self, container: &str, signal: &str) -> Result<(), EngineError> {
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        let sent = self.client.kill_container(container, Some(options)).await;
        sent.map_err(|error| self.failure("send a signal", error))
    }

    async fn usage(&self, container: &str) -> Result<Usage, EngineError> {
        let doing = "tell what a container uses";
        let options = StatsOptionsBuilder::new()
            .stream(false)
            .one_shot(true)
            .build();
        let mut answers = Box::pin(self.client.stats(container, Some(options)));
        let answer = answers
            .try_next()
            .await
            .map_err(|error| self.failure(doing, error))?;
        let Some(answer) = answer else {
            return Ok(Usage::default());
        };
        let memory = answer.memory_stats.unwrap_or_default();
        let details = memory.stats.unwrap_or_default();
        let droppable = DROPPABLE
            .iter()
            .find_map(|name| details.get(*name))
            .copied();
        let processor = answer.cpu_stats.and_then(|stats| stats.cpu_usage);
        let processes = answer.pids_stats.and_then(|stats| stats.current);
        Ok(Usage {
            processor: processor.and_then(|usage| usage.total_usage).unwrap_or(0),
            memory: memory
                .usage
                .unwrap_or(0)
                .saturating_sub(droppable.unwrap_or(0)),
            memory_limit: memory.limit.unwrap_or(0),
            processes: processes.unwrap_or(0),
        })
    }
}
