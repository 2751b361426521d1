//! How the files are written, and the names in them.

use super::{expect, expect_rc, expect_variables, places, report};

#[test]
fn half_a_rebranding_is_named_as_one() {
    expect_variables(
        "SHARELATEX_APP_NAME=x\nA=1\nSHARELATEX_MONGO_URL=\n",
        &[
            "old-brand-variables E env:1",
            "variable-set-by-toolkit W env:3",
        ],
    );
    expect(
        "MONGO_VERSION=5.0\n",
        "OVERLEAF_APP_NAME=x\n",
        "4.2.9",
        &["new-brand-too-early E env:1"],
    );
    expect_variables(
        "TEXMFVAR=/var/lib/sharelatex/tmp/texmf-var\n",
        &["leftover-texmfvar E env:1"],
    );
    expect_variables(
        "TEXMFVAR='/var/lib/sharelatex/tmp/texmf-var'\n",
        &["leftover-texmfvar W env:1"],
    );
    expect_variables("TEXMFVAR=/var/lib/overleaf/tmp/texmf-var\n", &[]);
    expect_variables(
        "# TEXMFVAR=/var/lib/sharelatex\n# SHARELATEX_APP_NAME=x\n",
        &[],
    );
    expect_variables(
        "X_DIR=/var/lib/sharelatex/x\n",
        &["old-path-in-value W env:1"],
    );
    expect_rc(
        "SHARELATEX_DATA_PATH=d\nSHARELATEX_PORT=81\n",
        &["old-brand-settings E rc:1"],
    );
    expect_rc(
        "SHARELATEX_LISTEN_IP=[::1]\n",
        &["old-brand-settings E rc:1"],
    );
}

#[test]
fn names_are_in_the_right_file_and_spelt_right() {
    expect_rc("OVERLEAF_LISTEN_PI=1\n", &["misspelt-setting W rc:1"]);
    expect_rc("COMPILE_TIMEOUT=60\n", &["variable-in-overleaf-rc W rc:1"]);
    expect_rc(
        "BASE=/srv\nOVERLEAF_DATA_PATH=$BASE/overleaf\nOTHER=1\n",
        &["unused-name W rc:3"],
    );
    expect_rc("export COMPOSE_PROFILES=debug\n", &[]);
    expect_variables("OVERLEAF_PORT=81\n", &["setting-in-variables-env W env:1"]);
    expect_variables(
        "OVERLEAF_SITE_ULR=http://x\n",
        &["misspelt-variable W env:1"],
    );
    expect_variables(
        "OVERLEAF_FANCY_THING=1\nMY_OWN=1\n",
        &["unknown-variable W env:1"],
    );
}

#[test]
fn examples_are_filled_in() {
    for (value, is_example) in [
        ("support@example.com", true),
        ("https://overleaf.example.com", true),
        ("tex.myexample.com", false),
        ("example.company", false),
        ("example.com.au", false),
    ] {
        let expected: &[&str] = if is_example {
            &["example-value W env:1"]
        } else {
            &[]
        };
        expect_variables(&format!("OVERLEAF_APP_NAME={value}\n"), expected);
    }
}

#[test]
fn values_read_the_same_in_every_dialect() {
    for (line, expected) in [
        ("A=pa$word", Some("dollar-expands-to-nothing")),
        ("A='pa$word'", None),
        ("A=pa$$word", None),
        ("A= # comment", Some("comment-kept-as-value")),
        ("A=#fff", None),
        ("A=x # comment", None),
        ("export A=1", Some("export-in-variables-env")),
        ("A=x\"y z\"", Some("shell-quoting-kept")),
        ("A=two\\ words", Some("shell-quoting-kept")),
        ("A=it's Bob's", None),
        ("A=My \"Site\"", None),
        ("A={\"k\": \"v w\"}", None),
        ("A=\"x\"y", Some("text-after-quote")),
        ("A=\"x\" B=2", None),
        (
            "OVERLEAF_LEFT_FOOTER=\"[{\"text\": 1}]\"",
            Some("variables-env-syntax"),
        ),
        ("OVERLEAF_LEFT_FOOTER='[{'x", Some("text-after-quote")),
        ("A=1\nA=2", Some("duplicate-key")),
        ("A=\"x\nA=1\n\"", None),
    ] {
        let report = report("", &format!("{line}\n"), "6.2.2", 0o600);
        let rules: Vec<&str> = report
            .findings
            .iter()
            .map(|found| found.rule.as_str())
            .collect();
        assert_eq!(rules, Vec::from_iter(expected), "{line}");
    }
}

#[test]
fn a_value_that_nobody_can_use_is_not_called_a_dollar() {
    let named = "OVERLEAF_INVITE_TOKEN_SECRET=0123456789abcdef0123456789abcdef\n";
    let variables = format!("{named}A=\0\nB=$NOPE\nINHERITED");
    let expected = [
        "unusable-value W env:2",
        "dollar-expands-to-nothing W env:3",
        "unusable-value W env:4",
    ];
    expect("", &variables, "6.2.2", &expected);
}

#[test]
fn a_name_set_twice_names_both_lines() {
    let rc = "OVERLEAF_PORT=81\n# OVERLEAF_PORT=1\nOVERLEAF_PORT=82\n";
    let report = report(rc, "", "6.2.2", 0o600);
    assert_eq!(places(&report), ["duplicate-key W rc:3"]);
    let text = &report.findings.first().unwrap().problem.text;
    assert!(text.contains("line 1") && text.contains("line 3"), "{text}");
    expect_rc(
        "P=/a\nOVERLEAF_DATA_PATH=d\nOVERLEAF_DATA_PATH=$P$OVERLEAF_DATA_PATH\n",
        &[],
    );
    expect_rc("OVERLEAF_DATA_PATH=d\nOVERLEAF_DATA_PATH+=/e\n", &[]);
}

#[test]
fn blanks_at_the_end_are_seen() {
    expect_rc(
        "OVERLEAF_PORT=81 \nMONGO_DATA_PATH='data/mongo '\n",
        &["trailing-blank W rc:1", "trailing-blank W rc:2"],
    );
    expect_rc("OVERLEAF_PORT=81\r\n", &[]);
    expect_rc("OVERLEAF_PORT='81 '\n", &["setting-value E rc:1"]);
}
