//! Commands around transactions and sessions, and how commands run within a transaction.

use bson::Bson;
use bson::Document;
use bson::doc;

use super::super::failure::Code;
use super::super::failure::Failure;
use super::super::request::Request;
use super::super::session::SESSION_LIFETIME;
use super::super::session::SessionId;
use super::Access;
use super::Answer;
use super::Definition;
use super::Engine;
use super::Run;
use super::Workspace;

pub(super) const COMMANDS: &[Definition] = &[
    Definition {
        name: "commitTransaction",
        access: Access::Write,
        is_admin: true,
        run: Run::Engine(commit),
    },
    Definition {
        name: "abortTransaction",
        access: Access::Write,
        is_admin: true,
        run: Run::Engine(abort),
    },
    Definition::of_server("startSession", false, start_session),
    Definition::of_server("refreshSessions", false, refresh_sessions),
    Definition::of_server("endSessions", false, end_sessions),
];

impl Engine {
    /// Runs a command on the view of its transaction. A command that fails aborts the transaction.
    pub(super) fn run_in_transaction(
        &mut self,
        run: fn(&mut Workspace<'_>, &Request) -> Answer,
        request: &Request,
    ) -> Answer {
        let (session, number) = transaction_of(request)?;
        let mut transaction = if request.body.get_bool("startTransaction").unwrap_or(false) {
            self.sessions.begin(&session, number, &self.catalog)?
        } else {
            self.sessions.take(&session, number)?
        };
        let mut workspace = Workspace {
            catalog: &mut transaction.view,
            operations: Vec::new(),
            cursors: &mut self.cursors,
            session: Some(session.clone()),
        };
        let answer = run(&mut workspace, request);
        let operations = workspace.operations;
        transaction.operations.extend(operations);
        if answer
            .as_ref()
            .is_ok_and(|reply| !reply.contains_key("writeErrors"))
        {
            self.sessions.keep(session, number, transaction);
        } else {
            self.sessions.aborted(session, number);
        }
        answer
    }
}

fn transaction_of(request: &Request) -> Result<(SessionId, i64), Failure> {
    match (request.session(), request.transaction_number()) {
        (Some(session), Some(number)) => Ok((session, number)),
        _ => {
            let message = "a command in a transaction needs lsid and txnNumber";
            Err(Failure::new(Code::InvalidOptions, message))
        }
    }
}

/// Applies all changes of the transaction as one record on disk, or none of them.
fn commit(engine: &mut Engine, request: &Request) -> Answer {
    request.allow(&["recoveryToken"])?;
    let (session, number) = transaction_of(request)?;
    if engine.sessions.is_committed(&session, number) {
        return Ok(Document::new());
    }
    let transaction = engine.sessions.take(&session, number)?;
    if let Some(namespace) = transaction.conflict(&engine.catalog) {
        let message =
            format!("another write has changed '{namespace}' since the transaction began");
        engine.sessions.aborted(session, number);
        return Err(Failure::transient(Code::WriteConflict, message));
    }
    engine.record(&transaction.operations)?;
    engine.sessions.committed(session, number);
    Ok(Document::new())
}

fn abort(engine: &mut Engine, request: &Request) -> Answer {
    request.allow(&["recoveryToken"])?;
    let (session, number) = transaction_of(request)?;
    engine.sessions.take(&session, number)?;
    engine.sessions.aborted(session, number);
    Ok(Document::new())
}

fn start_session(_engine: &mut Engine, request: &Request) -> Answer {
    request.allow(&[])?;
    let minutes = i32::try_from(SESSION_LIFETIME.as_secs() / 60).unwrap_or(i32::MAX);
    Ok(doc! {"id": {"id": bson::Uuid::new()}, "timeoutMinutes": minutes})
}

/// Sessions without a transaction or a retryable write are not kept, so there is nothing to do.
fn refresh_sessions(_engine: &mut Engine, _request: &Request) -> Answer {
    Ok(Document::new())
}

fn end_sessions(engine: &mut Engine, request: &Request) -> Answer {
    for session in request.fields().required_documents("endSessions")? {
        if let Some(Bson::Binary(id)) = session.get("id") {
            engine.sessions.end(&id.bytes);
            engine.cursors.close_session(&id.bytes);
        }
    }
    Ok(Document::new())
}
