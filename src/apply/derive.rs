//! Makes the image with TeX Live packages: finds the year of the TeX Live in the image it is made of,
//! and has the packages of that year installed.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::{StepError, Work};
use crate::engine::Derivation;
use crate::engine::Engine;
use crate::engine::EngineError;
use crate::event::Event;
use crate::host;
use crate::labels;
use crate::texlive;

/// Lines of a build that failed which are shown.
const LAST_LINES: usize = 5;

/// Makes the image.
pub(super) async fn image<E: Engine>(
    work: &Work<'_, E>,
    service: &str,
    reference: &str,
) -> Result<(), StepError> {
    let derived = work.deployment.texlive.as_ref();
    let derived = derived.filter(|derived| derived.reference == reference);
    let derived = derived.ok_or_else(|| StepError::Foreign(reference.to_owned()))?;
    let today = host::now().date();
    let now = (today.year(), u8::from(today.month()));
    let paths = texlive::installations(now.0)?;
    let found = work.engine.paths_in_image(&derived.base, &paths).await?;
    let year = texlive::year(&derived.base, &found)?;
    let derivation = Derivation {
        reference: reference.to_owned(),
        base: derived.base.clone(),
        labels: [(labels::TEXLIVE.to_owned(), derived.packages.join(" "))].into(),
        programs: derived.programs(year, now)?,
        // Of an attempt that failed, `tlmgr` may be taken over that is too old for the repository by
        // now. One that succeeded is only made again because its base may have changed.
        uses_cache: work.engine.image(reference).await?.is_some(),
    };
    let begun = Instant::now();
    let last = Mutex::new(VecDeque::new());
    let said = |line: &str| {
        let line = plain(line);
        if line.is_empty() {
            return;
        }
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(line.clone());
        (work.reporter)(Event::Waiting {
            service: service.to_owned(),
            what: format!("packages of TeX Live {year} are being installed"),
            elapsed: begun.elapsed(),
            last_log_line: Some(line),
        });
    };
    let built = work.engine.derive_image(&derivation, &said);
    let outcome = work.until_asked(built).await;
    let Err(StepError::Engine(EngineError::Refused { message, .. })) = outcome else {
        return outcome;
    };
    let said = last.into_inner().unwrap_or_else(PoisonError::into_inner);
    Err(StepError::Build {
        reference: reference.to_owned(),
        message,
        said: said.into(),
    })
}

/// A line without the colours in which an engine shows what a program wrote to its standard error.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        text.push_str(before);
        rest = after.split_once('m').map_or("", |(_, tail)| tail);
    }
    text.push_str(rest);
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_line_has_no_colours() {
        for (line, expected) in [
            ("\u{1b}[91mtlmgr: no\u{1b}[0m", "tlmgr: no"),
            ("Step 1/4 : FROM a", "Step 1/4 : FROM a"),
            ("\u{1b}[0m", ""),
            ("cut \u{1b}[9", "cut"),
        ] {
            assert_eq!(plain(line), expected);
        }
    }
}
