//! Questions about many things at once: over a few connections, one after the other on each. An engine
//! that gets as many at once as there are containers spends half of its time on taking turns.
//!
//! bollard opens a connection for every question and reads every answer into a model of all that an
//! engine may say, which takes longer than the rest of a run that finds nothing to do.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::errors::Error;
use bytes::Bytes;
use futures_util::future::try_join_all;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;

use super::DockerEngine;
use super::attach::{Connection, Door, refusal};
use crate::engine::EngineError;

/// How many questions of one kind an engine gets at once.
const LINES: usize = 8;

/// How long it may take for an answer.
const PATIENCE: Duration = Duration::from_secs(120);

impl DockerEngine {
    /// What it says about what is asked; `None` about what is not there.
    pub(super) async fn asked<T: DeserializeOwned>(
        &self,
        doing: &str,
        path: &str,
    ) -> Result<Option<T>, EngineError> {
        let answers = self
            .all_asked(doing, std::iter::once(path.to_owned()))
            .await?;
        Ok(answers.into_iter().next().flatten())
    }

    /// As [`Self::asked`], about several things. What comes next is taken as late as it is asked.
    pub(super) async fn all_asked<T: DeserializeOwned>(
        &self,
        doing: &str,
        paths: impl Iterator<Item = String> + Send,
    ) -> Result<Vec<Option<T>>, EngineError> {
        let paths = paths.map(|path| format!("{}{path}", self.prefix));
        let answers = all(&self.door, paths).await;
        answers.map_err(|error| self.failure(doing, error))
    }
}

/// The answers to questions, in their order; `None` to those about what is not there.
///
/// # Errors
/// The engine cannot be asked, refuses to answer, or says what cannot be read.
async fn all<T: DeserializeOwned>(
    door: &Door,
    paths: impl Iterator<Item = String> + Send,
) -> Result<Vec<Option<T>>, Error> {
    let most = paths.size_hint().1.unwrap_or(LINES);
    let paths = Mutex::new(paths.enumerate());
    let take = || {
        let mut paths = paths.lock().unwrap_or_else(PoisonError::into_inner);
        paths.next()
    };
    let lines = (0..LINES.min(most)).map(|_| in_turn(door, &take));
    let answers = try_join_all(lines).await?;
    let mut answers: Vec<(usize, Option<T>)> = answers.into_iter().flatten().collect();
    answers.sort_by_key(|(at, _)| *at);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}

/// Gives the next question with its number.
type Take<'a> = &'a (dyn Fn() -> Option<(usize, String)> + Sync);

/// Asks whatever comes next until there is nothing left, and gives each answer with the number of its
/// question.
async fn in_turn<T: DeserializeOwned>(
    door: &Door,
    take: Take<'_>,
) -> Result<Vec<(usize, Option<T>)>, Error> {
    let mut answers = Vec::new();
    let mut due = take();
    while due.is_some() {
        let opening = async { Ok(http1::handshake(TokioIo::new(door.open().await?)).await?) };
        let (mut sender, connection) = within(opening).await?;
        let asking = async {
            let mut has_answered = false;
            while let Some((at, path)) = &due {
                match within(ask(&mut sender, path)).await {
                    Ok(answer) => answers.push((*at, answer)),
                    // It went away behind an answer: the question goes over a new one.
                    Err(error) if has_answered && is_gone(&error) => break,
                    Err(error) => return Err(error),
                }
                has_answered = true;
                due = take();
                if sender.ready().await.is_err() {
                    // The engine wants to be asked over a new one.
                    break;
                }
            }
            Ok(())
        };
        driven(connection, asking).await?;
    }
    Ok(answers)
}

async fn ask<T: DeserializeOwned>(
    sender: &mut SendRequest<Empty<Bytes>>,
    path: &str,
) -> Result<Option<T>, Error> {
    let request = Request::get(path).header(HOST, "engine");
    let answer = sender.send_request(request.body(Empty::new())?).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    match status {
        status if status.is_success() => Ok(Some(serde_json::from_slice(&body)?)),
        StatusCode::NOT_FOUND => Ok(None),
        status => Err(refusal(status, &body)),
    }
}

/// Whether a question failed because the other end had closed the connection.
fn is_gone(error: &Error) -> bool {
    match error {
        Error::HyperResponseError { err } => !(err.is_parse() || err.is_user() || err.is_timeout()),
        _ => false,
    }
}

async fn within<T>(asking: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let answer = tokio::time::timeout(PATIENCE, asking).await;
    answer.unwrap_or(Err(Error::RequestTimeoutError))
}

