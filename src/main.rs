//! The program: hands the command line to the library and gives back its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    // In the images of the bundled servers, other programs are links to this one.
    let mut arguments = std::env::args();
    let called = arguments.next().unwrap_or_default();
    if let Some(tool) = toolkit::servers::tools::named(&called) {
        return tool(&arguments.collect::<Vec<String>>());
    }
    toolkit::cli::main()
}
