//! The stop, in the order of the real pre-shutdown scripts: close the site, let requests finish,
//! move every document to MongoDB, and look whether any is left.
//!
//! It differs from the real scripts in two ways. It waits for nothing but requests that are under
//! way, where the real ones let about 20 s pass for editors to leave. And a document that stays in
//! Redis fails the stop, where the real flush reports success.

use std::time::Duration;

use serde_json::json;

use super::documents::DocumentError;
use super::documents::Flush;
use super::logs::Service;
use super::site::Site;
use super::site_status::SiteStatusError;
use crate::servers::container_log::ContainerLog;

/// How long requests that are under way may take.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

/// How many of the remaining keys the message names.
const NAMED_KEYS: usize = 5;

/// A step of the stop that failed; later steps are skipped, as in the real container.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShutdownError {
    /// The site could not be closed.
    #[error(transparent)]
    Close(#[from] SiteStatusError),
    /// The flush could not be done at all.
    #[error("cannot flush documents from Redis")]
    Flush(#[source] DocumentError),
    /// Documents stayed in Redis.
    #[error("{count} keys of documents are still in Redis: {}", .first.join(", "))]
    Remaining {
        /// How many.
        count: usize,
        /// The first few.
        first: Vec<String>,
    },
    /// Documents failed, although their keys are gone.
    #[error("{count} documents were not flushed")]
    Failed {
        /// How many.
        count: usize,
    },
}

/// Runs all steps.
pub(super) async fn stop(site: &Site, log: &ContainerLog) -> Result<(), ShutdownError> {
    running(log, "00_close_site");
    site.begin_stop();
    site.status().close()?;
    log.line("closed the site");
    if tokio::time::timeout(REQUEST_DEADLINE, site.requests_done())
        .await
        .is_err()
    {
        log.line("requests are still under way, going on without them");
    }

    running(log, "01_flush_document_updater");
    site.documents().stop_changes().await;
    let flush = site
        .documents()
        .flush_all()
        .await
        .map_err(ShutdownError::Flush)?;
    let Flush {
        flushed,
        total,
        failures,
    } = &flush;
    log.line(format_args!("flushed {flushed} of {total} documents"));
    report(site, &flush);
    let remaining = site
        .documents()
        .remaining_keys()
        .await
        .map_err(ShutdownError::Flush)?;
    if !remaining.is_empty() {
        return Err(ShutdownError::Remaining {
            count: remaining.len(),
            first: remaining.into_iter().take(NAMED_KEYS).collect(),
        });
    }
    if !failures.is_empty() {
        return Err(ShutdownError::Failed {
            count: failures.len(),
        });
    }

    running(log, "02_flush_project_history");
    log.line("nothing is queued for the project history");
    Ok(())
}

fn running(log: &ContainerLog, script: &str) {
    log.line(format_args!(
        "*** Running /etc/my_init.pre_shutdown.d/{script}..."
    ));
}

/// Writes the outcome of a flush into the log of document-updater.
pub(super) fn report(site: &Site, flush: &Flush) {
    for (document, error) in &flush.failures {
        site.logs().error(
            Service::DocumentUpdater,
            "failed to flush document",
            error,
            json!({ "docId": document }),
        );
    }
    site.logs().info(
        Service::DocumentUpdater,
        "flushed documents",
        json!({
            "successCount": flush.flushed,
            "failureCount": flush.failures.len(),
            "totalCount": flush.total,
        }),
    );
}
