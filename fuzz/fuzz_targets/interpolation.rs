//! Expanding a text never panics, and a text without `$` stays as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toolkit::interpolation;

fuzz_target!(|text: &str| {
    let look_up = |name: &str| (name.len() % 2 == 0).then(|| name.to_owned());
    if let Ok(expanded) = interpolation::expand(text, &look_up)
        && !text.contains('$')
    {
        assert_eq!(expanded.text, text);
    }
});
