//! `node FILE ARGUMENT…`: acts out the scripts of the application that are known, by the folder of their
//! service and their name.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "runs alone in a container, as a program of its own"
)]

use std::path::Path;
use std::process::ExitCode;

use super::complain;
use crate::servers::sharelatex::scripts;

const NAME: &str = "node";

/// Where the services of the application lie.
const SERVICES: &str = "/overleaf/services/";

/// Runs the script.
pub(super) fn run(arguments: &[String]) -> ExitCode {
    let Some((file, rest)) = arguments.split_first() else {
        complain(NAME, "usage: node FILE [ARGUMENT…]");
        return ExitCode::FAILURE;
    };
    let folder = std::env::current_dir().unwrap_or_default();
    let path = folder.join(file);
    let Some((service, script)) = named(&path) else {
        complain(
            NAME,
            &format!("{} is no script that is known", path.display()),
        );
        return ExitCode::FAILURE;
    };
    if !path.is_file() {
        complain(NAME, &format!("there is no {}", path.display()));
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        complain(NAME, "no runtime can be started");
        return ExitCode::FAILURE;
    };
    let environment = std::env::vars().collect();
    let ran = runtime.block_on(scripts::run(&service, &script, rest, &environment));
    runtime.shutdown_background();
    let Some(ran) = ran else {
        complain(NAME, &format!("{} is not acted out", path.display()));
        return ExitCode::FAILURE;
    };
    print!("{}", ran.out);
    eprint!("{}", ran.error);
    ExitCode::from(ran.exit_code)
}

/// The service that a script belongs to, and the rest of its path.
fn named(path: &Path) -> Option<(String, String)> {
    let text = path.to_str()?.strip_prefix(SERVICES)?;
    let (service, script) = text.split_once('/')?;
    Some((service.to_owned(), script.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_has_a_service() {
        let named = |text: &str| named(Path::new(text));
        assert_eq!(
            named("/overleaf/services/web/scripts/x.mjs"),
            Some(("web".to_owned(), "scripts/x.mjs".to_owned()))
        );
        assert_eq!(named("/tmp/x.mjs"), None);
    }
}
