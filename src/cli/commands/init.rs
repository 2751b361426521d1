//! `toolkit init`: writes the configuration of a new instance.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::super::{Session, error::CommandError, exit, instance};
use crate::host;
use crate::release::{Edition, Version};
use crate::seed::{self, Wishes};
use crate::settings;

/// Write the configuration of a new instance into config/
///
/// Writes config/overleaf.rc, config/variables.env and config/version with fresh secrets. Nothing
/// that exists is overwritten.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit init\n  toolkit init --edition pro --site-url https://tex.example.org --no-input\n  toolkit init --root /srv/overleaf --port 8080 --bundled"
)]
pub struct Args {
    /// Edition: ce, pro or cep [default: ce]
    #[arg(long, value_name = "EDITION")]
    edition: Option<Edition>,
    /// Overleaf release [default: the newest this program knows]
    #[arg(long, value_name = "RELEASE")]
    release: Option<Version>,
    /// Address of this machine that the site listens on [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<IpAddr>,
    /// Port that the site listens on [default: 80]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// URL under which people open the site
    #[arg(long, value_name = "URL", value_parser = site_url)]
    site_url: Option<String>,
    /// Compose project; other names than `overleaf` also name the containers [default: overleaf]
    #[arg(long, value_name = "NAME", value_parser = project_name)]
    project_name: Option<String>,
    /// Turn the git integration on (Server Pro and CEP)
    #[arg(long)]
    git_bridge: bool,
    /// Deploy the bundled servers instead of the Overleaf images
    #[arg(long)]
    bundled: bool,
}

impl Args {
    fn wishes(&self) -> Wishes {
        Wishes {
            edition: self.edition,
            release: self.release.clone(),
            listen: self.listen,
            port: self.port,
            site_url: self.site_url.clone(),
            project_name: self.project_name.clone(),
            git_bridge: self.git_bridge,
            bundled: self.bundled,
        }
    }
}

/// Writes the files that are not there.
///
/// # Errors
/// The instance exists and flags ask for something else, it has lost a file, or a file cannot be
/// written.
pub fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let root = new_root(session);
    let mut wishes = args.wishes();
    let exists = host::exists(&root.join(settings::RC_FILE));
    if exists && wishes != Wishes::default() {
        return Err(configured_already(&root));
    }
    instance::is_whole(&root)?;
    if !exists && !session.no_input && wishes == Wishes::default() {
        ask(&mut wishes)?;
    }
    let texts = seed::texts(&wishes)?;
    let written = if session.dry_run {
        let is_missing = |name: &&str| !host::exists(&root.join(name));
        texts
            .iter()
            .map(|(name, _)| *name)
            .filter(is_missing)
            .collect()
    } else {
        write(session, &root, &texts)?
    };
    if session.ui.is_json() {
        let key = if session.dry_run {
            "would_write"
        } else {
            "written"
        };
        let data = serde_json::json!({ "root": root, key: written });
        session.ui.document("toolkit.init/v1", &data, &[]);
    } else if session.dry_run {
        session.ui.answer(
            &written
                .iter()
                .map(|name| format!("write {name}\n"))
                .collect::<String>(),
        );
    } else if !written.is_empty() {
        let what = "look at config/overleaf.rc and config/variables.env, then run `toolkit up`";
        session.ui.say(&format!("next: {what}"));
    }
    Ok(exit::DONE)
}

/// Where a new instance goes: what `--root` says, or the current folder.
#[must_use]
pub fn new_root(session: &Session) -> PathBuf {
    let root = session
        .root
        .clone()
        .unwrap_or_else(|| session.current_folder.clone());
    host::canonical(&session.current_folder.join(root))
}

/// The refusal to configure an instance a second time.
#[must_use]
pub fn configured_already(root: &Path) -> CommandError {
    let file = root.join(settings::RC_FILE);
    CommandError::new(
        "INIT_EXISTS",
        exit::FAILED,
        "this instance is configured already",
    )
    .because(format!(
        "`{}` exists, and init never overwrites",
        file.display()
    ))
    .state("nothing was changed")
    .fix("change the values in that file, or start elsewhere with --root DIR")
}

/// Writes what is missing and says what it does with each file.
///
/// # Errors
/// A file cannot be written.
pub fn write(
    session: &Session,
    root: &Path,
    texts: &[(&'static str, String)],
) -> Result<Vec<&'static str>, CommandError> {
    let outcome = seed::write(root, texts)?;
    for (name, is_new) in &outcome {
        let what = if *is_new { "wrote" } else { "kept" };
        session.ui.say(&format!("{what} {name}"));
    }
    Ok(outcome
        .into_iter()
        .filter(|(_, is_new)| *is_new)
        .map(|(name, _)| name)
        .collect())
}

/// The name of a Compose project, as a flag takes it.
///
/// # Errors
/// It is not one.
pub fn project_name(text: &str) -> Result<String, String> {
    match settings::is_project_name(text) {
        true => Ok(text.to_owned()),
        false => Err("use lower-case letters, digits, `-` and `_`".to_owned()),
    }
}

/// The URL of a site.
fn site_url(text: &str) -> Result<String, String> {
    let is_web = text.starts_with("http://") || text.starts_with("https://");
    let is_plain = !text.contains(char::is_whitespace) && !text.contains(char::is_control);
    if is_web && is_plain {
        Ok(text.to_owned())
    } else {
        Err("write it as https://HOST".to_owned())
    }
}

/// Asks for what most people decide; Enter takes the default.
fn ask(wishes: &mut Wishes) -> Result<(), CommandError> {
    // A text and not a list: the list hides the cursor, and Ctrl-C would leave it hidden.
    let edition: String = dialoguer::Input::new()
        .with_prompt("Edition: ce (Community Edition), pro (Server Pro) or cep")
        .default("ce".to_owned())
        .validate_with(|text: &String| text.parse::<Edition>().map(|_| ()))
        .interact_text()
        .map_err(unanswered)?;
    wishes.edition = edition.parse().ok();
    let listen: IpAddr = dialoguer::Input::new()
        .with_prompt(
            "Address the site listens on (127.0.0.1: this machine only, 0.0.0.0: every network)",
        )
        .default(IpAddr::from([127, 0, 0, 1]))
        .interact_text()
        .map_err(unanswered)?;
    wishes.listen = Some(listen);
    let port: u16 = dialoguer::Input::new()
        .with_prompt("Port")
        .default(80)
        .interact_text()
        .map_err(unanswered)?;
    wishes.port = Some(port);
    Ok(())
}

fn unanswered(error: dialoguer::Error) -> CommandError {
    let dialoguer::Error::IO(cause) = error;
    if cause.kind() == ErrorKind::Interrupted {
        return CommandError::new("INTERRUPTED", 130, "stopped on request")
            .state("nothing was changed");
    }
    CommandError::new("NO_ANSWER", exit::USAGE, "a question was not answered")
        .because(cause.to_string())
        .state("nothing was changed")
        .fix("answer by flags: --edition, --listen, --port, or take the defaults with --no-input")
}
