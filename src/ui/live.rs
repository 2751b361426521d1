//! Events as a live display on a terminal: the running steps, with the byte rate of a transfer, every
//! service that is waited for with the last line of its log, and a line for all that is done.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::words::{self, Style};
use crate::event::Event;

/// Time between two pictures of a spinner.
const TICK: Duration = Duration::from_millis(100);

/// The display.
#[derive(Debug)]
pub struct Live {
    bars: MultiProgress,
    steps: BTreeMap<usize, ProgressBar>,
    waits: BTreeMap<String, ProgressBar>,
    style: Style,
}

impl Live {
    /// Starts with an empty display.
    #[must_use]
    pub fn new(style: Style) -> Self {
        Self {
            bars: MultiProgress::new(),
            steps: BTreeMap::new(),
            waits: BTreeMap::new(),
            style,
        }
    }

    fn spinner(&self, text: &str) -> ProgressBar {
        let pictures = if self.style.unicode {
            "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "
        } else {
            "|/-\\ "
        };
        let bar = self.bars.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style.tick_chars(pictures));
        }
        bar.set_message(text.to_owned());
        bar.enable_steady_tick(TICK);
        bar
    }

    fn line(&self, text: &str) {
        // A terminal that has gone away is told nothing.
        let _ = self.bars.println(text);
    }

    /// Shows one event.
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::Started { .. } => {}
            Event::StepStarted {
                number,
                steps,
                title,
                cause,
                ..
            } => {
                let because = self.style.dim(cause);
                let bar = self.spinner(&format!("[{number}/{steps}] {title}  {because}"));
                self.steps.insert(*number, bar);
            }
            Event::StepFinished {
                number,
                title,
                elapsed,
                service,
                ..
            } => {
                if let Some(step) = self.steps.remove(number) {
                    step.finish_and_clear();
                }
                let wait = service.as_ref().and_then(|name| self.waits.remove(name));
                if let Some(wait) = wait {
                    wait.finish_and_clear();
                }
                let time = self.style.dim(&words::duration(*elapsed));
                self.line(&format!("{} {title}  {time}", self.style.done()));
            }
            Event::Transfer {
                number,
                what,
                done,
                total,
            } => {
                if let Some(step) = self.steps.get(number) {
                    let of = total.map(|total| format!(" of {}", words::size(total)));
                    let seconds = step.elapsed().as_secs().max(1);
                    step.set_message(format!(
                        "pull image `{what}`  {}{}  {}/s",
                        words::size(*done),
                        of.unwrap_or_default(),
                        words::size(done / seconds)
                    ));
                }
            }
            Event::Waiting {
                service,
                what,
                elapsed,
                last_log_line,
            } => {
                let log = last_log_line.as_deref().unwrap_or_default();
                let text = format!(
                    "`{service}` {}  {what}  {}",
                    words::duration(*elapsed),
                    self.style.dim(log)
                );
                match self.waits.get(service) {
                    Some(bar) => bar.set_message(text),
                    None => {
                        let bar = self.spinner(&text);
                        self.waits.insert(service.clone(), bar);
                    }
                }
            }
            Event::Ready { service, elapsed } => {
                if let Some(bar) = self.waits.remove(service) {
                    bar.finish_and_clear();
                }
                let time = self.style.dim(&words::duration(*elapsed));
                self.line(&format!(
                    "{} `{service}` is ready  {time}",
                    self.style.done()
                ));
            }
            Event::Warning { text } => {
                self.line(&format!("{} {text}", self.style.yellow("warning:")));
            }
            Event::Note { text } => self.line(&self.style.dim(text)),
        }
    }

    /// Clears what moves; what is done stays.
    pub fn finish(&mut self) {
        for step in std::mem::take(&mut self.steps).into_values() {
            step.finish_and_clear();
        }
        for wait in std::mem::take(&mut self.waits).into_values() {
            wait.finish_and_clear();
        }
    }
}
