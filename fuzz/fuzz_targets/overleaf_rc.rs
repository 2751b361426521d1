//! Reading overleaf.rc never panics, whatever stands in it.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use toolkit::settings::shell_words;

fuzz_target!(|text: &str| {
    let environment = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
    let _ = shell_words::parse(text, Path::new("overleaf.rc"), &environment);
});
