//! `toolkit docker-compose`: what it hands over, and what it answers where Docker Compose is missing.

use super::sandbox::Sandbox;

#[test]
fn missing_or_old_docker_compose_is_named() {
    // The programs that are found are those of this folder alone.
    let sandbox = Sandbox::initialised(&[]);
    let run = |arguments: &[&str]| {
        let output = sandbox
            .command(arguments)
            .env("PATH", sandbox.root().join("bin"))
            .output()
            .unwrap();
        sandbox.ran(&output)
    };
    let ran = run(&["docker-compose", "down", "-v"]).ended_with(2);
    insta::assert_snapshot!(ran.stderr);
    sandbox.program("docker-compose", "#!/bin/sh\necho 1.29.2\n");
    let ran = run(&["docker-compose", "build"]).ended_with(2);
    assert!(
        ran.stderr.contains("Docker Compose 1.29.2 is installed"),
        "{}",
        ran.stderr
    );
    let ran = run(&["docker-compose", "config"]).succeeded();
    assert!(ran.stdout.starts_with("name: overleaf\n"), "{}", ran.stdout);
    let ran = run(&["docker-compose", "stop", "mango"]).ended_with(2);
    assert!(
        ran.stderr.contains("did you mean `mongo`?"),
        "{}",
        ran.stderr
    );
}

#[test]
fn docker_compose_gets_the_definitions_and_its_exit_code_passes_through() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::initialised(&["--project-name", "p"])
        .environment("DOCKER_HOST", "unix:///nonexistent/engine.sock");
    sandbox.program(
        "docker",
        "#!/bin/sh\n[ \"$*\" = 'compose version --short' ] && { echo 2.40.3; exit; }\necho \"$DOCKER_HOST\"\nprintf '%s\\n' \"$@\"\nexit 42\n",
    );
    let path = format!("{}:/usr/bin:/bin", sandbox.root().join("bin").display());
    let output = sandbox
        .command(&["docker-compose", "ps", "-q", "--all"])
        .env("PATH", path)
        .output()
        .unwrap();
    let ran = sandbox.ran(&output).ended_with(42);
    insta::assert_snapshot!(ran.stdout);
    let file = sandbox.root().join(".toolkit/compose.yaml");
    let mode = std::fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = sandbox.read(".toolkit/compose.yaml");
    assert!(text.contains("rs.initiate"), "{text}");
}
