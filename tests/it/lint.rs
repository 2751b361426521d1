//! `config lint` as a person runs it, and the reference of its rules.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use toolkit::lint::rule;

use super::sandbox::{Sandbox, project};

/// Rule and place of each finding of a JSON answer: `aof-off overleaf.rc:12`.
fn places(answer: &Value) -> Vec<String> {
    let findings = answer["data"]["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| {
            let file = finding["where"]["file"].as_str().unwrap();
            let file = file.rsplit('/').next().unwrap();
            let rule = finding["rule"].as_str().unwrap();
            format!("{rule} {file}:{}", finding["where"]["line"])
        })
        .collect()
}

/// The line of a file that begins with a text, from 1.
fn line(sandbox: &Sandbox, file: &str, start: &str) -> usize {
    let text = sandbox.read(file);
    let at = text.lines().position(|line| line.starts_with(start));
    at.expect("the line is there") + 1
}

#[test]
fn a_new_instance_is_clean_in_every_edition() {
    for edition in ["ce", "pro", "cep"] {
        let sandbox = Sandbox::initialised(&["--edition", edition]);
        let ran = sandbox.run(&["config", "lint", "--strict"]).succeeded();
        assert_eq!(ran.stdout, "0 errors, 0 warnings\n", "{edition}");
        assert_eq!(ran.stderr, "");
    }
}

#[test]
fn ten_planted_faults_give_ten_findings_on_their_lines() {
    let (rc, variables) = ("config/overleaf.rc", "config/variables.env");
    let sandbox = Sandbox::initialised(&[]);
    for (file, from, to) in [
        (rc, "OVERLEAF_PORT=80\n", "OVERLEAF_PORT=6000\n"),
        (rc, "MONGO_VERSION=8.0\n", "MONGO_VERSION=6.0\n"),
        (
            rc,
            "REDIS_AOF_PERSISTENCE=true\n",
            "REDIS_AOF_PERSISTENCE=no\n",
        ),
        (
            rc,
            "REDIS_DATA_PATH=data/redis\n",
            "REDIS_DATA_PATH=data/mongo\n",
        ),
        (
            rc,
            "PROJECT_NAME=overleaf\n",
            "PROJECT_NAME=overleaf\nOVERLEAF_PROT=81\n",
        ),
        (
            variables,
            "# OVERLEAF_SECURE_COOKIE=true",
            "OVERLEAF_SECURE_COOKIE=false",
        ),
        (
            variables,
            "# OVERLEAF_TRUSTED_PROXY_IPS=loopback,",
            "OVERLEAF_TRUSTED_PROXY_IPS=",
        ),
        (
            variables,
            "# OVERLEAF_EMAIL_SMTP_SECURE=false",
            "OVERLEAF_EMAIL_SMTP_SECURE=starttls",
        ),
        (variables, "EXTERNAL_AUTH=none", "COMPILE_TIMEOUT=1800"),
    ] {
        sandbox.replace(file, from, to);
    }
    let secret = sandbox.read(variables);
    let secret = secret
        .lines()
        .find(|line| line.starts_with("OVERLEAF_INVITE"))
        .unwrap();
    sandbox.replace(variables, secret, "OVERLEAF_INVITE_TOKEN_SECRET=tooshort");
    let at = |rule: &str, file: &str, start: &str| {
        let name = file.rsplit('/').next().unwrap();
        format!("{rule} {name}:{}", line(&sandbox, file, start))
    };
    let ran = sandbox
        .run(&["config", "lint", "--format", "json"])
        .ended_with(3);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        places(&answer),
        [
            at("misspelt-setting", rc, "OVERLEAF_PROT"),
            at("port-blocked-by-browsers", rc, "OVERLEAF_PORT"),
            at("mongo-too-old", rc, "MONGO_VERSION"),
            at("data-paths-overlap", rc, "REDIS_DATA_PATH"),
            at("aof-off", rc, "REDIS_AOF_PERSISTENCE"),
            at(
                "secret-too-short",
                variables,
                "OVERLEAF_INVITE_TOKEN_SECRET"
            ),
            at(
                "secure-cookie-false-is-on",
                variables,
                "OVERLEAF_SECURE_COOKIE"
            ),
            at(
                "trusted-proxies-without-loopback",
                variables,
                "OVERLEAF_TRUSTED_PROXY_IPS"
            ),
            at(
                "value-stops-services",
                variables,
                "OVERLEAF_EMAIL_SMTP_SECURE"
            ),
            at("number-out-of-range", variables, "COMPILE_TIMEOUT"),
        ]
    );
    assert_eq!(answer["schema"], "toolkit.lint/v1");
    assert_eq!(answer["ok"], false);
    assert_eq!(answer["error"]["exit"], 3);
    assert_eq!(answer["data"]["errors"], 7);
    assert_eq!(answer["data"]["warnings"], 3);
    assert!(!ran.all().contains("tooshort"), "{}", ran.all());
}

