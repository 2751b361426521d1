//! Each rule by what it prevents. The whole list of findings is compared, so that one mistake also
//! gives one finding.

mod agreement;
mod names;
mod site;

use std::path::Path;

use super::*;

/// Settings about which there is nothing to say, one per line.
const RC: &str = "PROJECT_NAME=overleaf
OVERLEAF_DATA_PATH=data/overleaf
OVERLEAF_LISTEN_IP=127.0.0.1
OVERLEAF_PORT=8080
MONGO_DATA_PATH=data/mongo
MONGO_IMAGE=mongo
MONGO_VERSION=8.0
REDIS_DATA_PATH=data/redis
REDIS_IMAGE=redis:7.4
REDIS_AOF_PERSISTENCE=true
";

const VARIABLES: &str = "OVERLEAF_INVITE_TOKEN_SECRET=0123456789abcdef0123456789abcdef\n";

const NGINX: &str = "NGINX_ENABLED=true\nTLS_PRIVATE_KEY_PATH=config/key.pem\nTLS_CERTIFICATE_PATH=config/cert.pem\nNGINX_TLS_LISTEN_IP=127.0.1.1\n";

/// A text of assignments with the sound ones that it does not set behind it.
fn completed(text: &str, sound: &str) -> String {
    let key = |line: &str| line.split_once('=').map(|(key, _)| key.to_owned());
    let set: Vec<_> = text.lines().filter_map(key).collect();
    let sound = sound.lines();
    let missing = sound.filter(|line| key(line).is_some_and(|key| !set.contains(&key)));
    let missing: String = missing.map(|line| format!("{line}\n")).collect();
    format!("{text}{missing}")
}

fn report(rc: &str, variables: &str, version: &str, mode: u32) -> Report {
    let is_old = version.starts_with(['3', '4']);
    let sound = if is_old { "" } else { VARIABLES };
    let (rc, variables) = (completed(rc, RC), completed(variables, sound));
    let sources = Sources {
        root: Path::new("/srv"),
        rc: &rc,
        variables: &variables,
        version,
        dotenv: "",
        environment: &|_| None,
        canonical: &|path| Ok(path.to_path_buf()),
        is_folder: &|_| true,
    };
    let input = Input {
        sources: &sources,
        mode: &|_| Some(mode),
        further: Vec::new(),
        other_line: &|_, _| None,
        changes: Changes::default(),
    };
    check(&input).unwrap()
}

/// Rule, severity and place of every finding: `aof-off W rc:10`.
fn places(report: &Report) -> Vec<String> {
    let findings = report.findings.iter();
    findings
        .map(|finding| {
            let place = finding.problem.place.as_ref().unwrap();
            let file = match place.file.file_name().unwrap().to_str().unwrap() {
                "overleaf.rc" => "rc",
                "variables.env" => "env",
                other => other,
            };
            let severity = match finding.problem.kind {
                ProblemKind::Error => 'E',
                ProblemKind::Warning => 'W',
            };
            format!("{} {severity} {file}:{}", finding.rule, place.line)
        })
        .collect()
}

#[track_caller]
fn expect(rc: &str, variables: &str, version: &str, expected: &[&str]) {
    let report = report(rc, variables, version, 0o600);
    assert_eq!(places(&report), expected, "{:#?}", report.findings);
}

/// Findings of overleaf.rc alone.
#[track_caller]
fn expect_rc(rc: &str, expected: &[&str]) {
    expect(rc, "", "6.2.2", expected);
}

/// Findings of variables.env alone.
#[track_caller]
fn expect_variables(variables: &str, expected: &[&str]) {
    expect("", variables, "6.2.2", expected);
}

#[test]
fn sound_files_have_no_findings() {
    expect("", "", "6.2.2\n", &[]);
    expect(
        NGINX,
        "OVERLEAF_SITE_URL=https://tex.uni.edu\n",
        "6.2.2",
        &[],
    );
}

#[test]
fn what_resolving_finds_has_a_rule_and_a_place() {
    expect(
        "OVERLEAF_PORT=http\nMONGO_VERSION=$(date)\nOVERLEAF_PROT=1\nMONGO_DATA_PATH=\nGIT_BRIDGE_ENABLED=true\nif\n",
        "A B=1\nC=\"open\n",
        "6.2",
        &[
            "setting-value E rc:1",
            "overleaf-rc-syntax E rc:2",
            "misspelt-setting W rc:3",
            "setting-value E rc:4",
            "setting-without-effect W rc:5",
            "overleaf-rc-syntax E rc:6",
            "variables-env-syntax E env:1",
            "variables-env-syntax E env:2",
            "version-form E version:1",
        ],
    );
}

