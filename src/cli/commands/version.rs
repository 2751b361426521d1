//! `toolkit version`: what this program is and what it knows.

use serde_json::json;

use super::super::{Session, error::CommandError, exit};
use crate::bundled;
use crate::labels;
use crate::release::{Catalogue, Release};

/// The commit that the program was built from, where whoever built it said so.
const COMMIT: Option<&str> = option_env!("TOOLKIT_COMMIT");

/// Show the version of this program and which releases it knows
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit version\n  toolkit version --format json | jq -r .data.releases[]\n  toolkit --version                # one line"
)]
pub struct Args {}

/// Shows the version.
///
/// # Errors
/// The shipped catalogue of releases does not hold together.
pub fn run(_args: &Args, session: &Session) -> Result<u8, CommandError> {
    let catalogue = Catalogue::load().map_err(anyhow::Error::new)?;
    let named = |is_wanted: &dyn Fn(&Release) -> bool| -> Vec<String> {
        let found = catalogue.releases().iter().filter(|one| is_wanted(one));
        found.map(|release| release.version.to_string()).collect()
    };
    let releases = named(&|_| true);
    let withdrawn = named(&|release| release.retracted.is_some());
    let (version, architecture) = (env!("CARGO_PKG_VERSION"), bundled::architecture());
    if session.ui.is_json() {
        let data = json!({
            "version": version,
            "build": bundled::TAG,
            "commit": COMMIT,
            "architecture": architecture,
            "releases": releases,
            "withdrawn": withdrawn,
            "compose": labels::COMPOSE,
        });
        session.ui.document("toolkit.version/v1", &data, &[]);
        return Ok(exit::DONE);
    }
    let versions = || catalogue.releases().iter().map(|release| &release.version);
    let ends = versions().min().zip(versions().max());
    let ends = ends.map_or_else(String::new, |(oldest, newest)| {
        format!(", {oldest} to {newest}")
    });
    let commit = COMMIT.map_or_else(String::new, |commit| format!("commit        {commit}\n"));
    session.ui.answer(&format!(
        "toolkit       {version}\nbuild         {}\n{commit}architecture  {architecture}\nreleases      {} of Overleaf{ends}\ndefinitions   as Docker Compose {} reads them\n",
        bundled::TAG,
        releases.len(),
        labels::COMPOSE,
    ));
    Ok(exit::DONE)
}
