//! `toolkit config explain`: what a name is, which line sets it, and what the containers get.

use super::super::super::{Session, error::CommandError, exit, instance};
use super::Names;
use crate::settings::explain::{Environments, Question};
use crate::ui;

/// Say what a setting or variable is, which line sets it and what the containers get
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit config explain OVERLEAF_SITE_URL\n  toolkit config explain SHARELATEX_SITE_URL   # names of older releases work\n  toolkit config explain OVERLEAF_PORT --format json"
)]
pub struct Args {
    /// Setting of overleaf.rc or variable of variables.env
    key: String,
}

/// Explains one name.
///
/// # Errors
/// There is no instance, its files cannot be read, or nothing knows the name.
pub fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let names = Names::load(session)?;
    let sources = super::sources(&names.root, &names.texts, &names.dotenv);
    let version = names.texts.version.trim().parse().ok();
    let made = instance::from_texts(session, &names.root, &names.texts);
    let environments = made.as_ref().ok().map(environments);
    let question = Question {
        sources: &sources,
        reference: &names.reference,
        configured: &names.configured,
        masker: &names.masker,
        version: version.as_ref(),
        environments: environments.as_ref(),
    };
    let mut found = question.about(&args.key);
    if found.is_empty() {
        return Err(super::unknown(&names.reference, &args.key));
    }
    if let Err(error) = &made {
        for one in &mut found {
            one.notes.push(format!(
                "what the containers get is not known, since the configuration cannot be used: {}",
                error.failure.message
            ));
        }
    }
    if session.ui.is_json() {
        let data: Vec<_> = found.iter().map(ui::config::explanation_data).collect();
        let data = serde_json::json!({ "key": args.key, "explanations": data });
        let warnings = made.map(|made| made.warnings).unwrap_or_default();
        session
            .ui
            .document("toolkit.config-explain/v1", &data, &warnings);
    } else {
        let style = session.ui.answer_style();
        let texts: Vec<String> = found
            .iter()
            .map(|one| ui::config::explanation(one, &names.root, style))
            .collect();
        session.ui.answer(&texts.join("\n"));
    }
    Ok(exit::DONE)
}

/// What each service of the deployment gets in its environment.
fn environments(made: &instance::Instance) -> Environments {
    let services = made.deployment.project.services.iter();
    services
        .map(|(name, service)| (name.clone(), service.environment.0.clone()))
        .collect()
}
