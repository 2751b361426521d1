//! Streams, colour and progress. stdout is the answer, stderr is the talk; what is shown where is
//! decided here once. Views are functions from a value to text. Knows types only: no engine, no
//! host.

pub mod config;
pub mod containers;
pub mod diff;
pub mod doctor;
pub mod drift;
pub mod failure;
pub mod flush;
pub mod history;
pub mod images;
pub mod json;
pub mod live;
pub mod logs;
pub mod mail;
pub mod metrics;
pub mod people;
pub mod plain;
pub mod plan;
pub mod reference;
pub mod report;
pub mod scripts;
pub mod site;
pub mod status;
pub mod texlive;
pub mod window;
pub mod words;

use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::Mutex;

use serde_json::Value;

use crate::event::Event;
use crate::settings::problem::Problem;
use failure::Failure;

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document, or one event per line for long operations.
    Json,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// Live on a terminal, plain elsewhere.
    #[default]
    Auto,
    /// Live.
    Tty,
    /// One line per change.
    Plain,
    /// Not at all.
    None,
}

/// When colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Tells the time of an event.
pub type Clock = fn() -> time::OffsetDateTime;

/// What the user interface is told once, at the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manners {
    /// How answers are written.
    pub format: Format,
    /// How progress is shown.
    pub progress: Progress,
    /// When colour is used.
    pub color: Color,
    /// Whether `NO_COLOR` is set.
    pub no_color: bool,
    /// Whether the terminal shows more than ASCII.
    pub unicode: bool,
    /// No talk but warnings and errors.
    pub quiet: bool,
    /// How much talk beyond the usual.
    pub verbosity: u8,
}

/// Writes to stderr. A reader that has gone away must not end the work half-way.
fn talk(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// The user interface.
#[derive(Debug, Clone)]
pub struct Ui {
    manners: Manners,
    style: words::Style,
}

impl Ui {
    /// Decides, once, what is shown where.
    #[must_use]
    pub fn new(manners: Manners) -> Self {
        let color = match manners.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => !manners.no_color && std::io::stderr().is_terminal(),
        };
        Self {
            manners,
            style: words::Style {
                color,
                unicode: manners.unicode,
            },
        }
    }

    /// Whether answers are JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.manners.format == Format::Json
    }

    /// Colours and symbols for text on stderr.
    #[must_use]
    pub fn style(&self) -> words::Style {
        self.style
    }

    /// Colours and symbols for text on stdout.
    #[must_use]
    pub fn answer_style(&self) -> words::Style {
        let color = match self.manners.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => !self.manners.no_color && std::io::stdout().is_terminal(),
        };
        words::Style {
            color,
            ..self.style
        }
    }

    /// Writes an answer to stdout. A reader that has gone away is no failure.
    pub fn answer(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        // `toolkit … | head` closes the pipe; there is nobody left to tell.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Writes an answer that takes the place of the one before: on a terminal in place, as far as a
    /// window of so many lines and columns goes, elsewhere below it. JSON stays one document per line.
    pub fn redraw(&self, text: &str, window: Option<(u16, u16)>) {
        if self.is_json() {
            self.answer(text);
        } else if std::io::stdout().is_terminal() {
            self.answer(&window::in_place(text, window));
        } else {
            self.answer(&format!("{text}\n"));
        }
    }

    /// As [`Ui::redraw`], with a failure in place of the answer.
    pub fn redraw_failure(&self, failure: &Failure, window: Option<(u16, u16)>) {
        if self.is_json() {
            self.answer(&json::failure(failure));
        } else {
            self.redraw(&failure::view(failure, self.answer_style()), window);
        }
    }

    /// Standard output itself, for answers that are larger than memory.
    ///
    /// # Errors
    /// There is none.
    pub fn output(&self) -> std::io::Result<std::fs::File> {
        let output = std::io::stdout().as_fd().try_clone_to_owned()?;
        Ok(std::fs::File::from(output))
    }

    /// How much talk beyond the usual is wanted.
    #[must_use]
    pub fn verbosity(&self) -> u8 {
        self.manners.verbosity
    }

    /// Writes one JSON document as the answer.
    pub fn document(&self, schema: &str, data: &Value, warnings: &[String]) {
        self.answer(&json::document(schema, data, warnings));
    }

    /// Says something on stderr, unless told to be quiet.
    pub fn say(&self, text: &str) {
        if !self.manners.quiet {
            talk(&format!("{text}\n"));
        }
    }

    /// Warns on stderr.
    pub fn warn(&self, text: &str) {
        talk(&format!("{} {text}\n", self.style.yellow("warning:")));
    }

    /// Shows a problem of the operator's files on stderr. Answers in JSON carry it themselves.
    pub fn problem(&self, problem: &Problem, line: Option<&str>) {
        if !self.is_json() {
            talk(&failure::problem_view(problem, line, self.style));
        }
    }

    /// Shows a failure: as text on stderr, or as a document on stdout.
    pub fn fail(&self, failure: &Failure) {
        if self.is_json() {
            self.answer(&json::failure(failure));
        } else {
            talk(&failure::view(failure, self.style));
        }
    }

    /// Starts to show the events of an operation.
    #[must_use]
    pub fn watch(&self, operation: &str, now: Clock) -> Watch {
        let shown = if self.is_json() {
            Shown::Json(Mutex::new(json::EventLines::new(operation, now)))
        } else {
            let is_live = match self.manners.progress {
                Progress::Auto => std::io::stderr().is_terminal(),
                Progress::Tty => true,
                Progress::Plain | Progress::None => false,
            };
            match self.manners.progress {
                Progress::None => Shown::Nothing,
                _ if self.manners.quiet => Shown::Nothing,
                _ if is_live => Shown::Live(Mutex::new(live::Live::new(self.style))),
                _ => Shown::Plain(Mutex::new(plain::Plain::new(now))),
            }
        };
        Watch {
            shown,
            style: self.style,
            verbosity: self.manners.verbosity,
        }
    }
}

/// Shows the events of one operation.
#[derive(Debug)]
pub struct Watch {
    shown: Shown,
    style: words::Style,
    verbosity: u8,
}

#[derive(Debug)]
enum Shown {
    Live(Mutex<live::Live>),
    Plain(Mutex<plain::Plain>),
    Json(Mutex<json::EventLines>),
    Nothing,
}

impl Watch {
    /// Shows one event.
    pub fn show(&self, event: &Event) {
        let with_causes = self.verbosity > 0;
        match &self.shown {
            Shown::Live(live) => {
                if let Ok(mut live) = live.lock() {
                    live.show(event);
                }
            }
            Shown::Plain(plain) => {
                if let Ok(mut plain) = plain.lock()
                    && let Some(line) = plain.line(event, with_causes)
                {
                    talk(&format!("{line}\n"));
                }
            }
            Shown::Json(lines) => {
                if let Ok(mut lines) = lines.lock() {
                    // As with every answer, a reader that has gone away is no failure.
                    let _ = std::io::stdout().write_all(lines.line(event).as_bytes());
                }
            }
            Shown::Nothing => {
                if let Event::Warning { text } = event {
                    talk(&format!("{} {text}\n", self.style.yellow("warning:")));
                }
            }
        }
    }

    /// Ends the display and leaves the terminal as it was.
    pub fn finish(&self) {
        if let Shown::Live(live) = &self.shown
            && let Ok(mut live) = live.lock()
        {
            live.finish();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.finish();
    }
}
