//! Reading variables.env never panics, whatever stands in it.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use toolkit::settings::env_file;

fuzz_target!(|text: &str| {
    let environment = |name: &str| (name == "X").then(|| "x$X".to_owned());
    let _ = env_file::parse(text, Path::new("variables.env"), &environment);
});
