//! From an overleaf.rc that needs a shell to one of plain assignments. Somebody else runs the
//! [`script`] once; this module cuts the text into commands before, and afterwards writes what each
//! of them set in its place. Lines that are plain already stay as they are.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::masking::Shown;
use super::problem::{Problem, ProblemKind};
use super::shell_words;
use super::statements::{self, Grammar};

/// Program for bash that runs the script on its stdin and tells what the variables hold: before each
/// command and at the end. Descriptor 199 is the answer; what the script prints goes to stderr.
pub const PROGRAM: &str = r#"set -euo pipefail
exec 199>&1 1>&2
__toolkit_state() {
  { local -; set +x; } 2>/dev/null
  exec </dev/null
  local IFS=$'\n' __toolkit_name
  printf '\0%s\0' "$1" >&199
  for __toolkit_name in $(compgen -v); do
    printf '%s=%s\0' "$__toolkit_name" "${!__toolkit_name-}" >&199
  done
}
. /dev/stdin
__toolkit_state end
printf '\0done\0' >&199
"#;

/// What the output ends with once the script has run to its end.
pub const END: &[u8] = b"\0done\0";

/// Variables of bash itself, which are no settings.
const OF_BASH: [&str; 33] = [
    "COLUMNS",
    "COMP_WORDBREAKS",
    "COPROC",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "HOSTNAME",
    "HOSTTYPE",
    "IFS",
    "LINENO",
    "LINES",
    "MACHTYPE",
    "MAPFILE",
    "OLDPWD",
    "OPTARG",
    "OPTERR",
    "OPTIND",
    "OSTYPE",
    "PATH",
    "PIPESTATUS",
    "PPID",
    "PS4",
    "PWD",
    "RANDOM",
    "REPLY",
    "SECONDS",
    "SHLVL",
    "SRANDOM",
    "_",
];

/// A blank or comment line, or whole commands that stand on the same lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Bytes of the text.
    pub range: Range<usize>,
    /// First line, from 1.
    pub line: usize,
    /// Whether there is a command in it.
    pub is_command: bool,
}

/// The text as bash reads it: no byte order mark, and line feeds only.
#[must_use]
pub fn normal(text: &str) -> String {
    text.trim_start_matches('\u{feff}').replace("\r\n", "\n")
}

/// Cuts a [`normal`] text into units. `is_whole` tells whether a text is one or more whole commands.
///
/// # Errors
/// Those of `is_whole`.
pub fn units<E>(
    text: &str,
    is_whole: &mut dyn FnMut(&str) -> Result<bool, E>,
) -> Result<Vec<Unit>, E> {
    let mut units = Vec::new();
    let mut lines = text.split_inclusive('\n');
    let (mut start, mut line) = (0, 1);
    while let Some(first) = lines.next() {
        let mut end = start + first.len();
        let mut number = 1;
        let bare = first.trim_start();
        let is_command = !bare.is_empty() && !bare.starts_with('#');
        if is_command {
            loop {
                let unit = text.get(start..end).unwrap_or_default();
                let is_continued = unit.trim_end_matches('\n').ends_with('\\');
                if !is_continued && (is_plain(unit) || is_whole(unit)?) {
                    break;
                }
                let Some(next) = lines.next() else { break };
                end += next.len();
                number += 1;
            }
        }
        units.push(Unit {
            range: start..end,
            line,
            is_command,
        });
        start = end;
        line += number;
    }
    Ok(units)
}

/// Whether a text holds nothing but assignments, whatever they refer to.
fn is_plain(text: &str) -> bool {
    !needs_shell(text, &|_| Some(String::new()))
}

