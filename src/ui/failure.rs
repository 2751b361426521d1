//! A failure as it is shown: what, why, what stands, what next.

use std::fmt::Write;

use super::words::Style;
use crate::settings::problem::{Problem, ProblemKind};

/// A failure of a command.
#[derive(Debug, Clone, Default)]
pub struct Failure {
    /// Identifier for machines.
    pub id: String,
    /// Exit code of the process.
    pub exit_code: u8,
    /// What happened.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What stands.
    pub state: Option<String>,
    /// What to do next.
    pub fixes: Vec<Fix>,
    /// Problems in the operator's files, with the text of the line.
    pub problems: Vec<(Problem, Option<String>)>,
    /// The last lines of a log that belongs to it.
    pub log: Vec<String>,
}

/// What to do next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fix {
    /// In words.
    pub text: String,
    /// As a command, where there is one.
    pub command: Option<String>,
}

impl Fix {
    /// One in words.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            command: None,
        }
    }

    /// One as a command.
    #[must_use]
    pub fn command(command: impl Into<String>) -> Self {
        Self {
            text: String::new(),
            command: Some(command.into()),
        }
    }

    /// As it is shown.
    #[must_use]
    pub fn line(&self) -> String {
        match &self.command {
            Some(command) if self.text.is_empty() => command.clone(),
            Some(command) => format!("{}: {command}", self.text),
            None => self.text.clone(),
        }
    }
}

/// A failure as text.
#[must_use]
pub fn view(failure: &Failure, style: Style) -> String {
    let mut text = String::new();
    for (problem, line) in &failure.problems {
        text.push_str(&problem_view(problem, line.as_deref(), style));
    }
    if !failure.log.is_empty() {
        text.push_str(&style.dim("last lines of its log:\n"));
        for line in &failure.log {
            text.push_str(&format!("  {} {line}\n", style.dim("|")));
        }
    }
    let head = style.red(&format!("error[{}]:", failure.id));
    // Writing into a String cannot fail.
    let _ = writeln!(text, "{head} {}", failure.message);
    for cause in &failure.causes {
        let _ = writeln!(text, "  because: {cause}");
    }
    if let Some(state) = &failure.state {
        let _ = writeln!(text, "  state:   {state}");
    }
    for fix in &failure.fixes {
        let _ = writeln!(text, "  fix:     {}", fix.line());
    }
    text
}

/// One problem of a file: what, where, the line with a caret, what to write instead.
#[must_use]
pub fn problem_view(problem: &Problem, line: Option<&str>, style: Style) -> String {
    headed_view("", problem, line, style)
}

/// As [`problem_view`], with the rule that found it: `warning[aof-off]: …`.
#[must_use]
pub fn finding_view(rule: &str, problem: &Problem, line: Option<&str>, style: Style) -> String {
    headed_view(&format!("[{rule}]"), problem, line, style)
}

fn headed_view(mark: &str, problem: &Problem, line: Option<&str>, style: Style) -> String {
    let head = match problem.kind {
        ProblemKind::Error => style.red(&format!("error{mark}:")),
        ProblemKind::Warning => style.yellow(&format!("warning{mark}:")),
    };
    let mut text = format!("{head} {}\n", problem.text);
    if let Some(place) = &problem.place {
        text.push_str(&format!("  at:      {place}\n"));
        if let Some(line) = line {
            let number = place.line.to_string();
            let caret = " ".repeat(place.column.saturating_sub(1));
            let gap = " ".repeat(number.len());
            let bar = style.dim("|");
            text.push_str(&format!(
                "  {number} {bar} {line}\n  {gap} {bar} {caret}{}\n",
                style.red("^")
            ));
        }
    }
    if !problem.advice.is_empty() {
        text.push_str(&format!("  fix:     {}\n", problem.advice));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::problem::Place;

    #[test]
    fn a_failure_says_what_why_what_stands_and_what_next() {
        let failure = Failure {
            id: "PORT_TAKEN".to_owned(),
            message: "port 80 is taken".to_owned(),
            causes: vec!["process `nginx` (pid 1) holds it".to_owned()],
            state: Some("nothing was changed".to_owned()),
            fixes: vec![Fix::command("toolkit up")],
            ..Failure::default()
        };
        insta::assert_snapshot!(view(&failure, Style::default()), @r"
        error[PORT_TAKEN]: port 80 is taken
          because: process `nginx` (pid 1) holds it
          state:   nothing was changed
          fix:     toolkit up
        ");
    }

    #[test]
    fn a_problem_shows_its_line() {
        let problem = Problem {
            kind: ProblemKind::Error,
            place: Some(Place {
                file: "config/overleaf.rc".into(),
                line: 12,
                column: 3,
            }),
            text: "it is wrong".to_owned(),
            advice: "write it right".to_owned(),
        };
        insta::assert_snapshot!(problem_view(&problem, Some("A=$(id)"), Style::default()), @r"
        error: it is wrong
          at:      config/overleaf.rc:12:3
          12 | A=$(id)
             |   ^
          fix:     write it right
        ");
    }
}