#[test]
fn findings_are_shown_with_their_lines() {
    let sandbox = Sandbox::initialised(&[]);
    sandbox.write(
        "config/variables.env",
        "OVERLEAF_INVITE_TOKEN_SECRET=short\nOVERLEAF_SECURE_COOKIE=false\nOVERLEAF_SITE_ULR=http://x\n",
    );
    let ran = sandbox.run(&["config", "lint"]).ended_with(3);
    insta::assert_snapshot!(ran.stdout);
    assert_eq!(ran.stderr, "");
}

#[test]
fn warnings_alone_fail_only_when_asked_to() {
    let sandbox = Sandbox::initialised(&[]);
    let file = sandbox.root().join("config/variables.env");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = sandbox.run(&["config", "lint"]).succeeded();
    assert!(
        ran.stdout.ends_with("0 errors, 1 warning\n"),
        "{}",
        ran.all()
    );
    let _ = sandbox.run(&["config", "lint", "--strict"]).ended_with(3);
    let ran = sandbox
        .run(&["config", "lint", "--format", "json"])
        .succeeded();
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["ok"], true);
    assert_eq!(
        places(&answer),
        ["secrets-readable-by-others variables.env:1"]
    );
}

#[test]
fn the_override_file_is_looked_at_as_well() {
    let sandbox = Sandbox::initialised(&[]);
    let file = "config/docker-compose.override.yml";
    sandbox.write(file, "services:\n  sharelatex:\n    imagge: x\n");
    let ran = sandbox
        .run(&["config", "lint", "--format", "json"])
        .ended_with(3);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        places(&answer),
        ["definition docker-compose.override.yml:3"]
    );
    sandbox.write(
        file,
        "services:\n  sharelatex:\n    image: overleafcep/sharelatex:6.2.0-ext-v5.0\n    environment:\n      SANDBOXED_COMPILES: \"true\"\n",
    );
    let ran = sandbox
        .run(&["config", "lint", "--format", "json"])
        .ended_with(3);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    let expected = [
        "image-of-another-edition docker-compose.override.yml:3",
        "sandbox-on-community docker-compose.override.yml:5",
    ];
    assert_eq!(places(&answer), expected);
    sandbox.write(file, "services:\n  sharelatex:\n    labels:\n      a: b\n");
    let ran = sandbox.run(&["config", "lint", "--strict"]).succeeded();
    assert_eq!(ran.stdout, "0 errors, 0 warnings\n");
}

/// The reference is made of the rules: `TOOLKIT_UPDATE_DOCS=1` writes it.
#[test]
fn the_reference_lists_every_rule() {
    let file = project().join("docs/lint.md");
    let reference = rule::reference(&rule::load().unwrap());
    if std::env::var_os("TOOLKIT_UPDATE_DOCS").is_some() {
        std::fs::write(&file, &reference).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), reference);
}
