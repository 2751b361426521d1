//! Facts reported while work goes on. The core emits them; `ui` draws them.

use std::time::Duration;

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Work begins.
    Started {
        /// How many steps the plan has.
        steps: usize,
    },
    /// A step begins. Several may go on at once.
    StepStarted {
        /// Position in the plan, from 1.
        number: usize,
        /// How many steps the plan has.
        steps: usize,
        /// What the step does.
        title: String,
        /// Why it is needed.
        cause: String,
        /// The service it belongs to, if it belongs to one.
        service: Option<String>,
    },
    /// A step is done.
    StepFinished {
        /// Position in the plan, from 1.
        number: usize,
        /// How many steps the plan has.
        steps: usize,
        /// What the step does.
        title: String,
        /// How long it took.
        elapsed: Duration,
        /// The service it belongs to, if it belongs to one.
        service: Option<String>,
    },
    /// Bytes of a transfer.
    Transfer {
        /// Position of its step in the plan, from 1.
        number: usize,
        /// What is transferred.
        what: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all, where known.
        total: Option<u64>,
    },
    /// A service is being waited for.
    Waiting {
        /// The service.
        service: String,
        /// What is waited for.
        what: String,
        /// For how long already.
        elapsed: Duration,
        /// The last line of its log, if it has one.
        last_log_line: Option<String>,
    },
    /// A service answers its probe.
    Ready {
        /// The service.
        service: String,
        /// How long it took.
        elapsed: Duration,
    },
    /// Something the operator should know, without harm yet.
    Warning {
        /// What.
        text: String,
    },
    /// Something the operator may want to know.
    Note {
        /// What.
        text: String,
    },
}

/// Where events go.
pub type Reporter<'a> = &'a (dyn Fn(Event) + Sync);
