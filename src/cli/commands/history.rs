//! `toolkit history`: what was done to the instance.

use super::super::{Session, error::CommandError, exit, instance, state_folder};
use crate::history::{self, Record};
use crate::ui;

/// Show what was done to this instance, by whom and when
///
/// Every record holds the hash of the one before. A record that was changed or taken out ends the
/// command with exit code 12.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  toolkit history\n  toolkit history -n 5 --format json\n  toolkit history show 20260102T030405Z-1a2b3c\n  toolkit history --verify"
)]
pub struct Args {
    /// How many of the last operations are shown
    #[arg(short, value_name = "N", default_value = "20")]
    number: usize,
    /// Only tell whether the records are what they were when they were written
    #[arg(long)]
    verify: bool,
    #[command(subcommand)]
    command: Option<HistoryCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum HistoryCommand {
    /// Show one operation with its steps and the changes of the configuration
    #[command(after_help = "Examples:\n  toolkit history show 20260102T030405Z-1a2b3c")]
    Show {
        /// Its identifier, or the beginning of it
        id: String,
    },
}

/// Shows the records.
///
/// # Errors
/// The history is broken, or no record has the identifier.
pub fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let root = instance::root(session)?;
    let records = history::read(&state_folder(&root))?;
    if let Some(HistoryCommand::Show { id }) = &args.command {
        let record = find(&records, id)?;
        answer(session, &ui::history::value(record), || {
            ui::history::view(record, session.ui.answer_style())
        });
        return Ok(exit::DONE);
    }
    if args.verify {
        let data = serde_json::json!({ "records": records.len() });
        answer(session, &data, || {
            format!("ok: {}\n", ui::words::count(records.len(), "record"))
        });
        return Ok(exit::DONE);
    }
    let skipped = records.len().saturating_sub(args.number);
    let shown = records.get(skipped..).unwrap_or_default();
    let data = serde_json::json!({
        "operations": shown.iter().map(ui::history::value).collect::<Vec<_>>(),
    });
    answer(session, &data, || {
        ui::history::table(shown, super::super::now().offset())
    });
    Ok(exit::DONE)
}

fn answer(session: &Session, data: &serde_json::Value, text: impl FnOnce() -> String) {
    if session.ui.is_json() {
        session.ui.document("toolkit.history/v1", data, &[]);
    } else {
        session.ui.answer(&text());
    }
}

/// The one record whose identifier begins so.
fn find<'a>(records: &'a [Record], id: &str) -> Result<&'a Record, CommandError> {
    let mut found = records.iter().filter(|record| record.id.starts_with(id));
    match (found.next(), found.next()) {
        (Some(record), None) => Ok(record),
        (first, _) => {
            let message = match first {
                Some(_) => format!("several operations begin with `{id}`"),
                None => format!("there is no operation `{id}`"),
            };
            let error = CommandError::new("UNKNOWN_OPERATION", exit::USAGE, message);
            Err(error
                .state("nothing was changed")
                .command("toolkit history"))
        }
    }
}