#[test]
fn what_is_missing_stands_where_it_is_offered() {
    let nginx = "# TLS_PRIVATE_KEY_PATH=key.pem\nNGINX_ENABLED=true\nTLS_CERTIFICATE_PATH=c\nNGINX_TLS_LISTEN_IP=127.0.1.1\n";
    expect_rc(nginx, &["setting-missing E rc:1"]);
    let secret = "A=1\n# OVERLEAF_INVITE_TOKEN_SECRET=\nOVERLEAF_INVITE_TOKEN_SECRET=\n";
    expect_variables(secret, &["missing-secret E env:3"]);
}

#[test]
fn values_that_stop_the_services_are_errors_and_others_warnings() {
    for (line, expected) in [
        (
            "OVERLEAF_EMAIL_SMTP_SECURE=yes",
            "value-stops-services E env:1",
        ),
        (
            "OVERLEAF_EMAIL_SMTP_SECURE=",
            "value-stops-services E env:1",
        ),
        (
            "OVERLEAF_LEFT_FOOTER=[{text: 1}]",
            "value-of-wrong-form W env:1",
        ),
        (
            "OVERLEAF_SITE_URL=tex.uni.edu",
            "value-of-wrong-form W env:1",
        ),
    ] {
        expect_variables(&format!("{line}\n"), &[expected]);
    }
    expect_variables("OVERLEAF_LEFT_FOOTER=\nOVERLEAF_APP_NAME=\n", &[]);
}

#[test]
fn a_compile_timeout_is_a_number_that_has_an_effect() {
    expect_variables("COMPILE_TIMEOUT=600\n", &[]);
    expect_variables("COMPILE_TIMEOUT=10m\n", &["value-stops-services E env:1"]);
    expect_variables("COMPILE_TIMEOUT=1200\n", &["number-out-of-range W env:1"]);
    expect_variables("COMPILE_TIMEOUT=0\n", &["number-out-of-range W env:1"]);
}

#[test]
fn community_edition_is_not_asked_to_compile_in_a_sandbox() {
    expect_variables(
        "SANDBOXED_COMPILES=true\nDOCKER_RUNNER=true\n",
        &[
            "sandbox-on-community E env:1",
            "sandbox-on-community E env:2",
        ],
    );
    expect_variables("SANDBOXED_COMPILES=false\n", &[]);
    expect_rc(
        "SIBLING_CONTAINERS_ENABLED=true\n",
        &["setting-without-effect W rc:1"],
    );
}

#[test]
fn sandboxed_compiles_have_their_images() {
    let rc = "EDITION=pro\nSIBLING_CONTAINERS_ENABLED=true\n";
    let image = "TEX_LIVE_DOCKER_IMAGE=quay.io/t:2025.1\n";
    expect(rc, "", "6.2.2", &["texlive-images E env:2"]);
    expect(rc, image, "6.2.2", &["texlive-images E env:3"]);
    let other = format!("{image}ALL_TEX_LIVE_DOCKER_IMAGES=quay.io/t:2024.1\n");
    expect(rc, &other, "6.2.2", &["texlive-images E env:1"]);
    let cep = rc.replace("pro", "cep");
    expect(&cep, &other, "6.2.2", &[]);
    let both = format!("{image}ALL_TEX_LIVE_DOCKER_IMAGES=quay.io/t:2024.1, quay.io/t:2025.1\n");
    expect(rc, &both, "6.2.2", &[]);
}

#[test]
fn variables_that_nobody_reads_are_named() {
    let ldap = "OVERLEAF_LDAP_URL=ldaps://ldap.uni.edu\n";
    expect_variables(ldap, &["variable-of-another-edition W env:1"]);
    expect("EDITION=pro\n", ldap, "6.2.2", &[]);
    expect(
        "",
        "OVERLEAF_MONGO_URL=mongodb://h/x\n",
        "6.2.2",
        &["variable-set-by-toolkit W env:1"],
    );
    expect(
        "EDITION=pro\nMONGO_VERSION=5.0\n",
        "SKIP_TEX_LIVE_CHECK=true\n",
        "5.0.3",
        &["variable-not-yet-read W env:1"],
    );
    // A secret that the next release needs is prepared, not mistaken.
    expect("", "", "5.5.8", &[]);
}

