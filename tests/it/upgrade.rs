//! `toolkit upgrade`: what it refuses before it asks the engine for anything.

use super::sandbox::Sandbox;

fn at(version: &str) -> Sandbox {
    let sandbox =
        Sandbox::initialised(&[]).environment("DOCKER_HOST", "unix:///nonexistent/engine");
    sandbox.write("config/version", &format!("{version}\n"));
    sandbox
}

/// Runs it where no engine answers.
fn refused(sandbox: &Sandbox, arguments: &[&str], code: i32) -> String {
    let before = sandbox.read("config/version");
    let mut all = vec!["upgrade"];
    all.extend(arguments);
    let ran = sandbox.run(&all).ended_with(code);
    assert_eq!(sandbox.read("config/version"), before);
    ran.stderr
}

#[test]
fn a_way_that_halts_in_between_is_refused_with_the_next_step() {
    let text = refused(&at("5.4.1"), &["--to", "6.2.2"], 14);
    assert!(text.contains("error[UPGRADE_STOP]"), "{text}");
    assert!(text.contains("toolkit upgrade --to 5.5.8"), "{text}");
    assert!(text.contains("nothing was changed"), "{text}");
}

#[test]
fn the_way_back_and_withdrawn_releases_are_refused() {
    let text = refused(&at("6.2.2"), &["--to", "6.1.0"], 14);
    assert!(text.contains("error[UPGRADE_BACKWARDS]"), "{text}");
    let text = refused(&at("5.0.3"), &["--to", "5.0.2"], 14);
    assert!(text.contains("error[UPGRADE_BACKWARDS]"), "{text}");
    let text = refused(&at("5.0.0"), &["--to", "5.0.1"], 14);
    assert!(text.contains("error[UPGRADE_WITHDRAWN]"), "{text}");
}

#[test]
fn nothing_is_written_before_the_engine_has_been_asked() {
    refused(&at("6.2.2"), &["--to", "six"], 2);
    // The release may be written while its images did not come: what stands is looked at.
    let text = refused(&at("6.2.2"), &["--to", "6.2.2"], 8);
    assert!(text.contains("6.2.2 is configured already"), "{text}");
    let text = refused(&at("6.1.2-ext-v4.1"), &[], 2);
    assert!(text.contains("error[UPGRADE_TARGET]"), "{text}");
    // Nothing is written before the engine has been asked.
    refused(&at("6.2.1"), &["--to", "6.2.2", "--yes"], 8);
}
