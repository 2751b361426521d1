//! `toolkit config flatten`: from an overleaf.rc that needs a shell to one of plain assignments.

use std::path::Path;
use std::time::Duration;

use super::super::super::{
    Session, environment, error::CommandError, exit, files, instance, question,
};
use crate::host;
use crate::host::bash;
use crate::settings;
use crate::settings::flatten::{self, Flattened, States, Unit};
use crate::ui::{diff, words};

/// How long the file may run. Files of assignments take milliseconds.
const DEADLINE: Duration = Duration::from_secs(10);

/// Run config/overleaf.rc once with bash and write the plain values back
///
/// For a file that needs a shell, such as one with `$(…)` or `if`. This is the only command that
/// runs the file, with --dry-run as well: in an empty environment, in the instance's root folder,
/// for at most 10 s. Plain lines stay as they are; what needs a shell becomes a comment with the
/// values below it. Shows the changes first and keeps the old text as config/overleaf.rc.bak.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit config flatten --dry-run\n  toolkit config flatten --yes"
)]
pub struct Args {}

/// Evaluates and rewrites overleaf.rc.
///
/// # Errors
/// bash is missing or the file fails in it, the values cannot be written plainly, the operator
/// declines, or the file cannot be written.
pub async fn run(session: &Session) -> Result<u8, CommandError> {
    let root = instance::root(session)?;
    let _lock = instance::lock_unless_dry(session, &root, "config flatten").await?;
    let before = files::read_all(&root)?.rc;
    let file = root.join(settings::RC_FILE);
    if !flatten::needs_shell(&before, &environment) {
        conclude(session, &root, None, false);
        return Ok(exit::DONE);
    }
    session.ui.say(&format!(
        "running {} once with bash, in an empty environment",
        settings::RC_FILE
    ));
    let text = flatten::normal(&before);
    let units = flatten::units(&text, &mut bash::is_whole)?;
    let states = evaluate(&root, &text, &units).await?;
    let flat = flatten::flatten(&before, &units, &states).map_err(|names| {
        let error = CommandError::new(
            "FLATTEN_DIFFERS",
            exit::FAILED,
            "the values cannot be written as plain lines that read back the same",
        );
        let names = words::list(&names);
        error
            .because(format!("this differs: {names}"))
            .state("nothing was changed by the toolkit")
            .fix("write these lines by hand as `NAME=value`")
    })?;
    let changes = diff::unified(settings::RC_FILE, &flat.shown_before, &flat.shown_after);
    if !session.ui.is_json() {
        let style = session.ui.answer_style();
        session.ui.answer(&diff::styled(&changes, style));
    }
    if session.dry_run {
        conclude(session, &root, Some((&flat, &changes)), false);
        return Ok(exit::DONE);
    }
    question::confirm(session, "Write these changes?").await?;
    if files::read_all(&root)?.rc != before {
        return Err(super::changed_meanwhile());
    }
    host::replace(&file, &flat.text)?;
    conclude(session, &root, Some((&flat, &changes)), true);
    Ok(exit::DONE)
}

/// Runs the file with bash; an end before its last line is an error that names the line.
async fn evaluate(root: &Path, text: &str, units: &[Unit]) -> Result<States, CommandError> {
    let script = flatten::script(text, units);
    let folder = root.display().to_string();
    // The upstream toolkit sets this one before it reads the file.
    let environment = [("TOOLKIT_ROOT", folder.as_str())];
    let ended = bash::run(
        flatten::PROGRAM,
        &script,
        &environment,
        root,
        flatten::END,
        DEADLINE,
    );
    let ended = ended.await?;
    let states = States::read(&ended.output);
    if states.is_whole() {
        return Ok(states);
    }
    let unit = states.last_unit().and_then(|number| units.get(number));
    let place = match unit {
        Some(unit) => format!("{}:{}", settings::RC_FILE, unit.line),
        None => settings::RC_FILE.to_owned(),
    };
    let code = match ended.exit_code {
        Some(code) => format!("exit code {code}"),
        None => "a signal".to_owned(),
    };
    let message = format!("bash stopped at `{place}` with {code}");
    Err(CommandError::new("FLATTEN_FAILED", exit::FAILED, message)
        .because("its own message stands above; names that only your shell sets are not set here")
        .state("nothing was changed by the toolkit")
        .fix("mend the line, or write the value itself"))
}

/// Says how it ended; `found` is the result with its diff, `None` when nothing was to do.
fn conclude(session: &Session, root: &Path, found: Option<(&Flattened, &str)>, is_written: bool) {
    let file = settings::RC_FILE;
    if session.ui.is_json() {
        let backup = is_written.then(|| format!("{file}.bak"));
        let data = serde_json::json!({
            "root": root,
            "written": is_written,
            "file": file,
            "backup": backup,
            "replaced_lines": found.map(|(flat, _)| flat.replaced.as_slice()).unwrap_or_default(),
            "diff": found.map(|(_, changes)| changes).unwrap_or_default(),
        });
        session.ui.document("toolkit.flatten/v1", &data, &[]);
        return;
    }
    let text = match found {
        None => format!("nothing to do: {file} needs no shell"),
        Some(_) if is_written => format!("wrote {file} (the old text is {file}.bak)"),
        Some(_) => "nothing was written".to_owned(),
    };
    session.ui.say(&text);
}