#[test]
fn a_switch_of_a_later_release_is_named() {
    let rc = "EDITION=pro\nGIT_BRIDGE_ENABLED=true\nMONGO_VERSION=4.4\n";
    expect(rc, "", "3.5.13", &["setting-without-effect W rc:2"]);
    expect(rc, "", "4.0.1", &[]);
}

#[test]
fn false_is_not_taken_for_off_where_any_value_is_on() {
    let text = "OVERLEAF_BEHIND_PROXY=false\n";
    expect("", text, "5.5.8", &["false-counts-as-on W env:1"]);
    expect("", text, "6.2.2", &["variable-no-longer-read W env:1"]);
}

#[test]
fn problems_of_the_definitions_stand_among_the_others() {
    let sources = Sources {
        root: Path::new("/srv"),
        rc: RC,
        variables: "OVERLEAF_SECURE_COOKIE=false\n",
        version: "6.1.2",
        environment: &|_| None,
        dotenv: "",
        canonical: &|path| Ok(path.to_path_buf()),
        is_folder: &|_| true,
    };
    let problem = Problem {
        kind: ProblemKind::Warning,
        place: Some(Place {
            file: "/srv/config/docker-compose.override.yml".into(),
            line: 7,
            column: 3,
        }),
        text: "it is odd".to_owned(),
        advice: String::new(),
    };
    let input = Input {
        sources: &sources,
        mode: &|_| None,
        further: vec![(problem, Some("  x: 1".to_owned()))],
        other_line: &|_, _| None,
        changes: Changes::default(),
    };
    let report = check(&input).unwrap();
    let expected = [
        "definition W docker-compose.override.yml:7",
        "secure-cookie-false-is-on E env:1",
    ];
    assert_eq!(places(&report), expected);
    assert_eq!(report.findings[0].line.as_deref(), Some("  x: 1"));
    assert_eq!((report.errors(), report.warnings()), (1, 1));
}

/// Pieces of files, put together at random.
#[test]
fn odd_texts_have_findings_on_lines_that_exist() {
    const PIECES: [&str; 28] = [
        "\n",
        "\n",
        "\n",
        "\r\n",
        "=",
        "\"",
        "'",
        "$",
        "${",
        "}",
        "#",
        " ",
        "\\",
        "\t",
        "é",
        "\u{feff}",
        "export ",
        "OVERLEAF_PORT=",
        "MONGO_VERSION=",
        "OVERLEAF_SITE_URL=",
        "OVERLEAF_SITE_URL",
        "A_PASSWORD=",
        "http://u:p@h",
        "0",
        "80-90",
        "[{",
        ":",
        "\u{0}",
    ];
    let mut seed = 7_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        PIECES[usize::try_from(seed % 28).unwrap()]
    };
    for _ in 0..40 {
        let mut text = || (0..200).map(|_| next()).collect::<String>();
        let (rc, variables, version) = (text(), text(), text());
        let sources = Sources {
            root: Path::new("/srv"),
            rc: &rc,
            variables: &variables,
            version: &version,
            environment: &|_| None,
            dotenv: "",
            canonical: &|path| Ok(path.to_path_buf()),
            is_folder: &|_| true,
        };
        let input = Input {
            sources: &sources,
            mode: &|_| Some(0o644),
            further: Vec::new(),
            other_line: &|_, _| None,
            changes: Changes::default(),
        };
        let report = check(&input).unwrap();
        assert!(report.errors() > 0);
        for finding in &report.findings {
            let place = finding.problem.place.as_ref().unwrap();
            let text = match place.file.extension().and_then(|name| name.to_str()) {
                Some("rc") => &rc,
                Some("env") => &variables,
                _ => &version,
            };
            let lines = text.lines().count();
            assert!((1..=lines + 1).contains(&place.line), "{finding:?}");
        }
    }
}

#[test]
fn withdrawn_and_unknown_releases_are_named() {
    let old = "MONGO_VERSION=5.0\n";
    for (version, expected) in [
        ("5.0.1", "retracted-release E version:1"),
        ("5.0.2", "retracted-release E version:1"),
        ("5.0.11", "unknown-release W version:1"),
    ] {
        expect(old, "", version, &[expected]);
    }
    expect("", "", "9.0.0", &["unknown-release W version:1"]);
    let accepted = format!("{old}OVERLEAF_SKIP_RETRACTION_CHECK=5.0.1\n");
    expect(&accepted, "", "5.0.1", &[]);
    expect("", "", "6.2.0-RC1", &[]);
}