/// Whether a text cannot be read without a shell. `environment` answers references to names that no
/// earlier line sets.
#[must_use]
pub fn needs_shell(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> bool {
    let (_, problems) = shell_words::parse(text, Path::new(""), environment);
    problems.iter().any(is_error)
}

fn is_error(problem: &Problem) -> bool {
    problem.kind == ProblemKind::Error
}

/// The script for [`PROGRAM`]: the text with a call in front of each unit, on the same line, so that
/// the line numbers in messages of bash are those of the file.
#[must_use]
pub fn script(text: &str, units: &[Unit]) -> String {
    let parts = units.iter().enumerate().map(|(number, unit)| {
        let part = text.get(unit.range.clone()).unwrap_or_default();
        match unit.is_command {
            true => format!("__toolkit_state {number}; {part}"),
            false => part.to_owned(),
        }
    });
    parts.collect()
}

/// What the variables hold, by name.
type State = BTreeMap<String, String>;

/// What the output of [`PROGRAM`] tells.
pub struct States {
    /// In front of each command: number of its unit, and what the variables hold there.
    before: Vec<(usize, State)>,
    /// At the end, if the script came there.
    end: Option<State>,
}

impl States {
    /// Reads the output. Bytes that are not UTF-8 become a replacement character.
    #[must_use]
    pub fn read(output: &[u8]) -> Self {
        let mut states = Self {
            before: Vec::new(),
            end: None,
        };
        let text = String::from_utf8_lossy(output);
        let mut fields = text.split('\0').peekable();
        while let Some(field) = fields.next() {
            let Some(id) = fields.next_if(|_| field.is_empty()) else {
                continue;
            };
            let mut state = State::new();
            while let Some(field) = fields.next_if(|field| !field.is_empty()) {
                if let Some((name, value)) = field.split_once('=') {
                    state.insert(name.to_owned(), value.to_owned());
                }
            }
            match id.parse() {
                Ok(number) => states.before.push((number, state)),
                Err(_) if id == "end" => states.end = Some(state),
                Err(_) => {}
            }
        }
        states
    }

    /// Number of the unit that was reached last.
    #[must_use]
    pub fn last_unit(&self) -> Option<usize> {
        self.before.last().map(|(number, _)| *number)
    }

    /// Whether the script ran to its end.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.end.is_some()
    }

    /// What the script itself set, before the command of a unit, or at the end.
    fn own(&self, state: &State) -> State {
        let none = State::new();
        let first = self.before.first().map_or(&none, |(_, state)| state);
        let own = state
            .iter()
            .filter(|(name, value)| !is_of_bash(name) && first.get(*name) != Some(value));
        own.map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// What the script itself has set after a unit.
    fn after(&self, number: usize) -> State {
        let next = self.before.iter().find(|(other, _)| *other > number);
        let state = next.map(|(_, state)| state).or(self.end.as_ref());
        state.map(|state| self.own(state)).unwrap_or_default()
    }
}

fn is_of_bash(name: &str) -> bool {
    name.starts_with("BASH")
        || name.starts_with("__toolkit")
        || name == "SHELLOPTS"
        || OF_BASH.contains(&name)
}

/// A flat text, with both texts as they may be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Flattened {
    /// The new text.
    pub text: String,
    /// The old text without values that nobody should see.
    pub shown_before: String,
    /// The new text without values that nobody should see.
    pub shown_after: String,
    /// First lines of the commands that were replaced.
    pub replaced: Vec<usize>,
}

/// Writes what each command set in its place. `original` is the text of the file, whose byte order
/// mark and line ends are kept.
///
/// # Errors
/// The names whose value cannot be written so that it is read back the same.
pub fn flatten(original: &str, units: &[Unit], states: &States) -> Result<Flattened, Vec<String>> {
    let text = normal(original);
    let shown = Shown::load();
    let mut flat = Flattened {
        text: String::new(),
        shown_before: String::new(),
        shown_after: String::new(),
        replaced: Vec::new(),
    };
    let mut before = State::new();
    for (number, unit) in units.iter().enumerate() {
        let part = text.get(unit.range.clone()).unwrap_or_default();
        let after = match unit.is_command {
            true => states.after(number),
            false => before.clone(),
        };
        let candidate = format!("{}{part}", flat.text);
        if !unit.is_command || differing(&candidate, &after).is_empty() {
            let masked = shown.masked(part, Grammar::Shell);
            flat.shown_before.push_str(&masked);
            flat.shown_after.push_str(&masked);
            flat.text = candidate;
        } else {
            flat.replaced.push(unit.line);
            flat.replace(part, &before, &after, &shown);
        }
        before = after;
    }
    let wrong = differing(&flat.text, &before);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let end = if original.contains("\r\n") {
        "\r\n"
    } else {
        "\n"
    };
    let mark = if original.starts_with('\u{feff}') {
        "\u{feff}"
    } else {
        ""
    };
    flat.text = format!("{mark}{}", flat.text.replace('\n', end));
    Ok(flat)
}