/// What is asked over a connection, which goes on meanwhile.
///
/// # Errors
/// Those of what is asked, and what breaks the connection.
pub(super) async fn driven<T>(
    connection: http1::Connection<TokioIo<Box<dyn Connection>>, Empty<Bytes>>,
    asking: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::pin!(asking);
    let mut connection = Box::pin(connection);
    tokio::select! {
        biased;
        answer = &mut asking => answer,
        ended = &mut connection => {
            // Its other half waits for it as long as it is there.
            drop(connection);
            match (asking.await, ended) {
                (Err(_), Err(why)) => Err(why.into()),
                (answer, _) => answer,
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::convert::Infallible;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::Full;
    use hyper::Response;
    use hyper::body::Incoming;
    use hyper::header::CONNECTION;
    use hyper::server;
    use hyper::service::service_fn;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::UnixListener;

    use super::*;

    /// An engine that gives these answers; counts its connections.
    pub(in super::super) fn serve<F>(
        socket: &Path,
        answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    ) -> Arc<AtomicUsize>
    where
        F: Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + 'static,
    {
        let listener = UnixListener::bind(socket).unwrap();
        let opened = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&opened);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let serving = server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer.clone()));
                tokio::spawn(async move { serving.await.is_ok() });
            }
        });
        opened
    }

    pub(in super::super) fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    /// An engine that answers with what it was asked; counts its connections.
    fn engine(socket: &Path, keeps: bool) -> Arc<AtomicUsize> {
        let answer = move |request: Request<Incoming>| async move {
            let path = request.uri().path().to_owned();
            let mut answer = Response::builder();
            if !keeps {
                answer = answer.header(CONNECTION, "close");
            }
            answer = answer.status(match &*path {
                "/missing" => 404,
                "/refused" => 500,
                _ => 200,
            });
            let body = match &*path {
                "/refused" => r#"{"message":"no"}"#.to_owned(),
                path => format!("{path:?}"),
            };
            Ok::<_, Infallible>(answer.body(Full::<Bytes>::from(body)).unwrap())
        };
        serve(socket, answer)
    }

    fn paths() -> Vec<String> {
        let mut paths: Vec<String> = (0..20).map(|number| format!("/{number}")).collect();
        paths.insert(7, "/missing".to_owned());
        paths
    }

    #[tokio::test]
    async fn answers_come_in_order_over_few_connections() {
        let folder = tempfile::tempdir().unwrap();
        for keeps in [true, false] {
            let socket = folder.path().join(keeps.to_string());
            let opened = engine(&socket, keeps);
            let answers = all::<String>(&Door::Socket(socket), paths().into_iter()).await;
            let expected = paths().into_iter();
            let expected: Vec<Option<String>> = expected
                .map(|path| (path != "/missing").then_some(path))
                .collect();
            assert_eq!(answers.unwrap(), expected);
            let opened = opened.load(Ordering::Relaxed);
            let most = if keeps { LINES } else { paths().len() };
            assert_eq!(opened, most, "keeps: {keeps}");
        }
    }

    /// Answers as many questions over each connection, and closes it without a word.
    async fn silent(listener: UnixListener, answers: usize) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            for _ in 0..answers {
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).await.unwrap() > 0
                {
                }
                let Some(path) = head.split(' ').nth(1) else {
                    break;
                };
                let body = format!("{path:?}");
                let length = body.len();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_connection_that_goes_away_between_two_questions_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<String> = (0..20).map(|number| format!("/{number}")).collect();
        for answers in [1, 2] {
            let socket = folder.path().join(answers.to_string());
            let listener = UnixListener::bind(&socket).unwrap();
            let door = Door::Socket(socket);
            let answered = tokio::select! {
                answered = all::<String>(&door, paths.iter().cloned()) => answered,
                () = silent(listener, answers) => unreachable!("it serves for ever"),
            };
            let answered: Option<Vec<String>> = answered.unwrap().into_iter().collect();
            assert_eq!(answered.as_ref(), Some(&paths));
        }
        let socket = folder.path().join("mute");
        let listener = UnixListener::bind(&socket).unwrap();
        let door = Door::Socket(socket);
        let answered = tokio::select! {
            answered = all::<String>(&door, paths.iter().cloned()) => answered,
            () = silent(listener, 0) => unreachable!("it serves for ever"),
        };
        assert!(answered.is_err(), "{answered:?}");
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_words_of_the_engine() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("engine");
        engine(&socket, true);
        let door = Door::Socket(socket);
        let refused = all::<String>(&door, words(&["/1", "/refused"]).into_iter()).await;
        assert!(matches!(
            refused,
            Err(Error::DockerResponseServerError { status_code: 500, message }) if message == "no"
        ));
        let unread = all::<u32>(&door, words(&["/1"]).into_iter()).await;
        assert!(matches!(unread, Err(Error::JsonSerdeError { .. })));
        let none = all::<String>(&door, words(&[]).into_iter()).await;
        assert!(none.unwrap().is_empty());
    }
}