#[test]
fn mongo_goes_with_the_release() {
    for (mongo, version, expected) in [
        (
            "MONGO_VERSION=6.0\n",
            "6.2.2",
            &["mongo-too-old E rc:1"][..],
        ),
        ("MONGO_VERSION=8\n", "6.2.2", &["setting-value E rc:1"]),
        ("MONGO_VERSION=8.0.4-noble\n", "6.2.2", &[]),
        ("MONGO_VERSION=8.2\n", "6.2.2", &["mongo-too-new W rc:1"]),
        ("MONGO_VERSION=7.0\n", "5.5.8", &[]),
        ("MONGO_VERSION=8.0\n", "5.1.0", &["mongo-too-new W rc:1"]),
        (
            "MONGO_VERSION=\nMONGO_IMAGE=mongo:4.4\n",
            "5.5.8",
            &["mongo-too-old E rc:2", "mongo-version-in-image W rc:2"],
        ),
        ("MONGO_IMAGE=mongo:8.0\n", "6.2.2", &[]),
        (
            "MONGO_IMAGE=mongo:7.0\n",
            "6.2.2",
            &["image-tag-twice E rc:1"],
        ),
        (
            "MONGO_VERSION=MONGO_VERSION=8.0\n",
            "6.2.2",
            &["setting-value E rc:1"],
        ),
        ("MONGO_VERSION=latest\n", "6.2.2", &["setting-value E rc:1"]),
        ("MONGO_VERSION=8.0 # pinned\r\n", "6.2.2", &[]),
        ("MONGO_ENABLED=false\nMONGO_VERSION=4.0\n", "6.2.2", &[]),
    ] {
        expect(mongo, "", version, expected);
    }
}

#[test]
fn a_project_has_a_name() {
    expect_rc("PROJECT_NAME=\n", &["project-unnamed W rc:1"]);
}

#[test]
fn images_do_not_change_by_themselves_and_custom_ones_are_fine() {
    expect_rc("REDIS_IMAGE=redis\n", &["image-tag-latest W rc:1"]);
    expect_rc(
        "REDIS_IMAGE=registry:5000/redis:latest\n",
        &["image-tag-latest W rc:1"],
    );
    expect_rc("OVERLEAF_IMAGE_NAME=registry:5000/ours:6.2.2-custom\n", &[]);
    expect_rc("OVERLEAF_IMAGE_NAME=ours@sha256:ab\n", &[]);
}

#[test]
fn cep_does_not_pretend_to_be_server_pro() {
    let image = "OVERLEAF_IMAGE_NAME=overleafcep/sharelatex\n";
    let pro = format!("{image}SERVER_PRO=true\n");
    expect_rc(&pro, &["image-of-another-edition W rc:1"]);
    expect_rc(&format!("{image}EDITION=cep\n"), &[]);
    let tag = "6.2.0-ext-v5.0";
    expect(
        "SERVER_PRO=true\n",
        "",
        tag,
        &["image-of-another-edition W version:1"],
    );
    expect("EDITION=cep\n", "", tag, &[]);
    expect("OVERLEAF_IMAGE_NAME=ours\n", "", tag, &[]);
    let own_build = "SERVER_PRO=true\nOVERLEAF_IMAGE_NAME=sharelatex/sharelatex:ext-ce\n";
    expect_rc(own_build, &["image-of-another-edition W rc:2"]);
    let report = report(&pro, "", "6.2.2", 0o600);
    let advice = &report.findings.first().unwrap().problem.advice;
    assert!(advice.contains("EDITION=cep"), "{advice}");
}

#[test]
fn the_release_gets_the_secrets_it_needs() {
    let name = "OVERLEAF_INVITE_TOKEN_SECRET";
    let empty = format!("{name}=\n");
    expect_variables(&empty, &["missing-secret E env:1"]);
    expect("", &empty, "6.1.2", &[]);
    expect_variables(&format!("{name}=short\n"), &["secret-too-short E env:1"]);
}

#[test]
fn internal_secrets_come_together_and_agree() {
    let all = "WEB_API_PASSWORD=1\nSTAGING_PASSWORD=2\nV1_HISTORY_PASSWORD=2\nCRYPTO_RANDOM=3\nOT_JWT_AUTH_KEY=4\n";
    expect_variables(all, &[]);
    let some = all.replace("CRYPTO_RANDOM=3", "CRYPTO_RANDOM=");
    expect_variables(&some, &["partial-secrets W env:4"]);
    let differ = all.replace("V1_HISTORY_PASSWORD=2", "V1_HISTORY_PASSWORD=5");
    expect_variables(&differ, &["history-passwords-differ E env:3"]);
}