impl Flattened {
    /// Puts a command into a comment and the assignments that it made below.
    fn replace(&mut self, part: &str, before: &State, after: &State, shown: &Shown) {
        let is_open = |name: &str| shown.holds(Grammar::Shell, name);
        let names: Vec<&str> = statements::assigned_names(part)
            .map(|(name, _)| name)
            .collect();
        let may_be_shown = !names.is_empty() && names.iter().all(|name| is_open(name));
        for line in part.lines() {
            let covered = match line.split_once('=') {
                _ if may_be_shown || line.trim().is_empty() => line.to_owned(),
                Some((head, _)) if statements::assigned_names(line).count() > 0 => {
                    format!("{head}=…")
                }
                _ => "…".to_owned(),
            };
            self.shown_before.push_str(&format!("{covered}\n"));
            self.text.push_str(&format!("# was: {line}\n"));
            self.shown_after.push_str(&format!("# was: {covered}\n"));
        }
        let gone = before.keys().filter(|name| !after.contains_key(*name));
        let gone = gone.map(|name| (name, String::new()));
        let changed = after
            .iter()
            .filter(|(name, value)| before.get(*name) != Some(value));
        let changed = changed.map(|(name, value)| (name, quoted(value)));
        let mut lines: Vec<(&String, String)> = gone.chain(changed).collect();
        // In the order in which the command names them, where it does.
        lines.sort_by_key(|(name, _)| part.find(name.as_str()).unwrap_or(usize::MAX));
        for (name, value) in lines {
            self.text.push_str(&format!("{name}={value}\n"));
            let value = if is_open(name) { &value } else { "…" };
            self.shown_after.push_str(&format!("{name}={value}\n"));
        }
    }
}

/// The names for which a plain text says something else than a state, and the text of each problem
/// that keeps it from being read. A name that was unset may be empty.
fn differing(text: &str, state: &State) -> Vec<String> {
    let (read, problems) = shell_words::parse(text, Path::new(""), &|_| None);
    let errors = problems.into_iter().filter(is_error);
    let mut wrong: Vec<String> = errors.map(|problem| problem.text).collect();
    for (name, assigned) in &read {
        let value = state.get(name).map_or("", String::as_str);
        if !is_of_bash(name) && value != assigned.value {
            wrong.push(name.clone());
        }
    }
    wrong.extend(
        state
            .keys()
            .filter(|name| !read.contains_key(*name))
            .cloned(),
    );
    wrong
}

/// A value as a plain assignment reads it back.
fn quoted(value: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_./:,@%+=".contains(c);
    if value.chars().all(is_safe) {
        return value.to_owned();
    }
    if !value.contains('\'') {
        return format!("'{value}'");
    }
    let mut out = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            out.push('\\');
        }
        out.push(c);
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Output of the program for states in front of units, and at the end.
    fn states(before: &[(usize, &[(&str, &str)])], end: &[(&str, &str)]) -> States {
        let mut output = String::new();
        let records = before
            .iter()
            .map(|(number, state)| (number.to_string(), *state));
        for (id, state) in records.chain([("end".to_owned(), end)]) {
            output.push_str(&format!("\0{id}\0PATH=/bin\0SHLVL=0\0"));
            for (name, value) in state {
                output.push_str(&format!("{name}={value}\0"));
            }
        }
        States::read((output + "\0done\0").as_bytes())
    }

    /// Stands in for bash, as far as these tests need one.
    fn cut(text: &str) -> Vec<Unit> {
        let mut is_whole = |unit: &str| -> Result<bool, ()> {
            let is_open = unit.matches('\'').count() % 2 == 1;
            Ok(!is_open && (!unit.starts_with("if") || unit.ends_with("fi\n")))
        };
        units(text, &mut is_whole).unwrap()
    }

    const FILE: &str = "# head\nA=1 # one\nB=$(date)\n\nif x; then\n  A=2\nfi\nC='a\nb' D=\\\n4\n";

    #[test]
    fn a_text_is_cut_into_whole_commands() {
        let lines: Vec<(usize, usize, bool)> = cut(FILE)
            .iter()
            .map(|unit| {
                (
                    unit.line,
                    FILE[unit.range.clone()].lines().count(),
                    unit.is_command,
                )
            })
            .collect();
        assert_eq!(
            lines,
            [
                (1, 1, false),
                (2, 1, true),
                (3, 1, true),
                (4, 1, false),
                (5, 3, true),
                (8, 3, true)
            ]
        );
        assert_eq!(
            script(FILE, &cut(FILE)).lines().nth(4),
            Some("__toolkit_state 4; if x; then")
        );
    }

    #[test]
    fn commands_become_what_they_set_and_plain_lines_stay() {
        let states = states(
            &[
                (1, &[]),
                (2, &[("A", "1")]),
                (4, &[("A", "1"), ("B", "it's $5 `x` \\")]),
                (5, &[("A", "2"), ("B", "it's $5 `x` \\")]),
            ],
            &[
                ("A", "2"),
                ("B", "it's $5 `x` \\"),
                ("C", "a\nb"),
                ("D", "4"),
                ("RANDOM", "7"),
            ],
        );
        let flat = flatten(
            &format!("\u{feff}{}", FILE.replace('\n', "\r\n")),
            &cut(FILE),
            &states,
        );
        let flat = flat.unwrap();
        let expected = "# head\nA=1 # one\n# was: B=$(date)\nB=\"it's \\$5 \\`x\\` \\\\\"\n\n# was: if x; then\n# was:   A=2\n# was: fi\nA=2\nC='a\nb' D=\\\n4\n";
        assert_eq!(
            flat.text,
            format!("\u{feff}{}", expected.replace('\n', "\r\n"))
        );
        assert_eq!(flat.replaced, [3, 5]);
    }

    #[test]
    fn values_of_unknown_names_and_secrets_are_not_shown() {
        let text = "MONGO_URL=mongodb://u:hunter2@$(hostname)/x\nif [ hunter2 ]; then\nfi\nOVERLEAF_PORT=$(echo 80)\n";
        let url = ("MONGO_URL", "mongodb://u:hunter2@h/x");
        let states = states(
            &[(0, &[]), (1, &[url]), (2, &[url])],
            &[url, ("OVERLEAF_PORT", "80")],
        );
        let flat = flatten(text, &cut(text), &states).unwrap();
        assert_eq!(
            flat.shown_after,
            "# was: MONGO_URL=…\nMONGO_URL=…\n# was: …\n# was: …\n# was: OVERLEAF_PORT=$(echo 80)\nOVERLEAF_PORT=80\n"
        );
        assert!(!flat.shown_before.contains("hunter2"));
        assert!(flat.text.contains("hunter2@h/x"));
    }

    /// A name that the shell has at the end and no line sets would be lost.
    #[test]
    fn a_result_that_reads_differently_is_refused() {
        let text = "A=1\n";
        let states = states(&[(0, &[])], &[("A", "1"), ("F", "x")]);
        let units = [Unit {
            range: 0..4,
            line: 1,
            is_command: false,
        }];
        assert_eq!(
            flatten(text, &units, &states).err(),
            Some(vec!["A".to_owned()])
        );
    }

    #[test]
    fn an_early_end_is_told_from_a_whole_run() {
        let states = States::read(b"\x000\0A=1\0\x003\0A=2\0");
        assert!(!states.is_whole());
        assert_eq!(states.last_unit(), Some(3));
    }
}