#[test]
fn edits_in_redis_survive_a_crash() {
    expect_rc("REDIS_AOF_PERSISTENCE=false\n", &["aof-off W rc:1"]);
    expect_rc("REDIS_AOF_PERSISTENCE=\n", &["aof-off W rc:1"]);
    expect_rc("REDIS_ENABLED=false\nREDIS_AOF_PERSISTENCE=\n", &[]);
}

#[test]
fn both_halves_of_the_services_find_redis() {
    let external = "REDIS_ENABLED=false\nREDIS_HOST=redis.local\n";
    let one = "OVERLEAF_REDIS_PASS=geheim\n";
    expect(external, one, "6.2.2", &["redis-one-family E env:1"]);
    expect(
        external,
        "REDIS_PASSWORD=geheim\n",
        "6.2.2",
        &["redis-one-family E env:1"],
    );
    expect(
        external,
        &format!("{one}REDIS_PASSWORD=geheim\n"),
        "6.2.2",
        &[],
    );
    expect(
        external,
        &format!("{one}REDIS_PASSWORD=other\n"),
        "6.2.2",
        &["redis-one-family E env:2"],
    );
    let port = format!("{external}REDIS_PORT=6380\n");
    expect(&port, "", "6.2.2", &["redis-one-family E rc:3"]);
    expect(&port, "OVERLEAF_REDIS_PORT=6380\n", "6.2.2", &[]);
    let in_variables = "OVERLEAF_REDIS_HOST=elsewhere\n";
    expect(
        external,
        in_variables,
        "6.2.2",
        &["redis-one-family E env:1"],
    );
}

#[test]
fn two_services_never_share_a_folder() {
    expect_rc(
        "REDIS_DATA_PATH=data/mongo\n",
        &["data-paths-overlap E rc:1"],
    );
    expect_rc(
        "MONGO_DATA_PATH=data/overleaf/mongo\n",
        &["data-paths-overlap E rc:1"],
    );
    expect_rc(
        "MONGO_DATA_PATH=data/overleaf2\nREDIS_DATA_PATH=/elsewhere\n",
        &[],
    );
    expect_rc("GIT_BRIDGE_DATA_PATH=data/mongo\n", &[]);
    expect_rc("OVERLEAF_DATA_PATH=data\n", &["data-paths-overlap E rc:1"]);
    expect_rc("OVERLEAF_LOG_PATH=data/overleaf/log\n", &[]);
    expect_rc(
        "OVERLEAF_LOG_PATH=data/mongo/log\n",
        &["data-paths-overlap E rc:1"],
    );
}

#[test]
fn secrets_are_for_their_owner_only() {
    let open = report("", "", "6.2.2", 0o644);
    assert_eq!(places(&open), ["secrets-readable-by-others W env:1"]);
    assert_eq!(open.findings.first().unwrap().line, None);
    assert_eq!(places(&report("", "", "6.2.2", 0o640)), [""; 0]);
    let url = "MONGO_URL=mongodb://u:p@h/x\n";
    let both = report(url, "", "6.2.2", 0o644);
    assert_eq!(places(&both).len(), 2);
    let key = report(
        NGINX,
        "OVERLEAF_SITE_URL=https://tex.uni.edu\n",
        "6.2.2",
        0o604,
    );
    assert_eq!(places(&key).first().unwrap(), "private-key-readable W rc:2");
}

#[test]
fn no_secret_is_shown() {
    const MARK: &str = "geheim7";
    let rc = format!(
        "MONGO_URL=mongodb://u:{MARK}@h/x {MARK}\nMONGO_URL=mongodb://u:{MARK}@h/x\nOVERLEAF_IMAGE_NAME=http://u:{MARK}@h:latest\n"
    );
    let variables = format!(
        "A_PASSWORD={MARK}$N{MARK}\nA_PASSWORD={MARK}$N{MARK}\nB_TOKEN=\"a\n{MARK}${MARK}\n\"\n\
         OVERLEAF_SITE_URL=http:/u:{MARK}@h\nOVERLEAF_INVITE_TOKEN_SECRET={MARK}\nC_KEY=\"x\"{MARK}\n\
         D_PASS=x\nD_PASS={MARK}\nE_SECRET=\"x\"{MARK}$\nF_PASS=\"{MARK}\n"
    );
    let report = report(&rc, &variables, "6.2.2", 0o644);
    assert!(report.findings.len() > 9, "{:?}", places(&report));
    for finding in &report.findings {
        let shown = format!("{finding:?}");
        assert!(!shown.contains(MARK), "{shown}");
    }
}
